"""Transactions in as few round trips as they need.

Round trips and planning are what an order costs, so the hot path does not go through an ORM: statements are prepared
once per connection and several of them travel in one message. Most transactions are two messages: `BEGIN`, locks and
a read; then every write and `COMMIT`. SQLAlchemy keeps the connections (pool, recycling, detecting lost ones).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol, cast
from uuid import UUID

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import PoolProxiedConnection

from app.domain.changes import LostRace, RowBusy, StoreRefused, StoreUnavailable

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # untyped in its stubs

Row = tuple[Any, ...]

SESSION_SETTINGS: Mapping[str, str] = {
    "TimeZone": "UTC",
    # a lock that long means that its holder hangs; the client is told to come back
    "lock_timeout": "4s",
    "statement_timeout": "15s",
    # a process that was stopped in the middle of a transaction must not keep its locks
    "idle_in_transaction_session_timeout": "5s",
}

CONNECT_ARGUMENTS: Mapping[str, object] = {
    "connect_timeout": 3,
    # notice a connection that was cut without a word within seconds
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}


LONGEST_NAME = 63
"""Bytes that PostgreSQL keeps of an identifier (NAMEDATALEN - 1, PostgreSQL's documentation, 4.1.1)."""


class DatabaseUnavailable(StoreUnavailable):
    """The database cannot be reached or did not answer. Whether a commit under way happened is unknown."""


class DatabaseBusy(DatabaseUnavailable):
    """No connection became free in time, or too many wait for one already. Nothing was begun."""


class StatementTooLong(DatabaseUnavailable):
    """A statement ran for longer than it may and was given up, and its transaction with it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement prepared on every connection under its name. Parameters are written $1, $2 …

    Raises ValueError for a name that PostgreSQL would cut off: what is left may be another statement's.
    """

    name: str
    sql: str

    def __post_init__(self) -> None:
        if len(self.name.encode()) > LONGEST_NAME:
            raise ValueError(f"{self.name} has more than {LONGEST_NAME} bytes")


@dataclass(frozen=True, slots=True)
class Call:
    """A statement with its values."""

    statement: Statement
    values: Sequence[object] = ()


class _Cursor(Protocol):
    rowcount: int

    def execute(self, query: str, values: Sequence[object] | None = None) -> None: ...
    def fetchall(self) -> list[Row]: ...
    @property
    def description(self) -> object: ...


class Counted:
    """How many messages, statements and commits a process made; what an order costs is read off it in a test."""

    def __init__(self) -> None:
        self.round_trips = 0
        self.statements = 0
        self.commits = 0
        self._lock = threading.Lock()

    def add(self, *, statements: int, commits: int = 0) -> None:
        with self._lock:
            self.round_trips += 1
            self.statements += statements
            self.commits += commits


SET_FOR_TRANSACTION = Statement("set_for_transaction", "SELECT set_config($1, $2, true)")
READ_SETTING = Statement("read_setting", "SELECT current_setting($1, true)")


class Transaction:
    """One open transaction. Leaving its block without `finish` rolls back."""

    def __init__(self, cursor: _Cursor, prepared: _Prepared, counted: Counted, settings: Mapping[str, str]) -> None:
        self._cursor = cursor
        self._prepared = prepared
        self._counted = counted
        self._settings = settings
        self.begun = False
        self.finished = False

    def fetch(self, *calls: Call) -> list[Row]:
        """Send the calls in one message and return the rows of the last one."""
        parts, values = self._opening()
        self._render(calls, parts, values)
        self._send(parts, values)
        return self._cursor.fetchall() if self._cursor.description is not None else []

    def read(self, *calls: Call) -> list[Row]:
        """Send the calls in one message that is a transaction of its own; the rows of the last one."""
        parts, values = self._settings_first()
        self._render(calls, parts, values)
        self._send(parts, values)
        self.finished = True
        return self._cursor.fetchall() if self._cursor.description is not None else []

    def finish(self, *calls: Call, returning: str | None = None) -> str | None:
        """Send the calls and COMMIT in one message.

        `returning` names a session setting that one of the statements has set; its value is read after the commit in
        the same message (how the numbers of the new events come back without another round trip).
        """
        parts, values = self._opening()
        self._render(calls, parts, values)
        parts.append("COMMIT")
        if returning:
            self._render([Call(READ_SETTING, [returning])], parts, values)
        self._send(parts, values, commits=1)
        self.begun = False
        self.finished = True
        if not returning:
            return None
        return cast("str | None", self._cursor.fetchall()[0][0])

    def _opening(self) -> tuple[list[str], list[object]]:
        if self.begun:
            return [], []
        self.begun = True
        parts, values = self._settings_first()
        return ["BEGIN", *parts], values

    def _settings_first(self) -> tuple[list[str], list[object]]:
        parts: list[str] = []
        values: list[object] = []
        self._render([Call(SET_FOR_TRANSACTION, setting) for setting in self._settings.items()], parts, values)
        return parts, values

    def _render(self, calls: Sequence[Call], parts: list[str], values: list[object]) -> None:
        for call in calls:
            self._prepared.ensure(call.statement)
            marks = ",".join(["%s"] * len(call.values))
            parts.append(f"EXECUTE {call.statement.name}({marks})" if marks else f"EXECUTE {call.statement.name}")
            values.extend([value if type(value) in _AS_THEY_ARE else _quick(value) for value in call.values])

    def _send(self, parts: list[str], values: list[object], commits: int = 0) -> None:
        self._counted.add(statements=len(parts), commits=commits)
        self._cursor.execute("; ".join(parts), values)


_AS_THEY_ARE = frozenset({type(None), str, int, Decimal, datetime, bytes, list, bool, float})


def _quick(value: object) -> object:
    """The same value in a type whose quoting is written in C: psycopg2's is slow for these two."""
    if isinstance(value, UUID):
        return str(value)
    return value.value if isinstance(value, Enum) else value


class _Prepared:
    """Which statements this connection knows."""

    def __init__(self, connection: psycopg2.extensions.connection, known: dict[str, str]) -> None:
        self._connection = connection
        self._known = known

    def ensure(self, statement: Statement) -> None:
        if statement.name not in self._known:
            with self._connection.cursor() as cursor:
                cursor.execute(f"PREPARE {statement.name} AS {statement.sql}")
            self._known[statement.name] = statement.sql


class _Line:
    """Callers that have or wait for a connection. Raises DatabaseBusy for one more than `most`.

    Without an end, the line of an overrun process grows until each caller has given up before its turn comes, and all
    work is done for callers that are gone: then nothing gets through, long after the rush is over.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._now >= self._most:
                raise DatabaseBusy(f"{self._now} others have or wait for a connection")
            self._now += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


class Database:
    """A pool of connections of one login. Safe to share between threads or greenlets; not across a fork."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        application_name: str = "surefill",
        patience_seconds: float = 5,
        most_waiting: int | None = None,
    ) -> None:
        """`patience_seconds`: how long a caller waits for a connection, unless `most_waiting` others wait already."""
        self.counted = Counted()
        self._line = nullcontext() if most_waiting is None else _Line(pool_size + most_waiting)
        options = " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items())
        self.engine: Engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",  # transactions are ours: BEGIN and COMMIT travel with the statements
            pool_size=pool_size,
            max_overflow=0,  # a connection that is thrown away has to be made, and its statements prepared, again
            pool_use_lifo=True,  # the warm ones first
            pool_timeout=patience_seconds,
            pool_reset_on_return=None,
            connect_args={**CONNECT_ARGUMENTS, "options": options, "application_name": application_name},
        )
        event.listen(self.engine, "connect", _forget_prepared)

    @contextmanager
    def transaction(self, settings: Mapping[str, str] | None = None) -> Iterator[Transaction]:
        """One transaction. `settings` are set for it alone (`app.trader_id` and the like, for row security).

        Raises DatabaseBusy when no connection is to be had, StatementTooLong when a statement took too long,
        DatabaseUnavailable when the database cannot be reached or the connection broke, LostRace when another
        transaction won; every other error of the database is a fault of ours and comes through.
        """
        with self._line:
            with self._connected(settings) as transaction:
                yield transaction

    @contextmanager
    def _connected(self, settings: Mapping[str, str] | None) -> Iterator[Transaction]:
        try:
            pooled = self.engine.raw_connection()
        except Exception as error:
            raise _translated(error) from error
        connection = cast("psycopg2.extensions.connection", pooled.driver_connection)
        try:
            known = cast("dict[str, str]", pooled.info.setdefault("prepared", {}))
            with connection.cursor() as cursor:
                transaction = Transaction(
                    cast("_Cursor", cursor), _Prepared(connection, known), self.counted, settings or {}
                )
                yield transaction
                if transaction.begun:
                    cursor.execute("ROLLBACK")
        except GeneratorExit:
            pooled.invalidate()
            raise
        except BaseException as error:
            self._abandon(pooled, error)
            if isinstance(error, psycopg2.Error):
                raise _translated(error, cut_off=bool(connection.closed)) from error
            raise
        finally:
            pooled.close()

    def read(self, *calls: Call, settings: Mapping[str, str] | None = None) -> list[Row]:
        """The rows of the last call, read in one message. Raises what `transaction` raises."""
        with self.transaction(settings) as transaction:
            return transaction.read(*calls)

    def close(self) -> None:
        self.engine.dispose()

    def _abandon(self, pooled: PoolProxiedConnection, error: BaseException) -> None:
        """Leave nothing open behind an error: roll back, or give the connection up when even that fails."""
        if not pooled.is_valid:
            return
        connection = cast("psycopg2.extensions.connection", pooled.driver_connection)
        try:
            if connection.closed or isinstance(error, psycopg2.errors.ReadOnlySqlTransaction):
                pooled.invalidate()
                # the server went away, or is the main one no longer: what rests in the pool leads there as well, and
                # nobody should meet it
                self.engine.dispose()
            else:
                with connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
        except psycopg2.Error as failed:
            pooled.invalidate(failed)


def _forget_prepared(_connection: object, record: Any) -> None:
    record.info["prepared"] = {}


_LOST_RACE = (
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.DeadlockDetected,
)
# Two writers may race for these; every other unique key that is violated is a contradiction, not a race.
_RACED_FOR = frozenset(
    {"orders_idempotency", "fills_identity", "fills_pkey", "order_events_pkey", "execution_logs_chain"}
)


# That the server ends a session which stood still inside a transaction, and that it takes no writes because another one
# does (after a failover), are internal errors to the driver (class 25): for us the database is away.
_AWAY = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.errors.IdleInTransactionSessionTimeout,
    psycopg2.errors.ReadOnlySqlTransaction,
)


def _translated(error: BaseException, *, cut_off: bool = False) -> BaseException:
    """What callers are told instead. `cut_off`: the connection has ended with it, whatever the driver calls that."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, psycopg2.errors.LockNotAvailable):
        return RowBusy(str(cause).strip())
    if isinstance(cause, psycopg2.errors.UniqueViolation) and cause.diag.constraint_name in _RACED_FOR:
        return LostRace(str(cause).strip())
    if isinstance(cause, (psycopg2.IntegrityError, psycopg2.DataError)):
        return StoreRefused(str(cause).strip().splitlines()[0])
    if isinstance(cause, _LOST_RACE):
        return LostRace(str(cause).strip())
    if isinstance(cause, psycopg2.errors.QueryCanceled) and not cut_off:
        return StatementTooLong(str(cause).strip())
    if cut_off or isinstance(cause, _AWAY):
        return DatabaseUnavailable(str(cause).strip().splitlines()[0] if str(cause).strip() else "connection lost")
    if type(cause).__name__ == "TimeoutError" and type(cause).__module__.startswith("sqlalchemy"):
        return DatabaseBusy("all connections are in use")
    return cause
