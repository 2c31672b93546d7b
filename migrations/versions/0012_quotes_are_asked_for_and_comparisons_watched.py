"""Quotes can be asked for, and who watches sees when the books were last compared.

Of a venue with thousands of instruments only some are watched. One that nobody holds is watched once it is asked for.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One row for each symbol that was ever asked for, whoever asked."""
    op.execute(
        """
        CREATE TABLE quote_requests (
          symbol text PRIMARY KEY,
          asked_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX idx_quote_requests_asked_at ON quote_requests (asked_at)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON quote_requests TO surefill_api, surefill_worker")
    # What the house's schedule took, without reading the fills it took nothing of.
    op.execute(
        "CREATE INDEX idx_fills_house_commission ON fills (venue) INCLUDE (commission)"
        " WHERE commission_source = 'FEE_SCHEDULE' AND commission <> 0"
    )
    op.execute("GRANT SELECT ON venue_comparisons TO surefill_compliance")


def downgrade() -> None:
    """What is held or open is watched without it."""
    op.execute("REVOKE SELECT ON venue_comparisons FROM surefill_compliance")
    op.execute("DROP INDEX idx_fills_house_commission")
    op.execute("DROP TABLE quote_requests")
