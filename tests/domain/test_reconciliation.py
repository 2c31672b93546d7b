"""When sending again is allowed (I5), what proves an absence (I7), what a report may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import order_events as happened
from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState
from app.domain.orders import ExecutionPath, OpenAttempt, Order
from app.domain.reconciliation import (
    AbsenceProven,
    Adopt,
    KeepAsking,
    Nonsense,
    SendAgain,
    StillUnknown,
    adopt,
    decide,
    missing_executions,
)
from app.domain.retry_policy import GiveUp, RetryAt, RetryPolicy, asked_to_wait_until, look_again_at
from app.domain.venue_answers import (
    ClientIdUniqueness,
    Execution,
    Found,
    NotFound,
    OrderReport,
    OutcomeUnknown,
    VenueCapabilities,
    VenueOrderStatus,
)
from tests.domain.orders import NOON, ORDER_ID, an_order

PERMANENT = VenueCapabilities(ClientIdUniqueness.PERMANENT, timedelta(seconds=30))
WEAKER = [
    VenueCapabilities(ClientIdUniqueness.OPEN_ORDERS, timedelta(seconds=30)),
    VenueCapabilities(ClientIdUniqueness.NONE, timedelta(seconds=30)),
]
DOUBTED = an_order(execution_state=ExecutionState.IN_DOUBT, attempts=1, send_ended_at=NOON)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def report(status: VenueOrderStatus = VenueOrderStatus.WORKING, filled: str = "0", **changes: object) -> OrderReport:
    made = OrderReport("v-1", str(ORDER_ID), "AAPL", "BUY", Decimal(100), status, status.lower(), Decimal(filled))
    return replace(made, **changes)  # type: ignore[arg-type] # named after the fields


def execution(cumulative: int, quantity: int) -> Execution:
    return Execution("v-1", Decimal(cumulative), Decimal(quantity), Decimal("150"), NOON)


@pytest.mark.parametrize(
    ("retry_after", "deadline", "wait"),
    [(None, None, 0), (7.0, None, 7), (3600.0, None, 60), (40.0, 5, 5), (40.0, -5, 40)],
)
def test_a_venue_that_asks_us_to_wait_is_obeyed_within_bounds(
    retry_after: float | None, deadline: float | None, wait: float
) -> None:
    order = replace(DOUBTED, expires_at=None if deadline is None else after(deadline))
    assert asked_to_wait_until(order, NOON, retry_after) == after(wait)
    unknown = OutcomeUnknown("VENUE_RATE_LIMITED", "Too many calls.", retry_after=retry_after)
    assert decide(order, unknown, PERMANENT, NOON) == StillUnknown(
        Reason("VENUE_RATE_LIMITED", "Too many calls."), retry_after
    )


def test_a_venue_that_refuses_repeats_for_good_gets_it_again_at_once() -> None:
    assert decide(DOUBTED, NotFound(), PERMANENT, NOON) == SendAgain()


@pytest.mark.parametrize("capabilities", WEAKER)
def test_other_venues_get_it_again_after_the_bound_and_enough_denials(capabilities: VenueCapabilities) -> None:
    assert isinstance(decide(DOUBTED, NotFound(), capabilities, after(29.9)), KeepAsking)
    first = decide(DOUBTED, NotFound(), capabilities, after(30))
    assert first == KeepAsking(1, after(31))
    assert decide(replace(DOUBTED, not_founds=1), NotFound(), capabilities, after(31)) == SendAgain()


@pytest.mark.parametrize("capabilities", WEAKER)
def test_without_proof_that_the_sender_ended_the_bound_never_comes(capabilities: VenueCapabilities) -> None:
    unproven = replace(DOUBTED, open_attempts=(OpenAttempt(1, "somebody"),), not_founds=5)
    assert decide(unproven, NotFound(), capabilities, after(86400)) == KeepAsking(0, after(86430))


@pytest.mark.parametrize(("quiet", "pause"), [(0, 1), (1, 1), (8, 4), (60, 30), (3600, 30)])
def test_what_waits_for_a_person_is_asked_about_less_and_less_often(quiet: float, pause: float) -> None:
    unproven = replace(DOUBTED, open_attempts=(OpenAttempt(1, "somebody"),), updated_at=NOON)
    for unwanted in (
        replace(unproven, execution_state=ExecutionState.CANCELLING),
        replace(unproven, refused_at=NOON),
        replace(unproven, amend_requested_at=NOON),
    ):
        assert decide(unwanted, NotFound(), PERMANENT, after(quiet)) == KeepAsking(0, after(quiet + pause))
    ending = replace(unproven, execution_state=ExecutionState.CANCELLING, expires_at=after(quiet + 0.5))
    assert decide(ending, NotFound(), PERMANENT, after(quiet)) == KeepAsking(0, after(quiet + 0.5))


@pytest.mark.parametrize("capabilities", [PERMANENT, *WEAKER])
def test_an_absence_is_proven_only_after_the_bound_for_every_venue(capabilities: VenueCapabilities) -> None:
    unwanted = replace(
        DOUBTED, execution_state=ExecutionState.CANCELLING, cancel_requested_at=NOON, cancel_reason=Reason("X", "x")
    )
    assert isinstance(decide(unwanted, NotFound(), capabilities, after(1)), KeepAsking)
    assert decide(unwanted, NotFound(), capabilities, after(30)) == KeepAsking(1, after(31))
    assert decide(replace(unwanted, not_founds=1), NotFound(), capabilities, after(31)) == AbsenceProven(2)


@pytest.mark.parametrize("capabilities", [PERMANENT, *WEAKER])
@pytest.mark.parametrize("state", sorted(set(ExecutionState) - {ExecutionState.QUEUED, ExecutionState.CLOSED}))
def test_an_error_while_asking_decides_nothing(capabilities: VenueCapabilities, state: ExecutionState) -> None:
    order = replace(DOUBTED, execution_state=state, not_founds=9)
    answer = OutcomeUnknown("VENUE_TIMEOUT", "no answer")
    assert decide(order, answer, capabilities, after(999)) == StillUnknown(Reason("VENUE_TIMEOUT", "no answer"))


def test_nothing_is_sent_again_for_a_person_or_a_cancel() -> None:
    for state in (ExecutionState.NEEDS_ATTENTION, ExecutionState.CANCELLING, ExecutionState.WORKING):
        order = replace(DOUBTED, execution_state=state, not_founds=9)
        assert decide(order, NotFound(), PERMANENT, after(999)) != SendAgain()


def test_an_order_the_venue_had_never_ends_by_its_denial() -> None:
    working = replace(DOUBTED, execution_state=ExecutionState.CANCELLING, venue_order_id="v-1", not_founds=99)
    assert isinstance(decide(working, NotFound(), PERMANENT, after(9999)), KeepAsking)


def test_what_is_found_is_adopted() -> None:
    assert decide(DOUBTED, Found(report()), PERMANENT, NOON) == Adopt(report())


def sizes(order: Order) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 30), max_size=8).filter(lambda parts: sum(parts) <= order.quantity)


@given(sizes(DOUBTED), st.data())
def test_executions_count_once_in_any_order_and_repetition(parts: list[int], data: st.DataObject) -> None:
    executions, cumulative = [], 0
    for part in parts:
        cumulative += part
        executions.append(execution(cumulative, part))
    heard = data.draw(st.permutations(executions * 2))
    known: dict[tuple[str, Decimal], Decimal] = {}
    for one in heard:
        for new in missing_executions(DOUBTED, known, [one]):
            known[new.venue_order_id, new.cumulative_quantity] = new.quantity
    assert sum(known.values()) == cumulative


@pytest.mark.parametrize("heard", [execution(50, 20), execution(40, 30), execution(60, 40), execution(130, 10)])
def test_a_fill_that_contradicts_what_is_recorded_is_nonsense(heard: Execution) -> None:
    with pytest.raises(Nonsense):
        missing_executions(DOUBTED, {("v-1", Decimal(50)): Decimal(30)}, [heard])


@pytest.mark.parametrize("changes", [
    {"client_order_id": "another"}, {"symbol": "MSFT"}, {"side": "SELL"}, {"quantity": Decimal(1)},
    {"filled_quantity": Decimal(101)},
])  # fmt: skip
def test_a_report_that_cannot_be_true_of_the_order_is_nonsense(changes: dict[str, Any]) -> None:
    with pytest.raises(Nonsense):
        adopt(DOUBTED, report(**changes), (), {}, NOON, found_by_asking=True)


def test_an_end_is_believed_only_with_all_its_executions() -> None:
    ended = report(VenueOrderStatus.CANCELLED, "40")
    events = adopt(DOUBTED, ended, (), {}, NOON, found_by_asking=True)
    assert [type(event) for event in events] == [happened.VenueAccepted]
    events = adopt(DOUBTED, ended, [execution(40, 40)], {}, NOON, found_by_asking=True)
    assert [type(event) for event in events] == [happened.VenueAccepted, happened.Filled, happened.Cancelled]


def test_an_expiry_says_so() -> None:
    (_, end) = adopt(DOUBTED, report(VenueOrderStatus.EXPIRED), (), {}, NOON, found_by_asking=True)
    assert isinstance(end, happened.Cancelled) and end.reason.code == "EXPIRED"


def test_retries_double_and_end() -> None:
    policy = RetryPolicy(max_attempts=3, backoff_seconds=1)
    waits = [policy.after_failure(an_order(retries_used=used), NOON) for used in range(4)]
    assert waits == [RetryAt(after(1)), RetryAt(after(2)), RetryAt(after(4)), GiveUp()]
    assert policy.after_failure(an_order(execution_path=ExecutionPath.PLAIN), NOON) == GiveUp()


def test_a_resting_order_is_looked_at_less_and_less_often_but_not_past_its_deadline() -> None:
    working = an_order(execution_state=ExecutionState.WORKING, venue_order_id="v")
    assert look_again_at(working, after(1)) == after(3)
    assert look_again_at(working, after(10)) == after(15)
    assert look_again_at(working, after(1000)) == after(1030)
    assert look_again_at(replace(working, expires_at=after(12)), after(10)) == after(12)
