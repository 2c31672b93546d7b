"""The order. `Order.apply` is the only thing that changes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.domain import order_events as happened
from app.domain.audit_chain import GENESIS
from app.domain.money import ZERO, average
from app.domain.order_events import OrderEvent, Reason
from app.domain.order_states import ExecutionState, ImpossibleChange, OrderStatus, next_state


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"


class TimeInForce(StrEnum):
    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """A submit that may be on the wire: its number and who sends it."""

    number: int
    sender: str


class ExecutionPath(StrEnum):
    """Fixed on the order when it is accepted, so that flipping the feature flag never changes an order under way."""

    V2 = "V2"  # automatic retries
    PLAIN = "PLAIN"  # one attempt, then a person decides


ABANDONED = "ABANDONED"
POSITION_GONE = "POSITION_GONE"


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as stored. Money in the account's currency, times aware UTC, quantities in units of the instrument.

    Its terms are given when it is made; all that happens to it later begins at the default that stands here, so that
    no new order, an exit least of all, takes another one's story along.

    Not slotted: changing one is the hottest line of the house, and copying a dictionary is many times faster than
    calling a constructor with fifty fields.
    """

    # what was asked for, and by whom
    id: UUID
    trader_id: UUID
    idempotency_key: str
    request_fingerprint: bytes
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    time_in_force: TimeInForce
    max_slippage_bps: int | None
    max_wait_seconds: int | None
    venue: str
    parent_id: UUID | None
    execution_path: ExecutionPath
    reservation_price: Decimal
    """What one unit of a BUY reserves: its price, or the reference price of a MARKET order when it was accepted."""
    price_bound: Decimal | None
    """The worst price that a MARKET or STOP order may get: it goes out as a limit, or stop limit, order at it."""
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    due_at: datetime | None
    """When somebody must look at it: a lease's end or the next step. Null exactly when CLOSED (I2)."""

    # what has happened to it
    status: OrderStatus = OrderStatus.PENDING
    execution_state: ExecutionState = ExecutionState.QUEUED
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    average_fill_price: Decimal | None = None
    attempts: int = 0
    """Requests to open the order that may have reached the venue."""
    retries_used: int = 0
    fence: int = 0
    """Rises with every claim; an intent carries the fence it was made under (I3)."""
    not_founds: int = 0
    """Successful look-ups in a row that did not find it, counted only after the in-flight bound (I7)."""
    open_attempts: tuple[OpenAttempt, ...] = ()
    """Submits whose sender is not proven to have ended: each may still reach the venue."""
    refused_at: datetime | None = None
    """When the venue refused a later attempt while an earlier one was unaccounted for: nothing is sent any more."""
    send_ended_at: datetime | None = None
    """When the last sender so far was proven to have ended: its reply was recorded, or it does not send any more."""
    client_id_known_at: datetime | None = None
    """When the venue said that it knows the client order id: from then on its denials prove nothing."""
    venue_order_id: str | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: Reason | None = None
    cancel_sent_at: datetime | None = None
    """When the venue took our latest cancel; null when the next step is to send one (again)."""
    stray_due_at: datetime | None = None
    """Ended here, found alive at the venue: when to go after it again."""
    abandoned_at: datetime | None = None
    reason: Reason | None = None
    alarm_code: str | None = None
    log_seq: int = 0
    log_hash: bytes = GENESIS
    """Head of the order's chain in the audit log."""
    version: int = 1
    """Rises by one with every transaction that changes the order; a stale write is refused by the database."""
    closed_at: datetime | None = None
    other_venue_orders: tuple[str, ...] = ()
    """Further orders of the venue's that belong to this one: the other exit of a pair, and what was replaced away."""
    replacements: int = 0
    """How often it was replaced; each time the venue gets it under a client order id of its own."""
    attempts_before: int = 0
    """Requests to open the venue orders that were replaced."""
    filled_before: Decimal = ZERO
    """What the venue orders that were replaced had executed when they ended."""
    amend_requested_at: datetime | None = None
    """When other terms were wanted; the venue order that stands is cancelled first. Null when nothing is wanted."""
    amend_quantity: Decimal | None = None
    amend_price: Decimal | None = None
    amend_reservation_price: Decimal | None = None
    amend_price_bound: Decimal | None = None
    covered_quantity: Decimal = ZERO
    """Of an entry with exits: so much of what it bought has been given to exits."""

    def changed(self, **changes: object) -> Order:
        """A copy with these fields changed. For `apply` and the audit chain's head; names are checked by tests."""
        copy = object.__new__(Order)
        fields = copy.__dict__
        fields.update(self.__dict__)
        fields.update(changes)
        return copy

    @property
    def is_closed(self) -> bool:
        return self.execution_state is ExecutionState.CLOSED

    @property
    def leaves_quantity(self) -> Decimal:
        """What may still be executed."""
        return ZERO if self.is_closed else self.quantity - self.filled_quantity

    @property
    def reserved_cash(self) -> Decimal:
        """What this order still holds back of the account's cash; with other terms wanted, the dearer of the two."""
        if self.side is not Side.BUY:
            return ZERO
        held = self.leaves_quantity * self.reservation_price
        if self.amend_reservation_price is None or self.is_closed:
            return held
        return max(held, self._amended_leaves * self.amend_reservation_price)

    @property
    def reserved_quantity(self) -> Decimal:
        """What this order still holds back of the position; with other terms wanted, the larger of the two."""
        if self.side is not Side.SELL:
            return ZERO
        if self.amend_requested_at is None or self.is_closed:
            return self.leaves_quantity
        return max(self.leaves_quantity, self._amended_leaves)

    @property
    def pending_quantity(self) -> Decimal:
        """What may still be executed of it, on the terms it has or on those that are wanted."""
        return ZERO if self.is_closed else max(self.leaves_quantity, self._amended_leaves)

    @property
    def _amended_leaves(self) -> Decimal:
        return max((self.amend_quantity or self.quantity) - self.filled_quantity, ZERO)

    @property
    def client_order_id(self) -> str:
        """The venue's name for it, one for each replacement: its own id, then with the replacement's number."""
        return f"{self.id}-{self.replacements}" if self.replacements else str(self.id)

    @property
    def earlier_client_order_ids(self) -> tuple[str, ...]:
        """Its names before the one it has now, latest first."""
        return tuple(f"{self.id}-{number}" if number else str(self.id) for number in reversed(range(self.replacements)))

    @property
    def quantity_at_venue(self) -> Decimal:
        """What the venue order that stands, or is to be sent, was opened for."""
        return self.quantity - self.filled_before

    @property
    def filled_at_venue(self) -> Decimal:
        """What that venue order has executed."""
        return self.filled_quantity - self.filled_before

    @property
    def venue_ids(self) -> frozenset[str]:
        """Every order of the venue's that belongs to this one."""
        known = self.other_venue_orders
        return frozenset(known if self.venue_order_id is None else (*known, self.venue_order_id))

    @property
    def is_exit(self) -> bool:
        """True for a protective exit: it closes what its parent has opened."""
        return self.parent_id is not None

    @property
    def is_exit_pair(self) -> bool:
        """True for both exits as one order: the take profit with its stop loss, of which one cancels the other."""
        return self.is_exit and self.stop_loss is not None

    @property
    def wants_exits(self) -> bool:
        """True for an entry whose position is to be protected."""
        return not self.is_exit and (self.stop_loss is not None or self.take_profit is not None)

    @property
    def is_unprotected(self) -> bool:
        """True while something was bought that the wanted exits do not protect.

        An entry: it was filled, and no exits were made for that yet. An exit: it does not stand at the venue, or it
        ended there although the position may still be open.
        """
        if not self.is_exit:
            return self.wants_exits and self.filled_quantity > self.covered_quantity
        if self.is_closed:
            gone = self.reason is not None and self.reason.code == POSITION_GONE
            return self.filled_quantity < self.quantity and not gone
        return self.execution_state not in (ExecutionState.WORKING, ExecutionState.CANCELLING)

    @property
    def is_leaving_venue(self) -> bool:
        """True while what stands at the venue is to be cancelled there, for good or to be replaced."""
        if self.execution_state is ExecutionState.WORKING:
            return self.amend_requested_at is not None
        return self.execution_state is ExecutionState.CANCELLING

    @property
    def is_known_at_venue(self) -> bool:
        return self.venue_order_id is not None

    def attempt_ended(self, number: int, at: datetime) -> Order:
        """The order with one submit proven to have ended."""
        still_open = tuple(attempt for attempt in self.open_attempts if attempt.number != number)
        if still_open == self.open_attempts:
            return self
        return self.changed(open_attempts=still_open, send_ended_at=at)

    def has_expired(self, now: datetime) -> bool:
        """True when the trader's or the system's deadline for it has passed."""
        return self.expires_at is not None and now >= self.expires_at

    def apply(self, event: OrderEvent) -> Order:
        """The order after `event`. Raises ImpossibleChange for what the state table does not allow."""
        state = next_state(self.execution_state, event)
        changed = self.changed(execution_state=state, updated_at=event.at)
        match event:
            case happened.SendStarted():
                return changed.changed(
                    attempts=self.attempts + 1,
                    fence=self.fence + 1,
                    due_at=event.lease_until,
                    open_attempts=(*self.open_attempts, OpenAttempt(self.attempts + 1, event.sender)),
                    not_founds=0,
                )
            case happened.OutcomeLost():
                return changed.changed(
                    due_at=event.retry_at,
                    reason=event.reason,
                    retries_used=self.retries_used + event.spends_retry,
                    refused_at=event.at if event.refused else self.refused_at,
                )
            case happened.RetriesSpent():
                return changed.changed(due_at=event.look_again_at, reason=event.reason)
            case happened.RetryRequested():
                return changed.changed(
                    due_at=event.at,
                    retries_used=0,
                    refused_at=None,
                    reason=Reason("RETRY_REQUESTED", "A retry was requested; the venue is asked first."),
                )
            case happened.Abandoned():
                reason = Reason(ABANDONED, "Given up by the trader; it ends when the venue is proven not to have it.")
                return changed.changed(
                    due_at=event.at,
                    abandoned_at=event.at,
                    cancel_requested_at=self.cancel_requested_at or event.at,
                    cancel_reason=reason,
                    reason=reason,
                )
            case happened.CancelWanted():
                # while a request may be on the wire its sender keeps the lease; otherwise act at once
                leased = self.execution_state is ExecutionState.SENDING
                return changed.changed(
                    due_at=self.due_at if leased else event.at,
                    cancel_requested_at=self.cancel_requested_at or event.at,
                    cancel_reason=self.cancel_reason or event.reason,
                    reason=event.reason,
                )
            case happened.VenueAccepted():
                return changed.changed(
                    venue_order_id=event.venue_order_id,
                    other_venue_orders=(*self.other_venue_orders, *event.other_venue_orders),
                    due_at=event.look_again_at if self.amend_requested_at is None else event.at,
                    not_founds=0,
                    refused_at=None,
                    reason=None,
                )
            case happened.Filled():
                return changed._filled(event)
            case happened.AmendWanted():
                leased = self.execution_state is ExecutionState.SENDING
                return changed.changed(
                    due_at=self.due_at if leased else event.at,
                    amend_requested_at=event.at,
                    amend_quantity=event.quantity,
                    amend_price=event.price,
                    amend_reservation_price=event.reservation_price,
                    amend_price_bound=event.price_bound,
                )
            case happened.Amended():
                return changed._amended(event)
            case happened.Rejected():
                return changed.changed(status=OrderStatus.REJECTED, reason=event.reason)._closed(event.at)
            case happened.Cancelled():
                return changed.changed(status=OrderStatus.CANCELLED, reason=event.reason)._closed(event.at)
        raise ImpossibleChange(f"{type(event).__name__} does not change an order")

    def _filled(self, fill: happened.Filled) -> Order:
        quantity = self.filled_quantity + fill.quantity
        if quantity > self.quantity:
            raise ImpossibleChange(f"{quantity} filled of an order for {self.quantity}")
        notional = self.filled_notional + fill.quantity * fill.price
        complete = quantity == self.quantity
        changed = self.changed(
            filled_quantity=quantity, filled_notional=notional, average_fill_price=average(notional, quantity)
        )
        if self.execution_state is ExecutionState.QUEUED:  # of what was replaced away: so much less is sent
            changed = changed.changed(filled_before=self.filled_before + fill.quantity)
        if complete:
            # also after an end (I9): a late fill that completes the order makes it FILLED
            return changed.changed(status=OrderStatus.FILLED, reason=None)._closed(self.closed_at or fill.at)
        return changed if self.is_closed else changed.changed(status=OrderStatus.PARTIAL)

    def _amended(self, event: happened.Amended) -> Order:
        sent = self.attempts > self.attempts_before
        changed = self.changed(
            quantity=max(event.quantity, self.filled_quantity),
            price=event.price,
            price_bound=event.price_bound,
            reservation_price=event.reservation_price,
            due_at=event.at,
            venue_order_id=None,
            other_venue_orders=self.other_venue_orders
            if self.venue_order_id is None
            else (*self.other_venue_orders, self.venue_order_id),
            replacements=self.replacements + sent,
            attempts_before=self.attempts,
            filled_before=self.filled_quantity,
            retries_used=0,
            not_founds=0,
            refused_at=None,
            client_id_known_at=None,
            cancel_sent_at=None,
            reason=None,
            **_NO_AMENDMENT,
        )
        if changed.filled_quantity == changed.quantity:  # what was wanted had been executed meanwhile
            return changed.changed(status=OrderStatus.FILLED)._closed(event.at)
        return changed

    def _closed(self, at: datetime) -> Order:
        return self.changed(execution_state=ExecutionState.CLOSED, due_at=None, closed_at=at, **_NO_AMENDMENT)

    def watched(self, **schedule: object) -> Order:
        """The order with bookkeeping changed that is not part of its story: leases, due times, look-up counts.

        Only the names in `_SCHEDULE_FIELDS` may be given.
        """
        if not schedule.keys() <= _SCHEDULE_FIELDS:
            raise ImpossibleChange(f"not bookkeeping: {sorted(schedule.keys() - _SCHEDULE_FIELDS)}")
        return self.changed(**schedule)


_NO_AMENDMENT: dict[str, object] = {
    "amend_requested_at": None,
    "amend_quantity": None,
    "amend_price": None,
    "amend_reservation_price": None,
    "amend_price_bound": None,
}
_SCHEDULE_FIELDS = {
    "fence", "due_at", "not_founds", "retries_used", "open_attempts", "send_ended_at", "alarm_code", "refused_at",
    "client_id_known_at", "cancel_sent_at", "stray_due_at", "venue_order_id", "other_venue_orders", "covered_quantity",
}  # fmt: skip
