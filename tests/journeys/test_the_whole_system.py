"""The whole system, every process of it: orders end to end, and orders while processes die and services go away."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest
import redis
from rich.console import Console

from local.stack import LocalStack
from proofs.demo import CASH as DEMONSTRATION_CASH
from proofs.demo import KILLS, Demonstration
from proofs.our_ledger import snapshot
from proofs.venue_ledger import SimulatorControl
from tests.journeys.desk import CASH, Desk

pytestmark = pytest.mark.journey

SETTLED_SECONDS = 10.0  # an order whose worker was killed in mid-send
AFTER_FLUSH_SECONDS = 5.0  # orders whose messages were all lost
WORKER_STOPS_SECONDS = 5.0
INTAKE_SECONDS = 5.0  # intake after PostgreSQL was killed


# -- end to end -------------------------------------------------------------------------------------------------------


def test_an_order_is_filled_and_its_trader_told_each_step(desk: Desk, trader: str) -> None:
    order_id = desk.submit(trader, symbol="MSFT", quantity=3)
    filled = desk.until(order_id, "order.filled", within=5)

    assert [desk.events(order_id)[0], desk.events(order_id)[-1]] == ["order.submitted", "order.filled"]
    assert filled["order"]["execution_state"] == "CLOSED"
    assert filled["filled_quantity"] == filled["fill"]["quantity"] == "3"

    order = desk.get(trader, f"orders/{order_id}")
    assert order["status"] == "FILLED"
    assert [fill["quantity"] for fill in order["fills"]] == ["3"]
    audit = desk.get(trader, f"orders/{order_id}/audit")
    actions = [entry["action"] for entry in audit["data"]]
    assert actions[:3] == ["SUBMITTED", "APPROVED", "EXECUTED"]
    assert actions[-1] == "FILLED"
    position = desk.get(trader, "positions")["data"][0]
    assert (position["symbol"], position["quantity"]) == ("MSFT", "3")
    account = desk.get(trader, "account")
    assert Decimal(account["cash"]) == CASH - 3 * Decimal(filled["fill"]["price"])
    assert account["reserved"] == "0"


def test_a_large_order_fills_in_parts_and_each_part_counts_once(
    desk: Desk, trader: str, venue: SimulatorControl
) -> None:
    venue.set_quote("KO", bid="62.5", ask="62.51", bid_size="100", ask_size="100")
    order_id = desk.submit(trader, symbol="KO", quantity=250)
    filled = desk.until(order_id, "order.filled")
    assert filled["order"]["filled_quantity"] == "250"
    assert "order.partial" in desk.events(order_id)
    assert [fill["quantity"] for fill in desk.get(trader, f"orders/{order_id}")["fills"]] == ["100", "100", "50"]


def test_a_resting_order_is_cancelled_at_the_venue(desk: Desk, trader: str) -> None:
    order_id = desk.submit(trader, order_type="LIMIT", price="100")
    desk.until(order_id, "order.executed")
    assert desk.get(trader, "account")["reserved"] == "100"
    assert desk.act(trader, order_id, "cancel") == 202
    cancelled = desk.until(order_id, "order.cancelled", within=5)
    assert cancelled["reason"]["code"] == "USER_REQUEST"
    assert desk.get(trader, "account")["reserved"] == "0"


def test_an_order_that_is_not_filled_in_its_time_is_cancelled(desk: Desk, trader: str) -> None:
    order_id = desk.submit(trader, order_type="LIMIT", price="100", max_wait_seconds=1)
    cancelled = desk.until(order_id, "order.cancelled", within=10)
    assert cancelled["reason"]["code"] == "TIMEOUT"


def test_the_venues_refusal_ends_an_order_and_frees_its_money(desk: Desk, trader: str, venue: SimulatorControl) -> None:
    venue.add_faults({"kind": "refuse", "times": 1, "symbol": "SPY"})
    order_id = desk.submit(trader, symbol="SPY")
    rejected = desk.until(order_id, "order.rejected")
    assert rejected["order"]["status"] == "REJECTED"
    account = desk.get(trader, "account")
    assert (account["reserved"], Decimal(account["cash"])) == ("0", CASH)


# -- processes die, services go away ----------------------------------------------------------------------------------


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


def test_a_worker_with_nothing_to_do_stops_within_five_seconds(system: LocalStack, desk: Desk, trader: str) -> None:
    assert desk.until_closed([desk.submit(trader)]) == ["FILLED"]
    begun = time.monotonic()
    system.stop_program("worker")
    stopped = time.monotonic() - begun
    order_id = desk.submit(trader)
    system.start_program("worker")
    assert desk.until_closed([order_id]) == ["FILLED"]
    assert stopped < WORKER_STOPS_SECONDS


def test_without_the_venue_orders_are_accepted_and_filled_when_it_is_back(
    system: LocalStack, desk: Desk, trader: str
) -> None:
    system.stop_program("simulator")
    try:
        order_ids = [desk.submit(trader, order_type="LIMIT", price=str(200 + number)) for number in range(3)]
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


def test_both_ledgers_agree_after_every_process_was_killed_once_while_the_venue_misbehaved(
    system: LocalStack, venue: SimulatorControl
) -> None:
    venue.change_settings(faults="one-in-three")
    said = io.StringIO()
    demonstration = Demonstration(
        system,
        [system.create_trader(f"demonstrator {number}", str(DEMONSTRATION_CASH)) for number in (1, 2)],
        Console(file=said),
        orders=60,
        seed=4,
        kills=list(KILLS),
        deadline_seconds=100,
    )
    comparison, _, in_time = asyncio.run(demonstration.run())
    assert in_time, said.getvalue()
    assert comparison.differences == []
    for name in ("web", "worker", "listener", "sweeper", "quotes", "sequencer", "simulator", "redis", "postgres"):
        assert system.deaths(name) >= 1
