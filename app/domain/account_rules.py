"""Rules about the account: funds, shares, and the trader's limits. All of them are checked under the account's lock."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from app.domain.acceptance import (
    AcceptanceView,
    OrderTerms,
    adds_risk,
    order_value,
    reference_price,
    reservation_price,
    worst_price,
)
from app.domain.denials import Denial
from app.domain.money import ZERO, plain
from app.domain.orders import OrderType, Side

_CENT = Decimal("0.01")


def cash_is_enough(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A BUY at its worst price, commission included, costs at most the buying power."""
    price = reservation_price(terms, view)
    if terms.side is not Side.BUY or price is None:
        return None  # a missing price is already denied by its own rule
    needed, available = terms.quantity * price, view.account.buying_power
    if needed <= available:
        return None
    return Denial(
        "INSUFFICIENT_FUNDS",
        f"Insufficient funds for {money_up(needed)} order; available: {money_down(available)}.",
        _what_is_affordable(terms, view, price, available),
        "quantity",
        numbers={"needed": plain(needed), "available": plain(available), "unit_cost": plain(price)},
    )


def _what_is_affordable(terms: OrderTerms, view: AcceptanceView, price: Decimal, available: Decimal) -> str:
    units, reckoned = _units(max(available, ZERO), price, view), ""
    if terms.order_type is not OrderType.LIMIT:
        of = "the last ask" if terms.order_type is OrderType.MARKET else "the trigger"
        reckoned = f" (reckoned at {plain(price)} a unit: {of}, the price collar and the commission)"
    if units == "0":
        return f"The buying power is not enough for one lot{reckoned}: free cash by cancelling an order."
    return f"Buy at most {units}{reckoned or ' at this price'}, or free cash by cancelling an order."


def shares_are_enough(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A SELL takes no more than is held and not promised to other orders: short selling is not allowed."""
    if terms.side is not Side.SELL or terms.quantity <= view.position.available_quantity:
        return None
    available = plain(max(view.position.available_quantity, ZERO))
    return Denial(
        "INSUFFICIENT_SHARES",
        f"Selling {plain(terms.quantity)} {terms.symbol} needs as many; available: {available}.",
        f"Sell at most {available}. Short selling is not allowed.",
        "quantity",
        numbers={"needed": plain(terms.quantity), "available": available},
    )


def order_quantity_is_within_limit(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The quantity is at most max_order_quantity."""
    limit = view.limits.max_order_quantity
    if limit is None or terms.quantity <= limit:
        return None
    return Denial(
        "MAX_ORDER_QUANTITY",
        f"A quantity of {plain(terms.quantity)} is more than the {plain(limit)} that one order may have.",
        f"Use a quantity of at most {plain(limit)}.",
        "quantity",
        numbers={"quantity": plain(terms.quantity), "limit": plain(limit)},
    )


def order_value_is_within_limit(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The order's worth at its worst price is at most max_order_value."""
    limit, value = view.limits.max_order_value, order_value(terms, view)
    if limit is None or value is None or value <= limit:
        return None  # what has no price yet: a MARKET BUY is denied by the reference's rule, a SELL reduces
    return Denial(
        "MAX_ORDER_VALUE",
        f"An order worth {money_up(value)} is more than the {money_down(limit)} that one order may be worth.",
        f"Use a quantity of at most {_units(limit, value / terms.quantity, view)}.",
        "quantity",
        numbers={"value": plain(value), "limit": plain(limit)},
    )


def position_quantity_is_within_limit(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """What is held, open BUY orders and this one come to at most max_position_quantity."""
    limit = view.limits.max_position_quantity
    if limit is None or not adds_risk(terms, view):
        return None
    before = view.position.quantity + view.pending_quantity
    after = before + terms.quantity
    if after <= limit:
        return None
    return Denial(
        "MAX_POSITION_QUANTITY",
        f"The position in {terms.symbol} could come to {plain(after)}, open orders included; the limit is "
        f"{plain(limit)}.",
        f"Buy at most {_whole_lots(limit - before, view)}, or cancel an open BUY order.",
        "quantity",
        numbers={"position": plain(after), "limit": plain(limit)},
    )


def position_value_is_within_limit(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """What is held at the market, open BUY orders and this one at their worst come to at most max_position_value."""
    limit, price = view.limits.max_position_value, worst_price(terms, view)
    if limit is None or price is None or not adds_risk(terms, view):
        return None
    mark = reference_price(Side.SELL, view) if view.quote_is_fresh else None
    held = view.position.quantity * (price if mark is None else mark)  # without a quote: at the order's own price
    before = held + view.pending_cost
    after = before + terms.quantity * price
    if after <= limit:
        return None
    return Denial(
        "MAX_POSITION_VALUE",
        f"The position in {terms.symbol} could be worth {money_up(after)}, open orders included; the limit is "
        f"{money_down(limit)}.",
        f"Buy at most {_units(max(limit - before, ZERO), price, view)}, or cancel an open BUY order.",
        "quantity",
        numbers={"value": plain(after), "limit": plain(limit)},
    )


def open_orders_are_within_limit(_terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """With this order at most max_open_orders are open."""
    limit = view.limits.max_open_orders
    if limit is None or view.open_orders < limit:
        return None
    return Denial(
        "MAX_OPEN_ORDERS",
        f"{view.open_orders} orders are open; the limit is {limit}.",
        "Cancel an order, or wait until one is filled.",
        numbers={"open_orders": str(view.open_orders), "limit": str(limit)},
    )


def daily_notional_is_within_limit(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """All orders accepted today and this one are worth at most max_daily_notional."""
    limit, value = view.limits.max_daily_notional, order_value(terms, view)
    if limit is None or value is None or not adds_risk(terms, view):
        return None
    after = view.session.notional + value
    if after <= limit:
        return None
    left = max(limit - view.session.notional, ZERO)
    return Denial(
        "MAX_DAILY_NOTIONAL",
        f"Today's orders would be worth {money_up(after)}; the limit is {money_down(limit)} a day.",
        f"Buy at most {_units(left, value / terms.quantity, view)} today; orders that reduce a position still pass.",
        "quantity",
        numbers={"notional": plain(after), "limit": plain(limit)},
    )


def daily_loss_is_within_limit(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The account has lost less than daily_loss_limit since the exchange's day began."""
    limit = view.limits.daily_loss_limit
    if limit is None or not adds_risk(terms, view):
        return None
    if view.equity is None or view.session.start_equity is None:
        return Denial(
            "DAILY_LOSS_UNKNOWN",
            f"A holding has no price, so nobody can say how much of the daily loss limit of {money_down(limit)} is "
            "used.",
            "Wait until all holdings have quotes; orders that reduce a position still pass.",
            numbers={"limit": plain(limit)},
        )
    loss = view.session.start_equity - view.equity
    if loss < limit:
        return None
    return Denial(
        "DAILY_LOSS_LIMIT",
        f"The account has lost {money_down(loss)} today; the limit is {money_down(limit)}, so only orders that reduce "
        "a position are taken.",
        "Wait for the exchange's next day (America/New_York), or ask the operator.",
        numbers={"loss": plain(loss), "limit": plain(limit)},
    )


def money_up(amount: Decimal) -> str:
    """What is needed, in cents rounded up: never shown as less than it is."""
    return _money(amount.quantize(_CENT, rounding=ROUND_CEILING))


def money_down(amount: Decimal) -> str:
    """What there is, in cents rounded down: never shown as more than it is."""
    return _money(amount.quantize(_CENT, rounding=ROUND_FLOOR))


def _money(amount: Decimal) -> str:
    return f"${amount:,.2f}" if amount >= 0 else f"-${-amount:,.2f}"


def _units(available: Decimal, price: Decimal, view: AcceptanceView) -> str:
    return _whole_lots(available / price, view)


def _whole_lots(quantity: Decimal, view: AcceptanceView) -> str:
    lot = Decimal(1) if view.instrument is None else view.instrument.lot_size
    return plain(max(quantity, ZERO) // lot * lot)
