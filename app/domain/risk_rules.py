"""What must hold before an order is accepted: one function per rule, all failures answered together.

A rule looks at the order's terms and at what was read under the account's lock, and returns a Denial or None. Missing
data denies. Denied is ours, rejected is the venue's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.domain.halts import Halt, HaltScope
from app.domain.money import VALUE_LIMIT, plain
from app.domain.orders import OrderType, Side, TimeInForce
from app.domain.positions import Account, Position


class DenialKind(StrEnum):
    """What sort of no it is, for whoever answers the client."""

    RULE = "RULE"
    CONFLICT = "CONFLICT"
    RATE = "RATE"


@dataclass(frozen=True, slots=True)
class Denial:
    """A failed rule: a stable code, one sentence with the numbers, and what to do."""

    code: str
    message: str
    suggestion: str
    field: str | None = None
    kind: DenialKind = DenialKind.RULE
    retry_after: int | None = None
    """Seconds."""
    numbers: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What the trader asks for, parsed and well-formed. Prices in the account's currency per unit."""

    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    price: Decimal | None
    time_in_force: TimeInForce
    idempotency_key: str
    request_fingerprint: bytes
    confirm_duplicate: bool = False
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    max_slippage_bps: int | None = None
    max_wait_seconds: int | None = None
    venue: str | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    symbol: str
    venue: str
    status: str
    tick_size: Decimal
    lot_size: Decimal
    bid: Decimal | None
    ask: Decimal | None
    confirmed_at: datetime | None
    """When the venue last said that this quote is its latest; a quiet symbol's quote may be old and still stand."""


@dataclass(frozen=True, slots=True)
class EarlierOrder:
    """The order that already carries this idempotency key."""

    order_id: UUID
    request_fingerprint: bytes
    answer: bytes
    """The order document of its 201."""


@dataclass(frozen=True, slots=True)
class AcceptanceView:
    """Everything the rules look at, read under the account's lock."""

    account: Account
    position: Position
    instrument: Instrument | None
    earlier: EarlierOrder | None
    repeats: UUID | None
    """A recent order of this trader with the same terms."""
    trading_state: str
    orders_per_minute: int
    orders_in_last_minute: int
    oldest_in_window: datetime | None
    """When the order that must leave the minute's window before another fits was accepted."""
    limits_version: int
    now: datetime
    reference_max_age: timedelta
    halt: Halt | None = None
    """An active halt that covers the order."""

    @property
    def reference_price(self) -> Decimal | None:
        """What one unit costs a buyer, or brings a seller, by the last stored quote."""
        return None if self.instrument is None else self.instrument.ask


def reservation_price(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    """What one unit of a BUY holds back: its own price, or the last ask of a MARKET order. None: not known."""
    return terms.price if terms.price is not None else view.reference_price


def symbol_is_tradable(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    if view.instrument is None:
        return Denial(
            "UNKNOWN_SYMBOL",
            f"{terms.symbol} is not a symbol that can be traded here.",
            "Use one of the symbols listed by GET /api/v1/instruments.",
            "symbol",
        )
    if view.instrument.status != "ACTIVE":
        return Denial(
            "INSTRUMENT_NOT_TRADABLE",
            f"{terms.symbol} cannot be traded now: it is {view.instrument.status.lower()}.",
            "Wait until trading resumes, or choose another symbol.",
            "symbol",
        )
    return None


def quantity_fits_lot(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
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
    if view.instrument is None or terms.price is None:
        return None
    step = tick_at(terms.price, view.instrument.tick_size)
    if terms.price % step == 0:
        return None
    tick = plain(step)
    return Denial(
        "TICK_SIZE",
        f"A price of {plain(terms.price)} is not a multiple of {terms.symbol}'s tick size {tick}.",
        f"Use a multiple of {tick}.",
        "price",
        numbers={"price": plain(terms.price), "tick_size": tick},
    )


def tick_at(price: Decimal, tick_size: Decimal) -> Decimal:
    """The price step that holds at a price: a cent becomes a hundredth of one below a dollar (SEC Rule 612)."""
    return Decimal("0.0001") if tick_size == Decimal("0.01") and price < 1 else tick_size


def reference_price_is_fresh(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    if terms.order_type is not OrderType.MARKET or view.instrument is None:
        return None
    confirmed_at = view.instrument.confirmed_at
    if view.reference_price is None or confirmed_at is None:
        message = f"There is no quote for {terms.symbol} yet, so a MARKET order cannot be checked."
    elif view.now - confirmed_at > view.reference_max_age:
        age, limit = (view.now - confirmed_at).total_seconds(), view.reference_max_age.total_seconds()
        message = (
            f"The last quote for {terms.symbol} is {age:.0f} s old; a MARKET order needs one of at most {limit:.0f} s."
        )
    else:
        return None
    return Denial(
        "REFERENCE_PRICE_STALE", message, "Send a LIMIT order, or try again when quotes arrive.", "order_type"
    )


def value_is_representable(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    price = reservation_price(terms, view)
    if price is None or price * terms.quantity < VALUE_LIMIT:
        return None
    return Denial(
        "ORDER_VALUE_TOO_LARGE",
        f"An order worth {plain(price * terms.quantity)} is larger than any that can be booked.",
        "Lower the quantity.",
        "quantity",
    )


def cash_is_enough(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    price = reservation_price(terms, view)
    if terms.side is not Side.BUY or price is None:
        return None  # a missing price is already denied by its own rule
    needed, available = terms.quantity * price, view.account.buying_power
    if needed <= available:
        return None
    return Denial(
        "INSUFFICIENT_FUNDS",
        f"Insufficient funds for {_money(needed)} order; available: {_money(available)}.",
        f"Buy at most {_units(max(available, Decimal(0)), price, view)} at this price, "
        "or free cash by cancelling an order.",
        "quantity",
        numbers={"needed": plain(needed), "available": plain(available)},
    )


def shares_are_enough(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    if terms.side is not Side.SELL or terms.quantity <= view.position.available_quantity:
        return None
    available = plain(max(view.position.available_quantity, Decimal(0)))
    return Denial(
        "INSUFFICIENT_SHARES",
        f"Selling {plain(terms.quantity)} {terms.symbol} needs as many; available: {available}.",
        f"Sell at most {available}. Short selling is not allowed.",
        "quantity",
        numbers={"needed": plain(terms.quantity), "available": available},
    )


def nothing_is_halted(_terms: OrderTerms, view: AcceptanceView) -> Denial | None:
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
    if view.trading_state == "ACTIVE" or (view.trading_state == "REDUCING" and terms.side is Side.SELL):
        return None
    return Denial(
        "TRADING_HALTED",
        f"Trading is {view.trading_state.lower()} for this trader.",
        "Ask the operator why, and when it will be lifted.",
    )


def order_rate_is_kept(_terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    if view.orders_in_last_minute < view.orders_per_minute:
        return None
    leaves = (view.oldest_in_window or view.now) + timedelta(minutes=1) - view.now
    wait = max(1, -int(-leaves.total_seconds() // 1))
    return Denial(
        "ORDER_RATE_LIMIT",
        f"{view.orders_in_last_minute} orders in the last minute; the limit is {view.orders_per_minute}.",
        f"Try again in {wait} s.",
        kind=DenialKind.RATE,
        retry_after=wait,
    )


def is_no_duplicate(terms: OrderTerms, view: AcceptanceView) -> Denial | None:
    if view.repeats is None or terms.confirm_duplicate:
        return None
    return Denial(
        "DUPLICATE_SUSPECTED",
        f"Order {view.repeats} of a moment ago has the same symbol, side, quantity, type and price.",
        "If you mean it, send it again with the header Confirm-Duplicate: true.",
        kind=DenialKind.CONFLICT,
    )


Rule = Callable[[OrderTerms, AcceptanceView], Denial | None]

RULES: tuple[Rule, ...] = (
    nothing_is_halted,
    trading_is_allowed,
    order_rate_is_kept,
    is_no_duplicate,
    symbol_is_tradable,
    quantity_fits_lot,
    price_fits_tick,
    reference_price_is_fresh,
    value_is_representable,
    cash_is_enough,
    shares_are_enough,
)


def denials(terms: OrderTerms, view: AcceptanceView) -> list[Denial]:
    """Every rule that the order breaks."""
    return [denial for rule in RULES if (denial := rule(terms, view)) is not None]


def _money(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def _units(available: Decimal, price: Decimal, view: AcceptanceView) -> str:
    lot = Decimal(1) if view.instrument is None else view.instrument.lot_size
    return plain(available / price // lot * lot)
