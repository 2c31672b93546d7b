"""An order that is read is the order that was written, in each of its fields."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import ExecutionPath, OpenAttempt, Order, OrderType, Side, TimeInForce
from app.storage import orders
from tests.domain.orders import NOON, an_order

OTHERS: dict[str, object] = {
    "symbol": "MSFT", "venue": "other", "idempotency_key": "another", "venue_order_id": "v-1", "alarm_code": "OVERFILL",
    "side": Side.SELL, "order_type": OrderType.STOP, "time_in_force": TimeInForce.GTC,
    "execution_path": ExecutionPath.PLAIN, "status": OrderStatus.PARTIAL, "execution_state": ExecutionState.CANCELLING,
    "open_attempts": (OpenAttempt(2, "me at home"),), "other_venue_orders": ("v-0",),
    "cancel_reason": Reason("A", "B."), "reason": Reason("C", "D."), "request_fingerprint": b"1", "log_hash": b"2",
}  # fmt: skip


def test_every_field_of_an_order_survives_being_stored() -> None:
    """A field that is read but not written, or written but not read, would come back as its default."""
    plain = an_order()
    given: dict[str, object] = {}
    for place, field in enumerate(fields(Order), 1):
        kind = str(field.type)
        if field.name in OTHERS:
            given[field.name] = OTHERS[field.name]
        elif "UUID" in kind:
            given[field.name] = UUID(int=place)
        elif "datetime" in kind:
            given[field.name] = NOON + timedelta(seconds=place)
        else:
            given[field.name] = Decimal(place) if "Decimal" in kind else place
        assert given[field.name] != getattr(plain, field.name), f"{field.name}: give another value than the usual one"
    order = plain.changed(**given)
    assert orders.from_row(tuple(orders._values(order))) == order
