"""An order and its events as programs see them: plain JSON values, decimals as strings, times RFC 3339 UTC."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from app.domain.audit_chain import time_text
from app.domain.halts import Halt
from app.domain.money import plain
from app.domain.order_events import Reason
from app.domain.orders import Order

Json = dict[str, object]


def decimal_or_none(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def time_or_none(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)


def reason_document(reason: Reason | None) -> Json | None:
    return None if reason is None else {"code": reason.code, "message": reason.message}


def halt_document(halt: Halt) -> Json:
    """A halt's public form."""
    return {
        "id": str(halt.id),
        "scope": halt.scope,
        "trader_id": None if halt.trader_id is None else str(halt.trader_id),
        "symbol": halt.symbol,
        "code": halt.code,
        "reason": halt.reason,
        "cancel_exits": halt.cancel_exits,
        "halted_by": halt.halted_by,
        "created_at": time_text(halt.created_at),
        "lifted_at": time_or_none(halt.lifted_at),
        "lifted_by": halt.lifted_by,
        "lift_reason": halt.lift_reason,
    }


def order_document(order: Order) -> Json:
    """The order's public form, without its fills."""
    return {
        "id": str(order.id),
        "trader_id": str(order.trader_id),
        "symbol": order.symbol,
        "side": order.side,
        "quantity": plain(order.quantity),
        "order_type": order.order_type,
        "price": decimal_or_none(order.price),
        "stop_loss": decimal_or_none(order.stop_loss),
        "take_profit": decimal_or_none(order.take_profit),
        "time_in_force": order.time_in_force,
        "max_slippage_bps": order.max_slippage_bps,
        "max_wait_seconds": order.max_wait_seconds,
        "status": order.status,
        "execution_state": order.execution_state,
        "filled_quantity": plain(order.filled_quantity),
        "average_fill_price": decimal_or_none(order.average_fill_price),
        "attempts": order.attempts,
        "reason": reason_document(order.reason),
        "venue": order.venue,
        "venue_order_id": order.venue_order_id,
        "parent_id": None if order.parent_id is None else str(order.parent_id),
        "unprotected": order.is_unprotected,
        "amendment": None
        if order.amend_requested_at is None
        else {"price": decimal_or_none(order.amend_price), "quantity": decimal_or_none(order.amend_quantity)},
        "version": order.version,
        "created_at": time_text(order.created_at),
        "updated_at": time_text(order.updated_at),
        "expires_at": time_or_none(order.expires_at),
        "closed_at": time_or_none(order.closed_at),
    }
