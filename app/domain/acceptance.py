"""What is decided on when an order is accepted: its terms, and what was read under the account's lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.domain.fees import BASIS_POINTS, FeeSchedule, rounded_up
from app.domain.halts import Halt
from app.domain.money import ZERO
from app.domain.orders import OrderType, Side, TimeInForce
from app.domain.positions import Account, Position
from app.domain.trading_session import MarketHours, Session


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
    always_open: bool = False
    """Traded around the clock, whatever the exchange's hours."""


@dataclass(frozen=True, slots=True)
class EarlierOrder:
    """The order that already carries this idempotency key."""

    order_id: UUID
    request_fingerprint: bytes
    answer: bytes
    """The order document of its 201."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trader may do; None is no limit. Currency, units, currency a day, orders a minute."""

    orders_per_minute: int
    version: int = 1
    max_position_value: Decimal | None = None
    max_position_quantity: Decimal | None = None
    max_order_value: Decimal | None = None
    max_order_quantity: Decimal | None = None
    max_open_orders: int | None = None
    max_daily_notional: Decimal | None = None
    daily_loss_limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RulePolicy:
    """What the rules follow for every trader: the system's settings."""

    reference_max_age: timedelta = timedelta(seconds=60)
    price_collar_bps: int = 1000
    """How far beyond the market a price may be, in basis points; 0 is any distance."""
    fees: FeeSchedule = field(default_factory=FeeSchedule)


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """The best-priced open LIMIT order of this venue account on the other side of the market."""

    price: Decimal
    order_id: UUID | None
    """None: it is another trader's, of whom nothing is told."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a trader's orders of this minute: never more than the truth, exact near the limit."""

    limit: int
    remaining: int
    resets_in: int
    """Seconds until more may be left."""


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
    limits: Limits
    orders_in_last_minute: int
    oldest_in_window: datetime | None
    """When the order that must leave the minute's window before another fits was accepted."""
    now: datetime
    session: Session
    policy: RulePolicy = field(default_factory=RulePolicy)
    equity: Decimal | None = None
    """Cash and holdings at the last known quotes; None where a holding has none, or where no rule asks for it."""
    pending_quantity: Decimal = ZERO
    """What open BUY orders of this symbol may still add to the position."""
    pending_cost: Decimal = ZERO
    """What they may still cost."""
    open_orders: int = 0
    """Of this trader, counted up to the limit and not further."""
    market: MarketHours | None = None
    """The venue's hours; None: never heard."""
    resting: RestingOrder | None = None
    halt: Halt | None = None
    """An active halt that covers the order."""
    quota: Quota | None = None

    @property
    def quote_is_fresh(self) -> bool:
        """True when there is a quote that the venue confirmed lately enough."""
        at = None if self.instrument is None else self.instrument.confirmed_at
        return at is not None and self.now - at <= self.policy.reference_max_age


def reference_price(side: Side, view: AcceptanceView) -> Decimal | None:
    """What one unit costs a buyer (the ask), or brings a seller (the bid), by the last stored quote."""
    if view.instrument is None:
        return None
    return view.instrument.ask if side is Side.BUY else view.instrument.bid


def adds_risk(terms: OrderTerms, view: AcceptanceView) -> bool:
    """False for an order that can only make the holding smaller.

    A SELL is one: more than is held cannot be sold. A BUY is one where it only buys back what was oversold.
    """
    if terms.side is Side.SELL:
        return False
    return terms.quantity > max(-view.position.quantity - view.pending_quantity, ZERO)


def worst_price(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    """The highest price that one unit of a BUY is reckoned with; None: not known.

    A LIMIT's own price. A MARKET order is reckoned at the collar's bound above the ask, or at its own bound when
    `max_slippage_bps` is set; a STOP likewise above its trigger, since it becomes a MARKET order there.
    """
    if terms.order_type is OrderType.LIMIT:
        return terms.price
    start = terms.price if terms.order_type is OrderType.STOP else reference_price(Side.BUY, view)
    if start is None:
        return None
    bps = view.policy.price_collar_bps if terms.max_slippage_bps is None else terms.max_slippage_bps
    return rounded_up(start + start * bps / BASIS_POINTS)


def reservation_price(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    """What one unit of a BUY holds back: its worst price and the commission at it. None: not known."""
    worst = worst_price(terms, view)
    return None if worst is None else view.policy.fees.unit_cost(worst)


def order_value(terms: OrderTerms, view: AcceptanceView) -> Decimal | None:
    """What the order is worth at most, commission aside; of a SELL, at its own price or the bid. None: not known."""
    if terms.side is Side.BUY:
        price = worst_price(terms, view)
    else:
        price = terms.price if terms.price is not None else reference_price(Side.SELL, view)
    return None if price is None else price * terms.quantity


def session_at(on: date, stored: Session | None, equity: Decimal | None) -> Session:
    """The session to reckon with: the stored one, or, on the first look of a new day, one that begins with `equity`."""
    if stored is not None and stored.on >= on:
        return stored
    return Session(on, equity)
