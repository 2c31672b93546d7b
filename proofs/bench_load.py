"""The benchmark's load: several traders who submit, follow and cancel, closed loop or open loop.

Every order is one that is filled at once: MARKET, or LIMIT beyond the other side of the market. None repeats one of
the trader's last 900, so no order needs Confirm-Duplicate and every check of intake is paid for.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random

import aiohttp
import msgspec

from local.stack import CreatedTrader
from proofs.bench_connections import Answer, Feed, FeedEvent, HttpConnection

SYMBOLS = ("AAPL", "MSFT", "AMZN", "NVDA", "SPY", "KO", "F")
"""Their displayed sizes are at least 150, so an order of at most 139 is one execution."""
_QUANTITIES = 139  # a prime beside the seven symbols: 973 orders until the same pair comes again
_SELL_EVERY = 3
_TICK = Decimal("0.01")
_ENDS = frozenset({"order.filled", "order.rejected", "order.cancelled", "order.needs_attention"})
_SETTLE_SECONDS = 30.0


class LoadError(Exception):
    """The system did something that makes the measurement worthless."""


@dataclass
class Samples:
    """What was measured, in milliseconds."""

    submit_to_filled_ms: list[float] = field(default_factory=list)
    event_to_client_ms: list[float] = field(default_factory=list)
    accept_ms: list[float] = field(default_factory=list)
    validation_ms: list[float] = field(default_factory=list)
    server_accept_ms: list[float] = field(default_factory=list)
    cancel_ms: list[float] = field(default_factory=list)


class _Id(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Id).decode


@dataclass
class _Followed:
    """An order under way, from whichever of answer and event comes first."""

    filled_at: float | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    working: asyncio.Event = field(default_factory=asyncio.Event)
    last_event: str = ""


class Trader:
    """One trader: its connections, its feed, and the orders it makes up."""

    def __init__(self, url: str, trader: CreatedTrader, quotes: Mapping[str, tuple[Decimal, Decimal]]) -> None:
        self._url = url
        self._quotes = quotes
        self._idle: list[HttpConnection] = []
        self._all: list[HttpConnection] = []
        self._head = (
            f"Host: {url.removeprefix('http://')}\r\nAuthorization: Bearer {trader.api_key}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._numbers = itertools.count(1)
        self._run = f"{time.time_ns():x}-{trader.trader_id}"
        self._held: dict[str, int] = dict.fromkeys(SYMBOLS, 0)
        self._followed: dict[str, _Followed] = {}
        self.feed = Feed(url, trader.api_key, self._told)
        self.samples = Samples()
        self.filled: list[float] = []
        """When each order's FILLED event came (`time.monotonic`)."""
        self.recording = False

    async def submit(self, sent_at: float) -> None:
        """Submit an order and return when it is filled. `sent_at`: when it was due to be sent."""
        number = next(self._numbers)
        symbol, quantity = SYMBOLS[number % len(SYMBOLS)], 1 + number % _QUANTITIES
        sells = number % _SELL_EVERY == 0 and self._held[symbol] >= quantity
        if sells:
            self._held[symbol] -= quantity
        side = "SELL" if sells else "BUY"
        kind = '"MARKET"' if number % 2 else f'"LIMIT","price":"{self._price(symbol, side, at_once=True)}"'
        order_id, followed = await self._send(
            number, f'{{"symbol":"{symbol}","side":"{side}","quantity":{quantity},"order_type":{kind}}}', sent_at
        )
        await followed.ended.wait()
        del self._followed[order_id]
        if followed.last_event != "order.filled" or followed.filled_at is None:
            raise LoadError(f"order {order_id} ended with {followed.last_event}")
        if not sells:
            self._held[symbol] += quantity
        self.filled.append(followed.filled_at)
        if self.recording:
            self.samples.submit_to_filled_ms.append((followed.filled_at - sent_at) * 1000)

    async def submit_only(self, sent_at: float) -> None:
        """Submit an order that would rest, and return when it is accepted; nothing is waited for after that."""
        number = next(self._numbers)
        symbol, quantity = SYMBOLS[number % len(SYMBOLS)], 1 + number % _QUANTITIES
        price = self._price(symbol, "BUY", at_once=False)
        body = f'{{"symbol":"{symbol}","side":"BUY","quantity":{quantity},"order_type":"LIMIT","price":"{price}"}}'
        await self._send(number, body, sent_at)

    async def submit_and_cancel(self, sent_at: float) -> None:
        """Submit an order that rests, cancel it once the venue has it, and return when it is cancelled."""
        number = next(self._numbers)
        symbol, quantity = SYMBOLS[number % len(SYMBOLS)], 1 + number % _QUANTITIES
        price = self._price(symbol, "BUY", at_once=False)
        body = f'{{"symbol":"{symbol}","side":"BUY","quantity":{quantity},"order_type":"LIMIT","price":"{price}"}}'
        order_id, followed = await self._send(number, body, sent_at)
        await followed.working.wait()
        cancelled_at = time.monotonic()
        answer = await self._ask(f"POST /api/v1/orders/{order_id}/cancel HTTP/1.1\r\n{self._head}\r\n".encode())
        if answer.status not in (200, 202):
            raise LoadError(f"a cancel was answered with {answer.status}: {answer.body[:300]!r}")
        await followed.ended.wait()
        del self._followed[order_id]
        if self.recording:
            self.samples.cancel_ms.append((time.monotonic() - cancelled_at) * 1000)

    async def _send(self, number: int, body: str, sent_at: float) -> tuple[str, _Followed]:
        answer = await self._ask(
            f"POST /api/v1/orders HTTP/1.1\r\n{self._head}Idempotency-Key: {self._run}-{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        if answer.status != 201:
            raise LoadError(f"an order was answered with {answer.status}: {answer.body[:500]!r}")
        if self.recording:
            self.samples.accept_ms.append((time.monotonic() - sent_at) * 1000)
            if answer.validation_ms is not None:
                self.samples.validation_ms.append(answer.validation_ms)
            if answer.server_accept_ms is not None:
                self.samples.server_accept_ms.append(answer.server_accept_ms)
        order_id = _decode_id(answer.body).id
        return order_id, self._followed.setdefault(order_id, _Followed())

    async def _ask(self, request: bytes) -> Answer:
        connection = self._idle.pop() if self._idle else await self._connect()
        answer = await connection.ask(request)
        self._idle.append(connection)
        return answer

    async def _connect(self) -> HttpConnection:
        connection = await HttpConnection.open(self._url)
        self._all.append(connection)
        return connection

    def _told(self, event: FeedEvent, at: float, wall: float) -> None:
        if self.recording:
            self.samples.event_to_client_ms.append((wall - datetime.fromisoformat(event.timestamp).timestamp()) * 1000)
        followed = self._followed.setdefault(event.order_id, _Followed())
        followed.last_event = event.event
        if event.event == "order.executed":
            followed.working.set()
        elif event.event in _ENDS:
            followed.filled_at = at
            followed.ended.set()
            followed.working.set()

    def _price(self, symbol: str, side: str, *, at_once: bool) -> str:
        bid, ask = self._quotes[symbol]
        # The simulator's prices stay within 2 % of where they began.
        factor = {("BUY", True): "1.06", ("SELL", True): "0.94", ("BUY", False): "0.90"}[side, at_once]
        price = (ask if side == "BUY" else bid) * Decimal(factor)
        return format(price.quantize(_TICK, ROUND_HALF_EVEN), "f")

    def close(self) -> None:
        """Close its connections."""
        for connection in self._all:
            connection.close()


class Load:
    """All traders together, inside :func:`trading`."""

    def __init__(self, traders: Sequence[Trader]) -> None:
        self._traders = traders

    async def full(self, in_flight: int, warm_up: float, seconds: float) -> tuple[float, float]:
        """Keep `in_flight` orders under way. Returns the `time.monotonic` span that is to be counted."""
        begin = time.monotonic() + warm_up
        end = begin + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(in_flight):
                group.create_task(self._keep_busy(self._traders[number % len(self._traders)], end))
        return begin, end

    @staticmethod
    async def _keep_busy(trader: Trader, end: float) -> None:
        while (now := time.monotonic()) < end:
            async with asyncio.timeout(_SETTLE_SECONDS):
                await trader.submit(now)

    async def steady(self, per_second: float, seconds: float, cancel_share: float, seed: int) -> None:
        """Send orders at random times, `per_second` of them on average, whatever becomes of the earlier ones."""
        draw = Random(seed)
        begin = time.monotonic()
        due = begin
        async with asyncio.timeout(seconds + _SETTLE_SECONDS), asyncio.TaskGroup() as group:
            for trader in itertools.cycle(self._traders):
                due += draw.expovariate(per_second)
                if due > begin + seconds:
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                # Timed from when it was due: a late generator must not make the system look better.
                cancels = draw.random() < cancel_share
                group.create_task(trader.submit_and_cancel(due) if cancels else trader.submit(due))

    async def steady_intake(self, per_second: float, seconds: float, seed: int) -> None:
        """Send orders at random times and wait for nothing but their acceptance."""
        draw = Random(seed)
        begin = due = time.monotonic()
        async with asyncio.timeout(seconds + _SETTLE_SECONDS), asyncio.TaskGroup() as group:
            for trader in itertools.cycle(self._traders):
                due += draw.expovariate(per_second)
                if due > begin + seconds:
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(trader.submit_only(due))

    def forget_samples(self) -> None:
        """Begin anew with what is measured."""
        for trader in self._traders:
            trader.samples = Samples()

    async def one_by_one(self, count: int) -> None:
        """Submit `count` orders, each after the one before was filled."""
        for number in range(count):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._traders[number % len(self._traders)].submit(time.monotonic())

    def record(self, on: bool) -> None:
        """Whether samples are kept from now on."""
        for trader in self._traders:
            trader.recording = on

    def filled_between(self, begin: float, end: float) -> int:
        """How many FILLED events came in that span."""
        return sum(begin <= at < end for trader in self._traders for at in trader.filled)

    def forget(self) -> None:
        """Drop the samples so far."""
        for trader in self._traders:
            trader.samples = Samples()

    def samples(self) -> Samples:
        """Of all traders."""
        merged = Samples()
        for trader in self._traders:
            for name, values in vars(trader.samples).items():
                getattr(merged, name).extend(values)
        return merged


@asynccontextmanager
async def trading(url: str, traders: Sequence[CreatedTrader]) -> AsyncIterator[Load]:
    """Traders with open feeds. Raises ExceptionGroup when a feed breaks."""
    async with aiohttp.ClientSession() as session:
        quotes = await _quotes(session, url, traders[0])
        made = [Trader(url, trader, quotes) for trader in traders]
        try:
            async with asyncio.TaskGroup() as group:
                ready = [asyncio.Event() for _ in made]
                feeds = [
                    group.create_task(trader.feed.run(session, is_ready))
                    for trader, is_ready in zip(made, ready, strict=True)
                ]
                for is_ready in ready:
                    await is_ready.wait()
                yield Load(made)
                for feed in feeds:
                    feed.cancel()
        finally:
            for trader in made:
                trader.close()


async def _quotes(
    session: aiohttp.ClientSession, url: str, trader: CreatedTrader
) -> dict[str, tuple[Decimal, Decimal]]:
    quotes = {}
    for symbol in SYMBOLS:
        async with session.get(
            f"{url}/api/v1/quotes/{symbol}", headers={"Authorization": f"Bearer {trader.api_key}"}
        ) as answer:
            answer.raise_for_status()
            quote = await answer.json()
        quotes[symbol] = Decimal(quote["bid"]), Decimal(quote["ask"])
    return quotes
