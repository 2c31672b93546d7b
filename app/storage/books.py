"""Accounts, positions and fills: the money side, always written together under the account's lock (I11)."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.domain.changes import FillRow
from app.domain.money import ZERO
from app.domain.orders import Order
from app.domain.positions import Account, Position
from app.domain.trading_session import Session
from app.storage import orders
from app.storage.transaction import Call, Row, Statement

# Locks first, in a statement of their own, so that the read that follows sees what the last holder committed: a read
# that waits for a lock itself would bring the position of a moment before. The order's row is locked to find out whose
# account it is, so before the account (I12); whose it is never changes.
LOCK_ORDER_AND_ACCOUNT = Statement(
    "lock_order_and_account",
    """SELECT 1 FROM accounts WHERE trader_id = (SELECT trader_id FROM orders WHERE id = $1 FOR NO KEY UPDATE)
    FOR UPDATE""",
)
READ_ORDER_WITH_BOOKS = Statement(
    "read_order_with_books",
    f"""SELECT {orders.SELECTED}, {orders.SENDING_CHECKS}, a.currency, a.cash, a.reserved,
        p.quantity, p.reserved_quantity, p.cost_basis,
        p.realized_pnl,
        CASE WHEN o.filled_quantity > 0 THEN (
            SELECT json_agg(json_build_array(f.venue_order_id, f.cumulative_quantity::text, f.quantity_filled::text))
            FROM fills f WHERE f.order_id = o.id) END
    FROM orders o JOIN accounts a ON a.trader_id = o.trader_id
    LEFT JOIN positions p ON p.trader_id = o.trader_id AND p.symbol = o.symbol
    WHERE o.id = $1""",
)
UPDATE_ACCOUNT = Statement(
    "update_account", "UPDATE accounts SET cash = $2, reserved = $3, updated_at = $4 WHERE trader_id = $1"
)
WRITE_POSITION = Statement(
    "write_position",
    """INSERT INTO positions (trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (trader_id, symbol) DO UPDATE SET quantity = excluded.quantity,
        reserved_quantity = excluded.reserved_quantity, cost_basis = excluded.cost_basis,
        realized_pnl = excluded.realized_pnl, updated_at = excluded.updated_at""",
)
WRITE_SESSION = Statement(
    "write_session",
    "UPDATE accounts SET session_on = $2, session_equity = $3, session_notional = $4 WHERE trader_id = $1",
)
INSERT_FILL = Statement(
    "insert_fill",
    """INSERT INTO fills (id, order_id, trader_id, symbol, side, timestamp, quantity_filled, price_at_fill, venue,
        commission, venue_order_id, cumulative_quantity, execution_id, realized_pnl, is_late, created_at,
        commission_source)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)""",
)


def lock_and_read(order_id: UUID) -> tuple[Call, Call]:
    """Order, then account, then everything read under both locks (I12)."""
    return (
        Call(LOCK_ORDER_AND_ACCOUNT, [order_id]),
        Call(READ_ORDER_WITH_BOOKS, [order_id]),
    )


def from_row(row: Row, order: Order) -> tuple[Account, Position, dict[tuple[str, Decimal], Decimal]]:
    """The books beside an order, from a row of READ_ORDER_WITH_BOOKS."""
    currency, cash, reserved, quantity, reserved_quantity, basis, realized, fills = row[
        len(orders.COLUMNS) + orders.SENDING_CHECK_COLUMNS :
    ]
    if isinstance(fills, str):
        fills = json.loads(fills)
    known = {(of, Decimal(cumulative)): Decimal(size) for of, cumulative, size in fills or ()}
    return (
        Account(order.trader_id, currency, cash, reserved),
        position_from(order.symbol, quantity, reserved_quantity, basis, realized),
        known,
    )


def position_from(
    symbol: str,
    quantity: Decimal | None,
    reserved_quantity: Decimal | None,
    cost_basis: Decimal | None,
    realized_pnl: Decimal | None,
) -> Position:
    """A position from columns that are null where the trader never held the symbol."""
    return Position(symbol, quantity or ZERO, reserved_quantity or ZERO, cost_basis or ZERO, realized_pnl or ZERO)


def update_account(account: Account, at: datetime) -> Call:
    return Call(UPDATE_ACCOUNT, [account.trader_id, account.cash, account.reserved, at])


def write_session(trader_id: UUID, session: Session) -> Call:
    """The trader's day, where something else than a new order changes it; the account is locked."""
    return Call(WRITE_SESSION, [trader_id, session.on, session.start_equity, session.notional])


def write_position(trader_id: UUID, position: Position, at: datetime) -> Call:
    return Call(
        WRITE_POSITION,
        [
            trader_id, position.symbol, position.quantity, position.reserved_quantity, position.cost_basis,
            position.realized_pnl, at,
        ],
    )  # fmt: skip


def insert_fill(order: Order, fill: FillRow, at: datetime) -> Call:
    return Call(
        INSERT_FILL,
        [
            fill.id, order.id, order.trader_id, order.symbol, order.side, fill.executed_at, fill.quantity, fill.price,
            order.venue, fill.commission, fill.venue_order_id, fill.cumulative_quantity, fill.execution_id,
            fill.realized_pnl, fill.is_late, at, fill.commission_source,
        ],
    )  # fmt: skip
