"""Figures of all processes at once: what the database, Redis and the heartbeats say when somebody asks.

They are read at most every few seconds, however often and by however many they are asked for. What cannot be read is
left out and `surefill_up` says so: a gap in a graph is the truth, and a zero would be a lie.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.domain.changes import LostRace
from app.observability.heartbeats import ProcessSeen
from app.storage.operations_reads import Durable, Percentiles
from app.storage.transaction import DatabaseUnavailable

T = TypeVar("T")

log = logging.getLogger(__name__)


class Kept(Generic[T]):
    """What was read a moment ago, for all who ask meanwhile; one reads, the others wait for it.

    An error is kept for as long, so that a service that is down is not asked by everybody in turn.
    """

    def __init__(self, read: Callable[[], T], seconds: float, errors: tuple[type[Exception], ...]) -> None:
        self._read, self._seconds, self._errors = read, seconds, errors
        self._lock = threading.Lock()
        self._until = 0.0
        self._value: T | None = None

    def get(self) -> T | None:
        """The value; None where it cannot be read."""
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._value = self._read()
                except self._errors as error:
                    log.warning("a figure cannot be read: %s", error)
                    self._value = None
                self._until = time.monotonic() + self._seconds
            return self._value


DATABASE_FAULTS: tuple[type[Exception], ...] = (DatabaseUnavailable, LostRace)

HELP = {
    "submitted": "orders accepted", "refused": "requests refused by validation or rules", "sent": "first attempts",
    "sent_again": "automatic and asked-for retries", "executed": "orders accepted by a venue",
    "in_doubt": "attempts without a definite answer", "recovered": "orders found at the venue after doubt",
    "filled": "orders wholly filled", "needs_attention": "orders whose retries are spent",
}  # fmt: skip


class DurableMetrics(Collector):
    """Metrics made of what was read."""

    def __init__(
        self,
        durable: Callable[[], Durable | None],
        processes: Callable[[], list[ProcessSeen] | None],
        queues: Callable[[], dict[str, int] | None],
        redis_answers: Callable[[], bool],
        venue_silent_seconds: Callable[[], float | None],
    ) -> None:
        self._durable = durable
        self._processes = processes
        self._queues = queues
        self._redis_answers = redis_answers
        self._venue_silent_seconds = venue_silent_seconds

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []  # nothing is read when the collector is registered

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        durable = self._durable()
        up = GaugeMetricFamily("surefill_up", "Whether a service answers: 1 or 0.", labels=["service"])
        up.add_metric(["database"], float(durable is not None))
        up.add_metric(["redis"], float(self._redis_answers()))
        yield up
        if durable is not None:
            yield from _of_database(durable)
        yield from self._of_processes()
        queues = self._queues()
        if queues is not None:
            depth = GaugeMetricFamily("surefill_queue_messages", "Task messages that wait.", labels=["queue"])
            for name, count in queues.items():
                depth.add_metric([name], count)
            yield depth
        silent = self._venue_silent_seconds()
        if silent is not None:
            yield GaugeMetricFamily(
                "surefill_venue_silent_seconds", "Time since the venue last confirmed a quote.", value=silent
            )

    def _of_processes(self) -> Iterator[GaugeMetricFamily]:
        processes = self._processes()
        if processes is None:
            return
        alive = GaugeMetricFamily("surefill_processes", "Processes that say they are alive.", labels=["process"])
        counted = Counter(each.who.process for each in processes if each.is_alive)
        for name in ("web", "worker", "listener", "sweeper", "quotes", "sequencer"):
            alive.add_metric([name], counted[name])
        yield alive


def _of_database(durable: Durable) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    happened = CounterMetricFamily(
        "surefill_order_events", "What happened to orders since the beginning, by the audit log.", labels=["event"]
    )
    for event, total in durable.totals.items():
        happened.add_metric([event], total)
    yield happened
    still_open = GaugeMetricFamily("surefill_orders_open", "Open orders by execution state.", labels=["state"])
    overdue = GaugeMetricFamily("surefill_orders_overdue", "Orders due for more than 5 s.", labels=["state"])
    unchanged = GaugeMetricFamily(
        "surefill_orders_unchanged_seconds",
        "Since the longest resting order last changed.",
        labels=["state"],
    )
    for state in ("QUEUED", "SENDING", "IN_DOUBT", "WORKING", "CANCELLING", "NEEDS_ATTENTION"):
        each = durable.open.get(state)
        still_open.add_metric([state], each.count if each else 0)
        overdue.add_metric([state], each.overdue if each else 0)
        unchanged.add_metric([state], each.longest_unchanged_seconds if each else 0)
    yield from (still_open, overdue, unchanged)
    yield GaugeMetricFamily(
        "surefill_oldest_overdue_seconds",
        "How long ago the most overdue order was due; 0 when none is.",
        value=durable.oldest_overdue_seconds,
    )
    yield GaugeMetricFamily(
        "surefill_books_unchecked_seconds",
        "Since the books were last compared with the venue's, which is done once a day.",
        value=durable.books_unchecked_seconds,
    )
    yield _quantiles("surefill_submit_to_filled_seconds", "MARKET orders of the last 5 minutes.", durable.filled)
    yield _quantiles(
        "surefill_submit_to_confirmed_seconds",
        "From acceptance to the venue's answer, 5 minutes.",
        durable.confirmed,
    )
    answers = GaugeMetricFamily(
        "surefill_venue_calls_recent", "Calls for orders of the last 5 minutes.", labels=["kind", "outcome"]
    )
    for (kind, outcome), (count, _, _) in durable.attempts.items():
        answers.add_metric([kind, outcome], count)
    yield answers


def _quantiles(name: str, meaning: str, measured: Percentiles) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=["quantile"])
    for quantile, value in (("0.5", measured.p50), ("0.95", measured.p95), ("0.99", measured.p99)):
        if value is not None:
            family.add_metric([quantile], value)
    return family
