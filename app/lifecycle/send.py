"""execute: an order leaves for the venue, and what came back is recorded.

I4: the attempt row is committed before anything leaves, in the transaction that checks once more that it may. I10: no
transaction is open while the venue is called. I7: what is not the venue's definite word leaves the order in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import (
    Actor,
    AttemptEnded,
    AttemptStarted,
    Held,
    LostRace,
    StoreRefused,
    StoreUnavailable,
    Verdict,
)
from app.domain.money import ZERO, trimmed
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState, ImpossibleChange
from app.domain.orders import POSITION_GONE, Order, OrderType, Side
from app.domain.reconciliation import Nonsense, adopt
from app.domain.retry_policy import HELD_BACK_AT_LEAST, GiveUp, RetryAt, asked_to_wait_until, look_again_at
from app.domain.venue_answers import (
    NONSENSE,
    Accepted,
    ClientIdKnown,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    Refused,
    SubmitAnswer,
)
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record

T = TypeVar("T")

WORKER = Actor("worker")
HELD_BACK = "VENUE_THROTTLED_BY_US"
"""Our own throttle: nothing was sent, and it says nothing about the venue."""
RECORD_PAUSES = (0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to store an answer while the database is away, or the order is held by somebody who stands
still; after them the venue is asked again."""


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
    if order.is_exit and order.side is Side.SELL and (held.held_quantity or ZERO) < order.leaves_quantity:
        return Reason(POSITION_GONE, f"The position in {order.symbol} that it was to protect is not there any more.")
    if held.instrument_status != "ACTIVE":
        status = (held.instrument_status or "unknown").lower()
        return Reason("INSTRUMENT_NOT_TRADABLE", f"{order.symbol} cannot be traded now: it is {status}.")
    if held.halt is not None:
        return held.halt.as_reason()
    oversold = max(-(held.held_quantity or ZERO), ZERO)
    adds_risk = order.side is Side.BUY and order.leaves_quantity > oversold  # one that buys back what was oversold may
    if held.trading_state == "HALTED" or (held.trading_state == "REDUCING" and adds_risk):
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
        AttemptStarted("SUBMIT", order.attempts, order.fence, order.client_order_id, ports.senders.me, record.now)
    )
    return Leaving(order, order.attempts)


def send(ports: Ports, leaving: Leaving) -> Next:
    """Call the venue, then record what it said.

    A sender that was held up until its lease ran out sends nothing: somebody else may have asked and decided by now.
    """
    order = leaving.order
    with ports.senders.sending(attempt_key(order.id, leaving.number)):
        if order.due_at is not None and ports.clock.now() >= order.due_at:
            answer: SubmitAnswer = OutcomeUnknown(
                "LEASE_LOST", "The sender was held up; nothing was sent.", nothing_sent=True
            )
        else:
            answer = ports.venue_of(order.venue).submit(instruction(order))
    return _record_until_stored(ports, leaving, answer, ports.clock.now())


def attempt_key(order_id: UUID, number: int) -> str:
    """Names one submit, for who sends it."""
    return f"{order_id}/{number}"


def _record_until_stored(ports: Ports, leaving: Leaving, answer: SubmitAnswer, received_at: datetime) -> Next:
    """The venue's word is not thrown away because the database is away, or the order held, for a moment (I3)."""
    order, number = leaving.order, leaving.number
    # mostly nobody has touched the order while the venue answered: then it need not be read again
    as_left = order if isinstance(answer, Accepted) else None
    for pause in RECORD_PAUSES:
        try:
            return record_answer(ports, order.id, number, answer, received_at, as_left=as_left)
        except (StoreUnavailable, LostRace):
            ports.wait(pause)
    return record_answer(ports, order.id, number, answer, received_at)


def instruction(order: Order) -> OrderInstruction:
    """The order as the venue gets it; our order id is its client order id."""
    limit = order.price if order.order_type is OrderType.LIMIT else order.price_bound
    stop = order.price if order.order_type is OrderType.STOP else None
    order_type: str = order.order_type
    if order.price_bound is not None:  # it can never be filled at a worse price than this
        order_type = OrderType.LIMIT if stop is None else "STOP_LIMIT"
    return OrderInstruction(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=trimmed(order.quantity_at_venue),
        order_type=order_type,
        time_in_force=order.time_in_force,
        limit_price=None if limit is None else trimmed(limit),
        stop_price=None if stop is None else trimmed(stop),
        or_stop_price=trimmed(order.stop_loss) if order.is_exit_pair and order.stop_loss is not None else None,
    )


def record_answer(
    ports: Ports,
    order_id: UUID,
    number: int,
    answer: SubmitAnswer,
    received_at: datetime | None = None,
    *,
    as_left: Order | None = None,
) -> Next:
    """Evidence is applied whoever holds the order by now (I3). `received_at`: when it reached us, if not now.

    `as_left`: the order as the attempt's own commit left it, which may spare reading it again.
    """
    heard = WORKER.hearing(received_at or ports.clock.now())

    def decide(held: Held) -> Verdict[Next]:
        record = Record(ports, held, heard)
        outcome, code, evidence = _ended(answer)
        record.attempt_ended(AttemptEnded("SUBMIT", number, record.now, outcome, code, evidence))
        following = _apply(ports, record, number, answer, held)
        return Verdict(following, record.changes())

    return change_or_alarm(ports, order_id, decide, books=isinstance(answer, Refused), as_left=as_left)


def change_or_alarm(
    ports: Ports,
    order_id: UUID,
    decide: Callable[[Held], Verdict[T]],
    *,
    books: bool,
    sending: bool = False,
    as_left: Order | None = None,
) -> T | Settled:
    """Change the order; what it cannot take (the venue's word contradicts the books) becomes an alarm on it.

    Otherwise the same word would be heard, and refused, for ever, and nobody would know.
    """
    try:
        return ports.store.change(order_id, decide, books=books, sending=sending, as_left=as_left)
    except (StoreRefused, ImpossibleChange) as error:
        problem = str(error)

    def alarm(held: Held) -> Verdict[Settled]:
        record = Record(ports, held, WORKER)
        record.alarm("NOT_BOOKABLE", f"the venue's word cannot be booked: {problem}"[:500])
        if not held.order.is_closed:
            record.bookkeeping(due_at=look_again_at(held.order, record.now))
        return Verdict(Settled(), record.changes())

    return ports.store.change(order_id, alarm)


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
    # an attempt at a venue order that has been replaced since: of the one that stands, its refusal says nothing
    replaced = number <= order.attempts_before
    match answer:
        case Accepted(report):
            if order.is_closed:
                found_after_end(record, report)
                remember_other_orders(record, report)
                return Settled()
            try:
                for event in adopt(order, report, (), held.known, record.now, found_by_asking=False):
                    record.happened(event, venue_at=report.updated_at)
            except Nonsense as nonsense:
                contradicted(record, nonsense)
                return _in_doubt(ports, record, Reason(NONSENSE, str(nonsense)), latest=latest)
            remember_venue_order(record, report)
            remember_other_orders(record, report)
            if record.order.is_leaving_venue:
                record.bookkeeping(due_at=record.now)
                return TryAgain(record.now, Reason("CANCEL_WANTED", "The cancel goes out now."))
            if not record.order.is_closed and report.total_filled > record.order.filled_at_venue:
                # it was executed at once: the executions are asked for, never guessed
                record.bookkeeping(due_at=record.now)
                return TryAgain(record.now, Reason("EXECUTIONS_MISSING", "Executions are being fetched."))
            return Settled()
        case Refused(code=code, message=message):
            if order.is_closed or order.is_known_at_venue:
                record.alarm("REFUSED_BUT_KNOWN", f"attempt {number} was refused ({code}), but the venue has the order")
                return Settled()
            if not latest or replaced:
                return Settled()
            reason = Reason(code, message)
            if number == order.attempts_before + 1:
                record.happened(happened.Rejected(record.now, reason=reason))
                return Settled()
            return _in_doubt(ports, record, reason, latest=True, refused=True)
        case ClientIdKnown(message=message):
            if replaced:
                return Settled()
            if not order.is_closed:
                record.bookkeeping(client_id_known_at=record.now)
            return _in_doubt(ports, record, Reason("CLIENT_ORDER_ID_KNOWN", message), latest=latest)
        case OutcomeUnknown(code=code, message=message):
            if code == NONSENSE:
                record.alarm(code, f"attempt {number} was answered with what cannot be true; the order is in doubt")
            return _in_doubt(ports, record, Reason(code, message), latest=latest, retry_after=answer.retry_after)


def contradicted(record: Record, nonsense: Nonsense) -> None:
    """The venue's word cannot be true of this order: alarm, and halt where something was executed that must not be."""
    record.alarm(nonsense.code, str(nonsense))
    if nonsense.halts:
        record.halt_trader(nonsense.code, f"order {record.order.id}: {nonsense}")


def remember_other_orders(record: Record, report: OrderReport) -> None:
    """The stream, which may have told of the acceptance or even the end first, does not name a pair's other exit."""
    unknown = set(report.ids) - record.order.venue_ids
    if unknown and record.order.venue_order_id in report.ids:
        record.bookkeeping(other_venue_orders=(*record.order.other_venue_orders, *sorted(unknown)))


def remember_venue_order(record: Record, report: OrderReport) -> None:
    """An order that the venue rejected before we heard of its acceptance: what is heard of it later is old news."""
    if record.order.is_closed and record.order.venue_order_id is None:
        record.bookkeeping(venue_order_id=report.venue_order_id)


def found_after_end(record: Record, report: OrderReport, *, is_fresh: bool = False) -> None:
    """The venue has an order that had ended here: alarm, and go after it until it has ended there.

    Unless the report `is_fresh`, it may be an old message about an order that the venue itself has ended.
    """
    order = record.order
    if report.venue_order_id in order.venue_ids and order.stray_due_at is None and not is_fresh:
        return
    stands = report.stands_as
    record.alarm("LIVE_AFTER_END", f"{stands} is at the venue although the order had ended here")
    if order.venue_order_id is None or order.venue_ids.intersection(report.ids):
        # the next cancel is for the one that lives: the stop of a pair, or even what was replaced away
        others = order.venue_ids.union(report.ids) - {stands}
        if stands != order.venue_order_id or others != set(order.other_venue_orders):
            record.bookkeeping(venue_order_id=stands, other_venue_orders=tuple(sorted(others)))
    record.bookkeeping(stray_due_at=record.now)


def _in_doubt(
    ports: Ports,
    record: Record,
    reason: Reason,
    *,
    latest: bool,
    refused: bool = False,
    retry_after: float | None = None,
) -> Next:
    if record.order.execution_state is ExecutionState.SENDING and latest:
        return lose_outcome(ports, record, reason, refused=refused, retry_after=retry_after)
    if refused and not record.order.is_closed and not record.order.is_known_at_venue:
        record.bookkeeping(refused_at=record.now)
    if record.order.execution_state is ExecutionState.CANCELLING and not record.order.is_known_at_venue:
        record.bookkeeping(due_at=record.now)  # the cancel waits for somebody to ask
        return TryAgain(record.now, reason)
    return Settled()


def lose_outcome(
    ports: Ports, record: Record, reason: Reason, *, refused: bool = False, retry_after: float | None = None
) -> Next:
    """An attempt or the look-up before one gave no answer: retry on schedule, or a person decides.

    `retry_after` (seconds) is what the venue, or our own throttle, asked for.
    """
    now = record.now
    held_back = reason.code == HELD_BACK
    asked_for = asked_to_wait_until(record.order, now, retry_after)
    following = ports.policy.after_failure(record.order, now)
    if held_back and isinstance(following, GiveUp):
        following = RetryAt(now + HELD_BACK_AT_LEAST)
    match following:
        case RetryAt(at):
            at = max(at, asked_for)
            record.happened(
                happened.OutcomeLost(now, reason=reason, retry_at=at, refused=refused, spends_retry=not held_back)
            )
            return TryAgain(at, reason)
        case GiveUp():
            record.happened(happened.OutcomeLost(now, reason=reason, retry_at=now, refused=refused))
            spent = _for_a_person(record.order, reason)
            record.happened(happened.RetriesSpent(now, reason=spent, look_again_at=look_again_at(record.order, now)))
            return Settled()


def _for_a_person(order: Order, reason: Reason) -> Reason:
    """What a person has to know who decides about an order without automatic retries."""
    if order.attempts == order.attempts_before:
        known = "It was not sent: the venue could not be asked whether it has it."
    else:
        sent = order.attempts - order.attempts_before
        times = "once" if sent == 1 else f"{sent} times"
        known = f"It was sent {times}, and nobody knows whether the venue has it."
    return Reason(reason.code, f"{reason.message} {known} Retry asks the venue first; it may still be executed.")
