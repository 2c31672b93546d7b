"""The two databases a run can use. In both, a message to the database is one step of the scheduler.

A transaction that waits for a lock is reported to the scheduler and tries again when some transaction has ended; real
time never passes. Connections break where the faults say so: before a message, or around a COMMIT, when the process
cannot know whether it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import psycopg2.errors

from app.domain.changes import RowBusy
from app.storage.transaction import SESSION_SETTINGS, Call, Counted, Database, DatabaseUnavailable, Row, Transaction
from proofs.simulation.scheduler import Actor, Scheduler
from proofs.simulation.tables import Tables, Undo


def seconds_of(setting: str) -> float:
    """A time-out as the settings of a session or a transaction say it."""
    return float(setting.removesuffix("s"))


IDLE_TIMEOUT = seconds_of(SESSION_SETTINGS["idle_in_transaction_session_timeout"])
"""Seconds after which the server ends a session that stands still inside a transaction."""
_UNORDERED = frozenset({"stray_orders", "sending_orders"})
"""Statements that promise no order of their rows: sorted, so that a run does not depend on where rows lie."""


class Faults(Protocol):
    """What the connection of a message meets."""

    def at_message(self, actor: Actor, *, commits: bool) -> str | None:
        """None, "before" (nothing happened), or "after" (it was committed, the process hears nothing)."""
        ...


@dataclass
class Connections:
    """What both databases share."""

    scheduler: Scheduler
    tables: Tables
    faults: Faults
    committed: Callable[[Actor], None]
    """Told after each commit: the oracle looks."""
    locks: dict[Hashable, dict[object, bool]] = field(default_factory=dict)
    """Who holds it, and whether each only shares it."""


class _Busy(Exception):
    """Another transaction holds the lock."""


class _Stepped:
    """One open transaction of a simulated process: where it steps, breaks and waits."""

    def __init__(self, connections: Connections, settings: Mapping[str, str] | None = None) -> None:
        self._all = connections
        self._scheduler = connections.scheduler
        self._actor = connections.scheduler.actor
        self._undo: Undo = []
        self._lock_timeout = seconds_of((settings or {}).get("lock_timeout", SESSION_SETTINGS["lock_timeout"]))
        self.open = False
        self.finished = False

    def _enter(self, what: str, calls: tuple[Call, ...], *, commits: bool) -> str | None:
        began = self._scheduler.now
        self._scheduler.step(f"{what} {' '.join([_name(call.statement.name) for call in calls])}")
        if self.open and self._scheduler.now - began > IDLE_TIMEOUT:
            raise DatabaseUnavailable("terminating connection due to idle-in-transaction timeout")
        fault = self._all.faults.at_message(self._actor, commits=commits)
        if fault == "before":
            self._scheduler.history.add(self._scheduler.now, self._actor.name, "! the connection broke")
            raise DatabaseUnavailable("server closed the connection unexpectedly")
        return fault

    def _leave(self, fault: str | None) -> None:
        if fault == "after":
            self._scheduler.history.add(self._scheduler.now, self._actor.name, "! committed, but nobody heard")
            raise DatabaseUnavailable("server closed the connection unexpectedly")

    def _wait_for_lock(self, deadline: float) -> None:
        self._scheduler.history.add(self._scheduler.now, self._actor.name, "waits for a lock")
        if not self._scheduler.blocked(deadline):
            raise RowBusy("canceling statement due to lock timeout")


@cache
def _name(statement: str) -> str:
    head, _, tail = statement.rpartition("_")
    return head if len(tail) == 8 and head.endswith("_order") else statement


# -- in memory ---------------------------------------------------------------------------------------------------------


class MemoryTransaction(_Stepped):
    """The same messages on `Tables`, with row locks that last until the end of the transaction."""

    def fetch(self, *calls: Call) -> list[Row]:
        self._enter("asks", calls, commits=False)
        return self._run(calls)

    def read(self, *calls: Call) -> list[Row]:
        self._enter("reads", calls, commits=False)
        rows = self._run(calls)
        self.open = False
        return rows

    def finish(self, *calls: Call, returning: str | None = None) -> str | None:
        fault = self._enter("writes", calls, commits=True)
        self._run(calls)
        setting = self._all.tables.setting()
        self._undo.clear()
        self._end()
        self.finished = True
        self._all.committed(self._actor)
        self._leave(fault)
        return setting if returning else None

    def end(self) -> None:
        """Roll back what is still open."""
        if self.open:
            self._end()

    def _run(self, calls: tuple[Call, ...]) -> list[Row]:
        self.open = True
        rows: list[Row] = []
        deadline = self._scheduler.now + self._lock_timeout
        mark = len(self._undo)
        while True:
            try:
                for call in calls:
                    rows = self._all.tables.execute(call, self._take, self._undo)
                return sorted(rows) if calls and calls[-1].statement.name in _UNORDERED else rows
            except _Busy:
                # nobody runs in between, so taking back what this message did is the same as waiting in its middle,
                # but for the locks: those it has, it keeps
                self._take_back(mark)
                self._wait_for_lock(deadline)

    def _take_back(self, mark: int) -> None:
        while len(self._undo) > mark:
            self._undo.pop()()

    def _take(self, lock: Hashable, *, shared: bool = False) -> None:
        holders = self._all.locks.setdefault(lock, {})
        if any(holder is not self and not (shared and shares) for holder, shares in holders.items()):
            raise _Busy(lock)
        holders[self] = shared and holders.get(self, True)

    def _end(self) -> None:
        self._take_back(0)
        self.open = False
        for holders in self._all.locks.values():
            holders.pop(self, None)
        self._scheduler.released()


class MemoryDatabase(Database):
    """Stands in for the pool of connections."""

    def __init__(self, connections: Connections, _login: str) -> None:
        self.counted = Counted()
        self._all = connections

    @contextmanager
    def transaction(self, settings: Mapping[str, str] | None = None) -> Iterator[Transaction]:
        opened = MemoryTransaction(self._all, settings)
        try:
            yield opened  # type: ignore[misc] # the same methods
        finally:
            opened.end()

    def close(self) -> None:
        """Nothing to close."""


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def _take_nothing(lock: Hashable, *, shared: bool = False) -> None:
    """PostgreSQL holds the locks."""


class PostgresTransaction(_Stepped):
    """The messages go to PostgreSQL; what is committed goes to the mirror as well."""

    def __init__(self, connections: Connections, inner: Transaction, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(connections, settings)
        self._inner = inner
        self._written: list[Call] = []

    def fetch(self, *calls: Call) -> list[Row]:
        self._enter("asks", calls, commits=False)
        self.open = True
        rows = self._patiently(calls)
        self._written.extend(call for call in calls if call.statement.sql.startswith(("INSERT", "UPDATE", "WITH")))
        return rows

    def read(self, *calls: Call) -> list[Row]:
        self._enter("reads", calls, commits=False)
        rows = self._inner.read(*calls)
        return sorted(rows) if calls[-1].statement.name in _UNORDERED else rows

    def finish(self, *calls: Call, returning: str | None = None) -> str | None:
        fault = self._enter("writes", calls, commits=True)
        self.open = True
        self._patiently(calls)
        setting = self._inner.finish(returning=returning)
        self.open, self.finished = False, True
        for call in (*self._written, *calls):
            self._all.tables.execute(call, _take_nothing, [])
        self._scheduler.released()
        self._all.committed(self._actor)
        self._leave(fault)
        return setting

    def _patiently(self, calls: tuple[Call, ...]) -> list[Row]:
        """All at once; when a lock is in the way one by one, keeping the locks that it got before."""
        deadline = self._scheduler.now + self._lock_timeout
        cursor = self._inner._cursor
        begun = self._inner.begun
        try:
            if begun:
                cursor.execute("SAVEPOINT step")
            return self._inner.fetch(*calls)
        except psycopg2.errors.LockNotAvailable:
            cursor.execute("ROLLBACK TO SAVEPOINT step" if begun else "ROLLBACK")
        if not begun:
            self._inner.begun = False
            self._inner.fetch()
        rows: list[Row] = []
        for call in calls:
            while True:
                cursor.execute("SAVEPOINT step")
                try:
                    rows = self._inner.fetch(call)
                    break
                except psycopg2.errors.LockNotAvailable:
                    cursor.execute("ROLLBACK TO SAVEPOINT step")
                    self._wait_for_lock(deadline)
        return rows
