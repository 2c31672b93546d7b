"""The exits of a position: the order that sells, at a profit or a loss, what an entry has bought."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.domain.money import ZERO
from app.domain.orders import Order, OrderType, Side, TimeInForce


def exit_of(entry: Order, quantity: Decimal, exit_id: UUID, number: int, now: datetime, due_at: datetime) -> Order:
    """The exit for so many units of what an entry has bought; both prices make it a pair.

    Its idempotency key has spaces, which no client's key may have.
    """
    pair = entry.stop_loss is not None and entry.take_profit is not None
    stop_only = entry.take_profit is None
    return Order(
        id=exit_id,
        trader_id=entry.trader_id,
        idempotency_key=f"exit {entry.id} {number}",
        request_fingerprint=entry.request_fingerprint,
        symbol=entry.symbol,
        side=Side.SELL if entry.side is Side.BUY else Side.BUY,
        quantity=quantity,
        order_type=OrderType.STOP if stop_only else OrderType.LIMIT,
        price=entry.stop_loss if stop_only else entry.take_profit,
        stop_loss=entry.stop_loss if pair else None,
        take_profit=None,
        time_in_force=TimeInForce.GTC,  # it protects as long as the position lasts
        max_slippage_bps=None,
        max_wait_seconds=None,
        venue=entry.venue,
        parent_id=entry.id,
        execution_path=entry.execution_path,
        reservation_price=ZERO,
        price_bound=None,
        created_at=now,
        updated_at=now,
        expires_at=None,
        due_at=due_at,
    )
