"""Rules about how a trader trades: allowed at all, not too often, not twice by mistake, not with oneself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from app.domain.acceptance import AcceptanceView, OrderTerms, adds_risk, reference_price
from app.domain.denials import Denial, DenialKind
from app.domain.halts import HaltScope
from app.domain.money import plain
from app.domain.orders import OrderType, Side

RATE_WINDOW = timedelta(minutes=1)


def nothing_is_halted(_terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """No halt covers the order: not of everybody, of the trader, or of the symbol."""
    if view.halt is None:
        return None
    return Denial(
        "TRADING_HALTED",
        view.halt.sentence(),
        "Wait until the halt is lifted, or ask the operator about it.",
        "symbol" if view.halt.scope is HaltScope.SYMBOL else None,
        numbers={"halt_id": str(view.halt.id), "scope": str(view.halt.scope)},
    )


def trading_is_allowed(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The trader is not halted; while it is REDUCING, only orders that reduce a position pass."""
    if view.trading_state == "ACTIVE":
        return None
    if view.trading_state == "REDUCING":
        if not adds_risk(terms, view):
            return None
        return Denial(
            "TRADING_REDUCING",
            "Only orders that reduce a position are taken from this trader now.",
            "Sell what you hold, or ask the operator when it will be lifted.",
            "side",
        )
    return Denial(
        "TRADING_HALTED",
        f"Trading is {view.trading_state.lower()} for this trader.",
        "Ask the operator why, and when it will be lifted.",
    )


def order_rate_is_kept(_terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """Fewer than orders_per_minute orders were accepted in the last 60 seconds."""
    limit = view.limits.orders_per_minute
    if view.orders_in_last_minute < limit:
        return None
    leaves = (view.oldest_in_window or view.now) + RATE_WINDOW - view.now
    wait = max(1, -int(-leaves.total_seconds() // 1))
    return Denial(
        "ORDER_RATE_LIMIT",
        f"{view.orders_in_last_minute} orders in the last minute; the limit is {limit}.",
        f"Try again in {wait} s.",
        kind=DenialKind.RATE,
        retry_after=wait,
        numbers={"orders": str(view.orders_in_last_minute), "limit": str(limit)},
    )


def is_no_duplicate(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """No order of the last few seconds has the same symbol, side, quantity, type and price, unless it is confirmed."""
    if view.repeats is None or terms.confirm_duplicate:
        return None
    return Denial(
        "DUPLICATE_SUSPECTED",
        f"Order {view.repeats} of a moment ago has the same symbol, side, quantity, type and price.",
        "If you mean it, send it again with the header Confirm-Duplicate: true.",
        kind=DenialKind.CONFLICT,
    )


def is_no_wash_trade(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """It does not reach an order of the same venue account that rests on the other side.

    A LIMIT reaches as far as its price, a MARKET order as far as the last quote; a STOP waits and reaches nothing yet,
    unless the last quote, a fresh one, is at its trigger or beyond it: then it is a MARKET order.
    """
    resting, reach = view.resting, _reach(terms, view)
    if resting is None or reach is None:
        return None
    if resting.price > reach if terms.side is Side.BUY else resting.price < reach:
        return None
    other = "SELL" if terms.side is Side.BUY else "BUY"
    if resting.order_id is None:
        return Denial(
            "WASH_TRADE",
            f"A {other} order of this venue account rests within reach of this one: the account would trade with "
            "itself.",
            "Use a price that does not reach it, or try again later.",
            "price" if terms.price is not None else "order_type",
        )
    return Denial(
        "WASH_TRADE",
        f"Your own {other} order {resting.order_id} rests at {plain(resting.price)}: this one would trade with it.",
        "Cancel that order first, or use a price that does not reach it.",
        "price" if terms.price is not None else "order_type",
        numbers={"resting_price": plain(resting.price), "reach": plain(reach)},
    )


def _reach(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    if terms.order_type is OrderType.LIMIT:
        return terms.price
    quoted = reference_price(terms.side, view)
    if terms.order_type is OrderType.STOP and quoted is not None and terms.price is not None:
        if not view.quote_is_fresh:
            return None  # nobody knows where the market is, and a protective stop must not be refused for a guess
        reached = quoted >= terms.price if terms.side is Side.BUY else quoted <= terms.price
        return quoted if reached else None
    return quoted if terms.order_type is OrderType.MARKET else None
