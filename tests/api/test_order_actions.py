"""Cancel, cancel-all, amend, retry, acknowledge."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import Client, House, problem_of

ABSENT = "00000000-0000-7000-8000-000000000000"


def _get(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    return dict(client.get(f"/orders/{order['id']}").json or {})


def test_an_order_that_was_never_sent_is_cancelled_at_once(ann: Client) -> None:
    order = ann.order()
    answer = ann.post(f"/orders/{order['id']}/cancel")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["execution_state"]) == ("CANCELLED", "CLOSED")
    assert answer.json["reason"] == {"code": "USER_REQUEST", "message": "Cancelled on the trader's request."}
    assert ann.get("/account").json["reserved"] == "0"  # type: ignore[index]


def test_a_cancel_may_be_repeated(ann: Client) -> None:
    order = ann.order()
    first = ann.post(f"/orders/{order['id']}/cancel")
    again = ann.post(f"/orders/{order['id']}/cancel")
    assert (again.status_code, again.json) == (200, first.json)


def test_a_cancel_of_an_order_at_the_venue_is_a_stored_wish(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
    for _ in range(2):
        answer = ann.post(f"/orders/{order['id']}/cancel")
        assert answer.status_code == 202
        assert answer.json is not None
        assert (answer.json["status"], answer.json["execution_state"]) == ("PENDING", "CANCELLING")


def test_an_order_that_was_filled_cannot_be_cancelled(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "10", "150")
    problem = problem_of(ann.post(f"/orders/{order['id']}/cancel"), 409, "ORDER_CLOSED")
    assert "FILLED" in problem["detail"]


def test_cancel_all_cancels_every_open_order(house: House, ann: Client, ben: Client) -> None:
    others = ben.order()
    orders = [ann.order() for _ in range(4)]
    with house.working() as worker:
        worker.send(orders[0])
        worker.send(orders[1])
        worker.fill(orders[1], "10", "150")
    answer = ann.post("/orders/cancel-all")
    assert (answer.status_code, answer.json) == (202, {"requested": 3})
    states = [_get(ann, order)["execution_state"] for order in orders]
    assert states == ["CANCELLING", "CLOSED", "CLOSED", "CLOSED"]
    assert _get(ben, others)["execution_state"] == "QUEUED"
    assert ann.post("/orders/cancel-all").json == {"requested": 0}


@pytest.mark.parametrize("action", ["retry", "acknowledge"])
def test_only_an_order_that_needs_attention_waits_for_a_person(ann: Client, action: str) -> None:
    order = ann.order()
    problem = problem_of(ann.post(f"/orders/{order['id']}/{action}"), 409, "NEEDS_NO_ATTENTION")
    assert "QUEUED" in problem["detail"]


def test_a_retry_gives_a_new_attempt_budget(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
        assert _get(ann, order)["execution_state"] == "NEEDS_ATTENTION"
        answer = ann.post(f"/orders/{order['id']}/retry")
        assert answer.status_code == 202
        assert answer.json is not None
        assert answer.json["execution_state"] == "IN_DOUBT"
        worker.send(order)
    assert _get(ann, order)["execution_state"] == "WORKING"


def test_an_acknowledged_failure_ends_when_the_absence_is_proven(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    answer = ann.post(f"/orders/{order['id']}/acknowledge")
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["reason"]["code"] == "ABANDONED"
    assert ann.post(f"/orders/{order['id']}/acknowledge").status_code == 202


def test_an_acknowledged_failure_ends_at_once_when_the_absence_was_proven_before(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    house.rows("UPDATE orders SET not_founds = 2, version = version + 1 WHERE id = %s", order["id"])
    answer = ann.post(f"/orders/{order['id']}/acknowledge")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["reason"]["code"]) == ("REJECTED", "ABANDONED")


def test_giving_up_an_order_whose_venue_is_not_configured_says_so_and_changes_nothing(
    house: House, ann: Client
) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    house.rows("UPDATE orders SET venue = 'elsewhere', version = version + 1 WHERE id = %s", order["id"])
    problem = problem_of(ann.post(f"/orders/{order['id']}/acknowledge"), 409, "VENUE_NOT_CONFIGURED")
    assert "elsewhere" in problem["detail"]
    assert _get(ann, order)["execution_state"] == "NEEDS_ATTENTION"


def test_an_order_that_was_never_sent_has_other_terms_at_once(ann: Client) -> None:
    order = ann.order()
    answer = ann.call("PATCH", f"/orders/{order['id']}", json={"price": "151", "quantity": 20})
    assert (answer.status_code, answer.json["price"], answer.json["quantity"]) == (200, "151", "20")  # type: ignore[index]
    again = ann.call("PATCH", f"/orders/{order['id']}", json={"price": "151.00"})
    assert (again.status_code, again.json) == (200, answer.json)


def test_other_terms_of_an_order_at_the_venue_are_a_stored_wish(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
        answer = ann.call("PATCH", f"/orders/{order['id']}", json={"price": "151"})
        assert answer.status_code == 202 and answer.json is not None
        assert (answer.json["price"], answer.json["amendment"]) == ("150.25", {"price": "151", "quantity": "10"})
        again = ann.call("PATCH", f"/orders/{order['id']}", json={"price": "151.00"})
        assert (again.status_code, again.json) == (202, answer.json)  # its version, too: nothing was stored
        worker.send(order)
        worker.listen()
        worker.send(order)
    amended = _get(ann, order)
    assert (amended["price"], amended["amendment"], amended["execution_state"]) == ("151", None, "WORKING")


def test_the_exits_of_an_order_are_listed_by_their_parent(house: House, ann: Client) -> None:
    entry = ann.order(stop_loss="140", take_profit="170")
    ann.order(price="150.30")
    with house.working() as worker:
        worker.send(entry)
        worker.fill(entry, "10", "150")
    (exit_order,) = (ann.get("/orders", parent_id=entry["id"]).json or {})["data"]
    assert (exit_order["parent_id"], exit_order["side"], exit_order["unprotected"]) == (entry["id"], "SELL", True)
    problem_of(ann.get("/orders", parent_id="mine"), 422, "INVALID_VALUE")


def test_other_terms_obey_the_rules(house: House, ann: Client) -> None:
    order = ann.order()
    path = f"/orders/{order['id']}"
    problem_of(ann.call("PATCH", path, json={"quantity": 100_000}), 422, "INSUFFICIENT_FUNDS")
    problem_of(ann.call("PATCH", path, json={"price": "150.001"}), 422, "TICK_SIZE")
    house.halt(ann)
    problem_of(ann.call("PATCH", path, json={"price": "149"}), 422, "TRADING_HALTED")


def test_what_cannot_be_amended_says_why(house: House, ann: Client) -> None:
    market = ann.order(order_type="MARKET", price=None)
    problem_of(ann.call("PATCH", f"/orders/{market['id']}", json={"quantity": 20}), 422, "NOT_AMENDABLE")
    order = ann.order()
    path = f"/orders/{order['id']}"
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "4", "150")
    problem = problem_of(ann.call("PATCH", path, json={"quantity": 4}), 422, "ALREADY_FILLED")
    assert "4 are filled" in problem["detail"]
    ann.post(f"{path}/cancel")
    problem_of(ann.call("PATCH", path, json={"price": "151"}), 409, "CANCEL_UNDER_WAY")


def test_an_amendment_is_well_formed(house: House, ann: Client) -> None:
    order = ann.order()
    path = f"/orders/{order['id']}"
    problem_of(ann.call("PATCH", path, json={}), 422, "REQUIRED")
    problem_of(ann.call("PATCH", path, json={"price": 0}), 422, "NOT_POSITIVE")
    problem_of(ann.call("PATCH", path, json={"side": "SELL"}), 422, "UNKNOWN_FIELD")
    ann.post(f"{path}/cancel")
    problem_of(ann.call("PATCH", path, json={"price": "151"}), 409, "ORDER_CLOSED")


@pytest.mark.parametrize("action", ["cancel", "retry", "acknowledge", "cancel-all"])
def test_actions_take_no_body(ann: Client, action: str) -> None:
    order = ann.order()
    path = "/orders/cancel-all" if action == "cancel-all" else f"/orders/{order['id']}/{action}"
    problem_of(ann.post(path, json={"force": True}), 422, "UNKNOWN_FIELD")
    problem_of(ann.post(path, data=b"x"), 415, "UNSUPPORTED_MEDIA_TYPE")
    problem_of(ann.post(path, data=b"x", headers={"Content-Type": "application/json"}), 400, "MALFORMED_JSON")
    assert ann.post(path, json={}).status_code in (200, 202, 409)


@pytest.mark.parametrize("order_id", [ABSENT, "1", "not-an-id", ABSENT.upper().replace("0", "A"), "%00"])
@pytest.mark.parametrize(
    ("method", "end"),
    [("GET", ""), ("GET", "/audit"), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/acknowledge"), ("PATCH", "")],
)
def test_an_order_that_does_not_exist_is_not_found(ann: Client, method: str, end: str, order_id: str) -> None:
    options = {"json": {"price": "1"}} if method == "PATCH" else {}
    problem_of(ann.call(method, f"/orders/{order_id}{end}", **options), 404, "NOT_FOUND")
