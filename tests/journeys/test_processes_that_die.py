"""Processes die with -9, services go away: orders are settled in time, exactly once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from uuid import UUID

import pytest
import redis

from local.stack import LocalStack
from proofs.our_ledger import snapshot
from proofs.venue_ledger import SimulatorControl
from tests.journeys.desk import Desk

pytestmark = pytest.mark.journey

SETTLED_SECONDS = 10.0  # an order whose worker was killed in mid-send
AFTER_FLUSH_SECONDS = 5.0  # orders whose messages were all lost
INTAKE_SECONDS = 5.0  # intake after PostgreSQL was killed


def sender_of(system: LocalStack, order_id: UUID) -> int:
    """The pid of the process that has the order's latest request on the wire."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with snapshot(system.settings.database_url_worker) as cursor:
            cursor.execute(
                "SELECT sender FROM order_attempts WHERE order_id = %s AND ended_at IS NULL", (str(order_id),)
            )
            for (sender,) in cursor.fetchall():
                return int(sender.split("/")[-2])
        time.sleep(0.02)
    raise AssertionError(f"no attempt of order {order_id} is on the wire")


@pytest.mark.parametrize("late", [False, True], ids=["the venue has it", "the venue takes it a moment later"])
def test_an_order_in_flight_when_its_worker_child_is_killed_is_settled_within_ten_seconds(
    system: LocalStack, desk: Desk, trader: str, venue: SimulatorControl, late: bool
) -> None:
    venue.add_faults({"kind": "slow", "seconds": 3, "after_accept": not late, "times": 1, "symbol": "AMZN"})
    order_id = desk.submit(trader, symbol="AMZN")
    os.kill(sender_of(system, order_id), signal.SIGKILL)
    assert desk.until(order_id, "CLOSED", within=SETTLED_SECONDS)["status"] == "FILLED"


def test_an_order_in_flight_when_the_whole_worker_is_killed_is_settled_within_ten_seconds(
    system: LocalStack, desk: Desk, trader: str, venue: SimulatorControl
) -> None:
    venue.add_faults({"kind": "slow", "seconds": 3, "times": 1, "symbol": "AMZN"})
    order_id = desk.submit(trader, symbol="AMZN")
    sender = sender_of(system, order_id)
    parent = system.kill("worker")
    os.kill(sender, signal.SIGKILL)
    assert desk.until(order_id, "CLOSED", within=SETTLED_SECONDS)["status"] == "FILLED"
    system.wait_until_restarted("worker", parent)


def test_a_child_that_outlives_its_parent_still_settles_what_it_sent(
    system: LocalStack, desk: Desk, trader: str, venue: SimulatorControl
) -> None:
    venue.add_faults({"kind": "slow", "seconds": 1, "times": 1, "symbol": "AMZN"})
    order_id = desk.submit(trader, symbol="AMZN")
    sender_of(system, order_id)
    parent = system.kill("worker")
    assert desk.until(order_id, "CLOSED", within=SETTLED_SECONDS)["status"] == "FILLED"
    system.wait_until_restarted("worker", parent)


def test_an_order_whose_reply_is_lost_is_found_and_not_sent_twice(
    desk: Desk, trader: str, venue: SimulatorControl
) -> None:
    venue.add_faults({"kind": "reply_lost_after_accept", "times": 1, "symbol": "NVDA"},
                     {"kind": "stream_silent", "symbol": "NVDA"})  # fmt: skip
    order_id = desk.submit(trader, symbol="NVDA")
    assert desk.until(order_id, "CLOSED", within=SETTLED_SECONDS)["status"] == "FILLED"
    assert "order.in_doubt" in desk.events(order_id)
    assert "order.recovered" in desk.events(order_id)
    asked = [request["operation"] for request in venue.requests(client_order_id=str(order_id))]
    assert asked.count("submit") == 1
    assert "lookup" in asked


def test_orders_whose_messages_are_all_flushed_are_settled_within_five_seconds(
    system: LocalStack, desk: Desk, trader: str
) -> None:
    worker = system.pids("worker")
    for pid in worker:
        os.kill(pid, signal.SIGSTOP)
    try:
        order_ids = [desk.submit(trader, quantity=number) for number in range(1, 11)]
        with redis.Redis.from_url(system.settings.redis_url) as client:
            client.flushall()
        flushed = time.monotonic()
    finally:
        for pid in worker:
            os.kill(pid, signal.SIGCONT)
    statuses = desk.until_closed(order_ids, within=AFTER_FLUSH_SECONDS - (time.monotonic() - flushed))
    assert statuses == ["FILLED"] * 10


def test_without_redis_orders_are_accepted_and_filled_when_it_is_back(
    system: LocalStack, desk: Desk, trader: str
) -> None:
    system.stop_program("redis")
    try:
        order_ids = [desk.submit(trader, quantity=number) for number in range(1, 6)]
    finally:
        system.start_program("redis")
    assert desk.until_closed(order_ids) == ["FILLED"] * 5


def test_without_the_venue_orders_are_accepted_and_filled_when_it_is_back(
    system: LocalStack, desk: Desk, trader: str
) -> None:
    system.stop_program("simulator")
    try:
        order_ids = [desk.submit(trader, order_type="LIMIT", price=str(300 + number)) for number in range(3)]
        order_ids.append(desk.submit(trader))
    finally:
        system.start_program("simulator")
    assert desk.until_closed(order_ids) == ["FILLED"] * 4


def test_intake_is_back_within_five_seconds_after_postgresql_is_killed_and_nothing_is_lost(
    system: LocalStack, desk: Desk, trader: str
) -> None:
    before = [desk.submit(trader, quantity=number) for number in range(1, 6)]
    server = system.kill("postgres")
    killed = time.monotonic()
    after = desk.submit(trader, quantity=6)
    assert time.monotonic() - killed < INTAKE_SECONDS
    assert desk.until_closed([*before, after]) == ["FILLED"] * 6
    system.wait_until_restarted("postgres", server)


@pytest.mark.parametrize("name", ["listener", "sweeper", "quotes", "simulator", "redis"])
def test_no_order_is_lost_or_doubled_when_a_process_is_killed(
    system: LocalStack, desk: Desk, trader: str, name: str
) -> None:
    order_ids = [desk.submit(trader, quantity=number) for number in range(1, 4)]
    dead = system.kill(name)
    order_ids += [desk.submit(trader, quantity=number) for number in range(4, 7)]
    assert desk.until_closed(order_ids) == ["FILLED"] * 6
    system.wait_until_restarted(name, dead)


def test_a_client_whose_web_process_is_killed_misses_no_event_and_gets_none_twice(
    system: LocalStack, desk: Desk, new_trader: Callable[[], str]
) -> None:
    traders = [new_trader(), new_trader()]
    order_ids = [desk.submit(each, quantity=number) for number in range(1, 4) for each in traders]
    for pid in system.pids("web"):
        os.kill(pid, signal.SIGKILL)
    order_ids += [desk.submit(each, quantity=number) for number in range(4, 7) for each in traders]
    assert desk.until_closed(order_ids) == ["FILLED"] * 12
