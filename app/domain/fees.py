"""What the house charges for an execution where the venue does not say what it charged."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from app.domain.money import DECIMAL_PLACES, ZERO, stored

BASIS_POINTS = Decimal(10_000)
_PRICE_STEP = Decimal(1).scaleb(-DECIMAL_PLACES)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """A commission of `bps` basis points of an execution's worth plus `per_unit` (currency) for each unit."""

    bps: Decimal = ZERO
    per_unit: Decimal = ZERO

    def commission(self, quantity: Decimal, price: Decimal) -> Decimal:
        """What one execution costs, in currency, rounded half-even to the places that are stored."""
        return stored(quantity * price * self.bps / BASIS_POINTS + quantity * self.per_unit)

    def unit_cost(self, price: Decimal) -> Decimal:
        """What a buyer pays for one unit at `price`, commission included; rounded up, so that it always suffices."""
        return rounded_up(price + price * self.bps / BASIS_POINTS + self.per_unit)


def rounded_up(price: Decimal) -> Decimal:
    """The next price that has no more decimal places than a price may have: times a quantity it is still exact."""
    return price.quantize(_PRICE_STEP, rounding=ROUND_CEILING)
