"""What happened is counted: totals for monitoring that survive every process.

The audit log has everything, but counting all of it at every scrape would cost more each day. The sweeper adds what is
settled; readers add the last minute themselves. No row says anything about a trader.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE operation_totals (
          event text PRIMARY KEY,
          total bigint NOT NULL CHECK (total >= 0)
        );
        -- Up to where: rows of the audit log with a smaller id are in the totals. Ids begin with their time.
        CREATE TABLE operation_mark (
          only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
          counted_to uuid NOT NULL
        );
        INSERT INTO operation_mark (counted_to)
          SELECT coalesce((SELECT id FROM execution_logs ORDER BY id LIMIT 1),
            (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '-7000-8000-000000000000')::uuid);
        GRANT SELECT ON operation_totals, operation_mark TO surefill_compliance;
        GRANT SELECT, INSERT, UPDATE ON operation_totals TO surefill_worker;
        GRANT SELECT, UPDATE ON operation_mark TO surefill_worker;
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE operation_mark; DROP TABLE operation_totals")
