"""What the venue's word means for our order. Pure: (our order, the venue's answer) -> decision or events.

The rules for sending again (I5) and for proven absence (I7) live here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from app.domain import order_events as happened
from app.domain.money import plain
from app.domain.order_events import OrderEvent, Reason
from app.domain.order_states import ExecutionState
from app.domain.orders import ABANDONED, Order, OrderType, TimeInForce
from app.domain.retry_policy import look_again_at, while_unproven
from app.domain.venue_answers import (
    ClientIdUniqueness,
    Execution,
    Found,
    LookupAnswer,
    NotFound,
    OrderReport,
    OutcomeUnknown,
    VenueCapabilities,
    VenueOrderStatus,
)


@dataclass(frozen=True, slots=True)
class Adopt:
    """The venue has it: take over what it says."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class SendAgain:
    """The venue does not know it and an earlier request cannot become a second order."""


@dataclass(frozen=True, slots=True)
class KeepAsking:
    """Not found, but that is not yet a proof, or nothing may be sent yet. Spends no attempt."""

    not_founds: int
    again_at: datetime


@dataclass(frozen=True, slots=True)
class AbsenceProven:
    """Enough successful not-founds after the in-flight bound: it never happened and never will."""

    not_founds: int


@dataclass(frozen=True, slots=True)
class StillUnknown:
    """Asking failed: that is not an answer."""

    reason: Reason
    retry_after: float | None = None
    """Seconds that the venue, or our own throttle, asked us to wait."""


Decision = Adopt | SendAgain | KeepAsking | AbsenceProven | StillUnknown

_ASK_AGAIN = timedelta(seconds=1)


def decide(order: Order, answer: LookupAnswer, capabilities: VenueCapabilities, now: datetime) -> Decision:
    """What to do after asking the venue about `order`."""
    match answer:
        case Found(report):
            return Adopt(report)
        case OutcomeUnknown(code=code, message=message, retry_after=retry_after):
            return StillUnknown(Reason(code, message), retry_after)
        case NotFound():
            return _not_found(order, capabilities, now)


def _not_found(order: Order, capabilities: VenueCapabilities, now: datetime) -> Decision:
    bound: datetime | None = None
    if order.attempts == order.attempts_before:
        bound = now  # nothing ever left
    elif not order.open_attempts and order.send_ended_at is not None:
        bound = order.send_ended_at + capabilities.max_in_flight
    out_of_flight = bound is not None and now >= bound
    not_founds = order.not_founds + 1 if out_of_flight else 0
    proven = not_founds >= capabilities.not_founds_needed
    again_at = while_unproven(order, now) if bound is None else max(now + _ASK_AGAIN, bound)

    if order.is_known_at_venue or order.client_id_known_at is not None:
        # it told us it has the order and now denies it: no end without the venue's word; a person is alarmed
        return KeepAsking(not_founds, look_again_at(order, now))
    if order.execution_state is ExecutionState.CANCELLING:
        return AbsenceProven(not_founds) if proven else KeepAsking(not_founds, again_at)
    if order.execution_state not in (ExecutionState.IN_DOUBT, ExecutionState.SENDING):
        return KeepAsking(not_founds, max(again_at, look_again_at(order, now)))
    if order.refused_at is not None or order.amend_requested_at is not None:
        # nothing leaves on terms that are not wanted any more; the new ones have another client order id, which no
        # venue takes for the same order, so whatever the venue refuses, they wait for the proof
        return AbsenceProven(not_founds) if proven else KeepAsking(not_founds, again_at)
    if capabilities.client_id_uniqueness is ClientIdUniqueness.PERMANENT or proven:
        return SendAgain()
    return KeepAsking(not_founds, again_at)


class Nonsense(Exception):
    """The venue's report contradicts itself or what it said before: applied to nothing, alarmed.

    `code` is stable, the message has the numbers. `halts`: it shows that an order was executed beyond what was ordered,
    or more than once, so its trader is halted until a person has looked.
    """

    def __init__(self, code: str, message: str, *, halts: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.halts = halts


Known = Mapping[tuple[str, Decimal], Decimal]
"""Executions already recorded for an order: the venue's order and its cumulative quantity after each -> quantity."""


NOTHING_KNOWN: Known = {}


def are_complete(report: OrderReport, executions: Iterable[Execution], known: Known) -> bool:
    """True when these executions and the recorded ones are all that the report counts of its own order.

    Not by their sum: what is recorded may be the latest of them (the stream lost an earlier one), and then the sum of
    what is recorded and what is found is reached before the one that is missing.
    """
    parts = {end: size for (of, end), size in known.items() if of == report.venue_order_id}
    parts.update((each.cumulative_quantity, each.quantity) for each in executions)
    reached = Decimal(0)
    for end in sorted(parts):
        if reached >= report.filled_quantity or end - parts[end] > reached:
            break
        reached = end
    return reached >= report.filled_quantity


def are_missing(order: Order, report: OrderReport) -> bool:
    """True while the report counts executions that are not recorded, and its total can be true of the order."""
    return not is_part(order, report) and order.filled_at_venue < report.total_filled <= order.quantity_at_venue


def missing_executions(
    order: Order, known: Known, executions: Iterable[Execution], reported: Sequence[str] = ()
) -> list[Execution]:
    """Those not recorded yet, in the venue's order, each counted once by its cumulative quantity (I6).

    `reported`: the venue's orders that the report names as one with ours.
    Raises Nonsense for one that overlaps another, or for more than was ordered.
    """
    taken = dict(known)
    missing: list[Execution] = []
    total = order.filled_quantity
    for execution in sorted(executions, key=lambda e: e.cumulative_quantity):
        its_order = execution.venue_order_id
        if order.venue_order_id is not None and its_order not in order.venue_ids and its_order not in reported:
            raise Nonsense("FOREIGN_FILL", f"a fill of {its_order} came for {order.venue_order_id}")
        cumulative, quantity = execution.cumulative_quantity, execution.quantity
        if taken.get((its_order, cumulative)) == quantity:
            continue
        if (its_order, cumulative) in taken or any(
            start < cumulative and cumulative - quantity < end
            for end, start in ((end, end - size) for (of, end), size in taken.items() if of == its_order)
        ):
            raise Nonsense(
                "FILL_CONTRADICTS", f"{quantity} up to {cumulative} overlaps a fill already recorded", halts=True
            )
        total = max(total + quantity, cumulative)
        if total > order.quantity:
            raise Nonsense("OVERFILL", f"{total} filled of an order for {order.quantity}", halts=True)
        taken[its_order, cumulative] = quantity
        missing.append(execution)
    return missing


def adopt(order: Order, report: OrderReport, executions: Iterable[Execution], known: Known, now: datetime,
          *, found_by_asking: bool) -> list[OrderEvent]:  # fmt: skip
    """Everything the venue's report says that our order does not say yet, as events in the order they happened.

    An end is taken over only when every execution that the report counts is recorded; until then the order stays
    open and is asked about again. Raises Nonsense for a report that cannot be true of this order.
    """
    _check(order, report)
    events: list[OrderEvent] = []
    missing = missing_executions(order, known, executions, report.ids)
    if order.is_closed or is_part(order, report):
        # an end absorbs all else (I9), and one of several orders at the venue says nothing about the whole
        return [_filled(execution, now) for execution in missing]

    refused_outright = report.status is VenueOrderStatus.REJECTED and not report.filled_quantity
    if not order.is_known_at_venue and not refused_outright:
        events.append(
            happened.VenueAccepted(
                now,
                venue_order_id=report.venue_order_id,
                look_again_at=look_again_at(order, now),
                found_by_asking=found_by_asking,
                other_venue_orders=report.ids[1:],
            )
        )
        # the wish outlived the doubt: say it again, now to an order that can be cancelled
        if order.cancel_requested_at is not None and not report.status.is_end:
            wish = order.cancel_reason or Reason("USER_REQUEST", "Cancelled on the trader's request.")
            events.append(happened.CancelWanted(now, reason=wish))
    events.extend(_filled(execution, now) for execution in missing)

    recorded = _recorded_of(report, known, missing)
    if recorded < report.total_filled or recorded == order.quantity_at_venue or not is_whole_end(order, report):
        return events
    cancelled_for = order.amend_requested_at is not None and order.cancel_requested_at is None
    if cancelled_for and report.status is VenueOrderStatus.CANCELLED:
        events.append(amended(order, now))
    elif report.status is VenueOrderStatus.REJECTED:
        message = report.reason or "The venue rejected the order."
        events.append(happened.Rejected(now, reason=Reason("VENUE_REJECTED", message)))
    elif report.status is not VenueOrderStatus.FILLED:
        events.append(happened.Cancelled(now, reason=_why_ended(order, report)))
    return events


def _recorded_of(report: OrderReport, known: Known, missing: Iterable[Execution]) -> Decimal:
    """What is in our books, or about to be, of what this report counts. Not what was replaced away has executed."""
    booked = sum((quantity for (of, _), quantity in known.items() if of in report.ids), Decimal(0))
    return booked + sum((each.quantity for each in missing if each.venue_order_id in report.ids), Decimal(0))


def is_part(order: Order, report: OrderReport) -> bool:
    """True for a report about one of several venue orders of ours that by itself decides nothing about the whole.

    Also one that was replaced, where it is what is gone after: it came to life once the order had ended here.
    """
    was_replaced = report.venue_order_id == order.venue_order_id and (
        report.client_order_id in order.earlier_client_order_ids
    )
    return (report.venue_order_id in order.other_venue_orders or was_replaced) and not report.legs


def is_whole_end(order: Order, report: OrderReport) -> bool:
    """True when the venue has said that nothing of the order can be executed any more.

    Of a pair of exits one may end because the other takes over, so both have to be reported.
    """
    if order.is_exit_pair and not report.legs and report.status is not VenueOrderStatus.REJECTED:
        return False
    return report.has_ended


def amended(order: Order, now: datetime) -> OrderEvent:
    """The terms that were wanted become the order's."""
    if order.amend_quantity is None or order.amend_reservation_price is None:
        raise ValueError("no other terms are wanted")
    return happened.Amended(
        now,
        quantity=order.amend_quantity,
        price=order.amend_price,
        reservation_price=order.amend_reservation_price,
        price_bound=order.amend_price_bound,
    )


def _check(order: Order, report: OrderReport) -> None:
    if is_part(order, report):
        if report.symbol != order.symbol or report.side != order.side:
            raise Nonsense("TERMS_DIFFER", f"{report.venue_order_id} is {report.side} {report.symbol}")
        return
    if order.venue_order_id is not None and not order.venue_ids.intersection(report.ids):
        twice = bool(report.filled_quantity and order.filled_quantity)
        raise Nonsense("SECOND_VENUE_ORDER", f"{report.venue_order_id} is not {order.venue_order_id}", halts=twice)
    # the stop of a pair bears a name of the venue's own, also once it has come to stand for the pair
    is_leg = order.is_exit_pair and report.venue_order_id in order.venue_ids
    if report.client_order_id != order.client_order_id and not is_leg:
        raise Nonsense("FOREIGN_REPORT", f"a report about {report.client_order_id} came for {order.id}")
    # of such a stop, what the take profit had executed before has been taken off by the venue
    takes_over = is_leg and report.client_order_id != order.client_order_id
    right_size = report.quantity == order.quantity_at_venue or (
        takes_over and report.quantity < order.quantity_at_venue
    )
    if report.symbol != order.symbol or report.side != order.side or not right_size:
        raise Nonsense(
            "TERMS_DIFFER",
            f"the venue has {report.side} {plain(report.quantity)} {report.symbol}, "
            f"we ordered {order.side} {plain(order.quantity_at_venue)} {order.symbol}",
        )
    if report.total_filled > order.quantity_at_venue:
        raise Nonsense(
            "OVERFILL",
            f"{plain(report.total_filled)} filled of an order for {plain(order.quantity_at_venue)}",
            halts=True,
        )


def _filled(execution: Execution, now: datetime) -> happened.Filled:
    return happened.Filled(
        now,
        quantity=execution.quantity,
        price=execution.price,
        commission=execution.commission,
        cumulative_quantity=execution.cumulative_quantity,
    )


def _why_ended(order: Order, report: OrderReport) -> Reason:
    if report.status is VenueOrderStatus.EXPIRED:
        return _time_in_force_ended(order)
    if report.status is VenueOrderStatus.REPLACED:
        return Reason("REPLACED", "The venue replaced it with another order.")
    if order.cancel_reason is not None:
        return order.cancel_reason
    if order.time_in_force in _AT_ONCE:  # some venues call that cancelled, some expired
        return _time_in_force_ended(order)
    return Reason("VENUE_CANCELLED", report.reason or "The venue cancelled the order.")


_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def _time_in_force_ended(order: Order) -> Reason:
    """Why the venue has dropped the rest; where the order had a bound, at which price it could not be had."""
    term, bound = order.time_in_force, ""
    if order.price_bound is not None:
        bound = f" at {plain(order.price_bound)} or better"
        if order.max_slippage_bps is not None and order.order_type is OrderType.MARKET:
            return Reason("SLIPPAGE", f"The rest could not be filled{bound} before its time in force ({term}) ended.")
    if term in _AT_ONCE:
        return Reason("EXPIRED", f"What could not be filled at once{bound} was dropped ({term}).")
    if bound:
        return Reason("EXPIRED", f"It was not filled{bound} before its time in force ({term}) ended at the venue.")
    return Reason("EXPIRED", f"The order's time in force ({term}) ended at the venue.")


def absence(order: Order, now: datetime) -> OrderEvent:
    """What becomes of an order that is proven not to be at the venue and is not to be sent as it is.

    It has ended where somebody wanted it gone; where other terms are wanted, it goes out on those.
    """
    if order.amend_requested_at is not None and order.cancel_requested_at is None and order.refused_at is None:
        return amended(order, now)
    if order.refused_at is not None and order.cancel_requested_at is None:
        return happened.Rejected(now, reason=order.reason or Reason("VENUE_REJECTED", "The venue refused the order."))
    if order.abandoned_at is not None:
        return happened.Rejected(now, reason=Reason(ABANDONED, "Given up; the venue is proven not to have it."))
    return happened.Cancelled(
        now, reason=order.cancel_reason or Reason("USER_REQUEST", "Cancelled; it never reached the venue.")
    )
