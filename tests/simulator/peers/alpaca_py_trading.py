"""alpaca-py's TradingClient against the simulator: `alpaca_py_trading.py URL KEY_ID SECRET_KEY`; exit 0: it fits."""

# mypy: disable-error-code="import-not-found,import-untyped"
# What is imported here lives in an environment of its own.

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AccountStatus,
    AssetClass,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    GetAssetsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
)


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def refused(call: Callable[[], Any], status: int, code: int) -> None:
    answer: tuple[int, int] | None = None
    try:
        call()
    except APIError as error:
        answer = (error.status_code, error.code)
    assert answer == (status, code), f"{answer} instead of {status}/{code}"


def main(url: str, key_id: str, secret_key: str) -> None:
    client = TradingClient(key_id, secret_key, url_override=url)

    account = client.get_account()
    assert account.status is AccountStatus.ACTIVE
    assert float(account.buying_power) > 0
    assert client.get_clock().is_open

    assets = {asset.symbol: asset for asset in client.get_all_assets()}
    assert assets["AAPL"].tradable
    assert not assets["HALT"].tradable
    assert client.get_asset("BTC/USD").asset_class is AssetClass.CRYPTO
    crypto = client.get_all_assets(GetAssetsRequest(asset_class=AssetClass.CRYPTO))
    assert [asset.symbol for asset in crypto] == ["BTC/USD"]

    def status(order_id: Any) -> OrderStatus:
        return client.get_order_by_id(order_id).status

    name = str(uuid4())
    market = MarketOrderRequest(
        symbol="AAPL", qty=7, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id=name
    )
    order = client.submit_order(market)
    assert order.status in (OrderStatus.PENDING_NEW, OrderStatus.ACCEPTED)
    assert order.order_class is OrderClass.SIMPLE
    until(lambda: status(order.id) is OrderStatus.FILLED)
    filled = client.get_order_by_client_id(name)
    assert (filled.id, filled.filled_qty, filled.type) == (order.id, "7", OrderType.MARKET)
    assert filled.filled_at is not None
    position = client.get_open_position("AAPL")
    assert (position.qty, position.side) == ("7", PositionSide.LONG)
    assert [held.symbol for held in client.get_all_positions()] == ["AAPL"]

    refused(lambda: client.submit_order(market), 422, 40010001)
    refused(lambda: client.get_order_by_client_id("nobody"), 404, 40410000)
    refused(lambda: client.cancel_order_by_id(order.id), 422, 42210000)

    resting = client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=3, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=12.34)
    )
    until(lambda: status(resting.id) is OrderStatus.NEW)
    successor = client.replace_order_by_id(resting.id, ReplaceOrderRequest(qty=4, limit_price=12.35))
    assert successor.id != resting.id
    assert successor.replaces == resting.id
    until(lambda: status(resting.id) is OrderStatus.REPLACED)
    client.cancel_order_by_id(successor.id)
    until(lambda: status(successor.id) is OrderStatus.CANCELED)

    stop = client.submit_order(
        StopOrderRequest(symbol="AAPL", qty=7, side=OrderSide.SELL, time_in_force=TimeInForce.DAY, stop_price=1.5)
    )
    stop_limit = client.submit_order(
        StopLimitOrderRequest(
            symbol="AAPL", qty=7, side=OrderSide.SELL, time_in_force=TimeInForce.DAY, stop_price=1.5, limit_price=1.25
        )
    )
    assert stop.type is OrderType.STOP
    assert stop_limit.type is OrderType.STOP_LIMIT
    still_open = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["AAPL"]))
    assert [entry.id for entry in still_open] == [stop_limit.id, stop.id]
    until(lambda: status(stop_limit.id) is OrderStatus.NEW)
    answers = client.cancel_orders()
    assert {answer.id for answer in answers} == {stop.id, stop_limit.id}
    until(lambda: status(stop.id) is OrderStatus.CANCELED)

    bracket = client.submit_order(
        MarketOrderRequest(
            symbol="AAPL",
            qty=2,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.GTC,
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=999),
            stop_loss=StopLossRequest(stop_price=1.5),
        )
    )
    assert bracket.order_class is OrderClass.BRACKET
    until(lambda: status(bracket.id) is OrderStatus.FILLED)
    legs = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True))[0].legs
    assert [leg.status for leg in legs] == [OrderStatus.NEW, OrderStatus.HELD]
    client.cancel_orders()
    until(lambda: not client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN)))

    fills = client.get("/account/activities/FILL", {"page_size": 2})
    assert [fill["order_id"] for fill in fills] == [str(bracket.id), str(order.id)]

    stranger = TradingClient(key_id, "wrong", url_override=url)
    refused(stranger.get_account, 401, 40110000)


if __name__ == "__main__":
    main(*sys.argv[1:])
