"""Counts what the processes say to PostgreSQL: a proxy that reads the protocol and changes nothing.

From outside and exact: every statement the server completes answers with its own tag. It costs time, so it is never in
the way when speed is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_TRANSACTION_CONTROL = frozenset({"BEGIN", "COMMIT", "ROLLBACK"})
# Once per connection, not per order.
_PREPARATION = frozenset({"PREPARE", "DEALLOCATE", "SET"})
_EXECUTED = re.compile(rb"\bEXECUTE ([a-z0-9_]+)")
# A statement in several forms, each with the columns it writes, has a checksum of them at the end of its name.
_FORM = re.compile(r"_[0-9a-f]{8}$")
# Requests of a connection's beginning have no type byte: the length, then one of these instead of a version.
_ENCRYPTION_REQUESTS = frozenset({80877103, 80877104})
_CHUNK = 65536


@dataclass(frozen=True)
class Spoken:
    """What was said, in total."""

    messages: int = 0
    """Round trips: queries sent, each with one or more statements."""
    commits: int = 0
    """Explicit ones; a transaction that only reads has none."""
    rollbacks: int = 0
    statements: int = 0
    """Without transaction control and without PREPARE."""
    names: Counter[str] = field(default_factory=Counter)
    """Prepared statements by name."""

    def __sub__(self, earlier: Spoken) -> Spoken:
        return Spoken(
            self.messages - earlier.messages,
            self.commits - earlier.commits,
            self.rollbacks - earlier.rollbacks,
            self.statements - earlier.statements,
            self.names - earlier.names,
        )


class StatementCounter:
    """`with StatementCounter() as counter:` then `LocalStack(…, rewire=counter.rewire)`."""

    def __init__(self) -> None:
        self._tags: Counter[str] = Counter()
        self._messages = 0
        self._names: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="statement-counter", daemon=True)
        self._ready = threading.Event()
        self._upstream: tuple[str, int] = ("127.0.0.1", 0)
        self._port = 0
        self._talks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def rewire(self, environment: dict[str, str]) -> dict[str, str]:
        """Let every process reach PostgreSQL through here."""
        parts = urlsplit(environment["DATABASE_URL"])
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 5432)
        through = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self._port}")
        return environment | {"DATABASE_URL": urlunsplit(through)}

    def spoken(self) -> Spoken:
        """Everything since the start."""
        tags = self._tags.copy()
        statements = sum(
            count for tag, count in tags.items() if tag not in _TRANSACTION_CONTROL and tag not in _PREPARATION
        )
        return Spoken(self._messages, tags["COMMIT"], tags["ROLLBACK"], statements, self._names.copy())

    # -- the proxy --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for talk in self._talks:
            talk.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._talks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            from_server, to_server = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.close()
            return
        try:
            await self._begin(reader, to_server, from_server, writer)
            await asyncio.gather(_relay(reader, to_server, self._asked), _relay(from_server, writer, self._answered))
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side is gone, so the other is told
        finally:
            for each in (writer, to_server):
                each.close()

    @staticmethod
    async def _begin(
        reader: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            head = await reader.readexactly(8)
            size, code = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
            to_server.write(head + await reader.readexactly(size - 8))
            if code not in _ENCRYPTION_REQUESTS:
                return
            writer.write(await from_server.readexactly(1))  # "N": this server does not encrypt

    def _asked(self, kind: bytes, payload: memoryview) -> None:
        if kind in (b"Q", b"S"):
            self._messages += 1
        if kind == b"Q":
            self._names.update(_FORM.sub("", name.decode()) for name in _EXECUTED.findall(payload))

    def _answered(self, kind: bytes, payload: memoryview) -> None:
        if kind == b"C":
            self._tags[bytes(payload[:-1]).split()[0].decode()] += 1


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[bytes, memoryview], None]
) -> None:
    unread = bytearray()
    while data := await reader.read(_CHUNK):
        writer.write(data)
        unread += data
        start = 0
        with memoryview(unread) as view:
            while len(view) - start >= 5:
                end = start + 1 + int.from_bytes(view[start + 1 : start + 5], "big")
                if end > len(view):
                    break
                heard(bytes(view[start : start + 1]), view[start + 5 : end])
                start = end
        del unread[:start]
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
