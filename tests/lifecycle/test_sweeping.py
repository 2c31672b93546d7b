"""What the sweeper puts on the queue again, and when it leaves a queue alone that only is long."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.domain.orders import Order
from tests.lifecycle.conftest import House
from workers.sweeper import LONGEST_REPEAT_SECONDS, REPEAT_SECONDS, Sweeper


class Queue:
    """A broker's queue as long as it is told to be."""

    def __init__(self) -> None:
        self.length = 0
        self.enqueued: list[UUID] = []

    def enqueue(self, order: Order) -> bool:
        self.enqueued.append(order.id)
        return True

    def waiting(self, queue_name: str) -> int:
        assert queue_name == "orders"
        return self.length


class Sweep:
    """A sweeper whose time the test owns, and one overdue order that nobody works on."""

    def __init__(self, house: House) -> None:
        self.queue, self.seconds = Queue(), 0.0
        self.order_id = house.submitted()
        house.clock.pass_(60)
        self._sweeper = Sweeper(house.worker, self.queue, monotonic=lambda: self.seconds)

    def after(self, seconds: float) -> int:
        """How often the order was put on the queue by then."""
        self.seconds += seconds
        self._sweeper.run_once()
        return self.queue.enqueued.count(self.order_id)


@pytest.fixture
def sweep(house: House) -> Sweep:
    return Sweep(house)


def test_a_message_that_was_lost_is_sent_again_after_two_seconds_and_then_less_often(sweep: Sweep) -> None:
    assert sweep.after(0) == 1
    assert sweep.after(REPEAT_SECONDS - 0.1) == 1
    assert sweep.after(0.2) == 2
    assert sweep.after(2 * REPEAT_SECONDS - 0.1) == 2
    assert sweep.after(0.2) == 3
    for expected in (4, 5):
        assert sweep.after(LONGEST_REPEAT_SECONDS + 0.1) == expected


def test_a_message_that_stands_behind_many_is_not_sent_again(sweep: Sweep) -> None:
    assert sweep.after(0) == 1
    sweep.queue.length = 1000
    assert sweep.after(10) == 1
    assert sweep.after(11) == 2, "so many are taken in 20 s: it may be lost"


def test_a_queue_that_was_lost_is_sent_again_at_once(sweep: Sweep) -> None:
    sweep.queue.length = 1000
    assert sweep.after(0) == 1
    assert sweep.after(5) == 1
    sweep.queue.length = 0
    assert sweep.after(0.25) == 2
