"""A loss that comes to its limit leaves only orders that reduce, until the exchange's next day or another limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.errors
import pytest

from app.domain.changes import Actor
from app.domain.orders import OrderType, Side
from app.lifecycle.accept import Refusal
from app.lifecycle.loss_limits import watch_losses
from app.lifecycle.traders import Administration, change_limits
from app.settings import Settings
from app.storage.sessions import PostgresSessions
from app.storage.traders import PostgresTraders
from app.storage.transaction import Database
from tests.lifecycle.conftest import START, House

A_DAY = 24 * 3600


class Watch:
    """The sweeper's look at losses, and an operator beside it."""

    def __init__(self, house: House, settings: Settings) -> None:
        self._house = house
        self._owner = Database(settings.sqlalchemy_url("owner"), pool_size=1)
        clock, ids = house.worker.clock, house.worker.ids
        self._worker = Administration(PostgresTraders(house.worker_database), clock, ids, Actor("sweeper"), "test")
        self._operator = Administration(PostgresTraders(self._owner), clock, ids, Actor("operator"), "test")

    def look(self, sessions: PostgresSessions | None = None) -> None:
        watch_losses(self._worker, sessions or PostgresSessions(self._house.worker_database))

    def limit(self, amount: int | None) -> None:
        change_limits(
            self._operator,
            self._house.trader_id,
            {"daily_loss_limit": None if amount is None else Decimal(amount)},
        )

    def state(self) -> object:
        return self._house.sql("SELECT trading_state FROM traders WHERE id = %s", self._house.trader_id)[0][0]

    def close(self) -> None:
        self._owner.close()


@pytest.fixture
def watch(house: House, settings: Settings):  # type: ignore[no-untyped-def] # a generator of Watch
    made = Watch(house, settings)
    yield made
    made.close()


def _hold_100(house: House) -> None:
    order = house.submitted(quantity=Decimal(100), price=Decimal("150.01"))
    house.advance(order)
    house.venue.fill(str(order), Decimal(100), Decimal("150.01"))
    house.listen()


def _quote(house: House, bid: str) -> None:
    house.sql("UPDATE instruments SET bid = %s, ask = %s", Decimal(bid), Decimal(bid) + 1)


def test_a_loss_at_the_limit_leaves_only_orders_that_reduce(house: House, watch: Watch) -> None:
    watch.limit(1000)
    watch.look()
    _hold_100(house)
    _quote(house, "140.02")  # 99.9 a share are 999 lost
    watch.look()
    assert watch.state() == "ACTIVE"
    _quote(house, "140.01")
    refused = house.submit(quantity=Decimal(1), price=Decimal(140))  # before anybody has looked
    assert isinstance(refused, Refusal)
    assert [denial.code for denial in refused.denials] == ["DAILY_LOSS_LIMIT"]
    watch.look()
    assert watch.state() == "REDUCING"
    house.submitted(side=Side.SELL, quantity=Decimal(10), order_type=OrderType.MARKET, price=None)
    row = house.sql(
        "SELECT action::text, rule, limits_version FROM execution_logs WHERE chain_id = %s"
        " ORDER BY chain_seq DESC LIMIT 1",
        house.trader_id,
    )
    assert row == [("HALTED", "DAILY_LOSS_LIMIT", 2)]


def test_the_next_day_begins_with_what_is_left(house: House, watch: Watch) -> None:
    watch.limit(1000)
    _hold_100(house)
    _quote(house, "130")
    watch.look()
    assert watch.state() == "REDUCING"
    house.clock.pass_(A_DAY)
    watch.look()
    assert watch.state() == "ACTIVE"
    house.submitted(quantity=Decimal(1), price=Decimal(130))


def test_another_limit_is_judged_by_at_once(house: House, watch: Watch) -> None:
    watch.limit(1000)
    _hold_100(house)
    _quote(house, "130")
    watch.look()
    assert watch.state() == "REDUCING"
    watch.limit(5000)
    watch.look()
    assert watch.state() == "ACTIVE"
    watch.limit(1500)
    watch.look()
    assert watch.state() == "REDUCING"


def test_a_day_begins_without_any_order(house: House, watch: Watch) -> None:
    _hold_100(house)
    house.clock.pass_(A_DAY)
    watch.look()
    ((on, equity),) = house.sql(
        "SELECT session_on::text, session_equity FROM accounts WHERE trader_id = %s", house.trader_id
    )
    assert (on, equity) == ("2026-01-06", Decimal(100_000) - Decimal("15001") + Decimal("14999"))


@pytest.mark.parametrize(("quantity", "leaves"), [(100, True), (101, False)])
def test_a_buy_that_only_covers_what_was_oversold_still_leaves(
    house: House, watch: Watch, quantity: int, leaves: bool
) -> None:
    house.sql_as_worker(
        "INSERT INTO positions (trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl, updated_at)"
        " VALUES (%s, 'AAPL', -100, 0, -15000, 0, %s)", house.trader_id, house.clock.now(),
    )  # fmt: skip
    order_id = house.submitted(quantity=Decimal(quantity), price=Decimal("150.01"))
    watch.limit(1000)
    watch.look()
    _quote(house, "161")
    watch.look()
    assert watch.state() == "REDUCING"
    house.advance(order_id)
    assert house.state(order_id) == (("PENDING", "WORKING") if leaves else ("CANCELLED", "CLOSED"))


def test_a_day_that_began_without_a_price_is_reckoned_from_the_first_one(house: House, watch: Watch) -> None:
    watch.limit(1000)
    _hold_100(house)
    house.sql("UPDATE instruments SET bid = NULL, ask = NULL")
    house.clock.pass_(A_DAY)
    watch.look()
    assert house.sql("SELECT session_equity FROM accounts WHERE trader_id = %s", house.trader_id) == [(None,)]
    _quote(house, "150")
    house.sql("UPDATE accounts SET session_notional = 7 WHERE trader_id = %s", house.trader_id)
    watch.look()
    begun = house.sql("SELECT session_equity, session_notional FROM accounts WHERE trader_id = %s", house.trader_id)
    assert begun == [(Decimal(100_000) - Decimal(15001) + Decimal(15000), Decimal(7))]
    _quote(house, "139")
    watch.look()
    assert watch.state() == "REDUCING"


def test_a_limit_that_is_raised_while_the_loss_is_looked_at_counts(house: House, watch: Watch) -> None:
    watch.limit(1000)
    _hold_100(house)
    watch.look()
    _quote(house, "130")

    class Slow(PostgresSessions):
        """An operator is faster than who has read."""

        def beyond_limit(self, today: date) -> Sequence[tuple[UUID, int]]:
            found = super().beyond_limit(today)
            watch.limit(5000)
            return found

    watch.look(Slow(house.worker_database))
    watch.look()
    assert watch.state() == "ACTIVE"


def test_a_fill_that_commits_while_a_late_day_begins_is_in_its_equity_wholly_or_not_at_all(
    house: House, watch: Watch
) -> None:
    watch.look()
    house.sql("UPDATE accounts SET session_equity = NULL WHERE trader_id = %s", house.trader_id)
    # Whoever changes accounts waits here, with what it saw before, until the fill is committed.
    house.sql(
        "CREATE FUNCTION wait_for_the_fill() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';"
        "GRANT EXECUTE ON FUNCTION wait_for_the_fill() TO surefill_worker;"
        "CREATE TRIGGER waits BEFORE UPDATE ON accounts EXECUTE FUNCTION wait_for_the_fill()"
    )
    with closing(psycopg2.connect(house.worker_url)) as filling, filling.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7)")
        with ThreadPoolExecutor(1) as beside:
            began = beside.submit(PostgresSessions(house.worker_database).begin, START.date(), house.clock.now())
            _until(lambda: bool(house.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")))
            cursor.execute("SAVEPOINT before; SET LOCAL lock_timeout = '300ms'")
            try:
                _fill(cursor, house)
            except psycopg2.errors.LockNotAvailable:  # the account is held by whoever begins its day: then after it
                cursor.execute("ROLLBACK TO SAVEPOINT before")
                filling.commit()
                began.result()
                _fill(cursor, house)
            filling.commit()
            began.result()
    assert house.sql("SELECT cash, session_equity FROM accounts WHERE trader_id = %s", house.trader_id) == [
        (Decimal(98_500), Decimal(100_000))
    ]


def _fill(cursor: Any, house: House) -> None:
    """Ten bought at 150, which is also what they would bring."""
    cursor.execute(
        "UPDATE accounts SET cash = cash - 1500 WHERE trader_id = %s;"
        "INSERT INTO positions (trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl, updated_at)"
        " VALUES (%s, 'AAPL', 10, 0, 1500, 0, now());"
        "UPDATE instruments SET bid = 150 WHERE symbol = 'AAPL'",
        (str(house.trader_id), str(house.trader_id)),
    )


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
