"""The durable ledger: orders, executions, the request log and what the control endpoint has set, in one SQLite file.

State is kept in memory and journalled here in groups: everything written in one turn of the event loop becomes one
transaction at its end. Nothing that tells of a change (a reply, a stream event) leaves before that transaction is
committed. WAL with `synchronous=NORMAL` survives a kill -9 of the process (not a power cut of the machine, which no
simulator needs to).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from simulator.figures import moment, plain
from simulator.orders import Execution, Order
from simulator.request_log import LoggedRequest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
    side TEXT NOT NULL, qty TEXT NOT NULL, filled_qty TEXT NOT NULL, status TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS executions (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, order_id TEXT NOT NULL, client_order_id TEXT NOT NULL,
    symbol TEXT NOT NULL, side TEXT NOT NULL, qty TEXT NOT NULL, price TEXT NOT NULL, cum_qty TEXT NOT NULL,
    transaction_time TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    sequence INTEGER PRIMARY KEY, received_at TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    operation TEXT NOT NULL, client_order_id TEXT, order_id TEXT, status INTEGER, code INTEGER, effect INTEGER,
    outcome TEXT NOT NULL, fault TEXT, milliseconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS controls (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_PUT_ORDER = "INSERT OR REPLACE INTO orders VALUES (?,?,?,?,?,?,?,?,?)"
_PUT_EXECUTION = "INSERT INTO executions VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_PUT_REQUEST = "INSERT INTO requests VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
_PUT_CONTROL = "INSERT OR REPLACE INTO controls VALUES (?,?)"

# Log rows of requests that changed nothing wait this long for company before they are written.
_IDLE_LOG_SECONDS = 0.05


class Ledger:
    """Writes are collected with `put_…`; `committed()` waits for them to be durable."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, timeout=2)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        # Checkpoints wait for the disk, and every order waits with them: rarely, then.
        self._database.execute("PRAGMA wal_autocheckpoint=8000")
        # One simulator to a ledger: a second one would double every fill.
        self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("COMMIT")
        self._encode = msgspec.json.Encoder().encode
        self._orders: dict[str, Order] = {}
        self._executions: list[Execution] = []
        self._requests: list[LoggedRequest] = []
        self._controls: dict[str, Any] = {}
        self._after_commit: list[Callable[[], None]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._flush_planned: asyncio.Handle | None = None
        self._flush_soon = False
        self.commits = 0

    # What is written in this turn of the loop.

    def put_order(self, order: Order) -> None:
        """The order as it will be at the end of this turn of the loop."""
        self._orders[order.id] = order
        self._plan(soon=True)

    def put_execution(self, execution: Execution) -> None:
        """A new fill."""
        self._executions.append(execution)
        self._plan(soon=True)

    def put_control(self, name: str, value: Any) -> None:
        """Something that the control endpoint has set; None takes it back."""
        self._controls[name] = value
        self._plan(soon=True)

    def put_request(self, request: LoggedRequest) -> None:
        """A row of the request log; it may wait a little for company."""
        self._requests.append(request)
        self._plan(soon=False)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Runs `call` once everything put so far is durable."""
        self._after_commit.append(call)
        self._plan(soon=True)

    @property
    def has_changes(self) -> bool:
        """Whether orders, executions or controls wait for their commit."""
        return bool(self._orders or self._executions or self._controls)

    async def committed(self) -> None:
        """Returns when everything put so far is durable."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._plan(soon=True)
        await waiter

    def _plan(self, soon: bool) -> None:
        if self._flush_planned is not None:
            if self._flush_soon or not soon:
                return
            self._flush_planned.cancel()
        loop = asyncio.get_running_loop()
        self._flush_soon = soon
        self._flush_planned = loop.call_soon(self.flush) if soon else loop.call_later(_IDLE_LOG_SECONDS, self.flush)

    def flush(self) -> None:
        """Commits everything put so far, then tells those who wait.

        A ledger that cannot be written ends the process: a venue that forgets what it accepted is worse than one
        that is down.
        """
        self._flush_planned = None
        try:
            self._write()
        except sqlite3.Error as error:
            sys.stderr.write(f"simulator: the ledger cannot be written, stopping: {error}\n")
            raise SystemExit(1) from error
        calls, self._after_commit = self._after_commit, []
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        for call in calls:
            call()

    def _write(self) -> None:
        if not (self._orders or self._executions or self._requests or self._controls):
            return
        write = self._database.executemany
        self._database.execute("BEGIN IMMEDIATE")
        if self._orders:
            write(_PUT_ORDER, [self._order_row(order) for order in self._orders.values()])
            self._orders = {}
        if self._executions:
            write(_PUT_EXECUTION, [self._execution_row(execution) for execution in self._executions])
            self._executions = []
        if self._requests:
            write(_PUT_REQUEST, [request.row() for request in self._requests])
            self._requests = []
        if self._controls:
            write(_PUT_CONTROL, [(name, self._encode(value)) for name, value in self._controls.items()])
            self._controls = {}
        self._database.execute("COMMIT")
        self.commits += 1

    def _order_row(self, order: Order) -> tuple[Any, ...]:
        return (
            order.sequence,
            order.id,
            order.client_order_id,
            order.symbol,
            order.side,
            plain(order.qty),
            plain(order.filled_qty),
            order.status,
            self._encode(order),
        )

    def _execution_row(self, execution: Execution) -> tuple[Any, ...]:
        return (
            execution.sequence,
            execution.id,
            execution.order_id,
            execution.client_order_id,
            execution.symbol,
            execution.side,
            plain(execution.qty),
            plain(execution.price),
            plain(execution.cum_qty),
            moment(execution.transaction_time),
            self._encode(execution),
        )

    # What an earlier process left.

    def load_orders(self) -> list[Order]:
        """All orders, oldest first."""
        decode = msgspec.json.Decoder(Order).decode
        return [decode(row[0]) for row in self._database.execute("SELECT record FROM orders ORDER BY sequence")]

    def load_executions(self) -> list[Execution]:
        """All fills, oldest first."""
        decode = msgspec.json.Decoder(Execution).decode
        return [decode(row[0]) for row in self._database.execute("SELECT record FROM executions ORDER BY sequence")]

    def load_controls(self) -> dict[str, Any]:
        """Everything that was set, by name."""
        rows = self._database.execute("SELECT name, value FROM controls").fetchall()
        return {name: msgspec.json.decode(value) for name, value in rows}

    def last_request(self) -> int:
        """The newest sequence of the request log; 0 when it is empty."""
        return int(self._database.execute("SELECT coalesce(max(sequence), 0) FROM requests").fetchone()[0])

    def requests(self, where: dict[str, Any], after: int, limit: int, newest_first: bool) -> list[dict[str, Any]]:
        """Rows of the request log whose columns equal `where`, from `after` (a sequence, exclusive)."""
        self.flush()
        conditions = " AND ".join(["sequence > ?", *(f"{column} = ?" for column in where)])
        order = "DESC" if newest_first else "ASC"
        # The columns are the control endpoint's own names, never a client's text.
        query = f"SELECT * FROM requests WHERE {conditions} ORDER BY sequence {order} LIMIT ?"  # noqa: S608
        cursor = self._database.execute(query, [after, *where.values(), limit])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def close(self) -> None:
        """Commits what is left and folds the write-ahead log into the file."""
        self.flush()
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()
