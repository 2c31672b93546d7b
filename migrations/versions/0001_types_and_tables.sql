-- Money is numeric(38,18): twenty digits before the point, and all that a venue or a crypto price may have behind it.

CREATE TYPE order_type_enum AS ENUM ('MARKET', 'LIMIT', 'STOP');
CREATE TYPE order_status_enum AS ENUM ('PENDING', 'FILLED', 'PARTIAL', 'REJECTED', 'CANCELLED');
-- The log cannot be back-filled, so the words of every step are here from its first row.
CREATE TYPE action_enum AS ENUM (
  'SUBMITTED', 'APPROVED', 'EXECUTED', 'FILLED', 'REJECTED', 'CANCELLED', 'RECOVERED',
  'RETRIED', 'ABANDONED', 'AMENDED', 'ALARMED', 'HALTED', 'RESUMED', 'LIMITS_CHANGED', 'KEY_CREATED', 'KEY_REVOKED',
  'TRADER_CREATED', 'CORRECTED'
);

CREATE TABLE traders (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
  trading_state text NOT NULL DEFAULT 'ACTIVE' CHECK (trading_state IN ('ACTIVE', 'REDUCING', 'HALTED')),
  -- Limits, none when null: currency, units, currency a day, orders a minute.
  max_position_value numeric(38,18) CHECK (max_position_value > 0),
  max_position_quantity numeric(38,18) CHECK (max_position_quantity > 0),
  max_order_value numeric(38,18) CHECK (max_order_value > 0),
  max_order_quantity numeric(38,18) CHECK (max_order_quantity > 0),
  max_open_orders integer CHECK (max_open_orders > 0),
  max_daily_notional numeric(38,18) CHECK (max_daily_notional > 0),
  daily_loss_limit numeric(38,18) CHECK (daily_loss_limit > 0),
  orders_per_minute integer CHECK (orders_per_minute > 0),
  limits_version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  trader_id uuid NOT NULL REFERENCES traders ON DELETE RESTRICT,
  prefix text NOT NULL,
  -- SHA-256 of the whole key: its 256 bits of entropy need no slow hash.
  key_hash bytea NOT NULL UNIQUE,
  scopes text[] NOT NULL DEFAULT '{trade,read}' CHECK (scopes <@ '{trade,read,admin,compliance}'::text[]),
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz
);

CREATE TABLE accounts (
  trader_id uuid PRIMARY KEY REFERENCES traders ON DELETE RESTRICT,
  currency text NOT NULL DEFAULT 'USD',
  cash numeric(38,18) NOT NULL,
  reserved numeric(38,18) NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  -- Accepted orders in the running minute and the one before: a cheap sure pass for the order rate limit.
  rate_minute timestamptz NOT NULL DEFAULT '-infinity',
  rate_count integer NOT NULL DEFAULT 0,
  rate_previous integer NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL
);

-- Apart from accounts, so that it can be locked last (I12).
CREATE TABLE event_counters (
  trader_id uuid PRIMARY KEY REFERENCES traders ON DELETE RESTRICT,
  head_seq bigint NOT NULL DEFAULT 0
);

CREATE TABLE positions (
  trader_id uuid NOT NULL REFERENCES traders ON DELETE RESTRICT,
  symbol text NOT NULL,
  quantity numeric(38,18) NOT NULL,
  reserved_quantity numeric(38,18) NOT NULL CHECK (reserved_quantity >= 0),
  cost_basis numeric(38,18) NOT NULL,
  realized_pnl numeric(38,18) NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (trader_id, symbol)
);

CREATE TABLE instruments (
  symbol text PRIMARY KEY,
  venue text NOT NULL,
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('ACTIVE', 'HALTED', 'DELISTED', 'RESTRICTED')),
  tick_size numeric(38,18) NOT NULL CHECK (tick_size > 0),
  lot_size numeric(38,18) NOT NULL CHECK (lot_size > 0),
  bid numeric(38,18),
  ask numeric(38,18),
  bid_size numeric(38,18),
  ask_size numeric(38,18),
  quoted_at timestamptz, -- the venue's time of the quote
  confirmed_at timestamptz, -- when the venue last told us that it is the latest: what its age is judged by
  updated_at timestamptz NOT NULL
);

CREATE TABLE orders (
  id uuid PRIMARY KEY,
  trader_id uuid NOT NULL REFERENCES traders ON DELETE RESTRICT,
  idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
  request_fingerprint bytea NOT NULL,
  symbol text NOT NULL,
  side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
  quantity numeric(38,18) NOT NULL CHECK (quantity > 0),
  order_type order_type_enum NOT NULL,
  price numeric(38,18) CHECK (price > 0),
  stop_loss numeric(38,18) CHECK (stop_loss > 0),
  take_profit numeric(38,18) CHECK (take_profit > 0),
  time_in_force text NOT NULL CHECK (time_in_force IN ('DAY', 'GTC', 'IOC', 'FOK')),
  max_slippage_bps integer CHECK (max_slippage_bps >= 0),
  max_wait_seconds integer CHECK (max_wait_seconds > 0),
  venue text NOT NULL,
  parent_id uuid REFERENCES orders ON DELETE RESTRICT,
  execution_path text NOT NULL CHECK (execution_path IN ('V2', 'PLAIN')),
  reservation_price numeric(38,18) NOT NULL CHECK (reservation_price >= 0),
  status order_status_enum NOT NULL,
  execution_state text NOT NULL CHECK (
    execution_state IN ('QUEUED', 'SENDING', 'IN_DOUBT', 'WORKING', 'CANCELLING', 'NEEDS_ATTENTION', 'CLOSED')
  ),
  filled_quantity numeric(38,18) NOT NULL DEFAULT 0,
  filled_notional numeric(38,18) NOT NULL DEFAULT 0,
  average_fill_price numeric(38,18),
  attempts integer NOT NULL DEFAULT 0,
  retries_used integer NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  due_at timestamptz,
  not_founds integer NOT NULL DEFAULT 0,
  open_attempts text[] NOT NULL DEFAULT '{}', -- "number sender" of each submit whose sender is not proven to have ended
  client_id_known_at timestamptz, -- the venue refused a repetition because it knows the client order id
  cancel_sent_at timestamptz,
  stray_due_at timestamptz, -- ended here, found alive at the venue: when to go after it again
  refused_at timestamptz,
  send_ended_at timestamptz,
  venue_order_id text,
  cancel_requested_at timestamptz,
  cancel_reason_code text,
  cancel_reason_message text,
  abandoned_at timestamptz,
  reason_code text,
  reason_message text,
  alarm_code text,
  log_seq integer NOT NULL,
  log_hash bytea NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  expires_at timestamptz,
  closed_at timestamptz,
  CONSTRAINT orders_idempotency UNIQUE (trader_id, idempotency_key),
  CONSTRAINT orders_venue_order UNIQUE (venue, venue_order_id),
  CONSTRAINT orders_filled_within_quantity CHECK (filled_quantity BETWEEN 0 AND quantity),
  CONSTRAINT orders_closed_iff_final CHECK (
    (execution_state = 'CLOSED') = (status IN ('FILLED', 'REJECTED', 'CANCELLED'))
  ),
  CONSTRAINT orders_closed_iff_closed_at CHECK ((execution_state = 'CLOSED') = (closed_at IS NOT NULL)),
  -- I2: whatever is not closed comes due, so the sweeper finds it though every queue were lost.
  CONSTRAINT orders_open_iff_due CHECK ((execution_state = 'CLOSED') = (due_at IS NULL)),
  CONSTRAINT orders_filled_iff_complete CHECK ((status = 'FILLED') = (filled_quantity = quantity)),
  CONSTRAINT orders_pending_unfilled CHECK (status <> 'PENDING' OR filled_quantity = 0),
  CONSTRAINT orders_partial_filled CHECK (status <> 'PARTIAL' OR filled_quantity > 0),
  CONSTRAINT orders_market_has_no_price CHECK ((order_type = 'MARKET') = (price IS NULL)),
  CONSTRAINT orders_working_is_known CHECK (execution_state <> 'WORKING' OR venue_order_id IS NOT NULL),
  CONSTRAINT orders_queued_unsent CHECK (execution_state <> 'QUEUED' OR attempts = 0)
);
CREATE INDEX idx_orders_trader_created ON orders (trader_id, created_at DESC, id DESC);
CREATE INDEX idx_orders_status ON orders (status);
CREATE INDEX idx_orders_trader_status ON orders (trader_id, status);
CREATE INDEX idx_orders_due ON orders (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX idx_orders_stray ON orders (stray_due_at) WHERE stray_due_at IS NOT NULL;

CREATE TABLE order_attempts (
  order_id uuid NOT NULL REFERENCES orders ON DELETE RESTRICT,
  kind text NOT NULL CHECK (kind IN ('SUBMIT', 'CANCEL', 'REPLACE')),
  number integer NOT NULL CHECK (number > 0),
  trader_id uuid NOT NULL,
  fence bigint NOT NULL,
  client_order_id text NOT NULL,
  sender text NOT NULL,
  sent_at timestamptz NOT NULL,
  ended_at timestamptz,
  outcome text CHECK (outcome IN ('ACCEPTED', 'REFUSED', 'UNKNOWN', 'KNOWN_ALREADY', 'TAKEN', 'SENDER_GONE')),
  error_code text,
  evidence text,
  PRIMARY KEY (order_id, kind, number),
  CONSTRAINT order_attempts_ended_iff_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

CREATE TABLE fills (
  id uuid PRIMARY KEY,
  order_id uuid NOT NULL REFERENCES orders ON DELETE RESTRICT,
  trader_id uuid NOT NULL,
  symbol text NOT NULL,
  side text NOT NULL,
  -- The venue's own time.
  timestamp timestamptz NOT NULL,
  quantity_filled numeric(38,18) NOT NULL CHECK (quantity_filled > 0),
  price_at_fill numeric(38,18) NOT NULL CHECK (price_at_fill > 0),
  venue text NOT NULL,
  commission numeric(38,18) NOT NULL DEFAULT 0,
  venue_order_id text NOT NULL,
  cumulative_quantity numeric(38,18) NOT NULL,
  execution_id text,
  realized_pnl numeric(38,18) NOT NULL,
  is_late boolean NOT NULL DEFAULT false,
  position bigint GENERATED ALWAYS AS IDENTITY,
  created_at timestamptz NOT NULL,
  -- I6: a stream, a poll and a back-fill name the same fill by these three.
  CONSTRAINT fills_identity UNIQUE (venue, venue_order_id, cumulative_quantity),
  CONSTRAINT fills_within_cumulative CHECK (quantity_filled <= cumulative_quantity)
);
CREATE INDEX idx_fills_order ON fills (order_id);
CREATE INDEX idx_fills_timestamp ON fills (timestamp DESC);
CREATE INDEX idx_fills_trader_timestamp ON fills (trader_id, timestamp DESC);

-- The outbox: pub/sub only wakes its readers.
CREATE TABLE order_events (
  trader_id uuid NOT NULL REFERENCES traders ON DELETE RESTRICT,
  seq bigint NOT NULL CHECK (seq > 0),
  order_id uuid NOT NULL REFERENCES orders ON DELETE RESTRICT,
  event text NOT NULL,
  -- The whole event but for its seq. json and not jsonb: it goes out as it was written.
  payload json NOT NULL,
  recorded_at timestamptz NOT NULL,
  PRIMARY KEY (trader_id, seq)
);
CREATE INDEX idx_order_events_order ON order_events (order_id, seq);

CREATE TABLE execution_logs (
  id uuid PRIMARY KEY,
  position bigint GENERATED ALWAYS AS IDENTITY,
  recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  chain_id uuid NOT NULL,
  chain_seq integer NOT NULL CHECK (chain_seq > 0),
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL,
  -- No reference: a log row outlives whatever it speaks of.
  trader_id uuid,
  actor text NOT NULL,
  credential text,
  action action_enum NOT NULL,
  -- RESTRICT: an immutable log that a cascade can erase is not immutable.
  order_id uuid REFERENCES orders ON DELETE RESTRICT,
  status order_status_enum,
  status_before order_status_enum,
  execution_state text,
  symbol text,
  side text,
  quantity numeric(38,18),
  order_type order_type_enum,
  price numeric(38,18),
  time_in_force text,
  fill_quantity numeric(38,18),
  fill_price numeric(38,18),
  filled_quantity numeric(38,18),
  venue text,
  venue_order_id text,
  execution_id text,
  retry_attempt integer,
  error_code text,
  reason text,
  rule text,
  limits_version integer,
  details json,
  received_at timestamptz,
  sent_at timestamptz,
  venue_at timestamptz,
  timestamp timestamptz NOT NULL,
  software_version text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT execution_logs_chain UNIQUE (chain_id, chain_seq)
);
CREATE INDEX idx_execution_logs_trader_timestamp ON execution_logs (trader_id, timestamp DESC);
CREATE INDEX idx_execution_logs_order ON execution_logs (order_id);
CREATE INDEX idx_execution_logs_action ON execution_logs (action);

-- Heads of the chains that are not an order's; an order carries its own.
CREATE TABLE audit_chains (
  chain_id uuid PRIMARY KEY,
  trader_id uuid,
  seq integer NOT NULL,
  hash bytea NOT NULL
);
