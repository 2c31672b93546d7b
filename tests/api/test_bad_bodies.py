"""POST /orders with anything but a proper order: a clear problem, an audited refusal, nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize  # type: ignore[import-untyped] # it ships none
from werkzeug.test import TestResponse

from tests.api.house import LIMIT_ORDER, Client, House, problem_of


def _body(**changes: Any) -> str:
    return json.dumps({**LIMIT_ORDER, **changes})


def _with(name: str, raw: str) -> str:
    """LIMIT_ORDER with one member replaced by raw JSON text."""
    return json.dumps({**LIMIT_ORDER, name: "@"}).replace('"@"', raw)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MALFORMED_JSON"),
        (b"   ", "MALFORMED_JSON"),
        (b"{", "MALFORMED_JSON"),
        (b'{"symbol":"AAPL"', "MALFORMED_JSON"),
        (b'{"symbol":"AAPL",}', "MALFORMED_JSON"),
        (b"{'symbol':'AAPL'}", "MALFORMED_JSON"),
        (b'{"symbol":"A\nB"}', "MALFORMED_JSON"),
        (b'{"symbol":"AAPL"} {}', "MALFORMED_JSON"),
        (b'{"quantity":01}', "MALFORMED_JSON"),
        (b'{"quantity":+1}', "MALFORMED_JSON"),
        (b'{"quantity":.5}', "MALFORMED_JSON"),
        (b'{"quantity":NaN}', "MALFORMED_JSON"),
        (b'{"quantity":Infinity}', "MALFORMED_JSON"),
        (b'{"quantity":-Infinity}', "MALFORMED_JSON"),
        (b'{"symbol":"\xff\xfe"}', "MALFORMED_JSON"),
        (b"\xef\xbb\xbf{}", "MALFORMED_JSON"),
        ("{}".encode("utf-16"), "MALFORMED_JSON"),
        (b"null", "NOT_AN_OBJECT"),
        (b"[]", "NOT_AN_OBJECT"),
        (b'"order"', "NOT_AN_OBJECT"),
        (b"12", "NOT_AN_OBJECT"),
        (b'{"symbol":"AAPL","symbol":"MSFT"}', "DUPLICATE_FIELD"),
        (b'{"a":{"b":1,"b":2}}', "DUPLICATE_FIELD"),
        (b"[" * 60_000, "NESTED_TOO_DEEP"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "NESTED_TOO_DEEP"),
        (b'{"symbol":"' + b"[" * 50_000, "MALFORMED_JSON"),
    ],
)
def test_what_is_no_json_object_is_malformed(house: House, ann: Client, body: bytes, code: str) -> None:
    problem_of(ann.submit_body(body), 400, code)
    assert house.refusals(ann) == [(code, f"trader:{ann.trader_id}")]
    assert house.count("orders", ann) == 0


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        # numbers
        (_with("quantity", "0"), "quantity", "NOT_POSITIVE"),
        (_with("quantity", "-1"), "quantity", "NOT_POSITIVE"),
        (_with("quantity", "-0.0"), "quantity", "NOT_POSITIVE"),
        (_with("quantity", "0e5"), "quantity", "NOT_POSITIVE"),
        (_body(quantity="0"), "quantity", "NOT_POSITIVE"),
        (_body(quantity="-5"), "quantity", "NOT_POSITIVE"),
        (_with("quantity", "1e999999"), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "1e-999999"), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "1e99999999999999999999"), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "9" * 40), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "9" * 20_000), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "0." + "1" * 40), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "1" + "0" * 12), "quantity", "TOO_MANY_DIGITS"),
        (_with("quantity", "0.0000000001"), "quantity", "TOO_MANY_DIGITS"),
        (_with("price", "1e31"), "price", "TOO_MANY_DIGITS"),
        (_body(quantity="NaN"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="sNaN"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="Infinity"), "quantity", "INVALID_NUMBER"),
        (_body(quantity=""), "quantity", "INVALID_NUMBER"),
        (_body(quantity=" 1"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="1,000"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="1_000"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="0x10"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="\u0661\u0662"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="ten"), "quantity", "INVALID_NUMBER"),
        (_body(quantity="1\x00"), "quantity", "INVALID_NUMBER"),
        # types
        (_body(quantity=True), "quantity", "INVALID_TYPE"),
        (_body(quantity=[1]), "quantity", "INVALID_TYPE"),
        (_body(quantity={"amount": 1}), "quantity", "INVALID_TYPE"),
        (_body(price=False), "price", "INVALID_TYPE"),
        (_body(symbol=1), "symbol", "INVALID_TYPE"),
        (_body(symbol=["AAPL"]), "symbol", "INVALID_TYPE"),
        (_body(side=True), "side", "INVALID_TYPE"),
        (_body(order_type=2.5), "order_type", "INVALID_TYPE"),
        (_body(venue=7), "venue", "INVALID_TYPE"),
        (_body(max_wait_seconds="60"), "max_wait_seconds", "INVALID_TYPE"),
        (_body(max_wait_seconds=True), "max_wait_seconds", "INVALID_TYPE"),
        # missing
        (_body(symbol=None), "symbol", "REQUIRED"),
        (_body(side=None), "side", "REQUIRED"),
        (_body(quantity=None), "quantity", "REQUIRED"),
        (_body(order_type=None), "order_type", "REQUIRED"),
        (_body(price=None), "price", "REQUIRED"),
        (_body(order_type="STOP", price=None), "price", "REQUIRED"),
        # words
        (_body(side="BUYY"), "side", "INVALID_VALUE"),
        (_body(side=""), "side", "INVALID_VALUE"),
        (_body(side="buy "), "side", "INVALID_VALUE"),
        (_body(order_type="STOP_LIMIT"), "order_type", "INVALID_VALUE"),
        (_body(time_in_force="FOREVER"), "time_in_force", "INVALID_VALUE"),
        (_body(max_wait_seconds=0), "max_wait_seconds", "INVALID_VALUE"),
        (_body(max_wait_seconds=-1), "max_wait_seconds", "INVALID_VALUE"),
        (_body(max_wait_seconds=1.5), "max_wait_seconds", "INVALID_VALUE"),
        (_with("max_wait_seconds", "1e3"), "max_wait_seconds", "INVALID_VALUE"),
        (_body(max_wait_seconds=10**30), "max_wait_seconds", "INVALID_VALUE"),
        # symbols
        (_body(symbol=""), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="NOPE"), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="A A"), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="\u0410APL"), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="AAPL\u0000"), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="\ud800"), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="'; DROP TABLE orders; --"), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="A" * 60_000), "symbol", "UNKNOWN_SYMBOL"),
        (_body(symbol="HALT"), "symbol", "INSTRUMENT_NOT_TRADABLE"),
        # combinations
        (_body(order_type="MARKET"), "price", "PRICE_NOT_ALLOWED"),
        (_body(price="150.001"), "price", "TICK_SIZE"),
        (_body(quantity="1.5"), "quantity", "LOT_SIZE"),
        (_body(venue="nasdaq"), "venue", "UNKNOWN_VENUE"),
        # not built yet
        (_body(stop_loss="0"), "stop_loss", "NOT_POSITIVE"),
        (_body(take_profit=True), "take_profit", "INVALID_TYPE"),
        (_body(max_slippage_bps=10), "max_slippage_bps", "SLIPPAGE_NOT_ALLOWED"),
        (_body(max_slippage_bps=10_000), "max_slippage_bps", "INVALID_VALUE"),
        (_body(max_slippage_bps="nonsense"), "max_slippage_bps", "INVALID_TYPE"),
        # unknown
        (_body(client_order_id="x"), "client_order_id", "UNKNOWN_FIELD"),
        (_body(**{"": 1}), "", "UNKNOWN_FIELD"),
        (_body(**{"\u0000": 1}), "\\x00", "UNKNOWN_FIELD"),
        (_body(**{"\udfff": 1}), "\\udfff", "UNKNOWN_FIELD"),
        (_body(**{"<script>": 1}), "<script>", "UNKNOWN_FIELD"),
    ],
)
def test_a_field_that_is_wrong_is_named(house: House, ann: Client, body: str, field: str, code: str) -> None:
    problem = problem_of(ann.submit_body(body), 422, code)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]
    assert problem["errors"][0]["message"] == problem["detail"]
    assert len(problem["detail"]) < 200
    assert house.refusals(ann) == [(code, f"trader:{ann.trader_id}")]
    assert house.count("orders", ann) == 0


def test_all_errors_are_told_at_once(ann: Client) -> None:
    body = {"symbol": 5, "side": "hold", "qty": 1, "order_type": "LIMIT", "stop_loss": 1, "venue": "x"}
    problem = problem_of(ann.submit_body(json.dumps(body)), 422, "INVALID_TYPE")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        ("symbol", "INVALID_TYPE"),
        ("side", "INVALID_VALUE"),
        ("quantity", "REQUIRED"),
        ("price", "REQUIRED"),
        ("venue", "UNKNOWN_VENUE"),
        ("qty", "UNKNOWN_FIELD"),
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("qty", "quantity"),
        ("quantty", "quantity"),
        ("Symbol", "symbol"),
        ("type", "order_type"),
        ("tif", "time_in_force"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_that_was_meant(ann: Client, name: str, meant: str) -> None:
    problem = problem_of(ann.submit_body(_body(**{name: 1})), 422, "UNKNOWN_FIELD")
    assert problem["errors"][0]["suggestion"] == f"Did you mean {meant}?"


def test_a_mistyped_word_is_answered_with_the_one_that_was_meant(ann: Client) -> None:
    problem = problem_of(ann.submit_body(_body(order_type="limti")), 422, "INVALID_VALUE")
    assert problem["suggestion"] == "Did you mean LIMIT?"


def test_thousands_of_unknown_fields_cost_no_more_than_a_few(ann: Client) -> None:
    problem = problem_of(ann.submit_body(_body(**{f"f{n}": 0 for n in range(5_000)})), 422, "UNKNOWN_FIELD")
    assert len(problem["errors"]) == 20


def test_a_null_is_a_field_that_was_left_out(ann: Client) -> None:
    assert ann.submit_body(_body(stop_loss=None, venue=None, time_in_force=None)).status_code == 201


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1_000_000])
def test_a_body_over_64_kb_is_refused(house: House, ann: Client, size: int) -> None:
    problem_of(ann.submit_body(b" " * size), 413, "BODY_TOO_LARGE")
    assert [code for code, _ in house.refusals(ann)] == ["BODY_TOO_LARGE"]


def test_a_body_of_64_kb_is_read(ann: Client) -> None:
    body = _body().encode()
    assert ann.submit_body(body + b" " * (64 * 1024 - len(body))).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonx"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_another_kind_of_body_is_refused(house: House, ann: Client, headers: dict[str, str]) -> None:
    problem_of(ann.submit_body(_body(), headers=headers), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert [code for code, _ in house.refusals(ann)] == ["UNSUPPORTED_MEDIA_TYPE"]


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
def test_json_may_say_that_it_is_utf8(ann: Client, kind: str) -> None:
    assert ann.submit_body(_body(), headers={"Content-Type": kind}).status_code == 201


class _Arriving:
    """A body as a server hands it over: in parts, and then nothing, or an error."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = list(parts)

    def read(self, size: int = -1) -> bytes:
        if not self._parts:
            return b""
        part = self._parts.pop(0)
        if isinstance(part, Exception):
            raise part
        if size >= 0 and len(part) > size:
            self._parts.insert(0, part[size:])
            part = part[:size]
        return part


def _arrive(ann: Client, *parts: bytes | Exception, announced: int | None = None) -> TestResponse:
    environment: dict[str, Any] = {"wsgi.input": _Arriving(*parts), "wsgi.input_terminated": True}
    if announced is not None:
        environment["CONTENT_LENGTH"] = str(announced)
    return ann.post(
        "/orders",
        headers={"Content-Type": "application/json", "Idempotency-Key": "k", "Confirm-Duplicate": "true"},
        environ_overrides=environment,
    )


def test_a_body_may_arrive_in_parts_and_without_its_length(ann: Client) -> None:
    body = _body().encode()
    assert _arrive(ann, body[:7], body[7:]).status_code == 201
    assert _arrive(ann, body[:7], body[7:], announced=len(body)).headers["Idempotent-Replayed"] == "true"


def test_a_part_of_a_body_is_not_taken_for_the_whole(house: House, ann: Client) -> None:
    body = _body().encode()
    problem_of(_arrive(ann, body, announced=len(body) + 1), 400, "BODY_INCOMPLETE")
    problem_of(_arrive(ann, body, OSError("connection reset")), 400, "BODY_INCOMPLETE")
    problem_of(_arrive(ann, body, InvalidChunkSize(b"zz")), 400, "BODY_INCOMPLETE")
    problem_of(_arrive(ann, body, b" " * 64 * 1024, b"x"), 413, "BODY_TOO_LARGE")
    assert [code for code, _ in house.refusals(ann)] == ["BODY_INCOMPLETE"] * 3 + ["BODY_TOO_LARGE"]
    assert house.count("orders", ann) == 0


def test_a_body_that_is_announced_too_large_is_not_read(ann: Client) -> None:
    problem_of(_arrive(ann, OSError("it was read"), announced=64 * 1024 + 1), 413, "BODY_TOO_LARGE")
