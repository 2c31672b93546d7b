"""An order from HTTP to the venue and back to a socket, and what each step of it costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proofs.venue_ledger import SimulatorControl
from tests.journeys.desk import CASH, Desk

pytestmark = pytest.mark.journey


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
