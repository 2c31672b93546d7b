"""Log rows belong to their trader, are numbered by the database alone, and say more.

What the first migration left open for a login that may INSERT: it could give a log row its `position` and its
`recorded_xid`, it could point at another trader's order (foreign keys look past row security), and it could take a
place in another trader's chain. And what the log did not hold: the commission, and all terms of the order.

Downgrading erases those from every log row, whose hash covers them: no later upgrade brings them back. It refuses while
the log has rows, unless it is told to with `alembic -x erase-audit-log=yes downgrade 0001`.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import context, op
from alembic.util import CommandError
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GIVEN = (
    "id", "chain_id", "chain_seq", "previous_hash", "hash", "trader_id", "actor", "credential", "action", "order_id",
    "status", "status_before", "execution_state", "symbol", "side", "quantity", "order_type", "price",
    "time_in_force", "fill_quantity", "fill_price", "filled_quantity", "venue", "venue_order_id", "execution_id",
    "retry_attempt", "error_code", "reason", "rule", "limits_version", "details", "received_at", "sent_at", "venue_at",
    "timestamp", "software_version", "created_at",
)  # fmt: skip
ADDED = {
    "commission": "numeric(38,18)",
    "stop_loss": "numeric(38,18)",
    "take_profit": "numeric(38,18)",
    "max_slippage_bps": "integer",
    "max_wait_seconds": "integer",
    "parent_id": "uuid",
}
OF_ORDERS = ("order_attempts", "fills", "order_events", "execution_logs")
WRITERS = "surefill_api, surefill_worker"


def upgrade() -> None:
    """Columns, keys, rights."""
    for name, kind in ADDED.items():
        op.execute(f"ALTER TABLE execution_logs ADD COLUMN {name} {kind}")
    # Refusals of the running minute: beyond a bound they are counted here and not written one by one.
    op.execute(
        "ALTER TABLE audit_chains ADD COLUMN refusal_minute timestamptz,"
        " ADD COLUMN refusals integer NOT NULL DEFAULT 0 CHECK (refusals >= 0)"
    )
    op.execute("CREATE INDEX idx_audit_chains_refusals ON audit_chains (refusal_minute) WHERE refusals > 0")

    # A key of both columns: the reference itself says that the order is this trader's, whatever row security hides.
    op.execute("ALTER TABLE orders ADD CONSTRAINT orders_of_trader UNIQUE (id, trader_id)")
    _refer_to_orders("order_id, trader_id", "parent_id, trader_id", "id, trader_id")
    op.execute(
        """
        ALTER TABLE execution_logs
          -- A reference of two columns is not checked while one of them is null.
          ADD CONSTRAINT execution_logs_order_has_trader CHECK (order_id IS NULL OR trader_id IS NOT NULL),
          -- Nobody takes a place in a chain that is not of the row's own order or trader. IS TRUE: a check that comes
          -- out as null is passed.
          ADD CONSTRAINT execution_logs_own_chain CHECK (
            (chain_id = order_id) IS TRUE OR (chain_id = trader_id) IS TRUE OR (order_id IS NULL AND trader_id IS NULL)
          )
        """
    )
    op.execute(
        "ALTER TABLE audit_chains ADD CONSTRAINT audit_chains_own_chain"
        " CHECK (trader_id IS NULL OR chain_id = trader_id)"
    )

    # `position` and `recorded_xid` are the database's to give: the order of the tree of the log rests on them.
    op.execute(f"REVOKE INSERT ON execution_logs FROM {WRITERS}")
    op.execute(f"GRANT INSERT ({', '.join([*GIVEN, *ADDED])}) ON execution_logs TO {WRITERS}")
    op.execute(
        "CREATE POLICY execution_logs_own_transaction ON execution_logs AS RESTRICTIVE FOR INSERT"
        " WITH CHECK (recorded_xid = pg_current_xact_id())"
    )
    # The order in which rows enter the tree of the log: by transaction, then by place.
    op.execute("CREATE INDEX idx_execution_logs_sequence ON execution_logs (recorded_xid, position)")
    # Compliance lists the rows of all traders by time.
    op.execute("CREATE INDEX idx_execution_logs_timestamp ON execution_logs (timestamp, position)")

    op.execute("GRANT SELECT ON audit_chains TO surefill_compliance")
    op.execute(
        "CREATE POLICY audit_chains_compliance_select ON audit_chains FOR SELECT TO surefill_compliance USING (true)"
    )


def downgrade() -> None:
    """Give back what was taken, drop what was added. Raises CommandError when nobody asked to erase audit data."""
    _refuse_to_erase_what_the_hashes_cover()
    op.execute("DROP POLICY audit_chains_compliance_select ON audit_chains")
    op.execute("REVOKE SELECT ON audit_chains FROM surefill_compliance")
    op.execute("DROP INDEX idx_execution_logs_timestamp, idx_execution_logs_sequence")
    op.execute("DROP POLICY execution_logs_own_transaction ON execution_logs")
    op.execute(f"REVOKE INSERT ({', '.join([*GIVEN, *ADDED])}) ON execution_logs FROM {WRITERS}")
    op.execute(f"GRANT INSERT ON execution_logs TO {WRITERS}")
    op.execute("ALTER TABLE audit_chains DROP CONSTRAINT audit_chains_own_chain")
    op.execute(
        "ALTER TABLE execution_logs DROP CONSTRAINT execution_logs_own_chain,"
        " DROP CONSTRAINT execution_logs_order_has_trader"
    )
    _refer_to_orders("order_id", "parent_id", "id")
    op.execute("ALTER TABLE orders DROP CONSTRAINT orders_of_trader")
    op.execute("DROP INDEX idx_audit_chains_refusals")
    op.execute("ALTER TABLE audit_chains DROP COLUMN refusals, DROP COLUMN refusal_minute")
    op.execute(f"ALTER TABLE execution_logs {', '.join(f'DROP COLUMN {name}' for name in ADDED)}")


def _refer_to_orders(of_rows: str, of_children: str, key: str) -> None:
    # What is there is checked by a query of the owner's, from whom FORCE would hide the orders.
    for table in ("orders", *OF_ORDERS):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        name, columns = ("parent_id", of_children) if table == "orders" else ("order_id", of_rows)
        op.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}_fkey, ADD CONSTRAINT {table}_{name}_fkey"
            f" FOREIGN KEY ({columns}) REFERENCES orders ({key}) ON DELETE RESTRICT"
        )
    for table in ("orders", *OF_ORDERS):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def _refuse_to_erase_what_the_hashes_cover() -> None:
    # The lock keeps the answer true until the columns are gone. row_security = off: were any row hidden from this role,
    # the question would be an error and not a no.
    op.execute("LOCK TABLE execution_logs IN ACCESS EXCLUSIVE MODE")
    op.execute("ALTER TABLE execution_logs NO FORCE ROW LEVEL SECURITY")
    op.execute("SET LOCAL row_security = off")
    has_rows = op.get_bind().scalar(text("SELECT EXISTS (SELECT FROM execution_logs)"))
    op.execute("SET LOCAL row_security = on")
    op.execute("ALTER TABLE execution_logs FORCE ROW LEVEL SECURITY")
    if has_rows and context.get_x_argument(as_dictionary=True).get("erase-audit-log") != "yes":
        raise CommandError(
            "execution_logs has rows and this downgrade would erase for good what their hashes cover "
            f"({', '.join(ADDED)}): alembic -x erase-audit-log=yes downgrade does that"
        )
