"""The whole venue: its parts put together, started and stopped."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from simulator.account import Account
from simulator.account_api import AccountApi
from simulator.calls import Call, Endpoint, Reply
from simulator.control_api import ControlApi
from simulator.exchange import Exchange
from simulator.faults import FaultBook
from simulator.figures import now
from simulator.instruments import listed
from simulator.ledger import Ledger
from simulator.market_data_api import MarketDataApi
from simulator.order_book import OrderBook
from simulator.quotes import Quotes
from simulator.refusals import not_found
from simulator.serving import Serving
from simulator.settings import Settings
from simulator.stream import Stream
from simulator.trading_api import TradingApi


class Venue:
    """Reads the ledger, keeps the state in memory, and serves it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.ledger)
        controls = self.ledger.load_controls()
        self.instruments = listed()
        self.listed_states = {symbol: instrument.state for symbol, instrument in self.instruments.items()}
        self.quotes = Quotes(self.instruments, settings.seed)
        self.book = OrderBook()
        self.faults = FaultBook(self.ledger, settings.seed, settings.faults)
        self.faults.load(controls)
        self.account = Account(settings.cash, self.instruments, self.quotes, now())
        self.serving = Serving(settings, self.ledger, self.faults)
        self.stream = Stream(self.ledger, self.faults, self.serving.knows)
        self.exchange = Exchange(
            settings, self.instruments, self.quotes, self.book, self.account, self.ledger, self.stream.publish
        )
        for order in self.ledger.load_orders():
            self.book.add(order)
        for execution in self.ledger.load_executions():
            self.book.add_execution(execution)
            self.account.book(execution)
        self.control = ControlApi(self)
        self.control.load(controls)

    def application(self) -> web.Application:
        """The HTTP application. `/simulator` needs no key: it is meant for loopback only."""
        application = web.Application()
        trading = TradingApi(self.settings, self.instruments, self.book, self.exchange, self.faults)
        account = AccountApi(self.instruments, self.account, self.book, self.exchange)
        data = MarketDataApi(self.instruments, self.quotes)
        for api in (trading, account, data):
            application.add_routes(api.routes(self.serving))
        application.add_routes(self.control.routes())
        application.router.add_get("/stream", self.stream.serve)
        application.router.add_route("*", "/{path:.*}", self.serving.handler(Endpoint("unknown", _unknown)))
        application.on_startup.append(self._start)
        application.on_shutdown.append(self._stop)
        return application

    async def _start(self, application: web.Application) -> None:
        self.exchange.resume()
        self._ticking = asyncio.create_task(self._tick())
        self._ticking.add_done_callback(_stop_if_failed)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.settings.quote_interval_ms / 1000)
            self.quotes.step()

    async def _stop(self, application: web.Application) -> None:
        self._ticking.cancel()
        self.stream.cut()


def _unknown(_: Call) -> Reply:
    raise not_found("endpoint not found.")


def _stop_if_failed(ticking: asyncio.Task[None]) -> None:
    """A venue whose quotes stand still for ever looks healthy and is not: better no venue."""
    if not ticking.cancelled() and ticking.exception() is not None:
        sys.stderr.write(f"simulator: quotes failed, stopping: {ticking.exception()!r}\n")
        raise SystemExit(1)
