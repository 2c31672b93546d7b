"""Whatever is sent, the answer is a proper one: never a fault of ours, never an order without a reason."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.house import LIMIT_ORDER, Client, House

_FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.decimals().map(str),
    st.sampled_from(["1e999999", "NaN", "-0", "0", "1", "150.25", "AAPL", "BUY", "MARKET", "LIMIT", "DAY", "\x00"]),
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_names = st.one_of(
    st.sampled_from([*LIMIT_ORDER, "stop_loss", "time_in_force", "max_wait_seconds", "venue", "qty"]),
    st.text(max_size=12),
)
_numbers = st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,14})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
_headers = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)


def _proper(answer: Any) -> None:
    assert answer.status_code in (201, 400, 409, 413, 415, 422, 429), answer.text
    document = json.loads(answer.data)
    if answer.status_code == 201:
        assert document["status"] == "PENDING"
        return
    assert answer.content_type == "application/problem+json"
    assert document["code"]
    assert document["detail"]
    assert document["suggestion"]


@_FEW
@given(body=st.binary(max_size=200))
def test_any_bytes(house: House, ann: Client, body: bytes) -> None:
    _proper(ann.submit_body(body))


@_FEW
@given(changes=st.dictionaries(_names, _values, max_size=6))
def test_any_members_beside_a_proper_order(house: House, ann: Client, changes: dict[str, Any]) -> None:
    _proper(ann.submit_body(json.dumps({**LIMIT_ORDER, **changes})))


@_FEW
@given(body=_values)
def test_any_json(house: House, ann: Client, body: Any) -> None:
    _proper(ann.submit_body(json.dumps(body)))


@_FEW
@given(text=_numbers, name=st.sampled_from(["quantity", "price"]))
def test_any_number(house: House, ann: Client, text: str, name: str) -> None:
    for raw in (text, json.dumps(text)):
        body = json.dumps({**LIMIT_ORDER, name: "@"}).replace('"@"', raw)
        _proper(ann.submit_body(body))


@_FEW
@given(key=_headers, confirm=_headers, request_id=_headers)
def test_any_headers(house: House, ann: Client, key: str, confirm: str, request_id: str) -> None:
    headers = {"Idempotency-Key": key, "Confirm-Duplicate": confirm, "X-Request-Id": request_id}
    _proper(ann.submit_body(json.dumps(dict(LIMIT_ORDER)), headers=headers))


@_FEW
@given(
    path=st.sampled_from(["/orders", "/fills", "/positions", "/events", "/instruments", "/account"]),
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "since", "until", "status", "side", "symbol", "order_id", "x"]),
        st.text(max_size=40),
        max_size=4,
    ),
)
def test_any_query(house: House, ann: Client, path: str, query: dict[str, str]) -> None:
    answer = ann.get(path, **query)
    assert answer.status_code in (200, 422), answer.text
