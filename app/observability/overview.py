"""How the whole system is, for the operations page and for /metrics: read when asked for, at most every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import redis

from app.domain.documents import Json
from app.observability.durable_metrics import DATABASE_FAULTS, Kept
from app.observability.heartbeats import ProcessSeen, processes
from app.storage import operations_reads
from app.storage.operations_reads import Durable
from app.storage.transaction import Database

NUMBERS_SECONDS = 2.0
CHARTS_SECONDS = 10.0
QUEUES = ("orders", "cancels", "reconciliations")


class Overview:
    """`database` has the compliance login, `market` the API's; both are made on first use.

    `broker` is the client of a Redis broker; None where the broker is another one, whose queues are not asked.
    """

    def __init__(
        self,
        *,
        database: Callable[[], Database],
        market: Callable[[], Database],
        redis_client: redis.Redis,
        broker: redis.Redis | None,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._redis = redis_client
        self._broker = broker
        faults = (redis.RedisError,)
        self._now = now
        self.durable: Kept[Durable] = Kept(
            lambda: operations_reads.read_durable(database(), now()), NUMBERS_SECONDS, DATABASE_FAULTS
        )
        self.minutes: Kept[list[Json]] = Kept(
            lambda: operations_reads.read_minutes(database(), now()), CHARTS_SECONDS, DATABASE_FAULTS
        )
        self.waiting: Kept[list[Json]] = Kept(
            lambda: operations_reads.read_waiting(database(), now()), NUMBERS_SECONDS, DATABASE_FAULTS
        )
        self.market: Kept[tuple[int, datetime | None, int]] = Kept(
            lambda: operations_reads.read_market(market()), NUMBERS_SECONDS, DATABASE_FAULTS
        )
        self.processes: Kept[list[ProcessSeen]] = Kept(lambda: processes(redis_client), NUMBERS_SECONDS, faults)
        self.queues: Kept[dict[str, int] | None] = Kept(self._queue_lengths, NUMBERS_SECONDS, faults)
        self.redis: Kept[bool] = Kept(lambda: bool(redis_client.ping()), NUMBERS_SECONDS, faults)

    def owner_of(self, order_id: UUID) -> UUID | None:
        """Whose order it is. Raises DatabaseUnavailable."""
        return operations_reads.owner_of(self._database(), order_id)

    def venue_silent_seconds(self) -> float | None:
        """Since the venue last confirmed a quote; None where that is not known."""
        market = self.market.get()
        if market is None or market[1] is None:
            return None
        return max(0.0, (self._now() - market[1]).total_seconds())

    def _queue_lengths(self) -> dict[str, int] | None:
        if self._broker is None:
            return None
        with self._broker.pipeline(transaction=False) as pipeline:
            for name in QUEUES:
                pipeline.llen(name)
            return dict(zip(QUEUES, pipeline.execute(), strict=True))
