"""What one transaction holds, another waits for: each lock that decisions about orders and money rest on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.domain.changes import FeedEvent, RowBusy
from app.storage import books, halts, order_events, orders
from app.storage.order_store import PASS_GATE_AND_LOCK_ACCOUNT
from app.storage.transaction import Call, Statement
from tests.lifecycle.conftest import House

SOON = Call(Statement("do_not_wait_long", "SELECT set_config('lock_timeout', '50ms', true)"))


def waits_for(house: House, held: tuple[Call, ...], wanted: tuple[Call, ...]) -> bool:
    """Whether a second transaction has to wait while a first one holds what `held` took."""
    with house.worker_database.transaction() as first:
        first.fetch(*held)
        try:
            with house.worker_database.transaction() as second:
                second.fetch(SOON, *wanted)
        except RowBusy:
            return True
    return False


def test_an_order_is_decided_about_by_one_at_a_time(house: House) -> None:
    one, other = house.submitted(quantity=1), house.submitted(quantity=1)
    lock = (Call(orders.LOCK_AND_READ, [one]),)
    assert waits_for(house, lock, lock)
    assert waits_for(house, lock, books.lock_and_read(one))
    assert not waits_for(house, lock, (Call(orders.LOCK_AND_READ, [other]),))


def test_a_traders_money_is_moved_by_one_at_a_time(house: House) -> None:
    one, other = house.submitted(quantity=1), house.submitted(quantity=1)
    accepting = (Call(PASS_GATE_AND_LOCK_ACCOUNT, [house.trader_id]),)
    assert waits_for(house, books.lock_and_read(one), books.lock_and_read(other))
    assert waits_for(house, books.lock_and_read(one), accepting)
    assert waits_for(house, accepting, books.lock_and_read(one))


def test_a_traders_events_are_numbered_in_the_order_of_commits(house: House) -> None:
    order = house.order(house.submitted())
    told = FeedEvent("order.sending", {"event": "order.sending"}, house.clock.now())
    append = (order_events.append(order, [told], ['{"event":"order.sending"}']),)
    assert waits_for(house, append, append)


def test_who_waited_for_the_counter_gets_the_numbers_that_follow(house: House) -> None:
    """Numbered by what it saw before it waited, it would take the same ones, and its whole transaction would fail."""
    order = house.order(house.submitted())
    told = FeedEvent("order.sending", {"event": "order.sending"}, house.clock.now())
    append = order_events.append(order, [told], ['{"event":"order.sending"}'])

    def write() -> None:
        with house.worker_database.transaction() as second:
            second.finish(append)

    with ThreadPoolExecutor(1) as other:
        with house.worker_database.transaction() as first:
            first.fetch(append)
            waiting = other.submit(write)
            deadline = time.monotonic() + 3
            while house.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
                assert time.monotonic() < deadline and not waiting.done()
            first.finish(Call(Statement("nothing_more", "SELECT 1")))
        waiting.result(5)
    numbers = house.as_worker("SELECT seq FROM order_events WHERE order_id = %s ORDER BY seq", order.id)
    assert numbers == [(1,), (2,), (3,)]


@pytest.mark.parametrize("closes_first", [True, False])
def test_a_halt_and_a_send_come_one_after_the_other(house: House, closes_first: bool) -> None:
    close, pass_ = (Call(halts.CLOSE_GATE),), (Call(halts.PASS_GATE),)
    assert waits_for(house, *((close, pass_) if closes_first else (pass_, close)))
    assert not waits_for(house, pass_, pass_)
