"""alpaca-py's TradingStream against the simulator: `alpaca_py_stream.py URL KEY_ID SECRET_KEY`, exit 0 when it fits."""

# mypy: disable-error-code="import-not-found,import-untyped"
# What is imported here lives in an environment of its own.

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import requests
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce, TradeEvent
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest
from alpaca.trading.stream import TradingStream


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def main(url: str, key_id: str, secret_key: str) -> None:
    client = TradingClient(key_id, secret_key, url_override=url)
    stream = TradingStream(key_id, secret_key, url_override=url.replace("http", "ws") + "/stream")
    heard: list[TradeUpdate] = []

    async def hear(update: TradeUpdate) -> None:
        heard.append(update)

    def told(name: str) -> list[TradeUpdate]:
        return [update for update in heard if update.order.client_order_id == name]

    def listeners() -> int:
        return int(requests.get(f"{url}/simulator/health", timeout=5).json()["stream_clients"])

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    until(lambda: listeners() == 1)

    name = str(uuid4())
    order = client.submit_order(
        MarketOrderRequest(
            symbol="MSFT", qty=6, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id=name
        )
    )
    until(lambda: len(told(name)) == 2)
    new, fill = told(name)
    assert (new.event, fill.event) == (TradeEvent.NEW, TradeEvent.FILL)
    assert fill.order.id == order.id
    assert (fill.qty, fill.position_qty, fill.order.filled_qty) == (6.0, 6.0, "6")
    assert fill.price is not None
    assert fill.execution_id is not None

    resting = str(uuid4())
    limit = client.submit_order(
        LimitOrderRequest(
            symbol="MSFT",
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.GTC,
            limit_price=3.21,
            client_order_id=resting,
        )
    )
    until(lambda: len(told(resting)) == 1)
    client.cancel_order_by_id(limit.id)
    until(lambda: [update.event for update in told(resting)] == [TradeEvent.NEW, TradeEvent.CANCELED])

    # It comes back by itself after its connection was cut.
    assert requests.post(f"{url}/simulator/stream/cut", json={}, timeout=5).json() == {"cut": 1}
    until(lambda: listeners() == 0)
    until(lambda: listeners() == 1)
    later = str(uuid4())
    client.submit_order(
        MarketOrderRequest(
            symbol="MSFT", qty=6, side=OrderSide.SELL, time_in_force=TimeInForce.DAY, client_order_id=later
        )
    )
    until(lambda: [update.event for update in told(later)] == [TradeEvent.NEW, TradeEvent.FILL])
    assert told(later)[-1].position_qty == 0.0

    stream.stop()
    thread.join(15)
    assert not thread.is_alive()


if __name__ == "__main__":
    main(*sys.argv[1:])
