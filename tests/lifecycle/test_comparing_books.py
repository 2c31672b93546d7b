"""Our books beside the venue account's: drift is alarmed and audited, and nothing is mended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.domain.book_comparison import BooksCompared
from app.domain.venue_answers import OutcomeUnknown, VenueHoldings
from app.lifecycle.compare_books import BookComparison
from app.storage.book_totals import PostgresBookTotals
from app.storage.transaction import DatabaseUnavailable
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import House
from workers import quotes


@pytest.fixture
def compare(house: House) -> Callable[[], BooksCompared]:
    """Compare now. The fake venue's cash and positions are those of its ledger."""

    def run() -> BooksCompared:
        found = comparison(house).run_once("test")
        assert isinstance(found, BooksCompared), found
        return found

    return run


def comparison(house: House) -> BookComparison:
    worker = house.worker
    return BookComparison(
        house.venue, PostgresBookTotals(house.worker_database), worker.clock, worker.ids, worker.wait, "test"
    )


def _trade(house: House) -> None:
    order = house.submitted(quantity=Decimal(10), price=Decimal("150.01"))
    house.advance(order)
    house.venue.fill(str(order), Decimal(4), Decimal(150))
    house.listen()


def _alarms(house: House) -> list[tuple[object, ...]]:
    return house.sql("SELECT error_code, actor FROM execution_logs WHERE action = 'ALARMED' AND trader_id IS NULL")


def test_books_that_agree_are_said_to(house: House, compare: Callable[[], BooksCompared]) -> None:
    assert compare().agrees
    _trade(house)
    assert compare().agrees
    assert _alarms(house) == []


def test_a_position_that_no_order_explains_is_drift(house: House, compare: Callable[[], BooksCompared]) -> None:
    _trade(house)
    before = house.account(), house.sql("SELECT quantity FROM positions")
    house.venue.held_before["AAPL"] = Decimal(3)
    assert compare().position_drifts == {"AAPL": Decimal(3)}
    assert _alarms(house) == [("BOOKS_DRIFT", "test")]
    assert (house.account(), house.sql("SELECT quantity FROM positions")) == before


def test_money_that_no_trade_explains_is_drift(house: House, compare: Callable[[], BooksCompared]) -> None:
    compare()
    _trade(house)
    house.venue.cash -= Decimal("12.50")
    assert compare().cash_drift == Decimal("-12.50")


def test_an_execution_that_is_still_on_its_way_is_no_drift(house: House) -> None:
    first = comparison(house)
    assert isinstance(first.run_once("test"), BooksCompared)
    order = house.submitted(quantity=Decimal(10), price=Decimal("150.01"))
    house.advance(order)
    house.venue.fill(str(order), Decimal(4), Decimal(150))

    def wait(_: float) -> None:
        house.listen()

    later = BookComparison(
        house.venue, PostgresBookTotals(house.worker_database), house.clock, house.worker.ids, wait, "test"
    )
    found = later.run_once("test")
    assert isinstance(found, BooksCompared) and found.agrees


def test_a_venue_that_does_not_answer_proves_nothing(house: House) -> None:
    house.venue.plan(Fault.HOLDINGS_ERROR)
    assert not isinstance(comparison(house).run_once("test"), BooksCompared)
    assert comparison(house).is_due()


def test_it_is_due_once_a_day(house: House, compare: Callable[[], BooksCompared]) -> None:
    compare()
    assert not comparison(house).is_due()
    house.clock.pass_(24 * 3600)
    assert comparison(house).is_due()


def moving(house: House, steps: int, quantity: int = 4) -> BookComparison:
    """While it is compared, something is executed before each of the first looks but one, and heard of after it."""
    order = house.submitted(quantity=Decimal(100), price=Decimal("150.01"))
    house.advance(order)
    left = [quantity] * steps

    def wait(_: float) -> None:
        house.listen()
        if left:
            house.venue.fill(str(order), Decimal(left.pop()), Decimal(150))

    return BookComparison(
        house.venue, PostgresBookTotals(house.worker_database), house.clock, house.worker.ids, wait, "test"
    )


def test_what_is_executed_while_the_first_comparison_looks_is_not_taken_for_cash_that_is_nobody_s(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = moving(house, steps=2)
    order = house.venue.ledger[-1].instruction.client_order_id
    holdings, between = house.venue.holdings, [Decimal(7)]

    def cash_before_positions() -> VenueHoldings | OutcomeUnknown:
        before = holdings()
        if between:
            house.venue.fill(order, between.pop(), Decimal(150))
            house.listen()
        after = holdings()
        assert isinstance(before, VenueHoldings) and isinstance(after, VenueHoldings)
        return VenueHoldings(before.cash, before.currency, after.positions)

    monkeypatch.setattr(house.venue, "holdings", cash_before_positions)
    assert isinstance(busy.run_once("test"), BooksCompared)
    house.clock.pass_(24 * 3600)
    found = comparison(house).run_once("test")
    assert isinstance(found, BooksCompared) and found.agrees


def test_sums_that_are_others_at_each_look_are_no_drift(house: House) -> None:
    assert isinstance(comparison(house).run_once("test"), BooksCompared)
    busy = moving(house, steps=9)
    order = house.venue.ledger[-1].instruction.client_order_id
    sizes = iter(range(1, 9))

    def wait(_: float) -> None:
        house.listen()
        house.venue.fill(order, Decimal(next(sizes)), Decimal(150))

    wait(0)
    found = replace(busy, wait=wait).run_once("test")
    assert isinstance(found, OutcomeUnknown) and found.code == "BOOKS_MOVING"
    assert _alarms(house) == []
    house.listen()
    after = comparison(house).run_once("test")
    assert isinstance(after, BooksCompared) and after.agrees


def test_a_drift_is_found_although_something_moves_at_first(house: House) -> None:
    assert isinstance(comparison(house).run_once("test"), BooksCompared)
    house.venue.held_before["AAPL"] = Decimal(3)
    found = moving(house, steps=2).run_once("test")
    assert isinstance(found, BooksCompared) and found.position_drifts == {"AAPL": Decimal(3)}
    assert found.cash_drift == 0
    assert _alarms(house) == [("BOOKS_DRIFT", "test")]


def test_books_that_cannot_be_compared_for_two_days_are_an_error(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quotes, "COMPARE_BOOKS_AFTER_SECONDS", 0)
    process = SimpleNamespace(
        venue=house.venue, database=house.worker_database, ports=house.worker, book_comparison=lambda: comparison(house)
    )
    worker = quotes.Quotes(cast("Any", process))

    def levels() -> list[int]:
        house.venue.plan(Fault.HOLDINGS_ERROR)
        caplog.clear()
        worker.compare_books()
        return [record.levelno for record in caplog.records if "have not been compared" in record.message]

    assert levels() == [logging.WARNING]
    house.clock.pass_(2 * 24 * 3600)  # never compared: since there is a trader
    assert levels() == [logging.ERROR]
    worker.compare_books()
    house.clock.pass_(24 * 3600)
    assert levels() == [logging.WARNING]
    too_slow = "statement timeout"

    def slow(*_: object) -> None:
        raise DatabaseUnavailable(too_slow)

    monkeypatch.setattr(PostgresBookTotals, "totals", slow)
    house.venue.forget_plans("holdings")
    house.clock.pass_(24 * 3600)
    caplog.clear()
    worker.compare_books()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and too_slow in record.message
