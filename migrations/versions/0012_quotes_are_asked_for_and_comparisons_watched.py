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


def downgrade() -> None:
    """What is held or open is watched without it."""
    op.execute("DROP TABLE quote_requests")
