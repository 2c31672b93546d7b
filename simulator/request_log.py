"""The request log: what reached the venue, in which order, and what the sender got for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulator.figures import moment

ANSWERED = "answered"
NO_REPLY = "no_reply"
CUT = "cut"
WAITING = "waiting"
"""The request was swallowed and will take effect later (late_accept)."""
LATE = "took_effect_late"
"""A swallowed request took effect, unknown to its sender."""


@dataclass
class LoggedRequest:
    """One request, or the late effect of one.

    `status` is what the sender was told, None when nothing. `effect` is what a well-behaved venue would have answered,
    None when nothing was done. `milliseconds` is the time from arrival to outcome; `sequence` follows the outcomes.
    """

    sequence: int
    received_at: datetime
    method: str
    path: str
    operation: str
    client_order_id: str | None
    order_id: str | None
    status: int | None
    code: int | None
    effect: int | None
    outcome: str
    fault: str | None
    milliseconds: float

    def row(self) -> tuple[Any, ...]:
        """The values in the order of the table's columns."""
        return (
            self.sequence,
            moment(self.received_at),
            self.method,
            self.path,
            self.operation,
            self.client_order_id,
            self.order_id,
            self.status,
            self.code,
            self.effect,
            self.outcome,
            self.fault,
            round(self.milliseconds, 3),
        )
