"""What an order's change does to a trader's books: the one place where orders and money meet (I11).

Whatever an open order may still cost or take is held back, in doubt or not; what has ended holds nothing back. So the
books follow from orders and fills alone, and `recomputed` says so again from nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.domain import order_events
from app.domain.fees import FeeSchedule
from app.domain.money import ZERO
from app.domain.order_events import OrderEvent
from app.domain.orders import Order
from app.domain.positions import Account, Position, after_fill


class CommissionSource(StrEnum):
    """Who says what an execution cost."""

    VENUE = "VENUE"
    FEE_SCHEDULE = "FEE_SCHEDULE"


@dataclass(frozen=True, slots=True)
class Booked:
    """The books after a change, and what a fill of it cost and realized (0 without a fill)."""

    account: Account
    position: Position
    realized: Decimal = ZERO
    commission: Decimal = ZERO
    commission_source: CommissionSource = CommissionSource.VENUE


def moves_books(before: Order, after: Order, event: OrderEvent) -> bool:
    """Whether the change moves money or shares, or what is held back of them."""
    return (
        isinstance(event, order_events.Filled)
        or before.reserved_cash != after.reserved_cash
        or before.reserved_quantity != after.reserved_quantity
    )


def book(
    account: Account, position: Position, before: Order, after: Order, event: OrderEvent, fees: FeeSchedule
) -> Booked:
    """The books after `event` has made `before` into `after`."""
    realized = commission = ZERO
    source = CommissionSource.VENUE
    if isinstance(event, order_events.Filled):
        if event.commission is None:
            commission, source = fees.commission(event.quantity, event.price), CommissionSource.FEE_SCHEDULE
        else:
            commission = event.commission
        account, position, realized = after_fill(account, position, after.side, event.quantity, event.price, commission)
    return Booked(
        account.holding_back(after.reserved_cash - before.reserved_cash),
        position.holding_back(after.reserved_quantity - before.reserved_quantity),
        realized,
        commission,
        source,
    )


def reserved_for(account: Account, position: Position, order: Order) -> tuple[Account, Position]:
    """The books with a new order's reservation."""
    return account.holding_back(order.reserved_cash), position.holding_back(order.reserved_quantity)


@dataclass(frozen=True, slots=True)
class BookedFill:
    """An execution as it stands in the books. Price and commission in the account's currency."""

    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal


def recomputed(
    trader_id: UUID, currency: str, opening_cash: Decimal, fills: Iterable[BookedFill], open_orders: Iterable[Order]
) -> tuple[Account, dict[str, Position]]:
    """The books from nothing: what the account began with, all executions that stand in the order in which they were
    booked, and the open orders."""
    account = Account(trader_id, currency, opening_cash, ZERO)
    positions: dict[str, Position] = {}
    for fill in fills:
        position = positions.get(fill.symbol, Position(fill.symbol))
        account, positions[fill.symbol], _ = after_fill(
            account, position, fill.side, fill.quantity, fill.price, fill.commission
        )
    for order in open_orders:
        position = positions.get(order.symbol, Position(order.symbol))
        account, positions[order.symbol] = reserved_for(account, position, order)
    return account, positions
