"""The OpenAPI document: every route, nothing else, and what a running application answers is what it says."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api import query
from app.api.description import operation_of
from app.api.openapi import NO_CALLS, calls, document
from tests.api.house import Client, House

Json = dict[str, Any]


@pytest.fixture
def described(house: House, ann: Client) -> Json:
    """The document as it is served."""
    answer = ann.http.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json or {})


def _operations(described: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _check(described: Json, answer: Any, path: str, method: str) -> None:
    """Status, media type, headers and body are what the document says."""
    operation = described["paths"][path][method.lower()]
    says = operation["responses"][str(answer.status_code)]
    for name in says["headers"]:
        if name in ("X-Request-Id", "ETag", "Retry-After", "Location", "WWW-Authenticate"):
            assert name in answer.headers, name
    if "content" in says:
        assert answer.mimetype in says["content"]
        schema = {**says["content"][answer.mimetype]["schema"], "components": described["components"]}
        jsonschema.validate(answer.json, schema, format_checker=jsonschema.FormatChecker())
    else:
        assert not answer.data


def test_it_is_valid_openapi(described: Json) -> None:
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(described).validate()


def test_every_route_is_in_it_and_nothing_else(house: House, described: Json) -> None:
    served = {(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method) for rule, method in calls(house.flask)}
    assert {(path, method) for path, method, _ in _operations(described)} == served


def test_what_is_left_out_is_no_call_of_the_api() -> None:
    assert all(reason for reason in NO_CALLS.values())
    assert not [rule for rule in NO_CALLS if rule.startswith("/api/") and "docs" not in rule]


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(described: Json) -> None:
    operations = list(_operations(described))
    assert len({operation["operationId"] for *_, operation in operations}) == len(operations)
    for path, method, operation in operations:
        assert operation["summary"].endswith("."), (path, method)
        assert operation["responses"], (path, method)


def test_each_route_reads_the_parameters_that_it_describes(
    house: House, ann: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, ...]] = []

    class Recorded(query.Query):
        def __init__(self, *known: str) -> None:
            read.append(known)
            super().__init__(*known)

    admin = house.with_scopes(ann, "read", "trade", "admin", "compliance")
    for rule, method in calls(house.flask):
        view = house.flask.view_functions[rule.endpoint]
        operation = operation_of(view)
        assert operation is not None
        if "Query" not in view.__globals__:
            continue
        monkeypatch.setitem(view.__globals__, "Query", Recorded)
        read.clear()
        path = re.sub(r"<uuid:\w+>", "019b8f0e-7a10-7c39-8a55-1f2d3c4b5a69", rule.rule)
        path = re.sub(r"<(?:\w+:)?\w+>", "AAPL", path)
        admin.call(method.upper(), path.removeprefix("/api/v1"))
        if read:
            assert set(read[0]) == set(operation.query), rule.rule
        else:
            assert not operation.query, rule.rule


def test_the_examples_are_orders_that_are_accepted(house: House, ann: Client, described: Json) -> None:
    examples = described["paths"]["/api/v1/orders"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) >= 3
    for name, example in examples.items():
        answer = ann.post(
            "/orders", json=example["value"], headers={"Idempotency-Key": name.replace(" ", "-").replace(",", "")}
        )
        assert answer.status_code == 201, answer.text
        _check(described, answer, "/api/v1/orders", "POST")


def test_real_answers_are_what_it_says(house: House, ann: Client, ben: Client, described: Json) -> None:
    def check(answer: Any, path: str, method: str = "GET", status: int = 200) -> Any:
        assert answer.status_code == status, answer.text
        _check(described, answer, f"/api/v1{path}", method)
        return answer

    order = check(ann.submit(key="once", max_wait_seconds=60), "/orders", "POST", 201).json
    replayed = check(ann.submit(key="once", max_wait_seconds=60), "/orders", "POST", 201)
    assert replayed.headers["Idempotent-Replayed"] == "true"
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "4", "150")
        lost = ann.order(quantity="1")
        worker.fail(lost)
    one = f"/orders/{order['id']}"
    check(ann.get(one), "/orders/{order_id}")
    check(ann.get("/orders"), "/orders")
    check(ann.get(f"{one}/audit"), "/orders/{order_id}/audit")
    check(ann.get("/events"), "/events")
    for path in ("/fills", "/positions", "/account", "/instruments"):
        check(ann.get(path), path)
    check(ann.get("/quotes/AAPL"), "/quotes/{symbol}")
    check(ann.post(f"/orders/{lost['id']}/retry"), "/orders/{order_id}/retry", "POST", 202)
    check(ann.post(f"/orders/{lost['id']}/retry"), "/orders/{order_id}/retry", "POST", 409)
    check(ann.post(f"{one}/cancel"), "/orders/{order_id}/cancel", "POST", 202)
    check(ann.post("/orders/cancel-all"), "/orders/cancel-all", "POST", 202)

    check(ben.get(one), "/orders/{order_id}", "GET", 404)
    check(ann.submit(quantity="-1", colour="red"), "/orders", "POST", 422)
    check(ann.submit_body("{"), "/orders", "POST", 400)
    check(ann.submit_body(b" " * 70_000), "/orders", "POST", 413)
    check(ann.submit(headers={"Content-Type": "text/plain"}), "/orders", "POST", 415)
    check(ann.get("/orders", limit="0"), "/orders", "GET", 422)
    check(Client(ann.http, ann.trader_id, "sk_wrong").get("/orders"), "/orders", "GET", 401)
    check(house.with_scopes(ann, "read").submit(), "/orders", "POST", 403)
    house.limit(ben, orders_per_minute=1)
    ben.order()
    check(ben.submit(quantity="2"), "/orders", "POST", 429)
    for path in ("/healthz", "/readyz"):
        _check(described, ann.http.get(path), path, "GET")


def test_an_unchanged_answer_is_not_sent_again(ann: Client) -> None:
    order = ann.order()
    for path in (f"/orders/{order['id']}", "/instruments", "/quotes/AAPL", "/positions", "/openapi.json"):
        first = ann.get(path)
        again = ann.call("GET", path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b""), path
        assert again.headers["ETag"] == first.headers["ETag"]
        assert ann.call("GET", path, headers={"If-None-Match": '"another"'}).data == first.data


def test_an_order_that_changed_is_sent_whole(ann: Client) -> None:
    order = ann.order()
    tag = ann.get(f"/orders/{order['id']}").headers["ETag"]
    ann.post(f"/orders/{order['id']}/cancel")
    answer = ann.call("GET", f"/orders/{order['id']}", headers={"If-None-Match": tag})
    assert (answer.status_code, (answer.json or {})["status"]) == (200, "CANCELLED")


def test_what_is_private_is_not_kept_by_caches(ann: Client) -> None:
    order = ann.order()
    assert ann.get("/account").headers["Cache-Control"] == "no-store"
    kept = ann.get(f"/orders/{order['id']}")
    assert kept.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in kept.vary


def test_only_large_answers_are_compressed_and_only_when_asked(ann: Client) -> None:
    for number in range(8):
        ann.order(quantity=str(number + 1))
    asked = {"Accept-Encoding": "gzip"}
    large = ann.call("GET", "/orders", headers=asked)
    assert large.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(large.data) == ann.get("/orders").data
    assert "Accept-Encoding" in large.vary
    for answer in (
        ann.call("GET", "/orders", headers=asked, query_string={"limit": 1}),
        ann.submit(headers=asked),
        ann.call("GET", "/orders", headers={"Accept-Encoding": "gzip;q=0"}),
    ):
        assert "Content-Encoding" not in answer.headers


def test_an_answer_says_how_many_more_orders_fit(house: House, ann: Client) -> None:
    house.limit(ann, orders_per_minute=3)
    left = []
    for number in range(3):
        answer = ann.submit(quantity=str(number + 1))
        assert answer.headers["RateLimit-Policy"] == '"orders";q=3;w=60'
        left.append(_rate(answer))
    assert [remaining for remaining, _ in left] == [2, 1, 0]
    refused = ann.submit(quantity="9")
    assert refused.status_code == 429
    remaining, resets_in = _rate(refused)
    assert remaining == 0
    assert 1 <= resets_in <= 60
    assert resets_in == int(refused.headers["Retry-After"])
    assert _rate(ann.submit(quantity="-1", key="other")) is None


def _rate(answer: Any) -> Any:
    said = answer.headers.get("RateLimit")
    return said and tuple(int(each) for each in re.fullmatch(r'"orders";r=(\d+);t=(\d+)', said).groups())  # type: ignore[union-attr] # it matches


def test_the_reading_page_loads_nothing_from_elsewhere(ann: Client) -> None:
    page = ann.http.get("/api/v1/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page.text)
    for name in re.findall(r"(?:src|href)=\"(docs/[^\"]+)", page.text):
        assert ann.http.get(f"/api/v1/{name}").status_code == 200, name
    assert ann.http.get("/api/v1/docs/LICENSES.txt").status_code == 404
    assert ann.http.get("/api/v1/docs/..%2fdocs.py").status_code == 404


def test_the_document_is_made_without_a_key_and_is_the_same_for_all(house: House, ann: Client) -> None:
    assert ann.http.get("/api/v1/openapi.json").json == document(house.flask)
