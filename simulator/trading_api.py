"""The trading routes: orders, and what they have executed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web

from simulator.calls import Call, Endpoint, Reply
from simulator.exchange import Exchange
from simulator.fault_kinds import ACTIVITIES, CANCEL, LIST, LOOKUP, REPLACE, SUBMIT
from simulator.faults import FaultBook
from simulator.figures import read_moment
from simulator.instruments import Instrument
from simulator.order_book import OrderBook
from simulator.order_entry import find_instrument, read_order, read_replacement
from simulator.orders import Order, as_wire
from simulator.refusals import Refusal, invalid, order_not_found
from simulator.serving import Serving
from simulator.settings import Settings

_MOST_ORDERS = 500
_MOST_ACTIVITIES = 100


class TradingApi:
    """`/v2/orders` and `/v2/account/activities`."""

    def __init__(
        self,
        settings: Settings,
        instruments: dict[str, Instrument],
        book: OrderBook,
        exchange: Exchange,
        faults: FaultBook,
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._book = book
        self._exchange = exchange
        self._faults = faults

    def routes(self, serving: Serving) -> list[web.RouteDef]:
        """The routes, ready to be added to an application."""
        handler = serving.handler
        activities = handler(Endpoint(ACTIVITIES, self.activities))
        return [
            web.post("/v2/orders", handler(Endpoint(SUBMIT, self.submit, self._about_submitted))),
            web.get("/v2/orders", handler(Endpoint(LIST, self.list_orders))),
            web.delete("/v2/orders", handler(Endpoint(CANCEL, self.cancel_all))),
            web.get(
                "/v2/orders:by_client_order_id",
                handler(Endpoint(LOOKUP, self.order_by_client_order_id, self._about_queried)),
            ),
            web.get("/v2/orders/{id}", handler(Endpoint(LOOKUP, self.order_by_id, self._about_named))),
            web.patch("/v2/orders/{id}", handler(Endpoint(REPLACE, self.replace, self._about_named))),
            web.delete("/v2/orders/{id}", handler(Endpoint(CANCEL, self.cancel, self._about_named))),
            web.get("/v2/account/activities", activities),
            web.get("/v2/account/activities/{type}", activities),
        ]

    # Whom a call is about.

    def _about_submitted(self, call: Call) -> None:
        if isinstance(call.body, dict):
            client_order_id, symbol = call.body.get("client_order_id"), call.body.get("symbol")
            call.client_order_id = client_order_id if isinstance(client_order_id, str) else None
            call.symbol = symbol if isinstance(symbol, str) else None

    def _about_queried(self, call: Call) -> None:
        call.client_order_id = call.query("client_order_id") or None
        call.order = self._book.newest(call.query("client_order_id"))
        call.symbol = None if call.order is None else call.order.symbol

    def _about_named(self, call: Call) -> None:
        call.order = self._book.by_id.get(call.request.match_info["id"])
        if call.order is not None:
            call.client_order_id, call.symbol = call.order.client_order_id, call.order.symbol

    # Answers.

    def submit(self, call: Call) -> Reply:
        """`POST /v2/orders`. Raises Refusal."""
        entry = read_order(call.body, self._instruments, self._settings.client_id_length)
        planned = None
        if call.fault is not None and call.fault.kind == "reject_later":
            planned = call.fault.planned_rejection()
        order = self._exchange.submit(entry, planned)
        call.client_order_id, call.symbol = order.client_order_id, order.symbol
        return Reply(200, self._shown(order, with_legs=True), order.id)

    def order_by_client_order_id(self, call: Call) -> Reply:
        """`GET /v2/orders:by_client_order_id`. Raises Refusal."""
        if not call.query("client_order_id"):
            raise invalid("client_order_id is required")
        return self._found(call, call.query("client_order_id"))

    def order_by_id(self, call: Call) -> Reply:
        """`GET /v2/orders/{id}`. Raises Refusal."""
        return self._found(call, call.request.match_info["id"])

    def _found(self, call: Call, identifier: str) -> Reply:
        if call.order is None or self._faults.hides(call.order):
            raise order_not_found(identifier)
        return Reply(200, self._shown(call.order, with_legs=True), call.order.id)

    def cancel(self, call: Call) -> Reply:
        """`DELETE /v2/orders/{id}`. Raises Refusal."""
        order = self._existing(call)
        self._exchange.request_cancel(order)
        return Reply(204, None, order.id)

    def cancel_all(self, call: Call) -> Reply:
        """`DELETE /v2/orders`."""
        answers = []
        for order in self._book.open_orders():
            try:
                if order.status not in ("pending_cancel", "held"):
                    self._exchange.request_cancel(order)
                answers.append({"id": order.id, "status": 200, "body": None})
            except Refusal as refusal:
                answers.append({"id": order.id, "status": refusal.status, "body": refusal.body()})
        return Reply(207, answers)

    def replace(self, call: Call) -> Reply:
        """`PATCH /v2/orders/{id}`. Raises Refusal."""
        order = self._existing(call)
        change = read_replacement(call.body, self._settings.client_id_length)
        successor = self._exchange.request_replace(order, change)
        return Reply(200, self._shown(successor, with_legs=True), successor.id)

    def _existing(self, call: Call) -> Order:
        if call.order is None:
            raise order_not_found(call.request.match_info["id"])
        return call.order

    def _shown(self, order: Order, with_legs: bool) -> dict[str, Any]:
        legs = None
        if with_legs and order.leg_ids:
            legs = [as_wire(self._book.by_id[leg_id]) for leg_id in order.leg_ids]
        return as_wire(order, legs)

    def list_orders(self, call: Call) -> Reply:
        """`GET /v2/orders`. Raises Refusal."""
        status = call.query("status", "open")
        if status not in ("open", "closed", "all"):
            raise invalid(f"invalid status: {status}")
        limit = _whole(call, "limit", 50)
        if limit > _MOST_ORDERS:
            raise invalid(f"limit must be no more than {_MOST_ORDERS}")
        newest_first = _direction(call)
        nested = call.query("nested").lower() in ("true", "t", "1")
        symbols = self._symbols(call.query("symbols"))
        side = call.query("side").lower()
        after, until = _moment(call, "after"), _moment(call, "until")
        found: list[dict[str, Any]] = []
        for order in self._book.submitted_between(after, until, newest_first):
            if len(found) >= limit:
                break
            if (symbols and order.symbol not in symbols) or (side and order.side != side):
                continue
            if nested and order.parent_id is not None:
                continue
            if status != "all" and self._counts_as_open(order, nested) != (status == "open"):
                continue
            if not self._faults.hides(order):
                found.append(self._shown(order, with_legs=nested))
        return Reply(200, found)

    def _counts_as_open(self, order: Order, nested: bool) -> bool:
        return order.open or (nested and any(self._book.by_id[leg_id].open for leg_id in order.leg_ids))

    def _symbols(self, text: str) -> set[str]:
        symbols = set()
        for symbol in filter(None, text.split(",")):
            instrument = find_instrument(symbol, self._instruments)
            symbols.add(symbol if instrument is None else instrument.symbol)
        return symbols

    def activities(self, call: Call) -> Reply:
        """Fills; this account has no other activities."""
        types = call.request.match_info.get("type") or call.query("activity_types", "FILL")
        if "FILL" not in types.upper().split(","):
            return Reply(200, [])
        after, until = _moment(call, "after"), _moment(call, "until")
        size = min(_whole(call, "page_size", _MOST_ACTIVITIES), _MOST_ACTIVITIES)
        newest_first = _direction(call)
        first, last = self._book.executions_between(after, until)
        token = call.query("page_token")
        if token:
            index = self._book.index_of_activity(token)
            if index is None:
                raise invalid(f"invalid page_token: {token}")
            first, last = (first, min(last, index)) if newest_first else (max(first, index + 1), last)
        indexes = range(first, last)
        chosen = list(reversed(indexes[-size:])) if newest_first else list(indexes[:size])
        return Reply(200, [self._book.executions[index].as_activity() for index in chosen])


def _whole(call: Call, name: str, default: int) -> int:
    text = call.query(name, str(default))
    if not text.isascii() or not text.isdigit() or not int(text[:9]) >= 1:
        raise invalid(f"invalid {name}: {text}")
    return int(text[:9])


def _direction(call: Call) -> bool:
    """Whether the newest come first."""
    direction = call.query("direction", "desc")
    if direction not in ("asc", "desc"):
        raise invalid(f"invalid direction: {direction}")
    return direction == "desc"


def _moment(call: Call, name: str) -> datetime | None:
    text = call.query(name)
    if not text:
        return None
    try:
        return read_moment(text)
    except ValueError as error:
        raise invalid(f"invalid {name}: {text}") from error
