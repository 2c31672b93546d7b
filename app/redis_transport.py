"""kombu's Redis transport, with one client per channel instead of one per command, and no record of what is out.

A Redis client of redis-py registers some 170 callbacks when it is made, which costs more than the command it is made
for; kombu makes two per message. A client is only a view of its connection pool and is safe to keep.

kombu also writes each message that a worker takes into two keys and removes it at the end: eight of the fourteen
commands that an order cost. What that buys, a message again a minute after its worker was lost, the sweeper does
sooner by the order's due time (I2). So taken messages are only remembered by the worker that has them.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual
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


class SentinelChannel(Channel, redis.SentinelChannel):
    """The same, to whichever server the sentinels name."""


class _OnlyOurs(redis.Transport):
    """Delivers what Surefill's processes have sent, and nothing else."""

    def _deliver(self, message: object, queue: object) -> None:
        if not is_ours(message):
            log.error("a message that is none of ours was dropped from the queue %s", queue)
            return
        super()._deliver(message, queue)  # type: ignore[no-untyped-call] # kombu has no types


class Transport(_OnlyOurs):
    """The transport for redis:// and rediss:// brokers."""

    Channel = Channel


class SentinelTransport(_OnlyOurs, redis.SentinelTransport):
    """The transport for sentinel:// brokers."""

    Channel = SentinelChannel


_OF_SENTINELS = "app.redis_transport:SentinelTransport"
# kombu takes the transport from the address again when one sentinel is away and it turns to the next
TRANSPORT_ALIASES["sentinel"] = _OF_SENTINELS


def transport_of(broker_url: str) -> str | None:
    """Celery's `broker_transport`; None: the one that kombu has for the address."""
    if broker_url.startswith(("redis://", "rediss://")):
        return "app.redis_transport:Transport"
    return _OF_SENTINELS if broker_url.startswith("sentinel://") else None


def tls_of(broker_url: str) -> dict[str, Any] | None:
    """Celery's `broker_use_ssl`: the server has to prove who it is. `ssl_…` words in the address come first."""
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} if broker_url.startswith("rediss://") else None
