"""Orders have exits, price bounds and other terms.

What the controls of an order's execution keep on its row: the bound of a MARKET order, the venue's further orders that
belong to it, the terms that are wanted instead of those it has, and what of its position no exit protects yet.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADDED = {
    "price_bound": "numeric(38,18) CHECK (price_bound > 0)",
    "other_venue_orders": "text[] NOT NULL DEFAULT '{}'",
    "replacements": "integer NOT NULL DEFAULT 0",
    "attempts_before": "integer NOT NULL DEFAULT 0",
    "filled_before": "numeric(38,18) NOT NULL DEFAULT 0",
    "amend_requested_at": "timestamptz",
    "amend_quantity": "numeric(38,18) CHECK (amend_quantity > 0)",
    "amend_price": "numeric(38,18) CHECK (amend_price > 0)",
    "amend_reservation_price": "numeric(38,18)",
    "covered_quantity": "numeric(38,18) NOT NULL DEFAULT 0",
    "is_unprotected": "boolean NOT NULL DEFAULT false",
}
RULES = {
    "orders_part_before_is_filled": "filled_before BETWEEN 0 AND filled_quantity",
    "orders_part_covered_is_filled": "covered_quantity BETWEEN 0 AND filled_quantity",
    "orders_amendment_whole": "(amend_requested_at IS NULL) = (amend_quantity IS NULL)"
    " AND (amend_requested_at IS NULL) = (amend_reservation_price IS NULL)",
    "orders_closed_wants_nothing": "execution_state <> 'CLOSED' OR amend_requested_at IS NULL",
}


def upgrade() -> None:
    """Columns, rules, and indexes that a normal order is in none of."""
    op.execute(f"ALTER TABLE orders {', '.join(f'ADD COLUMN {name} {kind}' for name, kind in ADDED.items())}")
    # an order with other terms is queued again, under a new client order id
    op.execute(
        "ALTER TABLE orders DROP CONSTRAINT orders_queued_unsent, ADD CONSTRAINT orders_queued_unsent"
        " CHECK (execution_state <> 'QUEUED' OR attempts = attempts_before)"
    )
    op.execute(
        f"ALTER TABLE orders {', '.join(f'ADD CONSTRAINT {name} CHECK ({rule})' for name, rule in RULES.items())}"
    )
    op.execute(
        "CREATE INDEX idx_orders_other_venue_orders ON orders USING gin (other_venue_orders)"
        " WHERE other_venue_orders <> '{}'"
    )
    op.execute("CREATE INDEX idx_orders_unprotected ON orders (trader_id) WHERE is_unprotected")
    op.execute("CREATE INDEX idx_orders_parent ON orders (parent_id) WHERE parent_id IS NOT NULL")


def downgrade() -> None:
    """Drop them. An order that waits to be sent with other terms has to be cancelled first."""
    op.execute("DROP INDEX idx_orders_parent, idx_orders_unprotected, idx_orders_other_venue_orders")
    op.execute(f"ALTER TABLE orders {', '.join(f'DROP CONSTRAINT {name}' for name in RULES)}")
    op.execute("ALTER TABLE orders DROP CONSTRAINT orders_queued_unsent")
    op.execute(f"ALTER TABLE orders {', '.join(f'DROP COLUMN {name}' for name in ADDED)}")
    op.execute(
        "ALTER TABLE orders ADD CONSTRAINT orders_queued_unsent CHECK (execution_state <> 'QUEUED' OR attempts = 0)"
    )
