"""kombu's Redis transport, with one client per channel instead of one per command.

A Redis client of redis-py registers some 170 callbacks when it is made, which costs more than the command it is made
for; kombu makes two per message. A client is only a view of its connection pool and is safe to keep.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    """A channel that keeps its synchronous client for as long as its connection pool."""

    _kept: tuple[object, Any] | None = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call] # kombu has no types
        pool = self.pool
        if self._kept is None or self._kept[0] is not pool:
            self._kept = (pool, super()._create_client())  # type: ignore[no-untyped-call] # as above
        return self._kept[1]

    def _connparams(self, asynchronous: bool = False) -> Any:
        # kombu restores unacknowledged messages through a channel that is closed by then, and ends its process with
        # an AttributeError; a lost connection is what it is, and what the worker recovers from
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the channel is closed")
        return super()._connparams(asynchronous)  # type: ignore[no-untyped-call] # as above


class Transport(redis.Transport):
    """The transport for redis:// brokers."""

    Channel = Channel
