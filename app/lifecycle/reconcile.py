"""(reconcile): the venue is asked, and its word is taken over.

FR-009: before anything is sent again, the venue is asked. I5 and I7 decide what its answer allows; they live in
`app.domain.reconciliation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import Actor, Held, NoSuchOrder, Verdict
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState
from app.domain.orders import Order
from app.domain.reconciliation import (
    AbsenceProven,
    Adopt,
    Decision,
    KeepAsking,
    Nonsense,
    SendAgain,
    StillUnknown,
    absence,
    adopt,
    decide,
)
from app.domain.retry_policy import GiveUp, look_again_at
from app.domain.venue_answers import (
    CancelRefused,
    Execution,
    Executions,
    Found,
    OrderReport,
    OutcomeUnknown,
    TradeUpdate,
    VenueOrderStatus,
)
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record
from app.lifecycle.send import WORKER, Leaving, Next, Settled, TryAgain, forbids_sending, lose_outcome, start_sending

LISTENER = Actor("listener")
BEFORE_ACCEPTANCE = timedelta(minutes=5)
"""How far before our acceptance executions are listed from: more than any clock difference to the venue."""


def ask(ports: Ports, claimed: Order) -> Next | Leaving:
    """Ask the venue about a claimed order and settle what follows; a Leaving is a committed new attempt."""
    venue = ports.venue_of(claimed.venue)
    answer = venue.find(str(claimed.id))
    executions: Sequence[Execution] = ()
    if isinstance(answer, Found) and answer.report.filled_quantity > claimed.filled_quantity:
        listed = venue.executions(answer.report, claimed.created_at - BEFORE_ACCEPTANCE)
        match listed:
            case Executions(executions=executions):
                pass
            case OutcomeUnknown():
                pass  # the order's state is known, its executions are not: they are asked for again when it is due
    decision = decide(claimed, answer, venue.capabilities, ports.clock.now())
    return _settle(ports, claimed, decision, executions)


def _settle(ports: Ports, claimed: Order, decision: Decision, executions: Sequence[Execution]) -> Next | Leaving:
    def settle(held: Held) -> Verdict[Next | Leaving]:
        record = Record(ports, held, WORKER)
        if isinstance(decision, Adopt):
            following: Next | Leaving = take_over(record, decision.report, executions, held, found_by_asking=True)
            return Verdict(following, record.changes())
        if held.order.fence != claimed.fence or held.order.is_closed:
            return Verdict(Settled())  # somebody else owns it by now: an intent made under an old fence is dropped
        return Verdict(_intend(ports, record, decision, held), record.changes())

    return ports.store.change(claimed.id, settle, books=isinstance(decision, (Adopt, AbsenceProven)))


def _intend(ports: Ports, record: Record, decision: Decision, held: Held) -> Next | Leaving:
    order, now = record.order, record.now
    doubted = order.execution_state in (ExecutionState.IN_DOUBT, ExecutionState.SENDING)
    match decision:
        case KeepAsking(not_founds, again_at):
            record.bookkeeping(not_founds=not_founds, due_at=again_at)
            if order.is_known_at_venue and not_founds >= 3:
                record.alarm("MISSING_AT_VENUE", "The venue had accepted this order and now says it does not know it.")
            return Settled()
        case AbsenceProven(not_founds):
            record.bookkeeping(not_founds=not_founds)
            record.happened(absence(order, now))
            return Settled()
        case StillUnknown(reason):
            if doubted:
                return lose_outcome(ports, record, reason)
            record.bookkeeping(due_at=look_again_at(order, now))
            return Settled()
        case SendAgain():
            return _send_again(ports, record, held)
        case Adopt():
            raise TypeError("an adoption is evidence, not an intent")


def _send_again(ports: Ports, record: Record, held: Held) -> Next | Leaving:
    order, now = record.order, record.now
    forbidden = forbids_sending(held, now)
    if forbidden is not None:
        # an earlier request may still be executed: the order ends when its absence is proven
        record.happened(happened.CancelWanted(now, reason=forbidden))
        return TryAgain(now, forbidden)
    if order.execution_state is ExecutionState.SENDING:
        # its sender died; this new attempt is one of the retries
        if isinstance(ports.policy.after_failure(order, now), GiveUp):
            return lose_outcome(ports, record, Reason("SENDER_LOST", "The process that sent it ended on the way."))
        record.bookkeeping(retries_used=order.retries_used + 1)
    return start_sending(ports, record)


def take_over(
    record: Record, report: OrderReport, executions: Sequence[Execution], held: Held, *, found_by_asking: bool
) -> Next:
    """Apply the venue's word to the order in `record`; what contradicts is alarmed and applied to nothing."""
    order = record.order
    by_cumulative = {execution.cumulative_quantity: execution for execution in executions}
    try:
        events = adopt(order, report, executions, held.known, record.now, found_by_asking=found_by_asking)
    except Nonsense as nonsense:
        record.alarm(nonsense.code, str(nonsense))
        if not record.order.is_closed:
            record.bookkeeping(due_at=look_again_at(order, record.now))
        return Settled()
    for event in events:
        execution = by_cumulative.get(event.cumulative_quantity) if isinstance(event, happened.Filled) else None
        record.happened(event, execution=execution)
    after = record.order
    if after.is_closed:
        return Settled()
    behind = report.filled_quantity > after.filled_quantity or report.status.is_end
    if behind and not found_by_asking:
        record.bookkeeping(due_at=record.now)  # the stream skipped something: ask
        return TryAgain(record.now, Reason("EXECUTIONS_MISSING", "Executions are being fetched."))
    if events or found_by_asking:
        record.bookkeeping(due_at=look_again_at(after, record.now), not_founds=0)
    if after.execution_state is ExecutionState.CANCELLING and not order.is_known_at_venue:
        record.bookkeeping(due_at=record.now)
        return TryAgain(record.now, Reason("CANCEL_WANTED", "The cancel goes out now."))
    return Settled()


def take_updates(ports: Ports, order_id: UUID, updates: Sequence[TradeUpdate]) -> None:
    """Apply what the venue's stream said about one order, oldest first, in one transaction.

    Raises NoSuchOrder when the order is not ours.
    """
    reports = [update.report for update in updates]
    executions = [update.execution for update in updates if update.execution is not None]
    last = max(reports, key=lambda report: (report.status.is_end, report.filled_quantity))
    stray: OrderReport | None = None
    woken: Order | None = None

    def settle(held: Held) -> Verdict[None]:
        nonlocal stray, woken
        record = Record(ports, held, LISTENER)
        stray = woken = None
        if held.order.is_closed and held.order.venue_order_id is None and last.status is VenueOrderStatus.WORKING:
            record.alarm("LIVE_AFTER_END", f"{last.venue_order_id} is live at the venue after we ended the order")
            stray = last
            return Verdict(None, record.changes())
        before = record.order
        following = take_over(record, last, executions, held, found_by_asking=False)
        if isinstance(following, TryAgain):
            woken = record.order
        unchanged = record.order == before
        return Verdict(None, None if unchanged else record.changes())

    ports.store.change(order_id, settle, books=bool(executions) or last.status.is_end)
    if woken is not None:
        ports.wakeups.work(woken)
    if stray is not None:
        _cancel_stray(ports, order_id, stray)


def _cancel_stray(ports: Ports, order_id: UUID, stray: OrderReport) -> None:
    """An order that we had ended lives at the venue: get rid of it, and say what became of that."""

    def note(text: str) -> None:
        def decide_note(held: Held) -> Verdict[None]:
            record = Record(ports, held, LISTENER)
            record.noted("ALARMED", error_code="LIVE_AFTER_END", reason=text)
            return Verdict(None, record.changes())

        ports.store.change(order_id, decide_note)

    order = ports.store.order(order_id)
    if order is None:
        raise NoSuchOrder(str(order_id))
    venue = ports.venue_of(order.venue)
    answer = venue.cancel(stray.venue_order_id)
    match answer:
        case CancelRefused(code=code, message=message) | OutcomeUnknown(code=code, message=message):
            note(f"cancelling {stray.venue_order_id} failed: {code}: {message}")
        case _:
            note(f"a cancel of {stray.venue_order_id} was taken by the venue")
