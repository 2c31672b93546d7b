"""What a client asks for: the body of `POST /v2/orders` and `PATCH /v2/orders/{id}`, read and judged on its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from simulator.figures import new_id, plain, read_number
from simulator.instruments import ACTIVE, HALTED, Instrument
from simulator.refusals import invalid, malformed, unprocessable

_SIDES = ("buy", "sell")
_TYPES = ("market", "limit", "stop", "stop_limit")
_EQUITY_TIMES = ("day", "gtc", "ioc", "fok")
_CRYPTO_TIMES = ("gtc", "ioc")
_CLASSES = ("", "simple", "bracket", "oco", "oto")


@dataclass(frozen=True)
class OrderEntry:
    """An order as asked for; exits are the legs of a bracket, OCO or OTO order."""

    client_order_id: str
    instrument: Instrument
    side: str
    type: str
    time_in_force: str
    qty: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    order_class: str = ""
    exits: tuple[OrderEntry, ...] = field(default=())


def _number(body: dict[str, Any], name: str) -> Decimal | None:
    """A positive number that may come as JSON string or number."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | Decimal | int):
        raise malformed()
    try:
        number = read_number(value if isinstance(value, str) else format(value, "f"))
    except ValueError as error:
        raise invalid(f"invalid {name}: {value}") from error
    if number <= 0:
        raise invalid(f"{name} must be > 0")
    return number


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise malformed()
    return value


def _section(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise malformed()
    return value


def _check_price(instrument: Instrument, name: str, price: Decimal | None) -> None:
    if price is None:
        return
    tick = instrument.tick(price)
    if price % tick:
        raise unprocessable(
            f"invalid {name} {plain(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )


def _check_prices(entry: OrderEntry) -> None:
    """Which prices the order's type needs and forbids, and whether they lie on the tick grid."""
    has_limit, has_stop = entry.limit_price is not None, entry.stop_price is not None
    if entry.type in ("limit", "stop_limit") and not has_limit:
        raise invalid(f"{entry.type.replace('_', ' ')} orders require limit price")
    if entry.type in ("stop", "stop_limit") and not has_stop:
        raise invalid(f"{entry.type.replace('_', ' ')} orders require stop price")
    if entry.type in ("market", "stop") and has_limit:
        raise invalid(f"{entry.type} orders must not have limit price")
    if entry.type in ("market", "limit") and has_stop:
        raise invalid(f"{entry.type} orders must not have stop price")
    _check_price(entry.instrument, "limit_price", entry.limit_price)
    _check_price(entry.instrument, "stop_price", entry.stop_price)


def _check_quantity(entry: OrderEntry) -> None:
    whole = entry.qty == entry.qty.to_integral_value()
    if entry.instrument.crypto:
        if entry.type == "stop":
            raise invalid("invalid order type for crypto order")
        if entry.time_in_force not in _CRYPTO_TIMES:
            raise unprocessable("invalid crypto time_in_force")
    elif not whole:
        if not entry.instrument.fractionable:
            raise unprocessable("requested asset is not fractionable")
        if entry.time_in_force != "day":
            raise unprocessable("fractional orders must be DAY orders")
        if entry.order_class:
            raise unprocessable("fractional orders must be simple orders")
    if entry.qty != round(entry.qty, 9):
        raise unprocessable("qty is limited to 9 decimal places")


def find_instrument(symbol: str, instruments: dict[str, Instrument]) -> Instrument | None:
    """By symbol (a crypto pair also without its slash) or by asset id."""
    instrument = instruments.get(symbol)
    if instrument is None:
        for candidate in instruments.values():
            if symbol in (candidate.symbol.replace("/", ""), candidate.asset_id):
                return candidate
    return instrument


def _tradable(symbol: str, instruments: dict[str, Instrument]) -> Instrument:
    if not symbol:
        raise invalid("symbol is required")
    instrument = find_instrument(symbol, instruments)
    if instrument is None:
        raise unprocessable(f'asset "{symbol}" not found')
    if instrument.state == HALTED:
        raise unprocessable(f"asset {symbol} is not tradable: trading is halted")
    if instrument.state != ACTIVE:
        raise unprocessable(f"asset {symbol} is not active")
    return instrument


def _opposite(side: str) -> str:
    return "sell" if side == "buy" else "buy"


def _exit_legs(entry: OrderEntry, body: dict[str, Any]) -> tuple[OrderEntry, ...]:
    """Take profit and stop loss as orders of their own, take profit first."""
    side = entry.side if entry.order_class == "oco" else _opposite(entry.side)
    legs = []
    profit, loss = _section(body, "take_profit"), _section(body, "stop_loss")
    if profit:
        legs.append(
            replace(
                entry,
                client_order_id=new_id(),
                side=side,
                type="limit",
                limit_price=_number(profit, "limit_price"),
                stop_price=None,
            )
        )
    if loss:
        limit = _number(loss, "limit_price")
        legs.append(
            replace(
                entry,
                client_order_id=new_id(),
                side=side,
                type="stop" if limit is None else "stop_limit",
                limit_price=limit,
                stop_price=_number(loss, "stop_price"),
            )
        )
    for leg in legs:
        _check_prices(leg)
    return tuple(legs)


def _check_exits(entry: OrderEntry, exits: tuple[OrderEntry, ...]) -> None:
    profit = next((leg.limit_price for leg in exits if leg.type == "limit"), None)
    loss = next((leg.stop_price for leg in exits if leg.type != "limit"), None)
    if entry.time_in_force not in ("day", "gtc"):
        raise unprocessable("advanced orders must be DAY or GTC orders")
    if entry.order_class == "bracket" and (profit is None or loss is None):
        raise invalid("bracket orders require take_profit.limit_price and stop_loss.stop_price")
    if entry.order_class == "oto" and (profit is None) == (loss is None):
        raise invalid("oto orders require either take_profit or stop_loss")
    if profit is not None and loss is not None:
        long_exit = exits[0].side == "sell"
        if (profit <= loss) if long_exit else (profit >= loss):
            raise unprocessable("take_profit.limit_price must be better than stop_loss.stop_price")


def read_order(body: Any, instruments: dict[str, Instrument], longest_client_order_id: int) -> OrderEntry:
    """The order that a decoded JSON body asks for. Raises Refusal."""
    if not isinstance(body, dict):
        raise malformed()
    client_order_id = _text(body, "client_order_id") or new_id()
    if len(client_order_id) > longest_client_order_id:
        raise invalid(f"client_order_id must be no more than {longest_client_order_id} characters")
    instrument = _tradable(_text(body, "symbol"), instruments)
    side, kind = _text(body, "side").lower(), _text(body, "type").lower()
    time_in_force = (_text(body, "time_in_force") or ("gtc" if instrument.crypto else "day")).lower()
    order_class = _text(body, "order_class").lower()
    if order_class not in _CLASSES:
        raise invalid(f"invalid order_class: {order_class}")
    if order_class == "simple":
        order_class = ""
    if side not in _SIDES:
        raise invalid(f"invalid side: {side}" if side else "side is required")
    if not kind and order_class == "oco":
        kind = "limit"
    if kind not in _TYPES:
        raise invalid(f"invalid order type: {kind}" if kind else "type is required")
    if time_in_force not in _EQUITY_TIMES:
        raise invalid(f"invalid time_in_force: {time_in_force}")
    if body.get("notional") is not None:
        raise unprocessable("notional orders are not supported here; send qty")
    qty = _number(body, "qty")
    if qty is None:
        raise invalid("qty is required")
    entry = OrderEntry(
        client_order_id=client_order_id,
        instrument=instrument,
        side=side,
        type=kind,
        time_in_force=time_in_force,
        qty=qty,
        limit_price=_number(body, "limit_price"),
        stop_price=_number(body, "stop_price"),
        extended_hours=body.get("extended_hours") is True,
        order_class=order_class,
    )
    if not order_class:
        _check_prices(entry)
        _check_quantity(entry)
        return entry
    return _with_exits(entry, body)


def _with_exits(entry: OrderEntry, body: dict[str, Any]) -> OrderEntry:
    exits = _exit_legs(entry, body)
    if entry.order_class == "oco":
        # An OCO is two exits: the take profit is the order itself, the stop loss its leg.
        if entry.type != "limit":
            raise invalid("oco orders must be limit orders")
        if entry.limit_price is None and exits and exits[0].type == "limit":
            entry = replace(entry, limit_price=exits[0].limit_price)
        losses = tuple(leg for leg in exits if leg.type != "limit")
        if not losses:
            raise invalid("oco orders require stop_loss.stop_price")
        _check_prices(entry)
        _check_quantity(entry)
        _check_exits(entry, (entry, *losses))
        return replace(entry, exits=losses)
    _check_prices(entry)
    _check_quantity(entry)
    _check_exits(entry, exits)
    return replace(entry, exits=exits)


@dataclass(frozen=True)
class Replacement:
    """What a PATCH changes; None leaves a value as it is."""

    qty: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str | None
    client_order_id: str | None


def read_replacement(body: Any, longest_client_order_id: int) -> Replacement:
    """The change that a decoded JSON body asks for. Raises Refusal."""
    if not isinstance(body, dict):
        raise malformed()
    client_order_id = _text(body, "client_order_id") or None
    if client_order_id is not None and len(client_order_id) > longest_client_order_id:
        raise invalid(f"client_order_id must be no more than {longest_client_order_id} characters")
    time_in_force = _text(body, "time_in_force").lower() or None
    if time_in_force is not None and time_in_force not in _EQUITY_TIMES:
        raise invalid(f"invalid time_in_force: {time_in_force}")
    change = Replacement(
        _number(body, "qty"),
        _number(body, "limit_price"),
        _number(body, "stop_price"),
        time_in_force,
        client_order_id,
    )
    if change == Replacement(None, None, None, None, client_order_id):
        raise invalid("order parameters are not changed")
    return change


def check_replacement(entry: OrderEntry) -> None:
    """Whether a replacement's prices still fit its type and tick, and its quantity the asset. Raises Refusal."""
    _check_prices(entry)
    if not entry.instrument.crypto and entry.qty != entry.qty.to_integral_value():
        raise unprocessable("only whole quantities can be replaced")
