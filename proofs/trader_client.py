"""A trader's program as it ought to be written: it repeats with the same key, and comes back where it left off.

Every order has an Idempotency-Key and is repeated with it after a 503 or no answer, until there is one. The feed's
`auth` is a function, so a reconnect sends the last event that was processed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from random import uniform
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import aiohttp
import socketio

from local.stack import CreatedTrader
from proofs.ledgers import Acknowledged, ReceivedFeed, Submission

Json = dict[str, Any]

_ANSWER_SECONDS = 10.0
"""Longer than intake ever takes; a process that was killed breaks the connection at once."""
_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0
"""Between repetitions, doubling, half of it by chance: hundreds of requests that wait for a system to come back would
otherwise keep it from coming back."""
_CONNECT_SECONDS = 5.0
_NO_ANSWER = (aiohttp.ClientError, TimeoutError, ConnectionError)


class Refused(Exception):
    """The API refused a request for good; the text is its problem document's sentence."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.code = str(problem.get("code"))
        self.problem = problem


@dataclass(frozen=True)
class Submitted:
    """An order that was acknowledged with a 201, and how often the request was sent."""

    order: Json
    requests: int

    @property
    def order_id(self) -> UUID:
        return UUID(self.order["id"])


class TraderClient:
    """One trader: requests over HTTP and events over Socket.IO. Use it as an async context manager."""

    def __init__(self, url: str, trader: CreatedTrader, on_event: Callable[[TraderClient, Json], None]) -> None:
        self.trader = trader
        self.trader_id = UUID(trader.trader_id)
        self.feed = ReceivedFeed(self.trader_id)
        self.acknowledged: list[Acknowledged] = []
        self.submissions: list[Submission] = []
        self.repeated_requests = 0
        self.reconnects = 0
        self.feed_refused: str | None = None
        """Set when the server refused the feed for good: that must never happen."""
        self._url = url
        self._on_event = on_event
        self._session: aiohttp.ClientSession | None = None
        self._listening: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self.trader.api_key}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            # as many as there are requests: one that waits for another's connection would time out before it is sent
            connector=aiohttp.TCPConnector(limit=0),
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True  # the Socket.IO client may swallow the cancellation
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._session is not None:
            await self._session.close()

    async def until_connected(self) -> None:
        """Return once the feed is open."""
        await self._connected.wait()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def submit(
        self, body: Mapping[str, Any], *, key: str | None = None, longest_pause: float = _LONGEST_PAUSE_SECONDS
    ) -> Submitted:
        """Send an order until it is acknowledged, under `key` or a new one. Raises Refused."""
        # Each of these orders is meant, even if it looks like the one before.
        submission = Submission(key or str(uuid4()))
        self.submissions.append(submission)
        headers = {"Idempotency-Key": submission.key, "Confirm-Duplicate": "true"}
        requests = 0

        def unanswered() -> None:
            submission.silences += 1

        async for status, document in self._answers(
            "POST", "orders", json.dumps(body), headers, longest_pause, unanswered
        ):
            requests += 1
            if status == 201:
                submitted = Submitted(document, requests)
                submission.order_id, submission.is_over = submitted.order_id, True
                self.acknowledged.append(_acknowledged(submitted.order_id, self.trader_id, body))
                return submitted
            if not (status == 409 and document.get("code") == "REQUEST_IN_PROGRESS"):
                submission.is_over = True
                raise Refused(status, document)
        raise RuntimeError("unreachable: answers are asked for until there is one")

    async def act(self, order_id: UUID, action: str) -> int:
        """POST `cancel`, `retry` or `acknowledge` for an order; returns the status, 409 included. Raises Refused."""
        async for status, document in self._answers("POST", f"orders/{order_id}/{action}", "", {}):
            if status in (200, 202, 409):
                return status
            raise Refused(status, document)
        raise RuntimeError("unreachable: answers are asked for until there is one")

    async def amend(self, order_id: UUID, terms: Mapping[str, Any]) -> int:
        """PATCH other terms of an order that rests; returns the status, 409 included. Raises Refused.

        From the moment they are asked for either terms may win: an answer can be lost, and a fill of the old ones can
        come first. A 200 says that the new ones stand.
        """
        before = next(each for each in reversed(self.acknowledged) if each.order_id == order_id)
        asked = replace(
            before,
            quantity=Decimal(str(terms.get("quantity", before.quantity))),
            price=before.price if terms.get("price") is None else Decimal(str(terms["price"])),
        )
        self._know(order_id, replace(before, wanted=(*before.wanted, (asked.quantity, asked.price))))
        async for status, document in self._answers("PATCH", f"orders/{order_id}", json.dumps(terms), {}):
            if status == 200:
                self._know(order_id, asked)
            if status in (200, 202, 409):
                return status
            raise Refused(status, document)
        raise RuntimeError("unreachable: answers are asked for until there is one")

    def _know(self, order_id: UUID, promise: Acknowledged) -> None:
        # one sent twice at once was acknowledged twice
        self.acknowledged[:] = [promise if each.order_id == order_id else each for each in self.acknowledged]

    async def get(self, path: str) -> Json:
        """GET a document below `/api/v1/`. Raises Refused."""
        async for status, document in self._answers("GET", path, "", {}):
            if status == 200:
                return document
            raise Refused(status, document)
        raise RuntimeError("unreachable: answers are asked for until there is one")

    async def _answers(
        self,
        method: str,
        path: str,
        body: str,
        headers: Mapping[str, str],
        longest_pause: float = _LONGEST_PAUSE_SECONDS,
        unanswered: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[tuple[int, Json]]:
        """Answers to one request, repeated as it is: after a 503 or none without asking, else as often as wanted.

        `unanswered` is called for each 503 and for each request without an answer.
        """
        if self._session is None:
            raise RuntimeError("the client is not open")
        pause = _PAUSE_SECONDS
        while True:
            try:
                async with self._session.request(
                    method, f"{self._url}/api/v1/{path}", data=body or None, headers=headers
                ) as response:
                    status, document = response.status, await response.json(content_type=None)
            except _NO_ANSWER:
                status, document = 503, {}
            if status != 503:
                yield status, document
            else:
                unanswered()
            self.repeated_requests += 1
            await asyncio.sleep(pause * uniform(0.5, 1.0))
            pause = min(2 * pause, longest_pause)

    # -- the feed ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while self.feed_refused is None and not self._closing:
            client = socketio.AsyncClient(reconnection=False, http_session=self._session)
            client.on("order", self._take)
            client.on("connect_error", self._note_refusal)
            try:
                await client.connect(
                    self._url, auth=self._auth, transports=["websocket"], wait_timeout=_CONNECT_SECONDS
                )
                self._connected.set()
                # Shielded: cancelled, it would end as if the connection had, and this loop would go on.
                await asyncio.shield(client.eio.wait())
                self.reconnects += 1
            except (socketio.exceptions.ConnectionError, *_NO_ANSWER):
                pass  # it is being started again; a refusal for good has been noted
            finally:
                await client.disconnect()
                # Garbage collection would close our session with it, in whichever thread it happens to run.
                client.eio.http = None
            await asyncio.sleep(_PAUSE_SECONDS)

    def _auth(self) -> Json:
        return {"token": self.trader.api_key, "last_seq": self._last_seq}

    @property
    def _last_seq(self) -> int:
        return int(self.feed.events[-1]["seq"]) if self.feed.events else self.feed.after_seq

    def _take(self, event: Json) -> None:
        self.feed.events.append(event)
        self._on_event(self, event)

    def _note_refusal(self, said: object = None) -> None:
        # The server refuses with a code, each for good; what else goes wrong while connecting comes as a sentence.
        document = said.get("data") if isinstance(said, dict) else None
        if isinstance(document, dict) and "code" in document:
            self.feed_refused = str(said)


def _acknowledged(order_id: UUID, trader_id: UUID, body: Mapping[str, Any]) -> Acknowledged:
    """What was asked for, by the request itself: an answer could say whatever was stored."""
    return Acknowledged(
        order_id=order_id,
        trader_id=trader_id,
        symbol=body["symbol"],
        side=body["side"],
        quantity=Decimal(str(body["quantity"])),
        order_type=body["order_type"],
        price=_price(body, "price"),
        time_in_force=body.get("time_in_force", "DAY"),
        stop_loss=_price(body, "stop_loss"),
        take_profit=_price(body, "take_profit"),
    )


def _price(body: Mapping[str, Any], name: str) -> Decimal | None:
    return None if body.get(name) is None else Decimal(str(body[name]))
