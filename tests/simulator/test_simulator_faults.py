"""Every fault that can strike a request: what the sender gets, and what is in the ledger."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.simulator.venue_process import NoReply, VenueProcess, eventually, order_body


def _name() -> str:
    return f"order-{uuid4()}"


def _last_request(venue: VenueProcess, name: str) -> dict[str, Any]:
    return venue.requests(client_order_id=name, operation="submit")[-1]


def _seconds_until_accepted(venue: VenueProcess, name: str) -> float:
    """From the request's arrival to the order's entry into the ledger, by the venue's own clock."""
    (order,) = eventually(lambda: venue.in_ledger(name))
    (received, *_) = eventually(lambda: venue.requests(client_order_id=name, operation="submit"))
    accepted = datetime.fromisoformat(order["submitted_at"])
    return (accepted - datetime.fromisoformat(received["received_at"])).total_seconds()


def test_refuse_enters_nothing_and_says_what_it_was_told_to(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("refuse", name)
    status, body = venue.submit(name)
    assert (status, body["code"]) == (403, 40310000)
    assert venue.in_ledger(name) == []
    venue.fault("refuse", name, status=422, code=42210000, message="no such thing")
    assert venue.submit(name) == (422, {"code": 42210000, "message": "no such thing"})
    assert venue.submit(name)[0] == 200, "a rule for one order strikes once unless it says otherwise"


def test_reject_later_accepts_first(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("reject_later", name, seconds=0.2)
    with venue.stream() as stream:
        order = venue.place(name)
        assert order["status"] == "pending_new"
        assert stream.events(1, name) == ["rejected"]
    rejected = venue.settled(order["id"], "rejected")
    assert rejected["failed_at"] is not None
    assert rejected["filled_qty"] == "0"


def test_reject_later_may_come_after_a_partial_fill(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("reject_later", name, after_partial_fill=True, seconds=0.2)
    order = venue.place(name, qty="10")
    assert venue.settled(order["id"], "rejected")["filled_qty"] == "5"
    assert [execution["qty"] for execution in venue.executions(name)] == ["5"]


def test_slow_takes_effect_before_the_client_gives_up(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("slow", name, seconds=1)
    with pytest.raises(NoReply):
        venue.submit(name, timeout=0.3)
    assert _seconds_until_accepted(venue, name) < 1
    (answered,) = eventually(lambda: venue.requests(client_order_id=name, fault="slow"))
    assert answered["milliseconds"] >= 1000


def test_slow_can_take_effect_only_at_its_end(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("slow", name, seconds=0.7, after_accept=False)
    with pytest.raises(NoReply):
        venue.submit(name, timeout=0.2)
    assert _seconds_until_accepted(venue, name) >= 0.7


@pytest.mark.parametrize(("kind", "entered"), [("reply_lost_after_accept", 1), ("connection_lost_before_accept", 0)])
def test_a_lost_connection_says_nothing_about_the_order(venue: VenueProcess, kind: str, entered: int) -> None:
    name = _name()
    venue.fault(kind, name)
    with pytest.raises(NoReply):
        venue.submit(name)
    assert len(venue.in_ledger(name)) == entered
    row = _last_request(venue, name)
    assert (row["outcome"], row["status"], row["fault"]) == ("no_reply", None, kind)
    assert row["effect"] == (200 if entered else None)


@pytest.mark.parametrize("number", [500, 503, 504])
@pytest.mark.parametrize(("moment", "entered"), [("before", 0), ("after", 1)])
def test_server_errors_come_before_and_after_acceptance(
    venue: VenueProcess, number: int, moment: str, entered: int
) -> None:
    name = _name()
    venue.fault(f"error_{number}_{moment}_accept", name)
    assert venue.submit(name)[0] == number
    assert len(venue.in_ledger(name)) == entered
    status, body = venue.submit(name)
    assert status == (422 if entered else 200), body


@pytest.mark.parametrize("accepted", [False, True])
def test_a_408_may_have_taken_effect(venue: VenueProcess, accepted: bool) -> None:
    name = _name()
    venue.fault("timeout_408", name, after_accept=accepted)
    assert venue.submit(name)[0] == 408
    assert len(venue.in_ledger(name)) == accepted


def test_a_429_says_when_to_come_back(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("rate_limited_429", name, seconds=3)
    answer = venue.raw("POST", "/v2/orders", order_body(name))
    assert (answer.status, answer.headers["Retry-After"], answer.json()["code"]) == (429, "3", 42910000)
    assert venue.in_ledger(name) == []


@pytest.mark.parametrize(("status", "accepted"), [(502, True), (403, True), (200, True), (401, False)])
def test_a_gateways_html_page_stands_for_any_status(venue: VenueProcess, status: int, accepted: bool) -> None:
    name = _name()
    venue.fault("html_instead_of_json", name, status=status, after_accept=accepted)
    answer = venue.raw("POST", "/v2/orders", order_body(name))
    assert answer.status == status
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.data.startswith(b"<html>")
    assert len(venue.in_ledger(name)) == accepted


def test_cut_json_breaks_off_in_a_complete_response(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("cut_json", name)
    answer = venue.raw("POST", "/v2/orders", order_body(name))
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(venue.in_ledger(name)) == 1


def test_cut_json_may_take_the_connection_with_it(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("cut_json", name, connection=True)
    with pytest.raises(NoReply, match="IncompleteRead"):
        venue.submit(name)
    assert len(venue.in_ledger(name)) == 1


def test_late_accept_enters_the_order_after_the_client_gave_up(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("late_accept", name, seconds=1)
    with pytest.raises(NoReply):
        venue.submit(name, timeout=0.3)
    assert _seconds_until_accepted(venue, name) >= 1
    assert venue.by_client_order_id(name)[0] == 200
    outcomes = [row["outcome"] for row in venue.requests(client_order_id=name, operation="submit")]
    assert outcomes == ["waiting", "took_effect_late"]
    eventually(lambda: venue.get("/simulator/health")["late_requests"] == 0)


def test_late_accept_may_hang_up_early(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("late_accept", name, seconds=3, hang_up_after=0.1)
    with pytest.raises(NoReply):
        venue.submit(name)
    lost = datetime.now(UTC)
    (order,) = eventually(lambda: venue.in_ledger(name))
    assert datetime.fromisoformat(order["submitted_at"]) > lost


def test_a_late_request_meets_the_uniqueness_rule_when_it_takes_effect(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("late_accept", name, seconds=2, hang_up_after=0.05)
    with pytest.raises(NoReply):
        venue.submit(name)
    venue.place(name)
    eventually(lambda: venue.requests(client_order_id=name, outcome="took_effect_late"))
    assert len(venue.in_ledger(name)) == 1
    assert venue.requests(client_order_id=name, outcome="took_effect_late")[0]["effect"] == 422


def test_a_look_up_can_fail_for_a_known_order(venue: VenueProcess) -> None:
    name = _name()
    order = venue.place(name)
    venue.fault("lookup_error", name, times=2, status=503)
    assert [venue.by_client_order_id(name)[0] for _ in range(3)] == [503, 503, 200]
    venue.fault("lookup_error", name)
    assert venue.call("GET", f"/v2/orders/{order['id']}")[0] == 500


def test_a_look_up_can_fail_for_an_order_that_does_not_exist(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("lookup_error", name)
    assert [venue.by_client_order_id(name)[0] for _ in range(2)] == [500, 404]


def test_look_ups_and_lists_can_be_unaware_of_an_order_for_a_while(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("lookup_unknown_for", name, seconds=2)
    order = venue.place(name)
    assert venue.by_client_order_id(name)[0] == 404
    assert venue.call("GET", f"/v2/orders/{order['id']}")[0] == 404
    assert name not in [entry["client_order_id"] for entry in venue.get("/v2/orders?status=all")]
    assert venue.submit(name)[0] == 422, "it is there all the same"
    eventually(lambda: venue.by_client_order_id(name)[0] == 200)
    assert name in [entry["client_order_id"] for entry in venue.get("/v2/orders?status=all")]


def test_a_cancels_reply_can_be_lost(venue: VenueProcess) -> None:
    name = _name()
    order = venue.settled(venue.place(name, type="limit", limit_price="90")["id"], "new")
    venue.fault("cancel_reply_lost", name)
    with pytest.raises(NoReply):
        venue.call("DELETE", f"/v2/orders/{order['id']}")
    venue.settled(order["id"], "canceled")


def test_a_cancel_can_be_refused(venue: VenueProcess) -> None:
    name = _name()
    order = venue.settled(venue.place(name, type="limit", limit_price="90")["id"], "new")
    venue.fault("cancel_refused", name)
    status, body = venue.call("DELETE", f"/v2/orders/{order['id']}")
    assert (status, body["code"]) == (422, 42210000)
    assert venue.order(order["id"])["status"] == "new"
    assert venue.call("DELETE", f"/v2/orders/{order['id']}")[0] == 204


def test_faults_can_strike_other_operations(venue: VenueProcess) -> None:
    venue.fault("error_503_before_accept", on="list", times=1)
    venue.fault("html_instead_of_json", on="account", times=1)
    venue.fault("connection_lost_before_accept", on="market_data", times=1)
    venue.fault("error_500_before_accept", on="activities", times=1)
    assert venue.call("GET", "/v2/orders")[0] == 503
    assert venue.raw("GET", "/v2/account").status == 502
    with pytest.raises(NoReply):
        venue.get("/v2/stocks/AAPL/quotes/latest")
    assert venue.call("GET", "/v2/account/activities/FILL")[0] == 500
    for path in ("/v2/orders", "/v2/account", "/v2/stocks/AAPL/quotes/latest", "/v2/account/activities/FILL"):
        venue.get(path)


def test_a_replacements_reply_can_be_lost(venue: VenueProcess) -> None:
    name = _name()
    order = venue.settled(venue.place(name, type="limit", limit_price="90")["id"], "new")
    venue.fault("reply_lost_after_accept", name, on="replace")
    with pytest.raises(NoReply):
        venue.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91"})
    assert venue.settled(order["id"], "replaced")["replaced_by"]


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        ("nonsense_wrong_order", "client_order_id", "somebody-elses-order"),
        ("nonsense_wrong_symbol", "symbol", "WRONG"),
        ("nonsense_negative_fill", "filled_qty", "-5"),
        ("nonsense_overfill", "filled_qty", "50"),
        ("nonsense_unknown_status", "status", "transmogrified"),
        ("nonsense_nan", "qty", "1e999999"),
        ("nonsense_wrong_types", "status", ["filled"]),
    ],
)
def test_answers_can_be_nonsense(venue: VenueProcess, kind: str, member: str, value: Any) -> None:
    name = _name()
    venue.place(name, qty="5")
    venue.fault(kind, name)
    status, body = venue.by_client_order_id(name)
    assert (status, body[member]) == (200, value)
    venue.fault(kind, on="list", times=1)
    assert venue.get("/v2/orders?status=all&limit=1")[0][member] == value


def test_nan_stands_in_the_json_as_such(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("nonsense_nan", name, on="submit")
    assert b'"filled_qty": NaN' in venue.raw("POST", "/v2/orders", order_body(name)).data


def test_fields_can_be_missing_and_bodies_huge(venue: VenueProcess) -> None:
    name = _name()
    venue.place(name)
    venue.fault("nonsense_missing_fields", name)
    assert "status" not in venue.by_client_order_id(name)[1]
    venue.fault("nonsense_huge_body", name, megabytes=3)
    path = f"/v2/orders:by_client_order_id?client_order_id={name}"
    assert len(venue.raw("GET", path).data) > 3 * 1024 * 1024


def test_a_rate_strikes_about_its_share_and_repeats_with_its_seed(venue: VenueProcess) -> None:
    struck = []
    for _ in range(2):
        rule = venue.fault("error_503_before_accept", on="account", rate=0.3, seed=5)
        struck.append([venue.call("GET", "/v2/account")[0] == 503 for _ in range(100)])
        venue.control(f"faults/{rule['id']}", method="DELETE")
    assert 15 <= sum(struck[0]) <= 45
    assert all(venue.call("GET", "/v2/account")[0] == 200 for _ in range(20))


def test_a_rule_for_a_symbol_spares_the_others(venue: VenueProcess) -> None:
    venue.fault("error_503_before_accept", symbol="KO")
    assert venue.submit(symbol="AAPL")[0] == 200
    assert venue.submit(symbol="KO")[0] == 503


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"kind": "no_such_fault"},
        {"kind": "refuse", "colour": "red"},
        {"kind": "refuse", "on": "dancing"},
        {"kind": "refuse", "rate": 2},
        {"kind": "refuse", "times": 0},
        {"kind": "slow", "seconds": -1},
        {"kind": "stream_cut", "on": "submit"},
        {"kind": "refuse", "on": "stream"},
        "refuse",
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_reason(venue: VenueProcess, rule: Any) -> None:
    status, body = venue.call("POST", "/simulator/faults", rule)
    assert status == 422
    assert body["error"]


def test_rules_can_be_listed_and_removed(venue: VenueProcess) -> None:
    name = _name()
    first, second = venue.control("faults", [{"kind": "refuse", "client_order_id": name}, {"kind": "slow", "rate": 0}])
    assert [rule["id"] for rule in venue.get("/simulator/faults")["faults"]] == [first["id"], second["id"]]
    venue.submit(name)
    listed = venue.get("/simulator/faults")
    assert listed["faults"][0]["applied"] == 1
    assert listed["applied"]["refuse"] >= 1
    assert venue.control(f"faults/{first['id']}", method="DELETE") == {"removed": 1}
    assert venue.control("faults", method="DELETE") == {"removed": 1}
    assert venue.get("/simulator/faults")["faults"] == []


def test_a_profile_strikes_its_share_of_orders(venue: VenueProcess) -> None:
    def applied() -> int:
        return sum(venue.get("/simulator/faults")["applied"].values())

    def strike(prefix: str) -> list[str]:
        struck = []
        for number in range(60):
            before = applied()
            with suppress(NoReply):
                venue.raw("POST", "/v2/orders", order_body(f"{prefix}-{number}"), timeout=0.5)
            if applied() > before:
                struck.append(f"{prefix}-{number}")
        return struck

    venue.control("settings", {"faults": "one-in-three", "client_id_uniqueness": "none"})
    first = strike(f"profile-{uuid4()}")
    assert 8 <= len(first) <= 32
    venue.control("settings", {"faults": "none"})
    assert strike(f"spared-{uuid4()}") == []
