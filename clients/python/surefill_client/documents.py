"""What Surefill answers, as frozen values. Members that this version does not know are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something happened: a stable code and one sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    id: str
    quantity: Decimal
    price: Decimal
    venue: str
    commission: Decimal
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it was when the answer or event was made. `fills` is empty where they were not asked for."""

    id: str
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    price: Decimal | None
    status: str
    execution_state: str
    filled_quantity: Decimal
    average_fill_price: Decimal | None
    attempts: int
    reason: Reason | None
    version: int
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    fills: tuple[Fill, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether it has ended: FILLED, REJECTED or CANCELLED."""
        return self.execution_state == "CLOSED"

    @property
    def needs_attention(self) -> bool:
        """Whether retries are spent and a person decides: `retry` or `acknowledge`."""
        return self.execution_state == "NEEDS_ATTENTION"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an order; `seq` counts the trader's events from 1 without gaps."""

    seq: int
    event: str
    order: Order
    fill: Fill | None
    reason: Reason | None
    timestamp: datetime


def order_from(document: Json) -> Order:
    """Raises KeyError, TypeError, ValueError, ArithmeticError for what is no order."""
    return Order(
        id=_text(document["id"]),
        symbol=_text(document["symbol"]),
        side=_text(document["side"]),
        quantity=Decimal(document["quantity"]),
        order_type=_text(document["order_type"]),
        price=_number(document["price"]),
        status=_text(document["status"]),
        execution_state=_text(document["execution_state"]),
        filled_quantity=Decimal(document["filled_quantity"]),
        average_fill_price=_number(document["average_fill_price"]),
        attempts=int(document["attempts"]),
        reason=_reason(document["reason"]),
        version=int(document["version"]),
        created_at=_time(document["created_at"]),
        updated_at=_time(document["updated_at"]),
        closed_at=None if document["closed_at"] is None else _time(document["closed_at"]),
        fills=tuple(_fill(each) for each in document.get("fills", ())),
    )


def event_from(document: Json) -> Event:
    """Raises what `order_from` raises."""
    return Event(
        seq=int(document["seq"]),
        event=_text(document["event"]),
        order=order_from(document["order"]),
        fill=None if document["fill"] is None else _fill(document["fill"]),
        reason=_reason(document["reason"]),
        timestamp=_time(document["timestamp"]),
    )


def _fill(document: Json) -> Fill:
    return Fill(
        id=_text(document["id"]),
        quantity=Decimal(document["quantity"]),
        price=Decimal(document["price"]),
        venue=_text(document["venue"]),
        commission=Decimal(document["commission"]),
        timestamp=_time(document["timestamp"]),
    )


def _reason(document: Json | None) -> Reason | None:
    return None if document is None else Reason(_text(document["code"]), _text(document["message"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _time(value: str) -> datetime:
    return datetime.fromisoformat(value)
