"""Redis tells at once that there is news of a trader. What it says beyond that is not looked at."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

PATTERN = "orders:*"
_CHANNEL = re.compile(rb"orders:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\r\n")
_LONGEST_PART = len(b"orders:") + 36 + len(b"\r\n") - 1
"""So much of a channel's name may have arrived without its end."""

_PING_SECONDS = 1.0
_SILENT_SECONDS = 3.0
"""A Redis that does not even answer a ping for this long is away, although the connection stands."""
_AWAY_SECONDS = 0.5
_REST_SECONDS = 0.008
"""What arrives within it is read at once: under load that is ten messages for the price of one."""


def subscription_client(redis_url: str) -> redis.Redis:
    """A client that notices within seconds that Redis is gone, a silent half-open connection included."""
    return redis.Redis.from_url(
        redis_url,
        socket_timeout=_PING_SECONDS,
        socket_connect_timeout=1.0,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),  # losing the connection is news: messages were lost with it
    )


class WakeupSubscriber:
    """Keeps one subscription to every trader's channel, and tells who was woken.

    Once subscribed it reads the bytes themselves and looks for channels' names in them. Parsing every message, which
    carries a whole event that nobody here wants, costs ten times as much, and each process gets each message. A name
    inside of a message wakes somebody for nothing, which does no harm.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        wake: Callable[[UUID], None],
        wake_all: Callable[[], None],
        stands: Callable[[bool], None],
    ) -> None:
        self._client = client
        self._wake = wake
        self._wake_all = wake_all
        self._stands = stands
        self._ended = False
        self._away = False

    def end(self) -> None:
        """Let `run` return within a second or so."""
        self._ended = True

    def run(self) -> None:
        """Subscribe, listen, and begin again whenever Redis was away, until `end`."""
        while not self._ended:
            try:
                connection = self._client.connection_pool.get_connection()
                try:
                    self._listen(connection)
                finally:
                    connection.disconnect()  # type: ignore[no-untyped-call] # its types lack it
                    self._client.connection_pool.release(connection)
            except (redis.RedisError, OSError) as error:
                self._stands(False)
                if not self._away:
                    log.warning("Redis is away (%s); live events take a quarter of a second longer", error)
                self._away = True
                time.sleep(_AWAY_SECONDS)

    def _listen(self, connection: Any) -> None:
        connection.send_command("PSUBSCRIBE", PATTERN)
        connection.read_response(push_request=True)
        if self._away:
            log.warning("Redis is back; live events are woken again")
        self._away = False
        self._stands(True)
        self._wake_all()  # whatever was published before is lost
        socket = connection._sock  # redis-py offers no way to read without parsing
        rest = b""
        heard_at = time.monotonic()
        while not self._ended:
            try:
                data = socket.recv(1 << 16)
            except TimeoutError:
                if time.monotonic() - heard_at > _SILENT_SECONDS:
                    raise
                connection.send_command("PING")
                continue
            if not data:
                raise ConnectionError("it closed the connection")
            heard_at = time.monotonic()
            rest += data
            for trader_id in dict.fromkeys(_CHANNEL.findall(rest)):
                self._wake(UUID(trader_id.decode()))
            rest = rest[-_LONGEST_PART:]
            time.sleep(_REST_SECONDS)
