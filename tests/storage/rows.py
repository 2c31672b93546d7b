"""Valid rows of every table, for tests to bend in one place."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

from psycopg2 import sql
from psycopg2.extras import Json

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

Row = Mapping[str, Any]

_places = itertools.count(1)  # in whichever chain: no two rows ask for the same one


def trader(trader_id: UUID, **changes: Any) -> Row:
    return {"id": trader_id, "name": str(trader_id), "created_at": NOON, "updated_at": NOON} | changes


def api_key(trader_id: UUID, **changes: Any) -> Row:
    return {
        "id": key_id(trader_id),
        "trader_id": trader_id,
        "prefix": "sk_test",
        "key_hash": key_hash(trader_id),
        "created_at": NOON,
    } | changes


def key_id(trader_id: UUID) -> UUID:
    """Of the trader's key."""
    return uuid5(trader_id, "key")


def key_hash(trader_id: UUID) -> bytes:
    """Stands for the SHA-256 of the trader's key."""
    return trader_id.bytes * 2


def api_key_use(trader_id: UUID, **changes: Any) -> Row:
    return {"key_id": key_id(trader_id), "trader_id": trader_id, "last_used_at": NOON} | changes


def request_nonce(trader_id: UUID, **changes: Any) -> Row:
    return {"key_id": key_id(trader_id), "nonce": "0" * 16, "trader_id": trader_id, "expires_at": NOON} | changes


def account(trader_id: UUID, **changes: Any) -> Row:
    return {"trader_id": trader_id, "cash": Decimal("1000"), "updated_at": NOON} | changes


def event_counter(trader_id: UUID, **changes: Any) -> Row:
    return {"trader_id": trader_id} | changes


def position(trader_id: UUID, **changes: Any) -> Row:
    return {
        "trader_id": trader_id,
        "symbol": "AAPL",
        "quantity": 1,
        "reserved_quantity": 0,
        "cost_basis": 150,
        "realized_pnl": 0,
        "updated_at": NOON,
    } | changes


def instrument(**changes: Any) -> Row:
    return {
        "symbol": "AAPL",
        "venue": "ALPACA",
        "name": "Apple",
        "status": "ACTIVE",
        "tick_size": Decimal("0.01"),
        "lot_size": 1,
        "updated_at": NOON,
    } | changes


def order(trader_id: UUID, **changes: Any) -> Row:
    """An order as it is accepted: QUEUED, due at once."""
    return {
        "id": uuid4(),
        "trader_id": trader_id,
        "idempotency_key": str(uuid4()),
        "request_fingerprint": b"\x01",
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": 10,
        "order_type": "LIMIT",
        "price": Decimal("150.25"),
        "time_in_force": "DAY",
        "venue": "ALPACA",
        "execution_path": "V2",
        "reservation_price": Decimal("150.25"),
        "status": "PENDING",
        "execution_state": "QUEUED",
        "due_at": NOON,
        "log_seq": 1,
        "log_hash": b"\x02",
        "version": 1,
        "created_at": NOON,
        "updated_at": NOON,
    } | changes


FILLED: Row = {
    "status": "FILLED",
    "execution_state": "CLOSED",
    "filled_quantity": 10,
    "due_at": None,
    "closed_at": NOON,
    "attempts": 1,
}


def halt(trader_id: UUID | None, **changes: Any) -> Row:
    """An active halt of a trader."""
    return {
        "id": uuid4(),
        "scope": "TRADER",
        "trader_id": trader_id,
        "code": "OPERATOR",
        "reason": "odd orders",
        "cancel_exits": False,
        "halted_by": "administrator",
        "created_at": NOON,
    } | changes


def attempt(trader_id: UUID, order_id: UUID, **changes: Any) -> Row:
    return {
        "order_id": order_id,
        "kind": "SUBMIT",
        "number": 1,
        "trader_id": trader_id,
        "fence": 1,
        "client_order_id": str(order_id),
        "sender": "worker-1",
        "sent_at": NOON,
    } | changes


def fill(trader_id: UUID, order_id: UUID, **changes: Any) -> Row:
    return {
        "id": uuid4(),
        "order_id": order_id,
        "trader_id": trader_id,
        "symbol": "AAPL",
        "side": "BUY",
        "timestamp": NOON,
        "quantity_filled": 5,
        "price_at_fill": 150,
        "venue": "ALPACA",
        "venue_order_id": str(uuid4()),
        "cumulative_quantity": 5,
        "realized_pnl": 0,
        "created_at": NOON,
    } | changes


def order_event(trader_id: UUID, order_id: UUID, **changes: Any) -> Row:
    return {
        "trader_id": trader_id,
        "seq": 1,
        "order_id": order_id,
        "event": "order.submitted",
        "payload": Json({}),
        "recorded_at": NOON,
    } | changes


def execution_log(trader_id: UUID | None, order_id: UUID | None, **changes: Any) -> Row:
    return {
        "id": uuid4(),
        "chain_id": order_id or trader_id or uuid4(),
        "chain_seq": next(_places),
        "previous_hash": b"\x00",
        "hash": b"\x01",
        "trader_id": trader_id,
        "order_id": order_id,
        "actor": "trader",
        "action": "SUBMITTED",
        "timestamp": NOON,
        "software_version": "1",
        "created_at": NOON,
    } | changes


def audit_chain(trader_id: UUID | None, **changes: Any) -> Row:
    return {"chain_id": trader_id or uuid4(), "trader_id": trader_id, "seq": 1, "hash": b"\x01"} | changes


def rows_of(trader_id: UUID, order_id: UUID) -> dict[str, Row]:
    """One row of every table that has a trader, parents first."""
    return {
        "traders": trader(trader_id),
        "api_keys": api_key(trader_id),
        "api_key_uses": api_key_use(trader_id),
        "request_nonces": request_nonce(trader_id),
        "accounts": account(trader_id),
        "event_counters": event_counter(trader_id),
        "positions": position(trader_id),
        "orders": order(trader_id, id=order_id),
        "order_attempts": attempt(trader_id, order_id),
        "fills": fill(trader_id, order_id),
        "order_events": order_event(trader_id, order_id),
        "execution_logs": execution_log(trader_id, order_id),
        "audit_chains": audit_chain(trader_id),
    }


def another(table: str, trader_id: UUID, order_id: UUID) -> Row:
    """A second row of the same trader and order, in conflict with no first one but where there can only be one."""
    again: dict[str, Row] = {
        "orders": order(trader_id),
        "api_keys": api_key(trader_id, id=uuid4(), key_hash=uuid4().bytes),
        "request_nonces": request_nonce(trader_id, nonce=uuid4().hex),
        "order_attempts": attempt(trader_id, order_id, number=2),
        "order_events": order_event(trader_id, order_id, seq=2),
        "positions": position(trader_id, symbol="MSFT"),
    }
    return again.get(table) or rows_of(trader_id, order_id)[table]


def insert(cursor: Any, table: str, row: Row) -> None:
    """Insert one row, naming its columns."""
    cursor.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        ),
        list(row.values()),
    )
