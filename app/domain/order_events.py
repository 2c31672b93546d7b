"""What can happen to an order: frozen facts, past tense. Times are aware UTC, quantities and prices Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something happened: a stable code and one sentence a person understands."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order at a time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Submitted(OrderEvent):
    """The trader handed it in and it passed every rule. Never applied: it is how an order begins."""


@dataclass(frozen=True, slots=True)
class SendStarted(OrderEvent):
    """An attempt row was committed; from now on a request may be on the wire."""

    sender: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class OutcomeLost(OrderEvent):
    """An attempt, or a look-up that was to decide about one, ended without a definite answer."""

    reason: Reason
    retry_at: datetime
    refused: bool = False
    """A definite refusal, of this attempt only: an earlier one may still be executed, so it ends nothing yet."""
    spends_retry: bool = True
    """False when our own throttle held the request back: that says nothing about the venue."""


@dataclass(frozen=True, slots=True)
class RetriesSpent(OrderEvent):
    """No automatic retry is left."""

    reason: Reason
    look_again_at: datetime


@dataclass(frozen=True, slots=True)
class RetryRequested(OrderEvent):
    """A person asked for a new attempt budget."""

    by: str


@dataclass(frozen=True, slots=True)
class Abandoned(OrderEvent):
    """A person accepted the failure; the order ends when its absence at the venue is proven."""

    by: str


@dataclass(frozen=True, slots=True)
class CancelWanted(OrderEvent):
    """Somebody or some rule wants the order cancelled; the venue decides."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class VenueAccepted(OrderEvent):
    """The venue has the order."""

    venue_order_id: str
    look_again_at: datetime
    found_by_asking: bool = False
    other_venue_orders: tuple[str, ...] = ()
    """Orders that the venue made along with it: the other exit of a pair."""


@dataclass(frozen=True, slots=True)
class Filled(OrderEvent):
    """One execution counted for the first time."""

    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    """None: the venue does not say."""
    cumulative_quantity: Decimal


@dataclass(frozen=True, slots=True)
class AmendWanted(OrderEvent):
    """Other terms are wanted. What stands at the venue is cancelled first; a fill may win."""

    quantity: Decimal
    price: Decimal | None
    reservation_price: Decimal
    price_bound: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Amended(OrderEvent):
    """It has other terms from now on: nothing of it stands at the venue any more, proven by the venue's own word."""

    quantity: Decimal
    price: Decimal | None
    reservation_price: Decimal
    price_bound: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rejected(OrderEvent):
    """The venue refused it, before or after accepting it; or it was given up and is proven absent."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Cancelled(OrderEvent):
    """It ended without (further) execution: cancelled, expired, replaced away, or never sent."""

    reason: Reason
