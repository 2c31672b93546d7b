"""When, at which price and how much of an order trades against a quote. Pure: no I/O, no state."""

from __future__ import annotations

from decimal import Decimal

from simulator.orders import Order
from simulator.quotes import Quote


def reaches_trigger(order: Order, quote: Quote) -> bool:
    """Whether the market has reached a stop order's trigger price."""
    if order.stop_price is None:
        return False
    return quote.ask >= order.stop_price if order.buys else quote.bid <= order.stop_price


def price_now(order: Order, quote: Quote) -> Decimal | None:
    """The price in US dollars at which the order trades against `quote`, or None while it does not.

    An order that arrives takes the other side's price. One that rested until the market came to it gets its own limit.
    """
    touch = quote.ask if order.buys else quote.bid
    if order.limit_price is None:
        return touch
    if order.buys:
        return touch if touch <= order.limit_price else None
    return touch if touch >= order.limit_price else None


def displayed_size(order: Order, quote: Quote) -> Decimal:
    """How much one fill can take: the size shown on the other side. It is there anew for every order and every step."""
    return quote.ask_size if order.buys else quote.bid_size
