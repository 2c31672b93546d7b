"""What a kill -9 leaves behind, and what a new process makes of it."""

from __future__ import annotations

import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.simulator.venue_process import ROOT, NoReply, VenueProcess, eventually


def test_what_was_acknowledged_before_a_kill_is_there_after_it_once(own_venue: VenueProcess) -> None:
    """Orders are poured in while the process is killed: every acknowledged one survives, with one set of fills."""
    acknowledged: list[str] = []

    def pour(worker: int) -> None:
        for number in range(400):
            name = f"{worker}-{number}"
            try:
                status, _ = own_venue.submit(name, qty="3")
            except NoReply:
                return
            assert status == 200
            acknowledged.append(name)

    with ThreadPoolExecutor(4) as pool:
        pouring = [pool.submit(pour, worker) for worker in range(4)]
        eventually(lambda: len(acknowledged) >= 150)
        own_venue.kill()
        for work in pouring:
            work.result()
    own_venue.start()
    eventually(lambda: own_venue.get("/simulator/health")["open_orders"] == 0)
    ledger = own_venue.get("/simulator/ledger")
    orders = {order["client_order_id"]: order for order in ledger["orders"]}
    assert len(orders) == len(ledger["orders"])
    assert set(acknowledged) <= set(orders)
    assert {order["status"] for order in orders.values()} == {"filled"}
    filled = [execution["client_order_id"] for execution in ledger["executions"]]
    assert sorted(filled) == sorted(orders)
    bought = 3 * len(orders)
    assert own_venue.get("/v2/positions/AAPL")["qty"] == str(bought)
    logged = {row["client_order_id"] for row in own_venue.requests(operation="submit", status=200)}
    assert set(acknowledged) <= logged


def test_every_open_state_goes_on_after_a_kill(own_venue: VenueProcess) -> None:
    own_venue.control("settings", {"fill_delay_ms": 600_000, "cancel_delay_ms": 600_000, "replace_delay_ms": 600_000})
    own_venue.quote("KO", "60.00", "60.02", "100")
    waiting = own_venue.settled(own_venue.place("waiting", symbol="KO")["id"], "new")
    resting = own_venue.settled(own_venue.place("resting", symbol="KO", type="limit", limit_price="50")["id"], "new")
    leaving = own_venue.settled(own_venue.place("leaving", symbol="KO", type="limit", limit_price="50")["id"], "new")
    changing = own_venue.settled(own_venue.place("changing", symbol="KO", type="limit", limit_price="50")["id"], "new")
    own_venue.call("DELETE", f"/v2/orders/{leaving['id']}")
    successor = own_venue.call("PATCH", f"/v2/orders/{changing['id']}", {"limit_price": "51"})[1]
    own_venue.control("settings", {"fill_delay_ms": 0, "partial_fill_interval_ms": 600_000})
    partly = own_venue.settled(own_venue.place("partly", symbol="KO", qty="150")["id"], "partially_filled")
    own_venue.kill()
    own_venue.start()
    own_venue.settled(waiting["id"], "filled")
    own_venue.settled(leaving["id"], "canceled")
    own_venue.settled(changing["id"], "replaced")
    own_venue.settled(successor["id"], "new")
    own_venue.settled(partly["id"], "filled")
    assert own_venue.order(resting["id"])["status"] == "new"
    assert [step["cum_qty"] for step in own_venue.executions("partly")] == ["100", "150"]


def test_what_the_control_endpoint_set_survives_a_kill(own_venue: VenueProcess) -> None:
    own_venue.fault("lookup_error", "unlucky", times=3)
    assert own_venue.by_client_order_id("unlucky")[0] == 500
    removed = own_venue.fault("slow", rate=0.5)
    own_venue.control(f"faults/{removed['id']}", method="DELETE")
    own_venue.quote("AAPL", "10.00", "10.02")
    own_venue.control("instruments", {"symbol": "KO", "state": "halted"})
    own_venue.control("market", {"open": False})
    own_venue.kill()
    own_venue.start()
    assert [own_venue.by_client_order_id("unlucky")[0] for _ in range(3)] == [500, 500, 404]
    assert [rule["kind"] for rule in own_venue.get("/simulator/faults")["faults"]] == ["lookup_error"]
    assert own_venue.get("/v2/stocks/AAPL/quotes/latest")["quote"]["bp"] == 10.0
    assert own_venue.get("/v2/assets/KO")["tradable"] is False
    assert own_venue.get("/v2/clock")["is_open"] is False
    own_venue.control("reset")
    own_venue.kill()
    own_venue.start()
    assert own_venue.get("/v2/clock")["is_open"] is True
    assert own_venue.get("/v2/assets/KO")["tradable"] is True
    assert own_venue.get("/simulator/faults")["faults"] == []


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit a running process")
def test_a_ledger_that_cannot_be_written_stops_the_venue_and_loses_nothing(own_venue: VenueProcess) -> None:
    acknowledged: list[str] = []

    def pour() -> None:
        for number in range(500):
            acknowledged.append(own_venue.place(f"order-{number}")["client_order_id"])  # noqa: PERF401 - it ends early

    resource.prlimit(own_venue.process.pid, resource.RLIMIT_FSIZE, (65_536, 65_536))
    with pytest.raises(NoReply):
        pour()
    assert own_venue.ended() == 1
    own_venue.start()
    assert acknowledged
    ledger = {order["client_order_id"] for order in own_venue.get("/simulator/ledger")["orders"]}
    assert set(acknowledged) <= ledger


def test_an_orderly_end_keeps_everything(own_venue: VenueProcess) -> None:
    own_venue.settled(own_venue.place("kept")["id"], "filled")
    own_venue.stop()
    own_venue.start()
    assert own_venue.by_client_order_id("kept")[1]["status"] == "filled"
    assert own_venue.submit("kept")[0] == 422


def test_a_second_simulator_on_the_same_ledger_does_not_start(own_venue: VenueProcess) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "simulator", "--port", "0", "--ledger", str(own_venue.ledger)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "cannot use the ledger" in second.stderr


@pytest.mark.parametrize(
    ("argument", "value"),
    [("--port", "many"), ("--client-id-uniqueness", "sometimes"), ("--faults", "all"), ("--cash", "NaN")],
)
def test_a_wrong_setting_stops_the_start_with_one_line(argument: str, value: str) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "simulator", argument, value],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert started.returncode == 2
    assert started.stderr.count("\n") == 1
    assert argument.removeprefix("--").replace("-", "_") in started.stderr
