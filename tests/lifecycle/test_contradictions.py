"""Senders that come back from the dead, venues that contradict themselves, answers that cannot be stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.domain.changes import RowBusy, StoreUnavailable
from app.domain.venue_answers import (
    Accepted,
    Execution,
    LookupAnswer,
    OrderReport,
    OutcomeUnknown,
    Refused,
    TradeUpdate,
    VenueOrderStatus,
)
from app.lifecycle import attention
from app.lifecycle.accept import Refusal
from app.lifecycle.advance import _Ask, _claim
from app.lifecycle.cancel import request_cancel
from app.lifecycle.ports import UnknownVenue
from app.lifecycle.reconcile import ask, take_updates
from app.lifecycle.send import Leaving, Settled, _record_until_stored, attempt_key, instruction, record_answer, send
from app.storage.transaction import DatabaseUnavailable
from app.venues.port import Venue
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import TRADER, House

HUNDRED = Decimal(100)


def report(order_id: UUID, venue_order_id: str, status: VenueOrderStatus, filled: int = 0) -> OrderReport:
    return OrderReport(venue_order_id, str(order_id), "AAPL", "BUY", HUNDRED, status, status.lower(), Decimal(filled))


def fill(house: House, order_id: UUID, venue_order_id: str, cumulative: int, quantity: int) -> TradeUpdate:
    status = VenueOrderStatus.FILLED if cumulative == 100 else VenueOrderStatus.WORKING
    execution = Execution(venue_order_id, Decimal(cumulative), Decimal(quantity), Decimal(150), house.clock.now())
    return TradeUpdate("fill", report(order_id, venue_order_id, status, cumulative), execution)


def absent(house: House) -> UUID:
    """An order that was cancelled because its absence was proven."""
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(45)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    return order_id


def paused(house: House) -> tuple[UUID, Leaving]:
    """A committed attempt whose sender has not called the venue yet."""
    order_id = house.submitted()
    leaving = house.worker.store.change(order_id, lambda held: _claim(house.worker, held))
    assert isinstance(leaving, Leaving)
    return order_id, leaving


def test_the_refusal_of_an_earlier_request_ends_nothing_that_a_later_one_has_opened(house: House) -> None:
    order_id = house.submitted()
    house.venue.plan(Fault.SUBMIT_LOST)
    house.advance(order_id)
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.sweep(2)
    order = house.order(order_id)
    assert (order.attempts, order.execution_state) == (2, "IN_DOUBT")
    record_answer(house.worker, order_id, 1, Refused("INSUFFICIENT_FUNDS", "too dear"))
    assert house.state(order_id) == ("PENDING", "IN_DOUBT")
    house.sweep(5)
    assert house.state(order_id) == ("PENDING", "WORKING")
    assert house.order(order_id).alarm_code is None


def test_a_worker_that_is_overtaken_while_it_asks_sends_nothing(house: House) -> None:
    """Both were told that the venue does not know the order; the second has begun an attempt by now (I3)."""
    order_id, _ = paused(house)
    house.senders.gone.add(house.senders.me)
    house.senders.me = "host/1/boot/200/2"

    def claimed() -> _Ask:
        house.clock.pass_(9)
        claim = house.worker.store.change(order_id, lambda held: _claim(house.worker, held))
        assert isinstance(claim, _Ask)
        return claim

    slow, quick = claimed(), claimed()
    assert isinstance(ask(house.worker, quick.order), Leaving)
    assert ask(house.worker, slow.order) == Settled()
    assert house.order(order_id).attempts == 2


def test_no_absence_is_proven_while_an_earlier_sender_may_still_send(house: House) -> None:
    order_id, _ = paused(house)
    first = house.senders.me
    house.senders.me = "host/1/boot/200/2"
    house.venue.plan(Fault.SUBMIT_LOST)
    house.sweep(9)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(60)
    assert house.state(order_id) == ("PENDING", "CANCELLING")
    house.senders.gone.add(first)
    house.sweep(65)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_a_sender_that_was_held_up_beyond_its_lease_sends_nothing(house: House) -> None:
    order_id, leaving = paused(house)
    house.clock.pass_(9)
    send(house.worker, leaving)
    assert house.venue.with_client_id(str(order_id)) == []
    house.sweep(5)
    assert house.state(order_id) == ("PENDING", "WORKING")


def test_a_living_sender_testifies_that_it_does_not_send_any_more(house: House) -> None:
    order_id, _ = paused(house)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(60, step=5)
    assert house.state(order_id)[1] == "CANCELLING"
    house.senders.testified.add(attempt_key(order_id, 1))
    house.sweep(60, step=5)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_a_venue_that_knows_the_id_has_the_order_whatever_it_denies_later(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.venue.plan(Fault.FIND_DENIED, times=60)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(3)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(45)
    assert house.state(order_id)[1] == "CANCELLING"
    assert house.order(order_id).alarm_code == "MISSING_AT_VENUE"
    house.sweep(300)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_late_fills_of_two_absent_orders_are_two_fills(house: House) -> None:
    first, second = absent(house), absent(house)
    take_updates(house.worker, first, [fill(house, first, "v-1", 100, 100)])
    take_updates(house.worker, second, [fill(house, second, "v-2", 100, 100)])
    assert [house.state(each)[0] for each in (first, second)] == ["FILLED", "FILLED"]
    assert house.account()[0] == Decimal(70000)
    assert house.order(first).alarm_code == "LATE_FILL"


def test_an_order_found_alive_after_its_end_is_cancelled_until_the_venue_says_so(house: House) -> None:
    order_id = absent(house)
    house.venue.submit(instruction(house.order(order_id)))
    house.venue.fill(str(order_id), Decimal(40), Decimal(150))
    house.venue.plan(Fault.CANCEL_ERROR, times=2)
    house.listen()
    assert "LIVE_AFTER_END" in (house.order(order_id).alarm_code or "")
    house.sweep(40)
    assert house.venue.with_client_id(str(order_id))[-1].status is VenueOrderStatus.CANCELLED
    order = house.order(order_id)
    assert (order.filled_quantity, order.stray_due_at) == (Decimal(40), None)
    assert house.account() == (Decimal(94000), Decimal(0))


def test_an_answer_that_comes_after_the_end_is_not_thrown_away(house: House) -> None:
    order_id, leaving = paused(house)
    house.senders.gone.add(house.senders.me)
    house.senders.me = "host/1/boot/200/2"
    house.venue.plan(Fault.SUBMIT_LOST)
    house.sweep(9)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(60)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    answer = house.venue.submit(instruction(leaving.order))  # the dead sender was not dead
    record_answer(house.worker, order_id, 1, answer)
    house.sweep(20)
    assert "LIVE_AFTER_END" in (house.order(order_id).alarm_code or "")
    assert house.venue.with_client_id(str(order_id))[-1].status is VenueOrderStatus.CANCELLED


def test_somebody_elses_fill_is_not_booked_and_takes_nothing_from_ours(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    ours = house.venue.with_client_id(str(order_id))[-1].venue_order_id
    take_updates(
        house.worker, order_id, [fill(house, order_id, ours, 60, 60), fill(house, order_id, "another", 70, 10)]
    )
    order = house.order(order_id)
    assert (order.filled_quantity, order.alarm_code) == (Decimal(60), "SECOND_VENUE_ORDER")


@pytest.mark.parametrize("failure", [DatabaseUnavailable("away"), RowBusy("somebody who is stopped holds the order")])
def test_an_answer_survives_a_database_that_is_away_or_an_order_that_is_held_for_a_moment(
    house: House, failure: Exception
) -> None:
    order_id, leaving = paused(house)
    answer = house.venue.submit(instruction(leaving.order))
    store, failures = house.worker.store, [1, 1]

    class Away:
        def change(self, *arguments: object, **named: object) -> object:
            if failures:
                failures.pop()
                raise failure
            return store.change(*arguments, **named)  # type: ignore[arg-type] # passed on

    _record_until_stored(replace(house.worker, store=Away()), leaving, answer, house.clock.now())  # type: ignore[arg-type] # a part
    assert house.state(order_id) == ("PENDING", "WORKING")


def test_an_order_for_a_venue_that_is_not_configured_is_alarmed_and_not_claimed(house: House) -> None:
    order_id = house.submitted()

    def none(name: str) -> Venue:
        raise UnknownVenue(name)

    house.worker = replace(house.worker, venue_of=none)
    house.advance(order_id)
    order = house.order(order_id)
    assert (order.attempts, order.alarm_code, order.execution_state) == (0, "VENUE_NOT_CONFIGURED", "QUEUED")


def test_a_venue_order_id_that_is_used_twice_is_alarmed_and_not_looped_on(house: House) -> None:
    first = house.submitted()
    house.advance(first)
    taken = house.order(first).venue_order_id or ""
    second = house.submitted()
    take_updates(house.worker, second, [TradeUpdate("new", report(second, taken, VenueOrderStatus.WORKING))])
    assert house.order(second).alarm_code == "NOT_BOOKABLE"


def test_a_rejection_of_an_order_that_we_never_sent_is_alarmed(house: House) -> None:
    order_id = house.submitted()
    take_updates(house.worker, order_id, [TradeUpdate("rejected", report(order_id, "v", VenueOrderStatus.REJECTED))])
    assert house.order(order_id).alarm_code == "NOT_BOOKABLE"


def test_a_cancel_that_takes_long_is_asked_after_and_not_only_repeated(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.venue._cancel_takes = house.clock.now() - house.clock.now().replace(year=2025)  # a year
    house.sweep(60)
    methods = [method for _, method, _ in house.venue.request_log]
    assert methods.count("cancel") <= 15
    assert methods.count("find") >= methods.count("cancel") - 1


def test_the_venues_wish_to_wait_is_kept(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_RATE_LIMITED, seconds=20)
    order_id = house.submitted()
    house.advance(order_id)
    order = house.order(order_id)
    assert order.due_at is not None and (order.due_at - order.updated_at).total_seconds() == 20


def looked_up_with(house: House, monkeypatch: pytest.MonkeyPatch, code: str, retry_after: float) -> list[datetime]:
    """From now on no look-up has an answer; when they were."""
    asked: list[datetime] = []

    def find(client_order_id: str) -> LookupAnswer:
        asked.append(house.clock.now())
        return OutcomeUnknown(code, "Not now.", retry_after=retry_after)

    monkeypatch.setattr(house.venue, "find", find)
    return asked


@pytest.mark.parametrize("retry_after", [20.0, 0.0])
def test_a_look_up_that_our_throttle_holds_back_comes_when_it_may(
    house: House, monkeypatch: pytest.MonkeyPatch, retry_after: float
) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=4)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(3.5)
    assert house.order(order_id).retries_used >= 2
    asked = looked_up_with(house, monkeypatch, "VENUE_THROTTLED_BY_US", retry_after)
    before = len(house.events(order_id))
    house.sweep(60)
    assert 0 < len(asked) <= (4 if retry_after else 62)
    assert len(house.events(order_id)) - before <= len(asked)
    assert house.state(order_id)[1] == "IN_DOUBT", "nothing was asked, so nothing is used up"


def test_a_venue_that_limits_look_ups_does_not_use_up_the_retries_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    asked = looked_up_with(house, monkeypatch, "VENUE_RATE_LIMITED", 30.0)
    house.sweep(25)
    assert (len(asked), house.state(order_id)[1]) == (1, "IN_DOUBT")


def test_what_cannot_be_stored_of_one_order_keeps_nobody_from_hearing_of_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [house.submitted(quantity=Decimal(10)) for _ in range(3)]
    for order_id in orders:
        house.advance(order_id)
        house.venue.fill(str(order_id), Decimal(10), Decimal(150))
    change = house.worker.store.change

    def held(order_id: UUID, *args: Any, **options: Any) -> Any:
        if order_id == orders[0]:
            raise RowBusy("somebody stands still")
        return change(order_id, *args, **options)

    monkeypatch.setattr(house.worker.store, "change", held)
    with pytest.raises(RowBusy):
        house.listener.run_once()
    assert [house.state(order_id)[0] for order_id in orders] == ["PENDING", "FILLED", "FILLED"]


def test_that_an_execution_is_taken_back_is_stored_though_its_order_is_held_for_a_moment(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(100), Decimal(150))
    house.listen()
    ours = house.order(order_id).venue_order_id or ""
    change, held = house.worker.store.change, [RowBusy("somebody stands still"), StoreUnavailable("it is away")]

    def held_twice(*args: Any, **options: Any) -> Any:
        if held:
            raise held.pop()
        return change(*args, **options)

    monkeypatch.setattr(house.worker.store, "change", held_twice)
    undone = TradeUpdate("trade_bust", report(order_id, ours, VenueOrderStatus.WORKING, 70))
    monkeypatch.setattr(house.stream, "updates", lambda wait: iter([undone]))
    house.listener.run_once()
    assert house.order(order_id).alarm_code == "TRADE_TAKEN_BACK"


@pytest.mark.parametrize("event", ["trade_bust", "trade_correct"])
@pytest.mark.parametrize("filled", [100, 40])
def test_an_execution_that_the_venue_takes_back_halts_the_trader_and_mends_nothing(
    house: House, event: str, filled: int
) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(filled), Decimal(150))
    house.listen()
    before = house.state(order_id), house.account(), house.sql_as_worker("SELECT * FROM fills")
    ours = house.order(order_id).venue_order_id or ""
    undone = TradeUpdate(event, report(order_id, ours, VenueOrderStatus.WORKING, filled - 30))
    take_updates(house.worker, order_id, [undone, undone])
    assert house.order(order_id).alarm_code == "TRADE_TAKEN_BACK"
    assert (house.state(order_id), house.account(), house.sql_as_worker("SELECT * FROM fills")) == before
    refused = house.submit()
    assert isinstance(refused, Refusal) and f"our books {filled}" in refused.denials[0].message


def test_an_overfill_cancels_what_is_left(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    ours = house.venue.with_client_id(str(order_id))[-1].venue_order_id
    take_updates(house.worker, order_id, [fill(house, order_id, ours, 130, 130)])
    assert house.state(order_id) == ("PENDING", "CANCELLING")
    assert house.order(order_id).alarm_code == "OVERFILL"


def test_a_retry_after_a_refused_retry_sends_again(house: House) -> None:
    house.venue.plan(Fault.SUBMIT_LOST, times=3)
    house.venue.plan(Fault.SUBMIT_REFUSED)
    order_id = house.submitted()
    house.advance(order_id)
    house.sweep(8)
    assert house.state(order_id)[1] == "NEEDS_ATTENTION"
    attention.retry(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(2)
    assert house.state(order_id) == ("PENDING", "WORKING")


def test_a_new_order_is_seen_behind_any_number_of_resting_ones(house: House) -> None:
    for _ in range(12):
        house.advance(house.submitted(quantity=Decimal(1), price=Decimal(10)))
    house.worker.store.look_at_live_orders(house.clock.now())
    lost = house.submitted(quantity=Decimal(1), price=Decimal(10))
    house.clock.pass_(60)
    assert house.worker.store.due(house.clock.now(), 10)[0].id == lost


def test_a_rejection_that_overtakes_the_acceptance_ends_the_order_for_good(house: House) -> None:
    """The stream's "rejected" came first, then the answer to the submit and the stream's "new": old news, no alarm."""
    order_id, leaving = paused(house)
    working = report(order_id, "v-1", VenueOrderStatus.WORKING)
    rejected = report(order_id, "v-1", VenueOrderStatus.REJECTED)
    take_updates(house.worker, order_id, [TradeUpdate("rejected", rejected)])
    record_answer(house.worker, order_id, leaving.number, Accepted(working))
    take_updates(house.worker, order_id, [TradeUpdate("new", working)])
    order = house.order(order_id)
    assert (order.status, order.venue_order_id, order.alarm_code) == ("REJECTED", "v-1", None)
    assert order.stray_due_at is None
