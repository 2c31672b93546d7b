"""Other terms have a price bound of their own.

A STOP order's bound is reckoned from its trigger, so it changes with it: the bound of the terms that are wanted is kept
beside them until the venue has decided.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column that only an order in change has a value in."""
    op.execute("ALTER TABLE orders ADD COLUMN amend_price_bound numeric(38,18) CHECK (amend_price_bound > 0)")


def downgrade() -> None:
    """A change under way keeps its new trigger and loses the bound reckoned from it."""
    op.execute("ALTER TABLE orders DROP COLUMN amend_price_bound")
