"""How much worse than the market an order may be executed: its slippage limit as the worst price it may get."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from app.domain.acceptance import AcceptanceView, OrderTerms, reference_price
from app.domain.fees import BASIS_POINTS
from app.domain.instrument_rules import tick_at
from app.domain.orders import OrderType, Side


def price_bound(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    """The worst price of an order with `max_slippage_bps`; None: it has no such limit, or there is no quote.

    So many basis points from the last ask (SELL: bid), of a STOP from its trigger, rounded to the tick towards the
    better price: a bound that is not on the grid is never overstepped.
    """
    if terms.max_slippage_bps is None or terms.order_type is OrderType.LIMIT or view.instrument is None:
        return None
    start = terms.price if terms.order_type is OrderType.STOP else reference_price(terms.side, view)
    if start is None:
        return None
    away = start * terms.max_slippage_bps / BASIS_POINTS
    exact = start + away if terms.side is Side.BUY else start - away
    tick = tick_at(exact, view.instrument.tick_size)
    steps = (exact / tick).to_integral_value(ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING)
    bound = steps * tick
    return bound if bound > 0 else None
