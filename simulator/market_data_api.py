"""The market data routes: latest quotes, trades and snapshots. Prices are JSON numbers, sizes shares or coins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.calls import Call, Endpoint, Reply
from simulator.fault_kinds import DATA
from simulator.figures import moment
from simulator.instruments import Instrument
from simulator.order_entry import find_instrument
from simulator.quotes import Quotes
from simulator.refusals import Refusal, not_found
from simulator.serving import Serving


class MarketDataApi:
    """`/v2/stocks/…` and `/v1beta3/crypto/…`."""

    def __init__(self, instruments: dict[str, Instrument], quotes: Quotes) -> None:
        self._instruments = instruments
        self._quotes = quotes

    def routes(self, serving: Serving) -> list[web.RouteDef]:
        """The routes, ready to be added to an application."""

        def several(member: str | None, shown: Callable[[Instrument], Any], crypto: bool) -> Any:
            return serving.handler(
                Endpoint(DATA, lambda call: self._several(call, member, shown, crypto), public=crypto)
            )

        def single(member: str | None, shown: Callable[[Instrument], Any]) -> Any:
            return serving.handler(Endpoint(DATA, lambda call: self._single(call, member, shown)))

        crypto = "/v1beta3/crypto/{loc}"
        return [
            web.get("/v2/stocks/quotes/latest", several("quotes", self._quote, False)),
            web.get("/v2/stocks/trades/latest", several("trades", self._trade, False)),
            web.get("/v2/stocks/snapshots", several(None, self._snapshot, False)),
            web.get("/v2/stocks/{symbol}/quotes/latest", single("quote", self._quote)),
            web.get("/v2/stocks/{symbol}/trades/latest", single("trade", self._trade)),
            web.get("/v2/stocks/{symbol}/snapshot", single(None, self._snapshot)),
            web.get(f"{crypto}/latest/quotes", several("quotes", self._quote, True)),
            web.get(f"{crypto}/latest/trades", several("trades", self._trade, True)),
            web.get(f"{crypto}/latest/orderbooks", several("orderbooks", self._order_book, True)),
            web.get(f"{crypto}/snapshots", several("snapshots", self._snapshot, True)),
        ]

    def _several(
        self, call: Call, member: str | None, shown: Callable[[Instrument], dict[str, Any]], crypto: bool
    ) -> Reply:
        symbols = call.query("symbols").split(",")
        if symbols == [""]:
            raise Refusal(400, None, "symbols is required")
        known = {}
        for symbol in symbols:
            instrument = self._instruments.get(symbol)
            # Unknown symbols are left out, as at Alpaca.
            if instrument is not None and instrument.crypto is crypto:
                known[symbol] = shown(instrument)
        return Reply(200, known if member is None else {member: known})

    def _single(self, call: Call, member: str | None, shown: Callable[[Instrument], dict[str, Any]]) -> Reply:
        symbol = call.request.match_info["symbol"]
        instrument = find_instrument(symbol, self._instruments)
        if instrument is None:
            raise not_found(f"no market data found for {symbol}")
        if member is None:
            return Reply(200, {"symbol": symbol} | shown(instrument))
        return Reply(200, {"symbol": symbol, member: shown(instrument)})

    def _quote(self, instrument: Instrument) -> dict[str, Any]:
        quote = self._quotes[instrument.symbol]
        return {
            "t": moment(quote.time),
            "ax": "V",
            "ap": quote.ask,
            "as": quote.ask_size,
            "bx": "V",
            "bp": quote.bid,
            "bs": quote.bid_size,
            "c": ["R"],
            "z": "C",
        }

    def _trade(self, instrument: Instrument) -> dict[str, Any]:
        quote = self._quotes[instrument.symbol]
        return {"t": moment(quote.time), "x": "V", "p": quote.bid, "s": 100, "c": ["@"], "i": 1, "z": "C"}

    def _snapshot(self, instrument: Instrument) -> dict[str, Any]:
        trade = self._trade(instrument)
        price, start = trade["p"], instrument.start_price
        bar = {
            "t": trade["t"],
            "o": start,
            "h": max(price, start),
            "l": min(price, start),
            "c": price,
            "v": 100,
            "n": 1,
            "vw": price,
        }
        return {
            "latestTrade": trade,
            "latestQuote": self._quote(instrument),
            "minuteBar": bar,
            "dailyBar": bar,
            "prevDailyBar": bar | {"c": start, "h": start, "l": start},
        }

    def _order_book(self, instrument: Instrument) -> dict[str, Any]:
        quote = self._quotes[instrument.symbol]
        return {
            "t": moment(quote.time),
            "b": [{"p": quote.bid, "s": quote.bid_size}],
            "a": [{"p": quote.ask, "s": quote.ask_size}],
        }
