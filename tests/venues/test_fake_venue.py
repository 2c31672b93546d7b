"""The fake keeps what every adapter must, for each kind of venue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.domain.venue_answers import (
    Accepted,
    ClientIdUniqueness,
    Executions,
    Found,
    NotFound,
    OutcomeUnknown,
    Quote,
    VenueCapabilities,
    VenueInstrument,
    VenueOrderStatus,
)
from app.venues.port import StreamLost, TradeStream, Venue
from proofs.fake_venue import FakeTradeStream, FakeVenue, Fault, Planned
from tests.venues.conformance import LIMIT, PARTS, SYMBOL, Scene, VenueConformance, resting_order


class FakeScene:
    """Time passes when somebody waits."""

    timeout_seconds = 1.0

    def __init__(self, uniqueness: ClientIdUniqueness) -> None:
        self._now = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
        self.fake = FakeVenue(
            clock=self.now,
            capabilities=VenueCapabilities(uniqueness, timedelta(seconds=30)),
            timeout_seconds=self.timeout_seconds,
        )
        self.fake.current_quotes[SYMBOL] = Quote(
            SYMBOL, Decimal("190.1"), Decimal("190.12"), Decimal(100), Decimal(100), self._now
        )
        self.fake.listed.append(VenueInstrument(SYMBOL, "Apple", "ACTIVE", True, Decimal("0.01"), Decimal(1)))
        self.fake_stream = FakeTradeStream(self.fake)
        self.venue: Venue = self.fake
        self.stream: TradeStream = self.fake_stream

    def misbehave(self, fault: Fault, client_order_id: str, *, seconds: float = 1.0) -> None:
        self.fake.plan(fault, seconds=seconds)

    def execute(self, client_order_id: str) -> None:
        for part in PARTS:
            self._now += timedelta(milliseconds=20)
            self.fake.fill(client_order_id, part, LIMIT)

    def execute_part(self, client_order_id: str) -> None:
        self.fake.fill(client_order_id, Decimal(40), LIMIT)

    def orders_at_venue(self, client_order_id: str) -> int:
        return len(self.fake.with_client_id(client_order_id))

    def submits_received(self, client_order_id: str) -> int:
        return [(method, about) for _, method, about in self.fake.request_log].count(("submit", client_order_id))

    def cut_stream(self) -> None:
        self.fake_stream.broken = True

    def until(self, condition: Callable[[], bool]) -> bool:
        for _ in range(100):
            if condition():
                return True
            self._now += timedelta(milliseconds=100)
        return False

    def now(self) -> datetime:
        self._now += timedelta(microseconds=1)  # a clock that is read twice never says the same
        return self._now


class TestFakeVenue(VenueConformance):
    @pytest.fixture(params=list(ClientIdUniqueness))
    def scene(self, request: pytest.FixtureRequest) -> Scene:
        return FakeScene(request.param)


@pytest.fixture
def scene() -> FakeScene:
    return FakeScene(ClientIdUniqueness.PERMANENT)


def test_a_late_acceptance_of_a_known_id_makes_no_second_order_where_ids_are_unique(scene: FakeScene) -> None:
    order = resting_order()
    scene.fake.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=5)
    assert isinstance(scene.venue.submit(order), OutcomeUnknown)
    assert isinstance(scene.venue.submit(order), Accepted)
    scene.until(lambda: False)
    assert scene.fake.duplicates() == []


def test_a_late_acceptance_makes_a_second_order_where_ids_are_not_unique() -> None:
    scene = FakeScene(ClientIdUniqueness.NONE)
    order = resting_order()
    scene.fake.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=5)
    scene.venue.submit(order)
    scene.venue.submit(order)
    scene.until(lambda: False)
    assert scene.fake.duplicates() == [order.client_order_id]


def test_a_late_acceptance_after_the_end_makes_a_second_order_where_only_open_ids_are_unique() -> None:
    scene = FakeScene(ClientIdUniqueness.OPEN_ORDERS)
    order = resting_order()
    scene.fake.plan(Fault.SUBMIT_ACCEPTED_LATE, seconds=5)
    scene.venue.submit(order)
    scene.venue.submit(order)
    scene.fake.fill(order.client_order_id, order.quantity, LIMIT)
    scene.until(lambda: False)
    assert scene.fake.duplicates() == [order.client_order_id]


def test_an_unreachable_venue_was_sent_nothing(scene: FakeScene) -> None:
    scene.fake.plan(Fault.SUBMIT_UNREACHABLE)
    answer = scene.venue.submit(resting_order())
    assert isinstance(answer, OutcomeUnknown)
    assert answer.nothing_sent


def test_faults_can_be_chosen_call_by_call(scene: FakeScene) -> None:
    asked: list[tuple[str, str]] = []

    def choose(method: str, about: str) -> Planned | None:
        asked.append((method, about))
        return Planned(Fault.FIND_DENIED) if method == "find" else None

    fake = FakeVenue(clock=scene.now, capabilities=scene.fake.capabilities, choose=choose)
    order = resting_order()
    assert isinstance(fake.submit(order), Accepted)
    assert isinstance(fake.find(order.client_order_id), NotFound)
    assert asked == [("submit", order.client_order_id), ("find", order.client_order_id)]


def test_orders_can_fill_on_acceptance_and_time_outs_cost_time(scene: FakeScene) -> None:
    spent: list[float] = []
    fake = FakeVenue(
        clock=scene.now,
        capabilities=scene.fake.capabilities,
        fill_on_accept=lambda order: [(order.instruction.quantity, LIMIT)],
        spend=spent.append,
    )
    order = resting_order()
    fake.plan(Fault.SUBMIT_REPLY_LOST)
    fake.submit(order)
    assert spent == [5.0]
    found = fake.find(order.client_order_id)
    assert isinstance(found, Found)
    assert found.report.status is VenueOrderStatus.FILLED


def test_an_incomplete_list_of_executions_lacks_the_newest(scene: FakeScene) -> None:
    order = resting_order()
    scene.venue.submit(order)
    scene.execute(order.client_order_id)
    found = scene.venue.find(order.client_order_id)
    assert isinstance(found, Found)
    scene.fake.plan(Fault.EXECUTIONS_INCOMPLETE)
    answer = scene.venue.executions(found.report, datetime(2026, 1, 1, tzinfo=UTC))
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == [40, 80]


def test_the_stream_loses_repeats_and_reorders_as_told(scene: FakeScene) -> None:
    scene.stream.connect()
    order = resting_order()
    scene.venue.submit(order)
    scene.execute(order.client_order_id)
    scene.fake_stream.tamper = lambda updates: [updates[3], updates[1], updates[1]]
    got = [update.report.filled_quantity for update in scene.stream.updates(0)]
    assert got == [100, 40, 40]


def test_a_stream_that_refuses_connections_is_lost(scene: FakeScene) -> None:
    scene.fake_stream.refuses_connections = True
    with pytest.raises(StreamLost):
        scene.stream.connect()


def test_a_fill_that_cannot_be_is_a_mistake_of_the_test(scene: FakeScene) -> None:
    order = resting_order()
    scene.venue.submit(order)
    with pytest.raises(ValueError, match="no fill of 101"):
        scene.fake.fill(order.client_order_id, Decimal(101), LIMIT)
    scene.fake.end(order.client_order_id, VenueOrderStatus.EXPIRED, reason="day is over")
    with pytest.raises(ValueError, match="EXPIRED"):
        scene.fake.fill(order.client_order_id, Decimal(1), LIMIT)
