"""Reads of one trader's orders, fills, events and audit rows. Row security shows nobody else's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from app.domain.audit_chain import time_text
from app.domain.documents import Json, decimal_or_none, order_document, time_or_none
from app.domain.money import plain
from app.storage import execution_logs, orders
from app.storage.transaction import Call, Row, Statement

MOST_FILLS_IN_ORDER = 1000
LONGEST_LIST_SECONDS = 2
"""How long a page of a list may take. Filters that match few of a trader's rows walk a long history, for no index may
answer them before row security has had its say; a handful of such calls would take every connection of a web process
from those who submit orders."""

_FILL = "f.id, f.quantity_filled, f.price_at_fill, f.venue, f.commission, f.timestamp, f.commission_source"
_FILL_OF_ORDER = f"{_FILL}, f.order_id, f.symbol, f.side"
_FILL_DOCUMENT = """json_build_object('id', f.id, 'quantity', trim_scale(f.quantity_filled)::text,
    'price', trim_scale(f.price_at_fill)::text, 'venue', f.venue, 'commission', trim_scale(f.commission)::text,
    'commission_source', f.commission_source,
    'timestamp', to_char(f.timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))"""

ORDER_WITH_FILLS = Statement(
    "order_with_fills",
    f"""SELECT {orders.SELECTED}, CASE WHEN o.filled_quantity > 0 THEN (
        SELECT json_agg(d.document ORDER BY d.position) FROM (
            SELECT {_FILL_DOCUMENT} AS document, f.position FROM fills f WHERE f.order_id = o.id
            ORDER BY f.position LIMIT {MOST_FILLS_IN_ORDER}) d) END
    FROM orders o WHERE o.id = $1 AND o.trader_id = $2""",
)
# Head and events of one moment, in one statement.
EVENTS_WITH_HEAD = Statement(
    "events_with_head",
    """SELECT c.head_seq, e.seq, e.payload::text FROM event_counters c
    LEFT JOIN LATERAL (
        SELECT seq, payload FROM order_events WHERE trader_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) e ON true
    WHERE c.trader_id = $1 ORDER BY e.seq""",
)
# Open is `due_at IS NOT NULL` here: the database guarantees it (orders_open_iff_due), and unlike a comparison of enums,
# which could leak what it compares, an index may answer it before row security has had its say.
OPEN_ORDERS = Statement(
    "open_orders",
    """SELECT id FROM orders WHERE trader_id = $1 AND due_at IS NOT NULL AND execution_state <> 'CANCELLING'
    ORDER BY created_at, id LIMIT $2""",
)
_LOGGED = tuple(name for name in execution_logs.COLUMNS if name != "details")
AUDIT = Statement(
    "audit_of_order",
    f"""SELECT o.log_seq, l.chain_seq, l.previous_hash, l.hash, l.details::text,
        {", ".join(f"l.{name}" for name in _LOGGED)}
    FROM orders o LEFT JOIN LATERAL (
        SELECT * FROM execution_logs WHERE chain_id = o.id AND chain_seq > $3 ORDER BY chain_seq LIMIT $4) l ON true
    WHERE o.id = $1 AND o.trader_id = $2 ORDER BY l.chain_seq""",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: everything after it is older, or has the same time and a smaller id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows of a list are wanted; None is all. `since` is included, `until` is not."""

    status: str | None = None
    execution_state: str | None = None
    symbol: str | None = None
    side: str | None = None
    order_id: UUID | None = None
    parent_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def open_only(self) -> bool:
        """True when the wanted state is one of an open order."""
        return self.status in ("PENDING", "PARTIAL") or self.execution_state not in (None, "CLOSED")


# Each combination of filters is a statement of its own: a single one with `$1 IS NULL OR …` would keep the planner
# from the index that fits.
_CONDITIONS = {
    "status": "status = {}",
    "execution_state": "execution_state = {}",
    "symbol": "symbol = {}",
    "side": "side = {}",
    "order_id": "order_id = {}",
    "parent_id": "parent_id = {}",
    "since": "{at} >= {}",
    "until": "{at} < {}",
}


LIST_SETTINGS = {"statement_timeout": f"{LONGEST_LIST_SECONDS}s"}
"""For the transaction that reads a page."""


def order(order_id: UUID, trader_id: UUID) -> Call:
    return Call(ORDER_WITH_FILLS, [order_id, trader_id])


def order_with_fills(row: Row) -> Json:
    """The document of a row of ORDER_WITH_FILLS."""
    fills: Any = row[len(orders.COLUMNS)]
    return {**order_document(orders.from_row(row)), "fills": fills or []}


def list_orders(trader_id: UUID, wanted: Filter, after: Place | None, limit: int) -> Call:
    return _page("orders", orders.SELECTED, "o", "created_at", trader_id, wanted, after, limit)


def list_fills(trader_id: UUID, wanted: Filter, after: Place | None, limit: int) -> Call:
    return _page("fills", _FILL_OF_ORDER, "f", "timestamp", trader_id, wanted, after, limit)


def _page(
    table: str, columns: str, alias: str, at: str, trader_id: UUID, wanted: Filter, after: Place | None, limit: int
) -> Call:
    values: list[object] = [trader_id]
    given: list[str] = []
    for name in _CONDITIONS:
        value = getattr(wanted, name)
        if value is not None:
            given.append(name)
            values.append(value)
    if after is not None:
        values += [after.at, after.id]
    if wanted.open_only:
        given.append("open")
    return Call(_page_statement(table, columns, alias, at, tuple(given), after is not None), [*values, limit])


@cache
def _page_statement(
    table: str, columns: str, alias: str, at: str, given: tuple[str, ...], continued: bool
) -> Statement:
    time = f"{alias}.{at}"
    conditions, used = [f"{alias}.trader_id = $1"], 1
    for name in given:
        if name == "open":
            conditions.append(f"{alias}.due_at IS NOT NULL")  # it follows from the state, and there is an index
            continue
        used += 1
        template, mark = _CONDITIONS[name], f"${used}"
        conditions.append(template.format(mark, at=time) if "{at}" in template else f"{alias}.{template.format(mark)}")
    if continued:
        conditions.append(f"({time}, {alias}.id) < (${used + 1}, ${used + 2})")
        used += 2
    return Statement(
        _name_of_page(table, given, continued),
        f"SELECT {columns} FROM {table} {alias} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {time} DESC, {alias}.id DESC LIMIT ${used + 1}",
    )


def _name_of_page(table: str, given: tuple[str, ...], continued: bool) -> str:
    """One name for each combination: written out, the longer ones are the same to PostgreSQL, which cuts them off."""
    parts = (*_CONDITIONS, "open")
    bits = sum(1 << place for place, part in enumerate(parts) if part in given) | continued << len(parts)
    return f"list_{table}_{bits:x}"


def place_of_order(row: Row) -> Place:
    stored = orders.from_row(row)
    return Place(stored.created_at, stored.id)


def order_from(row: Row) -> Json:
    return order_document(orders.from_row(row))


def place_of_fill(row: Row) -> Place:
    return Place(row[5], row[0])


def fill_from(row: Row) -> Json:
    """The document of a row of a list of fills."""
    id_, quantity, price, venue, commission, at, commission_source, order_id, symbol, side = row
    return {
        "id": str(id_),
        "order_id": str(order_id),
        "symbol": symbol,
        "side": side,
        "quantity": plain(quantity),
        "price": plain(price),
        "venue": venue,
        "commission": plain(commission),
        "commission_source": commission_source,
        "timestamp": time_text(at),
    }


def open_orders(trader_id: UUID, limit: int) -> Call:
    """Ids of orders that a cancel would still change, oldest first."""
    return Call(OPEN_ORDERS, [trader_id, limit])


def events(trader_id: UUID, since: int, limit: int) -> Call:
    return Call(EVENTS_WITH_HEAD, [trader_id, since, limit])


def audit(order_id: UUID, trader_id: UUID, after: int, limit: int) -> Call:
    return Call(AUDIT, [order_id, trader_id, after, limit])


def audit_entries(rows: list[Row]) -> tuple[list[Json], int]:
    """The documents of rows of AUDIT, and how many rows the order has in all."""
    entries: list[Json] = []
    for total, seq, previous_hash, hash_, details, *values in rows:
        if seq is None:
            return [], total
        logged = dict(zip(_LOGGED, values, strict=True))
        entries.append(
            {
                "seq": seq,
                **{name: plain_value(value) for name, value in logged.items()},
                "details": None if details is None else details,
                "previous_hash": bytes(previous_hash).hex(),
                "hash": bytes(hash_).hex(),
            }
        )
    return entries, rows[0][0] if rows else 0


def plain_value(value: object) -> object:
    """A column of the log as a JSON value."""
    match value:
        case None | bool() | int() | str():
            return value
        case datetime():
            return time_or_none(value)
        case UUID():
            return str(value)
        case _:
            return decimal_or_none(value)  # type: ignore[arg-type] # what is left are amounts
