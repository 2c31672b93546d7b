"""Rules about what is traded: symbol, steps of quantity and price, opening hours."""

from __future__ import annotations

from decimal import Decimal

from app.domain.acceptance import AcceptanceView, OrderTerms, adds_risk
from app.domain.audit_chain import time_text
from app.domain.denials import Denial
from app.domain.money import plain
from app.domain.orders import OrderType, TimeInForce

_NOT_TRADABLE = {
    "HALTED": ("suspended", "Wait until trading resumes, or choose another symbol."),
    "DELISTED": ("delisted", "Choose another symbol."),
    "RESTRICTED": ("restricted", "Choose another symbol, or ask the operator why it is restricted."),
}


def symbol_is_known(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The symbol is one that the venue lists."""
    if view.instrument is not None:
        return None
    return Denial(
        "UNKNOWN_SYMBOL",
        f"{terms.symbol} is not a symbol that can be traded here.",
        "Use one of the symbols listed by GET /api/v1/instruments.",
        "symbol",
    )


def symbol_is_tradable(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The symbol is not suspended, delisted or restricted."""
    if view.instrument is None or view.instrument.status == "ACTIVE":
        return None
    word, suggestion = _NOT_TRADABLE.get(view.instrument.status, (view.instrument.status.lower(), "Ask the operator."))
    return Denial(
        "INSTRUMENT_NOT_TRADABLE",
        f"{terms.symbol} cannot be traded now: it is {word}.",
        suggestion,
        "symbol",
    )


def quantity_fits_lot(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The quantity is a multiple of the lot."""
    if view.instrument is None or terms.quantity % view.instrument.lot_size == 0:
        return None
    lot = plain(view.instrument.lot_size)
    return Denial(
        "LOT_SIZE",
        f"A quantity of {plain(terms.quantity)} is not a multiple of {terms.symbol}'s lot size {lot}.",
        f"Use a multiple of {lot}.",
        "quantity",
        numbers={"quantity": plain(terms.quantity), "lot_size": lot},
    )


def price_fits_tick(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The price is a multiple of the tick."""
    return _fits_tick("price", terms.price, terms, view)


def stop_loss_fits_tick(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The stop loss is a multiple of the tick."""
    return _fits_tick("stop_loss", terms.stop_loss, terms, view)


def take_profit_fits_tick(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The take profit is a multiple of the tick."""
    return _fits_tick("take_profit", terms.take_profit, terms, view)


def _fits_tick(field: str, price: Decimal | None, terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    if view.instrument is None or price is None:
        return None
    step = tick_at(price, view.instrument.tick_size)
    if price % step == 0:
        return None
    tick = plain(step)
    name = "price" if field == "price" else field.replace("_", " ")
    return Denial(
        "TICK_SIZE",
        f"A {name} of {plain(price)} is not a multiple of {terms.symbol}'s tick size {tick}.",
        f"Use a multiple of {tick}.",
        field,
        numbers={field: plain(price), "tick_size": tick},
    )


def tick_at(price: Decimal, tick_size: Decimal) -> Decimal:
    """The price step that holds at a price: a cent becomes a hundredth of one below a dollar (SEC Rule 612)."""
    return Decimal("0.0001") if tick_size == Decimal("0.01") and price < 1 else tick_size


def market_is_open(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """An order that cannot wait (MARKET, IOC, FOK) meets an open market. DAY and GTC orders with a price wait."""
    at_once = terms.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    if view.instrument is None or view.instrument.always_open:
        return None
    if not at_once and terms.order_type is not OrderType.MARKET:
        return None
    what = f"{terms.order_type} {terms.time_in_force}" if at_once else f"{terms.order_type}"
    suggestion = "Send a LIMIT order with time_in_force DAY or GTC: it waits for the opening."
    is_open = None if view.market is None else view.market.open_at(view.now)
    if is_open is None:
        if not adds_risk(terms, view):
            return None
        message = f"Nobody can say whether the market for {terms.symbol} is open, and a {what} order cannot wait."
        return Denial("MARKET_HOURS_UNKNOWN", message, suggestion, "time_in_force")
    if is_open:
        return None
    opens = view.market.next_open if view.market is not None else None
    numbers = {} if opens is None or opens <= view.now else {"opens_at": time_text(opens)}
    when = f" until {numbers['opens_at']}" if numbers else ""
    message = f"The market for {terms.symbol} is closed{when}, and a {what} order cannot wait."
    return Denial("MARKET_CLOSED", message, suggestion, "time_in_force", numbers=numbers)
