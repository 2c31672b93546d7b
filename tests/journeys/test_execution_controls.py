"""The controls on the whole system: exits at the simulated venue, other terms, halts, cancels."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from local.stack import LocalStack
from proofs.venue_ledger import SimulatorControl
from tests.journeys.desk import Desk

pytestmark = pytest.mark.journey

QUOTE = {"bid": "99.99", "ask": "100.01", "bid_size": "1000", "ask_size": "1000"}


def quoted(desk: Desk, trader: str, venue: SimulatorControl) -> None:
    """Freeze the venue's quote; what may be asked for is judged by the copy that the quotes process stores."""
    venue.set_quote("MSFT", **QUOTE)
    deadline = time.monotonic() + 10
    while desk.get(trader, "quotes/MSFT")["bid"] != QUOTE["bid"]:
        assert time.monotonic() < deadline, "the quote did not reach the database"
        time.sleep(0.05)


def exits_of(desk: Desk, trader: str, entry_id: UUID) -> list[dict[str, Any]]:
    found = desk.get(trader, "orders?limit=100")["data"]
    return [order for order in found if order["parent_id"] == str(entry_id)]


def protected_entry(desk: Desk, trader: str, venue: SimulatorControl) -> dict[str, Any]:
    """100 MSFT with a stop at 95 and a target at 110; returns the exits, once they stand at the venue."""
    quoted(desk, trader, venue)
    entry_id = desk.submit(trader, symbol="MSFT", quantity=100, stop_loss="95", take_profit="110")
    desk.until(entry_id, "order.filled")
    (exits,) = exits_of(desk, trader, entry_id)
    desk.until(UUID(exits["id"]), "order.executed")
    return exits


def test_a_stop_that_is_reached_sells_the_position_once(desk: Desk, trader: str, venue: SimulatorControl) -> None:
    exits = protected_entry(desk, trader, venue)
    assert desk.get(trader, "account")["unprotected"] == []
    venue.set_quote("MSFT", bid="94.5", ask="94.6", bid_size="1000", ask_size="1000")
    filled = desk.until(UUID(exits["id"]), "order.filled")
    assert filled["order"]["average_fill_price"] == "94.5"
    position = desk.get(trader, "positions")["data"][0]
    assert (position["quantity"], position["available_quantity"]) == ("0", "0")


def test_a_target_that_is_reached_sells_the_position_once(desk: Desk, trader: str, venue: SimulatorControl) -> None:
    exits = protected_entry(desk, trader, venue)
    venue.set_quote("MSFT", bid="111", ask="111.1", bid_size="1000", ask_size="1000")
    filled = desk.until(UUID(exits["id"]), "order.filled")
    assert Decimal(filled["order"]["average_fill_price"]) >= 110


def test_a_resting_order_gets_other_terms(desk: Desk, trader: str, venue: SimulatorControl) -> None:
    venue.set_quote("MSFT", **QUOTE)
    order_id = desk.submit(trader, symbol="MSFT", quantity=10, order_type="LIMIT", price="90")
    desk.until(order_id, "order.executed")
    first = desk.get(trader, f"orders/{order_id}")["venue_order_id"]
    assert desk.amend(trader, order_id, price="101", quantity=7) == 202
    filled = desk.until(order_id, "order.filled", within=5)
    assert (filled["order"]["quantity"], filled["order"]["price"]) == ("7", "101")
    assert filled["order"]["venue_order_id"] != first


def test_a_market_order_with_a_slippage_limit_is_filled_within_it(
    desk: Desk, trader: str, venue: SimulatorControl
) -> None:
    quoted(desk, trader, venue)
    order_id = desk.submit(trader, symbol="MSFT", quantity=5, max_slippage_bps=20, time_in_force="IOC")
    event = desk.until(order_id, "CLOSED", within=5)
    assert event["status"] == "FILLED" and Decimal(event["average_fill_price"]) <= Decimal("100.21")


def test_a_halt_reaches_every_process_and_cancels_what_rests(
    desk: Desk, trader: str, venue: SimulatorControl, system: LocalStack
) -> None:
    resting = [desk.submit(trader, order_type="LIMIT", price="50", symbol="KO") for _ in range(3)]
    for order_id in resting:
        desk.until(order_id, "order.executed")
    system.halt("on", "--symbol", "KO", "--reason", "a test")
    try:
        for order_id in resting:
            event = desk.until(order_id, "CLOSED", within=5)
            assert (event["status"], event["reason"]["code"]) == ("CANCELLED", "HALT")
        assert desk.refused(trader, symbol="KO") == "TRADING_HALTED"
    finally:
        system.halt("off", "--symbol", "KO")
    assert desk.until(desk.submit(trader, symbol="KO"), "CLOSED")["status"] == "FILLED"


def test_a_cancel_is_confirmed_by_the_venue_quickly(desk: Desk, trader: str) -> None:
    took = []
    for _ in range(10):
        order_id = desk.submit(trader, order_type="LIMIT", price="50")
        desk.until(order_id, "order.executed")
        began = time.perf_counter()
        desk.act(trader, order_id, "cancel")
        desk.until(order_id, "order.cancelled", within=2)
        took.append(time.perf_counter() - began)
    assert sorted(took)[len(took) // 2] < 0.25, took
