"""A venue with more instruments than are watched: what is asked for is quoted within seconds, what is held first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.domain.venue_answers import Quote
from app.storage import instruments
from app.storage.instruments import FEW, PostgresInstruments
from app.storage.transaction import Database
from app.wiring import SystemClock
from tests.api.house import Client, House, instrument, problem_of
from workers.quotes import Quotes

SYMBOLS = [f"S{number:03}" for number in range(FEW + 50)]


@pytest.fixture
def database(house: House) -> Iterator[Database]:
    """The workers' connections, with nothing ordered or asked for before."""
    house.rows("UPDATE quote_requests SET asked_at = '2020-01-01Z'")
    house.rows("UPDATE instruments SET bid = NULL, ask = NULL, quoted_at = NULL, confirmed_at = NULL")
    made = Database(house.settings.sqlalchemy_url("worker"), pool_size=1)
    yield made
    made.close()


@pytest.fixture
def quotes(house: House, database: Database) -> Quotes:
    """The quotes process beside a large venue that quotes whatever it is asked for."""
    house.venue.listed = [instrument(symbol) for symbol in SYMBOLS]
    for symbol in SYMBOLS:
        bid, ask = Decimal("10.00"), Decimal("10.02")
        house.venue.current_quotes[symbol] = Quote(symbol, bid, ask, Decimal(1), Decimal(1), datetime.now(UTC))
    process = SimpleNamespace(venue=house.venue, database=database, ports=SimpleNamespace(clock=SystemClock()))
    made = Quotes(cast("Any", process))
    made.run_once()
    return made


def _watched(house: House, database: Database, held: tuple[str, ...] = ()) -> list[str]:
    return PostgresInstruments(database).watched(house.venue.name, held, datetime.now(UTC))


def test_a_symbol_that_was_refused_for_want_of_a_quote_is_quoted_and_then_accepted(
    house: House, ann: Client, quotes: Quotes
) -> None:
    wanted: dict[str, Any] = {"symbol": SYMBOLS[-1], "quantity": "1", "order_type": "MARKET", "price": None}
    problem_of(ann.submit(**wanted), 422, "REFERENCE_PRICE_STALE")
    quotes.run_once()
    assert ann.submit(**wanted).status_code == 201


def test_a_quote_that_was_asked_for_is_there_the_next_time(house: House, ann: Client, quotes: Quotes) -> None:
    problem_of(ann.get(f"/quotes/{SYMBOLS[7].lower()}"), 404, "NO_QUOTE_YET")
    quotes.run_once()
    assert (ann.get(f"/quotes/{SYMBOLS[7]}").json or {})["bid"] == "10"


def test_a_quote_that_has_become_old_is_asked_for_and_what_is_watched_is_not(
    house: House, ann: Client, quotes: Quotes, database: Database
) -> None:
    symbol = SYMBOLS[3]
    house.quote(symbol, "10", "10.02", datetime.now(UTC) - timedelta(hours=1))
    assert ann.get(f"/quotes/{symbol}").status_code == 200
    asked = "SELECT asked_at, xmin::text FROM quote_requests WHERE symbol = %s"
    (first,) = house.rows(asked, symbol)
    for _ in range(3):  # every second, say: one write
        ann.get(f"/quotes/{symbol}")
    assert house.rows(asked, symbol) == [first]
    quotes.run_once()
    house.rows("UPDATE quote_requests SET asked_at = asked_at - interval '1 min' WHERE symbol = %s", symbol)
    (first,) = house.rows(asked, symbol)
    assert ann.get(f"/quotes/{symbol}").status_code == 200
    assert house.rows(asked, symbol) == [first]


def test_nothing_is_kept_of_symbols_that_are_not_listed(house: House, ann: Client, quotes: Quotes) -> None:
    before = house.rows("SELECT count(*) FROM quote_requests")
    problem_of(ann.get("/quotes/NOSUCH"), 404, "NOT_FOUND")
    assert ann.submit(symbol="NOSUCH", order_type="MARKET", price=None).status_code == 422
    assert house.rows("SELECT count(*) FROM quote_requests") == before


def test_a_limit_order_that_was_judged_without_a_quote_has_its_symbol_quoted(
    house: House, ann: Client, quotes: Quotes
) -> None:
    assert ann.submit(symbol=SYMBOLS[11], quantity="1", price="10").status_code == 201
    quotes.run_once()
    assert ann.get(f"/quotes/{SYMBOLS[11]}").status_code == 200


def test_what_was_ordered_and_has_ended_is_still_watched(
    house: House, ann: Client, quotes: Quotes, database: Database
) -> None:
    order = ann.order(symbol=SYMBOLS[13], quantity="1", price="10")
    assert ann.post(f"/orders/{order['id']}/cancel").status_code == 200
    assert SYMBOLS[13] not in _watched(house, database)
    PostgresInstruments(database).ask_for_ordered(None, datetime.now(UTC))
    assert SYMBOLS[13] in _watched(house, database)


def test_what_is_held_is_watched_before_what_is_ordered_and_that_before_what_is_asked_for(
    house: House, ann: Client, quotes: Quotes, database: Database
) -> None:
    house.hold(ann, SYMBOLS[-1], "1", "10")
    ann.order(symbol=SYMBOLS[-2], quantity="1", price="10")
    for symbol in (SYMBOLS[0], SYMBOLS[1]):
        problem_of(ann.get(f"/quotes/{symbol}"), 404, "NO_QUOTE_YET")
    held = PostgresInstruments(database).held(house.venue.name)
    assert held == [SYMBOLS[-1]]
    watched = _watched(house, database, tuple(held))
    wanted = [SYMBOLS[-1], SYMBOLS[-2], SYMBOLS[1], SYMBOLS[0]]
    assert [symbol for symbol in watched if symbol in wanted] == wanted


def test_however_much_is_asked_for_no_more_is_than_is_quoted_in_time(
    house: House, ann: Client, quotes: Quotes, database: Database
) -> None:
    for symbol in SYMBOLS:
        ann.get(f"/quotes/{symbol}")
    watched = _watched(house, database)
    assert set(SYMBOLS[-instruments.MOST_ASKED :]) <= set(watched)
    assert SYMBOLS[0] not in watched
