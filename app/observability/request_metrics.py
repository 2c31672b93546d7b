"""How long requests and deliveries take, counted by the process that serves them.

Several web processes share a port, and whichever of them is scraped answers for all of this host: prometheus_client's
multiprocess mode keeps each process's figures in a file of its own below PROMETHEUS_MULTIPROC_DIR, which
gunicorn.conf.py sets before this module is imported. What is durable is not counted here (durable_metrics.py).
"""

from __future__ import annotations

import os
import time
from datetime import datetime

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

_registry = CollectorRegistry()

REQUESTS = Counter(
    "surefill_http_requests",
    "Requests, by route and status.",
    ["method", "route", "status"],
    registry=_registry,
)
REQUEST_SECONDS = Histogram(
    "surefill_http_request_seconds",
    "Time from a request's arrival in the application to its answer.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=_registry,
)
DELIVERY_SECONDS = Histogram(
    "surefill_event_delivery_seconds",
    "Time from an event's recorded time to its hand-over to a client's socket.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=_registry,
)
FAILED_SIGN_INS = Counter(
    "surefill_failed_sign_ins",
    "Requests and live connections with a key that is malformed, unknown, revoked or expired, or a wrong signature.",
    registry=_registry,
)
SOCKETS = Gauge("surefill_sockets", "Live connections that are open.", multiprocess_mode="livesum", registry=_registry)
# a route that has never failed shows its zero, so that a rate over it is a number
_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def answered(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one request. `route` is the rule, not the path; None is nowhere."""
    key = (method, route or "nowhere", status)
    child = _children.get(key)
    if child is None:
        child = _children[key] = (
            REQUESTS.labels(key[0], key[1], str(status)),
            REQUEST_SECONDS.labels(key[0], key[1]),
        )
    child[0].inc()
    child[1].observe(seconds)


class _Timed(msgspec.Struct):
    timestamp: datetime


_time_of = msgspec.json.Decoder(_Timed).decode


def event_delivered(event: bytes) -> None:
    """An event was handed to a socket that had waited for it."""
    DELIVERY_SECONDS.observe(max(0.0, time.time() - _time_of(event).timestamp.timestamp()))


def collected() -> CollectorRegistry:
    """A registry with the figures of every web process of this host, to be added to."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        everything = CollectorRegistry()
        everything.register(_registry)
        return everything
    everything = CollectorRegistry()
    MultiProcessCollector(everything)  # type: ignore[no-untyped-call] # it has no types
    return everything


def delivery_percentiles() -> tuple[int, float | None, float | None, float | None]:
    """How many events were handed to sockets, and within how many seconds half, 95 % and 99 % of them were.

    Upper edges of the histogram's buckets: never better than the truth.
    """
    buckets: dict[float, float] = {}
    for family in collected().collect():
        if family.name == "surefill_event_delivery_seconds":
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    buckets[float(sample.labels["le"])] = sample.value
    edges = sorted(buckets)
    count = buckets[edges[-1]] if edges else 0
    if not count:
        return 0, None, None, None

    def within(share: float) -> float | None:
        edge = next(edge for edge in edges if buckets[edge] >= share * count)
        return None if edge == float("inf") else edge

    return int(count), within(0.5), within(0.95), within(0.99)
