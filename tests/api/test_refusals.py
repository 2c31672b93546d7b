"""Orders that are well-formed and break a rule: the status, the code, the audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from app.settings import Settings
from tests.api.house import Client, House, problem_of, running


def test_a_buy_beyond_the_cash_says_how_much_there_is(house: House, ann: Client) -> None:
    problem = problem_of(ann.submit(quantity="1000", price="150.25"), 422, "INSUFFICIENT_FUNDS")
    assert problem["detail"] == "Insufficient funds for $150,250.00 order; available: $100,000.00."
    assert problem["errors"][0]["field"] == "quantity"
    assert problem["errors"][0]["numbers"] == {
        "needed": "150250", "available": "100000", "unit_cost": "150.25",
    }  # fmt: skip
    assert house.refusals(ann) == [("INSUFFICIENT_FUNDS", f"trader:{ann.trader_id}")]


def test_a_sell_of_what_is_not_held_is_refused(ann: Client) -> None:
    problem_of(ann.submit(side="SELL"), 422, "INSUFFICIENT_SHARES")


def test_every_broken_rule_is_told_at_once(ann: Client) -> None:
    problem = problem_of(ann.submit(quantity="1000.5", price="150.251"), 422, "LOT_SIZE")
    assert [error["code"] for error in problem["errors"]] == ["LOT_SIZE", "TICK_SIZE", "INSUFFICIENT_FUNDS"]


def test_a_market_order_needs_a_fresh_quote(house: House, ann: Client) -> None:
    stale = datetime.now(UTC) - timedelta(seconds=90)
    house.rows("UPDATE instruments SET quoted_at = %s, confirmed_at = %s", stale, stale)
    problem_of(ann.submit(order_type="MARKET", price=None), 422, "REFERENCE_PRICE_STALE")
    assert ann.submit().status_code == 201  # a LIMIT order does not


def test_a_halted_trader_is_refused(house: House, ann: Client) -> None:
    house.halt(ann)
    problem = problem_of(ann.submit(), 422, "TRADING_HALTED")
    assert "odd orders" in problem["detail"] and "administrator:test" in problem["detail"]


def test_the_order_rate_limit_answers_429_and_says_when_to_come_back(house: House, ann: Client) -> None:
    house.limit(ann, orders_per_minute=2)
    for _ in range(2):
        ann.order()
    answer = ann.submit()
    problem_of(answer, 429, "ORDER_RATE_LIMIT")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert [code for code, _ in house.refusals(ann)] == ["ORDER_RATE_LIMIT"]


def test_the_rate_limit_is_told_first_whatever_else_is_wrong(house: House, ann: Client) -> None:
    house.limit(ann, orders_per_minute=1)
    ann.order()
    problem = problem_of(ann.submit(quantity="100000"), 429, "ORDER_RATE_LIMIT")
    assert [error["code"] for error in problem["errors"]] == ["ORDER_RATE_LIMIT", "INSUFFICIENT_FUNDS"]


def test_a_replay_is_no_new_order_for_the_rate_limit(house: House, ann: Client) -> None:
    house.limit(ann, orders_per_minute=1)
    first = ann.submit(key="once")
    assert ann.submit(key="once").data == first.data


def test_a_repeated_order_must_be_confirmed(house: House, ann: Client) -> None:
    unconfirmed = {"Confirm-Duplicate": "false"}
    first = ann.order()
    problem = problem_of(ann.submit(headers=unconfirmed), 409, "DUPLICATE_SUSPECTED")
    assert first["id"] in problem["detail"]
    assert [code for code, _ in house.refusals(ann)] == ["DUPLICATE_SUSPECTED"]
    assert ann.submit(headers={"Confirm-Duplicate": "true"}).status_code == 201
    assert ann.submit(headers=unconfirmed, quantity="11").status_code == 201


def test_a_suspected_duplicate_that_breaks_another_rule_is_unprocessable(ann: Client) -> None:
    ann.order(quantity="600")
    answer = ann.submit(quantity="600", headers={"Confirm-Duplicate": "false"})
    problem = problem_of(answer, 422, "INSUFFICIENT_FUNDS")
    assert [error["code"] for error in problem["errors"]] == ["DUPLICATE_SUSPECTED", "INSUFFICIENT_FUNDS"]


def test_confirm_duplicate_takes_true_and_false_only(house: House, ann: Client) -> None:
    problem_of(ann.submit(headers={"Confirm-Duplicate": "yes"}), 400, "CONFIRM_DUPLICATE_INVALID")
    assert [code for code, _ in house.refusals(ann)] == ["CONFIRM_DUPLICATE_INVALID"]


def test_without_a_duplicate_window_nothing_is_suspected(settings: Settings) -> None:
    with running(replace(settings, duplicate_window_seconds=0)) as house:
        ann = house.trader("Ann")
        for _ in range(2):
            assert ann.submit(headers={"Confirm-Duplicate": "false"}).status_code == 201


def test_a_refusal_is_one_audit_row_with_the_terms_and_every_rule(house: House, ann: Client) -> None:
    ann.submit(quantity="1000.5", price="150.251")
    rows = house.rows(
        """SELECT action, symbol, side, quantity, price, rule, reason, credential, limits_version, order_id
        FROM execution_logs WHERE trader_id = %s ORDER BY chain_seq""",
        ann.trader_id,
    )
    assert [row[0] for row in rows] == ["TRADER_CREATED", "KEY_CREATED", "REJECTED"]
    _, symbol, side, quantity, price, rule, reason, credential, limits_version, order_id = rows[-1]
    assert (symbol, side, str(quantity.normalize()), str(price.normalize())) == ("AAPL", "BUY", "1000.5", "150.251")
    assert rule == "LOT_SIZE,TICK_SIZE,INSUFFICIENT_FUNDS"
    assert "Insufficient funds" in reason
    assert credential == ann.key[:11]
    assert (limits_version, order_id) == (1, None)


@pytest.mark.parametrize("scopes", [("read",), ("admin",), ("compliance",)])
def test_a_key_without_the_trade_scope_submits_nothing(house: House, ann: Client, scopes: tuple[str, ...]) -> None:
    problem_of(house.with_scopes(ann, *scopes).submit(), 403, "SCOPE_MISSING")
    assert [code for code, _ in house.refusals(ann)] == ["SCOPE_MISSING"]


def test_a_request_without_a_valid_key_is_not_audited(house: House, ann: Client) -> None:
    before = house.count("execution_logs", ann)
    stranger = Client(ann.http, ann.trader_id, "sk_unknown")
    problem_of(stranger.submit(), 401, "API_KEY_INVALID")
    assert house.count("execution_logs", ann) == before


def test_the_largest_numbers_are_refused_by_rule_and_not_by_accident(ann: Client) -> None:
    problem = problem_of(ann.submit(quantity="999999999999", price="999999999999.99"), 422, "PRICE_COLLAR")
    assert [error["code"] for error in problem["errors"]] == [
        "PRICE_COLLAR", "ORDER_VALUE_TOO_LARGE", "INSUFFICIENT_FUNDS",
    ]  # fmt: skip


def test_a_refused_cancel_is_audited_with_its_order(house: House, ann: Client) -> None:
    order = ann.order()
    assert ann.post(f"/orders/{order['id']}/cancel").status_code == 200  # it was never sent
    with house.working() as worker:
        filled = ann.order(quantity="4")
        worker.send(filled)
        worker.fill(filled, "4", "150")
    problem_of(ann.post(f"/orders/{filled['id']}/cancel"), 409, "ORDER_CLOSED")
    problem_of(ann.post(f"/orders/{filled['id']}/retry"), 409, "NEEDS_NO_ATTENTION")
    told = house.rows(
        "SELECT error_code, order_id::text, received_at IS NOT NULL FROM execution_logs"
        " WHERE chain_id = %s AND order_id IS NOT NULL ORDER BY chain_seq",
        ann.trader_id,
    )
    assert told == [("ORDER_CLOSED", filled["id"], True), ("NEEDS_NO_ATTENTION", filled["id"], True)]


def test_what_a_key_does_not_allow_is_audited(house: House, ann: Client) -> None:
    problem_of(house.with_scopes(ann, "read").get("/compliance/audit"), 403, "SCOPE_MISSING")
    assert [code for code, _ in house.refusals(ann)] == ["SCOPE_MISSING"]


def test_a_key_in_the_wrong_field_is_kept_nowhere(house: House, ann: Client) -> None:
    """The log is for good, and compliance reads it: 39 of a key's 46 characters would leave little to guess."""
    for answer in (
        ann.submit(symbol=ann.key, side=f"  {ann.key}", quantity=ann.key),
        ann.submit_body(f'{{"{ann.key}": 1}}'),
        ann.get("/orders", symbol=ann.key, cursor=ann.key),
    ):
        assert answer.status_code == 422 and ann.key[:12].lower() not in answer.text.lower()
    rows = house.rows("SELECT l::text FROM execution_logs l WHERE trader_id = %s", ann.trader_id)
    assert not [text for (text,) in rows if ann.key[:12].lower() in text.lower()]


@pytest.mark.parametrize(
    ("terms", "reaches"),
    [
        ({"order_type": "LIMIT", "price": "150.40"}, True),
        ({"order_type": "LIMIT", "price": "150.39"}, False),
        ({"order_type": "MARKET", "price": None}, False),  # as far as the ask, 150.3
        ({"order_type": "STOP", "price": "150.40"}, False),  # it waits
    ],
)
def test_an_order_that_would_meet_ones_own_resting_order_is_refused(
    house: House, ann: Client, terms: dict[str, Any], reaches: bool
) -> None:
    house.hold(ann, "AAPL", "100", "100")
    house.quote("AAPL", "150.2", "150.3")
    resting = ann.order(side="SELL", price="150.40")
    answer = ann.submit(**terms)
    if not reaches:
        assert answer.status_code == 201
        return
    problem = problem_of(answer, 422, "WASH_TRADE")
    assert resting["id"] in problem["detail"]
    assert problem["errors"][0]["numbers"] == {"resting_price": "150.4", "reach": terms["price"].rstrip("0")}


@pytest.mark.parametrize("order_type", ["MARKET", "STOP"])
def test_a_stop_whose_trigger_is_reached_meets_what_a_market_order_meets(
    house: House, ann: Client, order_type: str
) -> None:
    house.hold(ann, "AAPL", "100", "100")
    house.quote("AAPL", "150.2", "150.4")
    ann.order(side="SELL", price="150.40")
    price = "150.30" if order_type == "STOP" else None
    problem_of(ann.submit(order_type=order_type, price=price), 422, "WASH_TRADE")


def test_a_sell_stop_whose_trigger_is_reached_meets_ones_own_bid(house: House, ann: Client) -> None:
    house.hold(ann, "AAPL", "100", "100")
    house.quote("AAPL", "150.2", "150.4")
    ann.order(price="150.20")
    problem_of(ann.submit(side="SELL", order_type="STOP", price="150.30"), 422, "WASH_TRADE")
    assert ann.submit(side="SELL", order_type="STOP", price="150.10").status_code == 201


@pytest.mark.parametrize("whose", ["account", "trader"])
def test_whose_order_it_would_meet_is_not_told_when_it_is_another_traders(
    settings: Settings, whose: Literal["account", "trader"]
) -> None:
    with running(replace(settings, wash_trades_of=whose)) as house:
        ann, bob = house.trader("Ann"), house.trader("Bob")
        house.hold(bob, "AAPL", "100", "100")
        house.quote("AAPL", "150.2", "150.4")
        resting = bob.order(side="SELL", price="150.40")
        answer = ann.submit(price="150.40")
        if whose == "trader":
            assert answer.status_code == 201
            return
        problem = problem_of(answer, 422, "WASH_TRADE")
        assert resting["id"] not in str(problem) and str(bob.trader_id) not in str(problem)
