"""One step of an order's way, whoever asks for it: claim it, then send, ask or cancel.

Messages carry an order id and nothing else, may come twice, late, or forged: what is to be done is read from the
order under its lock. A claim raises the fence and sets a lease (the due time); a second claim finds neither due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import AttemptEnded, Held, NoSuchOrder, Verdict
from app.domain.money import plain
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState
from app.domain.orders import Order
from app.domain.retry_policy import stalls_at
from app.lifecycle.cancel import send_cancel, start_cancelling
from app.lifecycle.exits import WAITS, WAITS_FOR
from app.lifecycle.ports import Ports, UnknownVenue
from app.lifecycle.reconcile import ask
from app.lifecycle.record import Record
from app.lifecycle.send import (
    WORKER,
    Leaving,
    Next,
    Settled,
    TryAgain,
    attempt_key,
    forbids_sending,
    send,
    start_sending,
)

CLOCK_SLACK = timedelta(milliseconds=50)
"""A retry's message may arrive this much before its time by another host's clock."""
MOST_STEPS = 4
UNREACHABLE = timedelta(seconds=30)
AFTER_STRAY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Ask:
    order: Order


@dataclass(frozen=True, slots=True)
class _Cancel:
    order: Order


def advance(ports: Ports, order_id: UUID) -> Next:
    """Do what is due for this order, and what follows at once from it.

    Returns TryAgain when an attempt, or the question before one, ended without an answer. A message about an order
    that does not exist is settled: it was forged or is older than the database.
    """
    following: Next = Settled()
    for _ in range(MOST_STEPS):
        try:
            following = _step(ports, order_id)
        except NoSuchOrder:
            return Settled()
        if not isinstance(following, TryAgain) or following.at > ports.clock.now():
            return following
    return following


def _step(ports: Ports, order_id: UUID) -> Next:
    claimed = ports.store.change(order_id, lambda held: _claim(ports, held), sending=True)
    following: Next | Leaving
    match claimed:
        case None:
            return Settled()
        case Leaving():
            return send(ports, claimed)
        case _Cancel(order):
            done = send_cancel(ports, order)
            if done is not None:
                return done
            following = ask(ports, order)
        case _Ask(order):
            following = ask(ports, order)
    return send(ports, following) if isinstance(following, Leaving) else following


def _claim(ports: Ports, held: Held) -> Verdict[Leaving | _Ask | _Cancel | None]:
    order = held.order
    record = Record(ports, held, WORKER)
    now = record.now
    if order.is_closed and (order.stray_due_at is None or order.stray_due_at > now):
        return Verdict(None)
    try:
        ports.venue_of(order.venue)
    except UnknownVenue as unknown:
        record.alarm("VENUE_NOT_CONFIGURED", str(unknown))
        schedule = {"stray_due_at": now + UNREACHABLE} if order.is_closed else {"due_at": now + UNREACHABLE}
        record.bookkeeping(**schedule)
        return Verdict(None, record.changes())
    if order.is_closed:
        record.bookkeeping(fence=order.fence + 1, stray_due_at=now + AFTER_STRAY)
        return Verdict(_Cancel(start_cancelling(ports, record)), record.changes())
    if order.execution_state is ExecutionState.QUEUED:
        forbidden = forbids_sending(held, now)
        if forbidden is not None and order.is_exit and forbidden.code in WAITS_FOR:
            record.bookkeeping(due_at=now + WAITS)
            return Verdict(None, record.changes())
        if forbidden is not None:
            record.happened(happened.Cancelled(now, reason=forbidden))
            return Verdict(None, record.changes())
        return Verdict(start_sending(ports, record), record.changes())
    if (order.due_at is None or order.due_at > now + CLOCK_SLACK) and not sender_died(ports, order):
        return Verdict(None)  # somebody else has it, or it is not its time

    _see_whether_senders_ended(ports, record)
    wants_out = order.has_expired(now) and order.cancel_requested_at is None
    if wants_out and order.execution_state is not ExecutionState.SENDING:
        record.happened(happened.CancelWanted(now, reason=deadline_reason(order)))
    stalled_at = stalls_at(record.order)
    if stalled_at is not None and now >= stalled_at and record.order.cancel_requested_at is None:
        reason = Reason("ENTRY_STALLED", "Filled in part only; the rest is cancelled so that its exits can stand.")
        record.happened(happened.CancelWanted(now, reason=reason))
    record.bookkeeping(fence=record.order.fence + 1, due_at=ports.policy.lease_until(now))
    wanted = record.order.is_leaving_venue and record.order.is_known_at_venue
    if wanted and record.order.cancel_sent_at is None:
        return Verdict(_Cancel(start_cancelling(ports, record)), record.changes())
    return Verdict(_Ask(record.order), record.changes())


def deadline_reason(order: Order) -> Reason:
    """Why what is left of an order is cancelled at its deadline."""
    if order.price_bound is None:
        return Reason("TIMEOUT", "It was not filled by its deadline; the rest is cancelled.")
    bound = plain(order.price_bound)
    if order.max_slippage_bps is None:
        return Reason("TIMEOUT", f"It was not filled at {bound} or better by its deadline; the rest is cancelled.")
    return Reason("SLIPPAGE", f"The rest could not be filled at {bound} or better by its deadline.")


def sender_died(ports: Ports, order: Order) -> bool:
    """A lease whose holder is gone need not run out."""
    if order.execution_state is not ExecutionState.SENDING or not order.open_attempts:
        return False
    latest = order.open_attempts[-1]
    return ports.senders.has_ended(latest.sender, attempt_key(order.id, latest.number))


def _see_whether_senders_ended(ports: Ports, record: Record) -> None:
    """I5 and I7 count from the proven end of every sender: here, that it is gone or says so itself."""
    for attempt in record.order.open_attempts:
        if ports.senders.has_ended(attempt.sender, attempt_key(record.order.id, attempt.number)):
            record.attempt_ended(
                AttemptEnded("SUBMIT", attempt.number, record.now, "SENDER_GONE", "SENDER_LOST", "it sends no more")
            )
