"""kombu's Redis transport, with one client per channel instead of one per command, and no record of what is out.

A Redis client of redis-py registers some 170 callbacks when it is made, which costs more than the command it is made
for; kombu makes two per message. A client is only a view of its connection pool and is safe to keep.

kombu also writes each message that a worker takes into two keys and removes it at the end: eight of the fourteen
commands that an order cost. What that buys, a message again a minute after its worker was lost, the sweeper does
sooner by the order's due time (I2). So taken messages are only remembered by the worker that has them.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import redis, virtual
from redis.exceptions import ConnectionError as RedisConnectionError

from app.task_messages import is_ours

log = logging.getLogger(__name__)


class Taken(virtual.QoS):
    """The messages that this worker has taken and not finished; put back when it ends and the broker is there."""

    def restore_unacked(self) -> list[object]:
        # kombu would write what it could not put back to a file that nobody reads
        for error, _ in super().restore_unacked():  # type: ignore[no-untyped-call] # kombu has no types
            log.warning("a message was not put back (%s); its order goes on through the sweeper", error)
        return []


class Channel(redis.Channel):
    """A channel that keeps its synchronous client for as long as its connection pool."""

    _kept: tuple[object, Any] | None = None
    ack_emulation = False

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call] # as above
        self.QoS = Taken  # type: ignore[assignment] # kombu itself sets the general one here, untyped

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call] # kombu has no types
        pool = self.pool
        if self._kept is None or self._kept[0] is not pool:
            self._kept = (pool, super()._create_client())  # type: ignore[no-untyped-call] # as above
        return self._kept[1]

    def _brpop_read(self, **options: object) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call] # as above
        except (ValueError, RecursionError) as error:
            # What is taken here was put in by somebody else: it is gone from the queue, and must not end the worker,
            # whose next start would find the next one.
            log.error("a message that nobody can read was dropped (%s)", type(error).__name__)
            return True

    def _connparams(self, asynchronous: bool = False) -> Any:
        # kombu restores unacknowledged messages through a channel that is closed by then, and ends its process with
        # an AttributeError; a lost connection is what it is, and what the worker recovers from
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the channel is closed")
        return super()._connparams(asynchronous)  # type: ignore[no-untyped-call] # as above


class Transport(redis.Transport):
    """The transport for redis:// brokers. It delivers what Surefill's processes have sent, and nothing else."""

    Channel = Channel

    def _deliver(self, message: object, queue: object) -> None:
        if not is_ours(message):
            log.error("a message that is none of ours was dropped from the queue %s", queue)
            return
        super()._deliver(message, queue)  # type: ignore[no-untyped-call] # kombu has no types
