"""A page of a long list reads its own rows and no others."""

from __future__ import annotations

import re
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg2
import pytest

from app.storage import account_reads, order_reads
from app.storage.order_reads import Filter, Place
from app.storage.transaction import Call, Statement
from tests.api.house import Client, House, problem_of

MANY = 20_000
NOW = datetime.now(UTC)
PLACE = Place(NOW, UUID(int=0))


@pytest.fixture(scope="module")
def crowded(house_of_module: House) -> tuple[House, Client]:
    """A trader with many orders and fills, and another one with as many."""
    house = house_of_module
    house.open_market()
    ann, ben = house.trader("Ann"), house.trader("Ben")
    house.rows(
        """INSERT INTO orders (id, trader_id, idempotency_key, request_fingerprint, symbol, side, quantity, order_type,
            price, time_in_force, venue, execution_path, reservation_price, status, execution_state, filled_quantity,
            log_seq, log_hash, version, created_at, updated_at, closed_at)
        SELECT gen_random_uuid(), CASE WHEN n %% 2 = 0 THEN %s ELSE %s END, n::text, '', 'AAPL', 'BUY', 1, 'LIMIT', 1,
            'DAY', 'simulator', 'V2', 1, 'FILLED', 'CLOSED', 1, 1, '', 1, now() - n * interval '1 second', now(), now()
        FROM generate_series(1, %s) n""",
        ann.trader_id, ben.trader_id, MANY,
    )  # fmt: skip
    house.rows(
        """INSERT INTO fills (id, order_id, trader_id, symbol, side, timestamp, quantity_filled, price_at_fill, venue,
            venue_order_id, cumulative_quantity, realized_pnl, created_at)
        SELECT gen_random_uuid(), id, trader_id, symbol, side, created_at, 1, 1, venue, id::text, 1, 0, now()
        FROM orders"""
    )
    with closing(psycopg2.connect(house.settings.database_url)) as owner, owner, owner.cursor() as cursor:
        cursor.execute("ANALYZE orders, fills")
    return house, ann


@pytest.mark.parametrize(
    "wanted",
    [Filter(), Filter(symbol="AAPL", side="BUY"), Filter(since=datetime(2020, 1, 1, tzinfo=UTC)), Filter(until=NOW)],
)
@pytest.mark.parametrize("after", [None, PLACE])
@pytest.mark.parametrize("make", [order_reads.list_orders, order_reads.list_fills])
def test_a_page_is_read_from_an_index(
    crowded: tuple[House, Client], make: type, wanted: Filter, after: Place | None
) -> None:
    house, ann = crowded
    assert _rows_read(house, ann, make(ann.trader_id, wanted, after, 21)) <= 60


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (order_reads.list_orders, Filter(status="REJECTED")),
        (order_reads.list_orders, Filter(execution_state="CLOSED", side="SELL")),
        (order_reads.list_orders, Filter(symbol="MSFT")),
        (order_reads.list_fills, Filter(symbol="MSFT")),
    ],
)
def test_a_time_bounds_what_is_read_to_find_rare_rows(
    crowded: tuple[House, Client], make: type, wanted: Filter
) -> None:
    """It is what a caller is told to give when a list takes too long."""
    house, ann = crowded
    within = replace(wanted, since=NOW - timedelta(seconds=100), until=NOW - timedelta(seconds=40))
    assert _rows_read(house, ann, make(ann.trader_id, within, None, 21)) <= 60


@pytest.mark.parametrize(("path", "made"), [("/orders", "list_orders"), ("/fills", "list_fills")])
def test_a_list_that_takes_too_long_is_given_up_and_says_what_to_do(
    crowded: tuple[House, Client], monkeypatch: pytest.MonkeyPatch, path: str, made: str
) -> None:
    _, ann = crowded
    endless = Call(Statement(f"endless_{made}", "SELECT pg_sleep(30)"))
    with monkeypatch.context() as patched:
        patched.setattr(order_reads, made, lambda *_: endless)
        began = time.monotonic()
        answer = ann.get(path)
        assert order_reads.LONGEST_LIST_SECONDS <= time.monotonic() - began < 10
    problem = problem_of(answer, 503, "LIST_TOO_SLOW")
    assert "2 seconds" in problem["detail"]
    assert "since and until" in problem["suggestion"]
    assert answer.headers["Retry-After"] == "1"
    assert ann.get(path).status_code == 200


def test_a_page_of_rare_orders_is_read_from_an_index(crowded: tuple[House, Client]) -> None:
    house, ann = crowded
    ann.order()
    call = order_reads.list_orders(ann.trader_id, Filter(status="PENDING"), None, 21)
    assert _rows_read(house, ann, call) <= 60
    assert _rows_read(house, ann, order_reads.open_orders(ann.trader_id, 100)) <= 60
    exits = order_reads.list_orders(ann.trader_id, Filter(parent_id=PLACE.id), None, 21)
    assert _rows_read(house, ann, exits) <= 60


def test_the_account_reads_today_s_fills_and_no_others(crowded: tuple[House, Client]) -> None:
    house, ann = crowded
    another_day = datetime.now(UTC) + timedelta(days=2)  # on which nothing was filled
    assert _rows_read(house, ann, account_reads.account(ann.trader_id, another_day)) <= 60


def _rows_read(house: House, client: Client, call: Call) -> int:
    """How many rows of tables and indexes the statement touches, as the API's login under row security."""
    url = house.settings.sqlalchemy_url("api").replace("+psycopg2", "")
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.trader_id', %s, true)", [str(client.trader_id)])
        cursor.execute(f"PREPARE asked AS {call.statement.sql}")
        marks = ",".join(["%s"] * len(call.values))
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING off) EXECUTE asked({marks})", list(call.values))
        plan = [line for (line,) in cursor.fetchall()]
    read = 0
    for line, follows in zip(plan, [*plan[1:], ""], strict=True):
        scan = re.search(r"(?:Seq|Index|Heap|Only) Scan.*actual rows=([\d.]+) loops=(\d+)", line)
        if scan:
            read += round(float(scan[1]) * int(scan[2]))
        removed = re.search(r"Rows Removed by (?:Filter|Index Recheck): (\d+)", follows)
        read += int(removed[1]) if removed else 0
    return read
