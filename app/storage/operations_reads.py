"""What the operations page and /metrics read about all traders' orders, as numbers and short lists.

Everything is bounded: open orders have an index of their own, and what happened lately is a range of primary keys,
because ids of orders and of log rows begin with their time. They are read with the compliance login, which sees all
traders and can change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.audit_chain import time_text
from app.domain.documents import Json, decimal_or_none, time_or_none
from app.domain.money import plain
from app.domain.time_ordered_ids import time_ordered_uuid
from app.storage.book_totals import unchecked_since
from app.storage.transaction import Call, Database, Row, Statement

LONGEST_LIST = 100
OVERDUE_AFTER = timedelta(seconds=5)
"""An order that is due is on the queue at once; this much later nobody has taken it."""
LATELY = timedelta(minutes=5)
CHARTED = timedelta(hours=1)

# An event of the contract's table, told by its audit row: the log is the only place where refusals stand, too.
# Rows about the end of an attempt are no events of their own.
EVENT_OF_ROW = """CASE WHEN reason LIKE 'Attempt % ended: %' THEN NULL ELSE CASE action
    WHEN 'SUBMITTED' THEN 'submitted'
    WHEN 'REJECTED' THEN CASE WHEN order_id IS NULL THEN 'refused' ELSE 'rejected' END
    WHEN 'EXECUTED' THEN CASE execution_state
        WHEN 'SENDING' THEN CASE WHEN retry_attempt > 0 THEN 'sent_again' ELSE 'sent' END
        WHEN 'IN_DOUBT' THEN 'in_doubt' WHEN 'NEEDS_ATTENTION' THEN 'needs_attention'
        WHEN 'WORKING' THEN 'executed' WHEN 'CANCELLING' THEN 'executed' END
    WHEN 'FILLED' THEN CASE WHEN status_before IN ('FILLED', 'REJECTED', 'CANCELLED') THEN 'late_fill'
        WHEN status = 'FILLED' THEN 'filled' ELSE 'partial' END
    WHEN 'CANCELLED' THEN CASE WHEN status = 'CANCELLED' AND status_before <> 'CANCELLED' THEN 'cancelled' END
    WHEN 'RECOVERED' THEN 'recovered'
    WHEN 'RETRIED' THEN 'retry_requested'
    WHEN 'ABANDONED' THEN 'acknowledged'
    WHEN 'ALARMED' THEN 'alarm' END END"""
EVENTS = (
    "submitted", "refused", "sent", "sent_again", "executed", "in_doubt", "recovered", "partial", "filled", "late_fill",
    "rejected", "cancelled", "needs_attention", "retry_requested", "acknowledged", "alarm",
)  # fmt: skip

OPEN = Statement(
    "operations_open",
    """SELECT execution_state, count(*), count(*) FILTER (WHERE due_at < $2),
        extract(epoch FROM $1 - min(due_at))::float8, extract(epoch FROM $1 - min(updated_at))::float8
    FROM orders WHERE due_at IS NOT NULL GROUP BY execution_state""",
)
TOTALS = Statement(
    "operations_totals",
    f"""SELECT event, sum(n)::bigint FROM (
        SELECT event, total AS n FROM operation_totals
        UNION ALL
        SELECT {EVENT_OF_ROW}, count(*) FROM execution_logs
        WHERE id >= (SELECT counted_to FROM operation_mark) GROUP BY 1) counted
    WHERE event IS NOT NULL GROUP BY event""",
)
MINUTES = Statement(
    "operations_minutes",
    f"""SELECT date_trunc('minute', timestamp), {EVENT_OF_ROW}, count(*) FROM execution_logs
    WHERE id >= $1 GROUP BY 1, 2""",
)
# Of MARKET orders: a LIMIT order may wait for its price all day, and that is not our time.
FILLED_MINUTES = Statement(
    "operations_filled_minutes",
    """SELECT date_trunc('minute', closed_at), count(*), percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
        ORDER BY extract(epoch FROM closed_at - created_at)::float8)
    FROM orders WHERE id >= $1 AND status = 'FILLED' AND order_type = 'MARKET' GROUP BY 1""",
)
FILLED = Statement(
    "operations_filled",
    """SELECT count(*), percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
        ORDER BY extract(epoch FROM closed_at - created_at)::float8)
    FROM orders WHERE id >= $1 AND status = 'FILLED' AND order_type = 'MARKET'""",
)
CONFIRMED = Statement(
    "operations_confirmed",
    """SELECT count(*), percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
        ORDER BY extract(epoch FROM a.ended_at - o.created_at)::float8)
    FROM order_attempts a JOIN orders o ON o.id = a.order_id
    WHERE a.order_id >= $1 AND a.kind = 'SUBMIT' AND a.outcome IN ('ACCEPTED', 'REFUSED')""",
)
ATTEMPTS = Statement(
    "operations_attempts",
    """SELECT kind, coalesce(outcome, 'UNDER_WAY'), count(*), percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
        ORDER BY extract(epoch FROM ended_at - sent_at)::float8)
    FROM order_attempts WHERE order_id >= $1 GROUP BY 1, 2""",
)
WAITING = Statement(
    "operations_waiting",
    """SELECT o.id, o.trader_id, t.name, o.symbol, o.side, o.quantity, o.filled_quantity, o.order_type::text, o.price,
        o.status::text, o.execution_state, o.attempts, o.reason_code, o.reason_message, o.alarm_code, o.venue,
        o.created_at, o.updated_at, o.due_at
    FROM orders o JOIN traders t ON t.id = o.trader_id
    WHERE o.due_at IS NOT NULL AND (o.execution_state IN ('IN_DOUBT', 'NEEDS_ATTENTION') OR o.due_at < $1)
    ORDER BY o.execution_state <> 'NEEDS_ATTENTION', o.execution_state <> 'IN_DOUBT', o.updated_at LIMIT $2""",
)
OWNER = Statement("operations_owner", "SELECT trader_id FROM orders WHERE id = $1")
MARKET = Statement(
    "operations_market",
    "SELECT count(*), max(confirmed_at), count(*) FILTER (WHERE status <> 'ACTIVE') FROM instruments",
)

LOCK_MARK = Statement("lock_operation_mark", "SELECT counted_to FROM operation_mark FOR UPDATE")
COUNT = Statement(
    "count_operations",
    f"""INSERT INTO operation_totals AS t (event, total)
    SELECT event, count(*) FROM (
        SELECT {EVENT_OF_ROW} AS event FROM execution_logs WHERE id >= $1 AND id < $2) happened
    WHERE event IS NOT NULL GROUP BY event
    ON CONFLICT (event) DO UPDATE SET total = t.total + EXCLUDED.total""",
)
MOVE_MARK = Statement("move_operation_mark", "UPDATE operation_mark SET counted_to = $1")

SETTLED = timedelta(seconds=60)
"""Rows younger than this may still be uncommitted, and hosts' clocks may differ: they are counted later.

A transaction lives 20 s at most (statement_timeout, idle_in_transaction_session_timeout)."""
LONGEST_STEP = timedelta(hours=1)


def first_id(at: datetime) -> UUID:
    """No id that was made at `at` or later is smaller."""
    return time_ordered_uuid(at, 0)


def made_at(identifier: UUID) -> datetime:
    """When a time-ordered id was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def count_what_is_settled(database: Database, now: datetime) -> bool:
    """Move the totals on, an hour at most; whether there is more to count. Several may try: the mark is locked."""
    with database.transaction() as transaction:
        (mark,) = transaction.fetch(Call(LOCK_MARK))[0]
        until = min(now - SETTLED, made_at(mark) + LONGEST_STEP)
        if first_id(until) <= mark:
            return False
        transaction.finish(Call(COUNT, [mark, first_id(until)]), Call(MOVE_MARK, [first_id(until)]))
    return until < now - SETTLED


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds; None where nothing was measured."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """Open orders in one execution state. Seconds; the oldest's due time may lie ahead (negative)."""

    count: int
    overdue: int
    oldest_due_seconds: float
    longest_unchanged_seconds: float


@dataclass(frozen=True, slots=True)
class Durable:
    """What the database says at one moment, about all traders."""

    at: datetime
    open: dict[str, OpenOrders]
    totals: dict[str, int]
    filled: Percentiles
    confirmed: Percentiles
    attempts: dict[tuple[str, str], tuple[int, float | None, float | None]]
    books_unchecked_since: datetime | None
    """When they were last compared with the venue's, or could have been first."""

    @property
    def books_unchecked_seconds(self) -> float:
        """For how long nobody has compared the books with the venue's; 0 while there are no traders."""
        since = self.books_unchecked_since
        return 0.0 if since is None else max(0.0, (self.at - since).total_seconds())

    @property
    def oldest_overdue_seconds(self) -> float:
        """How long ago the most overdue order was due; 0 when none is."""
        return max([0.0, *(each.oldest_due_seconds for each in self.open.values() if each.overdue)])


def read_durable(database: Database, now: datetime) -> Durable:
    """Numbers of this moment. Raises DatabaseUnavailable."""
    lately = first_id(now - LATELY)
    return Durable(
        at=now,
        open={state: OpenOrders(*rest) for state, *rest in database.read(Call(OPEN, [now, now - OVERDUE_AFTER]))},
        totals={**dict.fromkeys(EVENTS, 0), **dict(database.read(Call(TOTALS)))},
        filled=_percentiles(database.read(Call(FILLED, [lately]))[0]),
        confirmed=_percentiles(database.read(Call(CONFIRMED, [lately]))[0]),
        attempts={
            (kind, outcome): (count, *(times or (None, None)))
            for kind, outcome, count, times in database.read(Call(ATTEMPTS, [lately]))
        },
        books_unchecked_since=unchecked_since(database),
    )


def read_minutes(database: Database, now: datetime) -> list[Json]:
    """The last hour by minute, oldest first, minutes without anything included."""
    since = (now - CHARTED).replace(second=0, microsecond=0) + timedelta(minutes=1)
    counts: dict[datetime, dict[str, int]] = {}
    for minute, event, count in database.read(Call(MINUTES, [first_id(since)])):
        if event is not None:
            counts.setdefault(minute, {})[event] = count
    times = {
        minute: (count, values) for minute, count, values in database.read(Call(FILLED_MINUTES, [first_id(since)]))
    }
    made: list[Json] = []
    for number in range(int(CHARTED.total_seconds()) // 60):
        minute = since + timedelta(minutes=number)
        happened = counts.get(minute, {})
        p50, p95, p99 = (times.get(minute) or (0, None))[1] or (None, None, None)
        made.append(
            {
                "minute": time_text(minute),
                **{event: happened.get(event, 0) for event in CHARTED_EVENTS},
                "filled_p50_ms": _ms(p50),
                "filled_p95_ms": _ms(p95),
                "filled_p99_ms": _ms(p99),
            }
        )
    return made


CHARTED_EVENTS = (
    "submitted", "filled", "refused", "rejected", "cancelled", "sent_again", "in_doubt", "needs_attention",
)  # fmt: skip


def read_waiting(database: Database, now: datetime) -> list[Json]:
    """Orders that need attention, are in doubt or overdue; those that need a person first. At most a hundred."""
    return [_waiting_from(row) for row in database.read(Call(WAITING, [now - OVERDUE_AFTER, LONGEST_LIST]))]


def owner_of(database: Database, order_id: UUID) -> UUID | None:
    """Whose order it is."""
    rows = database.read(Call(OWNER, [order_id]))
    return rows[0][0] if rows else None


def read_market(database: Database) -> tuple[int, datetime | None, int]:
    """How many instruments are known, when the venue last confirmed a quote, how many cannot be traded."""
    count, confirmed_at, closed = database.read(Call(MARKET))[0]
    return count, confirmed_at, closed


def _percentiles(row: Row) -> Percentiles:
    count, values = row
    return Percentiles(count, *(values or (None, None, None)))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _waiting_from(row: Row) -> Json:
    (
        order_id, trader_id, trader, symbol, side, quantity, filled, order_type, price, status, state, attempts, code,
        message, alarm, venue, created_at, updated_at, due_at,
    ) = row  # fmt: skip
    reason: Any = None if code is None else {"code": code, "message": message}
    return {
        "id": str(order_id),
        "trader_id": str(trader_id),
        "trader": trader,
        "symbol": symbol,
        "side": side,
        "quantity": plain(quantity),
        "filled_quantity": plain(filled),
        "order_type": order_type,
        "price": decimal_or_none(price),
        "status": status,
        "execution_state": state,
        "attempts": attempts,
        "reason": reason,
        "alarm": alarm,
        "venue": venue,
        "created_at": time_text(created_at),
        "updated_at": time_text(updated_at),
        "due_at": time_or_none(due_at),
    }
