"""Alpaca's JSON as its documentation shows it, with what a test wants different."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.domain.venue_answers import ClientIdUniqueness, OrderInstruction, VenueCapabilities
from app.venues.alpaca import AlpacaVenue
from app.venues.throttle import Throttle

KEY_ID = "KEYID0123456789"
SECRET_KEY = "secret/of+the=venue"
CAPABILITIES = VenueCapabilities(ClientIdUniqueness.PERMANENT, timedelta(seconds=30))
NOT_FOUND = b'{"code": 40410000, "message": "order not found for ours-1"}'


def venue(
    base_url: str,
    *,
    timeout: float = 2.0,
    throttle: Throttle | None = None,
    inactive: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AlpacaVenue:
    return AlpacaVenue(
        name="alpaca",
        base_url=base_url,
        data_url=base_url,
        key_id=KEY_ID,
        secret_key=SECRET_KEY,
        timeout_seconds=timeout,
        capabilities=CAPABILITIES,
        throttle=throttle,
        include_inactive_instruments=inactive,
        clock=clock,
    )


def instruction(client_order_id: str = "ours-1", **different: Any) -> OrderInstruction:
    fields: dict[str, Any] = {
        "client_order_id": client_order_id,
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": Decimal(100),
        "order_type": "LIMIT",
        "time_in_force": "DAY",
        "limit_price": Decimal("190.25"),
    }
    return OrderInstruction(**(fields | different))


def order(**different: Any) -> dict[str, Any]:
    moment = "2026-03-02T14:30:01.123456789Z"
    fields: dict[str, Any] = {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id": "ours-1",
        "created_at": moment,
        "updated_at": moment,
        "submitted_at": moment,
        "filled_at": None,
        "replaced_by": None,
        "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "100",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "190.25",
        "stop_price": None,
        "status": "accepted",
        "legs": None,
    }
    return fields | different


def order_json(**different: Any) -> bytes:
    return json.dumps(order(**different)).encode()


def activity(cumulative: str, quantity: str, **different: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "activity_type": "FILL",
        "id": f"20260302143001000::{cumulative}",
        "order_id": order()["id"],
        "symbol": "AAPL",
        "side": "buy",
        "qty": quantity,
        "price": "190.2",
        "cum_qty": cumulative,
        "leaves_qty": "0",
        "transaction_time": "2026-03-02T14:30:02.5Z",
        "type": "partial_fill",
    }
    return fields | different


def trade_update(event: str, *, order_fields: dict[str, Any] | None = None, **different: Any) -> bytes:
    data = {
        "event": event,
        "execution_id": "7922ab44-5b33-4049-ab01-41e0b5b6f2ab",
        "order": order(**(order_fields or {})),
        "timestamp": "2026-03-02T14:30:02.5Z",
    } | different
    return json.dumps({"stream": "trade_updates", "data": data}).encode()
