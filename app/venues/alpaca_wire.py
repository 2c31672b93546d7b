"""Alpaca's JSON, decoded and believed only where it makes sense.

Everything a venue sends is checked before it becomes one of our values: an order with more filled than ordered, a
status nobody documented or a quantity of "NaN" is not an answer but a reason to ask again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from app.domain.trading_session import MarketHours
from app.domain.venue_answers import (
    Execution,
    OrderInstruction,
    OrderReport,
    Quote,
    TradeUpdate,
    VenueInstrument,
    VenueOrderStatus,
)

T = TypeVar("T")

# The widest amounts that are stored without rounding; a longer one is a defect or an attack, never a price.
_INTEGER_DIGITS = 12
_DECIMAL_PLACES = 9
_AVERAGE_DECIMAL_PLACES = 18  # an average divides, so it has more places than what it was made of
_STORED_DECIMAL_PLACES = 18  # of a sum of money
_TEXT_LENGTH = 128  # Alpaca's longest client order id

_EQUITY_TICK = Decimal("0.01")  # currency per share, for prices from 1.00; the venue itself refuses finer ones
_WHOLE_SHARES = Decimal(1)
_FRACTIONAL_SHARES = Decimal("0.000000001")  # Alpaca's nine decimal places

CRYPTO = "crypto"
"""The venue's class of the assets that are pairs of currencies."""

STATUSES = {
    "new": VenueOrderStatus.WORKING,
    "partially_filled": VenueOrderStatus.WORKING,
    "done_for_day": VenueOrderStatus.WORKING,  # goes on tomorrow when it is good till cancelled
    "pending_cancel": VenueOrderStatus.WORKING,  # a fill can still win
    "pending_replace": VenueOrderStatus.WORKING,
    "pending_review": VenueOrderStatus.WORKING,
    "accepted": VenueOrderStatus.WORKING,
    "pending_new": VenueOrderStatus.WORKING,
    "accepted_for_bidding": VenueOrderStatus.WORKING,
    "stopped": VenueOrderStatus.WORKING,  # a trade is guaranteed, not yet made
    "suspended": VenueOrderStatus.WORKING,
    "calculated": VenueOrderStatus.WORKING,  # done for the day, settlement pending
    "held": VenueOrderStatus.WORKING,  # the exit of a bracket, waiting for its entry
    "filled": VenueOrderStatus.FILLED,
    "canceled": VenueOrderStatus.CANCELLED,
    "expired": VenueOrderStatus.EXPIRED,
    "rejected": VenueOrderStatus.REJECTED,
    "replaced": VenueOrderStatus.REPLACED,
}

_SIDES = {"buy": "BUY", "sell": "SELL", "sell_short": "SELL", "buy_to_cover": "BUY"}


class Nonsense(Exception):
    """The venue said something that cannot be true. The message names what; it never leaves this package."""


class Unreadable(Exception):
    """The body is not the JSON that belongs there. It never leaves this package."""


# --- shapes: only the fields we use, so that a new one of the venue's breaks nothing ---------------------------------


class OrderWire(msgspec.Struct):
    id: str
    client_order_id: str
    status: str
    filled_qty: Decimal
    symbol: str | None = None  # an option strategy has neither this
    side: str | None = None  # nor this
    qty: Decimal | None = None
    notional: Decimal | None = None
    filled_avg_price: Decimal | None = None
    submitted_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    replaced_by: str | None = None
    order_class: str | None = None
    reject_reason: str | None = None
    legs: list[OrderWire] | None = None


class ActivityWire(msgspec.Struct):
    id: str
    order_id: str
    symbol: str
    side: str
    cum_qty: Decimal
    qty: Decimal
    price: Decimal
    transaction_time: datetime


class AssetWire(msgspec.Struct):
    symbol: str
    status: str
    tradable: bool
    name: str | None = None
    fractionable: bool = False
    asset_class: str = msgspec.field(default="us_equity", name="class")
    price_increment: Decimal | None = None
    min_trade_increment: Decimal | None = None


class ClockWire(msgspec.Struct):
    is_open: bool
    next_open: datetime
    next_close: datetime


class AccountWire(msgspec.Struct):
    cash: Decimal
    currency: str = "USD"


class PositionWire(msgspec.Struct):
    symbol: str
    qty: Decimal
    side: str
    asset_class: str = "us_equity"


class _QuoteWire(msgspec.Struct):
    t: datetime
    bp: Decimal
    ap: Decimal
    bs: Decimal
    as_: Decimal = msgspec.field(name="as")


class QuotesWire(msgspec.Struct):
    quotes: dict[str, _QuoteWire]


class ErrorWire(msgspec.Struct):
    code: int
    message: str
    buying_power: Decimal | None = None
    cost_basis: Decimal | None = None
    available: Decimal | None = None


class FrameWire(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class AuthorizationWire(msgspec.Struct):
    status: str


class ListeningWire(msgspec.Struct):
    streams: list[str]


class UpdateWire(msgspec.Struct):
    event: str
    order: OrderWire
    timestamp: datetime | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    execution_id: str | None = None


ORDER = msgspec.json.Decoder(OrderWire)
ORDERS = msgspec.json.Decoder(list[OrderWire])
ACTIVITIES = msgspec.json.Decoder(list[ActivityWire])
ASSETS = msgspec.json.Decoder(list[AssetWire])
CLOCK = msgspec.json.Decoder(ClockWire)
ACCOUNT = msgspec.json.Decoder(AccountWire)
POSITIONS = msgspec.json.Decoder(list[PositionWire])
QUOTES = msgspec.json.Decoder(QuotesWire)
ERROR = msgspec.json.Decoder(ErrorWire)
FRAME = msgspec.json.Decoder(FrameWire)
AUTHORIZATION = msgspec.json.Decoder(AuthorizationWire)
LISTENING = msgspec.json.Decoder(ListeningWire)
UPDATE = msgspec.json.Decoder(UpdateWire)


def decode(decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> T:
    """Raises `Unreadable`; a hostile nesting depth and a bad text encoding are only that, too."""
    try:
        return decoder.decode(content)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise Unreadable(f"{type(error).__name__}: {error}") from error


# --- values ----------------------------------------------------------------------------------------------------------


def amount(value: Decimal, name: str, places: int = _DECIMAL_PLACES) -> Decimal:
    """The value if it is finite, not negative and fits what is stored; raises `Nonsense`."""
    if not value.is_finite() or value.adjusted() >= _INTEGER_DIGITS:
        raise Nonsense(f"{name} is not a possible amount")
    if not value:
        return Decimal(0)  # any zero, "-0" and "0E-400" too
    if value < 0:
        raise Nonsense(f"{name} is negative")
    digits, exponent = value.as_tuple()[1:]
    too_fine = -int(exponent) - places  # digits that would have to be zero; counted, because rounding needs a context
    if too_fine > 0 and any(digits[-too_fine:]):
        raise Nonsense(f"{name} has more than {places} decimal places")
    return value


def _signed(value: Decimal, name: str, places: int = _DECIMAL_PLACES) -> Decimal:
    """The same of a value that may be below zero."""
    size = amount(value.copy_abs(), name, places)  # unlike abs(), it takes a signalling NaN, too
    return size.copy_negate() if value < 0 else size


def positive(value: Decimal, name: str, places: int = _DECIMAL_PLACES) -> Decimal:
    if not amount(value, name, places):
        raise Nonsense(f"{name} is zero")
    return value


def identifier(value: str, name: str) -> str:
    """The text if it can be an id: not empty, printable, of a length that is stored; raises `Nonsense`."""
    if not value or len(value) > _TEXT_LENGTH or not value.isprintable():
        raise Nonsense(f"{name} is not a possible identifier")
    return value


def moment(value: datetime, name: str) -> datetime:
    """In UTC; raises `Nonsense` for a time without a zone."""
    if value.tzinfo is None:
        raise Nonsense(f"{name} has no time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise Nonsense(f"{name} is not a possible time") from error


def printable(text: str, length: int) -> str:
    """One line without control characters (a NUL could not even be stored), cut to `length`."""
    return "".join(character if character.isprintable() else " " for character in text[:length])


def wire_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


# --- orders ----------------------------------------------------------------------------------------------------------


def report_of(wire: OrderWire) -> OrderReport:
    """The venue's order as a report; raises `Nonsense` when it contradicts itself."""
    status = STATUSES.get(wire.status)
    if status is None:
        raise Nonsense(f"the status {wire.status!r:.60} is not one of the venue's")
    side = _SIDES.get(wire.side or "")
    if side is None:
        raise Nonsense(f"the side {wire.side!r:.60} is neither buy nor sell")
    filled = amount(wire.filled_qty, "filled_qty")
    if wire.qty is not None:
        quantity = positive(wire.qty, "qty")
    elif wire.notional is not None:
        # An order given as a sum of money, so not one of ours: what it has filled is all it has in units.
        quantity = filled
    else:
        raise Nonsense("qty is missing")
    if filled > quantity:
        raise Nonsense(f"{filled} is filled of {quantity} ordered")
    if status is VenueOrderStatus.FILLED and filled != quantity:
        raise Nonsense(f"filled, yet {filled} of {quantity}")
    average = None
    if wire.filled_avg_price is not None and filled:
        average = positive(wire.filled_avg_price, "filled_avg_price", _AVERAGE_DECIMAL_PLACES)
    return OrderReport(
        venue_order_id=identifier(wire.id, "id"),
        client_order_id=identifier(wire.client_order_id, "client_order_id"),
        symbol=identifier(wire.symbol or "", "symbol"),
        side=side,
        quantity=quantity,
        status=status,
        raw_status=wire.status,
        filled_quantity=filled,
        average_fill_price=average,
        reason=printable(wire.reject_reason, 300) if wire.reject_reason else None,
        updated_at=None if wire.updated_at is None else moment(wire.updated_at, "updated_at"),
        replaced_by=None if wire.replaced_by is None else identifier(wire.replaced_by, "replaced_by"),
        legs=tuple(report_of(leg) for leg in wire.legs or ()),
    )


def is_strategy(wire: OrderWire) -> bool:
    """True for an option strategy of several legs: it has no symbol or side of its own, and is never ours."""
    return wire.order_class == "mleg"


def reports_of(wires: Sequence[OrderWire]) -> list[OrderReport]:
    """Without option strategies. Raises `Nonsense`."""
    return [report_of(wire) for wire in wires if not is_strategy(wire)]


def submitted_order(body: bytes, instruction: OrderInstruction) -> OrderReport:
    """The answer to a submit. Raises `Unreadable`, and `Nonsense` when it is about another order than the one sent."""
    report = report_of(decode(ORDER, body))
    for name, theirs, ours in (
        ("client order id", report.client_order_id, instruction.client_order_id),
        ("symbol", report.symbol, instruction.symbol),
        ("side", report.side, instruction.side.upper()),
        ("quantity", report.quantity, instruction.quantity),
    ):
        if theirs != ours:
            raise Nonsense(f"the answer is about another order: {name} {theirs}, sent {ours}")
    return report


def order_with_id(body: bytes, client_order_id: str) -> OrderReport:
    """The answer to a look-up. Raises `Unreadable`, and `Nonsense` when it is about another order than asked for."""
    report = report_of(decode(ORDER, body))
    if report.client_order_id != client_order_id:
        raise Nonsense(f"asked for {client_order_id}, got {report.client_order_id}")
    return report


def order_body(instruction: OrderInstruction) -> bytes:
    fields: dict[str, object] = {
        "symbol": instruction.symbol,
        "qty": format(instruction.quantity, "f"),
        "side": instruction.side.lower(),
        "type": instruction.order_type.lower(),
        "time_in_force": instruction.time_in_force.lower(),
        "client_order_id": instruction.client_order_id,
    }
    if instruction.limit_price is not None:
        fields["limit_price"] = format(instruction.limit_price, "f")
    if instruction.stop_price is not None:
        fields["stop_price"] = format(instruction.stop_price, "f")
    if instruction.or_stop_price is not None and instruction.limit_price is not None:
        # the take profit is the order itself, the stop loss a leg that the venue names
        fields["order_class"] = "oco"
        fields["take_profit"] = {"limit_price": format(instruction.limit_price, "f")}
        fields["stop_loss"] = {"stop_price": format(instruction.or_stop_price, "f")}
    return msgspec.json.encode(fields)


# --- executions ------------------------------------------------------------------------------------------------------


def execution_of(wire: ActivityWire, report: OrderReport) -> Execution:
    """Raises `Nonsense` when it cannot be an execution of that order."""
    # its order is known by the venue's own id; without its slash a crypto symbol is the same instrument
    if wire.symbol.replace("/", "") != report.symbol.replace("/", "") or _SIDES.get(wire.side) != report.side:
        raise Nonsense(f"an execution of another instrument or side: {wire.symbol!r:.60} {wire.side!r:.60}")
    return _execution(report, wire.cum_qty, wire.qty, wire.price, wire.transaction_time, wire.id)


def in_sequence(executions: Sequence[Execution]) -> tuple[Execution, ...]:
    """Oldest first, each listed once; raises `Nonsense` when one contradicts the next or one between is missing."""
    ordered: list[Execution] = []
    for execution in sorted(executions, key=lambda each: each.cumulative_quantity):
        if ordered and execution.cumulative_quantity == ordered[-1].cumulative_quantity:
            if (execution.quantity, execution.price) != (ordered[-1].quantity, ordered[-1].price):
                raise Nonsense(f"two different executions reach {execution.cumulative_quantity}")
            continue
        before = ordered[-1].cumulative_quantity if ordered else None
        if before is not None and before + execution.quantity != execution.cumulative_quantity:
            raise Nonsense(f"the executions do not add up between {before} and {execution.cumulative_quantity}")
        ordered.append(execution)
    return tuple(ordered)


def update_of(wire: UpdateWire) -> TradeUpdate:
    """Raises `Nonsense`."""
    report = report_of(wire.order)
    execution = None
    if wire.event in ("fill", "partial_fill"):
        if wire.qty is None or wire.price is None or wire.timestamp is None:
            raise Nonsense("an execution without quantity, price or time")
        execution = _execution(
            report, report.filled_quantity, wire.qty, wire.price, wire.timestamp, wire.execution_id or None
        )
    return TradeUpdate(event=identifier(wire.event, "event"), report=report, execution=execution)


def _execution(
    report: OrderReport, cumulative: Decimal, quantity: Decimal, price: Decimal, at: datetime, execution_id: str | None
) -> Execution:
    positive(quantity, "executed quantity")
    if not quantity <= positive(cumulative, "cumulative quantity") <= report.quantity:
        raise Nonsense(f"an execution of {quantity} up to {cumulative}, ordered {report.quantity}")
    return Execution(
        venue_order_id=report.venue_order_id,
        cumulative_quantity=cumulative,
        quantity=quantity,
        price=positive(price, "price"),
        executed_at=moment(at, "time of execution"),
        execution_id=None if execution_id is None else identifier(execution_id, "execution id"),
    )


# --- market data -----------------------------------------------------------------------------------------------------


def quotes_of(body: bytes, wanted: Sequence[str]) -> list[Quote]:
    """Those wanted that the venue has. One without a bid or an ask (a price of 0) is no quote to reckon with: left out.

    Raises `Unreadable`, `Nonsense`.
    """
    answered = decode(QUOTES, body).quotes
    quotes = []
    for symbol in wanted:
        found = answered.get(symbol)
        if found is None:
            continue
        bid, ask = amount(found.bp, "bid"), amount(found.ap, "ask")
        if bid and ask:
            bid_size, ask_size = amount(found.bs, "bid size"), amount(found.as_, "ask size")
            quotes.append(Quote(symbol, bid, ask, bid_size, ask_size, moment(found.t, "time of quote")))
    return quotes


def cash_of(body: bytes) -> tuple[Decimal, str]:
    """Cash, which may be below zero, and its currency. Raises `Unreadable`, `Nonsense`."""
    account = decode(ACCOUNT, body)
    return _signed(account.cash, "cash", _STORED_DECIMAL_PLACES), identifier(account.currency, "currency")


def pairs_of(body: bytes) -> frozenset[str]:
    """The crypto pairs listed, such as "BTC/USD". Raises `Unreadable`, `Nonsense`."""
    listed = (identifier(asset.symbol, "symbol") for asset in decode(ASSETS, body) if asset.asset_class == CRYPTO)
    return frozenset(symbol for symbol in listed if "/" in symbol)


def positions_of(body: bytes, pairs: Iterable[str] = ()) -> dict[str, Decimal]:
    """Quantity by symbol, below zero for a short one. Raises `Unreadable`, `Nonsense`.

    Alpaca leaves out the slash of a crypto pair here, and here alone (its asset ids differ, too): `pairs` says which
    pair that is. Where none or several could be meant, the symbol stays as it came.
    """
    meant: dict[str, list[str]] = {}
    for pair in pairs:
        meant.setdefault(pair.replace("/", ""), []).append(pair)
    positions = decode(POSITIONS, body)
    as_they_came = {position.symbol for position in positions}
    held: dict[str, Decimal] = {}
    for position in positions:
        symbol = identifier(position.symbol, "symbol")
        if position.asset_class == CRYPTO and len(meant.get(symbol, ())) == 1 and meant[symbol][0] not in as_they_came:
            (symbol,) = meant[symbol]
        quantity = _signed(position.qty, "qty")
        if symbol in held:
            raise Nonsense("two positions of one symbol")
        held[symbol] = -quantity if position.side == "short" and quantity > 0 else quantity
    return held


def market_hours_of(body: bytes) -> MarketHours:
    """Raises `Unreadable`, `Nonsense`."""
    clock = decode(CLOCK, body)
    return MarketHours(clock.is_open, moment(clock.next_open, "next opening"), moment(clock.next_close, "next closing"))


def instruments_of(body: bytes) -> list[VenueInstrument]:
    """One instrument per symbol: symbols are used again after a delisting, and then the tradable one counts.

    Raises `Unreadable`, `Nonsense`.
    """
    by_symbol: dict[str, VenueInstrument] = {}
    for asset in decode(ASSETS, body):
        tick, lot = asset.price_increment, asset.min_trade_increment
        if tick is None or not amount(tick, "price_increment"):
            tick = _EQUITY_TICK
        if lot is None or not amount(lot, "min_trade_increment"):
            lot = _FRACTIONAL_SHARES if asset.fractionable else _WHOLE_SHARES
        instrument = VenueInstrument(
            symbol=identifier(asset.symbol, "symbol"),
            name=printable(asset.name or asset.symbol, 200),
            status=identifier(asset.status, "status").upper(),
            tradable=asset.tradable and asset.status == "active",
            tick_size=tick,
            lot_size=lot,
            always_open=asset.asset_class == CRYPTO,
        )
        known = by_symbol.get(instrument.symbol)
        if known is None or instrument.tradable > known.tradable:
            by_symbol[instrument.symbol] = instrument
    return list(by_symbol.values())
