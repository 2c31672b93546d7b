"""Independent clients: python-socketio's, many of them in one thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
import socketio

T = TypeVar("T")


def eventually(what: Callable[[], bool], seconds: float = 10.0, why: str = "it did not happen in time") -> None:
    """Return once it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.005)


class Listener:
    """One client: what it was told, in order, and when."""

    def __init__(self, floor: Floor, url: str, auth: Any, *, reconnects: bool = False) -> None:
        self._floor = floor
        self._url = url
        self._auth = auth
        self.heads: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.received_at: list[float] = []
        self.refusal: Any = None
        self.disconnects: list[str] = []
        self.client = socketio.AsyncClient(
            reconnection=reconnects,
            reconnection_delay=0.05,
            reconnection_delay_max=0.2,
            randomization_factor=0.1,
            http_session=floor.session,  # its own one it sometimes leaves open after a reconnect
        )
        self.client.on("ready", self._ready)
        self.client.on("order", self._order)
        self.client.on("connect_error", self._refused)
        self.client.on("disconnect", self._disconnected)

    def _ready(self, data: dict[str, int]) -> None:
        self.heads.append(data["head_seq"])

    def _order(self, data: dict[str, Any]) -> None:
        self.received_at.append(time.time())
        self.events.append(data)

    def _refused(self, data: Any) -> None:
        self.refusal = data

    def _disconnected(self, reason: str) -> None:
        self.disconnects.append(reason)

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    @property
    def last_seq(self) -> int | None:
        return self.events[-1]["seq"] if self.events else (self.heads[-1] if self.heads else None)

    def connect(self, namespaces: list[str] | None = None) -> Listener:
        """Connect and wait for `ready`."""
        self._floor.run(self._connect(namespaces))
        eventually(lambda: bool(self.heads), why="no ready")
        return self

    async def _connect(self, namespaces: list[str] | None) -> None:
        await self.client.connect(
            self._url, auth=self._auth, transports=["websocket"], namespaces=namespaces or ["/"], wait_timeout=5
        )

    def attempt(self) -> Any:
        """Connect, expecting to be refused. Returns what the refusal said."""
        try:
            self._floor.run(self._connect(None))
        except socketio.exceptions.ConnectionError:
            return self.refusal
        raise AssertionError("it was not refused")

    def emit(self, event: str, *data: Any) -> None:
        self._floor.run(self.client.emit(event, data))

    def leave(self) -> None:
        self._floor.run(self.client.disconnect())

    def wait_for(self, seq: int, seconds: float = 10.0) -> None:
        """Wait until the event `seq` has come."""
        eventually(
            lambda: bool(self.events) and self.events[-1]["seq"] >= seq,
            seconds,
            f"event {seq} did not come; the last one is {self.last_seq}",
        )


class Floor:
    """Where clients live: an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listeners: list[Listener] = []
        self.session = self.run(self._open())

    @staticmethod
    async def _open() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def listener(self, url: str, auth: Any, *, reconnects: bool = False) -> Listener:
        """A client that is not connected yet."""
        listener = Listener(self, url, auth, reconnects=reconnects)
        self._listeners.append(listener)
        return listener

    def close(self) -> None:
        async def leave() -> None:
            await asyncio.gather(*(each.client.shutdown() for each in self._listeners), return_exceptions=True)
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self.session.close()

        self.run(leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
