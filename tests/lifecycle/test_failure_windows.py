"""Each window in which something can fail, with its answer. The venue's ledger is the judge."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from app.domain.orders import ExecutionPath
from app.domain.venue_answers import Execution, LookupAnswer, OrderReport, TradeUpdate, VenueOrderStatus
from app.lifecycle import attention
from app.lifecycle.accept import AcceptancePolicy, Refusal
from app.lifecycle.advance import _claim
from app.lifecycle.cancel import CancelStored, request_cancel
from app.lifecycle.reconcile import take_updates
from app.lifecycle.send import Leaving, Settled, TryAgain, send
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import TRADER, House

HUNDRED = Decimal(100)


def venue_orders(house: House, order_id: UUID) -> int:
    return len(house.venue.with_client_id(str(order_id)))


def requests(house: House, order_id: UUID) -> list[str]:
    return [method for _, method, about in house.venue.request_log if about == str(order_id)]


@pytest.mark.parametrize(
    "fault", [Fault.SUBMIT_REPLY_LOST, Fault.SUBMIT_ERROR_AFTER_ACCEPT, Fault.SUBMIT_REPLY_UNREADABLE]
)
def test_a_lost_reply_is_doubt_and_the_order_is_adopted(house: House, fault: Fault) -> None:
    house.venue.plan(fault)
    order_id = house.submitted()
    assert isinstance(house.advance(order_id), TryAgain)
    assert house.state(order_id) == ("PENDING", "IN_DOUBT")
    house.sweep(1.5)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.events(order_id) == ["order.submitted", "order.sending", "order.in_doubt", "order.recovered"]
    assert venue_orders(house, order_id) == 1
    assert requests(house, order_id) == ["submit", "find"]


@pytest.mark.parametrize(
    "fault", [Fault.SUBMIT_LOST, Fault.SUBMIT_UNREACHABLE, Fault.SUBMIT_ERROR, Fault.SUBMIT_RATE_LIMITED]
)
def test_what_never_arrived_is_sent_again_after_asking(house: House, fault: Fault) -> None:
    house.venue.plan(fault)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(1.5)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert requests(house, order_id) == ["submit", "find", "submit"]
    assert venue_orders(house, order_id) == 1


def test_retries_come_after_one_two_and_four_seconds_and_then_a_person_decides(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=4)
    order_id = house.submitted()
    waits, last = [], house.clock.now()
    outcome = house.advance(order_id)
    while isinstance(outcome, TryAgain):
        waits.append(round((outcome.at - last).total_seconds()))
        house.clock.pass_((outcome.at - house.clock.now()).total_seconds())
        last = house.clock.now()
        outcome = house.advance(order_id)
    assert waits == [1, 2, 4]
    assert house.state(order_id) == ("PENDING", "NEEDS_ATTENTION")
    assert house.account()[1] == Decimal("15025"), "the reservation stays until there is proof"
    assert house.events(order_id)[-1] == "order.needs_attention"
    assert requests(house, order_id) == ["submit", "find", "submit", "find", "submit", "find", "submit"]


def test_a_retry_gives_a_new_budget_under_the_same_client_order_id(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=4)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(10)
    assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    assert isinstance(attention.retry(house.api, order_id, TRADER, trader_id=house.trader_id), attention.Resumed)
    assert isinstance(attention.retry(house.api, order_id, TRADER, trader_id=house.trader_id), attention.NotWaiting)
    house.sweep(1)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_an_order_that_appears_minutes_later_is_adopted_while_it_waits_for_a_person(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=3)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(5)
    house.venue.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=60)
    house.sweep(30)
    assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    house.sweep(60)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.events(order_id)[-1] == "order.recovered"
    assert venue_orders(house, order_id) == 1


def test_an_error_while_asking_is_not_an_absence(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.venue.plan(Fault.FIND_ERROR, times=3)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(8)
    assert requests(house, order_id).count("submit") == 1
    assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    house.sweep(15)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_a_venue_that_denies_an_order_it_has_makes_no_second_one(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.venue.plan(Fault.FIND_DENIED)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(6)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_a_worker_that_dies_before_its_request_left_loses_nothing(house: House) -> None:
    order_id = house.submitted()
    house.worker.store.change(order_id, lambda held: _claim(house.worker, held))  # … and the process is killed
    assert house.state(order_id)[1] == "SENDING"
    house.sweep(9)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_a_lease_whose_holder_is_proven_dead_need_not_run_out(house: House) -> None:
    order_id = house.submitted()
    house.worker.store.change(order_id, lambda held: _claim(house.worker, held))
    house.advance(order_id)
    assert house.state(order_id)[1] == "SENDING"
    house.senders.gone.add(house.senders.me)
    house.advance(order_id)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.as_worker("SELECT outcome FROM order_attempts ORDER BY number")[0] == ("SENDER_GONE",)


def test_a_worker_that_wakes_after_its_lease_makes_no_second_order(house: House) -> None:
    order_id = house.submitted()
    paused = house.worker.store.change(order_id, lambda held: _claim(house.worker, held))
    assert isinstance(paused, Leaving)
    house.sweep(9)
    assert house.state(order_id) == ("PENDING", "WORKING")
    send(house.worker, paused)
    assert venue_orders(house, order_id) == 1
    assert house.state(order_id) == ("PENDING", "WORKING")


def test_a_forgetful_venue_gets_nothing_again_before_the_bound(forgetful_house: House) -> None:
    house = forgetful_house
    house.venue.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=25)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(24)
    assert requests(house, order_id).count("submit") == 1
    house.sweep(20)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_a_forgetful_venue_gets_it_again_after_the_bound_and_two_denials(forgetful_house: House) -> None:
    house = forgetful_house
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(40)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert requests(house, order_id).count("submit") == 2
    assert venue_orders(house, order_id) == 1


def test_without_proof_that_the_sender_ended_a_forgetful_venue_gets_nothing_again(forgetful_house: House) -> None:
    house = forgetful_house
    order_id = house.submitted()
    house.worker.store.change(order_id, lambda held: _claim(house.worker, held))
    house.sweep(120)
    assert requests(house, order_id).count("submit") == 0
    house.senders.gone.add(house.senders.me)
    house.sweep(40)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_a_first_refusal_ends_the_order_with_the_venues_reason(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REFUSED, code="VENUE_INSUFFICIENT_FUNDS")
    order_id = house.submitted()
    assert isinstance(house.advance(order_id), Settled)
    assert house.state(order_id) == ("REJECTED", "CLOSED")
    reason = house.order(order_id).reason
    assert reason is not None and reason.code == "VENUE_INSUFFICIENT_FUNDS"
    assert house.account() == (Decimal(100000), Decimal(0))


def test_a_refused_retry_ends_nothing_while_the_first_attempt_may_still_be_executed(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=20)
    house.venue.plan(Fault.SUBMIT_REFUSED)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(10)
    assert requests(house, order_id).count("submit") == 2
    assert house.state(order_id)[0] == "PENDING"
    house.sweep(30)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert venue_orders(house, order_id) == 1


def test_a_refused_retry_ends_the_order_when_the_first_attempt_is_proven_absent(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST)
    house.venue.plan(Fault.SUBMIT_REFUSED, code="VENUE_REFUSED")
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(45)
    assert house.state(order_id) == ("REJECTED", "CLOSED")
    assert requests(house, order_id).count("submit") == 2
    assert house.account() == (Decimal(100000), Decimal(0))


def test_a_late_rejection_keeps_the_fills(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(40), Decimal("150"))
    house.venue.end(str(order_id), VenueOrderStatus.REJECTED, reason="margin call")
    house.listen()
    assert house.state(order_id) == ("REJECTED", "CLOSED")
    assert house.order(order_id).filled_quantity == 40
    assert house.account() == (Decimal(94000), Decimal(0))


def test_what_the_stream_lost_is_found_by_asking(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(40), Decimal("150.00"))
    house.venue.fill(str(order_id), Decimal(60), Decimal("150.10"))
    house.sweep(3)  # not one word of the stream is read
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert house.as_worker("SELECT quantity_filled, price_at_fill FROM fills ORDER BY position") == [
        (40, Decimal("150.00")), (60, Decimal("150.10")),
    ]  # fmt: skip


def test_a_fill_that_the_stream_skipped_is_fetched_before_the_end_is_believed(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(40), Decimal("150.00"))
    list(house.stream.updates(0))  # lost
    house.venue.end(str(order_id), VenueOrderStatus.CANCELLED)
    house.listen()
    assert house.state(order_id) == ("PENDING", "WORKING"), "40 are missing: not the end yet"
    house.sweep(0.5)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert house.order(order_id).filled_quantity == 40


def test_reordered_fills_count_once_each(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    for quantity in (10, 20, 70):
        house.venue.fill(str(order_id), Decimal(quantity), Decimal("150"))
    updates = list(house.stream.updates(0))
    for update in (*updates[::-1], *updates):
        take_updates(house.worker, order_id, [update])
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert house.as_worker("SELECT sum(quantity_filled), count(*) FROM fills") == [(HUNDRED, 3)]


def test_executions_that_cannot_be_listed_are_never_guessed(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), HUNDRED, Decimal("150"))
    house.venue.plan(Fault.EXECUTIONS_ERROR, times=2)
    house.sweep(2.5)
    assert house.order(order_id).filled_quantity == 0
    house.sweep(10)
    assert house.state(order_id) == ("FILLED", "CLOSED")


def test_a_cancel_wanted_in_doubt_goes_out_when_the_order_is_found(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    assert isinstance(request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id), CancelStored)
    assert house.state(order_id) == ("PENDING", "CANCELLING")
    house.advance(order_id)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert house.events(order_id)[2:] == [
        "order.in_doubt", "order.cancelling", "order.recovered", "order.cancelling", "order.cancelled",
    ]  # fmt: skip


def test_a_cancel_of_an_order_that_never_arrived_ends_it_with_proof_only(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(25)
    assert house.state(order_id) == ("PENDING", "CANCELLING")
    house.sweep(15)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert requests(house, order_id).count("submit") == 1


def test_a_cancel_wanted_while_sending_stops_nothing_on_the_wire_and_is_carried_out_after(house: House) -> None:
    order_id = house.submitted()
    leaving = house.worker.store.change(order_id, lambda held: _claim(house.worker, held))
    assert isinstance(leaving, Leaving)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    assert house.state(order_id) == ("PENDING", "CANCELLING")
    send(house.worker, leaving)
    house.sweep(1)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_a_fill_wins_over_a_cancel_when_the_venue_says_so(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.venue.fill(str(order_id), HUNDRED, Decimal("150"))
    house.advance(order_id)
    assert house.state(order_id) == ("FILLED", "CLOSED")


def test_a_cancels_lost_reply_is_asked_after(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.plan(Fault.CANCEL_REPLY_LOST)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.advance(order_id)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_an_abandoned_order_ends_as_rejected_when_its_absence_is_proven(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=4)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(10)
    for _ in range(2):
        outcome = attention.abandon(house.api, order_id, TRADER, trader_id=house.trader_id)
        assert isinstance(outcome, attention.AwaitingProof)
    house.sweep(60)
    assert house.state(order_id) == ("REJECTED", "CLOSED")
    reason = house.order(order_id).reason
    assert reason is not None and reason.code == "ABANDONED"


def test_an_abandoned_order_that_is_already_proven_absent_ends_at_once(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=4)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(90)
    assert isinstance(attention.abandon(house.api, order_id, TRADER, trader_id=house.trader_id), attention.Ended)
    assert house.state(order_id) == ("REJECTED", "CLOSED")


def test_an_abandoned_order_whose_id_the_venue_knows_is_not_absent(house: House) -> None:
    """The reply is lost, what is sent again is refused as known, and the venue's look-ups deny it for minutes."""
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.venue.plan(Fault.FIND_DENIED)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(2)
    assert house.order(order_id).client_id_known_at is not None
    house.venue.plan(Fault.FIND_ERROR, times=6)
    house.venue.plan(Fault.FIND_DENIED, times=200)
    house.sweep(90)
    assert house.state(order_id)[1] == "NEEDS_ATTENTION" and house.order(order_id).not_founds > 3
    outcome = attention.abandon(house.api, order_id, TRADER, trader_id=house.trader_id)
    assert isinstance(outcome, attention.AwaitingProof)
    house.sweep(20)
    assert house.state(order_id)[1] == "CANCELLING"


def test_an_abandoned_order_that_the_venue_has_is_adopted_and_cancelled(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=3)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(5)
    house.venue.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=20)
    house.sweep(5)
    assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    attention.abandon(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(30)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert venue_orders(house, order_id) == 1


def test_a_late_fill_is_recorded_and_changes_the_books(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    order = house.venue.with_client_id(str(order_id))[-1]
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.advance(order_id)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    late = Execution(order.venue_order_id, Decimal(30), Decimal(30), Decimal("150"), house.clock.now())
    report = OrderReport(
        order.venue_order_id, str(order_id), "AAPL", "BUY", HUNDRED, VenueOrderStatus.CANCELLED, "canceled", Decimal(30)
    )
    take_updates(house.worker, order_id, [TradeUpdate("fill", report, late)])
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert house.events(order_id)[-1] == "order.late_fill"
    assert house.account() == (Decimal(95500), Decimal(0))


def test_an_overfill_is_alarmed_and_never_booked(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    order = house.venue.with_client_id(str(order_id))[-1]
    execution = Execution(order.venue_order_id, Decimal(130), Decimal(130), Decimal("150"), house.clock.now())
    report = OrderReport(
        order.venue_order_id, str(order_id), "AAPL", "BUY", HUNDRED, VenueOrderStatus.FILLED, "filled", Decimal(130)
    )
    take_updates(house.worker, order_id, [TradeUpdate("fill", report, execution)])
    assert house.order(order_id).alarm_code == "OVERFILL"
    assert house.order(order_id).filled_quantity == 0
    assert house.account()[0] == Decimal(100000)
    assert house.as_worker("SELECT count(*) FROM execution_logs WHERE action = 'ALARMED'") == [(1,)]
    assert isinstance(house.submit(), Refusal), "the trader is halted by the same transaction"
    logged = house.as_worker("SELECT action::text, error_code FROM execution_logs WHERE action = 'HALTED'")
    assert logged == [("HALTED", "OVERFILL")]
    house.sweep(2)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_an_order_past_its_deadline_is_cancelled_before_it_is_sent(house: House) -> None:
    order_id = house.submitted(max_wait_seconds=5)
    house.clock.pass_(6)
    house.advance(order_id)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert venue_orders(house, order_id) == 0


def test_a_working_order_is_cancelled_at_its_deadline(house: House) -> None:
    order_id = house.submitted(max_wait_seconds=5)
    house.advance(order_id)
    house.sweep(6)
    house.listen()
    order = house.order(order_id)
    assert (order.status, order.reason and order.reason.code) == ("CANCELLED", "TIMEOUT")
    assert order.closed_at is not None and order.closed_at - order.created_at < timedelta(seconds=6.5)


def test_an_instrument_halted_after_acceptance_stops_the_send(house: House) -> None:
    order_id = house.submitted()
    house.sql("UPDATE instruments SET status = 'HALTED'")
    house.advance(order_id)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert venue_orders(house, order_id) == 0


def test_the_plain_path_sends_once_and_leaves_the_rest_to_a_person(house: House) -> None:
    house.policy = AcceptancePolicy(v2_percent=0)
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    assert house.order(order_id).execution_path is ExecutionPath.PLAIN
    house.advance(order_id)
    assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    house.sweep(20)
    assert requests(house, order_id).count("submit") == 1
    attention.retry(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(1)
    assert house.state(order_id) == ("PENDING", "WORKING")


def test_a_cancel_wanted_while_the_venue_is_asked_stops_the_next_send_without_an_alarm(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    find = house.venue.find

    def find_meanwhile(client_order_id: str) -> LookupAnswer:
        request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
        return find(client_order_id)

    monkeypatch.setattr(house.venue, "find", find_meanwhile)
    house.sweep(45)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert house.order(order_id).alarm_code is None
    assert venue_orders(house, order_id) == 0


def test_an_acceptance_heard_while_the_venue_is_asked_stops_the_next_send_without_an_alarm(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.venue.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=2)
    order_id = house.submitted()
    house.advance(order_id)
    find = house.venue.find

    def find_meanwhile(client_order_id: str) -> LookupAnswer:
        answer = find(client_order_id)
        house.clock.pass_(2)
        house.listen()
        return answer

    monkeypatch.setattr(house.venue, "find", find_meanwhile)
    house.sweep(1.5)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.order(order_id).alarm_code is None
    assert requests(house, order_id) == ["submit", "find"]
