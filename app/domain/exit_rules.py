"""What must hold before an order with a stop loss or take profit, or with a slippage limit, is accepted."""

from __future__ import annotations

from app.domain.acceptance import AcceptanceView, OrderTerms
from app.domain.denials import Denial
from app.domain.money import plain
from app.domain.orders import OrderType, Side
from app.domain.slippage import price_bound


def exits_fit_side(terms: OrderTerms, _view: AcceptanceView) -> Denial | None:
    """Exits close what a BUY opens; a SELL opens nothing."""
    if terms.side is Side.BUY or (terms.stop_loss is None and terms.take_profit is None):
        return None
    return Denial(
        "EXITS_NOT_ALLOWED",
        "A SELL closes a position and opens none, so a stop loss or take profit contradicts it.",
        "Leave stop_loss and take_profit out; they belong to the BUY that opens the position.",
        "stop_loss" if terms.stop_loss is not None else "take_profit",
    )


def exits_fit_quantity(terms: OrderTerms, _view: AcceptanceView) -> Denial | None:
    """Venues take exits for whole units of a security only, since they have to stand for longer than a day."""
    if terms.stop_loss is None and terms.take_profit is None:
        return None
    if "/" not in terms.symbol and terms.quantity % 1 == 0:
        return None
    what = "a crypto pair" if "/" in terms.symbol else f"{plain(terms.quantity)} {terms.symbol}"
    return Denial(
        "EXITS_NOT_SUPPORTED",
        f"The venue takes no stop loss and take profit for {what}: they stand for whole units of a security only.",
        "Use a whole quantity, or leave stop_loss and take_profit out.",
        "quantity",
        numbers={"quantity": plain(terms.quantity)},
    )


def slippage_bound_is_known(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A slippage limit needs a price to reckon from, whatever the order does to the position."""
    if terms.max_slippage_bps is None or terms.order_type is OrderType.LIMIT or view.instrument is None:
        return None
    fresh = terms.order_type is OrderType.STOP or view.quote_is_fresh
    if fresh and price_bound(terms, view) is not None:
        return None
    return Denial(
        "SLIPPAGE_BOUND_UNKNOWN",
        f"There is no fresh quote for {terms.symbol} to reckon {terms.max_slippage_bps} basis points of slippage from.",
        "Send a LIMIT order, try again when quotes arrive, or use fewer basis points.",
        "max_slippage_bps",
        numbers={"max_slippage_bps": str(terms.max_slippage_bps)},
    )
