"""Our own limit on calls to a venue, so that we stop before it makes us.

Cancels and look-ups come first: a submit may use only part of the allowance, so that a burst of new orders never takes
from us the means to cancel one or to learn what became of one.
"""

from __future__ import annotations

import logging
import time
from enum import StrEnum
from typing import Protocol

from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

_LOG = logging.getLogger(__name__)

# What new orders and market data leave over for cancels and look-ups: a quarter, at least one call.
_KEPT_BACK_DIVISOR = 4
_REDIS_SECONDS = 0.5  # the limit is not worth waiting longer for than the venue itself would take
_REDIS_PAUSE_SECONDS = 10.0  # one slow answer in that time, not one with every call


class Urgency(StrEnum):
    FIRST = "first"  # cancels and look-ups
    LAST = "last"  # submits, quotes, instruments


class Throttle(Protocol):
    def take(self, allowance: str, urgency: Urgency) -> float | None:
        """Use one call of the named allowance. None: go. Otherwise the seconds until it is worth trying again."""
        ...


class MovingWindowThrottle:
    """At most `calls` in any `seconds`, over all processes that share the Redis, over this one without a Redis.

    A Redis that is down limits nobody's trading: each process then keeps the same limit by itself, and says so.
    """

    def __init__(self, calls: int, seconds: int, *, name: str, redis_url: str | None = None) -> None:
        """`name` is the venue account that the limit belongs to. Raises ValueError for a limit below 2 calls."""
        if calls < 2 or seconds < 1:
            raise ValueError("a throttle needs at least 2 calls in at least 1 second")
        self._name = name
        self._seconds = seconds
        self._all = RateLimitItemPerSecond(calls, seconds)
        self._postponable = RateLimitItemPerSecond(calls - max(1, calls // _KEPT_BACK_DIVISOR), seconds)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared: MovingWindowRateLimiter | None = None
        self._redis_url = redis_url
        self._ask_redis_from = 0.0

    def take(self, allowance: str, urgency: Urgency) -> float | None:
        if self._redis_url is not None and time.monotonic() >= self._ask_redis_from:
            try:
                if self._shared is None:
                    self._shared = _over_redis(self._redis_url)
                return self._take(self._shared, allowance, urgency)
            except StorageError as error:
                self._ask_redis_from = time.monotonic() + _REDIS_PAUSE_SECONDS
                _LOG.warning("the venue throttle of this process stands alone, its Redis does not answer: %s", error)
        return self._take(self._own, allowance, urgency)

    def _take(self, limiter: MovingWindowRateLimiter, allowance: str, urgency: Urgency) -> float | None:
        key = (self._name, allowance)
        if urgency is Urgency.LAST and not limiter.hit(self._postponable, *key, "postponable"):
            return self._until_reset(limiter, self._postponable, *key, "postponable")
        if not limiter.hit(self._all, *key, "all"):
            return self._until_reset(limiter, self._all, *key, "all")
        return None

    def _until_reset(self, limiter: MovingWindowRateLimiter, item: RateLimitItemPerSecond, *key: str) -> float:
        reset = limiter.get_window_stats(item, *key).reset_time
        return min(max(reset - time.time(), 0.05), float(self._seconds))


def _over_redis(url: str) -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(
        RedisStorage(url, wrap_exceptions=True, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS)
    )
