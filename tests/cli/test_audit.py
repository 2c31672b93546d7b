"""`audit verify`: it holds on an honest log and finds what was done to another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import psycopg2
import pytest

from app.settings import Settings
from local.postgresql import EmbeddedPostgres
from tests.api.house import Client, House, running
from tests.cli.conftest import Console


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with running(settings) as house:
        yield house


@pytest.fixture
def ann(house: House) -> Client:
    ann = house.trader("Ann")
    order = ann.order(max_wait_seconds=60)
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "4", "149.123456789")
        worker.fill(order, "6", "150")
        failed = ann.order(quantity="1", price="1e2")
        worker.fail(failed)
    ann.post("/orders/cancel-all")
    ann.submit(quantity="100000")
    ann.submit_body(b'{"\\u0000":"\\ud800"}')
    house.limit(ann, max_order_value=Decimal("2500.50"), orders_per_minute=7)
    return ann


def test_an_honest_log_holds(house: House, ann: Client, console: Console) -> None:
    rows = house.rows("SELECT count(*), count(DISTINCT chain_id) FROM execution_logs")[0]
    assert rows[0] > 12
    said = console.ok("audit", "verify")
    assert said.out == f"{rows[0]} rows in {rows[1]} chains checked: no broken\n"


def test_an_empty_log_holds(console: Console) -> None:
    assert console.ok("audit", "verify").out == "0 rows in 0 chains checked: no broken\n"


_ONE = "(SELECT id FROM execution_logs WHERE action = 'FILLED' ORDER BY position LIMIT 1)"


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        (f"UPDATE execution_logs SET fill_price = fill_price + 0.01 WHERE id = {_ONE}", "not what its hash says"),
        (f"UPDATE execution_logs SET actor = 'somebody' WHERE id = {_ONE}", "not what its hash says"),
        (f"UPDATE execution_logs SET reason = NULL, venue = NULL WHERE id = {_ONE}", "not what its hash says"),
        (f"UPDATE execution_logs SET timestamp = timestamp + interval '1 us' WHERE id = {_ONE}", "not what its hash"),
        ("UPDATE execution_logs SET details = '{}' WHERE action = 'LIMITS_CHANGED'", "not what its hash says"),
        (f"DELETE FROM execution_logs WHERE id = {_ONE}", "is missing before it"),
        ("DELETE FROM execution_logs WHERE action = 'TRADER_CREATED'", "row 1 is missing before it"),
        (
            """DELETE FROM execution_logs l USING orders o WHERE o.id = l.chain_id AND l.chain_seq = o.log_seq""",
            "its last row is",
        ),
        ("DELETE FROM execution_logs WHERE order_id IS NOT NULL", "it has no row in the log"),
    ],
)
def test_a_log_that_was_tampered_with_does_not_hold(
    ann: Client, console: Console, postgres_server: EmbeddedPostgres, tampering: str, says: str
) -> None:
    name = console.settings.database_url.rpartition("/")[2]
    with closing(psycopg2.connect(postgres_server.test_superuser_url, dbname=name)) as connection, connection:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE execution_logs DISABLE TRIGGER USER")
            cursor.execute(tampering)
            assert cursor.rowcount > 0
            cursor.execute("ALTER TABLE execution_logs ENABLE ALWAYS TRIGGER execution_logs_immutable")
    said = console.run("audit", "verify")
    assert said.status == 1
    assert says in said.err
