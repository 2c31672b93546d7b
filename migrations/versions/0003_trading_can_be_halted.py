"""Trading can be halted: everywhere, for a trader, in a symbol.

A halt is a row that is written once and lifted once; the audit log has both. Halts of traders that were kept as a state
of the trader become rows.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE halts (
  id uuid PRIMARY KEY,
  scope text NOT NULL CHECK (scope IN ('GLOBAL', 'TRADER', 'SYMBOL')),
  trader_id uuid REFERENCES traders ON DELETE RESTRICT,
  symbol text,
  code text NOT NULL,
  reason text NOT NULL,
  cancel_exits boolean NOT NULL,
  halted_by text NOT NULL,
  created_at timestamptz NOT NULL,
  lifted_at timestamptz,
  lifted_by text,
  lift_reason text,
  CONSTRAINT halts_trader_iff_scope CHECK ((scope = 'TRADER') = (trader_id IS NOT NULL)),
  CONSTRAINT halts_symbol_iff_scope CHECK ((scope = 'SYMBOL') = (symbol IS NOT NULL)),
  CONSTRAINT halts_lifted_by_somebody CHECK (
    (lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lift_reason IS NULL)
  )
);
-- One halt of a thing at a time; and what every order looks at is this index, empty on a normal day.
CREATE UNIQUE INDEX idx_halts_active ON halts (scope, trader_id, symbol) NULLS NOT DISTINCT WHERE lifted_at IS NULL;
"""

_SECURITY = """
ALTER TABLE halts ENABLE ROW LEVEL SECURITY;
ALTER TABLE halts FORCE ROW LEVEL SECURITY;

GRANT SELECT ON halts TO surefill_api, surefill_worker, surefill_compliance;
GRANT INSERT ON halts TO surefill_api, surefill_worker;
-- Lifting changes these three and nothing else; a worker may find a reason to halt, and never one to lift.
GRANT UPDATE (lifted_at, lifted_by, lift_reason) ON halts TO surefill_api;

-- A trader sees what stops it; app.administrator is set by routes that have checked the key's scope.
CREATE POLICY halts_trader_isolation ON halts FOR SELECT TO surefill_api
  USING (trader_id IS NULL OR trader_id = (SELECT NULLIF(current_setting('app.trader_id', true), '')::uuid)
    OR (SELECT current_setting('app.administrator', true)) = 'yes');
CREATE POLICY halts_administrator_insert ON halts FOR INSERT TO surefill_api
  WITH CHECK ((SELECT current_setting('app.administrator', true)) = 'yes');
CREATE POLICY halts_administrator_update ON halts FOR UPDATE TO surefill_api
  USING ((SELECT current_setting('app.administrator', true)) = 'yes')
  WITH CHECK ((SELECT current_setting('app.administrator', true)) = 'yes');
CREATE POLICY halts_worker_select ON halts FOR SELECT TO surefill_worker USING (true);
CREATE POLICY halts_worker_insert ON halts FOR INSERT TO surefill_worker WITH CHECK (trader_id IS NOT NULL);
CREATE POLICY halts_compliance_select ON halts FOR SELECT TO surefill_compliance USING (true);
CREATE POLICY halts_owner ON halts FOR ALL TO CURRENT_USER USING (true) WITH CHECK (true);

-- What concerns no single trader is audited in the system's own chain.
CREATE POLICY execution_logs_administrator_insert ON execution_logs FOR INSERT TO surefill_api
  WITH CHECK (trader_id IS NULL AND (SELECT current_setting('app.administrator', true)) = 'yes');
CREATE POLICY audit_chains_administrator_select ON audit_chains FOR SELECT TO surefill_api
  USING (trader_id IS NULL AND (SELECT current_setting('app.administrator', true)) = 'yes');
CREATE POLICY audit_chains_administrator_insert ON audit_chains FOR INSERT TO surefill_api
  WITH CHECK (trader_id IS NULL AND (SELECT current_setting('app.administrator', true)) = 'yes');
CREATE POLICY audit_chains_administrator_update ON audit_chains FOR UPDATE TO surefill_api
  USING (trader_id IS NULL AND (SELECT current_setting('app.administrator', true)) = 'yes')
  WITH CHECK (trader_id IS NULL AND (SELECT current_setting('app.administrator', true)) = 'yes');
"""

_FROM_STATES = """
INSERT INTO halts (id, scope, trader_id, code, reason, cancel_exits, halted_by, created_at)
  SELECT gen_random_uuid(), 'TRADER', id, 'OPERATOR', 'Halted before halts were kept apart', false, 'administrator',
    updated_at
  FROM traders WHERE trading_state = 'HALTED';
UPDATE traders SET trading_state = 'ACTIVE' WHERE trading_state = 'HALTED';
"""

_BACK_TO_STATES = """
UPDATE traders SET trading_state = 'HALTED' WHERE id IN (SELECT trader_id FROM halts WHERE lifted_at IS NULL);
DROP POLICY execution_logs_administrator_insert ON execution_logs;
DROP POLICY audit_chains_administrator_select ON audit_chains;
DROP POLICY audit_chains_administrator_insert ON audit_chains;
DROP POLICY audit_chains_administrator_update ON audit_chains;
DROP TABLE halts;
"""


def upgrade() -> None:
    """Create the table, its guards and its rows."""
    _run(_TABLE)
    _run(_SECURITY)
    _run(_FROM_STATES)


def downgrade() -> None:
    """Keep halts of traders as their state; halts of symbols and of everything end."""
    _run(_BACK_TO_STATES)


def _run(statements: str) -> None:
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})
