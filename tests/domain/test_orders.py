"""Whatever happens to an order, in whatever order, it stays an order that the database would store."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import order_events as happened
from app.domain.order_events import OrderEvent, Reason
from app.domain.order_states import TRANSITIONS, ExecutionState, ImpossibleChange, OrderStatus
from app.domain.orders import Order, Side
from tests.domain.orders import NOON, an_order

FIELDS = {field.name for field in fields(Order)}
WHY = Reason("CODE", "Because.")
EVENTS: dict[type[OrderEvent], st.SearchStrategy[OrderEvent]] = {
    happened.SendStarted: st.just(happened.SendStarted(NOON, "me", NOON + timedelta(seconds=8))),
    happened.OutcomeLost: st.booleans().map(lambda no: happened.OutcomeLost(NOON, WHY, NOON, refused=no)),
    happened.RetriesSpent: st.just(happened.RetriesSpent(NOON, WHY, NOON)),
    happened.RetryRequested: st.just(happened.RetryRequested(NOON, "trader")),
    happened.Abandoned: st.just(happened.Abandoned(NOON, "trader")),
    happened.CancelWanted: st.just(happened.CancelWanted(NOON, WHY)),
    happened.VenueAccepted: st.just(happened.VenueAccepted(NOON, "v-1", NOON)),
    happened.Filled: st.integers(1, 60).map(
        lambda n: happened.Filled(NOON, Decimal(n), Decimal("150.07"), Decimal("0.01"), Decimal(n))
    ),
    happened.Rejected: st.just(happened.Rejected(NOON, WHY)),
    happened.Cancelled: st.just(happened.Cancelled(NOON, WHY)),
}


def storable(order: Order) -> None:
    """The database's CHECKs, said in Python; and no field that an order does not have."""
    assert order.__dict__.keys() == FIELDS
    closed = order.execution_state is ExecutionState.CLOSED
    final = order.status in (OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.CANCELLED)
    assert closed == final == (order.closed_at is not None) == (order.due_at is None)
    assert 0 <= order.filled_quantity <= order.quantity
    assert (order.status is OrderStatus.FILLED) == (order.filled_quantity == order.quantity)
    assert order.status is not OrderStatus.PENDING or not order.filled_quantity
    assert order.status is not OrderStatus.PARTIAL or order.filled_quantity
    assert order.execution_state is not ExecutionState.WORKING or order.venue_order_id is not None
    assert order.execution_state is not ExecutionState.QUEUED or not order.attempts
    assert order.reserved_cash >= 0


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(*EVENTS.values()), max_size=25), st.sampled_from(Side))
def test_any_history_leaves_an_order_that_can_be_stored(history: list[OrderEvent], side: Side) -> None:
    order = an_order(side=side)
    for event in history:
        try:
            changed = order.apply(event)
        except ImpossibleChange:
            continue
        storable(changed)
        if order.is_closed:
            assert isinstance(event, happened.Filled), "an end absorbs everything but a late fill (I9)"
        order = changed


def test_an_end_absorbs_everything_but_a_fill() -> None:
    assert {event for state, event in TRANSITIONS if state is ExecutionState.CLOSED} == {happened.Filled}


def test_every_state_but_the_end_can_be_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(ExecutionState)


def test_an_order_takes_no_more_than_was_ordered() -> None:
    working = an_order(execution_state=ExecutionState.WORKING, venue_order_id="v")
    with pytest.raises(ImpossibleChange):
        working.apply(happened.Filled(NOON, Decimal(101), Decimal(1), Decimal(0), Decimal(101)))


def test_the_average_price_is_rounded_half_even_to_eight_places() -> None:
    order = an_order(execution_state=ExecutionState.WORKING, venue_order_id="v", quantity=Decimal(7))
    order = order.apply(happened.Filled(NOON, Decimal(1), Decimal("1"), Decimal(0), Decimal(1)))
    order = order.apply(happened.Filled(NOON, Decimal(2), Decimal("2"), Decimal(0), Decimal(3)))
    assert order.average_fill_price == Decimal("1.66666667")


def test_a_wish_to_cancel_keeps_the_lease_of_a_request_on_the_wire() -> None:
    lease = NOON + timedelta(seconds=8)
    sending = an_order().apply(happened.SendStarted(NOON, "me", lease))
    assert sending.apply(happened.CancelWanted(NOON, WHY)).due_at == lease


def test_bookkeeping_cannot_touch_the_story() -> None:
    with pytest.raises(ImpossibleChange):
        an_order().watched(status=OrderStatus.FILLED)
