"""The control endpoint `/simulator/…`: scripts faults, moves the market, shows the ledger and the request log.

No key is asked for: it is for tests and demonstrations on loopback.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from simulator.fault_kinds import KINDS
from simulator.faults import FaultError, read_rule
from simulator.figures import moment, plain, read_moment, read_number
from simulator.instruments import STATES
from simulator.orders import Execution, Order, as_wire
from simulator.quotes import Quote
from simulator.refusals import Refusal
from simulator.settings import CHANGEABLE, SettingsError, checked

if TYPE_CHECKING:
    from simulator.venue import Venue

_encode = msgspec.json.Encoder().encode
_MOST_REQUESTS = 100_000
_REQUEST_FILTERS = ("method", "operation", "client_order_id", "order_id", "status", "effect", "outcome", "fault")

Handler = Callable[[web.Request], Awaitable[web.Response]]


class ControlError(ValueError):
    """A control request that cannot be carried out; the text says why."""


class ControlApi:
    """Everything under `/simulator`. What it sets survives a kill of the process, except delays and rules."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def routes(self) -> list[web.RouteDef]:
        """The routes, ready to be added to an application."""
        return [
            web.get("/simulator/health", _answering(self.health)),
            web.get("/simulator/faults", _answering(self.faults)),
            web.post("/simulator/faults", _answering(self.add_faults)),
            web.delete("/simulator/faults", _answering(self.remove_faults)),
            web.delete("/simulator/faults/{id}", _answering(self.remove_faults)),
            web.get("/simulator/requests", _answering(self.requests)),
            web.get("/simulator/ledger", _answering(self.ledger)),
            web.get("/simulator/quotes", _answering(self.quotes)),
            web.post("/simulator/quotes", _answering(self.set_quote)),
            web.post("/simulator/market", _answering(self.set_market)),
            web.post("/simulator/instruments", _answering(self.set_instrument)),
            web.get("/simulator/settings", _answering(self.settings)),
            web.post("/simulator/settings", _answering(self.change_settings)),
            web.post("/simulator/stream/cut", _answering(self.cut_stream)),
            web.post("/simulator/reset", _answering(self.reset)),
        ]

    def load(self, controls: dict[str, Any]) -> None:
        """Takes up what an earlier process was told."""
        venue = self._venue
        venue.exchange.market_open = controls.get("market_open", True)
        for name, value in controls.items():
            kind, _, symbol = name.partition("/")
            if symbol not in venue.instruments or value is None:
                continue
            if kind == "instrument":
                venue.instruments[symbol].state = value
            elif kind == "quote":
                bid, ask, bid_size, ask_size = (Decimal(value[part]) for part in ("bid", "ask", "bid_size", "ask_size"))
                time = read_moment(value["timestamp"])
                venue.quotes.restore(Quote(symbol, bid, ask, bid_size, ask_size, time))
                if value["stale"]:
                    venue.quotes.stale.add(symbol)

    # Faults.

    async def faults(self, request: web.Request) -> Any:
        """`GET /simulator/faults`."""
        faults = self._venue.faults
        return {
            "profile": self._venue.settings.faults,
            "faults": faults.rules(),
            "applied": dict(sorted(faults.applied.items())),
            "kinds": {kind.name: {"on": kind.on, "meaning": kind.meaning} for kind in KINDS.values()},
        }

    async def add_faults(self, request: web.Request) -> Any:
        """`POST /simulator/faults`. Raises FaultError."""
        body = await _plain_json(request)
        rules = [read_rule(entry) for entry in (body if isinstance(body, list) else [body])]
        added = [self._venue.faults.add(rule) for rule in rules]
        await self._venue.serving.commit()
        return added if isinstance(body, list) else added[0]

    async def remove_faults(self, request: web.Request) -> Any:
        """`DELETE /simulator/faults[/{id}]`. Raises ControlError."""
        text = request.match_info.get("id")
        if text is not None and not text.isdigit():
            raise ControlError(f"{text} is not the id of a fault")
        removed = self._venue.faults.remove(None if text is None else int(text))
        await self._venue.serving.commit()
        return {"removed": removed}

    # What has happened.

    async def health(self, request: web.Request) -> Any:
        """`GET /simulator/health`."""
        venue = self._venue
        return {
            "ready": True,
            "market_open": venue.exchange.market_open,
            "orders": len(venue.book.in_sequence),
            "open_orders": len(venue.book.open_orders()),
            "executions": len(venue.book.executions),
            "late_requests": venue.serving.late,
            "stream_clients": sum(connection.listens for connection in venue.stream.connections),
            "commits": venue.ledger.commits,
        }

    async def requests(self, request: web.Request) -> Any:
        """`GET /simulator/requests`. Raises ControlError."""
        where: dict[str, Any] = {}
        for name in _REQUEST_FILTERS:
            text = request.query.get(name)
            if text is not None:
                where[name] = _whole(name, text) if name in ("status", "effect") else text
        after, limit = _whole("after", request.query.get("after", "0")), _limit(request)
        newest_first = request.query.get("direction") == "desc"
        return {"requests": self._venue.ledger.requests(where, after, limit, newest_first)}

    async def ledger(self, request: web.Request) -> Any:
        """`GET /simulator/ledger`. Raises ControlError."""
        await self._venue.serving.commit()
        book = self._venue.book
        client_order_id = request.query.get("client_order_id")
        if client_order_id is not None:
            orders = book.with_client_order_id(client_order_id)
            executions = [execution for order in orders for execution in book.executions_of(order.id)]
        else:
            after, limit = _whole("after", request.query.get("after", "0")), _limit(request)
            orders = [order for order in book.in_sequence[after:] if order.sequence > after][:limit]
            executions = [execution for order in orders for execution in book.executions_of(order.id)]
        return {
            "orders": [_full_order(order) for order in orders],
            "executions": [_full_execution(execution) for execution in executions],
        }

    # The market.

    async def quotes(self, request: web.Request) -> Any:
        """`GET /simulator/quotes`."""
        return {"quotes": [self._quote(symbol) for symbol in self._venue.instruments]}

    async def set_quote(self, request: web.Request) -> Any:
        """`POST /simulator/quotes`. Raises ControlError."""
        body = await _object(request, {"symbol", "bid", "ask", "bid_size", "ask_size", "price", "frozen", "stale"})
        quotes = self._venue.quotes
        if "symbol" not in body:
            symbols = list(self._venue.instruments)
            if not set(body) <= {"frozen", "stale"}:
                raise ControlError("prices need a symbol")
        else:
            symbols = [self._symbol(body)]
            sizes = {name: _price(body[name]) for name in ("bid_size", "ask_size") if name in body}
            before = quotes[symbols[0]]
            bid, ask = (_price(body.get(name, body.get("price", getattr(before, name)))) for name in ("bid", "ask"))
            if bid > ask:
                raise ControlError("bid must not be above ask")
            if set(body) - {"symbol", "frozen", "stale"}:
                body.setdefault("frozen", True)
                quotes.frozen.add(symbols[0])
                quotes.set(symbols[0], bid, ask, **sizes)
        for symbol in symbols:
            self._freeze(symbol, body.get("frozen"), body.get("stale"))
        await self._venue.serving.commit()
        return {"quotes": [self._quote(symbol) for symbol in symbols]}

    def _freeze(self, symbol: str, frozen: bool | None, stale: bool | None) -> None:
        quotes = self._venue.quotes
        for wanted, marked in ((frozen, quotes.frozen), (stale, quotes.stale)):
            if wanted is True:
                marked.add(symbol)
            elif wanted is False:
                marked.discard(symbol)
        if stale:
            # A quote can only grow old where it no longer moves.
            quotes.frozen.add(symbol)
        kept = self._quote(symbol) if symbol in quotes.frozen else None
        self._venue.ledger.put_control(f"quote/{symbol}", kept)

    def _quote(self, symbol: str) -> dict[str, Any]:
        quote = self._venue.quotes[symbol]
        return {
            "symbol": symbol,
            "bid": plain(quote.bid),
            "ask": plain(quote.ask),
            "bid_size": plain(quote.bid_size),
            "ask_size": plain(quote.ask_size),
            "timestamp": moment(quote.time),
            "frozen": symbol in self._venue.quotes.frozen,
            "stale": symbol in self._venue.quotes.stale,
        }

    async def set_market(self, request: web.Request) -> Any:
        """`POST /simulator/market`. Raises ControlError."""
        body = await _object(request, {"open", "expire_day_orders"})
        if not isinstance(body.get("open"), bool):
            raise ControlError("open must be true or false")
        if body["open"]:
            self._venue.exchange.open_market()
        else:
            self._venue.exchange.close_market(body.get("expire_day_orders", True) is True)
        self._venue.ledger.put_control("market_open", body["open"])
        await self._venue.serving.commit()
        return {"open": body["open"]}

    async def set_instrument(self, request: web.Request) -> Any:
        """`POST /simulator/instruments`. Raises ControlError."""
        body = await _object(request, {"symbol", "state"})
        symbol = self._symbol(body)
        if body.get("state") not in STATES:
            raise ControlError(f"state must be one of {', '.join(STATES)}")
        self._venue.instruments[symbol].state = body["state"]
        self._venue.ledger.put_control(f"instrument/{symbol}", body["state"])
        self._venue.exchange.reconsider(symbol)
        await self._venue.serving.commit()
        return {"symbol": symbol, "state": body["state"]}

    def _symbol(self, body: dict[str, Any]) -> str:
        symbol = body.get("symbol")
        if not isinstance(symbol, str) or symbol not in self._venue.instruments:
            raise ControlError(f"symbol must be one of {', '.join(self._venue.instruments)}")
        return symbol

    # The simulator itself.

    async def settings(self, request: web.Request) -> Any:
        """`GET /simulator/settings`."""
        return {name: getattr(self._venue.settings, name) for name in CHANGEABLE}

    async def change_settings(self, request: web.Request) -> Any:
        """`POST /simulator/settings`. Raises ControlError or SettingsError."""
        body = await _object(request, set(CHANGEABLE))
        values = {name: checked(name, str(value)) for name, value in body.items()}
        for name, value in values.items():
            setattr(self._venue.settings, name, value)
        if "faults" in values:
            self._venue.faults.set_profile(values["faults"])
        return await self.settings(request)

    async def cut_stream(self, request: web.Request) -> Any:
        """`POST /simulator/stream/cut`. Raises ControlError."""
        body = await _object(request, {"refuse_for"})
        seconds = body.get("refuse_for", 0)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 600:
            raise ControlError("refuse_for must be seconds between 0 and 600")
        return {"cut": self._venue.stream.cut(seconds)}

    async def reset(self, request: web.Request) -> Any:
        """Takes back everything that was set here; orders and executions stay."""
        venue = self._venue
        venue.faults.remove()
        venue.quotes.frozen.clear()
        venue.quotes.stale.clear()
        for symbol in venue.instruments:
            venue.ledger.put_control(f"quote/{symbol}", None)
        for name, state in venue.listed_states.items():
            venue.instruments[name].state = state
            venue.ledger.put_control(f"instrument/{name}", state)
        venue.ledger.put_control("market_open", True)
        venue.exchange.open_market()
        await venue.serving.commit()
        return {"reset": True}


def _answering(answer: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            document, status = await answer(request), 200
        except (ControlError, FaultError, SettingsError, Refusal) as error:
            document, status = {"error": str(error)}, 422
        return web.Response(status=status, body=_encode(document), headers={"Content-Type": "application/json"})

    return handle


async def _plain_json(request: web.Request, exact: bool = False) -> Any:
    raw = await request.read()
    try:
        return json.loads(raw or b"{}", parse_float=Decimal if exact else float)
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from error


async def _object(request: web.Request, known: set[str]) -> dict[str, Any]:
    # Prices must not go through a float.
    body = await _plain_json(request, exact="bid" in known)
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    unknown = sorted(set(body) - known)
    if unknown:
        raise ControlError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return body


def _price(value: Any) -> Decimal:
    try:
        number = read_number(value if isinstance(value, str) else format(Decimal(value), "f"))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ControlError(f"{value!r} is not a price") from error
    if number <= 0:
        raise ControlError(f"{value!r} is not a positive price")
    return number


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ControlError(f"{name} must be a whole number")
    return int(text[:12])


def _limit(request: web.Request) -> int:
    return min(_whole("limit", request.query.get("limit", str(_MOST_REQUESTS))), _MOST_REQUESTS)


def _full_order(order: Order) -> dict[str, Any]:
    return as_wire(order) | {
        "sequence": order.sequence,
        "parent_id": order.parent_id,
        "leg_ids": order.leg_ids,
        "reject_reason": order.reject_reason,
    }


def _full_execution(execution: Execution) -> dict[str, Any]:
    return {
        "sequence": execution.sequence,
        "execution_id": execution.id,
        "activity_id": execution.activity_id,
        "order_id": execution.order_id,
        "client_order_id": execution.client_order_id,
        "symbol": execution.symbol,
        "side": execution.side,
        "qty": plain(execution.qty),
        "price": plain(execution.price),
        "cum_qty": plain(execution.cum_qty),
        "leaves_qty": plain(execution.leaves_qty),
        "position_qty": plain(execution.position_qty),
        "transaction_time": moment(execution.transaction_time),
    }
