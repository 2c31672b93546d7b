"""What reports read: pages by key, each a transaction of its own, so that a long download holds nothing open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.execution_report import ReportRow, RowKind
from app.storage.transaction import Call, Row, Statement

PAGE_ROWS = 2000
_FIRST_ID = UUID(int=0)

Read = Callable[[Call], Sequence[Row]]
"""Rows of one statement, with the rights of whoever asks. Raises DatabaseUnavailable."""

# $2 is the beginning of the period, then the time of the last row: said by itself, it is a condition of the index, and
# a page does not read again what the pages before it have told.
FILLS = Statement(
    "report_fills",
    """SELECT f.timestamp, f.id, f.trader_id, f.order_id, f.symbol, f.side, o.order_type, f.quantity_filled,
        f.price_at_fill, f.commission, f.realized_pnl, f.cumulative_quantity, f.venue, f.venue_order_id, f.execution_id
    FROM fills f JOIN orders o ON o.id = f.order_id AND o.trader_id = f.trader_id
    WHERE f.trader_id = $1 AND f.timestamp >= $2 AND f.timestamp < $3 AND (f.timestamp, f.id) > ($2, $4)
    ORDER BY f.timestamp, f.id LIMIT $5""",
)
# Ends of orders and refusals, told by the log: it has the reasons. A row of an order that does not change its status
# (a cancel that is sent again, say) is no end.
_NOT_EXECUTED = """l.trader_id = $1 AND l.timestamp >= $2 AND l.timestamp < $3
    AND l.action IN ('REJECTED', 'CANCELLED')
    AND (l.chain_id = l.trader_id OR (l.execution_state = 'CLOSED' AND l.status_before IS DISTINCT FROM l.status))"""
NOT_EXECUTED = Statement(
    "report_not_executed",
    f"""SELECT l.timestamp, l.position, l.trader_id, l.order_id, l.chain_id = l.trader_id, l.action, l.symbol, l.side,
        l.order_type, l.quantity, l.price, l.filled_quantity, l.venue, l.venue_order_id, l.error_code, l.reason
    FROM execution_logs l WHERE {_NOT_EXECUTED} AND (l.timestamp, l.position) > ($2, $4)
    ORDER BY l.timestamp, l.position LIMIT $5""",
)
COUNT = Statement(
    "report_count",
    f"""SELECT (SELECT count(*) FROM (SELECT 1 FROM fills f
            WHERE f.trader_id = $1 AND f.timestamp >= $2 AND f.timestamp < $3 LIMIT $4) fill)
        + (SELECT count(*) FROM (SELECT 1 FROM execution_logs l WHERE {_NOT_EXECUTED} LIMIT $4) other)""",
)
TRADERS = Statement("report_traders", "SELECT id FROM traders WHERE id > $1 ORDER BY id LIMIT 1000")


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to before `until`. Executions by the venue's time, the others by the time they were recorded."""

    since: datetime
    until: datetime


def report_rows(read: Read, trader_ids: Iterator[UUID], period: Period) -> Iterator[Sequence[ReportRow]]:
    """Pages of rows, trader by trader: executions first, then what was not executed; each by time."""
    for trader_id in trader_ids:
        yield from _pages(read, FILLS, _execution, trader_id, period, _FIRST_ID)
        yield from _pages(read, NOT_EXECUTED, _not_executed, trader_id, period, 0)


def _pages(
    read: Read,
    statement: Statement,
    row_from: Callable[[Row], ReportRow],
    trader_id: UUID,
    period: Period,
    first: UUID | int,
) -> Iterator[Sequence[ReportRow]]:
    at, key = period.since, first
    while True:
        rows = read(Call(statement, [trader_id, at, period.until, key, PAGE_ROWS]))
        if rows:
            yield [row_from(row) for row in rows]
        if len(rows) < PAGE_ROWS:
            return
        at, key = rows[-1][:2]


def all_traders(read: Read) -> Iterator[UUID]:
    last = _FIRST_ID
    while page := read(Call(TRADERS, [last])):
        for (trader_id,) in page:
            yield trader_id
        last = page[-1][0]


def count(read: Read, trader_ids: Iterator[UUID], period: Period, most: int) -> int:
    """How many rows there are; stops counting beyond `most`."""
    found = 0
    for trader_id in trader_ids:
        found += read(Call(COUNT, [trader_id, period.since, period.until, most + 1]))[0][0]
        if found > most:
            break
    return found


def _execution(row: Row) -> ReportRow:
    (
        at, _, trader_id, order_id, symbol, side, order_type, quantity, price, commission, realized, cumulative, venue,
        venue_order_id, execution_id,
    ) = row  # fmt: skip
    return ReportRow(
        RowKind.EXECUTION, at, trader_id, order_id, symbol, side, order_type, quantity, price, commission, realized,
        cumulative, venue, venue_order_id, execution_id,
    )  # fmt: skip


def _not_executed(row: Row) -> ReportRow:
    (
        at, _, trader_id, order_id, refused, action, symbol, side, order_type, quantity, price, filled, venue,
        venue_order_id, code, reason,
    ) = row  # fmt: skip
    return ReportRow(
        RowKind.REFUSED if refused else RowKind(action), at, trader_id, order_id, symbol, side, order_type, quantity,
        price, filled_quantity=filled, venue=venue, venue_order_id=venue_order_id, code=code, reason=reason,
    )  # fmt: skip
