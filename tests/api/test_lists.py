"""GET /orders and the other lists: filters, pages, cursors."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from app.storage.order_reads import Filter, Place, list_fills, list_orders
from app.storage.transaction import Statement
from tests.api.house import Client, House, problem_of


def _pages(client: Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """Everything in a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = client.get(path, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        assert len(answer.json["data"]) <= query.get("limit", 1000)
        found += answer.json["data"]
        cursor = answer.json["next_cursor"]
        if cursor is None:
            return found


def _ids(orders: list[dict[str, Any]]) -> list[str]:
    return [order["id"] for order in orders]


def test_orders_come_newest_first_in_pages(ann: Client) -> None:
    orders = [ann.order(quantity="1") for _ in range(7)]
    newest_first = _ids(orders)[::-1]
    for limit in (1, 3, 7, 100):
        assert _ids(_pages(ann, "/orders", limit=limit)) == newest_first


def test_twenty_orders_are_a_page_unless_told_otherwise(house: House, ann: Client) -> None:
    for _ in range(21):
        ann.order(quantity="1")
    answer = ann.get("/orders").json
    assert answer is not None
    assert len(answer["data"]) == 20
    assert answer["next_cursor"] is not None


def test_an_empty_list_is_a_list(ann: Client) -> None:
    for path in ("/orders", "/fills", "/positions"):
        assert ann.get(path).json == {"data": [], "next_cursor": None}


def test_pages_stay_the_same_while_orders_arrive_and_change(ann: Client) -> None:
    orders = [ann.order(quantity="1") for _ in range(6)]
    first = ann.get("/orders", limit=2).json
    assert first is not None
    ann.order(quantity="1")
    ann.post(f"/orders/{orders[1]['id']}/cancel")
    rest: list[dict[str, Any]] = []
    cursor = first["next_cursor"]
    while cursor:
        page = ann.get("/orders", limit=2, cursor=cursor).json
        assert page is not None
        rest += page["data"]
        cursor = page["next_cursor"]
        ann.order(quantity="1")
    assert _ids(first["data"] + rest) == _ids(orders)[::-1]


def test_filters_narrow_the_list(house: House, ann: Client) -> None:
    house.hold(ann, "MSFT", "10", "3000")
    apple, sold, cancelled = ann.order(), ann.order(symbol="MSFT", side="SELL", price="300"), ann.order()
    ann.post(f"/orders/{cancelled['id']}/cancel")
    for query, expected in [
        ({"status": "CANCELLED"}, [cancelled]),
        ({"status": "pending"}, [sold, apple]),
        ({"execution_state": "QUEUED"}, [sold, apple]),
        ({"symbol": "msft"}, [sold]),
        ({"side": "BUY"}, [cancelled, apple]),
        ({"side": "BUY", "status": "PENDING", "symbol": "AAPL"}, [apple]),
        ({"since": sold["created_at"]}, [cancelled, sold]),
        ({"until": sold["created_at"]}, [apple]),
        ({"since": sold["created_at"], "until": cancelled["created_at"]}, [sold]),
        ({"since": "2020-01-01T00:00:00+01:00", "until": "2020-01-02T00:00:00Z"}, []),
        ({"symbol": "NOPE"}, []),
    ]:
        assert _ids(_pages(ann, "/orders", limit=1, **query)) == _ids(expected), query
    assert len(_pages(ann, "/orders?since=2020-01-01T00:00:00+00:00")) == 3  # a "+" that nobody escaped


@pytest.mark.parametrize(
    ("path", "filters"),
    [
        (
            "/orders",
            {
                "status": "PENDING", "execution_state": "QUEUED", "symbol": "AAPL", "side": "BUY",
                "parent_id": "00000000-0000-7000-8000-000000000000", "since": "2020-01-01T00:00:00Z",
                "until": "2100-01-01T00:00:00Z",
            },
        ),
        (
            "/fills",
            {
                "order_id": "00000000-0000-7000-8000-000000000000", "symbol": "AAPL", "side": "BUY",
                "since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z",
            },
        ),
    ],
)  # fmt: skip
def test_each_combination_of_filters_and_a_cursor_is_a_question_of_its_own(
    house: House, ann: Client, path: str, filters: dict[str, str]
) -> None:
    """One connection prepares a statement for each: none may be taken for another's."""
    for _ in range(2):
        order = ann.order()
        with house.working() as worker:
            worker.send(order)
            worker.fill(order, "1", "150")
    cursor = (ann.get(path, limit=1).json or {})["next_cursor"]
    for count in range(len(filters) + 1):
        for names in itertools.combinations(filters, count):
            query = {name: filters[name] for name in names}
            assert ann.get(path, **query).status_code == 200, query
            assert ann.get(path, **query, cursor=cursor).status_code == 200, query


def test_no_two_statements_of_a_list_have_the_same_name() -> None:
    """Two of one name on one connection: the second would be answered with the first one's rows."""
    fields = [field.name for field in dataclasses.fields(Filter)]
    texts: dict[bytes, str] = {}
    for count in range(len(fields) + 1):
        for names in itertools.combinations(fields, count):
            wanted = Filter(**dict.fromkeys(names, cast("Any", "x")))
            for after in (None, Place(datetime.now(UTC), uuid4())):
                for make in (list_orders, list_fills):
                    statement = make(uuid4(), wanted, after, 1).statement
                    cut = statement.name.encode()[:63]  # as PostgreSQL does
                    assert texts.setdefault(cut, statement.sql) == statement.sql


def test_a_statement_whose_name_would_be_cut_off_is_none() -> None:
    Statement("n" * 63, "SELECT 1")
    with pytest.raises(ValueError, match="63"):
        Statement("n" * 64, "SELECT 1")


@pytest.mark.parametrize(
    ("path", "query", "field", "code"),
    [
        ("/orders", {"limit": "0"}, "limit", "INVALID_VALUE"),
        ("/orders", {"limit": "101"}, "limit", "INVALID_VALUE"),
        ("/orders", {"limit": "-1"}, "limit", "INVALID_VALUE"),
        ("/orders", {"limit": "ten"}, "limit", "INVALID_VALUE"),
        ("/orders", {"limit": "1" * 400}, "limit", "INVALID_VALUE"),
        ("/orders", {"limit": "\u0661"}, "limit", "INVALID_VALUE"),
        ("/orders", {"status": "OPEN"}, "status", "INVALID_VALUE"),
        ("/orders", {"execution_state": "x"}, "execution_state", "INVALID_VALUE"),
        ("/orders", {"side": "up"}, "side", "INVALID_VALUE"),
        ("/orders", {"symbol": "' OR 1=1"}, "symbol", "INVALID_VALUE"),
        ("/orders", {"since": "yesterday"}, "since", "INVALID_VALUE"),
        ("/orders", {"since": "2026-02-30T00:00:00Z"}, "since", "INVALID_VALUE"),
        ("/orders", {"since": "2026-01-01T00:00:00"}, "since", "INVALID_VALUE"),
        ("/orders", {"since": "0001-01-01T00:00:00+14:00"}, "since", "INVALID_VALUE"),
        ("/orders", {"cursor": "nonsense"}, "cursor", "INVALID_CURSOR"),
        ("/orders", {"cursor": "AQ"}, "cursor", "INVALID_CURSOR"),
        ("/orders", {"cursor": "AX////////////////////////////////"}, "cursor", "INVALID_CURSOR"),
        ("/orders", {"cursor": "\u2603"}, "cursor", "INVALID_CURSOR"),
        ("/orders", {"order_by": "price"}, "order_by", "UNKNOWN_PARAMETER"),
        ("/orders", {"limit": ["1", "2"]}, "limit", "REPEATED_PARAMETER"),
        ("/fills", {"order_id": "7"}, "order_id", "INVALID_VALUE"),
        ("/fills", {"limit": "1001"}, "limit", "INVALID_VALUE"),
        ("/positions", {"cursor": "AQAAAAAAAAAA"}, "cursor", "INVALID_CURSOR"),
        ("/positions", {"cursor": "AiAg"}, "cursor", "INVALID_CURSOR"),
        ("/instruments", {"cursor": "x"}, "cursor", "INVALID_CURSOR"),
        ("/account", {"currency": "EUR"}, "currency", "UNKNOWN_PARAMETER"),
        ("/events", {"since": "-1"}, "since", "INVALID_VALUE"),
        ("/events", {"since": "9" * 30}, "since", "INVALID_VALUE"),
        ("/events", {"limit": "1001"}, "limit", "INVALID_VALUE"),
    ],
)
def test_a_wrong_parameter_is_named(ann: Client, path: str, query: dict[str, Any], field: str, code: str) -> None:
    problem = problem_of(ann.get(path, **query), 422, code)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]


def test_all_wrong_parameters_are_told_at_once(ann: Client) -> None:
    problem = problem_of(ann.get("/orders", limit="x", sort="y", status="z", cursor="c"), 422, "UNKNOWN_PARAMETER")
    assert [error["field"] for error in problem["errors"]] == ["sort", "status", "limit", "cursor"]


def test_a_cursor_of_one_list_is_none_of_another(ann: Client) -> None:
    instruments = ann.get("/instruments", limit=1).json
    assert instruments is not None
    problem_of(ann.get("/orders", cursor=instruments["next_cursor"]), 422, "INVALID_CURSOR")


def test_instruments_and_positions_come_by_symbol_in_pages(house: House, ann: Client) -> None:
    assert [one["symbol"] for one in _pages(ann, "/instruments", limit=1)] == ["AAPL", "HALT", "MSFT"]
    for symbol in ("MSFT", "AAPL", "HALT"):
        house.hold(ann, symbol, "1", "1")
    assert [one["symbol"] for one in _pages(ann, "/positions", limit=1)] == ["AAPL", "HALT", "MSFT"]


def test_fills_come_newest_first_in_pages(house: House, ann: Client) -> None:
    orders = [ann.order(symbol=symbol, price="150") for symbol in ("AAPL", "MSFT")]
    with house.working() as worker:
        for order in orders:
            worker.send(order)
            for quantity in ("1", "2", "7"):
                worker.fill(order, quantity, "149.5")
    fills = _pages(ann, "/fills", limit=2)
    assert [(fill["symbol"], fill["quantity"]) for fill in fills] == [
        ("MSFT", "7"), ("MSFT", "2"), ("MSFT", "1"), ("AAPL", "7"), ("AAPL", "2"), ("AAPL", "1"),
    ]  # fmt: skip
    assert [fill["quantity"] for fill in _pages(ann, "/fills", order_id=orders[0]["id"])] == ["7", "2", "1"]
    assert len(_pages(ann, "/fills", symbol="MSFT", side="BUY", limit=1)) == 3
    assert _pages(ann, "/fills", side="SELL") == []
