"""Orders as a client sees them over REST."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.simulator.venue_process import VenueProcess, eventually, order_body

_ORDER_FIELDS = {
    "id", "client_order_id", "created_at", "updated_at", "submitted_at", "filled_at", "expired_at", "canceled_at",
    "failed_at", "replaced_at", "replaced_by", "replaces", "asset_id", "symbol", "asset_class", "qty", "filled_qty",
    "filled_avg_price", "order_class", "type", "order_type", "side", "time_in_force", "limit_price", "stop_price",
    "status", "extended_hours", "legs",
}  # fmt: skip


def test_an_order_is_accepted_unfilled_and_then_filled_at_the_other_side(venue: VenueProcess) -> None:
    order = venue.place(qty="5")
    assert order.keys() >= _ORDER_FIELDS
    assert (order["status"], order["filled_qty"], order["filled_avg_price"]) == ("pending_new", "0", None)
    filled = venue.settled(order["id"], "filled")
    assert (filled["filled_qty"], filled["filled_avg_price"]) == ("5", "100.02")
    sold = venue.settled(venue.place(qty="5", side="sell")["id"], "filled")
    assert sold["filled_avg_price"] == "100"


def test_numbers_may_be_json_numbers(venue: VenueProcess) -> None:
    assert venue.place(qty=5, type="limit", limit_price=90.25)["limit_price"] == "90.25"


def test_a_limit_order_rests_until_the_market_comes_to_it(venue: VenueProcess) -> None:
    order = venue.place(type="limit", limit_price="99.50")
    assert venue.settled(order["id"], "new")["filled_qty"] == "0"
    venue.quote("AAPL", "99.40", "99.45")
    assert venue.settled(order["id"], "filled")["filled_avg_price"] == "99.5"


def test_a_marketable_limit_order_takes_the_better_price(venue: VenueProcess) -> None:
    order = venue.place(type="limit", limit_price="101")
    assert venue.settled(order["id"], "filled")["filled_avg_price"] == "100.02"


def test_a_stop_order_waits_for_its_trigger_and_then_trades_at_the_market(venue: VenueProcess) -> None:
    order = venue.place(type="stop", side="sell", stop_price="99")
    venue.settled(order["id"], "new")
    venue.quote("AAPL", "98.90", "98.95")
    assert venue.settled(order["id"], "filled")["filled_avg_price"] == "98.9"


def test_a_stop_limit_order_does_not_trade_beyond_its_limit(venue: VenueProcess) -> None:
    order = venue.place(type="stop_limit", side="sell", stop_price="99", limit_price="98.50")
    venue.quote("AAPL", "97.00", "97.02")
    assert venue.settled(order["id"], "new")["filled_qty"] == "0"
    venue.quote("AAPL", "98.60", "98.62")
    venue.settled(order["id"], "filled")


def test_an_order_larger_than_the_displayed_size_fills_in_steps(venue: VenueProcess) -> None:
    order = venue.place(qty="250")
    filled = venue.settled(order["id"], "filled")
    assert filled["filled_qty"] == "250"
    steps = venue.executions(order["client_order_id"])
    assert [(step["qty"], step["cum_qty"], step["leaves_qty"]) for step in steps] == [
        ("100", "100", "150"),
        ("100", "200", "50"),
        ("50", "250", "0"),
    ]


def test_the_average_price_is_that_of_all_steps(venue: VenueProcess) -> None:
    venue.control("settings", {"partial_fill_interval_ms": 1500})
    order = venue.place(qty="200")
    venue.settled(order["id"], "partially_filled")
    venue.quote("AAPL", "100.00", "100.03")
    assert venue.settled(order["id"], "filled")["filled_avg_price"] == "100.025"


def test_immediate_or_cancel_drops_what_does_not_fill_at_once(venue: VenueProcess) -> None:
    order = venue.settled(venue.place(qty="250", time_in_force="ioc")["id"], "canceled")
    assert order["filled_qty"] == "100"
    unfilled = venue.place(type="limit", limit_price="90", time_in_force="ioc")
    assert venue.settled(unfilled["id"], "canceled")["filled_qty"] == "0"


def test_fill_or_kill_fills_wholly_or_not_at_all(venue: VenueProcess) -> None:
    killed = venue.settled(venue.place(qty="250", time_in_force="fok")["id"], "canceled")
    assert killed["filled_qty"] == "0"
    filled = venue.settled(venue.place(qty="100", time_in_force="fok")["id"], "filled")
    assert len(venue.executions(filled["client_order_id"])) == 1


def test_a_fill_delay_holds_the_first_fill_back(venue: VenueProcess) -> None:
    venue.control("settings", {"fill_delay_ms": 1500})
    order = venue.place()
    assert venue.settled(order["id"], "new")["filled_qty"] == "0"
    venue.settled(order["id"], "filled")


def test_a_cancel_ends_a_resting_order(venue: VenueProcess) -> None:
    order = venue.place(type="limit", limit_price="90")
    venue.settled(order["id"], "new")
    assert venue.call("DELETE", f"/v2/orders/{order['id']}") == (204, None)
    assert venue.settled(order["id"], "canceled")["canceled_at"] is not None
    status, refusal = venue.call("DELETE", f"/v2/orders/{order['id']}")
    assert (status, refusal["code"]) == (422, 42210000)


def test_a_fill_may_win_over_an_accepted_cancel(venue: VenueProcess) -> None:
    venue.control("settings", {"cancel_delay_ms": 60_000})
    order = venue.place(type="limit", limit_price="90")
    venue.settled(order["id"], "new")
    assert venue.call("DELETE", f"/v2/orders/{order['id']}")[0] == 204
    assert venue.order(order["id"])["status"] == "pending_cancel"
    venue.quote("AAPL", "89.00", "89.02")
    venue.settled(order["id"], "filled")


def test_cancelling_all_answers_for_each_order(venue: VenueProcess) -> None:
    orders = [venue.place(type="limit", limit_price="90")["id"] for _ in range(3)]
    status, answers = venue.call("DELETE", "/v2/orders")
    assert status == 207
    assert {answer["id"] for answer in answers} == set(orders)
    assert {answer["status"] for answer in answers} == {200}
    for order_id in orders:
        venue.settled(order_id, "canceled")


def test_a_replacement_is_a_new_order(venue: VenueProcess) -> None:
    order = venue.settled(venue.place(type="limit", limit_price="90")["id"], "new")
    status, successor = venue.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91", "qty": "7"})
    assert status == 200
    assert successor["id"] != order["id"]
    assert (successor["replaces"], successor["qty"], successor["limit_price"]) == (order["id"], "7", "91")
    replaced = venue.settled(order["id"], "replaced")
    assert replaced["replaced_by"] == successor["id"]
    venue.settled(successor["id"], "new")


def test_a_fill_may_win_over_an_accepted_replacement(venue: VenueProcess) -> None:
    venue.control("settings", {"replace_delay_ms": 1500})
    order = venue.settled(venue.place(type="limit", limit_price="90")["id"], "new")
    status, successor = venue.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91"})
    assert status == 200
    venue.quote("AAPL", "89.00", "89.02")
    venue.settled(order["id"], "filled")
    venue.settled(successor["id"], "rejected")


def test_a_replacement_of_a_partly_filled_order_keeps_the_whole_quantity_unless_it_names_one(
    venue: VenueProcess,
) -> None:
    venue.control("settings", {"partial_fill_interval_ms": 60_000})
    order = venue.settled(venue.place(qty="250", type="limit", limit_price="101")["id"], "partially_filled")
    assert venue.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "90"})[1]["qty"] == "250"
    venue.control("settings", {"replacement_quantity": "remaining"})
    order = venue.settled(venue.place(qty="250", type="limit", limit_price="101")["id"], "partially_filled")
    assert venue.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "90"})[1]["qty"] == "150"


def test_a_closed_order_cannot_be_replaced(venue: VenueProcess) -> None:
    order = venue.settled(venue.place()["id"], "filled")
    status, refusal = venue.call("PATCH", f"/v2/orders/{order['id']}", {"qty": "7"})
    assert (status, refusal["code"]) == (422, 42210000)


@pytest.mark.parametrize(
    ("rule", "while_open", "after_the_end"),
    [("permanent", 422, 422), ("open_orders", 422, 200), ("none", 200, 200)],
)
def test_a_repeated_client_order_id_meets_the_rule(
    venue: VenueProcess, rule: str, while_open: int, after_the_end: int
) -> None:
    venue.control("settings", {"client_id_uniqueness": rule})
    name = f"same-{uuid4()}"
    first = venue.settled(venue.place(name, type="limit", limit_price="90")["id"], "new")
    status, body = venue.submit(name, type="limit", limit_price="90")
    assert status == while_open
    if status == 422:
        assert body == {"code": 40010001, "message": "client_order_id must be unique"}
    venue.call("DELETE", "/v2/orders")
    venue.settled(first["id"], "canceled")
    eventually(lambda: all(order["status"] == "canceled" for order in venue.in_ledger(name)))
    assert venue.submit(name, type="limit", limit_price="90")[0] == after_the_end


def test_a_missing_client_order_id_is_made_up(venue: VenueProcess) -> None:
    body = order_body()
    del body["client_order_id"]
    assert venue.call("POST", "/v2/orders", body)[1]["client_order_id"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"symbol": "NOPE"}, 422, 42210000),
        ({"symbol": "HALT"}, 422, 42210000),
        ({"symbol": "GONE"}, 422, 42210000),
        ({"symbol": ""}, 422, 40010001),
        ({"symbol": 7}, 400, 40010000),
        ({"qty": "0"}, 422, 40010001),
        ({"qty": "-1"}, 422, 40010001),
        ({"qty": "NaN"}, 422, 40010001),
        ({"qty": "1e5"}, 422, 40010001),
        ({"qty": "many"}, 422, 40010001),
        ({"qty": None}, 422, 40010001),
        ({"qty": True}, 400, 40010000),
        ({"qty": "0.5", "symbol": "PENY"}, 422, 42210000),
        ({"qty": "0.5", "time_in_force": "gtc"}, 422, 42210000),
        ({"side": "hold"}, 422, 40010001),
        ({"type": "trailing_stop"}, 422, 40010001),
        ({"time_in_force": "cls"}, 422, 40010001),
        ({"type": "limit"}, 422, 40010001),
        ({"type": "stop"}, 422, 40010001),
        ({"limit_price": "100"}, 422, 40010001),
        ({"type": "limit", "limit_price": "100.001"}, 422, 42210000),
        ({"type": "limit", "limit_price": "0.40001", "symbol": "PENY"}, 422, 42210000),
        ({"type": "stop", "stop_price": "100.001"}, 422, 42210000),
        ({"client_order_id": "x" * 129}, 422, 40010001),
        ({"symbol": "BTC/USD", "time_in_force": "day"}, 422, 42210000),
        ({"symbol": "BTC/USD", "side": "sell", "time_in_force": "gtc"}, 403, 40310000),
    ],
)
def test_a_wrong_order_is_refused_with_its_code(
    venue: VenueProcess, fields: dict[str, Any], status: int, code: int
) -> None:
    answer = venue.submit(**fields)
    assert (answer[0], answer[1]["code"]) == (status, code), answer


def test_a_sub_dollar_price_may_have_four_places(venue: VenueProcess) -> None:
    assert venue.place(symbol="PENY", type="limit", limit_price="0.3001")["limit_price"] == "0.3001"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"symbol": NaN}', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_malformed(venue: VenueProcess, body: bytes) -> None:
    answer = venue.raw("POST", "/v2/orders", body)
    assert answer.status == 400
    assert answer.json()["code"] == 40010000


def test_wrong_keys_are_unauthorised(venue: VenueProcess) -> None:
    for headers in ({}, {"APCA-API-KEY-ID": "test-key", "APCA-API-SECRET-KEY": "wrong"}):
        assert venue.raw("GET", "/v2/account", headers=headers).status == 401


def test_too_little_buying_power_is_refused_with_the_numbers(venue: VenueProcess) -> None:
    status, refusal = venue.submit(symbol="BRK.A", qty="1000000")
    assert (status, refusal["code"]) == (403, 40310000)
    assert Decimal(refusal["cost_basis"]) > Decimal(refusal["buying_power"])


def test_more_than_is_held_is_sold_only_where_short_selling_is_allowed(venue: VenueProcess) -> None:
    assert venue.submit(symbol="KO", side="sell", qty="5")[0] == 200
    venue.control("settings", {"short_selling": "refused"})
    status, refusal = venue.submit(symbol="MSFT", side="sell", qty="5")
    assert (status, refusal["code"]) == (403, 40310000)
    assert refusal["message"].startswith("insufficient qty available")


def test_wash_trades_are_refused_when_the_check_is_on(venue: VenueProcess) -> None:
    venue.control("settings", {"wash_trade_check": "on"})
    resting = venue.settled(venue.place(type="limit", limit_price="90", side="buy")["id"], "new")
    status, refusal = venue.submit(side="sell")
    assert (status, refusal["code"]) == (403, 40310000)
    assert refusal["existing_order_id"] == resting["id"]
    assert venue.submit(side="sell", type="limit", limit_price="110")[0] == 200


def test_orders_are_listed_by_status_time_symbol_and_direction(venue: VenueProcess) -> None:
    first = venue.settled(venue.place(symbol="F", type="limit", limit_price="5")["id"], "new")
    second = venue.settled(venue.place(symbol="F")["id"], "filled")
    third = venue.settled(venue.place(symbol="F", type="limit", limit_price="6")["id"], "new")

    def listed(query: str) -> list[str]:
        return [order["id"] for order in venue.get(f"/v2/orders?symbols=F&{query}")]

    assert listed("") == [third["id"], first["id"]]
    assert listed("status=closed") == [second["id"]]
    assert listed("status=all&direction=asc") == [first["id"], second["id"], third["id"]]
    assert listed("status=all&limit=1") == [third["id"]]
    assert listed(f"status=all&after={first['submitted_at']}") == [third["id"], second["id"]]
    assert listed(f"status=all&until={second['submitted_at']}") == [first["id"]]
    assert venue.get("/v2/orders?symbols=KO,TSLA&status=open") == []
    for wrong in ("status=none", "limit=0", "limit=501", "after=yesterday", "direction=up"):
        assert venue.call("GET", f"/v2/orders?{wrong}")[0] == 422


def test_fills_are_listed_page_by_page_without_client_order_ids(venue: VenueProcess) -> None:
    start = venue.settled(venue.place()["id"], "filled")["filled_at"]
    orders = [venue.settled(venue.place()["id"], "filled")["id"] for _ in range(3)]
    base = f"/v2/account/activities/FILL?after={start}&page_size=2"
    newest = venue.get(base)
    assert [fill["order_id"] for fill in newest] == [orders[2], orders[1]]
    assert [fill["order_id"] for fill in venue.get(f"{base}&page_token={newest[-1]['id']}")] == [orders[0]]
    oldest = venue.get(f"{base}&direction=asc")
    assert [fill["order_id"] for fill in oldest] == orders[:2]
    rest = venue.get(f"{base}&direction=asc&page_token={oldest[-1]['id']}")
    assert [fill["order_id"] for fill in rest] == orders[2:]
    until = f"/v2/account/activities/FILL?after={start}&page_size=1&until={newest[-1]['transaction_time']}"
    latest = venue.get(until)
    assert [fill["order_id"] for fill in latest] == [orders[1]], "`until` itself is included"
    assert [fill["order_id"] for fill in venue.get(f"{until}&page_token={latest[0]['id']}")] == [orders[0]]
    assert venue.get(f"/v2/account/activities?activity_types=FILL&after={start}")[0]["order_id"] == orders[2]
    assert {"id", "order_id", "cum_qty", "leaves_qty", "price", "qty", "side", "transaction_time"} <= newest[0].keys()
    assert "client_order_id" not in newest[0]


def test_positions_and_cash_follow_the_fills(venue: VenueProcess) -> None:
    cash = Decimal(venue.get("/v2/account")["cash"])
    venue.quote("NVDA", "50.00", "50.10")
    venue.settled(venue.place(symbol="NVDA", qty="10")["id"], "filled")
    position = venue.get("/v2/positions/NVDA")
    assert (position["qty"], position["avg_entry_price"], position["side"]) == ("10", "50.1", "long")
    assert Decimal(venue.get("/v2/account")["cash"]) == cash - Decimal("501")
    venue.settled(venue.place(symbol="NVDA", qty="10", side="sell")["id"], "filled")
    assert venue.call("GET", "/v2/positions/NVDA")[0] == 404
    assert Decimal(venue.get("/v2/account")["cash"]) == cash - Decimal("1")


def test_unknown_orders_assets_and_routes_are_not_found(venue: VenueProcess) -> None:
    for method, path in (
        ("GET", f"/v2/orders/{uuid4()}"),
        ("DELETE", f"/v2/orders/{uuid4()}"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=nobody"),
        ("GET", "/v2/assets/NOPE"),
        ("GET", "/v2/positions/NOPE"),
        ("GET", "/v2/nothing"),
    ):
        status, body = venue.call(method, path)
        assert (status, body["code"]) == (404, 40410000), path


def test_assets_cover_every_price_level_and_state(venue: VenueProcess) -> None:
    assets = {asset["symbol"]: asset for asset in venue.get("/v2/assets")}
    assert len(assets) >= 12
    assert assets["AAPL"]["tradable"]
    assert not assets["HALT"]["tradable"]
    assert assets["GONE"]["status"] == "inactive"
    assert venue.get("/v2/assets/BTC%2FUSD")["class"] == "crypto"
    assert [asset["symbol"] for asset in venue.get("/v2/assets?asset_class=crypto")] == ["BTC/USD"]


def test_quotes_are_json_numbers_for_known_symbols(venue: VenueProcess) -> None:
    quotes = venue.get("/v2/stocks/quotes/latest?symbols=AAPL,NOPE")["quotes"]
    assert set(quotes) == {"AAPL"}
    assert (quotes["AAPL"]["bp"], quotes["AAPL"]["ap"], quotes["AAPL"]["as"]) == (100.0, 100.02, 100)
    single = venue.get("/v2/stocks/PENY/quotes/latest")
    assert single["symbol"] == "PENY"
    assert 0 < single["quote"]["bp"] < 1
    assert venue.get("/v2/stocks/trades/latest?symbols=AAPL")["trades"]["AAPL"]["p"] == 100.0


def test_quotes_move_by_themselves(venue: VenueProcess) -> None:
    venue.control("quotes", {"symbol": "TSLA", "frozen": False})
    before = venue.get("/v2/stocks/TSLA/quotes/latest")["quote"]["bp"]
    eventually(lambda: venue.get("/v2/stocks/TSLA/quotes/latest")["quote"]["bp"] != before)
