"""What every adapter to a venue must do. One suite, run through every adapter and through the fake.

A subclass gives it a fixture `scene`: the adapter, and the hand that makes its venue misbehave. Nothing here knows a
wire.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Protocol

import pytest

from app.domain.venue_answers import (
    Accepted,
    CancelRefused,
    CancelTaken,
    ClientIdKnown,
    ClientIdUniqueness,
    Executions,
    Found,
    LookupAnswer,
    NotFound,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    PartOfList,
    Refused,
    TradeUpdate,
    VenueOrderStatus,
)
from app.venues.port import StreamLost, TradeStream, Venue
from proofs.fake_venue import Fault

SYMBOL = "AAPL"
QUANTITY = Decimal(100)
LIMIT = Decimal("150.25")  # far below the market: the order rests until the scene executes it
DEEP = Decimal("100.5")  # so far below that executing the others leaves it alone
PARTS = (Decimal(40), Decimal(40), Decimal(20))  # what `Scene.execute` makes of an order of 100
SLACK_SECONDS = 1.0  # that a busy machine may add to a time-out

_numbers = count(1)


class Scene(Protocol):
    """An adapter, its venue, and power over the venue."""

    venue: Venue
    stream: TradeStream
    timeout_seconds: float

    def misbehave(self, fault: Fault, client_order_id: str, *, seconds: float = 1.0) -> None:
        """The next call that the fault's name begins with, about that order where it can be about one, meets it."""
        ...

    def execute(self, client_order_id: str) -> None:
        """Let a resting order of 100 execute at its limit in `PARTS`, soon."""
        ...

    def execute_part(self, client_order_id: str) -> None:
        """Let 40 of a resting order of 100 execute, soon, and leave the rest."""
        ...

    def orders_at_venue(self, client_order_id: str) -> int:
        """How many orders the venue has under that id, asked past the adapter."""
        ...

    def submits_received(self, client_order_id: str) -> int:
        """How many requests to open that order reached the venue, whatever it made of them."""
        ...

    def cut_stream(self) -> None: ...

    def until(self, condition: Callable[[], bool]) -> bool:
        """Let time pass until it holds; False when it has not after ten seconds."""
        ...

    def now(self) -> datetime:
        """The venue's clock."""
        ...


AFTER_ACCEPT = [Fault.SUBMIT_REPLY_LOST, Fault.SUBMIT_ERROR_AFTER_ACCEPT, Fault.SUBMIT_REPLY_UNREADABLE]
BEFORE_ACCEPT = [Fault.SUBMIT_LOST, Fault.SUBMIT_ERROR, Fault.SUBMIT_RATE_LIMITED]


class VenueConformance:
    """Inherit and provide the fixture `scene`."""

    @pytest.fixture
    def scene(self) -> Scene:
        raise NotImplementedError

    # --- submitting -------------------------------------------------------------------------------------------------

    def test_an_accepted_order_is_found_by_our_id(self, scene: Scene) -> None:
        order = resting_order()
        accepted = submit(scene, order)
        found = scene.venue.find(order.client_order_id)
        assert isinstance(found, Found)
        for report in (accepted, found.report):
            assert report.client_order_id == order.client_order_id
            assert report.venue_order_id == accepted.venue_order_id
            assert (report.symbol, report.side, report.quantity) == (SYMBOL, "BUY", QUANTITY)
            assert report.status is VenueOrderStatus.WORKING
            assert report.filled_quantity == 0
            assert report.average_fill_price is None

    def test_an_order_that_was_never_sent_is_not_found(self, scene: Scene) -> None:
        assert isinstance(scene.venue.find(resting_order().client_order_id), NotFound)

    def test_a_repeated_client_order_id_meets_what_the_venue_promises(self, scene: Scene) -> None:
        order = resting_order()
        first = submit(scene, order)
        uniqueness = scene.venue.capabilities.client_id_uniqueness
        while_open = scene.venue.submit(order)
        if uniqueness is ClientIdUniqueness.NONE:
            assert isinstance(while_open, Accepted)
            assert while_open.report.venue_order_id != first.venue_order_id
            assert scene.orders_at_venue(order.client_order_id) == 2
            return
        assert isinstance(while_open, ClientIdKnown)
        assert scene.orders_at_venue(order.client_order_id) == 1
        assert isinstance(scene.venue.cancel(first.venue_order_id), CancelTaken)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.CANCELLED)
        after_the_end = scene.venue.submit(order)
        if uniqueness is ClientIdUniqueness.PERMANENT:
            assert isinstance(after_the_end, ClientIdKnown)
            assert scene.orders_at_venue(order.client_order_id) == 1
        else:
            assert isinstance(after_the_end, Accepted)
            assert scene.orders_at_venue(order.client_order_id) == 2

    def test_a_refused_order_is_not_at_the_venue(self, scene: Scene) -> None:
        order = resting_order()
        scene.misbehave(Fault.SUBMIT_REFUSED, order.client_order_id)
        answer = scene.venue.submit(order)
        assert isinstance(answer, Refused)
        assert answer.code == answer.code.upper()
        assert answer.message.endswith(".")
        assert isinstance(scene.venue.find(order.client_order_id), NotFound)
        assert scene.orders_at_venue(order.client_order_id) == 0

    @pytest.mark.parametrize("fault", AFTER_ACCEPT)
    def test_an_answer_that_fails_after_the_acceptance_is_unknown_and_the_order_is_there(
        self, scene: Scene, fault: Fault
    ) -> None:
        order = resting_order()
        scene.misbehave(fault, order.client_order_id)
        answer = scene.venue.submit(order)
        assert isinstance(answer, OutcomeUnknown)
        assert not answer.nothing_sent
        assert isinstance(scene.venue.find(order.client_order_id), Found)
        assert_sent_once(scene, order, at_venue=1)

    @pytest.mark.parametrize("fault", BEFORE_ACCEPT)
    def test_an_answer_that_fails_before_the_acceptance_is_unknown_all_the_same(
        self, scene: Scene, fault: Fault
    ) -> None:
        order = resting_order()
        scene.misbehave(fault, order.client_order_id)
        answer = scene.venue.submit(order)
        assert isinstance(answer, OutcomeUnknown)
        assert not answer.nothing_sent
        assert isinstance(scene.venue.find(order.client_order_id), NotFound)
        assert_sent_once(scene, order, at_venue=0)

    def test_a_rate_limit_says_how_long_to_wait(self, scene: Scene) -> None:
        order = resting_order()
        scene.misbehave(Fault.SUBMIT_RATE_LIMITED, order.client_order_id, seconds=3)
        answer = scene.venue.submit(order)
        assert isinstance(answer, OutcomeUnknown)
        assert (answer.code, answer.retry_after) == ("VENUE_RATE_LIMITED", 3.0)

    def test_an_order_can_be_accepted_after_we_gave_up_waiting(self, scene: Scene) -> None:
        order = resting_order()
        scene.misbehave(Fault.SUBMIT_ACCEPTED_LATE, order.client_order_id, seconds=scene.timeout_seconds + 1)
        start = time.monotonic()
        answer = scene.venue.submit(order)
        assert time.monotonic() - start < scene.timeout_seconds + SLACK_SECONDS
        assert isinstance(answer, OutcomeUnknown)
        assert answer.code == "VENUE_TIMEOUT"
        assert isinstance(scene.venue.find(order.client_order_id), NotFound)
        assert scene.until(lambda: isinstance(scene.venue.find(order.client_order_id), Found))
        assert_sent_once(scene, order, at_venue=1)

    def test_an_accepted_order_can_be_rejected_later(self, scene: Scene) -> None:
        order = resting_order()
        scene.misbehave(Fault.SUBMIT_REJECTED_LATER, order.client_order_id, seconds=0.2)
        submit(scene, order)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.REJECTED)

    # --- looking up -------------------------------------------------------------------------------------------------

    def test_a_look_up_may_not_know_an_order_yet(self, scene: Scene) -> None:
        order = resting_order()
        scene.misbehave(Fault.SUBMIT_FOUND_LATER, order.client_order_id, seconds=1)
        start = scene.now()
        submit(scene, order)
        assert isinstance(scene.venue.find(order.client_order_id), NotFound)
        listed = scene.venue.orders(start - timedelta(seconds=1))
        assert not isinstance(listed, (PartOfList, OutcomeUnknown))
        assert order.client_order_id not in {report.client_order_id for report in listed}
        assert scene.until(lambda: isinstance(scene.venue.find(order.client_order_id), Found))

    def test_an_error_while_asking_is_not_a_not_found(self, scene: Scene) -> None:
        order = resting_order()
        submit(scene, order)
        scene.misbehave(Fault.FIND_ERROR, order.client_order_id)
        assert isinstance(scene.venue.find(order.client_order_id), OutcomeUnknown)
        assert isinstance(scene.venue.find(order.client_order_id), Found)

    def test_the_list_of_orders_has_every_state(self, scene: Scene) -> None:
        start = scene.now()
        open_order, cancelled, filled = resting_order(DEEP), resting_order(DEEP), resting_order()
        for order in (open_order, cancelled, filled):
            submit(scene, order)
        scene.venue.cancel(report_of(scene.venue.find(cancelled.client_order_id)).venue_order_id)
        scene.execute(filled.client_order_id)
        assert scene.until(lambda: found_status(scene, filled) is VenueOrderStatus.FILLED)
        assert scene.until(lambda: found_status(scene, cancelled) is VenueOrderStatus.CANCELLED)
        listed = scene.venue.orders(start - timedelta(milliseconds=1))
        assert not isinstance(listed, (PartOfList, OutcomeUnknown))
        by_id = {report.client_order_id: report for report in listed}
        for order in (open_order, cancelled, filled):
            assert by_id[order.client_order_id] == report_of(scene.venue.find(order.client_order_id))

    def test_the_list_of_orders_begins_where_it_was_asked_to(self, scene: Scene) -> None:
        earlier = resting_order()
        submit(scene, earlier)
        scene.until(lambda: scene.now() > start_of(scene, earlier))
        since = scene.now()
        later = resting_order()
        submit(scene, later)
        listed = scene.venue.orders(since)
        assert not isinstance(listed, (PartOfList, OutcomeUnknown))
        ids = {report.client_order_id for report in listed}
        assert later.client_order_id in ids
        assert earlier.client_order_id not in ids

    def test_a_list_that_fails_is_not_an_empty_one(self, scene: Scene) -> None:
        scene.misbehave(Fault.ORDERS_ERROR, "")
        assert isinstance(scene.venue.orders(scene.now()), OutcomeUnknown)

    # --- executions -------------------------------------------------------------------------------------------------

    def test_executions_come_oldest_first_with_the_cumulative_quantity(self, scene: Scene) -> None:
        start = scene.now()
        order, other = resting_order(), resting_order(DEEP)
        submit(scene, order)
        submit(scene, other)
        scene.execute(order.client_order_id)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.FILLED)
        report = report_of(scene.venue.find(order.client_order_id))
        assert (report.filled_quantity, report.average_fill_price) == (QUANTITY, LIMIT)
        answer = scene.venue.executions(report, start - timedelta(seconds=1))
        assert isinstance(answer, Executions)
        assert [each.quantity for each in answer.executions] == list(PARTS)
        assert [each.cumulative_quantity for each in answer.executions] == [40, 80, 100]
        assert {each.price for each in answer.executions} == {LIMIT}
        assert {each.venue_order_id for each in answer.executions} == {report.venue_order_id}
        times = [each.executed_at for each in answer.executions]
        assert times == sorted(times)
        assert all(moment.tzinfo is UTC for moment in times)
        later = scene.venue.executions(report, times[1])
        assert isinstance(later, Executions)
        assert [each for each in answer.executions if each.executed_at >= times[1]] == list(later.executions)

    def test_an_order_without_executions_has_an_empty_list(self, scene: Scene) -> None:
        order = resting_order()
        report = submit(scene, order)
        assert scene.venue.executions(report, scene.now() - timedelta(minutes=1)) == Executions(())

    def test_a_list_of_executions_that_fails_is_not_an_empty_one(self, scene: Scene) -> None:
        report = submit(scene, resting_order())
        scene.misbehave(Fault.EXECUTIONS_ERROR, report.client_order_id)
        assert isinstance(scene.venue.executions(report, scene.now()), OutcomeUnknown)

    # --- cancelling -------------------------------------------------------------------------------------------------

    def test_a_cancel_ends_a_working_order(self, scene: Scene) -> None:
        order = resting_order()
        report = submit(scene, order)
        assert isinstance(scene.venue.cancel(report.venue_order_id), CancelTaken)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.CANCELLED)

    def test_what_was_filled_before_a_cancel_stays_filled(self, scene: Scene) -> None:
        order = resting_order()
        report = submit(scene, order)
        scene.execute_part(order.client_order_id)
        assert scene.until(lambda: report_of(scene.venue.find(order.client_order_id)).filled_quantity == 40)
        assert isinstance(scene.venue.cancel(report.venue_order_id), CancelTaken)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.CANCELLED)
        ended = report_of(scene.venue.find(order.client_order_id))
        assert (ended.filled_quantity, ended.average_fill_price) == (Decimal(40), LIMIT)

    def test_a_filled_order_cannot_be_cancelled(self, scene: Scene) -> None:
        order = resting_order()
        report = submit(scene, order)
        scene.execute(order.client_order_id)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.FILLED)
        assert isinstance(scene.venue.cancel(report.venue_order_id), CancelRefused)
        assert found_status(scene, order) is VenueOrderStatus.FILLED

    def test_an_unknown_order_cannot_be_cancelled(self, scene: Scene) -> None:
        answer = scene.venue.cancel("00000000-0000-0000-0000-000000000000")
        assert isinstance(answer, CancelRefused)
        assert answer.code == "VENUE_ORDER_UNKNOWN"

    def test_a_cancel_whose_answer_is_lost_was_taken_all_the_same(self, scene: Scene) -> None:
        order = resting_order()
        report = submit(scene, order)
        scene.misbehave(Fault.CANCEL_REPLY_LOST, order.client_order_id)
        assert isinstance(scene.venue.cancel(report.venue_order_id), OutcomeUnknown)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.CANCELLED)

    def test_a_cancel_that_fails_leaves_the_order_working(self, scene: Scene) -> None:
        order = resting_order()
        report = submit(scene, order)
        scene.misbehave(Fault.CANCEL_ERROR, order.client_order_id)
        assert isinstance(scene.venue.cancel(report.venue_order_id), OutcomeUnknown)
        assert found_status(scene, order) is VenueOrderStatus.WORKING

    # --- market data ------------------------------------------------------------------------------------------------

    def test_quotes_come_for_the_symbols_the_venue_has(self, scene: Scene) -> None:
        quotes = scene.venue.quotes([SYMBOL, "NOSUCH"])
        assert not isinstance(quotes, OutcomeUnknown)
        assert [quote.symbol for quote in quotes] == [SYMBOL]
        assert 0 < quotes[0].bid < quotes[0].ask
        assert quotes[0].quoted_at.tzinfo is UTC
        scene.misbehave(Fault.QUOTES_ERROR, "")
        assert isinstance(scene.venue.quotes([SYMBOL]), OutcomeUnknown)

    def test_instruments_say_what_can_be_traded(self, scene: Scene) -> None:
        instruments = scene.venue.instruments()
        assert not isinstance(instruments, OutcomeUnknown)
        (ours,) = [each for each in instruments if each.symbol == SYMBOL]
        assert (ours.tradable, ours.tick_size) == (True, Decimal("0.01"))
        assert 0 < ours.lot_size <= 1
        scene.misbehave(Fault.INSTRUMENTS_ERROR, "")
        assert isinstance(scene.venue.instruments(), OutcomeUnknown)

    # --- the stream -------------------------------------------------------------------------------------------------

    def test_the_stream_and_the_history_name_the_same_executions(self, scene: Scene) -> None:
        start = scene.now()
        scene.stream.connect()
        order = resting_order()
        submit(scene, order)
        scene.execute(order.client_order_id)
        updates = updates_until_end(scene, order)
        streamed = [update.execution for update in updates if update.execution is not None]
        report = report_of(scene.venue.find(order.client_order_id))
        answer = scene.venue.executions(report, start - timedelta(seconds=1))
        assert isinstance(answer, Executions)
        assert [(each.venue_order_id, each.cumulative_quantity, each.quantity, each.price) for each in streamed] == [
            (each.venue_order_id, each.cumulative_quantity, each.quantity, each.price) for each in answer.executions
        ]
        assert updates[-1].report.status is VenueOrderStatus.FILLED
        assert all(
            update.report.filled_quantity == update.execution.cumulative_quantity
            for update in updates
            if update.execution is not None
        )

    def test_the_stream_tells_of_an_end_without_execution(self, scene: Scene) -> None:
        scene.stream.connect()
        order = resting_order()
        report = submit(scene, order)
        scene.venue.cancel(report.venue_order_id)
        assert updates_until_end(scene, order)[-1].report.status is VenueOrderStatus.CANCELLED

    def test_a_cut_stream_says_so_and_can_be_connected_again(self, scene: Scene) -> None:
        scene.stream.connect()
        scene.cut_stream()
        with pytest.raises(StreamLost):
            scene.until(lambda: list(scene.stream.updates(0.1)) == [None])
        missed = resting_order()
        submit(scene, missed)
        scene.stream.connect()
        order = resting_order()
        report = submit(scene, order)
        scene.venue.cancel(report.venue_order_id)
        seen = {update.report.client_order_id for update in updates_until_end(scene, order)}
        assert order.client_order_id in seen

    def test_a_stream_that_is_not_connected_has_no_updates(self, scene: Scene) -> None:
        with pytest.raises(StreamLost):
            list(scene.stream.updates(0.1))


# --- the words of the tests above ------------------------------------------------------------------------------------


def resting_order(limit: Decimal = LIMIT) -> OrderInstruction:
    """A limit order that the market does not reach by itself; with a lower limit not when another is executed."""
    return OrderInstruction(
        client_order_id=f"conformance-{next(_numbers)}-{time.time_ns()}",
        symbol=SYMBOL,
        side="BUY",
        quantity=QUANTITY,
        order_type="LIMIT",
        time_in_force="GTC",
        limit_price=limit,
    )


def submit(scene: Scene, order: OrderInstruction) -> OrderReport:
    answer = scene.venue.submit(order)
    assert isinstance(answer, Accepted), answer
    return answer.report


def assert_sent_once(scene: Scene, order: OrderInstruction, *, at_venue: int) -> None:
    """One request reached the venue; a venue may know of it only once it has ended."""
    assert scene.until(lambda: scene.submits_received(order.client_order_id) == 1)
    assert scene.orders_at_venue(order.client_order_id) == at_venue


def report_of(answer: LookupAnswer) -> OrderReport:
    assert isinstance(answer, Found), answer
    return answer.report


def found_status(scene: Scene, order: OrderInstruction) -> VenueOrderStatus:
    return report_of(scene.venue.find(order.client_order_id)).status


def start_of(scene: Scene, order: OrderInstruction) -> datetime:
    """The last change the venue made to the order."""
    updated_at = report_of(scene.venue.find(order.client_order_id)).updated_at
    assert updated_at is not None
    return updated_at


def updates_until_end(scene: Scene, order: OrderInstruction) -> list[TradeUpdate]:
    """The stream's updates about the order, up to its end."""
    updates: list[TradeUpdate] = []

    def ended() -> bool:
        updates.extend(
            update for update in scene.stream.updates(0.1) if update.report.client_order_id == order.client_order_id
        )
        return bool(updates) and updates[-1].report.status.is_end

    assert scene.until(ended)
    return updates
