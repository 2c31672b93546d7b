"""A day's loss that was hit, and comparisons with the venue's books.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns beside what they explain; one row for each comparison."""
    op.execute("ALTER TABLE accounts ADD COLUMN loss_limit_hit_version integer")
    # What an account began with: the rest of its cash came from trading.
    op.execute("ALTER TABLE accounts ADD COLUMN opening_cash numeric(38,18) NOT NULL DEFAULT 0")
    op.execute(
        """
        UPDATE accounts a SET opening_cash = (l.details->>'cash')::numeric FROM execution_logs l
        WHERE l.chain_id = a.trader_id AND l.action = 'TRADER_CREATED'
        """
    )
    op.execute(
        """
        CREATE TABLE venue_comparisons (
          id uuid PRIMARY KEY,
          venue text NOT NULL,
          compared_at timestamptz NOT NULL,
          -- What the venue account holds in cash beside the traders' trading: that of the first comparison is the
          -- house's own, and any other later on is drift.
          house_cash numeric(38,18) NOT NULL,
          cash_drift numeric(38,18) NOT NULL,
          position_drifts json NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX idx_venue_comparisons_venue ON venue_comparisons (venue, compared_at)")
    op.execute("GRANT SELECT, INSERT ON venue_comparisons TO surefill_worker")


def downgrade() -> None:
    """Take them away; the alarms stay in the log."""
    op.execute("DROP TABLE venue_comparisons")
    op.execute("ALTER TABLE accounts DROP COLUMN opening_cash, DROP COLUMN loss_limit_hit_version")
