"""A worker's connection to the task broker, tried again every second for as long as the broker is away.

kombu waits 2 s after the first failure, then 4, then 6 and so on up to 30, and Celery has no setting for it: after a
minute's outage a worker stood idle for up to 16 s beside a full queue, after ten minutes for half a minute. One attempt
a second costs nothing, and bounds what an outage takes beyond its own length.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection

TRY_AGAIN_SECONDS = 1.0


class BrokerConnection(Connection):
    """kombu's connection, whose attempts come as often after an hour as in the first moment."""

    def ensure_connection(self, *args: object, **options: object) -> Any:
        """Connect; raises kombu.exceptions.OperationalError once `max_retries` is reached, by default never."""
        steady = {"interval_start": TRY_AGAIN_SECONDS, "interval_step": 0.0, "interval_max": TRY_AGAIN_SECONDS}
        return super().ensure_connection(*args, **{**steady, **options})  # type: ignore[no-untyped-call] # no types


class Amqp(AMQP):  # type: ignore[misc] # it has no types
    """Celery's messaging with these connections."""

    Connection = BrokerConnection
