"""Other terms for an open order: whatever wins the race, no more is executed than wanted, nothing is freed early."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from app.domain.orders import OrderType
from app.domain.venue_answers import (
    CancelAnswer,
    ClientIdKnown,
    LookupAnswer,
    Refused,
    SubmitAnswer,
    TradeUpdate,
    VenueOrderStatus,
)
from app.lifecycle.accept import Refusal
from app.lifecycle.advance import _claim
from app.lifecycle.amend import Amended, AmendOutcome, AmendStored, Denied, NewTerms, NotOpen, amend
from app.lifecycle.attention import retry
from app.lifecycle.cancel import request_cancel
from app.lifecycle.compare import Compared, Comparison
from app.lifecycle.reconcile import take_updates
from app.lifecycle.send import Leaving, record_answer, send
from app.storage.venue_books import PostgresVenueBooks
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import TRADER, House

HUNDRED = Decimal(100)


def want(house: House, order_id: UUID, price: str | None = None, quantity: int | None = None) -> AmendOutcome:
    wanted = NewTerms(None if price is None else Decimal(price), None if quantity is None else Decimal(quantity))
    return amend(house.api, order_id, TRADER, wanted, trader_id=house.trader_id)


def working(house: House, filled: int = 0) -> UUID:
    order_id = house.submitted()
    house.advance(order_id)
    if filled:
        house.venue.fill(str(order_id), Decimal(filled), Decimal(150))
        house.listen()
    return order_id


def carried_out(house: House, order_id: UUID) -> None:
    house.sweep(3)
    house.listen()
    house.sweep(3)


def executed(house: House) -> Decimal:
    return sum((order.filled for order in house.venue.ledger), Decimal(0))


def reserved(house: House) -> Decimal:
    return house.account()[1]


def open_at_venue(house: House) -> list[tuple[str, Decimal]]:
    return [
        (order.instruction.client_order_id, order.leaves)
        for order in house.venue.ledger
        if order.status is VenueOrderStatus.WORKING
    ]


def test_what_stands_is_cancelled_and_the_rest_goes_out_on_the_new_terms(house: House) -> None:
    order_id = working(house, filled=30)
    assert isinstance(want(house, order_id, "151", 120), AmendStored)
    carried_out(house, order_id)
    order = house.order(order_id)
    assert (order.price, order.quantity, order.status) == (Decimal(151), Decimal(120), "PARTIAL")
    assert open_at_venue(house) == [(f"{order_id}-1", Decimal(90))]
    house.venue.fill(f"{order_id}-1", Decimal(90), Decimal(151))
    house.listen()
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert house.order(order_id).filled_quantity == 120 == executed(house)
    assert house.account() == (Decimal(100000) - 30 * 150 - 90 * 151, Decimal(0))
    assert house.events(order_id).count("order.amended") == 1


def test_the_reservation_grows_before_anything_leaves_and_shrinks_on_proof_only(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "160")
    assert reserved(house) == 16000
    want(house, order_id, "140")
    assert reserved(house) == 15025, "what stands may still be executed"
    house.advance(order_id)
    assert reserved(house) == 15025
    carried_out(house, order_id)
    assert reserved(house) == 14000


def test_an_order_that_was_never_sent_changes_at_once(house: House) -> None:
    order_id = house.submitted()
    assert isinstance(want(house, order_id, "151", 50), Amended)
    assert reserved(house) == 7550
    house.advance(order_id)
    assert open_at_venue(house) == [(str(order_id), Decimal(50))]


def test_a_fill_that_wins_leaves_nothing_to_replace(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    house.venue.fill(str(order_id), HUNDRED, Decimal(150))
    carried_out(house, order_id)
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert executed(house) == HUNDRED and len(house.venue.ledger) == 1
    assert house.account() == (Decimal(85000), Decimal(0))


@pytest.mark.parametrize("sent_before", [True, False])
@pytest.mark.parametrize(("bps", "bounds"), [(None, ("170.5", "176")), (100, ("156.55", "161.6"))])
def test_a_stop_that_gets_another_trigger_gets_the_bound_that_goes_with_it(
    house: House, sent_before: bool, bps: int | None, bounds: tuple[str, str]
) -> None:
    order_id = house.submitted(order_type=OrderType.STOP, price=Decimal(155), max_slippage_bps=bps)
    assert house.order(order_id).price_bound == Decimal(bounds[0])
    if sent_before:
        house.advance(order_id)
    want(house, order_id, "160")
    carried_out(house, order_id)
    instruction = house.venue.ledger[-1].instruction
    assert (instruction.stop_price, instruction.limit_price) == (Decimal(160), Decimal(bounds[1]))
    assert house.order(order_id).amend_price_bound is None


@pytest.mark.parametrize("streamed", [True, False])
def test_a_partial_fill_that_overtakes_the_replacement_is_taken_off_it(house: House, streamed: bool) -> None:
    order_id = working(house)
    want(house, order_id, quantity=60)
    house.venue.fill(str(order_id), Decimal(45), Decimal(150))
    if streamed:
        house.listen()
    carried_out(house, order_id)
    assert open_at_venue(house) == [(f"{order_id}-1", Decimal(15))]
    assert house.order(order_id).filled_quantity == 45


def test_more_executed_meanwhile_than_is_wanted_now_ends_the_order_filled(house: House) -> None:
    order_id = working(house)
    want(house, order_id, quantity=60)
    house.venue.fill(str(order_id), Decimal(75), Decimal(150))
    carried_out(house, order_id)
    order = house.order(order_id)
    assert (order.status, order.quantity, order.filled_quantity) == ("FILLED", Decimal(75), Decimal(75))
    assert open_at_venue(house) == [] and reserved(house) == 0


@pytest.mark.parametrize("fault", [Fault.CANCEL_REPLY_LOST, Fault.CANCEL_ERROR])
def test_a_cancel_without_an_answer_is_asked_after(house: House, fault: Fault) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    house.venue.plan(fault)
    house.sweep(12)
    assert open_at_venue(house) == [(f"{order_id}-1", HUNDRED)]
    assert house.order(order_id).price == 151


@pytest.mark.parametrize(
    "fault", [Fault.SUBMIT_REPLY_LOST, Fault.SUBMIT_LOST, Fault.SUBMIT_UNREACHABLE, Fault.SUBMIT_ACCEPTED_LATE]
)
def test_a_replacement_without_an_answer_is_asked_for_and_never_doubled(house: House, fault: Fault) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    house.venue.plan(fault)
    house.sweep(12)
    house.listen()
    assert open_at_venue(house) == [(f"{order_id}-1", Decimal(70))]
    assert house.order(order_id).execution_state == "WORKING"


def test_a_replacement_that_the_venue_refuses_ends_the_order_with_the_reason(house: House) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    house.venue.plan(Fault.SUBMIT_REFUSED, code="VENUE_PRICE_INCREMENT")
    carried_out(house, order_id)
    order = house.order(order_id)
    assert (order.status, order.reason and order.reason.code) == ("REJECTED", "VENUE_PRICE_INCREMENT")
    assert order.filled_quantity == 30 and reserved(house) == 0


def test_a_worker_that_dies_between_the_two_orders_loses_neither(house: House) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    house.worker.store.change(
        order_id, lambda held: _claim(house.worker, held), sending=True
    )  # … killed before the wire
    house.sweep(12)
    assert open_at_venue(house) == [(f"{order_id}-1", Decimal(70))]
    want(house, order_id, "152")
    house.advance(order_id)  # cancelled at the venue; the proof is not read yet
    house.sweep(3)
    leaving = house.worker.store.order(order_id)
    assert leaving is not None
    house.sweep(12)
    assert open_at_venue(house) == [(f"{order_id}-2", Decimal(70))]


def test_a_sender_of_the_first_order_that_wakes_up_late_changes_nothing(house: House) -> None:
    order_id = house.submitted()
    leaving = house.worker.store.change(order_id, lambda held: _claim(house.worker, held), sending=True)
    assert isinstance(leaving, Leaving)
    answer = house.venue.submit
    send(house.worker, leaving)
    want(house, order_id, "151")
    carried_out(house, order_id)
    send(house.worker, leaving)  # its lease is long over
    house.sweep(5)
    assert answer is not None
    assert open_at_venue(house) == [(f"{order_id}-1", HUNDRED)]
    assert house.order(order_id).alarm_code is None


@pytest.mark.parametrize(
    "late", [Refused("INSUFFICIENT_FUNDS", "too dear"), ClientIdKnown("client_order_id must be unique")]
)
@pytest.mark.parametrize("sent", [False, True])
def test_an_answer_to_an_attempt_at_the_first_order_says_nothing_about_the_second(
    house: House, late: SubmitAnswer, sent: bool
) -> None:
    """An earlier request had opened the first order; the answer to a later one comes when that has been replaced."""
    order_id = house.submitted()
    house.venue.plan(Fault.SUBMIT_LOST)
    house.advance(order_id)
    house.sweep(2)
    assert (house.order(order_id).attempts, house.order(order_id).execution_state) == (2, "WORKING")
    want(house, order_id, "151")
    house.advance(order_id)  # cancelled there
    house.listen()
    assert house.order(order_id).execution_state == "QUEUED"
    if sent:
        house.venue.plan(Fault.SUBMIT_LOST)
        house.advance(order_id)
        assert house.order(order_id).execution_state == "IN_DOUBT"
    record_answer(house.worker, order_id, 2, late)
    order = house.order(order_id)
    assert (order.refused_at, order.client_id_known_at, order.alarm_code) == (None, None, None)
    house.sweep(5)
    assert open_at_venue(house) == [(f"{order_id}-1", HUNDRED)]


def test_what_the_stream_says_late_about_the_first_order_changes_nothing(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    house.sweep(5)  # by asking; not a word of the stream was read
    assert open_at_venue(house) == [(f"{order_id}-1", HUNDRED)]
    house.listen()
    order = house.order(order_id)
    assert (order.execution_state, order.alarm_code) == ("WORKING", None)


def executed_after_all(house: House, client_order_id: UUID | str, quantity: int) -> None:
    """That venue order, which had ended, or was replaced, has executed more than the venue had said."""
    first = house.venue.with_client_id(str(client_order_id))[0]
    first.status, first.cancelled_at = VenueOrderStatus.WORKING, None
    house.venue._execute(first, Decimal(quantity), Decimal(150))
    first.status = VenueOrderStatus.CANCELLED


@pytest.mark.parametrize("executed_by_the_second", [0, 20])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_late_fill_of_what_was_replaced_is_booked_and_what_stands_is_for_so_much_less(
    house: House, executed_by_the_second: int, streamed: bool
) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    executed_after_all(house, order_id, 10)
    house.listen()
    if executed_by_the_second:
        house.venue.fill(f"{order_id}-1", Decimal(executed_by_the_second), Decimal(151))
    if streamed:
        house.listen()
    carried_out(house, order_id)
    left = Decimal(60 - executed_by_the_second)
    assert open_at_venue(house) == [(f"{order_id}-2", left)]
    order = house.order(order_id)
    assert (order.filled_quantity, order.alarm_code) == (HUNDRED - left, "LATE_FILL")
    assert house.account() == (Decimal(94_000 - executed_by_the_second * 151), left * 151)
    house.venue.fill(f"{order_id}-2", left, Decimal(151))
    house.listen()
    assert house.state(order_id) == ("FILLED", "CLOSED") and executed(house) == HUNDRED


def second_on_its_way(house: House, order_id: UUID) -> Leaving:
    """The first venue order has ended, and the request for the second is about to leave."""
    while house.state(order_id)[1] != "QUEUED":
        house.clock.pass_(1)
        house.advance(order_id)
        house.listen()
    leaving = house.worker.store.change(order_id, lambda held: _claim(house.worker, held), sending=True)
    assert isinstance(leaving, Leaving)
    return leaving


@pytest.mark.parametrize("heard", ["on its way", "in doubt", "after all retries"])
def test_a_late_fill_that_is_heard_while_the_second_is_on_its_way_leaves_it_for_so_much_less(
    house: House, heard: str
) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    leaving = second_on_its_way(house, order_id)
    if heard != "on its way":
        house.venue.plan(Fault.SUBMIT_REPLY_LOST)
        send(house.worker, leaving)
    if heard == "after all retries":
        house.venue.plan(Fault.FIND_ERROR, times=4)
        house.sweep(9)
        assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    executed_after_all(house, order_id, 10)
    house.stream.tamper = lambda said: [update for update in said if update.report.client_order_id == str(order_id)]
    house.listen()
    house.stream.tamper = lambda said: said
    assert house.order(order_id).filled_quantity == 40
    if heard == "on its way":
        send(house.worker, leaving)
    house.sweep(15)
    carried_out(house, order_id)
    assert open_at_venue(house) == [(f"{order_id}-2", Decimal(60))]
    assert house.order(order_id).alarm_code == "LATE_FILL"


@pytest.mark.parametrize("late", [70, 10])
def test_what_stands_is_cancelled_when_a_late_fill_completes_the_order(house: House, late: int) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    executed_after_all(house, order_id, late)
    house.listen()
    if late < 70:
        house.venue.fill(f"{order_id}-1", Decimal(70 - late), Decimal(151))
        house.listen()
    assert house.state(order_id) == ("FILLED", "CLOSED")
    house.sweep(3)
    assert open_at_venue(house) == [] and executed(house) == HUNDRED
    assert house.order(order_id).alarm_code == "LATE_FILL"
    house.sweep(3)
    assert house.order(order_id).stray_due_at is None


@pytest.mark.parametrize("repeats", ["in one message", "in the next message"])
def test_a_word_about_what_was_replaced_does_not_end_the_chase_after_what_stands(house: House, repeats: str) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    executed_after_all(house, order_id, 70)
    again = TradeUpdate("canceled", house.venue.with_client_id(str(order_id))[-1].report())
    told = list(house.stream.updates(0))
    if repeats == "in one message":
        take_updates(house.worker, order_id, [*told, again])
    else:
        take_updates(house.worker, order_id, told)
        take_updates(house.worker, order_id, [again])
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert house.order(order_id).stray_due_at is not None
    house.sweep(5)
    assert open_at_venue(house) == []
    house.sweep(5)
    assert house.order(order_id).stray_due_at is None


def test_what_was_replaced_and_lives_is_cancelled_again_until_it_has_ended(
    house: House, comparison: Comparison
) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    carried_out(house, order_id)
    house.clock.pass_(15)
    stray = house.venue.with_client_id(str(order_id))[0]
    stray.status, stray.cancelled_at = VenueOrderStatus.WORKING, None
    house.venue.plan(Fault.CANCEL_ERROR, times=2)
    compared(house, comparison)
    house.sweep(1)
    assert len(open_at_venue(house)) == 1
    assert house.order(order_id).stray_due_at is not None, "that the other has ended says nothing of this one"
    house.sweep(15)
    assert open_at_venue(house) == []
    assert house.order(order_id).stray_due_at is None
    before = len(house.venue.request_log)
    house.sweep(15)
    assert len(house.venue.request_log) == before


def test_an_order_that_somebody_replaced_at_the_venue_is_not_sent_beside_its_successor(house: House) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    house.venue.end(str(order_id), VenueOrderStatus.REPLACED, replaced_by="the-successor")
    house.advance(order_id)
    house.sweep(5)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    order = house.order(order_id)
    assert (order.filled_quantity, order.alarm_code) == (Decimal(30), "REPLACED_AT_VENUE")
    assert house.venue.with_client_id(f"{order_id}-1") == [], "the successor lives: nothing is sent beside it"
    ((reason,),) = house.as_worker(
        "SELECT reason FROM execution_logs WHERE order_id = %s AND error_code = 'REPLACED_AT_VENUE'", order_id
    )
    assert "the-successor" in str(reason)


def test_a_late_fill_of_what_was_replaced_is_booked_after_the_end_of_all_of_it(house: House) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    carried_out(house, order_id)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    executed_after_all(house, order_id, 10)
    house.listen()
    order = house.order(order_id)
    assert (order.status, order.filled_quantity, order.alarm_code) == ("CANCELLED", Decimal(40), "LATE_FILL")
    assert house.account() == (Decimal(94_000), Decimal(0))


def compared(house: House, comparison: Comparison) -> Compared:
    found = comparison.run_once()
    assert isinstance(found, Compared), found
    return found


@pytest.fixture
def comparison(house: House) -> Comparison:
    return Comparison(house.worker, house.venue, PostgresVenueBooks(house.worker_database))


@pytest.mark.parametrize("executions_fail", [0, 2])
@pytest.mark.parametrize("executed_by_the_second", [0, 20])
def test_a_late_fill_of_what_was_replaced_is_found_in_the_list_when_the_stream_drops_it(
    house: House, comparison: Comparison, executed_by_the_second: int, executions_fail: int
) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    assert compared(house, comparison).news == 0, "what was replaced is booked as the venue has it"
    executed_after_all(house, order_id, 10)
    if executed_by_the_second:
        house.venue.fill(f"{order_id}-1", Decimal(executed_by_the_second), Decimal(151))
    house.venue.plan(Fault.EXECUTIONS_ERROR, times=executions_fail)
    assert compared(house, comparison).news == 1
    if executions_fail:  # it is looked for until it is booked, however long ago it was sent
        house.sweep(60)
        compared(house, comparison)
    carried_out(house, order_id)
    left = Decimal(60 - executed_by_the_second)
    assert open_at_venue(house) == [(f"{order_id}-2", left)]
    order = house.order(order_id)
    assert (order.filled_quantity, order.alarm_code) == (HUNDRED - left, "LATE_FILL")
    assert house.account() == (Decimal(94_000 - executed_by_the_second * 151), left * 151)
    before = len(house.venue.request_log)
    assert compared(house, comparison).news == 0
    assert [method for _, method, _ in house.venue.request_log[before:]] == ["orders", "orders"]


@pytest.mark.parametrize("late_of", ["first", "second"])
def test_a_late_fill_that_the_stream_drops_is_found_in_the_list_after_the_end_of_all_of_it(
    house: House, comparison: Comparison, late_of: str
) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    carried_out(house, order_id)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert compared(house, comparison).news == 0
    executed_after_all(house, order_id if late_of == "first" else f"{order_id}-1", 10)
    assert compared(house, comparison).news == 1
    order = house.order(order_id)
    assert (order.status, order.filled_quantity, order.alarm_code) == ("CANCELLED", Decimal(40), "LATE_FILL")
    assert house.account() == (Decimal(94_000), Decimal(0))
    before = len(house.venue.request_log)
    assert compared(house, comparison).news == 0
    house.sweep(10)
    assert [method for _, method, _ in house.venue.request_log[before:]] == ["orders", "orders"]


@pytest.mark.parametrize("lives", ["first", "second"])
def test_whichever_of_an_ended_orders_venue_orders_lives_is_cancelled_there(
    house: House, comparison: Comparison, lives: str
) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    carried_out(house, order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    carried_out(house, order_id)
    house.clock.pass_(15)
    stray = house.venue.with_client_id(str(order_id) if lives == "first" else f"{order_id}-1")[0]
    stray.status, stray.cancelled_at = VenueOrderStatus.WORKING, None
    assert compared(house, comparison).news == 1
    assert house.order(order_id).alarm_code == "LIVE_AFTER_END"
    house.sweep(10)
    assert stray.status is VenueOrderStatus.CANCELLED
    assert house.order(order_id).stray_due_at is None


def test_a_late_fill_of_what_was_replaced_that_is_too_much_halts_the_trader(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    carried_out(house, order_id)
    house.venue.fill(f"{order_id}-1", HUNDRED, Decimal(151))
    house.listen()
    executed_after_all(house, order_id, 10)
    house.listen()
    assert "OVERFILL" in (house.order(order_id).alarm_code or "")
    assert isinstance(house.submit(), Refusal)
    assert house.account() == (Decimal(84_900), Decimal(0)), (
        "what is more than was ordered is not booked: a person decides"
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cancel_wins_over_the_amendment(house: House, when: str) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    if when == "after":
        house.advance(order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(5)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert open_at_venue(house) == [] and reserved(house) == 0


def test_a_halt_between_the_two_orders_keeps_the_second_back(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    house.halt()
    house.sweep(5)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert open_at_venue(house) == []


def test_an_increase_that_the_account_cannot_carry_is_denied_and_changes_nothing(house: House) -> None:
    order_id = working(house)
    outcome = want(house, order_id, quantity=1000)
    assert isinstance(outcome, Denied) and [each.code for each in outcome.denials] == ["INSUFFICIENT_FUNDS"]
    assert reserved(house) == 15025
    assert isinstance(want(house, order_id, quantity=660), AmendStored), "its own reservation is not against it"


def test_an_order_that_has_ended_or_is_cancelled_is_not_amended(house: House) -> None:
    order_id = working(house)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    assert isinstance(want(house, order_id, "151"), NotOpen)
    house.sweep(2)
    house.listen()
    assert isinstance(want(house, order_id, "151"), NotOpen)


def test_an_amendment_in_doubt_goes_out_when_the_order_is_found(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    assert isinstance(want(house, order_id, "151"), AmendStored)
    house.sweep(8)
    assert open_at_venue(house) == [(f"{order_id}-1", HUNDRED)]


@pytest.mark.parametrize("when", ["before it is asked for", "while it is asked for", "before a person retries"])
@pytest.mark.parametrize("kind", ["house", "forgetful_house"])
def test_an_amendment_of_what_never_arrived_goes_out_on_the_new_terms_alone(
    kind: str, when: str, request: pytest.FixtureRequest
) -> None:
    house: House = request.getfixturevalue(kind)
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    if when == "while it is asked for":
        find = house.venue.find

        def amended_meanwhile(client_order_id: str) -> LookupAnswer:
            answer = find(client_order_id)
            house.venue.find = find  # type: ignore[method-assign]
            want(house, order_id, "140", 50)
            return answer

        house.venue.find = amended_meanwhile  # type: ignore[method-assign]
        house.sweep(3)
    else:
        want(house, order_id, "140", 50)
    if when == "before a person retries":
        house.venue.plan(Fault.FIND_ERROR, times=9)
        house.sweep(15)
        assert house.state(order_id)[1] == "NEEDS_ATTENTION"
        retry(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(60)
    assert [each.instruction.client_order_id for each in house.venue.ledger] == [f"{order_id}-1"]
    assert open_at_venue(house) == [(f"{order_id}-1", Decimal(50))]
    assert house.venue.ledger[0].instruction.limit_price == 140
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert reserved(house) == 7000


def test_a_late_fill_of_what_was_replaced_is_taken_off_a_second_that_never_arrived(house: House) -> None:
    order_id = working(house, filled=30)
    want(house, order_id, "151")
    leaving = second_on_its_way(house, order_id)
    house.venue.plan(Fault.SUBMIT_LOST)
    send(house.worker, leaving)
    executed_after_all(house, order_id, 10)
    house.listen()
    house.sweep(60)
    assert open_at_venue(house) == [(f"{order_id}-2", Decimal(60))]
    assert len(house.venue.ledger) == 2, "what was for too much is not sent again"
    assert house.order(order_id).filled_quantity == 40 == executed(house)


def test_a_price_that_was_within_the_limit_of_then_is_no_false_alarm(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "140")
    carried_out(house, order_id)
    executed_after_all(house, order_id, 10)  # at 150, which was allowed when it stood
    house.listen()
    assert house.order(order_id).alarm_code == "LATE_FILL"
    assert "PRICE_BEYOND_LIMIT" not in str(
        house.sql("SELECT details FROM execution_logs WHERE chain_id = %s", order_id)
    )


def test_a_cancel_of_the_first_order_that_is_answered_late_is_no_cancel_of_the_second(house: House) -> None:
    order_id = working(house)
    want(house, order_id, "151")
    cancel = house.venue.cancel

    def answered_late(venue_order_id: str) -> CancelAnswer:
        answer = cancel(venue_order_id)
        house.listen()  # the stream is faster
        assert house.state(order_id)[1] == "QUEUED"
        return answer

    house.venue.cancel = answered_late  # type: ignore[method-assign]
    house.advance(order_id)
    house.venue.cancel = cancel  # type: ignore[method-assign]
    assert house.order(order_id).cancel_sent_at is None
    house.advance(order_id)
    assert open_at_venue(house) == [(f"{order_id}-1", HUNDRED)]
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.advance(order_id)
    assert open_at_venue(house) == []
