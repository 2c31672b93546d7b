"""Answers that make no sense: what a client must refuse to believe."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from simulator.figures import moment

_STRANGER = str(UUID(int=0x5EED0000000040008000000000000001))


def _wrong_order(order: dict[str, Any]) -> None:
    order["id"] = _STRANGER
    order["client_order_id"] = "somebody-elses-order"


def _wrong_symbol(order: dict[str, Any]) -> None:
    order["symbol"] = "WRONG"
    order["asset_id"] = _STRANGER


def _negative_fill(order: dict[str, Any]) -> None:
    order["filled_qty"] = "-5"
    order["filled_avg_price"] = "-1.25"
    order["status"] = "partially_filled"


def _overfill(order: dict[str, Any]) -> None:
    order["filled_qty"] = str(10 * max(1, int(float(order.get("qty") or 1))))
    order["filled_avg_price"] = "1.25"
    order["status"] = "filled"


def _unknown_status(order: dict[str, Any]) -> None:
    order["status"] = "transmogrified"


def _nan(order: dict[str, Any]) -> None:
    order["filled_qty"] = float("nan")
    order["filled_avg_price"] = float("inf")
    order["qty"] = "1e999999"


def _missing_fields(order: dict[str, Any]) -> None:
    for name in ("id", "status", "qty", "filled_qty"):
        order.pop(name, None)


def _wrong_types(order: dict[str, Any]) -> None:
    order["id"] = 7
    order["status"] = ["filled"]
    order["filled_qty"] = {"value": "1"}
    order["client_order_id"] = None


def _unchanged(order: dict[str, Any]) -> None:
    """A huge body carries the truth, and much more."""


def _text(value: object) -> str:
    return moment(value) if isinstance(value, datetime) else str(value)


_TWISTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "nonsense_wrong_order": _wrong_order,
    "nonsense_wrong_symbol": _wrong_symbol,
    "nonsense_negative_fill": _negative_fill,
    "nonsense_overfill": _overfill,
    "nonsense_unknown_status": _unknown_status,
    "nonsense_nan": _nan,
    "nonsense_missing_fields": _missing_fields,
    "nonsense_wrong_types": _wrong_types,
    "nonsense_huge_body": _unchanged,
}


def nonsense(kind: str, document: Any, megabytes: int = 10) -> bytes:
    """The JSON of `document` (an order, a list of orders, or any answer), twisted as `kind` says."""
    twist = _TWISTS[kind]
    document = json.loads(json.dumps(document, default=_text))
    for entry in document if isinstance(document, list) else [document]:
        if isinstance(entry, dict):
            twist(entry)
            if kind == "nonsense_huge_body":
                entry["padding"] = "x" * (megabytes * 1024 * 1024)
                break
    return json.dumps(document).encode()


def nonsense_update(kind: str, data: dict[str, Any], megabytes: int = 10) -> bytes:
    """A `trade_updates` message whose data is twisted as `kind` says."""
    data = json.loads(json.dumps(data, default=_text))
    _TWISTS[kind](data["order"])
    if kind == "nonsense_unknown_status":
        data["event"] = "transmogrified"
    elif kind == "nonsense_negative_fill":
        data |= {"qty": "-5", "price": "-1.25"}
    elif kind == "nonsense_overfill":
        data["qty"] = data["order"]["filled_qty"]
    elif kind == "nonsense_nan":
        data |= {"qty": float("nan"), "price": float("inf")}
    elif kind == "nonsense_huge_body":
        data["padding"] = "x" * (megabytes * 1024 * 1024)
    return json.dumps({"stream": "trade_updates", "data": data}).encode()
