"""The venue's lists against our books: what the stream missed, what is not ours, what is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from app.domain.comparison import OurSide
from app.domain.orders import Order
from app.domain.reconciliation import NOTHING_KNOWN, Known
from app.domain.venue_answers import Execution, OrderReport, OutcomeUnknown, PartOfList, VenueOrderStatus
from app.lifecycle.cancel import request_cancel
from app.lifecycle.compare import Compared, Comparison
from app.lifecycle.send import instruction
from app.storage.venue_books import PostgresVenueBooks
from proofs.fake_venue import FakeOrder, FakeVenue, Fault
from tests.lifecycle.conftest import TRADER, House

PRICE = Decimal(150)
HUNDRED = Decimal(100)


@pytest.fixture
def comparison(house: House) -> Comparison:
    return Comparison(house.worker, house.venue, PostgresVenueBooks(house.worker_database))


def working(house: House, count: int = 1) -> list[UUID]:
    order_ids = [house.submitted(quantity=Decimal(10)) for _ in range(count)]
    for order_id in order_ids:
        house.advance(order_id)
    house.clock.pass_(5)
    return order_ids


def compared(comparison: Comparison) -> Compared:
    found = comparison.run_once()
    assert isinstance(found, Compared), found
    return found


def calls(house: House, since: int) -> list[str]:
    return [method for _, method, _ in house.venue.request_log[since:]]


def test_what_the_stream_missed_is_taken_over_with_three_requests_for_any_number_of_orders(
    house: House, comparison: Comparison
) -> None:
    filled, partly, ended, resting = working(house, 4)
    house.venue.fill(str(filled), Decimal(10), PRICE)
    house.venue.fill(str(partly), Decimal(4), PRICE)
    house.venue.end(str(ended), VenueOrderStatus.EXPIRED)
    before = len(house.venue.request_log)
    assert compared(comparison) == Compared(same=1, news=3, asked_about=0, orphans=0)
    assert calls(house, before) == ["orders", "orders", "executions"]
    assert house.state(filled) == ("FILLED", "CLOSED")
    assert house.state(partly) == ("PARTIAL", "WORKING")
    assert house.state(ended) == ("CANCELLED", "CLOSED")
    assert house.state(resting) == ("PENDING", "WORKING")
    assert house.account()[0] == 100_000 - 14 * PRICE
    house.listen()  # the same again, from the stream
    assert house.account()[0] == 100_000 - 14 * PRICE
    assert compared(comparison) == Compared(same=2, news=0, asked_about=0, orphans=0)


def test_an_order_that_is_the_same_there_is_not_asked_about_by_itself(house: House, comparison: Comparison) -> None:
    (order_id,) = working(house)
    before = len(house.venue.request_log)
    for _ in range(20):
        house.sweep(6, step=6)
        compared(comparison)
    assert calls(house, before).count("find") <= 3, "only while it had just changed"
    due = house.order(order_id).due_at
    assert due is not None and due <= house.clock.now() + timedelta(seconds=30)


def test_an_order_in_doubt_is_found_in_the_list(house: House, comparison: Comparison) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    assert not comparison.in_doubt()
    house.clock.pass_(3)
    assert comparison.in_doubt()
    compared(comparison)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.events(order_id)[-1] == "order.recovered"
    assert not comparison.in_doubt()


def test_a_wanted_cancel_goes_out_when_the_list_has_the_order(house: House, comparison: Comparison) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.heard.orders.clear()
    compared(comparison)
    assert house.heard.orders == [order_id]
    house.sweep(3)
    assert house.venue.with_client_id(str(order_id))[-1].status is VenueOrderStatus.CANCELLED


def test_an_order_that_is_not_ours_is_reported_once_and_never_touched(house: House, comparison: Comparison) -> None:
    (ours,) = working(house)
    house.venue.submit(replace(instruction(house.order(ours)), client_order_id="somebody-else"))
    house.venue.submit(replace(instruction(house.order(ours)), client_order_id=str(uuid4())))
    before = len(house.venue.request_log)
    assert compared(comparison).orphans == 0, "it may be ours under a name that the venue gave it"
    house.clock.pass_(15)
    assert compared(comparison).orphans == 2
    assert compared(comparison).orphans == 0
    another = Comparison(house.worker, house.venue, PostgresVenueBooks(house.worker_database))
    compared(another)
    house.clock.pass_(15)
    assert compared(another).orphans == 0, "after a restart"
    assert set(calls(house, before)) == {"orders"}
    rows = house.as_worker(
        "SELECT action::text, error_code, venue_order_id, chain_seq FROM execution_logs WHERE order_id IS NULL "
        "ORDER BY chain_seq"
    )
    orphans = [order.venue_order_id for order in house.venue.ledger[1:]]
    assert rows == [("ALARMED", "ORPHAN", name, seq) for seq, name in enumerate(orphans, start=1)]


def test_an_order_that_the_venue_does_not_list_is_asked_about_and_alarmed_but_not_ended(
    house: House, comparison: Comparison
) -> None:
    (order_id,) = working(house)
    compared(comparison)
    ghost = house.venue.ledger.pop()
    assert compared(comparison).asked_about == 1
    assert compared(comparison).asked_about == 0, "it is due already"
    house.sweep(120)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.order(order_id).alarm_code == "MISSING_AT_VENUE"
    house.venue.ledger.append(ghost)
    house.venue.fill(str(order_id), Decimal(10), PRICE)
    compared(comparison)
    assert house.state(order_id) == ("FILLED", "CLOSED")


def test_one_that_was_only_just_accepted_need_not_be_in_the_list(house: House, comparison: Comparison) -> None:
    working(house)
    compared(comparison)
    house.advance(house.submitted(quantity=Decimal(10)))
    house.venue.ledger.clear()
    assert compared(comparison).asked_about == 1


def tampered(change: Callable[[OrderReport], OrderReport]) -> type[FakeVenue]:
    class Tampered(FakeVenue):
        def open_orders(self) -> Sequence[OrderReport] | OutcomeUnknown:
            listed = super().open_orders()
            return listed if isinstance(listed, OutcomeUnknown) else [change(report) for report in listed]

        def orders(self, since: object) -> Sequence[OrderReport] | OutcomeUnknown:
            return []

    return Tampered


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        (lambda report: replace(report, filled_quantity=Decimal(11)), "OVERFILL"),
        (lambda report: replace(report, quantity=Decimal(11), filled_quantity=Decimal(11)), "TERMS_DIFFER"),
        (lambda report: replace(report, symbol="MSFT"), "TERMS_DIFFER"),
        (lambda report: replace(report, side="SELL"), "TERMS_DIFFER"),
        (lambda report: replace(report, venue_order_id="another"), "SECOND_VENUE_ORDER"),
    ],
)
def test_what_cannot_be_true_is_alarmed_and_books_nothing(
    house: House, comparison: Comparison, change: Callable[[OrderReport], OrderReport], alarm: str
) -> None:
    (order_id,) = working(house)
    before = house.account()
    house.venue.__class__ = tampered(change)
    compared(comparison)
    order = house.order(order_id)
    assert order.alarm_code == alarm
    assert (order.filled_quantity, house.account()) == (Decimal(0), before)
    assert order.execution_state.value == ("CANCELLING" if alarm == "OVERFILL" else "WORKING")


def test_a_list_that_cannot_be_had_says_nothing(house: House, comparison: Comparison) -> None:
    first, second = working(house, 2)
    house.venue.plan(Fault.ORDERS_ERROR)
    assert isinstance(comparison.run_once(), OutcomeUnknown)
    house.venue.plan(Fault.ORDERS_ERROR)
    assert isinstance(comparison.run_once(after_gap=True), OutcomeUnknown)
    due = [house.order(order_id).due_at for order_id in (first, second)]
    latest = house.clock.now() + timedelta(seconds=0.1)
    assert all(at is not None and at <= latest for at in due), "each is asked about by itself"
    house.venue.fill(str(first), Decimal(10), PRICE)
    house.venue.plan(Fault.EXECUTIONS_ERROR)
    assert compared(comparison).news == 1
    assert house.state(first) == ("PENDING", "WORKING"), "an end is believed with its executions only"
    house.sweep(3)
    assert house.state(first) == ("FILLED", "CLOSED")


def test_one_that_ended_here_and_lives_there_is_gone_after(house: House, comparison: Comparison) -> None:
    (order_id,) = working(house)
    house.venue.end(str(order_id), VenueOrderStatus.CANCELLED)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    house.venue.ledger[-1].status = VenueOrderStatus.WORKING
    compared(comparison)
    assert house.order(order_id).alarm_code is None, "lists may lag for a moment"
    house.clock.pass_(15)
    compared(comparison)
    assert house.order(order_id).alarm_code == "LIVE_AFTER_END"
    house.sweep(10)
    assert house.venue.ledger[-1].status is VenueOrderStatus.CANCELLED


def test_one_that_the_stream_ends_while_the_list_is_taken_over_is_not_gone_after(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    order_id = house.submitted(quantity=Decimal(10))
    house.advance(order_id)

    class Meanwhile(PostgresVenueBooks):
        def named(self, venue: str, reports: Sequence[OrderReport]) -> Sequence[OurSide]:
            in_doubt = super().named(venue, reports)
            house.venue.fill(str(order_id), Decimal(10), PRICE)
            house.listen()
            return in_doubt

    assert compared(Comparison(house.worker, house.venue, Meanwhile(house.worker_database))).news == 1
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert house.order(order_id).alarm_code is None
    assert house.order(order_id).stray_due_at is None


def test_executions_of_a_long_night_are_found_by_one_longer_list(house: House, comparison: Comparison) -> None:
    (old,) = working(house)
    compared(comparison)
    for _ in range(4):
        house.clock.pass_(600)
        compared(comparison)
    house.venue.fill(str(old), Decimal(10), PRICE)
    before = len(house.venue.request_log)
    assert compared(comparison).news == 1
    assert calls(house, before) == ["orders", "orders", "executions"]
    assert house.state(old) == ("FILLED", "CLOSED")


def standing_exit(house: House, terms: dict[str, Decimal]) -> UUID:
    """The exit of a filled entry for a hundred."""
    entry_id = house.submitted(**terms)
    house.advance(entry_id)
    house.venue.fill(str(entry_id), HUNDRED, PRICE)
    house.listen()
    ((exit_id,),) = house.as_worker("SELECT id FROM orders WHERE parent_id = %s", entry_id)
    assert isinstance(exit_id, UUID)
    house.advance(exit_id)
    return exit_id


def ended_exit(house: House, terms: dict[str, Decimal]) -> Order:
    """Such an exit, cancelled and closed here after it has stood at the venue."""
    exit_id = standing_exit(house, terms)
    request_cancel(house.api, exit_id, TRADER, trader_id=house.trader_id)
    house.sweep(3)
    house.listen()
    assert house.state(exit_id) == ("CANCELLED", "CLOSED")
    return house.order(exit_id)


def executed_after_all(house: House, order: FakeOrder, quantity: int, price: Decimal) -> None:
    """An order that had ended at the venue has executed more than it had said."""
    order.status, order.cancelled_at = VenueOrderStatus.WORKING, None
    house.venue._execute(order, Decimal(quantity), price)
    order.status = VenueOrderStatus.CANCELLED


def position(house: House) -> tuple[object, ...]:
    """Held and reserved."""
    (found,) = house.sql_as_worker("SELECT quantity, reserved_quantity FROM positions")
    return found


STOP, PROFIT = {"stop_loss": Decimal(140)}, {"take_profit": Decimal(160)}


@pytest.mark.parametrize(
    ("terms", "executed"), [(PROFIT, "profit"), (STOP, "stop"), (STOP | PROFIT, "profit"), (STOP | PROFIT, "stop")]
)
def test_what_an_exit_executed_after_its_end_is_booked_though_the_stream_dropped_it(
    house: House, comparison: Comparison, terms: dict[str, Decimal], executed: str
) -> None:
    order = ended_exit(house, terms)
    house.clock.pass_(15)
    before = len(house.venue.request_log)
    assert compared(comparison).news == 0
    late = house.venue.with_client_id(str(order.id))[-1]
    if executed == "stop" and order.is_exit_pair:
        assert late.leg is not None
        late = late.leg
    executed_after_all(house, late, 40, Decimal(160 if executed == "profit" else 139))
    compared(comparison)
    assert calls(house, before) == ["orders", "orders", "orders", "orders", "executions"]
    order = house.order(order.id)
    assert (order.status, order.filled_quantity, order.alarm_code) == ("CANCELLED", Decimal(40), "LATE_FILL")
    assert position(house) == (60, 0), "what has been sold cannot be sold again"
    assert (order.stray_due_at, order.is_closed) == (None, True)
    before = len(house.venue.request_log)
    assert compared(comparison) == Compared(same=0, news=0, asked_about=0, orphans=0)
    house.sweep(10)
    assert calls(house, before) == ["orders", "orders"], "nobody asks about a closed order that is the same there"
    house.listen()
    assert position(house) == (60, 0)


def test_what_an_ended_exit_executed_is_booked_by_a_later_look_where_executions_are_not_listed(
    house: House, comparison: Comparison
) -> None:
    order = ended_exit(house, STOP | PROFIT)
    compared(comparison)
    executed_after_all(house, house.venue.with_client_id(str(order.id))[-1], 40, Decimal(160))
    house.venue.plan(Fault.EXECUTIONS_ERROR, times=2)
    compared(comparison)
    house.clock.pass_(600)
    compared(comparison)
    house.sweep(10)
    assert (house.order(order.id).filled_quantity, house.order(order.id).stray_due_at) == (Decimal(40), None)


def test_what_the_stop_of_a_standing_pair_has_executed_is_found_in_the_list(
    house: House, comparison: Comparison
) -> None:
    exit_id = standing_exit(house, STOP | PROFIT)
    house.venue.trigger(str(exit_id))
    house.venue.fill_stop(str(exit_id), Decimal(40), Decimal(139))
    compared(comparison)
    order = house.order(exit_id)
    assert (order.status, order.filled_quantity, order.alarm_code) == ("PARTIAL", Decimal(40), None)
    house.sweep(3)
    house.venue.fill_stop(str(exit_id), Decimal(60), Decimal(139))
    compared(comparison)
    house.sweep(3)
    assert (house.state(exit_id), house.order(exit_id).alarm_code) == (("FILLED", "CLOSED"), None)
    assert position(house) == (0, 0)


@pytest.mark.parametrize("part", ["both", "profit", "stop"])
def test_a_pair_that_ended_here_and_lives_there_is_gone_after_whichever_part_it_is(
    house: House, comparison: Comparison, part: str
) -> None:
    order = ended_exit(house, STOP | PROFIT)
    profit = house.venue.with_client_id(str(order.id))[-1]
    assert profit.leg is not None
    parts = {"profit": [profit], "stop": [profit.leg], "both": [profit, profit.leg]}[part]
    for each in parts:
        each.status, each.cancelled_at = VenueOrderStatus.WORKING, None
    compared(comparison)
    assert house.order(order.id).alarm_code is None, "lists may lag for a moment"
    house.clock.pass_(15)
    compared(comparison)
    assert house.order(order.id).alarm_code == "LIVE_AFTER_END"
    house.sweep(5)
    assert [each.status for each in parts] == [VenueOrderStatus.CANCELLED] * len(parts)
    assert house.order(order.id).stray_due_at is None
    before = len(house.venue.request_log)
    compared(comparison)
    house.sweep(10)
    assert calls(house, before) == ["orders", "orders"]


def asked_for_executions(house: House, since: int) -> list[timedelta]:
    """The pauses between one question for executions and the next."""
    asked = [at for at, method, _ in house.venue.request_log[since:] if method == "executions"]
    return [later - earlier for earlier, later in pairwise(asked)]


def test_executions_that_cannot_be_had_are_asked_for_less_and_less_often(house: House) -> None:
    (order_id,) = working(house)
    house.venue.fill(str(order_id), Decimal(10), PRICE)
    house.venue.plan(Fault.EXECUTIONS_ERROR, times=1000)
    before = len(house.venue.request_log)
    house.sweep(240)
    pauses = [pause.total_seconds() for pause in asked_for_executions(house, before)]
    assert pauses[0] < 6
    assert pauses == sorted(pauses)
    assert len(pauses) < 12, "it was asked about every second"
    assert house.order(order_id).alarm_code is None
    house.sweep(240)
    assert asked_for_executions(house, before)[-1] <= timedelta(seconds=62)
    assert house.order(order_id).alarm_code == "EXECUTIONS_MISSING"
    assert house.state(order_id) == ("PENDING", "WORKING"), "an end is believed with its executions only"
    house.venue.forget_plans("executions")
    house.sweep(61)
    assert house.state(order_id) == ("FILLED", "CLOSED")


def test_a_list_that_comes_again_and_again_does_not_put_off_the_question_for_executions(
    house: House, comparison: Comparison
) -> None:
    (order_id,) = working(house)
    house.venue.fill(str(order_id), Decimal(10), PRICE)
    house.venue.plan(Fault.EXECUTIONS_ERROR, times=1000)
    house.sweep(180)
    before = len(house.venue.request_log)
    for _ in range(12):
        compared(comparison)
        house.sweep(10)
    assert calls(house, before).count("find") >= 2


def test_late_executions_that_cannot_be_had_are_asked_for_less_and_less_often(house: House) -> None:
    (order_id,) = working(house)
    house.venue.end(str(order_id), VenueOrderStatus.CANCELLED)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    house.venue.ledger[-1].status = VenueOrderStatus.WORKING
    house.venue.fill(str(order_id), Decimal(10), PRICE)
    house.venue.plan(Fault.EXECUTIONS_ERROR, times=1000)
    compared(Comparison(house.worker, house.venue, PostgresVenueBooks(house.worker_database)))
    before = len(house.venue.request_log)
    house.sweep(240)
    assert 3 < calls(house, before).count("executions") < 12
    house.venue.forget_plans("executions")
    house.sweep(61)
    assert house.state(order_id) == ("FILLED", "CLOSED")
    assert house.order(order_id).stray_due_at is None


def test_the_earlier_of_two_missed_executions_is_found_when_the_later_was_heard(house: House) -> None:
    (order_id,) = working(house)
    house.venue.fill(str(order_id), Decimal(4), PRICE)
    list(house.stream.updates(0))  # lost on its way
    house.venue.fill(str(order_id), Decimal(3), PRICE)
    house.listen()
    assert house.order(order_id).filled_quantity == 3
    house.sweep(3)
    assert house.order(order_id).filled_quantity == 7
    assert house.order(order_id).alarm_code is None


def test_the_stop_of_a_pair_that_was_over_before_its_submit_had_an_answer_is_no_orphan(
    house: House, comparison: Comparison
) -> None:
    entry_id = house.submitted(stop_loss=Decimal(140), take_profit=Decimal(160))
    house.advance(entry_id)
    house.venue.fill(str(entry_id), HUNDRED, PRICE)
    house.listen()
    ((pair_id,),) = house.as_worker("SELECT id FROM orders WHERE parent_id = %s", entry_id)
    assert isinstance(pair_id, UUID)
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.advance(pair_id)
    house.venue.fill(str(pair_id), HUNDRED, Decimal(160))
    house.listen()
    pair = house.order(pair_id)
    assert (pair.status, pair.other_venue_orders) == ("FILLED", ())
    before = len(house.venue.request_log)
    for _ in range(6):
        assert compared(comparison).orphans == 0
        house.clock.pass_(15)
    assert calls(house, before).count("find") == 1
    stop = house.venue.with_client_id(str(pair_id))[-1].leg
    assert stop is not None and stop.venue_order_id in house.order(pair_id).venue_ids
    assert (house.order(pair_id).alarm_code, house.order(pair_id).stray_due_at) == (None, None)


def someone_elses(house: House, order_id: UUID, **terms: object) -> FakeOrder:
    """An order at the venue that nobody here has sent."""
    made = replace(instruction(house.order(order_id)), client_order_id=f"by hand {uuid4()}", or_stop_price=None)
    house.venue.submit(replace(made, **terms))  # type: ignore[arg-type] # named after the fields
    return house.venue.ledger[-1]


def test_a_stranger_beside_single_exits_costs_no_question(house: House, comparison: Comparison) -> None:
    exits = [standing_exit(house, STOP) for _ in range(3)]
    someone_elses(house, exits[0])
    house.clock.pass_(5)
    compared(comparison)
    house.clock.pass_(15)
    before = len(house.venue.request_log)
    assert compared(comparison).orphans == 1
    assert compared(comparison).orphans == 0
    assert "find" not in calls(house, before)


def unnamed_pair(house: House) -> UUID:
    """A pair that was over before its submit had an answer: it does not know its other order."""
    entry_id = house.submitted(**(STOP | PROFIT))
    house.advance(entry_id)
    house.venue.fill(str(entry_id), HUNDRED, PRICE)
    house.listen()
    ((pair_id,),) = house.as_worker("SELECT id FROM orders WHERE parent_id = %s", entry_id)
    assert isinstance(pair_id, UUID)
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.advance(pair_id)
    house.venue.fill(str(pair_id), HUNDRED, Decimal(160))
    house.listen()
    return pair_id


def test_a_pair_is_asked_once_whether_a_stranger_is_its_own(house: House, comparison: Comparison) -> None:
    pair_id = unnamed_pair(house)
    pair = house.venue.with_client_id(str(pair_id))[-1]
    assert pair.leg is not None
    house.venue.ledger.remove(pair.leg)
    pair.leg = None
    someone_elses(house, pair_id)
    compared(comparison)
    house.clock.pass_(15)
    house.venue.plan(Fault.FIND_ERROR)
    before = len(house.venue.request_log)
    assert compared(comparison).orphans == 0, "the question had no answer"
    assert compared(comparison).orphans == 1
    for _ in range(3):
        house.clock.pass_(15)
        assert compared(comparison).orphans == 0
    assert calls(house, before).count("find") == 2


def test_a_second_order_at_the_venue_under_an_exit_s_name_is_alarmed(house: House, comparison: Comparison) -> None:
    exit_id = standing_exit(house, STOP)
    house.clock.pass_(5)
    first = house.venue.with_client_id(str(exit_id))[-1]
    second = someone_elses(house, exit_id)
    second.instruction = replace(second.instruction, client_order_id=str(exit_id))
    assert compared(comparison).news == 1
    order = house.order(exit_id)
    assert (order.alarm_code, order.venue_order_id) == ("SECOND_VENUE_ORDER", first.venue_order_id)
    house.venue.ledger.remove(first)
    house.clock.pass_(5)
    assert compared(comparison).asked_about == 1, "that the other is listed does not hide that ours is not"


class Partial:
    """A venue whose long lists break off after some orders."""

    name: str

    def __init__(self, house: House, orders_read: int | None) -> None:
        self.name = house.venue.name
        self.orders_read = orders_read
        """None: not a page of a long list can be had."""
        self.asked_since: list[timedelta] = []
        self._house = house

    def open_orders(self) -> Sequence[OrderReport] | OutcomeUnknown:
        return self._house.venue.open_orders()

    def orders(self, since: datetime) -> Sequence[OrderReport] | PartOfList | OutcomeUnknown:
        now = self._house.clock.now()
        self.asked_since.append(now - since)
        if now - since <= timedelta(minutes=1, seconds=1):
            return self._house.venue.orders(since)
        why = OutcomeUnknown("VENUE_TIMEOUT", "The venue took too long to answer.")
        if self.orders_read is None:
            return why
        received = [each for each in self._house.venue.ledger if each.received_at >= since]
        if len(received) <= self.orders_read:
            return [each.report() for each in received]
        part = received[: self.orders_read]
        return PartOfList([each.report() for each in part], part[-1].received_at, why)

    def executions_of(
        self, reports: Sequence[OrderReport], since: datetime, known: Known = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Execution]] | OutcomeUnknown:
        return self._house.venue.executions_of(reports, since, known)


def test_a_list_that_breaks_off_is_gone_on_with_by_the_next_comparison(house: House) -> None:
    (ours,) = working(house)
    strangers = []
    for _ in range(10):
        strangers.append(someone_elses(house, ours))
        strangers[-1].status = VenueOrderStatus.CANCELLED
        house.clock.pass_(120)
    lists = Partial(house, orders_read=4)
    comparison = Comparison(house.worker, lists, PostgresVenueBooks(house.worker_database))
    found = 0
    for _ in range(6):
        found += compared(comparison).orphans
        house.clock.pass_(11)
    assert found == len(strangers)
    assert lists.asked_since[-1] <= timedelta(minutes=1, seconds=12), "it has caught up"


def test_what_was_never_listed_is_not_taken_for_looked_at(house: House, caplog: pytest.LogCaptureFixture) -> None:
    (ours,) = working(house)
    stranger = someone_elses(house, ours)
    stranger.status = VenueOrderStatus.CANCELLED
    house.clock.pass_(600)
    lists = Partial(house, orders_read=None)
    comparison = Comparison(house.worker, lists, PostgresVenueBooks(house.worker_database))
    for _ in range(3):
        assert compared(comparison).orphans == 0
        house.clock.pass_(11)
    assert [record.getMessage() for record in caplog.records if "in parts" in record.getMessage()] == [
        "the venue's orders are compared in parts: The venue took too long to answer. (VENUE_TIMEOUT)"
    ]
    lists.orders_read = 100
    compared(comparison)
    house.clock.pass_(11)
    assert compared(comparison).orphans == 1
    assert house.as_worker("SELECT venue_order_id FROM execution_logs WHERE error_code = 'ORPHAN'") == [
        (stranger.venue_order_id,)
    ]
