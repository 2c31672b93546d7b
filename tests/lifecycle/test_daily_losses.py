"""A loss that comes to its limit leaves only orders that reduce, until the exchange's next day or another limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

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
from tests.lifecycle.conftest import House

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
