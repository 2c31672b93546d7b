"""The exits of a position: the order that sells, at a profit or a loss, what an entry has bought."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.domain.audit_chain import GENESIS
from app.domain.money import ZERO
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import Order, OrderType, Side, TimeInForce


def exit_of(entry: Order, quantity: Decimal, exit_id: UUID, number: int, now: datetime, due_at: datetime) -> Order:
    """The exit for so many units of what an entry has bought; both prices make it a pair.

    Its idempotency key has spaces, which no client's key may have.
    """
    pair = entry.stop_loss is not None and entry.take_profit is not None
    stop_only = entry.take_profit is None
    return replace(
        entry,
        id=exit_id,
        parent_id=entry.id,
        idempotency_key=f"exit {entry.id} {number}",
        side=Side.SELL if entry.side is Side.BUY else Side.BUY,
        quantity=quantity,
        order_type=OrderType.STOP if stop_only else OrderType.LIMIT,
        price=entry.stop_loss if stop_only else entry.take_profit,
        stop_loss=entry.stop_loss if pair else None,
        take_profit=None,
        time_in_force=TimeInForce.GTC,  # it protects as long as the position lasts
        max_slippage_bps=None,
        max_wait_seconds=None,
        price_bound=None,
        reservation_price=ZERO,
        status=OrderStatus.PENDING,
        execution_state=ExecutionState.QUEUED,
        filled_quantity=ZERO,
        filled_notional=ZERO,
        average_fill_price=None,
        attempts=0,
        retries_used=0,
        fence=0,
        due_at=due_at,
        not_founds=0,
        open_attempts=(),
        refused_at=None,
        send_ended_at=None,
        client_id_known_at=None,
        cancel_sent_at=None,
        stray_due_at=None,
        venue_order_id=None,
        other_venue_orders=(),
        replacements=0,
        attempts_before=0,
        filled_before=ZERO,
        amend_requested_at=None,
        amend_quantity=None,
        amend_price=None,
        amend_reservation_price=None,
        covered_quantity=ZERO,
        cancel_requested_at=None,
        cancel_reason=None,
        abandoned_at=None,
        reason=None,
        alarm_code=None,
        log_seq=0,
        log_hash=GENESIS,
        version=1,
        created_at=now,
        updated_at=now,
        expires_at=None,
        closed_at=None,
    )
