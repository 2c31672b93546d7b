"""The feed's loop: what PostgreSQL has and a socket has not is read and sent, in order, once (I8).

A wake-up, from wherever, only says where to look first. Each connection has a cursor, the seq of the last event that
was handed to its socket; what follows it is read from the database and only the event with the next number is sent.
So a lost wake-up delays until the next look at all heads, and a doubled, reordered or forged one changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from app.domain.changes import LostRace
from app.live.connections import Connection, Connections
from app.live.event_source import EventSource, Place
from app.live.frames import Framed, joined, order_frame, ready_frame
from app.storage.transaction import DatabaseUnavailable

log = logging.getLogger(__name__)

PAGE_EVENTS = 200
"""Events read for one place at a time. A socket holds at most four such pages: a megabyte for a slow client."""
EVENTS_PER_ROUND = 1000
"""Events read in one round, about: a client that catches up on a year must not delay what is new for the others."""
ROUND_SECONDS = 0.025
"""Rounds are at least this far apart: under load one query reads what the wake-ups of many events asked for."""
LOOK_SECONDS = 0.8
"""All heads are compared this often; the contract says once a second."""
LOOK_SECONDS_WITHOUT_WAKEUPS = 0.25
"""The same while no wake-ups arrive because Redis is away."""
OUTAGE_SECONDS = 0.25
"""The pause between attempts while the database cannot be reached."""


class EventMissing(Exception):
    """The database has a later event and not the next one. Nothing is sent rather than something skipped."""


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

    def __init__(
        self,
        connections: Connections,
        events: EventSource,
        sockets: Sockets,
        delivered: Callable[[bytes], None] = lambda event: None,
    ) -> None:
        self.connections = connections
        self.wakeups_arrive = False
        """Whether the subscription to wake-ups stands."""
        self._events = events
        self._sockets = sockets
        self._delivered = delivered
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._woken: dict[UUID, None] = {}
        self._arriving: list[Connection] = []
        # The loop's own: who lacks how many events at least, the one served longest ago first.
        self._behind: dict[Connection, int] = {}
        self._look_at = 0.0
        self._outage = False
        self._ended = False

    # -- for everybody -------------------------------------------------------------------------------------------------

    def join(self, connection: Connection) -> None:
        """A client has shown its key: it gets `ready` once it knows that it is connected, and then its events."""
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
            began = time.monotonic()
            try:
                pause = self.run_once(began)
            except Exception:  # a fault in one round must not silence the feed for everybody
                log.exception("a round of the live feed failed; it goes on")
                pause = OUTAGE_SECONDS
            if self._outage:
                time.sleep(pause)
            else:
                self._news.wait(pause)
                time.sleep(max(0.0, began + ROUND_SECONDS - time.monotonic()))
            self._news.clear()  # before the next round collects: what is set from now on is seen after it

    def run_once(self, now: float) -> float:
        """One round at `now` (seconds of the monotonic clock). Returns in how many seconds the next one is due."""
        with self._lock:
            woken, self._woken = self._woken, {}
        self._greet()
        news = [connection for connection in self.connections.of(woken) if connection.is_greeted]
        try:
            if now >= self._look_at and len(self.connections):
                self._look_at = now + (LOOK_SECONDS if self.wakeups_arrive else LOOK_SECONDS_WITHOUT_WAKEUPS)
                self._look_at_heads()
            self._serve(news)
        except (DatabaseUnavailable, LostRace) as error:
            for connection in news:
                self._behind.setdefault(connection, 1)
            self._look_at = 0.0
            if not self._outage:
                log.warning("the database does not answer the live feed (%s); connections are kept", error)
            self._outage = True
            return OUTAGE_SECONDS
        if self._outage:
            log.warning("the database answers the live feed again")
            self._outage = False
        if self._arriving or self._behind:
            return 0.0
        return max(0.0, self._look_at - time.monotonic()) if len(self.connections) else LOOK_SECONDS

    def _greet(self) -> None:
        """Who has been told that it is connected gets `ready`. It may lack events by now: it counts as behind."""
        with self._lock:
            arriving, self._arriving = self._arriving, []
        for connection in arriving:
            if connection not in self.connections:
                continue
            if self._sockets.is_connected(connection):
                self._sockets.send(connection, Framed(ready_frame(connection.head_seq)))
                connection.is_greeted = True
                self._behind[connection] = max(1, connection.head_seq - connection.cursor)
            else:
                with self._lock:
                    self._arriving.append(connection)

    def _look_at_heads(self) -> None:
        cursors = {connection: connection.cursor for connection in self.connections.all() if connection.is_greeted}
        if not cursors:
            return
        heads = self._events.heads(list({connection.trader_id for connection in cursors}))
        for connection, cursor in cursors.items():
            head = heads.get(connection.trader_id, 0)
            if cursor < head:
                self._behind[connection] = head - cursor
            elif cursor > head:
                # A database restored from before. The client comes back and is told SEQ_AHEAD.
                log.error(
                    "a live connection is ahead of the database",
                    extra={"sid": connection.sid, "cursor": cursor, "head_seq": head},
                )
                self._sockets.cut(connection, "ahead of the database")

    def _serve(self, news: Sequence[Connection]) -> None:
        """Read what is missing, in one query, and send it."""
        for connection in list(self._behind):
            if connection not in self.connections:
                del self._behind[connection]
        # In this order: who has just been woken, then who has waited longest.
        waiting = {connection: self._behind.get(connection, 1) for connection in news} | self._behind
        self._behind = waiting
        chosen = _chosen(_readers(filter(self._sockets.has_room, waiting)), waiting)
        if not chosen:
            return
        pages = self._events.pages(list(chosen), PAGE_EVENTS)
        for (place, connections), page in zip(chosen.items(), pages, strict=True):
            try:
                self._deliver(connections, page)
            except EventMissing as error:
                log.error("%s", error, extra={"trader_id": place.trader_id})
                for connection in connections:
                    self._sockets.cut(connection, "an event is missing in the database")

    def _deliver(self, connections: Sequence[Connection], page: Sequence[tuple[int, bytes]]) -> None:
        """Send each connection what it lacks of the page; the same bytes to all that are at the same place."""
        frames = [order_frame(event) for _, event in page]
        first, last = (page[0][0], page[-1][0]) if page else (1, 0)
        if last - first + 1 != len(page):
            raise EventMissing(f"there are {len(page)} events from {first} to {last}")
        tails: dict[int, Framed] = {}
        for connection in connections:
            self._behind.pop(connection, None)
            if connection.cursor < last:
                have = connection.cursor + 1 - first
                if have < 0:
                    raise EventMissing(f"the event after {connection.cursor} is {first}")
                if have not in tails:
                    tails[have] = joined(frames[have:])
                connection.cursor = last
                connection.delivered += len(frames) - have
                self._sockets.send(connection, tails[have])
                if last > connection.head_seq:
                    self._delivered(page[-1][1])  # it happened while the client listened
            if len(page) == PAGE_EVENTS:
                self._behind[connection] = PAGE_EVENTS  # there may be more; now it is the last in the line


def _readers(connections: Iterable[Connection]) -> dict[Place, list[Connection]]:
    """Which places to read, and who reads which: a trader's connections that are near each other share one."""
    readers: dict[Place, list[Connection]] = {}
    place: Place | None = None
    for connection in sorted(connections, key=lambda each: (each.trader_id, each.cursor)):
        if place is None or connection.trader_id != place.trader_id or connection.cursor >= place.after + PAGE_EVENTS:
            place = Place(connection.trader_id, connection.cursor)
        readers.setdefault(place, []).append(connection)
    return readers


def _chosen(
    readers: Mapping[Place, list[Connection]], waiting: Mapping[Connection, int]
) -> dict[Place, list[Connection]]:
    """As many of the places as one round reads, the ones first in the line first; at least one."""
    turn = {connection: number for number, connection in enumerate(waiting)}
    chosen: dict[Place, list[Connection]] = {}
    events = 0
    for place in sorted(readers, key=lambda each: min(turn[connection] for connection in readers[each])):
        events += min(PAGE_EVENTS, max(waiting[connection] for connection in readers[place]))
        if chosen and events > EVENTS_PER_ROUND:
            break
        chosen[place] = readers[place]
    return chosen
