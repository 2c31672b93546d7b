"""The account's routes: account, positions, clock, assets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from aiohttp import web

from simulator.account import Account
from simulator.calls import Call, Endpoint, Reply
from simulator.exchange import Exchange
from simulator.fault_kinds import ACCOUNT, MARKET, POSITIONS
from simulator.figures import moment, now
from simulator.instruments import Instrument
from simulator.order_book import OrderBook
from simulator.order_entry import find_instrument
from simulator.refusals import not_found
from simulator.serving import Serving


class AccountApi:
    """`/v2/account`, `/v2/positions`, `/v2/clock`, `/v2/assets`."""

    def __init__(
        self, instruments: dict[str, Instrument], account: Account, book: OrderBook, exchange: Exchange
    ) -> None:
        self._instruments = instruments
        self._account = account
        self._book = book
        self._exchange = exchange

    def routes(self, serving: Serving) -> list[web.RouteDef]:
        """The routes, ready to be added to an application."""
        handler = serving.handler
        return [
            web.get("/v2/account", handler(Endpoint(ACCOUNT, self.account))),
            web.get("/v2/positions", handler(Endpoint(POSITIONS, self.positions))),
            web.get("/v2/positions/{symbol:.+}", handler(Endpoint(POSITIONS, self.position))),
            web.get("/v2/clock", handler(Endpoint(MARKET, self.clock))),
            web.get("/v2/assets", handler(Endpoint(MARKET, self.assets))),
            web.get("/v2/assets/{symbol:.+}", handler(Endpoint(MARKET, self.asset))),
        ]

    def account(self, call: Call) -> Reply:
        """`GET /v2/account`."""
        return Reply(200, self._account.as_wire())

    def positions(self, call: Call) -> Reply:
        """`GET /v2/positions`."""
        held = [position for position in self._account.positions.values() if position.qty]
        return Reply(
            200,
            [self._account.position_as_wire(position, self._held(position.symbol, position.qty)) for position in held],
        )

    def position(self, call: Call) -> Reply:
        """`GET /v2/positions/{symbol}`. Raises Refusal."""
        instrument = find_instrument(call.request.match_info["symbol"], self._instruments)
        position = None if instrument is None else self._account.positions.get(instrument.symbol)
        if position is None or not position.qty:
            raise not_found("position does not exist")
        return Reply(200, self._account.position_as_wire(position, self._held(position.symbol, position.qty)))

    def _held(self, symbol: str, qty: Decimal) -> Decimal:
        if qty > 0:
            return self._exchange.held_for_sale(symbol)
        buys = (order.leaves_qty for order in self._book.open_orders(symbol) if order.buys and order.status != "held")
        return sum(buys, Decimal(0))

    def clock(self, call: Call) -> Reply:
        """`GET /v2/clock`."""
        time = now()
        midnight = (time + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return Reply(
            200,
            {
                "timestamp": moment(time),
                "is_open": self._exchange.market_open,
                "next_open": moment(midnight),
                "next_close": moment(midnight + timedelta(days=1)),
            },
        )

    def assets(self, call: Call) -> Reply:
        """`GET /v2/assets`, by `status` and `asset_class`."""
        status, asset_class = call.query("status"), call.query("asset_class")
        assets = [instrument.as_asset() for instrument in self._instruments.values()]
        return Reply(
            200,
            [
                asset
                for asset in assets
                if status in ("", "all", asset["status"]) and asset_class in ("", asset["class"])
            ],
        )

    def asset(self, call: Call) -> Reply:
        """`GET /v2/assets/{symbol}`. Raises Refusal."""
        name = call.request.match_info["symbol"]
        instrument = find_instrument(name, self._instruments)
        if instrument is None:
            raise not_found(f"asset not found for {name}")
        return Reply(200, instrument.as_asset())
