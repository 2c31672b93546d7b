"""A TCP proxy that can be told to misbehave: what a network does to connections, for one service, per direction.

with FaultProxies() as proxies:
    proxies.add("postgres", "127.0.0.1", 5432)  # the port to connect to instead
    proxies.condition("postgres", to_server=Weather(latency=0.2))
    proxies.black_hole("postgres", True)   # bytes are held, and arrive when it is over, as TCP has it
    proxies.cut("postgres")                # every connection is reset
    proxies.half_open("postgres", gone="client")  # one end is gone, the other is not told

It runs on an event loop of its own; every method may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

End = Literal["client", "server"]

_CHUNK = 65536
_CHUNKS_IN_FLIGHT = 64
"""Per direction; then the sender is slowed down, like by a full socket buffer."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


@dataclass(frozen=True)
class Weather:
    """What happens to bytes in one direction. Seconds; bytes a second, none when there is no limit."""

    latency: float = 0.0
    bandwidth: float | None = None
    black_hole: bool = False


CALM = Weather()


@dataclass
class _Route:
    """One service: where it is, how its network behaves, and the connections through it."""

    upstream: tuple[str, int]
    port: int = 0
    to_server: Weather = CALM
    to_client: Weather = CALM
    refuses: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    talks: set[_Talk] = field(default_factory=set)

    def weather(self, towards: End) -> Weather:
        return self.to_server if towards == "server" else self.to_client

    def becomes(self, to_server: Weather, to_client: Weather) -> None:
        self.to_server, self.to_client = to_server, to_client
        self.changed.set()
        self.changed = asyncio.Event()


class _Talk:
    """One connection: two directions, each a queue of bytes with the time at which they are due."""

    def __init__(self, route: _Route, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._route = route
        self._client = client
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.severed = False
        """Half open: nothing is carried any more, and the end that is left must not be told."""

    async def run(self) -> None:
        if self._route.refuses:
            _reset(self._client[1])
            return
        while self._route.to_server.black_hole:  # not even a connection comes about
            await self._route.changed.wait()
        try:
            self._server = await asyncio.open_connection(*self._route.upstream)
        except OSError:
            _reset(self._client[1])
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(self._client[0], self._server[1], "server"))
            group.create_task(self._carry(self._server[0], self._client[1], "client"))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, towards: End) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader, on_the_way, towards))
            group.create_task(self._bring(on_the_way, writer, towards))

    async def _take(
        self, reader: asyncio.StreamReader, on_the_way: asyncio.Queue[tuple[float, bytes]], towards: End
    ) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = b""  # a reset: what was sent before it is still on its way
            await on_the_way.put((loop.time() + self._route.weather(towards).latency, data))

    async def _bring(
        self, on_the_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, towards: End
    ) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            due, data = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            while (weather := self._route.weather(towards)).black_hole:
                await self._route.changed.wait()
            if weather.bandwidth:
                await asyncio.sleep(len(data) / weather.bandwidth)
            if self.severed:
                continue
            if not data:
                with contextlib.suppress(OSError):
                    writer.close()
                return
            try:
                writer.write(data)
                await writer.drain()
            except OSError:
                pass  # its other direction notices as well and ends the connection

    def cut(self) -> None:
        for _, writer in filter(None, (self._client, self._server)):
            _reset(writer)

    def sever(self, gone: End) -> None:
        self.severed = True
        end = self._client if gone == "client" else self._server
        if end is not None:
            _reset(end[1])


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


class FaultProxies:
    """One proxy for each named service. Use it as a context manager."""

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxies", daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # -- wiring -----------------------------------------------------------------------------------------------------

    def add(self, name: str, host: str, port: int) -> int:
        """Begin to listen for a service; the port to reach it through."""

        async def listen() -> int:
            route = self._routes[name] = _Route((host, port))

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serve(route, reader, writer)

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self._servers.append(server)
            route.port = server.sockets[0].getsockname()[1]
            return route.port

        return asyncio.run_coroutine_threadsafe(listen(), self._loop).result(5)

    def through(self, name: str, url: str) -> str:
        """The URL of the same service through its proxy, which is made if there is none."""
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"no host and port to proxy in {url!r}")
        port = self._routes[name].port if name in self._routes else self.add(name, parts.hostname, parts.port)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"))

    def port(self, name: str) -> int:
        """Where to connect instead of to the service."""
        return self._routes[name].port

    def connections(self, name: str) -> int:
        """How many are open through here."""
        return self._soon(lambda: len(self._routes[name].talks))

    # -- faults -----------------------------------------------------------------------------------------------------

    def condition(self, name: str, *, to_server: Weather = CALM, to_client: Weather = CALM) -> None:
        """How the network behaves from now on, for connections that exist and for new ones."""
        self._soon(lambda: self._routes[name].becomes(to_server, to_client))

    def calm(self, name: str) -> None:
        """No fault any more. Whoever still holds one end of a severed connection is told at last."""

        def calm() -> None:
            self._routes[name].refuses = False
            for talk in list(self._routes[name].talks):
                if talk.severed:
                    talk.cut()
            self._routes[name].becomes(CALM, CALM)

        self._soon(calm)

    def refuse(self, name: str, *, refuses: bool) -> None:
        """Reset every new connection at once, or stop doing so."""

        def set_it() -> None:
            self._routes[name].refuses = refuses

        self._soon(set_it)

    def black_hole(self, name: str, *, to_server: bool = True, to_client: bool = True) -> None:
        """Hold all bytes. What was sent meanwhile arrives when it is over, even if its sender has given up."""
        self.condition(name, to_server=Weather(black_hole=to_server), to_client=Weather(black_hole=to_client))

    def cut(self, name: str) -> int:
        """Reset every connection; how many there were."""

        def cut() -> int:
            talks = list(self._routes[name].talks)
            for talk in talks:
                talk.cut()
            return len(talks)

        return self._soon(cut)

    def half_open(self, name: str, *, gone: End) -> int:
        """One end of every connection is reset, the other one hears nothing any more; how many there were."""

        def sever() -> int:
            talks = list(self._routes[name].talks)
            for talk in talks:
                talk.sever(gone)
            return len(talks)

        return self._soon(sever)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _soon(self, do: Callable[[], T]) -> T:
        async def it() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(it(), self._loop).result(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for server in self._servers:
            server.close()
        ending = asyncio.all_tasks(self._loop)
        for task in ending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*ending, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.05))  # connections that were reset are closed by then
        self._loop.close()

    async def _serve(self, route: _Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _Talk(route, (reader, writer))
        route.talks.add(talk)
        try:
            await talk.run()
        except asyncio.CancelledError:
            pass  # the proxy ends
        finally:
            route.talks.discard(talk)
            talk.cut()


def rewired(proxies: FaultProxies, environment: Mapping[str, str]) -> dict[str, str]:
    """The processes' variables with PostgreSQL, Redis and the venue each behind its proxy."""
    return dict(environment) | {
        "DATABASE_URL": proxies.through("postgres", environment["DATABASE_URL"]),
        "REDIS_URL": proxies.through("redis", environment["REDIS_URL"]),
        "SIMULATOR_URL": proxies.through("venue", environment["SIMULATOR_URL"]),
    }
