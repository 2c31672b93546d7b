"""Keys, scopes, and two traders who never see each other."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.lifecycle.traders import create_key, revoke_key
from tests.api.house import Client, House, problem_of

ABSENT = "00000000-0000-7000-8000-000000000000"
READS = [
    "/orders", "/fills", "/positions", "/account", "/events", "/instruments", "/quotes/AAPL", "/reports/executions",
]  # fmt: skip
CHANGES = [
    ("POST", "/orders"),
    ("POST", f"/orders/{ABSENT}/cancel"),
    ("PATCH", f"/orders/{ABSENT}"),
    ("POST", f"/orders/{ABSENT}/retry"),
    ("POST", f"/orders/{ABSENT}/acknowledge"),
    ("POST", "/orders/cancel-all"),
]
OTHERS = [
    ("GET", "/admin/halts", "admin"),
    ("POST", "/admin/halts", "admin"),
    ("DELETE", f"/admin/halts/{ABSENT}", "admin"),
    ("GET", "/compliance/audit", "compliance"),
]
ROUTES = [
    *(("GET", path, "read") for path in [*READS, f"/orders/{ABSENT}", f"/orders/{ABSENT}/audit"]),
    *((method, path, "trade") for method, path in CHANGES),
    *OTHERS,
]


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_every_route_needs_a_key_with_its_scope(house: House, ann: Client, method: str, path: str, scope: str) -> None:
    nobody = ann.http.open(f"/api/v1{path}", method=method)
    problem_of(nobody, 401, "API_KEY_MISSING")
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    wrong = house.with_scopes(ann, *({"trade", "read", "admin", "compliance"} - {scope}))
    problem = problem_of(wrong.call(method, path), 403, "SCOPE_MISSING")
    assert scope in problem["detail"]
    assert house.with_scopes(ann, scope).call(method, path).status_code not in (401, 403)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer sk_unknown", "API_KEY_INVALID"),
        ("Bearer x", "API_KEY_INVALID"),
        ("bearer   sk_unknown", "API_KEY_INVALID"),
        ("Bearer", "API_KEY_MALFORMED"),
        ("Bearer a b", "API_KEY_MALFORMED"),
        ("Bearer schlüssel", "API_KEY_MALFORMED"),
        ("Bearer " + "x" * 5000, "API_KEY_MALFORMED"),
        ("Basic YTpi", "API_KEY_MALFORMED"),
        ("sk_unknown", "API_KEY_MALFORMED"),
    ],
)
def test_a_wrong_key_is_refused(house: House, header: str, code: str) -> None:
    answer = house.flask.test_client().get("/api/v1/account", headers={"Authorization": header})
    problem_of(answer, 401, code)


def test_a_key_is_found_whatever_the_case_of_its_scheme(ann: Client) -> None:
    answer = ann.http.get("/api/v1/account", headers={"Authorization": f"BEARER {ann.key}"})
    assert answer.status_code == 200


def test_an_expired_key_is_refused(house: House, ann: Client) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    key = create_key(house.administration, ann.trader_id, ["read"], soon)
    late = Client(ann.http, ann.trader_id, key.text)
    _until(lambda: late.get("/account").status_code == 401)
    problem_of(late.get("/account"), 401, "API_KEY_INVALID")


def test_a_revoked_key_is_refused_within_two_seconds(house: House, ann: Client) -> None:
    key = create_key(house.administration, ann.trader_id, ["read"], None)
    client = Client(ann.http, ann.trader_id, key.text)
    assert client.get("/account").status_code == 200
    revoke_key(house.administration, key.stored)
    began = time.monotonic()
    _until(lambda: client.get("/account").status_code == 401)
    assert time.monotonic() - began < 2
    assert ann.get("/account").status_code == 200


def _until(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_traders_see_only_their_own_on_every_route(house: House, ann: Client, ben: Client) -> None:
    orders = {client.trader_id: client.order(quantity="7") for client in (ann, ben)}
    with house.working() as worker:
        for order in orders.values():
            worker.send(order)
            worker.fill(order, "3", "150")
    for client, other in ((ann, ben), (ben, ann)):
        own, foreign = orders[client.trader_id], orders[other.trader_id]
        for path in [*READS, f"/orders/{own['id']}", f"/orders/{own['id']}/audit"]:
            answer = client.get(path)
            for secret in (foreign["id"], str(other.trader_id), foreign["trader_id"]):
                assert secret not in answer.text, path
        for path in ("/orders", "/fills", "/positions", "/events"):
            assert client.get(path).json["data"], path  # type: ignore[index]
        for method, path in [
            ("GET", f"/orders/{foreign['id']}"),
            ("GET", f"/orders/{foreign['id']}/audit"),
            ("POST", f"/orders/{foreign['id']}/cancel"),
            ("POST", f"/orders/{foreign['id']}/retry"),
            ("POST", f"/orders/{foreign['id']}/acknowledge"),
        ]:
            problem = problem_of(client.call(method, path), 404, "NOT_FOUND")
            absent = problem_of(client.call(method, path.replace(foreign["id"], ABSENT)), 404, "NOT_FOUND")
            # nothing tells a foreign order from one that does not exist
            assert {**problem, "request_id": ""} == {**absent, "request_id": ""}
        problem_of(client.call("PATCH", f"/orders/{foreign['id']}", json={"price": "1"}), 404, "NOT_FOUND")
        assert client.get("/fills", order_id=foreign["id"]).json["data"] == []  # type: ignore[index]
    states = house.rows("SELECT execution_state FROM orders WHERE trader_id IN %s", (ann.trader_id, ben.trader_id))
    assert states == [("WORKING",), ("WORKING",)]


def test_the_cursor_of_another_trader_shows_nothing_of_theirs(ann: Client, ben: Client) -> None:
    for _ in range(2):
        ben.order(quantity="1")
    cursor = ben.get("/orders", limit=1).json["next_cursor"]  # type: ignore[index]
    assert ann.get("/orders", cursor=cursor).json == {"data": [], "next_cursor": None}


def test_failed_sign_ins_are_limited_and_a_valid_key_passes_all_the_same(house: House, ann: Client) -> None:
    address = {"REMOTE_ADDR": "203.0.113.9"}
    refusals = house.rows("SELECT count(*) FROM execution_logs")
    statuses = []
    for number in range(25):
        guess = Client(ann.http, ann.trader_id, f"{ann.key[:11]}{number}")
        statuses.append(guess.call("GET", "/account", environ_base=address).status_code)
    assert statuses == [401] * 20 + [429] * 5
    guess = Client(ann.http, ann.trader_id, f"{ann.key[:11]}25")
    told = guess.call("GET", "/account", environ_base=address)
    assert "the 26th within a minute" in problem_of(told, 429, "TOO_MANY_FAILED_SIGN_INS")["detail"]
    assert 1 <= int(told.headers["Retry-After"]) <= 60
    assert house.rows("SELECT count(*) FROM execution_logs") == refusals  # they are nobody's
    other_key = house.with_scopes(ann, "read")  # has never been seen by this process
    for client in (ann, other_key):
        assert client.call("GET", "/account", environ_base=address).status_code == 200


def test_a_use_is_remembered_to_the_minute(house: House, ann: Client) -> None:
    serving = house.flask.extensions["surefill.serving"]
    ann.get("/account")
    serving.sign_ins.record_uses()
    keys = house.administration.store.keys(ann.trader_id)
    (used,) = [key.last_used_at for key in keys]
    assert used is not None
    assert datetime.now(UTC) - used < timedelta(seconds=60)
    ann.get("/account")
    serving.sign_ins.record_uses()
    (later,) = [key.last_used_at for key in house.administration.store.keys(ann.trader_id)]
    assert later is not None
    assert later > used
