"""What happened to orders, one line each, in the process that did it and after its commit.

Success criteria are read off these lines and off the database; both say the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.domain.orders import Order
from app.domain.surroundings import Wakeups

log = logging.getLogger("surefill.orders")

BY_TRADER = "USER_REQUEST"

_NAMES = {
    "order.submitted": "order.submitted",
    "order.executed": "order.executed",
    "order.filled": "order.filled",
    "order.recovered": "order.recovered",
    "order.in_doubt": "order.in_doubt",
    "order.rejected": "order.failed",
    "order.needs_attention": "order.failed",
}
"""Event of the feed -> event of the log, as the requirements name them; the others are said at level DEBUG."""


class _Reason(msgspec.Struct):
    code: str


class _Event(msgspec.Struct):
    seq: int
    event: str
    order_id: str
    status: str
    execution_state: str
    filled_quantity: str
    reason: _Reason | None


_decode = msgspec.json.Decoder(_Event).decode


class LoggedWakeups:
    """Wake-ups that leave a line in the log for what they tell."""

    def __init__(self, wakeups: Wakeups) -> None:
        self._wakeups = wakeups

    def work(self, order: Order) -> None:
        self._wakeups.work(order)

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        self._wakeups.events(trader_id, events)
        if log.isEnabledFor(logging.INFO):
            for event in events:
                _say(trader_id, event)


def _say(trader_id: UUID, document: bytes) -> None:
    try:
        event = _decode(document)
    except msgspec.DecodeError:  # it is committed: a line that cannot be written must not look like a failure of it
        log.exception("an event is not of its form", extra={"trader_id": str(trader_id)})
        return
    name = _NAMES.get(event.event)
    if event.event == "order.cancelled" and event.reason is not None and event.reason.code == BY_TRADER:
        name = "order.cancelled_by_trader"
    level = logging.DEBUG if name is None else logging.INFO
    if log.isEnabledFor(level):
        log.log(
            level,
            name or event.event,
            extra={
                "event": name or event.event,
                "seq": event.seq,
                "order_id": event.order_id,
                "trader_id": str(trader_id),
                "status": event.status,
                "execution_state": event.execution_state,
                "filled_quantity": event.filled_quantity,
                "code": None if event.reason is None else event.reason.code,
            },
        )
