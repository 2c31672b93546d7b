"""Cash, reservations, positions: how an order and its fills move a trader's books.

What an open order still reserves follows from the order alone (`Order.reserved_cash`, `Order.reserved_quantity`), so
the books can be recomputed from orders and fills at any time. Amounts are in the account's currency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from app.domain.money import ZERO, average, stored


@dataclass(frozen=True, slots=True)
class Account:
    """A trader's money. `reserved` is what open BUY orders may still cost."""

    trader_id: UUID
    currency: str
    cash: Decimal
    reserved: Decimal

    @property
    def buying_power(self) -> Decimal:
        """What a new BUY may cost at most."""
        return self.cash - self.reserved

    def holding_back(self, more: Decimal) -> Account:
        """With so much more reserved (below zero: less)."""
        return replace(self, reserved=self.reserved + more) if more else self


@dataclass(frozen=True, slots=True)
class Position:
    """A trader's holding of one symbol. `reserved_quantity` is what open SELL orders may still take."""

    symbol: str
    quantity: Decimal = ZERO
    reserved_quantity: Decimal = ZERO
    cost_basis: Decimal = ZERO
    realized_pnl: Decimal = ZERO

    @property
    def available_quantity(self) -> Decimal:
        return self.quantity - self.reserved_quantity

    def holding_back(self, more: Decimal) -> Position:
        """With so many more units reserved (below zero: fewer)."""
        return replace(self, reserved_quantity=self.reserved_quantity + more) if more else self

    @property
    def average_cost(self) -> Decimal | None:
        return average(self.cost_basis, self.quantity)


def after_fill(
    account: Account, position: Position, side: str, quantity: Decimal, price: Decimal, commission: Decimal
) -> tuple[Account, Position, Decimal]:
    """The books after one execution, and the profit or loss it realized (commission included).

    Buying adds to the cost basis; selling takes its share of it away, rounded half-even to 18 places. A sell beyond
    the holding (the venue's word is final even when it surprises us) makes the quantity negative with the proceeds
    as its basis, so that nothing is lost from the books.
    """
    notional = quantity * price
    if side == "BUY":
        covered = min(quantity, max(-position.quantity, ZERO))  # buying back what was oversold
        basis_back = _share(position.cost_basis, covered, position.quantity)
        realized = -basis_back - covered * price if covered else ZERO
        changed = replace(
            position,
            quantity=position.quantity + quantity,
            cost_basis=position.cost_basis - basis_back + (quantity - covered) * price,
        )
        cash = account.cash - notional - commission
    else:
        covered = min(quantity, max(position.quantity, ZERO))
        basis_gone = _share(position.cost_basis, covered, position.quantity)
        realized = covered * price - basis_gone
        changed = replace(
            position,
            quantity=position.quantity - quantity,
            cost_basis=position.cost_basis - basis_gone - (quantity - covered) * price,
        )
        cash = account.cash + notional - commission
    realized -= commission
    return (
        replace(account, cash=cash),
        replace(changed, realized_pnl=position.realized_pnl + realized),
        realized,
    )


def _share(basis: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The part of a cost basis that belongs to `part` of `whole` units; all of it for all units."""
    if not part:
        return ZERO
    if part == abs(whole):
        return basis
    return stored(basis * part / abs(whole))
