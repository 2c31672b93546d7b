"""Logs: one JSON object a line, UTC. Only fields that are named here leave, so no key or secret can by accident."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from app.observability.context import bound

FIELDS = frozenset({
    "after_seq", "average_fill_price", "client", "client_order_id", "code", "cursor", "event", "events", "failures",
    "execution_state", "filled_quantity", "head_seq", "key", "last_seq", "method", "ms", "order_id", "price",
    "quantity", "reason", "request_id", "route", "seconds", "seq", "sid", "side", "status", "symbol", "task_id",
    "timestamp", "trader_id", "transaction", "venue", "venue_order_id", "waiting_since",
})  # fmt: skip
"""What may stand in a line beside time, level, process, logger, message and exception."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonLines(logging.Formatter):
    """A JSON object a line: time, level, process, logger, message, what is worked on, and what is given as `extra`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **bound(),
        }
        line.update((name, value) for name, value in record.__dict__.items() if name not in _OWN and name in FIELDS)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def configure_logging(process: str, level: str) -> None:
    """Send this process's log to standard output."""
    # No line names thread, process number or source line, and finding them out for each costs more than writing it:
    # under gevent a thread object is made for every request (the logging module's own documentation, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the documented switch
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("kombu", "celery.worker.strategy", "celery.app.trace", "urllib3", "engineio", "socketio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What they say at DEBUG is what goes over the wire: signing in at the venue, passwords of connections.
    for talks_of_secrets in ("websockets", "redis", "amqp", "celery.pool", "asyncio"):
        logging.getLogger(talks_of_secrets).setLevel(logging.WARNING)
