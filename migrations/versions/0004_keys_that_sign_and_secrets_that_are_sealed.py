"""Keys that sign their requests, when keys were last used, and venues' credentials that only a worker can open.

Downgrading forgets the signing keys (those API keys then need no signature: revoke them first) and erases the sealed
credentials.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = """
-- The public half of an Ed25519 pair: with one, every request under the key has to be signed.
ALTER TABLE api_keys ADD COLUMN signing_key bytea CHECK (length(signing_key) = 32);

-- Apart from api_keys, which the web processes may not write: a way to write there would be a way to make keys.
CREATE TABLE api_key_uses (
  key_id uuid PRIMARY KEY REFERENCES api_keys ON DELETE RESTRICT,
  trader_id uuid NOT NULL REFERENCES traders ON DELETE RESTRICT,
  last_used_at timestamptz NOT NULL
);

-- The nonces of signed requests, until their signature is too old to be accepted anyway.
CREATE TABLE request_nonces (
  key_id uuid NOT NULL REFERENCES api_keys ON DELETE RESTRICT,
  nonce text NOT NULL CHECK (length(nonce) BETWEEN 16 AND 128),
  trader_id uuid NOT NULL REFERENCES traders ON DELETE RESTRICT,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (key_id, nonce)
);
CREATE INDEX idx_request_nonces_expiry ON request_nonces (key_id, expires_at);

-- AES-256-GCM; the key is not in this database, only its name.
CREATE TABLE venue_credentials (
  venue text PRIMARY KEY CHECK (length(venue) BETWEEN 1 AND 100),
  sealed_with text NOT NULL,
  sealed bytea NOT NULL,
  updated_at timestamptz NOT NULL
);
"""

_RIGHTS = """
GRANT SELECT, INSERT, UPDATE ON api_key_uses TO surefill_api;
-- The only thing a login may delete, and the policy below lets it delete only what has expired.
GRANT SELECT, INSERT, DELETE ON request_nonces TO surefill_api;
GRANT SELECT ON venue_credentials TO surefill_worker;

ALTER TABLE api_key_uses ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key_uses FORCE ROW LEVEL SECURITY;
ALTER TABLE request_nonces ENABLE ROW LEVEL SECURITY;
ALTER TABLE request_nonces FORCE ROW LEVEL SECURITY;

-- One statement a minute writes for all traders whose keys were used, so it names them; nobody else is touched.
CREATE POLICY api_key_uses_named ON api_key_uses FOR SELECT TO surefill_api
  USING (trader_id = ANY ((SELECT NULLIF(current_setting('app.key_owners', true), '')::uuid[])::uuid[]));
CREATE POLICY api_key_uses_named_insert ON api_key_uses FOR INSERT TO surefill_api
  WITH CHECK (trader_id = ANY ((SELECT NULLIF(current_setting('app.key_owners', true), '')::uuid[])::uuid[]));
CREATE POLICY api_key_uses_named_update ON api_key_uses FOR UPDATE TO surefill_api
  USING (trader_id = ANY ((SELECT NULLIF(current_setting('app.key_owners', true), '')::uuid[])::uuid[]))
  WITH CHECK (trader_id = ANY ((SELECT NULLIF(current_setting('app.key_owners', true), '')::uuid[])::uuid[]));
CREATE POLICY api_key_uses_owner ON api_key_uses FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);

CREATE POLICY request_nonces_trader_isolation ON request_nonces FOR SELECT TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
CREATE POLICY request_nonces_trader_isolation_insert ON request_nonces FOR INSERT TO surefill_api
  WITH CHECK (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid));
-- A nonce that is deleted too early could be used again, so the server's clock decides, not the caller's.
CREATE POLICY request_nonces_trader_isolation_delete ON request_nonces FOR DELETE TO surefill_api
  USING (trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid) AND expires_at < now());
"""


def upgrade() -> None:
    """Add the column and the three tables, with who may do what on them."""
    _run(_TABLES)
    _run(_RIGHTS)


def downgrade() -> None:
    """Take them away again."""
    op.execute("DROP TABLE venue_credentials, request_nonces, api_key_uses")
    op.execute("ALTER TABLE api_keys DROP COLUMN signing_key")


def _run(statements: str) -> None:
    # A colon in a statement is no parameter.
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
