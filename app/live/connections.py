"""Who listens in this process."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(eq=False, slots=True)
class Connection:
    """One client that listens."""

    sid: str
    """Socket.IO's name for it."""
    trader_id: UUID
    key_prefix: str
    key_hash: bytes = field(repr=False)
    head_seq: int
    """How many events the trader had when the connection began."""
    cursor: int
    """The seq of the last event that was handed to the socket. Only the feed's own loop moves it."""
    began_at: float
    """Seconds of the monotonic clock."""
    socket: Any = field(repr=False)
    """Engine.IO's record of the client."""
    is_greeted: bool = False
    """Whether it got its `ready`; no event goes before that."""
    delivered: int = 0
    """Events handed to the socket so far."""


class Connections:
    """All connections, by their name and by their trader. Safe to share between threads or greenlets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_sid: dict[str, Connection] = {}
        self._by_trader: dict[UUID, dict[Connection, None]] = {}

    def add(self, connection: Connection) -> None:
        with self._lock:
            self._by_sid[connection.sid] = connection
            self._by_trader.setdefault(connection.trader_id, {})[connection] = None

    def remove(self, sid: str) -> Connection | None:
        """The connection, if it was there."""
        with self._lock:
            connection = self._by_sid.pop(sid, None)
            if connection is not None:
                of_trader = self._by_trader[connection.trader_id]
                del of_trader[connection]
                if not of_trader:
                    del self._by_trader[connection.trader_id]
            return connection

    def of(self, traders: Iterable[UUID]) -> list[Connection]:
        """Every connection of these traders."""
        with self._lock:
            return [connection for trader_id in traders for connection in self._by_trader.get(trader_id, ())]

    def has(self, trader_id: UUID) -> bool:
        """Whether anybody listens to this trader's events here."""
        return trader_id in self._by_trader

    def traders(self) -> list[UUID]:
        """Every trader somebody listens to."""
        with self._lock:
            return list(self._by_trader)

    def all(self) -> Collection[Connection]:
        """Every connection."""
        with self._lock:
            return list(self._by_sid.values())

    def __contains__(self, connection: Connection) -> bool:
        return self._by_sid.get(connection.sid) is connection

    def __len__(self) -> int:
        return len(self._by_sid)
