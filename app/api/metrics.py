"""`/metrics`: figures for Prometheus. No key is needed; there is nothing in it about a trader or an order."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response
from prometheus_client import generate_latest

from app.api.description import Operation, described
from app.observability.durable_metrics import DurableMetrics
from app.observability.overview import Overview
from app.observability.request_metrics import collected


def metrics(overview: Callable[[], Overview]) -> Blueprint:
    """The route."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    @described(Operation(group="Health", answers={200: str}, media=("text/plain",)))
    def scrape() -> Response:
        """Figures of this host's web processes and of the whole system, in Prometheus' text format."""
        seen = overview()
        registry = collected()
        registry.register(
            DurableMetrics(
                seen.durable.get,
                seen.processes.get,
                seen.queues.get,
                lambda: bool(seen.redis.get()),
                seen.venue_silent_seconds,
            )
        )
        return Response(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")

    return blueprint
