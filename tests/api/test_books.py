"""Account, positions, fills, events, audit, instruments, quotes: what a trader reads."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.domain.trading_session import session_began
from app.settings import Settings
from tests.api.house import Client, House, instrument, problem_of, running


def _json(client: Client, path: str, **query: Any) -> Any:
    answer = client.get(path, **query)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_new_account_is_its_cash(house: House, ann: Client) -> None:
    assert _json(ann, "/account") == {
        "trader_id": str(ann.trader_id),
        "currency": "USD",
        "cash": "100000",
        "reserved": "0",
        "buying_power": "100000",
        "equity": "100000",
        "realized_pnl_today": "0",
        "unrealized_pnl": "0",
        "trading_state": "ACTIVE",
        "halts": [],
        "unprotected": [],
        "limits": {
            "max_position_value": None,
            "max_position_quantity": None,
            "max_order_value": None,
            "max_order_quantity": None,
            "max_open_orders": None,
            "max_daily_notional": None,
            "daily_loss_limit": None,
            "orders_per_minute": 100,
            "version": 1,
            "used": {
                "max_position_value": "0",
                "max_position_quantity": "0",
                "max_open_orders": 0,
                "max_daily_notional": "0",
                "daily_loss_limit": None,
                "orders_per_minute": 0,
            },
        },
    }


def test_limits_of_the_trader_s_own_are_shown(house: House, ann: Client) -> None:
    house.limit(ann, max_order_value=Decimal("2500.50"), max_open_orders=3, orders_per_minute=7)
    limits = _json(ann, "/account")["limits"]
    assert (limits["max_order_value"], limits["max_open_orders"], limits["orders_per_minute"]) == ("2500.5", 3, 7)
    assert limits["version"] == 2


def test_an_open_buy_reserves_cash(ann: Client) -> None:
    ann.order(quantity="10", price="150.25")
    account = _json(ann, "/account")
    assert (account["reserved"], account["buying_power"]) == ("1502.5", "98497.5")


def test_fills_move_cash_positions_and_profit(house: House, ann: Client) -> None:
    bought = ann.order(quantity="10", price="150.25")
    with house.working() as worker:
        worker.send(bought)
        worker.fill(bought, "4", "150")
        worker.fill(bought, "6", "149")
        house.quote("AAPL", "151.00", "151.10")
        sold = ann.order(side="SELL", quantity="4", price="150")
        held = ann.order(side="SELL", quantity="1", price="160")
        worker.send(sold)
        worker.fill(sold, "4", "151")
    account = _json(ann, "/account")
    # bought 10 for 1494, average 149.40; sold 4 for 604: realized 6.40; 6 left at a bid of 151
    assert account["cash"] == "99110"
    assert account["realized_pnl_today"] == "6.4"
    assert account["unrealized_pnl"] == "9.6"
    assert account["equity"] == "100016"
    assert _json(ann, "/positions")["data"] == [
        {
            "symbol": "AAPL",
            "quantity": "6",
            "available_quantity": "5",
            "average_cost": "149.4",
            "market_price": "151",
            "unrealized_pnl": "9.6",
            "realized_pnl_today": "6.4",
        }
    ]
    order = _json(ann, f"/orders/{bought['id']}")
    assert (order["status"], order["filled_quantity"], order["average_fill_price"]) == ("FILLED", "10", "149.4")
    assert {fill["commission_source"] for fill in order["fills"]} == {"FEE_SCHEDULE"}
    assert [(fill["quantity"], fill["price"], fill["venue"]) for fill in order["fills"]] == [
        ("4", "150", "simulator"),
        ("6", "149", "simulator"),
    ]
    (newest, *_) = _json(ann, "/fills")["data"]
    assert newest == {
        **_json(ann, f"/orders/{sold['id']}")["fills"][0],
        "order_id": sold["id"],
        "symbol": "AAPL",
        "side": "SELL",
    }
    assert held["execution_state"] == "QUEUED"


def test_yesterday_s_profit_is_not_today_s(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
    house.rows(
        """INSERT INTO fills (id, order_id, trader_id, symbol, side, timestamp, quantity_filled, price_at_fill, venue,
        venue_order_id, cumulative_quantity, realized_pnl, created_at)
        VALUES (gen_random_uuid(), %s, %s, 'AAPL', 'SELL', %s - interval '1 microsecond', 1, 1, 'x', %s, 1, 50, now()),
               (gen_random_uuid(), %s, %s, 'AAPL', 'SELL', %s, 1, 1, 'x', %s, 2, 7, now())""",
        *(order["id"], ann.trader_id, _midnight(), order["id"]) * 2,
    )
    assert _json(ann, "/account")["realized_pnl_today"] == "7"
    house.hold(ann, "AAPL", "1", "100")
    assert _json(ann, "/positions")["data"][0]["realized_pnl_today"] == "7"


def _midnight() -> datetime:
    return session_began(datetime.now(UTC))


def test_how_much_of_the_limits_is_used_is_shown(house: House, ann: Client) -> None:
    house.limit(ann, max_open_orders=5, daily_loss_limit=Decimal(100))
    house.hold(ann, "AAPL", "10", "1500")
    ann.order(quantity="4", price="150")
    ann.order(side="SELL", quantity="1", price="160")
    assert _json(ann, "/account")["limits"]["used"] == {
        "max_position_value": "2100",  # 10 at a bid of 150, and 4 at 150
        "max_position_quantity": "14",
        "max_open_orders": 2,
        "max_daily_notional": "760",
        "daily_loss_limit": "0",
        "orders_per_minute": 2,
    }


def test_terms_that_are_wanted_count_as_used(house: House, ann: Client) -> None:
    order = ann.order(quantity="4", price="150")
    with house.working() as worker:
        worker.send(order)
    assert ann.call("PATCH", f"/orders/{order['id']}", json={"quantity": "6", "price": "151"}).status_code == 202
    used = _json(ann, "/account")["limits"]["used"]
    assert (used["max_position_quantity"], used["max_position_value"]) == ("6", "906")


def test_a_holding_without_any_quote_makes_equity_unknown_and_not_wrong(house: House, ann: Client) -> None:
    house.list_instruments(instrument("NEWCO"))
    house.hold(ann, "NEWCO", "10", "500")
    account = _json(ann, "/account")
    assert (account["cash"], account["equity"], account["unrealized_pnl"]) == ("100000", None, None)
    (position,) = _json(ann, "/positions")["data"]
    assert (position["average_cost"], position["market_price"], position["unrealized_pnl"]) == ("50", None, None)


def test_an_oversold_holding_is_valued_at_what_buying_back_costs(house: House, ann: Client) -> None:
    house.hold(ann, "AAPL", "-2", "-310")
    (position,) = _json(ann, "/positions")["data"]
    assert (position["average_cost"], position["market_price"], position["unrealized_pnl"]) == ("155", "150.1", "9.8")
    assert _json(ann, "/account")["equity"] == "99699.8"


def test_a_holding_that_was_closed_before_today_is_gone(house: House, ann: Client) -> None:
    house.hold(ann, "AAPL", "0", "0")
    assert _json(ann, "/positions")["data"] == []


def test_events_are_those_of_the_feed_in_order_without_a_gap(house: House, ann: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "10", "150")
    answer = _json(ann, "/events")
    assert [event["seq"] for event in answer["data"]] == [1, 2, 3, 4]
    assert answer["head_seq"] == 4
    assert [event["event"] for event in answer["data"]] == [
        "order.submitted", "order.sending", "order.executed", "order.filled",
    ]  # fmt: skip
    last = answer["data"][-1]
    assert last["fill"]["quantity"] == "10"
    recorded = {**last["fill"], "commission_source": "FEE_SCHEDULE"}
    assert {**last["order"], "fills": [recorded]} == _json(ann, f"/orders/{order['id']}")


def test_events_continue_where_the_client_stopped(ann: Client) -> None:
    for _ in range(3):
        ann.order(quantity="1")
    assert [event["seq"] for event in _json(ann, "/events", since=1, limit=1)["data"]] == [2]
    assert _json(ann, "/events", since=3) == {"data": [], "head_seq": 3}
    assert _json(ann, "/events", since=10**9) == {"data": [], "head_seq": 3}


def test_a_trader_without_events_has_a_head_of_zero(ann: Client) -> None:
    assert _json(ann, "/events") == {"data": [], "head_seq": 0}


def test_events_leave_as_they_are_stored(house: House, ann: Client) -> None:
    ann.order()
    ((stored,),) = house.rows("SELECT payload::text FROM order_events WHERE trader_id = %s", ann.trader_id)
    assert ann.get("/events").text == '{"data":[{"seq":1,' + stored[1:] + '],"head_seq":1}'
    assert json.loads(stored)["event"] == "order.submitted"


def test_an_order_s_audit_is_its_chain(house: House, ann: Client) -> None:
    order = ann.order()
    ann.post(f"/orders/{order['id']}/cancel")
    answer = _json(ann, f"/orders/{order['id']}/audit")
    assert answer["total"] == 3
    entries = answer["data"]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert [entry["action"] for entry in entries] == ["SUBMITTED", "APPROVED", "CANCELLED"]
    assert [entry["previous_hash"] for entry in entries] == ["00" * 32, entries[0]["hash"], entries[1]["hash"]]
    assert (entries[2]["status_before"], entries[2]["status"]) == ("PENDING", "CANCELLED")
    assert (entries[2]["actor"], entries[2]["credential"]) == (f"trader:{ann.trader_id}", ann.key[:11])
    assert _json(ann, f"/orders/{order['id']}/audit", after=1, limit=1) == {"data": entries[1:2], "total": 3}
    assert _json(ann, f"/orders/{order['id']}/audit", after=3) == {"data": [], "total": 3}


def test_instruments_tell_what_can_be_traded(ann: Client) -> None:
    by_symbol = {one["symbol"]: one for one in _json(ann, "/instruments")["data"]}
    assert by_symbol["AAPL"] == {
        "symbol": "AAPL", "name": "AAPL Inc.", "status": "ACTIVE", "tick_size": "0.01", "lot_size": "1",
        "venue": "simulator",
    }  # fmt: skip
    assert by_symbol["HALT"]["status"] == "HALTED"


def test_a_quote_is_the_last_one_known(house: House, ann: Client) -> None:
    at = datetime.now(UTC)
    house.quote("AAPL", "150.2", "150.3", at)
    expected = {
        "symbol": "AAPL", "bid": "150.2", "ask": "150.3", "bid_size": "100", "ask_size": "100",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }  # fmt: skip
    assert _json(ann, "/quotes/AAPL") == expected
    assert _json(ann, "/quotes/aapl") == expected


def test_a_symbol_with_a_slash_has_a_quote(house: House, ann: Client) -> None:
    house.list_instruments(instrument("BTC/USD"))
    problem_of(ann.get("/quotes/BTC/USD"), 404, "NO_QUOTE_YET")
    house.quote("BTC/USD", "50000", "50001")
    assert _json(ann, "/quotes/BTC/USD")["bid"] == "50000"
    assert _json(ann, "/quotes/BTC%2FUSD")["bid"] == "50000"
    assert ann.submit(symbol="btc/usd", quantity="1", price="50000").status_code == 201


@pytest.mark.parametrize("symbol", ["NOPE", "%00", "%E2%98%83", "A" * 200, "'", "..%2f..%2fetc"])
def test_an_unknown_symbol_has_no_quote(ann: Client, symbol: str) -> None:
    problem_of(ann.get(f"/quotes/{symbol}"), 404, "NOT_FOUND")


def test_the_system_s_own_rate_limit_is_shown_where_a_trader_has_none(settings: Settings) -> None:
    with running(replace(settings, order_rate_limit_per_minute=42)) as house:
        assert _json(house.trader("Ann"), "/account")["limits"]["orders_per_minute"] == 42
