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
from typing import Any, TypeVar
from uuid import UUID, uuid4

from local.stack import CreatedTrader
from proofs.demo_orders import Intent, Plan, choose, plans, request_body
from proofs.trader_client import Json, Refused, TraderClient

T = TypeVar("T")

PRESS_AFTER_SECONDS = 0.3
TWICE = 0.03
"""So many orders are sent twice at the same moment with the same key, like by a double click."""
PROBE_PAUSE_SECONDS = 0.25
"""What measures how soon something is back asks often."""
LOOK_EVERY_SECONDS = 4.0
_PLANS_AT_ONCE = 500
UNSETTLED = frozenset({"QUEUED", "SENDING", "IN_DOUBT", "NEEDS_ATTENTION"})
PROTECTED = 0.15
"""So many of the whole-unit BUYs that are to be filled bring a stop loss, a take profit or both."""
AMENDED = 0.5
"""So many of the orders that rest get another price or quantity before they are cancelled or time out."""
RULES = {
    409: frozenset({"DUPLICATE_SUSPECTED"}),
    422: frozenset({
        "ALREADY_FILLED", "DAILY_LOSS_LIMIT", "DAILY_LOSS_UNKNOWN", "INSTRUMENT_NOT_TRADABLE", "INSUFFICIENT_FUNDS",
        "INSUFFICIENT_SHARES", "MARKET_CLOSED", "MARKET_HOURS_UNKNOWN", "MAX_DAILY_NOTIONAL", "MAX_OPEN_ORDERS",
        "MAX_ORDER_QUANTITY", "MAX_ORDER_VALUE", "MAX_POSITION_QUANTITY", "MAX_POSITION_VALUE", "PRICE_COLLAR",
        "REFERENCE_PRICE_STALE", "SLIPPAGE_BOUND_UNKNOWN", "STOP_LOSS_WRONG_SIDE", "TAKE_PROFIT_WRONG_SIDE",
        "TRADING_HALTED", "TRADING_REDUCING", "WASH_TRADE",
    }),
    429: frozenset({"ORDER_RATE_LIMIT"}),
}  # fmt: skip
"""Refusals that an order which is well formed may meet. What is said of a malformed one is none of them, nor is an
error of the server or a key that it does not know: the load sends no such order."""
NOT_READY = frozenset({"REFERENCE_PRICE_STALE", "MARKET_HOURS_UNKNOWN", "DAILY_LOSS_UNKNOWN", "SLIPPAGE_BOUND_UNKNOWN"})
"""Refusals that say that the system has not come back: a probe is sent again."""
NO_QUOTE = "NO_QUOTE_YET"
MOST_UNEXPECTED = 5
"""So many unexpected answers are told in full."""
EXIT_PATIENCE_SECONDS = (1.0, 8.0)
"""Exits that nothing has triggered so long are cancelled by their trader, so that they do not pile up."""


@dataclass
class Told:
    """What the feeds have said so far."""

    state: dict[UUID, str] = field(default_factory=dict)
    unsettled: set[UUID] = field(default_factory=set)
    """Orders of which nobody can say yet whether the venue has them."""
    status: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    status_of: dict[UUID, str] = field(default_factory=dict)
    """How each order has ended."""
    refused: Counter[str] = field(default_factory=Counter)
    """By the rules, by code."""
    unexpected: int = 0
    """Answers that are neither a success nor a refusal by the rules."""
    unexpected_first: list[str] = field(default_factory=list)
    amended: Counter[int] = field(default_factory=Counter)
    """Answers to wishes for other terms, by status."""
    exits: int = 0
    presses: int = 0
    last_accepted: float = 0.0
    """`time.monotonic` of the last 201."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def becomes(self, order_id: UUID, state: str) -> None:
        """The order's state, by what its trader knows."""
        self.state[order_id] = state
        (self.unsettled.add if state in UNSETTLED else self.unsettled.discard)(order_id)

    def was_refused(self, refused: Refused) -> None:
        """Count a refusal, by the rules or not."""
        if refused.code in RULES.get(refused.status, ()):
            self.refused[refused.code] += 1
            return
        self.unexpected += 1
        if len(self.unexpected_first) < MOST_UNEXPECTED:
            self.unexpected_first.append(str(refused))

    def was_filled(self, order_id: UUID) -> bool:
        """Whether the order has ended FILLED."""
        return self.status_of.get(order_id) == "FILLED"

    def closed(self) -> int:
        return sum(self.status.values())


class Load:
    """Several traders. Use it as an async context manager; `trade` runs until it is told to stop."""

    def __init__(self, url: str, traders: Sequence[CreatedTrader], seed: int) -> None:
        self.told = Told()
        self.clients = [TraderClient(url, trader, self._take) for trader in traders]
        self._random = Random(seed)
        self._seed = seed
        self._chores: set[asyncio.Task[Any]] = set()
        self._working: dict[UUID, asyncio.Event] = {}
        self._quotes: dict[str, Json] = {}
        self._ticks: dict[str, Decimal] = {}
        self._held: dict[UUID, list[Json]] = {}
        self._looked = asyncio.Event()
        self.failure: BaseException | None = None
        self.draining = False
        self.submitted = 0
        """Orders that were acknowledged, each counted once."""

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

    def probe(self) -> asyncio.Task[UUID | None]:
        """One order at the market, to see whether everything works; None when the rules refuse it.

        Where they say that the system has not come back, it is sent again: that is what the probe waits for.
        """
        return self._do(self._probe())

    async def _probe(self) -> UUID | None:
        body = {"symbol": "AAPL", "side": "BUY", "quantity": 1, "order_type": "MARKET"}
        while True:
            outcome = await self._outcome(self.clients[0], body, longest_pause=PROBE_PAUSE_SECONDS)
            if isinstance(outcome, UUID):
                return outcome
            if self.draining or outcome.code not in NOT_READY:
                return None
            await asyncio.sleep(PROBE_PAUSE_SECONDS)

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
        quote, tick = self._quotes[target.symbol], self._ticks[target.symbol]
        body = request_body(plan, target, quote, tick)
        if plan.intent is Intent.FILL and body["side"] == "BUY" and self._random.random() < PROTECTED:
            body |= self._exits(body, quote, tick)
        order_id = await self._acknowledged(client, body)
        if order_id is None or plan.intent not in (Intent.CANCEL, Intent.TIME_OUT):
            return
        if plan.confirmed_first:
            await self._working.setdefault(order_id, asyncio.Event()).wait()
        if self._random.random() < AMENDED:
            await self._amend(client, order_id, body, tick)
        if plan.intent is Intent.CANCEL:
            await asyncio.sleep(plan.patience_seconds)
            await client.act(order_id, "cancel")

    def _exits(self, body: Json, quote: Json, tick: Decimal) -> Json:
        """Near enough that the market reaches some of them, on the right side of the price the order asks for."""
        entry = Decimal(body["price"] if "price" in body else quote["ask"])
        away = max(tick, entry * Decimal(str(self._random.choice((0.001, 0.003, 0.05)))))
        loss, profit = (_on_tick(price, tick) for price in (entry - away - tick, entry + away + tick))
        kind = self._random.choice(("both", "both", "loss", "profit"))
        return ({"stop_loss": format(loss, "f")} if kind != "profit" else {}) | (
            {"take_profit": format(profit, "f")} if kind != "loss" else {}
        )

    async def _amend(self, client: TraderClient, order_id: UUID, body: Json, tick: Decimal) -> None:
        """Another quantity, another price, or both; now and then a price at which it is filled."""
        terms: Json = {}
        what = self._random.random()
        if what < 0.7:
            terms["quantity"] = format(
                max(Decimal(1), (Decimal(body["quantity"]) * Decimal("0.6")).to_integral_value())
            )
        if what > 0.4:
            towards = (
                Decimal("1.005") if (body["side"] == "BUY") == (body["order_type"] == "LIMIT") else Decimal("0.995")
            )
            if body["order_type"] == "LIMIT" and self._random.random() < 0.3:
                towards = Decimal("1.15") if body["side"] == "BUY" else Decimal("0.87")
            terms["price"] = format(_on_tick(Decimal(body["price"]) * towards, tick), "f")
        try:
            self.told.amended[await client.amend(order_id, terms)] += 1
        except Refused as refused:
            self.told.was_refused(refused)

    async def _give_up(self, client: TraderClient, order_id: UUID) -> None:
        await asyncio.sleep(self._random.uniform(*EXIT_PATIENCE_SECONDS))
        if self.told.state.get(order_id) != "CLOSED":
            await client.act(order_id, "cancel")

    async def _acknowledged(self, client: TraderClient, body: Json) -> UUID | None:
        outcome = await self._outcome(client, body)
        return outcome if isinstance(outcome, UUID) else None

    async def _outcome(self, client: TraderClient, body: Json, **how: float) -> UUID | Refused:
        """The order of one submission, some of them sent twice at once, or its refusal."""
        key = str(uuid4())
        sent = [client.submit(body, key=key, **how)]
        if self._random.random() < TWICE:
            sent.append(client.submit(body, key=key, **how))
        order_ids: set[UUID] = set()
        refusals: list[Refused] = []
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(outcome, Refused):
                self.told.was_refused(outcome)
                refusals.append(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                order_ids.add(outcome.order_id)
                self.told.last_accepted = time.monotonic()
        if len(order_ids) > 1:
            raise AssertionError(f"one Idempotency-Key made two orders: {order_ids}")
        for order_id in order_ids:
            self.submitted += 1
            if order_id not in self.told.state:  # its first event may have come before the answer
                self.told.becomes(order_id, "QUEUED")
            return order_id
        return refusals[0]

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
                except Refused as refused:
                    if (refused.status, refused.code) != (404, NO_QUOTE):
                        raise
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
        told.becomes(order_id, state)
        if state in ("WORKING", "CANCELLING", "CLOSED"):
            self._working.setdefault(order_id, asyncio.Event()).set()
        if event["event"] == "order.submitted" and event["order"]["parent_id"] is not None:
            told.exits += 1
            self._do(self._give_up(client, order_id))
        if event["event"] == "order.needs_attention":
            self._do(self._press(client, order_id))
        if state == "CLOSED":
            told.status_of[order_id] = event["status"]
        if state == "CLOSED" and not was_closed:
            told.status[event["status"]] += 1
        told.changed.set()

    def _do(self, chore: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._chores.discard(task)
        self.note_failure(task)

    def note_failure(self, task: asyncio.Task[Any]) -> None:
        """Keep what a task raised, if it is the first: `complain` raises it."""
        if not task.cancelled() and task.exception() is not None and self.failure is None:
            self.failure = task.exception()


def _on_tick(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value() * tick
