"""POST /orders: acceptance and idempotency."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any

import pytest

from tests.api.house import LIMIT_ORDER, Client, House, problem_of


def test_an_accepted_order_is_answered_with_its_document_and_address(house: House, ann: Client) -> None:
    answer = ann.submit(max_wait_seconds=60)
    assert answer.status_code == 201
    order = answer.json
    assert order is not None
    assert answer.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert "Idempotent-Replayed" not in answer.headers
    assert {name: order[name] for name in LIMIT_ORDER} == dict(LIMIT_ORDER)
    assert order["trader_id"] == str(ann.trader_id)
    assert (order["status"], order["execution_state"], order["time_in_force"]) == ("PENDING", "QUEUED", "DAY")
    assert (order["venue"], order["version"], order["reason"], order["attempts"]) == ("simulator", 1, None, 0)
    assert order["max_wait_seconds"] == 60
    assert order["expires_at"] is not None
    assert ann.get(f"/orders/{order['id']}").json == {**order, "fills": []}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"quantity": 10, "price": 150.25}, {"quantity": "10", "price": "150.25"}),
        ({"quantity": "10.000", "price": "150.250"}, {"quantity": "10", "price": "150.25"}),
        ({"quantity": "1e1", "price": "1.5025E+2"}, {"quantity": "10", "price": "150.25"}),
        ({"side": "sell", "symbol": "aapl"}, {"side": "SELL", "symbol": "AAPL"}),
        ({"order_type": "stop", "time_in_force": "gtc"}, {"order_type": "STOP", "time_in_force": "GTC"}),
        ({"order_type": "market", "price": None}, {"order_type": "MARKET", "price": None}),
        ({"venue": "SIMULATOR"}, {"venue": "simulator"}),
    ],
)
def test_requests_may_spell_the_same_thing_in_several_ways(
    house: House, ann: Client, fields: dict[str, Any], shown: dict[str, Any]
) -> None:
    house.hold(ann, "AAPL", "100", "15000")
    order = ann.order(**fields)
    assert {name: order[name] for name in shown} == shown


def test_no_digit_of_a_json_number_is_lost(house: House, ann: Client) -> None:
    house.rows("UPDATE instruments SET tick_size = 0.000000001, lot_size = 0.000000001")
    house.quote("AAPL", "12345", "12346")
    body = '{"symbol":"AAPL","side":"BUY","quantity":0.123456789,"order_type":"LIMIT","price":12345.678901234}'
    answer = ann.submit_body(body)
    assert answer.status_code == 201, answer.text
    assert answer.json is not None
    assert (answer.json["quantity"], answer.json["price"]) == ("0.123456789", "12345.678901234")


def test_the_same_request_again_gives_the_same_bytes(house: House, ann: Client) -> None:
    first = ann.submit(key="once", max_wait_seconds=9)
    again = ann.submit(key="once", max_wait_seconds=9)
    assert again.status_code == 201
    assert again.data == first.data
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert house.count("orders", ann) == 1


def test_the_answer_stays_the_first_one_whatever_became_of_the_order(house: House, ann: Client) -> None:
    first = ann.submit(key="once")
    assert first.json is not None
    ann.post(f"/orders/{first.json['id']}/cancel")
    assert ann.submit(key="once").data == first.data
    assert ann.get(f"/orders/{first.json['id']}").json["status"] == "CANCELLED"  # type: ignore[index]


def test_a_quoted_key_is_the_same_key(house: House, ann: Client) -> None:
    assert ann.submit(key='"a-key"').data == ann.submit(key="a-key").data
    assert house.count("orders", ann) == 1


def test_another_body_under_the_same_key_is_refused(house: House, ann: Client) -> None:
    ann.submit(key="once")
    problem_of(ann.submit(key="once", quantity="11"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert house.count("orders", ann) == 1
    assert [code for code, _ in house.refusals(ann)] == ["IDEMPOTENCY_KEY_REUSED"]


def test_a_refused_key_may_be_used_again(house: House, ann: Client) -> None:
    problem_of(ann.submit(key="once", quantity="100000"), 422, "INSUFFICIENT_FUNDS")
    problem_of(ann.submit(key="once", quantity="0"), 422, "NOT_POSITIVE")
    answer = ann.submit(key="once", quantity="1")
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


def test_two_traders_may_use_the_same_key(ann: Client, ben: Client) -> None:
    orders = [client.submit(key="once").json for client in (ann, ben)]
    assert orders[0] is not None
    assert orders[1] is not None
    assert orders[0]["id"] != orders[1]["id"]
    assert [order["trader_id"] for order in orders if order] == [str(ann.trader_id), str(ben.trader_id)]


def test_twenty_requests_with_one_key_at_once_make_one_order(house: House, ann: Client) -> None:
    body = json.dumps(dict(LIMIT_ORDER))
    together = threading.Barrier(20)
    answers: list[tuple[int, bytes, bool]] = []

    def submit() -> None:
        client = Client(house.flask.test_client(), ann.trader_id, ann.key)
        together.wait(timeout=20)
        answer = client.submit_body(body, key="once", headers={"Confirm-Duplicate": "false"})
        answers.append((answer.status_code, answer.data, "Idempotent-Replayed" in answer.headers))

    threads = [threading.Thread(target=submit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(answers) == 20
    # a request that would have to wait too long for the first one may be told so; it changes nothing
    done = [answer for answer in answers if answer[0] != 409]
    assert {status for status, _, _ in done} == {201}
    assert len({body for _, body, _ in done}) == 1
    assert Counter(replayed for _, _, replayed in done)[False] == 1
    assert house.count("orders", ann) == 1
    assert house.count("order_events", ann) == 1


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "IDEMPOTENCY_KEY_MISSING"),
        ("", "IDEMPOTENCY_KEY_INVALID"),
        ('""', "IDEMPOTENCY_KEY_INVALID"),
        ("a b", "IDEMPOTENCY_KEY_INVALID"),
        ("k" * 256, "IDEMPOTENCY_KEY_INVALID"),
        ("schlüssel", "IDEMPOTENCY_KEY_INVALID"),
        ("sk_" + "k" * 43, "IDEMPOTENCY_KEY_INVALID"),
    ],
)
def test_a_request_without_a_proper_key_is_refused(house: House, ann: Client, key: str | None, code: str) -> None:
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    answer = ann.post("/orders", data=json.dumps(dict(LIMIT_ORDER)), headers=headers)
    problem_of(answer, 400, code)
    assert [found for found, _ in house.refusals(ann)] == [code]


@pytest.mark.parametrize("key", ["k" * 255, "!", "~", '"' + "k" * 255 + '"', "0b5f-\u007e{}:'"])
def test_any_visible_ascii_makes_a_key(ann: Client, key: str) -> None:
    assert ann.submit(key=key).status_code == 201


def test_an_order_costs_two_messages_to_the_database_and_one_commit(house: House, ann: Client) -> None:
    ann.order()  # statements are prepared once a connection
    counted = house.database.counted
    before = (counted.round_trips, counted.commits)
    ann.order()
    assert (counted.round_trips - before[0], counted.commits - before[1]) == (2, 1)
