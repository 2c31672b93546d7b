"""What the stream tells: one update for each step in an order's life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.figures import new_id, plain
from simulator.orders import Execution, Order, as_wire


@dataclass(frozen=True)
class TradeUpdate:
    """One event of the `trade_updates` stream; `data` is a snapshot taken when it happened."""

    event: str
    order_id: str
    client_order_id: str
    symbol: str
    data: dict[str, Any]


Publish = Callable[[TradeUpdate], None]


def trade_update(event: str, order: Order, execution: Execution | None = None) -> TradeUpdate:
    """The update for `event`; a fill carries its price, quantity and the position after it."""
    data: dict[str, Any] = {
        "event": event,
        "execution_id": new_id() if execution is None else execution.id,
        "order": as_wire(order),
        "timestamp": order.updated_at,
    }
    if execution is not None:
        data |= {
            "price": plain(execution.price),
            "qty": plain(execution.qty),
            "position_qty": plain(execution.position_qty),
        }
    return TradeUpdate(event, order.id, order.client_order_id, order.symbol, data)
