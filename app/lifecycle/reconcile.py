"""(reconcile): the venue is asked, and its word is taken over.

FR-009: before anything is sent again, the venue is asked. I5 and I7 decide what its answer allows; they live in
`app.domain.reconciliation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import Actor, Held, Verdict
from app.domain.money import plain
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import Order, OrderType, Side
from app.domain.reconciliation import (
    NOTHING_KNOWN,
    AbsenceProven,
    Adopt,
    Decision,
    KeepAsking,
    Known,
    Nonsense,
    SendAgain,
    StillUnknown,
    absence,
    adopt,
    are_missing,
    decide,
    is_part,
    is_whole_end,
    missing_executions,
)
from app.domain.retry_policy import GiveUp, asked_to_wait_until, fetch_again_at, look_again_at, missing_since
from app.domain.venue_answers import (
    NONSENSE,
    TAKEN_BACK,
    UNREADABLE,
    Execution,
    Executions,
    Found,
    LookupAnswer,
    NotFound,
    OrderReport,
    OutcomeUnknown,
    TradeUpdate,
    VenueOrderStatus,
)
from app.lifecycle.exits import WAITS, WAITS_FOR
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record
from app.lifecycle.send import (
    WORKER,
    Leaving,
    Next,
    Settled,
    TryAgain,
    change_or_alarm,
    contradicted,
    forbids_sending,
    found_after_end,
    lose_outcome,
    remember_other_orders,
    remember_venue_order,
    start_sending,
)
from app.venues.port import Venue

LISTENER = Actor("listener")
BEHIND = timedelta(seconds=1)
"""How soon an order that has ended there, and not here yet, is asked about again."""
UNFETCHED_TOO_LONG = timedelta(minutes=5)
"""So long, and no list lags: somebody has to look why executions that the venue counts cannot be had."""
UNPROVEN_TOO_LONG = timedelta(minutes=2)
BEFORE_ACCEPTANCE = timedelta(minutes=5)
"""How far before our acceptance executions are listed from: more than any clock difference to the venue."""


def ask(ports: Ports, claimed: Order) -> Next | Leaving:
    """Ask the venue about a claimed order and settle what follows; a Leaving is a committed new attempt."""
    venue = ports.venue_of(claimed.venue)
    answer = _look_up(venue, claimed)
    executions: list[Execution] = []
    # what was replaced away may have executed more meanwhile, so then the sum proves nothing
    if isinstance(answer, Found) and answer.report.total_filled > (
        0 if claimed.replacements else claimed.filled_at_venue
    ):
        known = recorded_executions(ports, claimed.id) if claimed.filled_quantity else NOTHING_KNOWN
        for report in (answer.report, *answer.report.legs):
            if not report.filled_quantity:
                continue
            match venue.executions(report, claimed.created_at - BEFORE_ACCEPTANCE, known):
                case Executions(executions=listed):
                    executions.extend(listed)
                case OutcomeUnknown():
                    pass  # the order's state is known, its executions are not: they are asked for again when it is due
    now = ports.clock.now()
    decision = decide(claimed, answer, venue.capabilities, now)
    return _settle(ports, claimed, decision, executions, WORKER.hearing(now))


def _look_up(venue: Venue, order: Order) -> LookupAnswer:
    """By the name that it was last sent under; of one that has ended here, by that of what is gone after."""
    answer = venue.find(order.client_order_id)
    if not order.is_closed or not _is_about_another(order, answer):
        return answer
    for name in order.earlier_client_order_ids:
        earlier = venue.find(name)
        if not isinstance(earlier, NotFound) and not _is_about_another(order, earlier):
            return earlier
    return answer


def _is_about_another(order: Order, answer: LookupAnswer) -> bool:
    return isinstance(answer, Found) and order.venue_order_id not in (None, *answer.report.ids)


def recorded_executions(ports: Ports, order_id: UUID) -> Known:
    """What is booked of an order's executions, so that no more than what is missing is looked for.

    Raises NoSuchOrder.
    """

    def read(held: Held) -> Verdict[Known]:
        return Verdict(held.known)

    return ports.store.change(order_id, read, books=True)


def _settle(
    ports: Ports, claimed: Order, decision: Decision, executions: Sequence[Execution], heard: Actor
) -> Next | Leaving:
    def settle(held: Held) -> Verdict[Next | Leaving]:
        record = Record(ports, held, heard)
        if isinstance(decision, Adopt):
            following: Next | Leaving = take_over(record, decision.report, executions, held.known, found_by_asking=True)
            _alarm_if_unfetched(record, decision.report)
            return Verdict(following, record.changes())
        if held.order.fence != claimed.fence or held.order.is_closed:
            return Verdict(Settled())  # somebody else owns it by now: an intent made under an old fence is dropped
        if _standing(held.order) != _standing(claimed):
            # the stream, a trader or another sender's answer told more while the venue was being asked; whoever did
            # has said when it is looked at again
            return Verdict(Settled())
        return Verdict(_intend(ports, record, decision, held), record.changes())

    return change_or_alarm(
        ports,
        claimed.id,
        settle,
        books=isinstance(decision, (Adopt, AbsenceProven)),
        sending=isinstance(decision, SendAgain),
    )


def _alarm_if_unfetched(record: Record, report: OrderReport) -> None:
    order = record.order
    if not are_missing(order, report):
        return
    since = missing_since(order, report.updated_at)
    if record.now - since > UNFETCHED_TOO_LONG:
        ours, theirs = plain(order.filled_at_venue), plain(report.total_filled)
        record.alarm(
            "EXECUTIONS_MISSING", f"the venue counts {theirs} filled, we have {ours}, and it does not list the rest"
        )


def _standing(order: Order) -> tuple[object, ...]:
    """What a decision about an order rests on, besides the venue's answer."""
    return (
        order.execution_state,
        order.venue_order_id,
        order.client_id_known_at,
        order.refused_at,
        order.amend_requested_at,
    )


def _intend(ports: Ports, record: Record, decision: Decision, held: Held) -> Next | Leaving:
    order, now = record.order, record.now
    doubted = order.execution_state in (ExecutionState.IN_DOUBT, ExecutionState.SENDING)
    match decision:
        case KeepAsking(not_founds, again_at):
            record.bookkeeping(not_founds=not_founds, due_at=again_at)
            if not_founds >= 3 and (order.is_known_at_venue or order.client_id_known_at is not None):
                record.alarm("MISSING_AT_VENUE", "The venue had said that it has this order and now denies it.")
            if order.open_attempts and now - order.updated_at > UNPROVEN_TOO_LONG:
                record.alarm("SENDER_UNPROVEN", "Nobody here can prove that an earlier sender has ended.")
            return Settled()
        case AbsenceProven(not_founds):
            record.bookkeeping(not_founds=not_founds)
            record.happened(absence(order, now))
            if record.order.execution_state is ExecutionState.QUEUED:
                return TryAgain(now, Reason("AMENDED", "It goes out with its new terms now."))
            return Settled()
        case StillUnknown(reason, retry_after):
            if reason.code in (NONSENSE, UNREADABLE):  # it could be asked and gave this: not a failure on the way
                record.alarm(
                    reason.code, f"asked about this order, the venue gave an answer that is none: {reason.message}"
                )
            if doubted and order.refused_at is None:
                return lose_outcome(ports, record, reason, retry_after=retry_after)
            record.bookkeeping(due_at=max(look_again_at(order, now), asked_to_wait_until(order, now, retry_after)))
            return Settled()
        case SendAgain():
            return _send_again(ports, record, held)
        case Adopt():
            raise TypeError("an adoption is evidence, not an intent")


def _send_again(ports: Ports, record: Record, held: Held) -> Next | Leaving:
    order, now = record.order, record.now
    forbidden = forbids_sending(held, now)
    if forbidden is not None and order.is_exit and forbidden.code in WAITS_FOR:
        record.bookkeeping(due_at=now + WAITS)
        return Settled()
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
    record: Record, report: OrderReport, executions: Sequence[Execution], known: Known, *, found_by_asking: bool
) -> Next:
    """Apply the venue's word to the order in `record`; what contradicts is alarmed and applied to nothing."""
    order = record.order
    try:
        events = adopt(order, report, executions, known, record.now, found_by_asking=found_by_asking)
    except Nonsense as nonsense:
        return _contradicted(record, nonsense)
    # executions become fills in the order of `missing_executions`, which is that of the events
    fills = iter(missing_executions(order, known, executions, report.ids))
    for event in events:
        execution = next(fills) if isinstance(event, happened.Filled) else None
        if execution is not None and _is_worse_than_limit(order, report, execution):
            record.alarm("PRICE_BEYOND_LIMIT", f"filled at {execution.price}, the limit is {_limit(order)}")
        record.happened(event, execution=execution, venue_at=report.updated_at)
    after = record.order
    if report.status is VenueOrderStatus.REPLACED and after.is_closed and not order.is_closed:
        successor = report.replaced_by or "an order that it does not name"
        record.alarm(
            "REPLACED_AT_VENUE", f"somebody replaced it there with {successor}, which is not ours and may live"
        )
    if order.is_closed:
        remember_other_orders(record, report)
        return _after_end(record, report, known, found_by_asking=found_by_asking)
    if after.is_closed:
        remember_venue_order(record, report)
        remember_other_orders(record, report)
        if _leaves_something_standing(order, after, report, executions, known):
            record.alarm("LATE_FILL", "With what had been replaced all of it is executed; what stands is cancelled.")
            record.bookkeeping(stray_due_at=record.now)
            return TryAgain(record.now, Reason("LATE_FILL", "What stands at the venue is cancelled."))
        return Settled()
    if after.execution_state is ExecutionState.QUEUED:
        return TryAgain(record.now, Reason("AMENDED", "It goes out with its new terms now."))
    if is_part(order, report) and not order.is_exit:
        return _of_what_was_replaced(record, events)
    if is_part(order, report):
        if report.status.is_end and not found_by_asking:
            _hasten(record)  # what that means for the whole, the whole says
            return TryAgain(record.now, Reason("PART_ENDED", "The venue is asked about the rest."))
        return Settled()
    if report.legs:
        _follow_legs(record, report)
    elif after.is_exit_pair and not after.other_venue_orders and not found_by_asking:
        _hasten(record)  # the stream does not name the other exit: ask, so that what it executes is known as ours
        return TryAgain(record.now, Reason("LEG_UNKNOWN", "The venue is asked for the other exit."))
    missing = report.total_filled > after.filled_at_venue
    behind = missing or report.status.is_end
    if found_by_asking and report.status.is_end and not report.has_ended:
        behind = missing  # one exit has ended, the other stands
    if behind and not found_by_asking:
        _hasten(record)  # the stream skipped something: ask
        return TryAgain(record.now, Reason("EXECUTIONS_MISSING", "Executions are being fetched."))
    if events or found_by_asking:
        record.bookkeeping(due_at=_again_at(after, report, record.now, behind=behind, missing=missing), not_founds=0)
    if after.is_leaving_venue:
        if not order.is_known_at_venue:
            record.bookkeeping(due_at=record.now)
            return TryAgain(record.now, Reason("CANCEL_WANTED", "The cancel goes out now."))
        if found_by_asking:
            record.bookkeeping(cancel_sent_at=None)  # it still works there: the next step cancels again
    return Settled()


def _again_at(order: Order, report: OrderReport, now: datetime, *, behind: bool, missing: bool) -> datetime:
    if not missing:
        return now + BEHIND if behind else look_again_at(order, now)
    fetch = fetch_again_at(order, report.updated_at, now)
    return fetch if report.has_ended else min(fetch, look_again_at(order, now))  # its deadline, its cancel do not wait


def _of_what_was_replaced(record: Record, events: Sequence[happened.OrderEvent]) -> Next:
    """An execution of a venue order that had ended and was replaced: what stands now is for too much by it.

    So it is replaced once more, for what is left; a wish that is under way does that by itself. Where nobody knows yet
    whether anything stands, the wish waits until that is known.
    """
    order = record.order
    if not events or order.execution_state not in _MAY_STAND or order.amend_requested_at is not None:
        return Settled()
    record.alarm("LATE_FILL", "What had been replaced was executed after its end; what is left is sent anew.")
    record.happened(
        happened.AmendWanted(record.now, order.quantity, order.price, order.reservation_price, order.price_bound)
    )
    return TryAgain(record.now, Reason("LATE_FILL", "What stands is cancelled and sent anew for what is left."))


_MAY_STAND = frozenset(
    {ExecutionState.WORKING, ExecutionState.SENDING, ExecutionState.IN_DOUBT, ExecutionState.NEEDS_ATTENTION}
)


def _leaves_something_standing(
    before: Order, after: Order, report: OrderReport, executions: Sequence[Execution], known: Known
) -> bool:
    """True when an order is filled by executions of two venue orders, one of which can be executed further."""
    if before.is_exit or after.status is not OrderStatus.FILLED:
        return False
    if is_part(before, report):
        return before.is_known_at_venue
    told = [each.cumulative_quantity for each in executions if each.venue_order_id == report.venue_order_id]
    booked = [cumulative for of, cumulative in known if of == report.venue_order_id]
    # the report may be older than the executions that are told with it
    executed = max([report.total_filled, *told, *booked])
    return report.status is VenueOrderStatus.WORKING and executed < report.quantity


def _follow_legs(record: Record, report: OrderReport) -> None:
    """Remember which orders of the venue's are ours, and which of a pair of exits still stands."""
    order = record.order
    stands = report.stands_as
    others = tuple(sorted({*order.venue_ids, *report.ids} - {stands}))
    if stands != order.venue_order_id or set(others) != set(order.other_venue_orders):
        record.bookkeeping(venue_order_id=stands, other_venue_orders=others)


def _contradicted(record: Record, nonsense: Nonsense) -> Next:
    contradicted(record, nonsense)
    order = record.order
    if nonsense.code == "OVERFILL" and order.execution_state is ExecutionState.WORKING:
        reason = Reason("OVERFILL", "The venue reports more than was ordered; what is left is cancelled.")
        record.happened(happened.CancelWanted(record.now, reason=reason))
    elif not order.is_closed and order.execution_state is not ExecutionState.SENDING:
        record.bookkeeping(due_at=look_again_at(order, record.now))
    return Settled()


def _after_end(record: Record, report: OrderReport, known: Known, *, found_by_asking: bool) -> Next:
    """The venue speaks of an order that had ended here: its late fills are booked by now."""
    order, now = record.order, record.now
    if not report.has_ended:
        found_after_end(record, report)
        return Settled()
    counted = {**known, **{(fill.venue_order_id, fill.cumulative_quantity): fill.quantity for fill in record.fills}}
    booked = sum((quantity for (of, _), quantity in counted.items() if of in report.ids), Decimal(0))
    if report.total_filled > booked and (order.is_exit or not is_part(order, report)):
        # of what was replaced away an answer would say nothing: only the comparison comes back to that
        again = found_by_asking and order.stray_due_at is not None
        due = fetch_again_at(order, report.updated_at, now) if again else now
        record.bookkeeping(venue_order_id=order.venue_order_id or report.venue_order_id, stray_due_at=due)
        return TryAgain(due, Reason("EXECUTIONS_MISSING", "Executions are being fetched."))
    is_chased = order.venue_order_id is None or order.venue_order_id in report.ids
    if order.stray_due_at is not None and is_chased and is_whole_end(order, report):
        record.bookkeeping(stray_due_at=None)  # it has ended there as well
    return Settled()


def _taken_back(record: Record, update: TradeUpdate) -> None:
    """The venue undoes an execution. Nothing is mended by itself: alarm, halt, and a person compares the books."""
    ours, theirs = plain(record.order.filled_quantity), plain(update.report.filled_quantity)
    message = f"the venue takes an execution back ({update.event}): it counts {theirs} filled now, our books {ours}"
    record.alarm("TRADE_TAKEN_BACK", message)
    record.halt_trader("TRADE_TAKEN_BACK", f"order {record.order.id}: {message}")


def _hasten(record: Record) -> None:
    if record.order.execution_state is not ExecutionState.SENDING:  # there the sender has the lease
        record.bookkeeping(due_at=record.now)


def _is_worse_than_limit(order: Order, report: OrderReport, execution: Execution) -> bool:
    limit = _limit(order)
    if is_part(order, report) and not order.is_exit:
        return False  # of what was replaced: it had the limit of then
    # of a pair the take profit alone has the limit, and it alone our client order id, whichever of both stands now
    is_ours = report.client_order_id == order.client_order_id and execution.venue_order_id == report.venue_order_id
    if limit is None or (order.is_exit_pair and not is_ours):
        return False  # a stop loss that was triggered takes what the market gives
    return execution.price > limit if order.side is Side.BUY else execution.price < limit


def _limit(order: Order) -> Decimal | None:
    """The worst price that an execution may have."""
    return order.price if order.order_type is OrderType.LIMIT else order.price_bound


def take_report(
    ports: Ports, order_id: UUID, report: OrderReport, executions: Sequence[Execution], listed_after: datetime
) -> None:
    """Apply what the venue's list says about one order, as if it had been asked about it. Raises NoSuchOrder.

    `listed_after`: the list says nothing older than that. Of an order that has ended here since, it is old news that it
    was open there.
    """

    def settle(held: Held) -> Verdict[Next]:
        record = Record(ports, held, LISTENER)
        before = held.order
        following = take_over(record, report, executions, held.known, found_by_asking=True)
        ended_before = before.closed_at is not None and before.closed_at < listed_after
        if ended_before and not report.has_ended:
            found_after_end(record, report, is_fresh=True)
        if are_missing(record.order, report):
            _put_off_nothing(record, before)
        return Verdict(following, None if record.is_empty else record.changes())

    following = change_or_alarm(ports, order_id, settle, books=True)
    if isinstance(following, TryAgain) and following.at <= ports.clock.now():
        order = ports.store.order(order_id)
        if order is not None:
            ports.wakeups.work(order)


def _put_off_nothing(record: Record, before: Order) -> None:
    """A list that comes more often than executions are asked for would keep them from ever being asked for."""
    for name, was, due in (
        ("due_at", before.due_at, record.order.due_at),
        ("stray_due_at", before.stray_due_at, record.order.stray_due_at),
    ):
        if was is not None and due is not None and was < due:
            record.bookkeeping(**{name: was})


def take_updates(ports: Ports, order_id: UUID, updates: Sequence[TradeUpdate]) -> None:
    """Apply what the venue's stream said about one order, oldest first, in one transaction.

    Each update is judged by itself: one that contradicts takes nothing from the others. Raises NoSuchOrder when the
    order is not ours.
    """
    woken: Order | None = None
    heard = LISTENER.hearing(ports.clock.now())

    def settle(held: Held) -> Verdict[Next]:
        nonlocal woken
        record = Record(ports, held, heard)
        woken = None
        known = dict(held.known)
        for update in updates:
            executions = () if update.execution is None else (update.execution,)
            fills = len(record.fills)
            if update.event in TAKEN_BACK:
                _taken_back(record, update)
                continue
            following = take_over(record, update.report, executions, known, found_by_asking=False)
            known.update(
                ((fill.venue_order_id, fill.cumulative_quantity), fill.quantity) for fill in record.fills[fills:]
            )
            if isinstance(following, TryAgain):
                woken = record.order
        return Verdict(Settled(), None if record.is_empty else record.changes())

    books = any(update.execution is not None or update.report.status.is_end for update in updates)
    change_or_alarm(ports, order_id, settle, books=books)
    if woken is not None:
        ports.wakeups.work(woken)
