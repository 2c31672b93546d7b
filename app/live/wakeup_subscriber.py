"""Redis tells at once that there is news of a trader. What it says beyond that is not looked at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

PATTERN = "orders:*"
_PREFIX = b"orders:"
_LISTEN_SECONDS = 1.0
_AWAY_SECONDS = 0.5


def subscription_client(redis_url: str) -> redis.Redis:
    """A client that notices within seconds that Redis is gone, a silent half-open connection included."""
    return redis.Redis.from_url(
        redis_url,
        socket_timeout=2.0,
        socket_connect_timeout=1.0,
        socket_keepalive=True,
        health_check_interval=3,
        retry=Retry(NoBackoff(), 0),  # losing the connection is news: messages were lost with it
    )


class WakeupSubscriber:
    """Keeps one subscription to every trader's channel, and tells who was woken."""

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

    def end(self) -> None:
        """Let `run` return within a second or so."""
        self._ended = True

    def run(self) -> None:
        """Subscribe, listen, and begin again whenever Redis was away, until `end`."""
        away = False
        while not self._ended:
            try:
                with self._client.pubsub() as pubsub:  # type: ignore[no-untyped-call] # its types lack it
                    pubsub.psubscribe(PATTERN)
                    while not self._ended:
                        message = pubsub.get_message(timeout=_LISTEN_SECONDS)
                        if message is None:
                            continue
                        if message["type"] == "psubscribe":
                            self._begin(away)
                            away = False
                        elif message["type"] == "pmessage":
                            self._heard(message["channel"])
            except (redis.RedisError, OSError) as error:
                self._stands(False)
                if not away:
                    log.warning("Redis is away (%s); live events take a quarter of a second longer", error)
                away = True
                time.sleep(_AWAY_SECONDS)

    def _begin(self, was_away: bool) -> None:
        if was_away:
            log.warning("Redis is back; live events are woken again")
        self._stands(True)
        self._wake_all()  # whatever was published before is lost

    def _heard(self, channel: bytes) -> None:
        try:
            trader_id = UUID(channel.removeprefix(_PREFIX).decode("ascii"))
        except ValueError:
            return  # anybody may publish on a channel with such a name; it is no trader's
        self._wake(trader_id)
