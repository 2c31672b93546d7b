"""Our side of the books, read in one snapshot of the database with the worker's login (it sees all traders)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import psycopg2
import psycopg2.extras

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # untyped in its stubs

T = TypeVar("T")


@dataclass(frozen=True)
class OurOrder:
    """One row of `orders`, as far as the comparison looks at it. Prices in US dollars."""

    id: UUID
    trader_id: UUID
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    price: Decimal | None
    status: str
    execution_state: str
    filled_quantity: Decimal
    reservation_price: Decimal
    attempts: int
    venue_order_id: str | None
    reason_code: str | None
    alarm_code: str | None
    log_seq: int
    log_hash: str
    """Hexadecimal."""
    other_venue_orders: Sequence[str] = ()
    """The venue's further orders that belong to it: the other part of a pair, those it replaced."""
    replacements: int = 0
    """How often it got other terms."""
    time_in_force: str = "DAY"
    price_bound: Decimal | None = None
    """The worst price of a MARKET or STOP order: it goes out as a limit at it."""
    stop_loss: Decimal | None = None
    filled_before: Decimal = Decimal(0)
    """What the venue orders that were replaced had executed."""
    parent_id: UUID | None = None
    """Of an exit: its entry."""
    take_profit: Decimal | None = None
    covered_quantity: Decimal = Decimal(0)
    """Of an entry with exits: so much of what it bought has been given to exits."""
    created_at: datetime | None = None
    closed_at: datetime | None = None
    idempotency_key: str = ""

    @property
    def client_order_id(self) -> str:
        """The venue's name for it: other terms get a number behind it."""
        return f"{self.id}-{self.replacements}" if self.replacements else str(self.id)

    @property
    def is_closed(self) -> bool:
        return self.execution_state == "CLOSED"

    @property
    def wants_exits(self) -> bool:
        return self.parent_id is None and (self.stop_loss is not None or self.take_profit is not None)

    @property
    def leaves_quantity(self) -> Decimal:
        return Decimal(0) if self.is_closed else self.quantity - self.filled_quantity


@dataclass(frozen=True)
class OurFill:
    """One row of `fills`. Price, commission and profit in US dollars."""

    id: UUID
    order_id: UUID
    trader_id: UUID
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal
    venue_order_id: str
    cumulative_quantity: Decimal
    realized_pnl: Decimal
    booked_at: datetime | None = None
    is_late: bool = False
    """Booked after its order had ended."""


@dataclass(frozen=True)
class OurAttempt:
    """One row of `order_attempts`."""

    order_id: UUID
    kind: str
    number: int
    outcome: str | None


@dataclass(frozen=True)
class OurLogEntry:
    """One row of `execution_logs` that belongs to an order."""

    order_id: UUID
    chain_id: UUID
    chain_seq: int
    previous_hash: str
    hash: str
    action: str
    execution_state: str | None
    is_sent: bool = True
    """The row has a time of sending."""
    alarm: str | None = None
    """Of an alarm: its code and its sentence."""


@dataclass(frozen=True)
class OurEvent:
    """One row of `order_events`; `document` is the event without its seq."""

    seq: int
    order_id: UUID
    event: str
    recorded_at: datetime
    document: Mapping[str, Any]


@dataclass(frozen=True)
class OurAccount:
    """A trader's money, in US dollars, and the number of its last event."""

    trader_id: UUID
    cash: Decimal
    reserved: Decimal
    head_seq: int


@dataclass(frozen=True)
class OurPosition:
    """One row of `positions`."""

    trader_id: UUID
    symbol: str
    quantity: Decimal
    reserved_quantity: Decimal
    cost_basis: Decimal
    realized_pnl: Decimal


@dataclass(frozen=True)
class OurLedger:
    """Everything at one moment."""

    orders: Mapping[UUID, OurOrder]
    fills: list[OurFill]
    attempts: list[OurAttempt]
    log: list[OurLogEntry]
    events: Mapping[UUID, list[OurEvent]] = field(default_factory=dict)
    """By trader, ascending."""
    accounts: Mapping[UUID, OurAccount] = field(default_factory=dict)
    positions: list[OurPosition] = field(default_factory=list)

    @property
    def open_orders(self) -> list[OurOrder]:
        return [order for order in self.orders.values() if not order.is_closed]


_ORDERS = """SELECT id, trader_id, symbol, side, quantity, order_type::text, price, status::text, execution_state,
    filled_quantity, reservation_price, attempts, venue_order_id, reason_code, alarm_code, log_seq,
    encode(log_hash, 'hex'), other_venue_orders, replacements, time_in_force, price_bound, stop_loss, filled_before,
    parent_id, take_profit, covered_quantity, created_at, closed_at, idempotency_key FROM orders ORDER BY created_at"""
_FILLS = """SELECT id, order_id, trader_id, symbol, side, quantity_filled, price_at_fill, commission, venue_order_id,
    cumulative_quantity, realized_pnl, created_at, is_late FROM fills ORDER BY position"""
_ATTEMPTS = "SELECT order_id, kind, number, outcome FROM order_attempts ORDER BY sent_at"
_LOG = """SELECT order_id, chain_id, chain_seq, encode(previous_hash, 'hex'), encode(hash, 'hex'),
    action::text, execution_state, sent_at IS NOT NULL, CASE action WHEN 'ALARMED' THEN error_code || ': ' || reason END
    FROM execution_logs WHERE chain_id = order_id ORDER BY chain_id, chain_seq"""
_ACCOUNTS = "SELECT trader_id, cash, reserved, head_seq FROM accounts JOIN event_counters USING (trader_id)"
_POSITIONS = """SELECT trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl
    FROM positions ORDER BY trader_id, symbol"""


def read_our_ledger(worker_url: str) -> OurLedger:
    """Read everything in one snapshot. `worker_url`: `DATABASE_URL_WORKER`. Raises psycopg2.OperationalError."""
    with snapshot(worker_url) as cursor:
        orders = _rows(cursor, OurOrder, _ORDERS)
        fills = _rows(cursor, OurFill, _FILLS)
        attempts = _rows(cursor, OurAttempt, _ATTEMPTS)
        log = _rows(cursor, OurLogEntry, _LOG)
        accounts = _rows(cursor, OurAccount, _ACCOUNTS)
        positions = _rows(cursor, OurPosition, _POSITIONS)
        events: dict[UUID, list[OurEvent]] = {account.trader_id: [] for account in accounts}
        cursor.execute(
            "SELECT trader_id, seq, order_id, event, recorded_at, payload FROM order_events ORDER BY trader_id, seq"
        )
        for trader_id, *columns in cursor.fetchall():
            events.setdefault(trader_id, []).append(OurEvent(*columns))
    return OurLedger(
        orders={order.id: order for order in orders},
        fills=fills,
        attempts=attempts,
        log=log,
        events=events,
        accounts={account.trader_id: account for account in accounts},
        positions=positions,
    )


def open_states(worker_url: str) -> dict[str, int]:
    """How many orders have not ended, by their `execution_state`. Raises psycopg2.OperationalError."""
    with snapshot(worker_url) as cursor:
        cursor.execute("SELECT execution_state, count(*) FROM orders WHERE execution_state <> 'CLOSED' GROUP BY 1")
        return dict(cursor.fetchall())


@contextlib.contextmanager
def snapshot(url: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor that sees one moment of the database and changes nothing."""
    with contextlib.closing(psycopg2.connect(url, connect_timeout=5)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            yield cursor
        connection.rollback()


def _rows(cursor: psycopg2.extensions.cursor, kind: type[T], statement: str) -> list[T]:
    cursor.execute(statement)
    return [kind(*row) for row in cursor.fetchall()]
