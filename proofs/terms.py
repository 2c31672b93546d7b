"""What an order of ours must look like at the venue, worked out here once more and not asked of the lifecycle."""

from __future__ import annotations

from decimal import Decimal


def as_sent(
    order_type: str, price: Decimal | None, price_bound: Decimal | None
) -> tuple[str, Decimal | None, Decimal | None]:
    """Type, limit price and trigger at the venue; prices in US dollars.

    A MARKET or STOP order with a bound goes out as a limit, or stop limit, order at it.
    """
    match order_type:
        case "LIMIT":
            return "LIMIT", price, None
        case "STOP":
            return ("STOP", None, price) if price_bound is None else ("STOP_LIMIT", price_bound, price)
    return ("MARKET", None, None) if price_bound is None else ("LIMIT", price_bound, None)
