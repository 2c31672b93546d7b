"""An order as the venue holds it, its executions, and how both look on the wire."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from simulator.figures import average, plain

TERMINAL = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
WORKING = frozenset({"new", "partially_filled", "pending_cancel", "pending_replace"})
"""States in which an order may trade. A fill may still win while a cancel or a replacement is pending."""


class PlannedRejection(msgspec.Struct):
    """The venue will reject this order after having accepted it."""

    after_seconds: float
    reason: str
    after_partial_fill: bool = False


class Order(msgspec.Struct, kw_only=True, gc=False):
    """One order. Prices in US dollars, quantities in shares (coins for crypto), times in UTC.

    `sequence` numbers the orders of a ledger in the order in which they entered it.
    """

    sequence: int
    id: str
    client_order_id: str
    symbol: str
    asset_id: str
    asset_class: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal
    submitted_at: datetime
    updated_at: datetime
    status: str = "pending_new"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: str = ""
    extended_hours: bool = False
    filled_qty: Decimal = Decimal(0)
    notional_filled: Decimal = Decimal(0)
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    triggered: bool = False
    """A stop order whose trigger price was reached."""
    parent_id: str | None = None
    leg_ids: list[str] = msgspec.field(default_factory=list)
    planned_rejection: PlannedRejection | None = None
    reject_reason: str | None = None

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.status not in TERMINAL

    @property
    def working(self) -> bool:
        """Whether it may trade."""
        return self.status in WORKING

    @property
    def leaves_qty(self) -> Decimal:
        """What is left to fill."""
        return self.qty - self.filled_qty

    @property
    def buys(self) -> bool:
        """Whether it is a buy."""
        return self.side == "buy"

    @property
    def filled_avg_price(self) -> Decimal | None:
        """Mean price of its fills in US dollars; None before the first."""
        return average(self.notional_filled, self.filled_qty) if self.filled_qty else None


class Execution(msgspec.Struct, kw_only=True, gc=False):
    """One fill. `cum_qty` is the order's filled quantity after it, `position_qty` the account's position after it."""

    sequence: int
    id: str
    activity_id: str
    order_id: str
    client_order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    position_qty: Decimal
    transaction_time: datetime
    order_status: str

    @property
    def signed_qty(self) -> Decimal:
        """Positive bought, negative sold."""
        return self.qty if self.side == "buy" else -self.qty

    def as_activity(self) -> dict[str, Any]:
        """The fill as `/v2/account/activities` shows it: without the client order id, as at Alpaca."""
        return {
            "activity_type": "FILL",
            "id": self.activity_id,
            "order_id": self.order_id,
            "symbol": self.symbol,
            "side": self.side,
            "qty": plain(self.qty),
            "price": plain(self.price),
            "cum_qty": plain(self.cum_qty),
            "leaves_qty": plain(self.leaves_qty),
            "transaction_time": self.transaction_time,
            "type": "partial_fill" if self.leaves_qty else "fill",
            "order_status": self.order_status,
        }


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def as_wire(order: Order, legs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The order as Alpaca's JSON shows it; times are left to the encoder, which writes RFC 3339."""
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": order.submitted_at,
        "updated_at": order.updated_at,
        "submitted_at": order.submitted_at,
        "filled_at": order.filled_at,
        "expired_at": order.expired_at,
        "canceled_at": order.canceled_at,
        "failed_at": order.failed_at,
        "replaced_at": order.replaced_at,
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": order.asset_id,
        "symbol": order.symbol,
        "asset_class": order.asset_class,
        "notional": None,
        "qty": plain(order.qty),
        "filled_qty": plain(order.filled_qty),
        "filled_avg_price": _plain(order.filled_avg_price),
        "order_class": order.order_class,
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "time_in_force": order.time_in_force,
        "limit_price": _plain(order.limit_price),
        "stop_price": _plain(order.stop_price),
        "status": order.status,
        "extended_hours": order.extended_hours,
        "legs": legs,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }
