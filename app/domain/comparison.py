"""The venue's lists against our books. Pure: (our orders, the venue's reports, when it was asked) -> what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.venue_answers import OrderReport, VenueOrderStatus

LIST_LAG = timedelta(seconds=10)
"""A list may be this much behind what the venue has told otherwise (its stream, its answer to a look-up)."""
JUST_NOW = timedelta(seconds=3)
"""An order that changed so shortly before the question need not be in the answer."""

UUID_LENGTH = 36
"""A replacement's client order id is the order's with a number after it."""

_UNSETTLED = (ExecutionState.QUEUED, ExecutionState.SENDING, ExecutionState.IN_DOUBT, ExecutionState.NEEDS_ATTENTION)


@dataclass(frozen=True, slots=True)
class OurSide:
    """One of our orders, as far as it is compared."""

    id: UUID
    symbol: str
    side: str
    quantity: Decimal
    status: OrderStatus
    execution_state: ExecutionState
    filled_quantity: Decimal
    venue_order_id: str | None
    other_venue_orders: Sequence[str]
    is_single: bool
    """One order at the venue under one name: no exit, no replacement, no other terms wanted."""
    is_pair: bool
    """Both exits as one order, of which the venue makes two."""
    booked: Mapping[str, Decimal]
    """Executions in our books by the venue's order. Of a single order `filled_quantity` says it, and this is empty."""
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


@dataclass(slots=True)
class Differences:
    """What the comparison found."""

    same: list[UUID] = field(default_factory=list)
    """Live here and there with the same fills: need not be asked about one by one."""
    news: list[tuple[UUID, OrderReport]] = field(default_factory=list)
    """The venue says something of our order, or of a part of it, that we do not have."""
    to_ask: list[UUID] = field(default_factory=list)
    """Live here, and the venue does not list them (ghosts, until it says otherwise), or they go by another name."""
    orphans: list[OrderReport] = field(default_factory=list)
    """At the venue, and not ours."""


def differences(
    listed: Iterable[OrderReport], ours: Sequence[OurSide], live: Sequence[OurSide], asked_at: datetime
) -> Differences:
    """Compare. `ours`: every order of ours that a report names, read after the lists; `live`: all that live there."""
    by_id: Mapping[str, OurSide] = {str(order.id): order for order in ours}
    by_venue_id = {
        name: order for order in ours for name in (order.venue_order_id, *order.other_venue_orders) if name is not None
    }
    found = Differences()
    seen: set[UUID] = set()
    to_ask: set[UUID] = set()
    for report in listed:
        named = by_id.get(report.client_order_id)
        order = named or by_id.get(report.client_order_id[:UUID_LENGTH]) or by_venue_id.get(report.venue_order_id)
        if order is None:
            found.orphans.append(report)
            continue
        if _is_another(order, report):
            found.news.append((order.id, report))  # what we know of it may be missing all the same: that is asked for
            continue
        seen.add(order.id)
        if order.closed_at is None and (named is None or not order.is_single):
            # one of several orders there that are one order here: what it means for the whole, the whole says
            if report.venue_order_id == order.venue_order_id and _is_news(order, report, asked_at):
                to_ask.add(order.id)
            elif _is_part(order, report) and _executed_more(order, report):
                # but for its executions: of what was replaced away, an answer about the whole says nothing
                found.news.append((order.id, report))
        elif _is_news(order, report, asked_at):  # of one that is closed each part: nobody asks about it any more
            found.news.append((order.id, report))
        elif report.status is VenueOrderStatus.WORKING and order.execution_state is ExecutionState.WORKING:
            found.same.append(order.id)
    to_ask |= {order.id for order in live if order.id not in seen and order.updated_at < asked_at - JUST_NOW}
    found.to_ask.extend(sorted(to_ask))
    return found


def _is_another(order: OurSide, report: OrderReport) -> bool:
    """True for one that bears our name beside those that we know: the venue has opened two."""
    known = order.venue_order_id
    return (
        order.closed_at is None
        and known is not None
        and report.venue_order_id not in (known, *order.other_venue_orders)
    )


def _is_news(order: OurSide, report: OrderReport, asked_at: datetime) -> bool:
    if _executed_more(order, report):
        return True
    if order.closed_at is not None:
        return not report.has_ended and order.closed_at < asked_at - LIST_LAG
    return (
        order.execution_state in _UNSETTLED
        or order.venue_order_id != report.venue_order_id
        or report.status.is_end
        or (report.symbol, report.side, report.quantity) != (order.symbol, order.side, order.quantity)
    )


def _is_part(order: OurSide, report: OrderReport) -> bool:
    return report.venue_order_id in order.other_venue_orders and not report.legs


def _executed_more(order: OurSide, report: OrderReport) -> bool:
    """True when the report counts executions that are not in our books."""
    if order.is_single:
        return report.filled_quantity > order.filled_quantity
    return report.total_filled > sum((order.booked.get(name, Decimal(0)) for name in report.ids), Decimal(0))
