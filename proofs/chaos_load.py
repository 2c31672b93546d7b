"""The load of a chaos run: traders that submit at their own pace, whatever the system does (open loop).

Then they follow, cancel and press retry, as people and programs would.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

from local.stack import CreatedTrader
from proofs.demo_orders import Intent, Plan, choose, plans, request_body
from proofs.trader_client import Json, Refused, TraderClient

PRESS_AFTER_SECONDS = 0.3
TWICE = 0.03
"""So many orders are sent twice at the same moment with the same key, like by a double click."""
LOOK_EVERY_SECONDS = 2.0
_PLANS_AT_ONCE = 500
UNSETTLED = ("QUEUED", "SENDING", "IN_DOUBT", "NEEDS_ATTENTION")
"""Nobody can say yet whether the venue has the order."""


@dataclass
class Told:
    """What the feeds have said so far."""

    state: dict[UUID, str] = field(default_factory=dict)
    status: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    presses: int = 0
    last_accepted: float = 0.0
    """`time.monotonic` of the last 201."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def unsettled(self) -> set[UUID]:
        return {order_id for order_id, state in self.state.items() if state in UNSETTLED}

    def closed(self) -> int:
        return sum(self.status.values())


class Load:
    """Several traders. Use it as an async context manager; `trade` runs until it is told to stop."""

    def __init__(self, url: str, traders: Sequence[CreatedTrader], seed: int) -> None:
        self.told = Told()
        self.clients = [TraderClient(url, trader, self._take) for trader in traders]
        self._random = Random(seed)
        self._seed = seed
        self._chores: set[asyncio.Task[None]] = set()
        self._working: dict[UUID, asyncio.Event] = {}
        self._quotes: dict[str, Json] = {}
        self._ticks: dict[str, Decimal] = {}
        self._held: dict[UUID, list[Json]] = {}
        self._looked = asyncio.Event()
        self.failure: BaseException | None = None
        self.draining = False

    async def __aenter__(self) -> Load:
        for client in self.clients:
            await client.__aenter__()
        async with asyncio.TaskGroup() as group:
            for client in self.clients:
                group.create_task(client.until_connected())
        listed = (await self.clients[0].get("instruments"))["data"]
        self._ticks = {entry["symbol"]: Decimal(entry["tick_size"]) for entry in listed}
        self._do(self._look())
        await self._looked.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        for client in self.clients:
            await client.__aexit__(None, None, None)

    @property
    def submitted(self) -> int:
        """Orders that were acknowledged, each counted once."""
        return len({promise.order_id for client in self.clients for promise in client.acknowledged})

    @property
    def under_way(self) -> int:
        """Requests and waits that have not come to their end."""
        return len(self._chores) - 1

    async def trade(self, rate: float, until: float) -> None:
        """Submit `rate` orders a second on average, at random times, until `until` (`time.monotonic`)."""
        number, batch = 0, 0
        ahead: list[Plan] = []
        at = time.monotonic()
        while at < until:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            self.complain()
            if not ahead:
                (ahead,) = plans(_PLANS_AT_ONCE, 1, self._seed * 1000 + batch)
                batch += 1
            self._do(self._one(self.clients[number % len(self.clients)], ahead.pop()))
            number += 1
            at += self._random.expovariate(rate)

    def complain(self) -> None:
        """Raise what went wrong in a chore, or RuntimeError when a feed was refused: neither may ever happen."""
        if self.failure is not None:
            raise self.failure
        refused = next((client.feed_refused for client in self.clients if client.feed_refused), None)
        if refused is not None:
            raise RuntimeError(f"the server refused a client's feed: {refused}")

    async def probe(self) -> UUID | None:
        """One order at the market, to see whether everything works; None when the rules refuse it."""
        body = {"symbol": "AAPL", "side": "BUY", "quantity": 1, "order_type": "MARKET"}
        return await self._acknowledged(self.clients[0], body)

    async def drain(self) -> None:
        """Cancel what rests, and press retry where it was not pressed."""
        self.draining = True
        for client in self.clients:
            await client.get("account")  # intake is back
            for state, action in (("NEEDS_ATTENTION", "retry"), ("WORKING", "cancel")):
                for order in (await client.get(f"orders?execution_state={state}&limit=100"))["data"]:
                    await client.act(UUID(order["id"]), action)

    # -- one order ----------------------------------------------------------------------------------------------------

    async def _one(self, client: TraderClient, plan: Plan) -> None:
        held = self._held.get(client.trader_id, []) if plan.sells else []
        target = choose(plan, held)
        body = request_body(plan, target, self._quotes[target.symbol], self._ticks[target.symbol])
        order_id = await self._acknowledged(client, body)
        if order_id is not None and plan.intent is Intent.CANCEL:
            if plan.confirmed_first:
                await self._working.setdefault(order_id, asyncio.Event()).wait()
            await asyncio.sleep(plan.patience_seconds)
            await client.act(order_id, "cancel")

    async def _acknowledged(self, client: TraderClient, body: Json) -> UUID | None:
        key = str(uuid4())
        sent = [client.submit(body, key=key)]
        if self._random.random() < TWICE:
            sent.append(client.submit(body, key=key))
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        order_ids = set()
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                self.told.refused[outcome.code] += 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                order_ids.add(outcome.order_id)
                self.told.last_accepted = time.monotonic()
        if len(order_ids) > 1:
            raise AssertionError(f"one Idempotency-Key made two orders: {order_ids}")
        for order_id in order_ids:
            self.told.state.setdefault(order_id, "QUEUED")
            return order_id
        return None

    async def _press(self, client: TraderClient, order_id: UUID) -> None:
        await asyncio.sleep(PRESS_AFTER_SECONDS)
        if await client.act(order_id, "retry") == 202:
            self.told.presses += 1

    async def _look(self) -> None:
        """Quotes and holdings, now and then."""
        while True:
            for symbol in self._ticks:
                if symbol in ("HALT", "GONE", "BTC/USD"):
                    continue
                try:
                    self._quotes[symbol] = await self.clients[0].get(f"quotes/{symbol}")
                except Refused:
                    continue  # no quote at the moment: the last one does
            for client in self.clients:
                self._held[client.trader_id] = (await client.get("positions"))["data"]
            self._looked.set()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    # -- following ----------------------------------------------------------------------------------------------------

    def _take(self, client: TraderClient, event: Json) -> None:
        order_id, state = UUID(event["order_id"]), event["execution_state"]
        told = self.told
        told.events[event["event"]] += 1
        was_closed = told.state.get(order_id) == "CLOSED"
        told.state[order_id] = state
        if state in ("WORKING", "CANCELLING", "CLOSED"):
            self._working.setdefault(order_id, asyncio.Event()).set()
        if event["event"] == "order.needs_attention":
            self._do(self._press(client, order_id))
        if state == "CLOSED" and not was_closed:
            told.status[event["status"]] += 1
        told.changed.set()

    def _do(self, chore: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
