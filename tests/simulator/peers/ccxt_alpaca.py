"""ccxt's `alpaca` class against the simulator: `ccxt_alpaca.py URL KEY_ID SECRET_KEY`, exit 0 when it fits."""

# mypy: disable-error-code="import-not-found,import-untyped"
# What is imported here lives in an environment of its own.

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import ccxt

SYMBOL = "BTC/USD"


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def refused(call: Callable[[], Any], kind: type[Exception]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was expected")


def main(url: str, key_id: str, secret_key: str) -> None:
    exchange = ccxt.alpaca({"apiKey": key_id, "secret": secret_key, "enableRateLimit": False})
    exchange.urls["api"] = {"broker": url, "trader": url, "market": url}

    assert set(exchange.load_markets()) == {SYMBOL}
    assert abs(exchange.fetch_time() - time.time() * 1000) < 5_000
    ticker = exchange.fetch_ticker(SYMBOL)
    assert 0 < ticker["bid"] < ticker["ask"]
    book = exchange.fetch_order_book(SYMBOL)
    assert book["bids"][0][0] < book["asks"][0][0]

    order = exchange.create_order(SYMBOL, "market", "buy", 0.5)
    assert order["status"] == "open"
    until(lambda: exchange.fetch_order(order["id"])["status"] == "closed")
    filled = exchange.fetch_order(order["id"])
    assert (filled["filled"], filled["amount"], filled["symbol"]) == (0.5, 0.5, SYMBOL)
    assert abs(filled["average"] / ticker["ask"] - 1) < 0.05
    trades = exchange.fetch_my_trades(SYMBOL)
    assert [(trade["order"], trade["amount"], trade["side"]) for trade in trades] == [(order["id"], 0.5, "buy")]
    assert exchange.fetch_balance()["BTC"]["total"] == 0.5

    resting = exchange.create_order(SYMBOL, "limit", "buy", 0.1, 1000)
    until(lambda: exchange.fetch_order(resting["id"])["info"]["status"] == "new")
    assert [entry["id"] for entry in exchange.fetch_open_orders(SYMBOL)] == [resting["id"]]
    changed = exchange.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.2, 1001)
    assert changed["id"] != resting["id"]
    until(lambda: exchange.fetch_order(changed["id"])["info"]["status"] == "new")
    exchange.cancel_order(changed["id"], SYMBOL)
    until(lambda: exchange.fetch_order(changed["id"])["status"] == "canceled")
    assert exchange.fetch_open_orders(SYMBOL) == []
    assert len(exchange.fetch_orders(SYMBOL)) == 3

    refused(lambda: exchange.create_order(SYMBOL, "market", "sell", 2), ccxt.InsufficientFunds)
    refused(lambda: exchange.fetch_order("00000000-0000-4000-8000-000000000000"), ccxt.InvalidOrder)
    exchange.secret = "wrong"
    refused(exchange.fetch_balance, ccxt.PermissionDenied)


if __name__ == "__main__":
    main(*sys.argv[1:])
