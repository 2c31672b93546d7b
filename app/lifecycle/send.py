"""execute: an order leaves for the venue, and what came back is recorded.

I4: the attempt row is committed before anything leaves, in the transaction that checks once more that it may. I10: no
transaction is open while the venue is called. I7: what is not the venue's definite word leaves the order in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import Actor, AttemptEnded, AttemptStarted, Held, Verdict
from app.domain.money import trimmed
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState
from app.domain.orders import Order, OrderType
from app.domain.reconciliation import Nonsense, adopt
from app.domain.retry_policy import GiveUp, RetryAt, look_again_at
from app.domain.venue_answers import (
    Accepted,
    ClientIdKnown,
    OrderInstruction,
    OutcomeUnknown,
    Refused,
    SubmitAnswer,
)
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record

WORKER = Actor("worker")


@dataclass(frozen=True, slots=True)
class Leaving:
    """A committed attempt: what is about to go on the wire."""

    order: Order
    number: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing more to do now; the order's due time or the venue says when."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It ended without an answer; look again at that time (aware UTC)."""

    at: datetime
    reason: Reason


Next = Settled | TryAgain


def forbids_sending(held: Held, now: datetime) -> Reason | None:
    """Why this order must not leave for the venue now, whatever was true when it was accepted (I4)."""
    order = held.order
    if order.cancel_requested_at is not None:
        return order.cancel_reason or Reason("USER_REQUEST", "Cancelled on the trader's request.")
    if order.has_expired(now):
        return Reason("TIMEOUT", "Its deadline passed before it could be executed.")
    if held.instrument_status != "ACTIVE":
        status = (held.instrument_status or "unknown").lower()
        return Reason("INSTRUMENT_NOT_TRADABLE", f"{order.symbol} cannot be traded now: it is {status}.")
    if held.trading_state == "HALTED":
        return Reason("HALT", "Trading was halted before the order was sent.")
    return None


def start_sending(ports: Ports, record: Record) -> Leaving:
    """The attempt row and the claim, for the caller's transaction."""
    record.happened(
        happened.SendStarted(record.now, sender=ports.senders.me, lease_until=ports.policy.lease_until(record.now)),
        sent_at=record.now,
    )
    order = record.order
    record.attempt_started(
        AttemptStarted("SUBMIT", order.attempts, order.fence, str(order.id), ports.senders.me, record.now)
    )
    return Leaving(order, order.attempts)


def send(ports: Ports, leaving: Leaving) -> Next:
    """Call the venue, then record what it said."""
    order = leaving.order
    answer = ports.venue_of(order.venue).submit(instruction(order))
    return record_answer(ports, order.id, leaving.number, answer)


def instruction(order: Order) -> OrderInstruction:
    """The order as the venue gets it; our order id is its client order id."""
    price = None if order.price is None else trimmed(order.price)
    return OrderInstruction(
        client_order_id=str(order.id),
        symbol=order.symbol,
        side=order.side,
        quantity=trimmed(order.quantity),
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        limit_price=price if order.order_type is OrderType.LIMIT else None,
        stop_price=price if order.order_type is OrderType.STOP else None,
    )


def record_answer(ports: Ports, order_id: UUID, number: int, answer: SubmitAnswer) -> Next:
    """Evidence is applied whoever holds the order by now (I3)."""

    def decide(held: Held) -> Verdict[Next]:
        record = Record(ports, held, WORKER)
        outcome, code, evidence = _ended(answer)
        record.attempt_ended(AttemptEnded("SUBMIT", number, record.now, outcome, code, evidence))
        if held.order.attempts == number:
            record.bookkeeping(send_ended_at=record.now)
        following = _apply(ports, record, number, answer, held)
        return Verdict(following, record.changes())

    return ports.store.change(order_id, decide, books=isinstance(answer, Refused))


def _ended(answer: SubmitAnswer) -> tuple[str, str | None, str | None]:
    match answer:
        case Accepted():
            return "ACCEPTED", None, None
        case Refused(code=code, evidence=evidence):
            return "REFUSED", code, evidence
        case ClientIdKnown(evidence=evidence):
            return "KNOWN_ALREADY", "CLIENT_ORDER_ID_KNOWN", evidence
        case OutcomeUnknown(code=code, evidence=evidence):
            return "UNKNOWN", code, evidence


def _apply(ports: Ports, record: Record, number: int, answer: SubmitAnswer, held: Held) -> Next:
    order = record.order
    latest = order.attempts == number
    match answer:
        case Accepted(report):
            try:
                for event in adopt(order, report, (), held.known, record.now, found_by_asking=False):
                    record.happened(event)
            except Nonsense as nonsense:
                record.alarm(nonsense.code, str(nonsense))
                return _in_doubt(ports, record, Reason("VENUE_ANSWER_NONSENSE", str(nonsense)), latest=latest)
            if not record.order.is_closed and report.filled_quantity > record.order.filled_quantity:
                # it was executed at once: the executions are asked for, never guessed
                record.bookkeeping(due_at=record.now)
                return TryAgain(record.now, Reason("EXECUTIONS_MISSING", "Executions are being fetched."))
            return Settled()
        case Refused(code=code, message=message):
            if order.is_closed or order.is_known_at_venue:
                record.alarm("REFUSED_BUT_KNOWN", f"attempt {number} was refused ({code}), but the venue has the order")
                return Settled()
            if not latest:
                return Settled()
            reason = Reason(code, message)
            if number == 1:
                record.happened(happened.Rejected(record.now, reason=reason))
                return Settled()
            return _in_doubt(ports, record, reason, latest=True, refused=True)
        case ClientIdKnown(message=message):
            return _in_doubt(ports, record, Reason("CLIENT_ORDER_ID_KNOWN", message), latest=latest)
        case OutcomeUnknown(code=code, message=message):
            return _in_doubt(ports, record, Reason(code, message), latest=latest)


def _in_doubt(ports: Ports, record: Record, reason: Reason, *, latest: bool, refused: bool = False) -> Next:
    if record.order.execution_state is ExecutionState.SENDING and latest:
        return lose_outcome(ports, record, reason, refused=refused)
    if record.order.execution_state is ExecutionState.CANCELLING and not record.order.is_known_at_venue:
        record.bookkeeping(due_at=record.now)  # the cancel waits for somebody to ask
        return TryAgain(record.now, reason)
    return Settled()


def lose_outcome(ports: Ports, record: Record, reason: Reason, *, refused: bool = False) -> Next:
    """An attempt or the look-up before one gave no answer: retry on schedule, or a person decides."""
    match ports.policy.after_failure(record.order, record.now):
        case RetryAt(at):
            record.happened(happened.OutcomeLost(record.now, reason=reason, retry_at=at, refused=refused))
            return TryAgain(at, reason)
        case GiveUp():
            record.happened(happened.OutcomeLost(record.now, reason=reason, retry_at=record.now, refused=refused))
            record.happened(
                happened.RetriesSpent(record.now, reason=reason, look_again_at=look_again_at(record.order, record.now))
            )
            return Settled()
