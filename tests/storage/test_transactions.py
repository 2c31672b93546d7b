"""What a caller is told when the database breaks a transaction off, and what becomes of the connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg2
import psycopg2.errors
import pytest

from app.storage.transaction import Call, Database, DatabaseUnavailable, Statement, Transaction

ONE = Call(Statement("one", "SELECT 1"))
BACKEND = Call(Statement("backend", "SELECT pg_backend_pid()"))
NOT_FOR_LONG = Call(
    Statement("not_for_long", "SELECT set_config('idle_in_transaction_session_timeout', '100ms', true)")
)
WRITE = Call(Statement("write_anything", "UPDATE traders SET name = name"))
READ_ONLY = Call(Statement("read_only", "SELECT set_config('default_transaction_read_only', $1, false)"), ["on"])

READS_ONLY = Call(Statement("reads_only", "SELECT current_setting('default_transaction_read_only')"))


@pytest.fixture
def store(database: str) -> Iterator[Database]:
    store = Database(database.replace("postgresql://", "postgresql+psycopg2://"), pool_size=2)
    yield store
    store.close()


def _asks(transaction: Transaction) -> None:
    transaction.fetch(ONE)


def _asks_something_new(transaction: Transaction) -> None:
    transaction.fetch(Call(Statement("something_new", "SELECT 2")))


def _writes(transaction: Transaction) -> None:
    transaction.finish(ONE)


def _commits(transaction: Transaction) -> None:
    transaction.finish(returning="app.trader_id")


def _leaves(_: Transaction) -> None:
    """With nothing to write: the block ends, and it is rolled back."""


def _within(store: Database, body: Callable[[Transaction], None]) -> None:
    with store.transaction() as transaction:
        transaction.fetch(ONE)
        body(transaction)


@pytest.mark.parametrize("goes_on", [_asks, _asks_something_new, _writes, _commits, _leaves])
def test_who_stood_still_inside_a_transaction_is_told_that_the_database_is_away(
    store: Database, goes_on: Callable[[Transaction], None]
) -> None:
    """As every caller knows how to go on from that: the venue's answer is recorded again, a request is a 503."""

    def stands_still(transaction: Transaction) -> None:
        transaction.fetch(NOT_FOR_LONG)
        time.sleep(0.4)
        goes_on(transaction)

    with pytest.raises(DatabaseUnavailable):
        _within(store, stands_still)
    assert store.read(ONE) == [(1,)]


def test_however_the_driver_hears_that_it_stood_still_it_is_told_the_same(store: Database) -> None:
    """It depends on the client library, and on when it reads, whether the server's own word for it arrives."""

    def hears(_: Transaction) -> None:
        raise psycopg2.errors.IdleInTransactionSessionTimeout("terminating connection due to idle transaction")

    with pytest.raises(DatabaseUnavailable, match="idle"):
        _within(store, hears)


def test_whatever_ends_a_connection_is_a_database_that_is_away(store: Database) -> None:
    def is_ended(transaction: Transaction) -> None:
        ((backend,),) = transaction.fetch(BACKEND)
        store.read(Call(Statement("end_session", "SELECT pg_terminate_backend($1, 5000)"), [backend]))
        try:
            transaction.fetch(ONE)
        except psycopg2.OperationalError:
            raise psycopg2.InternalError("some other word for it") from None

    with pytest.raises(DatabaseUnavailable):
        _within(store, is_ended)


def test_an_error_that_leaves_the_connection_open_is_a_fault_of_ours(store: Database) -> None:
    def fails(_: Transaction) -> None:
        raise psycopg2.InternalError("nothing that we know")

    with pytest.raises(psycopg2.InternalError):
        _within(store, fails)
    assert store.read(ONE) == [(1,)]


def test_a_server_that_takes_no_writes_is_a_database_that_is_away_and_is_left(store: Database) -> None:
    """After a failover the connections of before may lead to what is only a copy by now."""
    ((before,),) = store.read(BACKEND)
    store.read(READ_ONLY)
    with pytest.raises(DatabaseUnavailable, match="read-only"), store.transaction() as transaction:
        transaction.finish(WRITE)
    assert store.read(READS_ONLY) == [("off",)]
    with store.transaction() as transaction:
        transaction.finish(WRITE)
    assert store.read(BACKEND) != [(before,)]
