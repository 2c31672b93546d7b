"""The feed's loop: what PostgreSQL has and a socket has not is read and sent, in order, once (I8).

A wake-up, from wherever, only says where to look first. Each connection has a cursor, the seq of the last event that
was handed to its socket; what follows it is read from the database and only the event with the next number is sent.
So a lost wake-up delays until the next look at all heads, and a doubled, reordered or forged one changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from app.live.connections import Connection, Connections
from app.live.event_source import EventSource, Place
from app.live.frames import Framed, joined, order_frame, ready_frame
from app.storage.transaction import DatabaseUnavailable, LostRace

log = logging.getLogger(__name__)

PAGE_EVENTS = 200
"""Events read for one place at a time. A socket holds at most four such pages: half a megabyte for a slow client."""
REPLAYS_PER_ROUND = 4
"""Places that are far behind, read in one round: a client that catches up on a year must not delay what is new."""
ROUND_SECONDS = 0.01
"""Rounds begin at least this far apart: under load one query reads what ten events' wake-ups asked for."""
LOOK_SECONDS = 0.8
"""All heads are compared this often; the contract says once a second."""
LOOK_SECONDS_WITHOUT_WAKEUPS = 0.25
"""The same while no wake-ups arrive because Redis is away."""
ARRIVAL_SECONDS = 0.002
"""How soon to look again at a client that has not been told yet that it is connected."""
OUTAGE_SECONDS = 0.25
"""The pause between attempts while the database cannot be reached."""


class Sockets(Protocol):
    """The clients' ends of the connections. No method waits for a client."""

    def is_connected(self, connection: Connection) -> bool:
        """Whether the client has been told that it is connected."""
        ...

    def has_room(self, connection: Connection) -> bool:
        """Whether the client took most of what it was sent."""
        ...

    def send(self, connection: Connection, frames: Framed) -> None:
        """Hand frames to the socket; a client that has left gets nothing."""
        ...

    def cut(self, connection: Connection, reason: str) -> None:
        """End the connection in a way that makes the client come back."""
        ...


class Feed:
    """Sends every connection its trader's events. `run` belongs to one thread or greenlet; the rest is for all."""

    def __init__(self, connections: Connections, events: EventSource, sockets: Sockets) -> None:
        self.connections = connections
        self._events = events
        self._sockets = sockets
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._woken: dict[UUID, None] = {}
        self._arriving: list[Connection] = []
        self._behind: dict[Connection, None] = {}
        """Connections known to lack events, the one served longest ago first. The loop's own."""
        self._look_at = 0.0
        self._outage = False
        self._ended = False
        self.wakeups_arrive = False
        """Whether the subscription to wake-ups stands."""

    # -- for everybody -------------------------------------------------------------------------------------------------

    def join(self, connection: Connection) -> None:
        """A client has shown its key: it gets `ready`, then its events, once it knows that it is connected."""
        self.connections.add(connection)
        with self._lock:
            self._arriving.append(connection)
        self._news.set()

    def leave(self, sid: str) -> Connection | None:
        """A client has gone. Returns its connection, the first time."""
        return self.connections.remove(sid)

    def wake(self, trader_id: UUID) -> None:
        """There may be news of this trader. Costs nothing when nobody listens here."""
        if self.connections.has(trader_id):
            with self._lock:
                self._woken[trader_id] = None
            self._news.set()

    def wake_all(self) -> None:
        """There may be news of anybody: wake-ups may have been lost."""
        self._look_at = 0.0
        self._news.set()

    def end(self) -> None:
        """Let `run` return."""
        self._ended = True
        self._news.set()

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Round after round, until `end`."""
        while not self._ended:
            try:
                pause = self.run_once(time.monotonic())
            except Exception:  # a fault in one round must not silence the feed for everybody
                log.exception("a round of the live feed failed; it goes on")
                pause = OUTAGE_SECONDS
            began = time.monotonic()
            self._news.wait(pause)
            # what else arrives meanwhile is read together with it
            time.sleep(max(0.0, min(ROUND_SECONDS, began + ROUND_SECONDS - time.monotonic())))
            self._news.clear()

    def run_once(self, now: float) -> float:
        """One round at `now` (seconds of the monotonic clock). Returns in how many seconds the next one is due."""
        with self._lock:
            woken, self._woken = self._woken, {}
        self._greet()
        try:
            if now >= self._look_at and len(self.connections):
                self._look_at_heads()
                self._look_at = now + (LOOK_SECONDS if self.wakeups_arrive else LOOK_SECONDS_WITHOUT_WAKEUPS)
            self._serve(woken)
        except (DatabaseUnavailable, LostRace) as error:
            self._behind.update(dict.fromkeys(self.connections.of(woken)))
            if not self._outage:
                log.warning("the database does not answer the live feed (%s); connections are kept", error)
            self._outage = True
            return OUTAGE_SECONDS
        if self._outage:
            log.warning("the database answers the live feed again")
            self._outage = False
        if self._arriving:
            return ARRIVAL_SECONDS
        if self._behind:
            return ROUND_SECONDS
        return max(0.0, self._look_at - time.monotonic()) if len(self.connections) else LOOK_SECONDS

    def _greet(self) -> None:
        """Who knows that it is connected gets `ready`, and counts as behind until a look has shown otherwise."""
        with self._lock:
            arriving, self._arriving = self._arriving, []
        waiting = []
        for connection in arriving:
            if connection not in self.connections:
                continue
            if self._sockets.is_connected(connection):
                self._sockets.send(connection, Framed(ready_frame(connection.head_seq)))
                connection.is_greeted = True
                self._behind[connection] = None
            else:
                waiting.append(connection)
        if waiting:
            with self._lock:
                self._arriving.extend(waiting)

    def _look_at_heads(self) -> None:
        cursors = {connection: connection.cursor for connection in self.connections.all() if connection.is_greeted}
        heads = self._events.heads(list({connection.trader_id for connection in cursors}))
        for connection, cursor in cursors.items():
            head = heads.get(connection.trader_id, 0)
            if cursor < head:
                self._behind[connection] = None
            elif cursor > head:
                # Only a database restored from before can do that. The client's next last_seq is answered SEQ_AHEAD.
                log.error(
                    "a live connection is ahead of the database",
                    extra={"sid": connection.sid, "cursor": cursor, "head_seq": head},
                )
                self._sockets.cut(connection, "ahead of the database")

    def _serve(self, woken: Iterable[UUID]) -> None:
        """Read what is missing, in one query, and send it."""
        ready: list[Connection] = [
            connection
            for connection in self.connections.of(woken)
            if connection.is_greeted and connection not in self._behind
        ]
        replays = 0
        for connection in list(self._behind):
            if connection not in self.connections:
                del self._behind[connection]
            elif self._sockets.has_room(connection):
                ready.append(connection)
                replays += 1
                if replays == REPLAYS_PER_ROUND:
                    break
        for connection in ready:
            self._behind[connection] = None  # until it is known to have everything
        readers = _readers(connection for connection in ready if self._sockets.has_room(connection))
        if not readers:
            return
        pages = self._events.pages(list(readers), PAGE_EVENTS)
        for connections, page in zip(readers.values(), pages, strict=True):
            self._deliver(connections, page)

    def _deliver(self, connections: Sequence[Connection], page: Sequence[tuple[int, bytes]]) -> None:
        """Send each connection what it lacks of the page; the same bytes to all that are at the same place."""
        frames = [order_frame(event) for _, event in page]
        first, last = (page[0][0], page[-1][0]) if page else (0, 0)
        if page and last - first + 1 != len(page):
            raise AssertionError(f"events between {first} and {last} are not numbered without gaps")
        tails: dict[int, Framed] = {}
        for connection in connections:
            self._behind.pop(connection, None)
            start = connection.cursor + 1 - first
            if page and connection.cursor < last:
                if start < 0:
                    raise AssertionError(f"event {connection.cursor + 1} is missing before event {first}")
                if start not in tails:
                    tails[start] = joined(frames[start:])
                connection.cursor = last
                connection.delivered += len(frames) - start
                self._sockets.send(connection, tails[start])
            if len(page) == PAGE_EVENTS:
                self._behind[connection] = None


def _readers(connections: Iterable[Connection]) -> dict[Place, list[Connection]]:
    """Which places to read, and who reads which: a trader's connections that are near each other share one."""
    readers: dict[Place, list[Connection]] = {}
    place = Place(UUID(int=0), 0)
    for connection in sorted(connections, key=lambda each: (each.trader_id, each.cursor)):
        if connection.trader_id != place.trader_id or connection.cursor >= place.after + PAGE_EVENTS:
            place = Place(connection.trader_id, connection.cursor)
        readers.setdefault(place, []).append(connection)
    return readers
