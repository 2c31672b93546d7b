"""What a venue can say to us, as types. Silence and confusion have a type of their own: they are never an answer.

Every quantity is in units of the instrument, every price in the account's currency per unit, every time aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class ClientIdUniqueness(StrEnum):
    """What the venue does with a client order id it has seen before."""

    PERMANENT = "permanent"  # refuses it for good
    OPEN_ORDERS = "open_orders"  # refuses it only while the first order is open
    NONE = "none"  # takes it as a new order


@dataclass(frozen=True, slots=True)
class VenueCapabilities:
    """What a venue promises; decides when sending again is allowed."""

    client_id_uniqueness: ClientIdUniqueness
    max_in_flight: timedelta
    """This long after its sender has ended, an unanswered request can no longer be executed."""
    not_founds_needed: int = 2
    """So many successful look-ups in a row must say "not found" before an absence counts as proven."""
    native_brackets: bool = False
    native_replace: bool = True


class VenueOrderStatus(StrEnum):
    """The venue's own word on an order, folded to what matters for its life."""

    WORKING = "WORKING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    REPLACED = "REPLACED"

    @property
    def is_end(self) -> bool:
        """True when the venue will not execute anything more of this order."""
        return self is not VenueOrderStatus.WORKING


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as the venue reported it.

    Its identity is (venue, venue_order_id, cumulative_quantity): the venue's own execution ids differ between its
    stream and its REST history, the cumulative quantity does not.
    """

    venue_order_id: str
    cumulative_quantity: Decimal
    quantity: Decimal
    price: Decimal
    executed_at: datetime
    execution_id: str | None = None
    commission: Decimal | None = None
    """None: the venue does not say; then the house's fee schedule does."""


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The venue's description of one order at one moment."""

    venue_order_id: str
    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    status: VenueOrderStatus
    raw_status: str
    filled_quantity: Decimal
    average_fill_price: Decimal | None = None
    reason: str | None = None
    updated_at: datetime | None = None
    replaced_by: str | None = None
    legs: tuple[OrderReport, ...] = ()
    """Orders that the venue made along with this one, with client order ids of its own making: the stop loss beside a
    take profit, of which one cancels the other. Empty also where the source does not list them (the stream)."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The venue's ids of this order and of its legs."""
        return (self.venue_order_id, *(leg.venue_order_id for leg in self.legs))

    @property
    def total_filled(self) -> Decimal:
        """Executed by this order and its legs."""
        return self.filled_quantity + sum((leg.filled_quantity for leg in self.legs), Decimal(0))

    @property
    def has_ended(self) -> bool:
        """True when neither this order nor a leg of it will be executed any further."""
        return self.status.is_end and all(leg.status.is_end for leg in self.legs)

    @property
    def stands_as(self) -> str:
        """The id of the one that can still be executed: a leg where it has taken over, otherwise this order."""
        if not self.status.is_end:
            return self.venue_order_id
        return next((leg.venue_order_id for leg in self.legs if not leg.status.is_end), self.venue_order_id)


@dataclass(frozen=True, slots=True)
class OrderInstruction:
    """What goes on the wire to open an order."""

    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    time_in_force: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    or_stop_price: Decimal | None = None
    """Both exits of a position in one request: a limit order at `limit_price` and a stop order at this price for the
    same units, of which one cancels the other."""


@dataclass(frozen=True, slots=True)
class PartOfList:
    """A list that broke off, `why`: the orders that the venue has received up to `until` (aware UTC), and no more."""

    reports: Sequence[OrderReport]
    until: datetime
    why: OutcomeUnknown


# --- answers to a submit -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue has the order."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue understood the request and will not execute it: a definite no."""

    code: str
    message: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class ClientIdKnown:
    """The venue refused the request because it already knows this client order id: the order is there, ask for it."""

    message: str
    evidence: str = ""


NONSENSE = "VENUE_ANSWER_NONSENSE"
"""Code of an answer that cannot be true, or is about something else than what was asked."""
UNREADABLE = "VENUE_ANSWER_UNREADABLE"
"""Code of an answer that is not what belongs there: a gateway's page, a part, other types, too many bytes."""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """Nobody can say what became of the request: a timeout, a cut connection, a 5xx, an answer that is not one.

    `retry_after` (seconds) is set where the venue asked us to wait. `nothing_sent` is True only where not one byte of
    the request left this process (no connection, held back by our own throttle): such a request cannot execute later.
    """

    code: str
    message: str
    evidence: str = ""
    retry_after: float | None = None
    nothing_sent: bool = False


SubmitAnswer = Accepted | Refused | ClientIdKnown | OutcomeUnknown


# --- answers to a look-up ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    report: OrderReport


@dataclass(frozen=True, slots=True)
class NotFound:
    """The venue answered, successfully, that it does not know the order (yet)."""

    evidence: str = ""


LookupAnswer = Found | NotFound | OutcomeUnknown


# --- answers to a cancel -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CancelTaken:
    """The venue took the request; whether a fill wins is told later by the order's report."""


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The order can no longer be cancelled (filled, ended) or is unknown: ask for its state."""

    code: str
    message: str


CancelAnswer = CancelTaken | CancelRefused | OutcomeUnknown


# --- executions, stream, market data -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Executions:
    """All executions of one order that the venue lists, oldest first."""

    executions: tuple[Execution, ...]


ExecutionsAnswer = Executions | OutcomeUnknown


TAKEN_BACK = frozenset({"trade_bust", "trade_correct"})
"""Messages that an execution is undone or becomes another one, as Alpaca's Broker API names them. They are not among
the documented ones of `trade_updates`, and the venue's lists do not say which execution is meant."""


@dataclass(frozen=True, slots=True)
class TradeUpdate:
    """One message of the venue's stream: the order as it is now, with the execution that caused it if one did."""

    event: str
    report: OrderReport
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    quoted_at: datetime


@dataclass(frozen=True, slots=True)
class VenueInstrument:
    symbol: str
    name: str
    status: str
    tradable: bool
    tick_size: Decimal
    lot_size: Decimal
    always_open: bool = False
    """Traded around the clock, whatever the exchange's hours."""


@dataclass(frozen=True, slots=True)
class VenueHoldings:
    """The venue's own books of the whole account, all traders together."""

    cash: Decimal
    currency: str
    positions: Mapping[str, Decimal]
    """By symbol; below zero is short."""


class StreamLost(Exception):
    """The venue's stream ended or went silent: updates may have been missed, so the caller must back-fill over REST."""
