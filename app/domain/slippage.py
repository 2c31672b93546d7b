"""The worst price that a MARKET or STOP order may be executed at: it goes out as a limit order at it.

The trader's own bound is `max_slippage_bps`. A BUY without one is bounded by the house's collar, because what it may
cost is held back from its acceptance on, and the venue must not take more (I11). A SELL takes no money and gets a
trader out of a position, so only the trader bounds it.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from app.domain.acceptance import AcceptanceView, OrderTerms, reference_price
from app.domain.fees import BASIS_POINTS
from app.domain.instrument_rules import tick_at
from app.domain.orders import OrderType, Side


def price_bound(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    """The worst price of a MARKET or STOP order; None: it has none.

    So many basis points from the last ask (SELL: bid), of a STOP from its trigger, rounded to the tick towards the
    better price: a bound that is not on the grid is never overstepped, and what `worst_price` reserves covers it.
    """
    distance = _distance(terms, view)
    if distance is None or view.instrument is None:
        return None
    start = terms.price if terms.order_type is OrderType.STOP else reference_price(terms.side, view)
    if start is None:
        return None
    away = start * distance / BASIS_POINTS
    exact = start + away if terms.side is Side.BUY else start - away
    tick = tick_at(exact, view.instrument.tick_size)
    steps = (exact / tick).to_integral_value(ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING)
    bound = steps * tick
    return bound if bound > 0 else None


def _distance(terms: OrderTerms, view: AcceptanceView) -> int | None:
    """Basis points from where the order starts to its bound; None: any distance."""
    if terms.order_type is OrderType.LIMIT:
        return None
    if terms.max_slippage_bps is not None:
        return terms.max_slippage_bps
    if terms.side is Side.SELL:
        return None
    if terms.order_type is OrderType.MARKET and not view.quote_is_fresh:
        return None  # only an order that buys back what was oversold comes so far: an old price must not hold it up
    return view.policy.price_collar_bps or None
