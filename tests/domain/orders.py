"""An order for tests of the pure rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.domain.audit_chain import GENESIS
from app.domain.order_states import ExecutionState, OrderStatus
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
        status=OrderStatus.PENDING,
        execution_state=ExecutionState.QUEUED,
        filled_quantity=Decimal(0),
        filled_notional=Decimal(0),
        average_fill_price=None,
        attempts=0,
        retries_used=0,
        fence=0,
        due_at=NOON,
        not_founds=0,
        open_attempts=(),
        refused_at=None,
        send_ended_at=None,
        client_id_known_at=None,
        cancel_sent_at=None,
        stray_due_at=None,
        venue_order_id=None,
        cancel_requested_at=None,
        cancel_reason=None,
        abandoned_at=None,
        reason=None,
        alarm_code=None,
        log_seq=0,
        log_hash=GENESIS,
        version=1,
        created_at=NOON,
        updated_at=NOON,
        expires_at=None,
        closed_at=None,
    )
    return replace(order, **changes)  # type: ignore[arg-type] # named after the fields
