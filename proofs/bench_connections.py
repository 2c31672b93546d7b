"""The load generator's connections: as little work as possible, because it shares the processors with what it loads.

An HTTP/1.1 connection that keeps alive and has one request on the way, and a Socket.IO feed read straight from its
WebSocket frames. Both understand what this server says, and no more.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TIMING = re.compile(rb"\r\nserver-timing: *validation;dur=([\d.]+), accept;dur=([\d.]+)", re.IGNORECASE)


class BrokenConnection(Exception):
    """The server closed the connection, or said what is not understood here."""


class Answer(msgspec.Struct):
    """An HTTP answer."""

    status: int
    body: bytes
    validation_ms: float | None
    """What the server says its validation took, if it says so."""
    server_accept_ms: float | None
    """And the acceptance as a whole: validation, and the transaction with its commit."""


class HttpConnection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._received = bytearray()

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the server at `url`, which names host and port."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, parts.hostname or "127.0.0.1", parts.port or 80)
        return connection

    async def ask(self, request: bytes) -> Answer:
        """Send a whole request and wait for its answer. Raises BrokenConnection."""
        if self._transport is None or self._transport.is_closing():
            raise BrokenConnection("the server has closed the connection")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(received, 0, end)
        if length is None:
            self.connection_lost(BrokenConnection("an answer without Content-Length"))
            return
        whole = end + 4 + int(length[1])
        if len(received) < whole or self._waiting is None:
            return
        timing = _TIMING.search(received, 0, end)
        validation, accept = (None, None) if timing is None else (float(timing[1]), float(timing[2]))
        answer = Answer(int(received[9:12]), bytes(received[end + 4 : whole]), validation, accept)
        del received[:whole]
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(BrokenConnection(str(exc)))


class FeedEvent(msgspec.Struct):
    """What the load generator reads of an event."""

    seq: int
    event: str
    order_id: str
    timestamp: str


_decode_event = msgspec.json.Decoder(tuple[str, FeedEvent]).decode
_decode_any = msgspec.json.decode


class Feed:
    """One trader's live events; `told` gets each with the time of its receipt (`time.monotonic`, `time.time`)."""

    def __init__(self, url: str, token: str, told: Callable[[FeedEvent, float, float], None]) -> None:
        self._url = f"{url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        self._token = token
        self._told = told
        self.next_seq: int | None = None

    async def run(self, session: aiohttp.ClientSession, ready: asyncio.Event) -> None:
        """Listen until cancelled; sets `ready` when connected. Raises BrokenConnection, also for a gap in `seq`."""
        async with session.ws_connect(self._url, max_msg_size=0, compress=0) as socket:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                text: str = message.data
                if text.startswith('42["order"'):
                    self._take(_decode_event(text[2:])[1])
                elif text.startswith("2"):
                    await socket.send_str("3")
                elif text.startswith("0"):
                    await socket.send_str("40" + msgspec.json.encode({"token": self._token}).decode())
                elif text.startswith('42["ready"'):
                    ready_data: Any = _decode_any(text[2:])
                    self.next_seq = ready_data[1]["head_seq"] + 1
                    ready.set()
                elif not text.startswith("40"):
                    raise BrokenConnection(f"the feed said {text[:200]}")
        raise BrokenConnection("the feed was closed")

    def _take(self, event: FeedEvent) -> None:
        if event.seq != self.next_seq:
            raise BrokenConnection(f"event {event.seq} came for {self.next_seq}")
        self.next_seq = event.seq + 1
        self._told(event, time.monotonic(), time.time())
