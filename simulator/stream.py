"""The trade updates stream: WebSocket `/stream`, binary frames, no replay; and the faults that strike it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from simulator.fault_kinds import NONSENSE, STREAM
from simulator.faults import FaultBook
from simulator.ledger import Ledger
from simulator.nonsense import nonsense_update
from simulator.trade_updates import TradeUpdate

_TRADE_UPDATES = "trade_updates"
# A client that does not read is cut off rather than kept for ever: it must compare over REST anyway.
_LONGEST_BACKLOG = 50_000
_PING_SECONDS = 20.0

_encode = msgspec.json.Encoder().encode


class Connection:
    """One client of the stream; frames are sent in the order in which they were queued."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self._request = request
        self.authorised = False
        self.listens = False
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write())

    def send(self, frame: bytes) -> None:
        """Queues a frame."""
        self._frames.put_nowait(frame)
        if self._frames.qsize() > _LONGEST_BACKLOG:
            self.cut()

    async def _write(self) -> None:
        try:
            while True:
                await self.socket.send_bytes(await self._frames.get())
        except ConnectionError:
            # The client is gone; its reading side ends by itself.
            return

    def cut(self) -> None:
        """Ends the connection without a closing handshake."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def stop(self) -> None:
        """Ends the sending side, once the receiving side has ended."""
        self._writer.cancel()


class Stream:
    """All connections, and the way of each update to them: after its commit, past the faults."""

    def __init__(self, ledger: Ledger, faults: FaultBook, knows: Callable[[str, str], bool]) -> None:
        self._ledger = ledger
        self._faults = faults
        self._knows = knows
        self.connections: set[Connection] = set()
        self._held_back: dict[str, bytes] = {}
        self.refused_until = 0.0

    # Towards the clients.

    def publish(self, update: TradeUpdate) -> None:
        """Tells the clients of an update once it is durable."""
        self._ledger.after_commit(lambda: self._deliver(update))

    def _deliver(self, update: TradeUpdate) -> None:
        fault = self._faults.strike(STREAM, update.client_order_id, update.symbol, update.event)
        kind = None if fault is None else fault.kind
        if kind in ("stream_silent", "stream_drop_fill"):
            return
        if kind == "stream_cut":
            self.cut()
            return
        if kind in NONSENSE and fault is not None:
            self._send(nonsense_update(fault.kind, update.data, fault.megabytes))
            return
        frame = _encode({"stream": _TRADE_UPDATES, "data": update.data})
        if kind == "stream_reorder" and fault is not None and update.order_id not in self._held_back:
            self._held_back[update.order_id] = frame
            asyncio.get_running_loop().call_later(fault.delay(2), self._let_go, update.order_id)
            return
        self._send(frame)
        self._let_go(update.order_id)
        if kind == "stream_repeat" and fault is not None:
            asyncio.get_running_loop().call_later(fault.delay(0.05), self._send, frame)

    def _let_go(self, order_id: str) -> None:
        frame = self._held_back.pop(order_id, None)
        if frame is not None:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        for connection in self.connections:
            if connection.listens:
                connection.send(frame)

    def cut(self, refuse_for: float = 0.0) -> int:
        """Cuts every connection; new ones are refused for so many seconds. Returns how many were cut."""
        self.refused_until = asyncio.get_running_loop().time() + refuse_for
        for connection in list(self.connections):
            connection.cut()
        return len(self.connections)

    # From the clients.

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The handler of `/stream`."""
        if asyncio.get_running_loop().time() < self.refused_until:
            return web.Response(status=503)
        socket = web.WebSocketResponse(compress=False, heartbeat=_PING_SECONDS)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self.connections.add(connection)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._hear(connection, message.data)
        finally:
            self.connections.discard(connection)
            connection.stop()
        return socket

    def _hear(self, connection: Connection, raw: str | bytes) -> None:
        try:
            message = json.loads(raw)
            action, data = message["action"], message.get("data") or {}
            if action == "authenticate":
                self._authorise(connection, str(data.get("key_id")), str(data.get("secret_key")))
            elif action == "auth":
                self._authorise(connection, str(message.get("key")), str(message.get("secret")))
            elif action == "listen":
                self._listen(connection, data.get("streams"))
            else:
                raise ValueError(action)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            connection.send(_encode({"stream": "error", "data": {"error": "invalid message"}}))

    def _authorise(self, connection: Connection, key_id: str, secret_key: str) -> None:
        connection.authorised = self._knows(key_id, secret_key)
        status = "authorized" if connection.authorised else "unauthorized"
        connection.send(_encode({"stream": "authorization", "data": {"status": status, "action": "authenticate"}}))

    def _listen(self, connection: Connection, streams: Any) -> None:
        if not connection.authorised:
            connection.send(_encode({"stream": "listening", "data": {"error": "not authenticated", "streams": []}}))
            return
        wanted = [name for name in streams if name == _TRADE_UPDATES] if isinstance(streams, list) else []
        connection.listens = bool(wanted)
        connection.send(_encode({"stream": "listening", "data": {"streams": wanted}}))
