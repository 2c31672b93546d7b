"""Exact decimal arithmetic for money and quantities.

Prices and quantities carry at most 9 decimal places (crypto quantities, sub-penny prices), so a product carries at
most 18 and fits the database's NUMERIC(38, 18) without rounding. Python's default precision of 28 digits would round
large sums silently, so this module widens it for every thread and greenlet of the process when it is imported.
"""

from __future__ import annotations

import decimal
from decimal import ROUND_HALF_EVEN, Decimal

PRECISION = 76  # two NUMERIC(38, 18) factors multiply exactly
DECIMAL_PLACES = 9  # of a price or a quantity
INTEGER_DIGITS = 12  # of a price or a quantity: a product stays below the 20 integer digits of NUMERIC(38, 18) by rule
VALUE_LIMIT = Decimal(10) ** 18  # currency; no order may be worth more

decimal.DefaultContext.prec = PRECISION  # contexts of threads and greenlets started later
decimal.getcontext().prec = PRECISION  # the one that imports us

ZERO = Decimal(0)
_AVERAGE_STEP = Decimal("0.00000001")
_STORED_STEP = Decimal("0.000000000000000001")


def average(notional: Decimal, quantity: Decimal) -> Decimal | None:
    """Average price of `quantity` units worth `notional`, half-even to 8 places; None for no units."""
    if not quantity:
        return None
    return (notional / quantity).quantize(_AVERAGE_STEP, rounding=ROUND_HALF_EVEN)


def stored(amount: Decimal) -> Decimal:
    """Round half-even to the 18 places that the database keeps."""
    return amount.quantize(_STORED_STEP, rounding=ROUND_HALF_EVEN)


def plain(amount: Decimal) -> str:
    """Plain notation without exponent and without trailing zeros: "150.25", "100", "0"."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def trimmed(amount: Decimal) -> Decimal:
    """The same amount without the trailing zeros that the database's fixed scale gives it: 10, not 10.000."""
    return Decimal(plain(amount))
