"""A cancel: first a wish that is stored, then a request to the venue, which decides.

A cancel is asked for again until the venue's word on the order is known; a reply that is lost is asked after.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import Actor, AttemptEnded, AttemptStarted, Held, Verdict
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import Order
from app.domain.venue_answers import CancelRefused, CancelTaken, OutcomeUnknown
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record
from app.lifecycle.send import WORKER, Settled

USER_REQUEST = Reason("USER_REQUEST", "Cancelled on the trader's request.")
CONFIRM_AFTER = timedelta(seconds=1)
"""The stream tells sooner; this is for when it does not."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It is cancelled."""

    order: Order


@dataclass(frozen=True, slots=True)
class CancelStored:
    """The wish is stored; the venue decides."""

    order: Order


@dataclass(frozen=True, slots=True)
class TooLate:
    """It ended otherwise before."""

    order: Order


CancelOutcome = Cancelled | CancelStored | TooLate


def request_cancel(
    ports: Ports, order_id: UUID, actor: Actor, *, trader_id: UUID | None = None, reason: Reason = USER_REQUEST
) -> CancelOutcome:
    """Store the wish; an order that was never sent ends at once. Raises NoSuchOrder."""
    to_wake: Order | None = None

    def decide(held: Held) -> Verdict[CancelOutcome]:
        nonlocal to_wake
        to_wake = None
        record = Record(ports, held, actor)
        match held.order.execution_state:
            case ExecutionState.CLOSED:
                cancelled = held.order.status is OrderStatus.CANCELLED
                return Verdict(Cancelled(held.order) if cancelled else TooLate(held.order))
            case ExecutionState.CANCELLING:
                return Verdict(CancelStored(held.order))
            case ExecutionState.QUEUED:
                record.happened(happened.Cancelled(record.now, reason=reason))
                return Verdict(Cancelled(record.order), record.changes())
            case _:
                record.happened(happened.CancelWanted(record.now, reason=reason))
                to_wake = record.order
                return Verdict(CancelStored(record.order), record.changes())

    outcome = ports.store.change(order_id, decide, trader_id=trader_id)
    if to_wake is not None:
        ports.wakeups.work(to_wake)
    return outcome


def start_cancelling(ports: Ports, record: Record) -> Order:
    """The attempt row of a cancel, for the caller's claim. Its number is the claim's fence: every claim has its own."""
    order = record.order
    record.attempt_started(
        AttemptStarted(_kind(order), order.fence, order.fence, order.client_order_id, ports.senders.me, record.now)
    )
    return order


def _kind(order: Order) -> str:
    """A cancel that makes way for other terms, or one for good."""
    return "REPLACE" if order.execution_state is ExecutionState.WORKING else "CANCEL"


def send_cancel(ports: Ports, claimed: Order) -> Settled | None:
    """Ask the venue to cancel a claimed order. None: the venue must now be asked what became of it."""
    if claimed.venue_order_id is None:
        raise ValueError("a cancel needs the venue's order id")
    answer = ports.venue_of(claimed.venue).cancel(claimed.venue_order_id)
    heard = WORKER.hearing(ports.clock.now())

    def decide(held: Held) -> Verdict[Settled | None]:
        record = Record(ports, held, heard)
        outcome, code, evidence = {
            CancelTaken: ("TAKEN", None, None),
            CancelRefused: ("REFUSED", getattr(answer, "code", None), getattr(answer, "message", None)),
            OutcomeUnknown: ("UNKNOWN", getattr(answer, "code", None), getattr(answer, "evidence", None)),
        }[type(answer)]
        record.attempt_ended(AttemptEnded(_kind(claimed), claimed.fence, record.now, outcome, code, evidence))
        if isinstance(answer, CancelTaken):
            if record.order.is_closed:
                return Verdict(None, record.changes())  # a stray: what becomes of it is asked at once
            now = record.order
            still_to_leave = now.is_leaving_venue and now.venue_order_id == claimed.venue_order_id
            # the stream may have told that it is cancelled before its own answer came: then that is settled, and what
            # has been sent in its place has not been cancelled by it
            if now.fence == claimed.fence and still_to_leave:
                # the next step asks; only if the order still works there is it cancelled again
                record.bookkeeping(cancel_sent_at=record.now, due_at=record.now + CONFIRM_AFTER)
            return Verdict(Settled(), record.changes())
        return Verdict(None, record.changes())

    return ports.store.change(claimed.id, decide)
