"""An order for tests of the pure rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.domain.orders import ExecutionPath, Order, OrderType, Side, TimeInForce

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
ORDER_ID = UUID("018d0000-0000-7000-8000-000000000001")


def an_order(**changes: object) -> Order:
    order = Order(
        id=ORDER_ID,
        trader_id=UUID("018d0000-0000-7000-8000-0000000000aa"),
        idempotency_key="key",
        request_fingerprint=b"",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(100),
        order_type=OrderType.LIMIT,
        price=Decimal("150.25"),
        stop_loss=None,
        take_profit=None,
        time_in_force=TimeInForce.DAY,
        max_slippage_bps=None,
        max_wait_seconds=None,
        venue="fake",
        parent_id=None,
        execution_path=ExecutionPath.V2,
        reservation_price=Decimal("150.25"),
        price_bound=None,
        due_at=NOON,
        created_at=NOON,
        updated_at=NOON,
        expires_at=None,
    )
    return replace(order, **changes)  # type: ignore[arg-type] # named after the fields
