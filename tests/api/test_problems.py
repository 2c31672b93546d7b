"""What is wrong outside of an order: addresses, methods, faults of ours; health; the request's id."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.storage import account_reads
from tests.api.house import Client, House, problem_of


@pytest.mark.parametrize(
    "path",
    ["/nope", "/api", "/api/v1", "/api/v1/", "/api/v1/orders/", "/api/v1/nope", "/api/v2/orders", "/%00", "/a/b/c/d"],
)
def test_an_unknown_address_is_a_problem_document(house: House, path: str) -> None:
    problem_of(house.flask.test_client().get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/orders", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PUT", "/api/v1/account", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/v1/orders/cancel-all", {"OPTIONS", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_names_the_right_ones(house: House, method: str, path: str, allowed: set[str]) -> None:
    answer = house.flask.test_client().open(path, method=method)
    problem_of(answer, 405, "METHOD_NOT_ALLOWED")
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == allowed


def test_a_fault_of_ours_is_a_problem_document_without_details(
    house: House, ann: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> object:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(account_reads, "account_from", fails)
    answer = ann.call("GET", "/account", headers={"X-Request-Id": "req-7"})
    problem = problem_of(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert "req-7" in problem["suggestion"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert vars(record)["request_id"] == "req-7"


def test_a_request_keeps_its_id(ann: Client) -> None:
    assert ann.call("GET", "/account", headers={"X-Request-Id": "a-1"}).headers["X-Request-Id"] == "a-1"
    problem = ann.call("GET", "/orders/x", headers={"X-Request-Id": "a-1"})
    assert problem.json is not None
    assert problem.json["request_id"] == "a-1"


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "<script>", "ä"])
def test_a_request_without_a_proper_id_gets_one(ann: Client, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given}
    ids = {ann.call("GET", "/account", headers=headers).headers["X-Request-Id"] for _ in range(2)}
    assert len(ids) == 2
    assert given not in ids


@pytest.fixture
def request_lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """One entry per request, once the test has made them."""
    lines: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(vars(record))

    log, keep = logging.getLogger("surefill.requests"), Keep()
    log.addHandler(keep)
    with caplog.at_level(logging.INFO, logger=log.name):
        yield lines
    log.removeHandler(keep)


def test_each_request_is_one_log_line_without_secrets(
    house: House, ann: Client, request_lines: list[dict[str, Any]]
) -> None:
    order = ann.order()
    ann.get(f"/orders/{order['id']}", secret="canary")
    house.flask.test_client().get("/canary")
    submitted, read, unknown = request_lines
    assert (submitted["method"], submitted["route"], submitted["status"]) == ("POST", "/api/v1/orders", 201)
    assert (submitted["trader_id"], submitted["order_id"]) == (str(ann.trader_id), order["id"])
    assert submitted["key"] == ann.key[:11]
    assert (read["status"], read["code"], read["order_id"]) == (422, "UNKNOWN_PARAMETER", order["id"])
    assert (unknown["route"], unknown["trader_id"], unknown["status"]) == (None, None, 404)
    text = json.dumps(request_lines, default=str)
    assert ann.key not in text
    assert "canary" not in text


def test_the_process_is_alive_and_ready(house: House) -> None:
    client = house.flask.test_client()
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


def test_answers_are_neither_cached_nor_sniffed(ann: Client) -> None:
    for answer in (ann.get("/account"), ann.get("/nope")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
