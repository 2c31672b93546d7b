"""A key that is revoked or expires while it is connected loses its connections within two seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from app.domain.changes import LostRace
from app.domain.surroundings import Clock
from app.live.connections import Connection, Connections
from app.live.event_source import EventSource
from app.storage.transaction import DatabaseUnavailable

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0


class KeyWatch:
    """Looks at the keys of all connections again and again."""

    def __init__(
        self, connections: Connections, events: EventSource, clock: Clock, dismiss: Callable[[Connection, str], None]
    ) -> None:
        self._connections = connections
        self._events = events
        self._clock = clock
        self._dismiss = dismiss
        self._ended = threading.Event()

    def end(self) -> None:
        """Let `run` return."""
        self._ended.set()

    def run(self) -> None:
        """Look once a second, until `end`."""
        while not self._ended.wait(WATCH_SECONDS):
            try:
                self.run_once()
            except (DatabaseUnavailable, LostRace) as error:
                # Nobody knows whether they are valid. No event can be read now either.
                log.info("the keys of live connections could not be looked at: %s", error)
            except Exception:  # one fault must not end the watch
                log.exception("looking at the keys of live connections failed; it is tried again")

    def run_once(self) -> None:
        """Look once. Raises DatabaseUnavailable."""
        connections = self._connections.all()
        if not connections:
            return
        invalid = self._events.invalid_keys((each.key_hash for each in connections), self._clock.now())
        for connection in connections:
            if connection.key_hash in invalid:
                self._dismiss(connection, "its key is revoked or has expired")
