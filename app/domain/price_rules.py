"""Rules about prices: a reference to judge by, the collar around it, the sides of the exits, fields that contradict."""

from __future__ import annotations

from decimal import Decimal

from app.domain.acceptance import AcceptanceView, OrderTerms, adds_risk, order_value, reference_price
from app.domain.denials import Denial
from app.domain.fees import BASIS_POINTS
from app.domain.money import VALUE_LIMIT, plain
from app.domain.orders import OrderType, Side, TimeInForce

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def price_fits_type(terms: OrderTerms, _view: AcceptanceView) -> Denial | None:
    """MARKET orders have no price; LIMIT and STOP orders have one."""
    if terms.order_type is OrderType.MARKET:
        if terms.price is None:
            return None
        return Denial(
            "PRICE_NOT_ALLOWED",
            f"A MARKET order has no price, but {plain(terms.price)} is given.",
            "Leave price out, or make it a LIMIT order.",
            "price",
        )
    if terms.price is not None:
        return None
    meaning = "its limit" if terms.order_type is OrderType.LIMIT else "the price that triggers it"
    return Denial("REQUIRED", f"A {terms.order_type} order needs a price: {meaning}.", "Give a price.", "price")


def waiting_fits_time_in_force(terms: OrderTerms, _view: AcceptanceView) -> Denial | None:
    """IOC and FOK orders never wait, so they have no max_wait_seconds."""
    if terms.max_wait_seconds is None or terms.time_in_force not in _AT_ONCE:
        return None
    return Denial(
        "MAX_WAIT_NOT_ALLOWED",
        f"A {terms.time_in_force} order is executed at once or dropped; max_wait_seconds {terms.max_wait_seconds} "
        "contradicts that.",
        "Leave max_wait_seconds out, or use time_in_force DAY or GTC.",
        "max_wait_seconds",
        numbers={"max_wait_seconds": str(terms.max_wait_seconds)},
    )


def trigger_fits_time_in_force(terms: OrderTerms, _view: AcceptanceView) -> Denial | None:
    """STOP orders wait for their trigger, so they are DAY or GTC."""
    if terms.order_type is not OrderType.STOP or terms.time_in_force not in _AT_ONCE:
        return None
    return Denial(
        "TIME_IN_FORCE_NOT_ALLOWED",
        f"A STOP order waits for its trigger; time_in_force {terms.time_in_force} does not let it wait.",
        "Use time_in_force DAY or GTC.",
        "time_in_force",
    )


def slippage_fits_type(terms: OrderTerms, _view: AcceptanceView) -> Denial | None:
    """A LIMIT order's price is its bound, so it has no max_slippage_bps."""
    if terms.order_type is not OrderType.LIMIT or terms.max_slippage_bps is None:
        return None
    return Denial(
        "SLIPPAGE_NOT_ALLOWED",
        f"A LIMIT order is never filled worse than its price; max_slippage_bps {terms.max_slippage_bps} contradicts "
        "that.",
        "Leave max_slippage_bps out, or make it a MARKET order.",
        "max_slippage_bps",
        numbers={"max_slippage_bps": str(terms.max_slippage_bps)},
    )


def reference_price_is_fresh(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A MARKET order that adds risk is judged by a quote that the venue confirmed lately."""
    if terms.order_type is not OrderType.MARKET or view.instrument is None or not adds_risk(terms, view):
        return None
    confirmed_at = view.instrument.confirmed_at
    if reference_price(terms.side, view) is None or confirmed_at is None:
        message = f"There is no quote for {terms.symbol} yet, so a MARKET order cannot be checked."
    elif not view.quote_is_fresh:
        age, limit = (view.now - confirmed_at).total_seconds(), view.policy.reference_max_age.total_seconds()
        message = (
            f"The last quote for {terms.symbol} is {age:.0f} s old; a MARKET order needs one of at most {limit:.0f} s."
        )
    else:
        return None
    return Denial(
        "REFERENCE_PRICE_STALE", message, "Send a LIMIT order, or try again when quotes arrive.", "order_type"
    )


def price_is_within_collar(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A LIMIT that adds risk is not further beyond the market than the collar."""
    reference, bps = reference_price(terms.side, view), view.policy.price_collar_bps
    if terms.order_type is not OrderType.LIMIT or terms.price is None or reference is None or not bps:
        return None
    if not view.quote_is_fresh or not adds_risk(terms, view):
        return None
    bound = reference * (1 + bps / BASIS_POINTS)
    if terms.price <= bound:
        return None
    return Denial(
        "PRICE_COLLAR",
        f"A limit of {plain(terms.price)} is more than {plain(Decimal(bps) / 100)}% above the ask of "
        f"{plain(reference)}.",
        f"Use a limit of at most {_at_most(bound)}.",
        "price",
        numbers={"price": plain(terms.price), "reference": plain(reference), "collar_bps": str(bps)},
    )


def _at_most(bound: Decimal) -> str:
    return plain(bound.quantize(Decimal("0.0001") if bound < 1 else Decimal("0.01"), rounding="ROUND_FLOOR"))


def stop_loss_is_on_its_side(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A stop loss lies where the entry would lose: below a BUY, above a SELL."""
    entry = _entry(terms, view)
    if terms.stop_loss is None or entry is None:
        return None
    if terms.stop_loss < entry if terms.side is Side.BUY else terms.stop_loss > entry:
        return None
    where = "below" if terms.side is Side.BUY else "above"
    return Denial(
        "STOP_LOSS_WRONG_SIDE",
        f"A stop loss of {plain(terms.stop_loss)} is not {where} the entry of {plain(entry)}; it would trigger now.",
        f"Use a stop loss {where} {plain(entry)}.",
        "stop_loss",
        numbers={"stop_loss": plain(terms.stop_loss), "entry": plain(entry)},
    )


def take_profit_is_on_its_side(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """A take profit lies where the entry would gain: above a BUY, below a SELL."""
    entry = _entry(terms, view)
    if terms.take_profit is None or entry is None:
        return None
    if terms.take_profit > entry if terms.side is Side.BUY else terms.take_profit < entry:
        return None
    where = "above" if terms.side is Side.BUY else "below"
    return Denial(
        "TAKE_PROFIT_WRONG_SIDE",
        f"A take profit of {plain(terms.take_profit)} is not {where} the entry of {plain(entry)}; it would be a loss.",
        f"Use a take profit {where} {plain(entry)}.",
        "take_profit",
        numbers={"take_profit": plain(terms.take_profit), "entry": plain(entry)},
    )


def _entry(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    return terms.price if terms.price is not None else reference_price(terms.side, view)


def value_is_representable(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    """The order is worth less than what the books can hold exactly."""
    value = order_value(terms, view)
    if value is None or value < VALUE_LIMIT:
        return None
    return Denial(
        "ORDER_VALUE_TOO_LARGE",
        f"An order worth {plain(value)} is larger than any that can be booked.",
        "Lower the quantity.",
        "quantity",
    )
