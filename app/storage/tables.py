"""Surefill's tables as SQLAlchemy sees them, for reads and for statements built in Core.

The migrations are what creates them; this module says the same again, and a test finds every difference. What the
database does beyond a table's shape (row security, rights, triggers) is in the migrations only.

Units: prices, cash and notional in the account's currency; quantities in units of the instrument; times aware UTC.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSON
from sqlalchemy.types import UserDefinedType


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's xid8: the transaction that wrote a row, as an integer that never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        # The driver knows no xid8 and hands over its text.
        return lambda value: None if value is None else int(value)


# The names PostgreSQL gives by itself, so that a constraint written without one is called the same on both sides.
metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
    }
)

ORDER_TYPE: Final = ENUM("MARKET", "LIMIT", "STOP", name="order_type_enum", metadata=metadata)
ORDER_STATUS: Final = ENUM(
    "PENDING", "FILLED", "PARTIAL", "REJECTED", "CANCELLED", name="order_status_enum", metadata=metadata
)
ACTION: Final = ENUM(
    "SUBMITTED",
    "APPROVED",
    "EXECUTED",
    "FILLED",
    "REJECTED",
    "CANCELLED",
    "RECOVERED",
    "RETRIED",
    "ABANDONED",
    "AMENDED",
    "ALARMED",
    "HALTED",
    "RESUMED",
    "LIMITS_CHANGED",
    "KEY_CREATED",
    "KEY_REVOKED",
    "TRADER_CREATED",
    "CORRECTED",
    name="action_enum",
    metadata=metadata,
)
MONEY: Final = Numeric(38, 18)
TIME: Final = DateTime(timezone=True)
ID: Final = Uuid()


def _references(table: str) -> ForeignKey:
    # RESTRICT everywhere: nothing here is ever deleted by way of something else.
    return ForeignKey(f"{table}.id", ondelete="RESTRICT")


def _of_order(column: str = "order_id") -> ForeignKeyConstraint:
    # Both columns: foreign keys look past row security, so the reference itself says whose order it is.
    return ForeignKeyConstraint([column, "trader_id"], ["orders.id", "orders.trader_id"], ondelete="RESTRICT")


def _positive(table: str, *columns: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{column} > 0", name=f"{table}_{column}_check") for column in columns]


def _one_of(table: str, column: str, *words: str) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{table}_{column}_check")


traders: Final = Table(
    "traders",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("trading_state", Text, nullable=False, server_default="ACTIVE"),
    # Limits, none when null: currency, units, currency a day, orders a minute.
    Column("max_position_value", MONEY),
    Column("max_position_quantity", MONEY),
    Column("max_order_value", MONEY),
    Column("max_order_quantity", MONEY),
    Column("max_open_orders", Integer),
    Column("max_daily_notional", MONEY),
    Column("daily_loss_limit", MONEY),
    Column("orders_per_minute", Integer),
    Column("limits_version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    CheckConstraint("length(name) BETWEEN 1 AND 100", name="traders_name_check"),
    _one_of("traders", "trading_state", "ACTIVE", "REDUCING", "HALTED"),
    *_positive(
        "traders",
        "max_position_value",
        "max_position_quantity",
        "max_order_value",
        "max_order_quantity",
        "max_open_orders",
        "max_daily_notional",
        "daily_loss_limit",
        "orders_per_minute",
    ),
)

Index("idx_traders_with_loss_limit", traders.c.id, postgresql_where=traders.c.daily_loss_limit.is_not(None))

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("trader_id", ID, _references("traders"), nullable=False),
    Column("prefix", Text, nullable=False),
    # SHA-256 of the whole key.
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{trade,read}"),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME),
    Column("revoked_at", TIME),
    # The public half of an Ed25519 pair: with one, every request under the key has to be signed.
    Column("signing_key", LargeBinary),
    CheckConstraint("length(signing_key) = 32", name="api_keys_signing_key_check"),
    CheckConstraint("scopes <@ '{trade,read,admin,compliance}'::text[]", name="api_keys_scopes_check"),
)

# Apart from api_keys, which the web processes may not write.
api_key_uses: Final = Table(
    "api_key_uses",
    metadata,
    Column("key_id", ID, _references("api_keys"), primary_key=True),
    Column("trader_id", ID, _references("traders"), nullable=False),
    Column("last_used_at", TIME, nullable=False),
)

# Of signed requests, until their signature is too old to be accepted anyway.
request_nonces: Final = Table(
    "request_nonces",
    metadata,
    Column("key_id", ID, _references("api_keys"), nullable=False),
    Column("nonce", Text, nullable=False),
    Column("trader_id", ID, _references("traders"), nullable=False),
    Column("expires_at", TIME, nullable=False),
    PrimaryKeyConstraint("key_id", "nonce"),
    CheckConstraint("length(nonce) BETWEEN 16 AND 128", name="request_nonces_nonce_check"),
)
Index("idx_request_nonces_expiry", request_nonces.c.key_id, request_nonces.c.expires_at)

# AES-256-GCM; the key is not in the database, only its name.
venue_credentials: Final = Table(
    "venue_credentials",
    metadata,
    Column("venue", Text, primary_key=True),
    Column("sealed_with", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("updated_at", TIME, nullable=False),
    CheckConstraint("length(venue) BETWEEN 1 AND 100", name="venue_credentials_venue_check"),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("trader_id", ID, _references("traders"), primary_key=True),
    Column("currency", Text, nullable=False, server_default="USD"),
    Column("cash", MONEY, nullable=False),
    Column("reserved", MONEY, nullable=False, server_default=text("0")),
    # Accepted orders in the running minute and the one before.
    Column("rate_minute", TIME, nullable=False, server_default="-infinity"),
    Column("rate_count", Integer, nullable=False, server_default=text("0")),
    Column("rate_previous", Integer, nullable=False, server_default=text("0")),
    Column("updated_at", TIME, nullable=False),
    # The exchange's day: its date, equity when it began, the worth of all orders accepted since.
    Column("session_on", Date),
    Column("session_equity", MONEY),
    Column("session_notional", MONEY, nullable=False, server_default=text("0")),
    Column("loss_limit_hit_on", Date),
    Column("loss_limit_hit_version", Integer),
    Column("opening_cash", MONEY, nullable=False, server_default=text("0")),
    CheckConstraint("reserved >= 0", name="accounts_reserved_check"),
    CheckConstraint("session_notional >= 0", name="accounts_session_notional_check"),
)

# Apart from accounts, so that it can be locked last (I12).
event_counters: Final = Table(
    "event_counters",
    metadata,
    Column("trader_id", ID, _references("traders"), primary_key=True),
    Column("head_seq", BigInteger, nullable=False, server_default=text("0")),
)

positions: Final = Table(
    "positions",
    metadata,
    Column("trader_id", ID, _references("traders"), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("quantity", MONEY, nullable=False),
    Column("reserved_quantity", MONEY, nullable=False),
    Column("cost_basis", MONEY, nullable=False),
    Column("realized_pnl", MONEY, nullable=False),
    Column("updated_at", TIME, nullable=False),
    PrimaryKeyConstraint("trader_id", "symbol"),
    CheckConstraint("reserved_quantity >= 0", name="positions_reserved_quantity_check"),
)

instruments: Final = Table(
    "instruments",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("venue", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("tick_size", MONEY, nullable=False),
    Column("lot_size", MONEY, nullable=False),
    Column("bid", MONEY),
    Column("ask", MONEY),
    Column("bid_size", MONEY),
    Column("ask_size", MONEY),
    Column("quoted_at", TIME),
    Column("confirmed_at", TIME),
    Column("updated_at", TIME, nullable=False),
    Column("always_open", Boolean, nullable=False, server_default=text("false")),
    _one_of("instruments", "status", "ACTIVE", "HALTED", "DELISTED", "RESTRICTED"),
    *_positive("instruments", "tick_size", "lot_size"),
)

# When somebody last lacked the quote of a symbol.
quote_requests: Final = Table(
    "quote_requests",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("asked_at", TIME, nullable=False),
)
Index("idx_quote_requests_asked_at", quote_requests.c.asked_at)

# A venue's clock as it was last heard.
market_hours: Final = Table(
    "market_hours",
    metadata,
    Column("venue", Text, primary_key=True),
    Column("is_open", Boolean, nullable=False),
    Column("next_open", TIME),
    Column("next_close", TIME),
    Column("confirmed_at", TIME, nullable=False),
)

# Comparisons of all traders' books with the venue account's.
venue_comparisons: Final = Table(
    "venue_comparisons",
    metadata,
    Column("id", ID, primary_key=True),
    Column("venue", Text, nullable=False),
    Column("compared_at", TIME, nullable=False),
    Column("house_cash", MONEY, nullable=False),
    Column("cash_drift", MONEY, nullable=False),
    Column("position_drifts", JSON, nullable=False),
)
Index("idx_venue_comparisons_venue", venue_comparisons.c.venue, venue_comparisons.c.compared_at)

orders: Final = Table(
    "orders",
    metadata,
    Column("id", ID, primary_key=True),
    Column("trader_id", ID, _references("traders"), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_fingerprint", LargeBinary, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", MONEY, nullable=False),
    Column("order_type", ORDER_TYPE, nullable=False),
    Column("price", MONEY),
    Column("stop_loss", MONEY),
    Column("take_profit", MONEY),
    Column("time_in_force", Text, nullable=False),
    Column("max_slippage_bps", Integer),
    Column("max_wait_seconds", Integer),
    Column("venue", Text, nullable=False),
    Column("parent_id", ID),
    Column("execution_path", Text, nullable=False),
    Column("reservation_price", MONEY, nullable=False),
    Column("status", ORDER_STATUS, nullable=False),
    Column("execution_state", Text, nullable=False),
    Column("filled_quantity", MONEY, nullable=False, server_default=text("0")),
    Column("filled_notional", MONEY, nullable=False, server_default=text("0")),
    Column("average_fill_price", MONEY),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("retries_used", Integer, nullable=False, server_default=text("0")),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("due_at", TIME),
    Column("not_founds", Integer, nullable=False, server_default=text("0")),
    Column("open_attempts", ARRAY(Text), nullable=False, server_default="{}"),
    Column("client_id_known_at", TIME),
    Column("cancel_sent_at", TIME),
    Column("stray_due_at", TIME),
    Column("refused_at", TIME),
    Column("send_ended_at", TIME),
    Column("venue_order_id", Text),
    Column("cancel_requested_at", TIME),
    Column("cancel_reason_code", Text),
    Column("cancel_reason_message", Text),
    Column("abandoned_at", TIME),
    Column("reason_code", Text),
    Column("reason_message", Text),
    Column("alarm_code", Text),
    Column("log_seq", Integer, nullable=False),
    Column("log_hash", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("expires_at", TIME),
    Column("closed_at", TIME),
    Column("price_bound", MONEY),
    Column("other_venue_orders", ARRAY(Text), nullable=False, server_default="{}"),
    Column("replacements", Integer, nullable=False, server_default=text("0")),
    Column("attempts_before", Integer, nullable=False, server_default=text("0")),
    Column("filled_before", MONEY, nullable=False, server_default=text("0")),
    Column("amend_requested_at", TIME),
    Column("amend_quantity", MONEY),
    Column("amend_price", MONEY),
    Column("amend_reservation_price", MONEY),
    Column("covered_quantity", MONEY, nullable=False, server_default=text("0")),
    Column("is_unprotected", Boolean, nullable=False, server_default=text("false")),
    Column("amend_price_bound", MONEY),
    UniqueConstraint("trader_id", "idempotency_key", name="orders_idempotency"),
    UniqueConstraint("venue", "venue_order_id", name="orders_venue_order"),
    UniqueConstraint("id", "trader_id", name="orders_of_trader"),
    _of_order("parent_id"),
    CheckConstraint("length(idempotency_key) BETWEEN 1 AND 255", name="orders_idempotency_key_check"),
    _one_of("orders", "side", "BUY", "SELL"),
    _one_of("orders", "time_in_force", "DAY", "GTC", "IOC", "FOK"),
    _one_of("orders", "execution_path", "V2", "PLAIN"),
    _one_of(
        "orders",
        "execution_state",
        "QUEUED",
        "SENDING",
        "IN_DOUBT",
        "WORKING",
        "CANCELLING",
        "NEEDS_ATTENTION",
        "CLOSED",
    ),
    *_positive("orders", "quantity", "price", "stop_loss", "take_profit", "max_wait_seconds"),
    CheckConstraint("max_slippage_bps >= 0", name="orders_max_slippage_bps_check"),
    CheckConstraint("reservation_price >= 0", name="orders_reservation_price_check"),
    CheckConstraint("filled_quantity BETWEEN 0 AND quantity", name="orders_filled_within_quantity"),
    CheckConstraint(
        "(execution_state = 'CLOSED') = (status IN ('FILLED', 'REJECTED', 'CANCELLED'))",
        name="orders_closed_iff_final",
    ),
    CheckConstraint("(execution_state = 'CLOSED') = (closed_at IS NOT NULL)", name="orders_closed_iff_closed_at"),
    CheckConstraint("(execution_state = 'CLOSED') = (due_at IS NULL)", name="orders_open_iff_due"),
    CheckConstraint("(status = 'FILLED') = (filled_quantity = quantity)", name="orders_filled_iff_complete"),
    CheckConstraint("status <> 'PENDING' OR filled_quantity = 0", name="orders_pending_unfilled"),
    CheckConstraint("status <> 'PARTIAL' OR filled_quantity > 0", name="orders_partial_filled"),
    CheckConstraint("(order_type = 'MARKET') = (price IS NULL)", name="orders_market_has_no_price"),
    CheckConstraint("execution_state <> 'WORKING' OR venue_order_id IS NOT NULL", name="orders_working_is_known"),
    CheckConstraint("execution_state <> 'QUEUED' OR attempts = attempts_before", name="orders_queued_unsent"),
    *_positive("orders", "price_bound", "amend_quantity", "amend_price", "amend_price_bound"),
    CheckConstraint("filled_before BETWEEN 0 AND filled_quantity", name="orders_part_before_is_filled"),
    CheckConstraint("covered_quantity BETWEEN 0 AND filled_quantity", name="orders_part_covered_is_filled"),
    CheckConstraint(
        "(amend_requested_at IS NULL) = (amend_quantity IS NULL)"
        " AND (amend_requested_at IS NULL) = (amend_reservation_price IS NULL)",
        name="orders_amendment_whole",
    ),
    CheckConstraint("execution_state <> 'CLOSED' OR amend_requested_at IS NULL", name="orders_closed_wants_nothing"),
)
Index("idx_orders_trader_created", orders.c.trader_id, orders.c.created_at.desc(), orders.c.id.desc())
Index("idx_orders_status", orders.c.status)
Index("idx_orders_trader_status", orders.c.trader_id, orders.c.status)
Index("idx_orders_due", orders.c.due_at, postgresql_where=orders.c.due_at.is_not(None))
Index("idx_orders_other_venue_orders", orders.c.other_venue_orders, postgresql_using="gin",
    postgresql_where=text("other_venue_orders <> '{}'::text[]"))  # fmt: skip
Index("idx_orders_unprotected", orders.c.trader_id, postgresql_where=text("is_unprotected"))
Index("idx_orders_parent", orders.c.parent_id, postgresql_where=orders.c.parent_id.is_not(None))
Index(
    "idx_orders_open",
    orders.c.trader_id,
    orders.c.symbol,
    orders.c.side,
    postgresql_where=orders.c.closed_at.is_(None),
)
Index(
    "idx_orders_resting",
    orders.c.symbol,
    orders.c.side,
    orders.c.price,
    postgresql_where=text("closed_at IS NULL AND order_type = 'LIMIT'"),
)
Index("idx_orders_stray", orders.c.stray_due_at, postgresql_where=orders.c.stray_due_at.is_not(None))

halts: Final = Table(
    "halts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("trader_id", ID, _references("traders")),
    Column("symbol", Text),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cancel_exits", Boolean, nullable=False),
    Column("halted_by", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("lifted_at", TIME),
    Column("lifted_by", Text),
    Column("lift_reason", Text),
    _one_of("halts", "scope", "GLOBAL", "TRADER", "SYMBOL"),
    CheckConstraint("(scope = 'TRADER') = (trader_id IS NOT NULL)", name="halts_trader_iff_scope"),
    CheckConstraint("(scope = 'SYMBOL') = (symbol IS NOT NULL)", name="halts_symbol_iff_scope"),
    CheckConstraint(
        "(lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lift_reason IS NULL)",
        name="halts_lifted_by_somebody",
    ),
)
Index(
    "idx_halts_active",
    halts.c.scope,
    halts.c.trader_id,
    halts.c.symbol,
    unique=True,
    postgresql_nulls_not_distinct=True,
    postgresql_where=halts.c.lifted_at.is_(None),
)

order_attempts: Final = Table(
    "order_attempts",
    metadata,
    Column("order_id", ID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("trader_id", ID, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("sent_at", TIME, nullable=False),
    Column("ended_at", TIME),
    Column("outcome", Text),
    Column("error_code", Text),
    Column("evidence", Text),
    PrimaryKeyConstraint("order_id", "kind", "number"),
    _of_order(),
    _one_of("order_attempts", "kind", "SUBMIT", "CANCEL", "REPLACE"),
    *_positive("order_attempts", "number"),
    _one_of("order_attempts", "outcome", "ACCEPTED", "REFUSED", "UNKNOWN", "KNOWN_ALREADY", "TAKEN", "SENDER_GONE"),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="order_attempts_ended_iff_outcome"),
)

fills: Final = Table(
    "fills",
    metadata,
    Column("id", ID, primary_key=True),
    Column("order_id", ID, nullable=False),
    Column("trader_id", ID, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    # The venue's own time.
    Column("timestamp", TIME, nullable=False),
    Column("quantity_filled", MONEY, nullable=False),
    Column("price_at_fill", MONEY, nullable=False),
    Column("venue", Text, nullable=False),
    Column("commission", MONEY, nullable=False, server_default=text("0")),
    Column("venue_order_id", Text, nullable=False),
    Column("cumulative_quantity", MONEY, nullable=False),
    Column("execution_id", Text),
    Column("realized_pnl", MONEY, nullable=False),
    Column("is_late", Boolean, nullable=False, server_default=text("false")),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("commission_source", Text, nullable=False, server_default="VENUE"),
    _one_of("fills", "commission_source", "VENUE", "FEE_SCHEDULE"),
    # I6: a stream, a poll and a back-fill name the same fill by these three.
    UniqueConstraint("venue", "venue_order_id", "cumulative_quantity", name="fills_identity"),
    _of_order(),
    *_positive("fills", "quantity_filled", "price_at_fill"),
    CheckConstraint("quantity_filled <= cumulative_quantity", name="fills_within_cumulative"),
)
Index("idx_fills_order", fills.c.order_id)
Index("idx_fills_timestamp", fills.c.timestamp.desc())
Index("idx_fills_trader_timestamp", fills.c.trader_id, fills.c.timestamp.desc())
Index(
    "idx_fills_house_commission",
    fills.c.venue,
    postgresql_include=["commission"],
    postgresql_where=text("commission_source = 'FEE_SCHEDULE' AND commission <> 0"),
)

# The outbox: pub/sub only wakes its readers.
order_events: Final = Table(
    "order_events",
    metadata,
    Column("trader_id", ID, _references("traders"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("order_id", ID, nullable=False),
    Column("event", Text, nullable=False),
    # The whole event but for its seq.
    Column("payload", JSON, nullable=False),
    Column("recorded_at", TIME, nullable=False),
    PrimaryKeyConstraint("trader_id", "seq"),
    _of_order(),
    *_positive("order_events", "seq"),
)
Index("idx_order_events_order", order_events.c.order_id, order_events.c.seq)

execution_logs: Final = Table(
    "execution_logs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("recorded_xid", TransactionId, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("chain_id", ID, nullable=False),
    Column("chain_seq", Integer, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("trader_id", ID),
    Column("actor", Text, nullable=False),
    Column("credential", Text),
    Column("action", ACTION, nullable=False),
    Column("order_id", ID),
    Column("status", ORDER_STATUS),
    Column("status_before", ORDER_STATUS),
    Column("execution_state", Text),
    Column("symbol", Text),
    Column("side", Text),
    Column("quantity", MONEY),
    Column("order_type", ORDER_TYPE),
    Column("price", MONEY),
    Column("time_in_force", Text),
    Column("fill_quantity", MONEY),
    Column("fill_price", MONEY),
    Column("filled_quantity", MONEY),
    Column("venue", Text),
    Column("venue_order_id", Text),
    Column("execution_id", Text),
    Column("retry_attempt", Integer),
    Column("error_code", Text),
    Column("reason", Text),
    Column("rule", Text),
    Column("limits_version", Integer),
    Column("details", JSON),
    Column("received_at", TIME),
    Column("sent_at", TIME),
    Column("venue_at", TIME),
    Column("timestamp", TIME, nullable=False),
    Column("software_version", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("commission", MONEY),
    Column("stop_loss", MONEY),
    Column("take_profit", MONEY),
    Column("max_slippage_bps", Integer),
    Column("max_wait_seconds", Integer),
    Column("parent_id", ID),
    UniqueConstraint("chain_id", "chain_seq", name="execution_logs_chain"),
    _of_order(),
    CheckConstraint("order_id IS NULL OR trader_id IS NOT NULL", name="execution_logs_order_has_trader"),
    CheckConstraint(
        "(chain_id = order_id) IS TRUE OR (chain_id = trader_id) IS TRUE OR (order_id IS NULL AND trader_id IS NULL)",
        name="execution_logs_own_chain",
    ),
    *_positive("execution_logs", "chain_seq"),
)
Index("idx_execution_logs_trader_timestamp", execution_logs.c.trader_id, execution_logs.c.timestamp.desc())
Index("idx_execution_logs_order", execution_logs.c.order_id)
Index("idx_execution_logs_action", execution_logs.c.action)
Index("idx_execution_logs_sequence", execution_logs.c.recorded_xid, execution_logs.c.position)
Index("idx_execution_logs_timestamp", execution_logs.c.timestamp, execution_logs.c.position)

# Heads of the chains that are not an order's; an order carries its own.
audit_chains: Final = Table(
    "audit_chains",
    metadata,
    Column("chain_id", ID, primary_key=True),
    Column("trader_id", ID),
    Column("seq", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # Refusals in that minute; beyond a bound they are counted here and not written one by one.
    Column("refusal_minute", TIME),
    Column("refusals", Integer, nullable=False, server_default=text("0")),
    CheckConstraint("refusals >= 0", name="audit_chains_refusals_check"),
    CheckConstraint("trader_id IS NULL OR chain_id = trader_id", name="audit_chains_own_chain"),
)

# Counts of what happened, for monitoring; nothing in them is about a trader.
operation_totals: Final = Table(
    "operation_totals",
    metadata,
    Column("event", Text, primary_key=True),
    Column("total", BigInteger, nullable=False),
    CheckConstraint("total >= 0", name="operation_totals_total_check"),
)

operation_mark: Final = Table(
    "operation_mark",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("counted_to", ID, nullable=False),
    CheckConstraint("only_row", name="operation_mark_only_row_check"),
)
