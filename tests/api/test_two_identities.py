"""Every route there is, as two traders: each needs the scope written here, and shows nothing of the other's.

The routes are taken from the application. A new one fails the first test until it stands in the table.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.api.description import operation_of
from tests.api.canaries import marked_trader, rows_of
from tests.api.house import LIMIT_ORDER, Client, House, problem_of

ABSENT = "00000000-0000-7000-8000-000000000000"
SCOPES = ("trade", "read", "admin", "compliance")
CASH = "918273.645"
"""Ann's: no other trader's figures are made of it."""


@dataclass(frozen=True)
class Route:
    """What is expected of one method of one rule. `scope` None: no key is asked for."""

    method: str
    rule: str
    scope: str | None
    body: Any = None
    """Sent, so that the route gets as far as looking for what the path names."""
    shows_others: bool = False
    """Its scope is for seeing everybody's."""

    @property
    def label(self) -> str:
        return f"{self.method} {self.rule}"

    def path(self, **parts: str) -> str:
        """The address, its parts filled in: ids are `order_id` unless given by name."""
        examples = {
            "<uuid:order_id>": parts.get("order_id", ABSENT),
            "<uuid:halt_id>": parts.get("halt_id", ABSENT),
            "<path:symbol>": parts.get("symbol", "AAPL"),
            "<name>": parts.get("name", "reader.js"),
            "<version>": parts.get("version", "x"),
            "<path:path>": parts.get("path", "main.js"),
        }
        named = re.findall("<[^>]+>", self.rule)
        assert set(named) <= set(examples), f"{self.rule}: give its parts an example in Route.path"
        return re.sub("<[^>]+>", lambda part: examples[part[0]], self.rule)


PUBLIC = None
ROUTES = [
    Route("GET", "/", PUBLIC),
    Route("GET", "/assets/<version>/<path:path>", PUBLIC),
    Route("GET", "/favicon.ico", PUBLIC),
    Route("GET", "/healthz", PUBLIC),
    Route("GET", "/readyz", PUBLIC),
    Route("GET", "/metrics", PUBLIC),
    Route("GET", "/ops", PUBLIC),
    Route("GET", "/api/v1/openapi.json", PUBLIC),
    Route("GET", "/api/v1/docs", PUBLIC),
    Route("GET", "/api/v1/docs/<name>", PUBLIC),
    Route("GET", "/api/v1/account", "read"),
    Route("GET", "/api/v1/events", "read"),
    Route("GET", "/api/v1/fills", "read"),
    Route("GET", "/api/v1/instruments", "read"),
    Route("GET", "/api/v1/orders", "read"),
    Route("GET", "/api/v1/orders/<uuid:order_id>", "read"),
    Route("GET", "/api/v1/orders/<uuid:order_id>/audit", "read"),
    Route("GET", "/api/v1/positions", "read"),
    Route("GET", "/api/v1/quotes/<path:symbol>", "read"),
    Route("GET", "/api/v1/reports/executions", "read"),
    Route("POST", "/api/v1/orders", "trade", body=dict(LIMIT_ORDER)),
    Route("POST", "/api/v1/orders/cancel-all", "trade", body={}),
    Route("PATCH", "/api/v1/orders/<uuid:order_id>", "trade", body={"price": "150.30"}),
    Route("POST", "/api/v1/orders/<uuid:order_id>/cancel", "trade", body={}),
    Route("POST", "/api/v1/orders/<uuid:order_id>/retry", "trade", body={}),
    Route("POST", "/api/v1/orders/<uuid:order_id>/acknowledge", "trade", body={}),
    Route("GET", "/api/v1/admin/halts", "admin", shows_others=True),
    Route("POST", "/api/v1/admin/halts", "admin", body={"scope": "SYMBOL", "symbol": "NONE", "reason": "test"},
          shows_others=True),
    Route("DELETE", "/api/v1/admin/halts/<uuid:halt_id>", "admin", shows_others=True),
    Route("GET", "/api/v1/admin/operations", "admin", shows_others=True),
    Route("POST", "/api/v1/admin/orders/<uuid:order_id>/acknowledge", "admin", body={}, shows_others=True),
    Route("POST", "/api/v1/admin/orders/<uuid:order_id>/retry", "admin", body={}, shows_others=True),
    Route("GET", "/api/v1/compliance/audit", "compliance", shows_others=True),
]  # fmt: skip
KEYED = [route for route in ROUTES if route.scope is not None]
NAMES_ONE = [route for route in KEYED if "<uuid:" in route.rule]


def _call(client: Client, route: Route, path: str | None = None, **options: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {client.key}", "Idempotency-Key": "a-key", **options.pop("headers", {})}
    if route.body is not None:
        options = {"json": route.body, **options}
    return client.http.open(path or route.path(), method=route.method, headers=headers, **options)


def test_every_route_stands_in_the_table(house: House) -> None:
    """A route that is new: add it to ROUTES with its scope; what it may show is then tested below."""
    served = {
        (method, rule.rule)
        for rule in house.flask.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == {(route.method, route.rule) for route in ROUTES}


def test_the_table_says_what_the_routes_say_of_themselves(house: House) -> None:
    for rule in house.flask.url_map.iter_rules():
        operation = operation_of(house.flask.view_functions[rule.endpoint])
        if operation is None:
            continue
        for route in ROUTES:
            if route.rule == rule.rule and route.method in (rule.methods or set()):
                assert operation.scope == route.scope, route.label


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.label)
def test_a_route_needs_its_scope_and_no_other_does(house: House, ann: Client, route: Route) -> None:
    path = route.path()
    nobody = ann.http.open(path, method=route.method, json=route.body)
    if route.scope is None:
        assert nobody.status_code not in (401, 403)
        return
    problem_of(nobody, 401, "API_KEY_MISSING")
    others = house.with_scopes(ann, *(set(SCOPES) - {route.scope}))
    assert route.scope in problem_of(_call(others, route), 403, "SCOPE_MISSING")["detail"]
    assert _call(house.with_scopes(ann, route.scope), route).status_code not in (401, 403)


def test_no_scope_but_trade_trades_and_compliance_changes_nothing(house: House, ann: Client) -> None:
    order = ann.order()
    for scope in ("read", "admin", "compliance"):
        client = house.with_scopes(ann, scope)
        for route in KEYED:
            if route.scope == "trade" or (scope == "compliance" and route.method != "GET"):
                answer = _call(client, route, route.path(order_id=order["id"]))
                problem_of(answer, 403, "SCOPE_MISSING")
    assert house.rows("SELECT status, execution_state FROM orders WHERE trader_id = %s", ann.trader_id) == [
        ("PENDING", "QUEUED")
    ]


# -- two traders -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ann:
    """A trader whose every trace can be recognised."""

    client: Client
    order_id: str
    traces: tuple[bytes, ...]


@pytest.fixture
def anns(house: House) -> Ann:
    """Ann's are the texts that a trader of the same kind does not have."""
    ann = marked_trader(house, "Ann", CASH)
    return Ann(ann.client, ann.order_ids[0], tuple(ann.traces_beside(marked_trader(house, "Zoe", "123456.75"))))


def _bytes_of(answer: TestResponse) -> bytes:
    return b"\n".join([*(f"{name}: {value}".encode() for name, value in answer.headers), bytes(answer.data)])


def _asked_for(ann: Ann) -> Iterator[dict[str, str]]:
    """Ways to ask for what is Ann's."""
    yield {}
    for name in ("trader_id", "order_id", "trader", "account", "id"):
        yield {name: ann.order_id if name in ("order_id", "id") else str(ann.client.trader_id)}
    yield {"symbol": "AAPL' OR '1'='1"}
    yield {"since": "0"}


def test_nothing_of_another_trader_is_in_any_byte_of_any_answer(house: House, ben: Client, anns: Ann) -> None:
    before = rows_of(house, anns.client.trader_id)
    cursor = (anns.client.get("/orders", limit=1).json or {})["next_cursor"]
    for route in ROUTES:
        if route.shows_others:
            continue
        for query in [*_asked_for(anns), {"cursor": cursor}]:
            for method in dict.fromkeys((route.method, "HEAD" if route.method == "GET" else route.method, "OPTIONS")):
                path = route.path(order_id=anns.order_id, symbol=anns.order_id)
                answer = _call(
                    ben,
                    dataclasses.replace(route, method=method),
                    path,
                    query_string=query,
                    headers={"Idempotency-Key": "canary-ann-idempotency"},
                )
                said = _bytes_of(answer)
                asked = [value.encode() for value in query.values()]
                for trace in anns.traces:
                    if trace in asked or trace == anns.order_id.encode() in path.encode():
                        continue  # a refusal may say back what it was asked for
                    assert trace not in said, (route.label, query, trace)
                assert answer.status_code < 500, route.label
    assert rows_of(house, anns.client.trader_id) == before


@pytest.mark.parametrize("route", NAMES_ONE, ids=lambda route: route.label)
def test_what_is_not_yours_is_not_there(house: House, ben: Client, anns: Ann, route: Route) -> None:
    """404 and not 403, and not one byte tells it from what nobody has."""
    assert route.scope is not None
    if route.shows_others:
        problem_of(_call(ben, route, route.path(order_id=anns.order_id, halt_id=anns.order_id)), 403, "SCOPE_MISSING")
        return
    before = rows_of(house, anns.client.trader_id)
    foreign = problem_of(_call(ben, route, route.path(order_id=anns.order_id)), 404, "NOT_FOUND")
    absent = problem_of(_call(ben, route), 404, "NOT_FOUND")
    assert {**foreign, "request_id": ""} == {**absent, "request_id": ""}
    assert rows_of(house, anns.client.trader_id) == before


def test_the_same_idempotency_key_is_another_order_for_another_trader(ben: Client, anns: Ann) -> None:
    answer = ben.submit(key="canary-ann-idempotency", quantity="7")
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert not [trace for trace in anns.traces if trace in _bytes_of(answer) and trace != b"canary-ann"]


def test_a_halt_of_another_trader_is_not_told(house: House, ben: Client, anns: Ann) -> None:
    admin = house.with_scopes(ben, "admin")
    body = {"scope": "TRADER", "trader_id": str(anns.client.trader_id), "reason": "canary-ann is halted"}
    halted = admin.post("/admin/halts", json=body)
    assert halted.status_code == 201, halted.text
    for route in ROUTES:
        if not route.shows_others:
            said = _bytes_of(_call(ben, route))
            assert str(anns.client.trader_id).encode() not in said, route.label
            assert b"canary-ann is halted" not in said, route.label
    assert admin.call("DELETE", f"/admin/halts/{(halted.json or {})['id']}").status_code == 200


def test_without_a_trader_the_api_reads_nothing(house: House, anns: Ann) -> None:
    """The rows are kept apart by the database: with the API's own login and no trader named there are none."""
    with house.database.transaction() as transaction:
        cursor = transaction._cursor
        for table in ("orders", "fills", "positions", "accounts", "order_events", "execution_logs", "order_attempts"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchall() == [(0,)], table


# -- what is written into addresses, headers and bodies --------------------------------------------------------------

HOSTILE = [
    "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//....//etc/passwd",
    "..\\..\\etc\\passwd", "/etc/passwd", "%00", "AAPL%00.js", "main.js%00", "' OR '1'='1", "'; DROP TABLE orders; --",
    "1; SELECT pg_sleep(9)", "$1", "%s", "%(x)s", "{{7*7}}", "${7*7}", "<script>alert(1)</script>", "\u202eLPAA",
    "AAPL\u0000",
    "\uff21\uff21\uff30\uff2c", "\u2160", "\U0001f600", "A" * 4000, "%", "%zz", "%ff%fe", "a%0d%0aSet-Cookie:x=1",
    "*", ".",
    "..", "~root", "file:///etc/passwd", "\\\\host\\share", "con", "-1", "1e999", "NaN", "null", "true", "[]", "{}",
]  # fmt: skip


def test_hostile_text_in_addresses_and_queries_is_only_text(house: House, ben: Client, anns: Ann) -> None:
    before = rows_of(house, anns.client.trader_id)
    for text, route in itertools.product(HOSTILE, ROUTES):
        if route.method != "GET":
            continue
        named = text.join(re.split("<[^>]+>", route.rule))
        query = {"symbol": text, "cursor": text, "since": text, "limit": text, "from": text}
        for path, asked in ((named, {}), (route.path(), query)):
            if path == named == route.rule:
                continue
            answer = _call(ben, route, path, query_string=asked)
            assert answer.status_code < 500, (route.label, path, answer.text)
            said = _bytes_of(answer)
            assert b"root:" not in said, (route.label, path)
            assert "Set-Cookie" not in answer.headers, (route.label, path)
            if answer.mimetype == "text/html":
                assert b"<script>alert(1)" not in said, (route.label, path)
    assert rows_of(house, anns.client.trader_id) == before


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-Id", "Confirm-Duplicate", "If-None-Match", "Accept"])
@pytest.mark.parametrize(
    "value", ["a\tb", "\x7f", "ü", "' OR 1=1 --", "x" * 5000, "<script>", "%0d%0aSet-Cookie: x=1", '"', '""', "\\"]
)
def test_hostile_headers_are_refused_or_only_text(ben: Client, name: str, value: str) -> None:
    for answer in (
        ben.submit(headers={name: value}),
        ben.call("GET", "/orders", headers={name: value}),
    ):
        assert answer.status_code < 500, answer.text
        assert "Set-Cookie" not in answer.headers
        assert value not in (answer.headers.get("X-Request-Id"), answer.headers.get("Location"))


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
     "application/json; charset=utf-16", "application/jsonp", "application/json\tx",
     "APPLICATION/JSON; charset=latin-1"],
)  # fmt: skip
def test_a_body_of_another_type_is_refused_and_makes_no_order(house: House, ben: Client, kind: str) -> None:
    answer = ben.post(
        "/orders", data=json.dumps(LIMIT_ORDER), headers={"Content-Type": kind, "Idempotency-Key": "typed"}
    )
    problem_of(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert house.count("orders", ben) == 0


@pytest.mark.parametrize("size", [64 * 1024 + 1, 5_000_000])
def test_a_body_that_is_too_large_is_refused_and_makes_no_order(house: House, ben: Client, size: int) -> None:
    body = json.dumps(LIMIT_ORDER).encode().ljust(size)
    problem_of(ben.submit_body(body), 413, "BODY_TOO_LARGE")
    assert house.count("orders", ben) == 0
