"""The control endpoint: market, instruments, quotes, ledger and request log."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.simulator.venue_process import VenueProcess, eventually


def test_orders_wait_for_a_closed_market_to_open(venue: VenueProcess) -> None:
    venue.control("market", {"open": False})
    assert venue.get("/v2/clock")["is_open"] is False
    waiting = venue.place(time_in_force="gtc")
    assert waiting["status"] == "accepted"
    dropped = venue.place(time_in_force="ioc")
    venue.settled(dropped["id"], "canceled")
    venue.control("market", {"open": True})
    venue.settled(waiting["id"], "filled")


def test_day_orders_expire_at_the_close_and_others_stay(venue: VenueProcess) -> None:
    day = venue.settled(venue.place(type="limit", limit_price="90")["id"], "new")
    lasting = venue.settled(venue.place(type="limit", limit_price="90", time_in_force="gtc")["id"], "new")
    with venue.stream() as stream:
        venue.control("market", {"open": False})
        assert stream.events(1) == ["expired"]
    assert venue.settled(day["id"], "expired")["expired_at"] is not None
    assert venue.order(lasting["id"])["status"] == "new"


def test_a_halt_stops_trading_and_its_end_resumes_it(venue: VenueProcess) -> None:
    resting = venue.settled(venue.place(type="limit", limit_price="90")["id"], "new")
    venue.control("instruments", {"symbol": "AAPL", "state": "halted"})
    assert venue.submit()[0] == 422
    venue.quote("AAPL", "89.00", "89.02")
    assert venue.order(resting["id"])["status"] == "new"
    venue.control("instruments", {"symbol": "AAPL", "state": "active"})
    venue.settled(resting["id"], "filled")


def test_a_quote_can_grow_old(venue: VenueProcess) -> None:
    def time() -> str:
        quoted: str = venue.get("/v2/stocks/AAPL/quotes/latest")["quote"]["t"]
        return quoted

    before = time()
    eventually(lambda: time() != before)
    venue.control("quotes", {"symbol": "AAPL", "stale": True})
    old = time()
    venue.control("quotes", {"symbol": "KO", "frozen": False})
    other = venue.get("/v2/stocks/KO/quotes/latest")["quote"]["t"]
    eventually(lambda: venue.get("/v2/stocks/KO/quotes/latest")["quote"]["t"] != other)
    assert time() == old


def test_the_ledger_shows_orders_and_executions_in_full(venue: VenueProcess) -> None:
    name = f"order-{uuid4()}"
    venue.settled(venue.place(name, qty="150")["id"], "filled")
    (order,) = venue.in_ledger(name)
    executions = venue.executions(name)
    assert order["filled_qty"] == "150"
    assert [(execution["qty"], execution["price"]) for execution in executions] == [("100", "100.02"), ("50", "100.02")]
    activities = venue.get("/v2/account/activities/FILL?page_size=2&direction=desc")
    assert [activity["id"] for activity in activities] == [
        execution["activity_id"] for execution in reversed(executions)
    ]
    page = venue.get(f"/simulator/ledger?after={order['sequence'] - 1}&limit=1")
    assert [entry["id"] for entry in page["orders"]] == [order["id"]]


def test_every_request_is_logged_in_order_and_can_be_filtered(venue: VenueProcess) -> None:
    name = f"order-{uuid4()}"
    assert venue.by_client_order_id(name)[0] == 404
    order = venue.place(name)
    venue.submit(name)
    rows = venue.requests(client_order_id=name)
    assert [(row["method"], row["operation"], row["status"]) for row in rows] == [
        ("GET", "lookup", 404),
        ("POST", "submit", 200),
        ("POST", "submit", 422),
    ]
    assert rows[1]["order_id"] == order["id"]
    assert rows[2]["code"] == 40010001
    assert [row["sequence"] for row in venue.requests(client_order_id=name, status=200)] == [rows[1]["sequence"]]
    assert [row["sequence"] for row in venue.requests(after=rows[1]["sequence"], limit=1)] == [rows[2]["sequence"]]
    assert venue.requests(direction="desc", limit=1)[0]["sequence"] == rows[2]["sequence"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("quotes", {"symbol": "NOPE", "bid": "1", "ask": "2"}),
        ("quotes", {"symbol": "AAPL", "bid": "3", "ask": "2"}),
        ("quotes", {"symbol": "AAPL", "bid": "NaN"}),
        ("quotes", {"bid": "1"}),
        ("quotes", {"colour": "red"}),
        ("market", {"open": "yes"}),
        ("instruments", {"symbol": "AAPL", "state": "sleepy"}),
        ("settings", {"fill_delay_ms": -1}),
        ("settings", {"port": 1}),
        ("stream/cut", {"refuse_for": "long"}),
        ("faults", b"{"),
    ],
)
def test_a_wrong_control_request_is_refused_with_its_reason(venue: VenueProcess, path: str, body: Any) -> None:
    status, answer = venue.call("POST", f"/simulator/{path}", body)
    assert status == 422
    assert answer["error"]


def test_health_counts_what_is_there(venue: VenueProcess) -> None:
    before = venue.get("/simulator/health")
    venue.settled(venue.place()["id"], "filled")
    after = venue.get("/simulator/health")
    assert after["ready"] is True
    assert (after["orders"], after["executions"]) == (before["orders"] + 1, before["executions"] + 1)


def test_accepting_and_filling_an_order_is_one_commit(venue: VenueProcess) -> None:
    before = venue.get("/simulator/health")["commits"]
    for _ in range(20):
        venue.place()
    assert venue.get("/simulator/health")["commits"] - before <= 25
