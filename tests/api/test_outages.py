"""With Redis, the broker or the database away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg2
import pytest
from werkzeug.test import TestResponse

from app import wiring
from app.settings import Settings
from app.storage import transaction
from app.storage.halts import GATE_KEY
from local.postgresql import EmbeddedPostgres
from tests.api.house import Client, House, problem_of, running

# Nobody listens there.
NOWHERE = "127.0.0.1:9"


def test_without_redis_orders_are_taken_as_ever(settings: Settings) -> None:
    away = f"redis://{NOWHERE}/0"
    with running(replace(settings, redis_url=away, celery_broker_url=away)) as house:
        ann = house.trader("Ann")
        began = time.monotonic()
        first = ann.submit(key="once")
        assert first.status_code == 201
        assert ann.submit(key="once").data == first.data
        assert ann.post("/orders/cancel-all").json == {"requested": 1}
        assert ann.get("/events").json["head_seq"] == 2  # type: ignore[index]
        assert time.monotonic() - began < 5  # nothing waits for the broker
        ready = house.flask.test_client().get("/readyz")
        assert ready.status_code == 200
        assert ready.json is not None
        assert (ready.json["status"], ready.json["checks"]["redis"]) == ("degraded", "unavailable")


def test_without_a_database_everything_answers_503(settings: Settings, postgres_server: EmbeddedPostgres) -> None:
    with running(settings) as house:
        ann = house.trader("Ann")
        order = ann.order()
        with _gone(settings, postgres_server):
            answer = ann.submit()
            problem = problem_of(answer, 503, "DATABASE_UNAVAILABLE")
            assert answer.headers["Retry-After"] == "1"
            assert "whether this order exists" in problem["detail"]
            assert "same Idempotency-Key" in problem["suggestion"]
            for method, path in [
                ("GET", "/orders"),
                ("GET", f"/orders/{order['id']}"),
                ("GET", "/account"),
                ("GET", "/events"),
                ("POST", f"/orders/{order['id']}/cancel"),
                ("POST", "/orders/cancel-all"),
            ]:
                answer = ann.call(method, path)
                problem_of(answer, 503, "DATABASE_UNAVAILABLE")
                assert answer.headers["Retry-After"] == "1"
            client = house.flask.test_client()
            problem_of(client.get("/readyz"), 503, "DATABASE_UNAVAILABLE")
            assert client.get("/healthz").status_code == 200
        assert _first_answer(ann, f"/orders/{order['id']}").json == {**order, "fills": []}


def test_a_database_that_takes_no_writes_is_away_for_whoever_writes(
    settings: Settings, postgres_server: EmbeddedPostgres
) -> None:
    """As after a failover, while the address still leads to what is a copy now."""
    with running(settings) as house:
        ann = house.trader("Ann")
        order = ann.order()
        _as_superuser(postgres_server, f"ALTER DATABASE {_name(settings)} SET default_transaction_read_only TO on")
        _cut_connections(postgres_server, settings)
        assert _first_answer(ann, f"/orders/{order['id']}").status_code == 200
        for path in (f"/orders/{order['id']}/cancel", "/orders/cancel-all"):
            problem_of(ann.post(path), 503, "DATABASE_UNAVAILABLE")
        problem_of(ann.submit(), 503, "DATABASE_UNAVAILABLE")
        _as_superuser(postgres_server, f"ALTER DATABASE {_name(settings)} RESET default_transaction_read_only")
        assert ann.submit().status_code == 201


def _first_answer(client: Client, path: str) -> TestResponse:
    """The answer once the connections are back."""
    deadline = time.monotonic() + 10
    while (answer := client.get(path)).status_code == 503:
        assert time.monotonic() < deadline
    return answer


@contextmanager
def _gone(settings: Settings, server: EmbeddedPostgres) -> Iterator[None]:
    """The database ends its connections and takes no new ones meanwhile."""
    _as_superuser(server, f"ALTER DATABASE {_name(settings)} ALLOW_CONNECTIONS false")
    _cut_connections(server, settings)
    yield
    _as_superuser(server, f"ALTER DATABASE {_name(settings)} ALLOW_CONNECTIONS true")


def _cut_connections(server: EmbeddedPostgres, settings: Settings) -> None:
    _as_superuser(
        server, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{_name(settings)}'"
    )


def _name(settings: Settings) -> str:
    return settings.database_url.rpartition("/")[2]


def _as_superuser(server: EmbeddedPostgres, statement: str) -> None:
    with closing(psycopg2.connect(server.test_superuser_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_connection_that_was_cut_costs_at_most_one_request(
    settings: Settings, postgres_server: EmbeddedPostgres
) -> None:
    with running(settings) as house:
        ann = house.trader("Ann")
        first = ann.submit(key="once")
        _cut_connections(postgres_server, settings)
        answers = [ann.submit(key="once") for _ in range(6)]
        for answer in answers:
            if answer.status_code != 201:
                problem_of(answer, 503, "DATABASE_UNAVAILABLE")
        assert answers[-1].data == first.data
        assert house.count("orders", ann) == 1


def test_who_would_wait_behind_too_many_is_told_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an overrun process works for callers that have given up long since, and nothing gets through any more."""
    monkeypatch.setattr(wiring, "WAITING_PER_CONNECTION", 0)
    with running(replace(settings, database_pool_size_api=1)) as house:
        ann = house.trader("Ann")
        order = ann.order()
        database = house.flask.extensions["surefill.serving"].database
        with database.transaction():
            began = time.monotonic()
            for method, path in [
                ("POST", "/orders"),
                ("GET", f"/orders/{order['id']}"),
                ("POST", "/orders/cancel-all"),
            ]:
                answer = ann.submit() if path == "/orders" else ann.call(method, path)
                problem_of(answer, 503, "OVERLOADED")
                assert answer.headers["Retry-After"] == "1"
            assert time.monotonic() - began < 1
        assert ann.submit().status_code == 201


def test_a_request_waits_for_a_connection_as_long_as_is_set(settings: Settings) -> None:
    with running(replace(settings, database_pool_size_api=1, database_pool_timeout_seconds=0.2)) as house:
        ann = house.trader("Ann")
        ann.order()
        began = time.monotonic()
        with house.flask.extensions["surefill.serving"].database.transaction():
            problem_of(ann.get("/orders"), 503, "OVERLOADED")
        assert 0.2 <= time.monotonic() - began < 2


def test_what_somebody_else_holds_is_told_and_nothing_is_stored(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "SESSION_SETTINGS", {**transaction.SESSION_SETTINGS, "lock_timeout": "200ms"})
    with running(settings) as house:
        ann = house.trader("Ann")
        order = ann.order()
        with _locked(house, "accounts", "trader_id", str(ann.trader_id)):
            answer = ann.submit(key="once")
            problem_of(answer, 409, "REQUEST_IN_PROGRESS")
            assert answer.headers["Retry-After"] == "1"
        with _locked(house, "orders", "id", order["id"]):
            problem_of(ann.post(f"/orders/{order['id']}/cancel"), 503, "BUSY")
        assert house.count("orders", ann) == 1
        assert ann.submit(key="once").status_code == 201


def test_each_of_several_that_wait_for_the_same_account_is_told_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's request is still being worked on, with the same key or not: PostgreSQL queues them by another
    lock, and does not say which one ran out of time."""
    monkeypatch.setattr(transaction, "SESSION_SETTINGS", {**transaction.SESSION_SETTINGS, "lock_timeout": "400ms"})
    with running(settings) as house:
        ann = house.trader("Ann")
        ann.order()
        with _locked(house, "accounts", "trader_id", str(ann.trader_id)), ThreadPoolExecutor(3) as threads:
            for answer in threads.map(lambda _: ann.submit(key="once"), range(3)):
                problem_of(answer, 409, "REQUEST_IN_PROGRESS")


@pytest.mark.parametrize(
    "held", [f"SELECT pg_advisory_xact_lock({GATE_KEY})", "LOCK accounts", "LOCK orders", "LOCK order_events"]
)
def test_what_no_request_holds_is_not_said_to_be_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """A halt that is being imposed, a migration: other requests of the account have nothing to do with it."""
    monkeypatch.setattr(transaction, "SESSION_SETTINGS", {**transaction.SESSION_SETTINGS, "lock_timeout": "200ms"})
    with running(settings) as house:
        ann = house.trader("Ann")
        ann.order()
        with closing(psycopg2.connect(settings.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(held)
            answer = ann.submit(key="once")
            problem = problem_of(answer, 503, "BUSY")
            assert answer.headers["Retry-After"] == "1"
            assert "halted or resumed" in problem["detail"] and "stored nothing" in problem["detail"]
            assert "same Idempotency-Key" in problem["suggestion"]
            connection.rollback()
        assert ann.submit(key="once").status_code == 201


def test_a_cancel_of_all_says_how_many_it_has_stored_although_one_order_is_busy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "SESSION_SETTINGS", {**transaction.SESSION_SETTINGS, "lock_timeout": "200ms"})
    with running(settings) as house:
        ann = house.trader("Ann")
        orders = [ann.order(quantity="1") for _ in range(3)]
        with _locked(house, "orders", "id", orders[1]["id"]):
            answer = ann.post("/orders/cancel-all")
            problem = problem_of(answer, 503, "BUSY")
            assert answer.headers["Retry-After"] == "1"
            assert problem["detail"].startswith("2 orders were asked to cancel")
            assert "stored nothing" not in problem["detail"]
            answer = ann.post("/orders/cancel-all")
            assert problem_of(answer, 503, "BUSY")["detail"].startswith("0 orders were asked")
        assert ann.post("/orders/cancel-all").json == {"requested": 1}


@contextmanager
def _locked(house: House, table: str, column: str, value: str) -> Iterator[None]:
    url = house.settings.sqlalchemy_url("worker").replace("+psycopg2", "")
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {table} WHERE {column} = %s FOR UPDATE", [value])
        yield
        connection.rollback()


def test_a_database_without_the_newest_migration_is_not_ready(settings: Settings) -> None:
    with running(settings) as house:
        with closing(psycopg2.connect(settings.database_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = '0000'")
        problem_of(house.flask.test_client().get("/readyz"), 503, "MIGRATION_MISSING")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE alembic_version",
        "DELETE FROM alembic_version",
        "REVOKE SELECT ON alembic_version FROM PUBLIC, surefill_api",
    ],
)
def test_a_database_that_does_not_tell_its_migration_is_not_ready(settings: Settings, statement: str) -> None:
    with running(settings) as house:
        with closing(psycopg2.connect(settings.database_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
        for _ in range(2):
            problem = problem_of(house.flask.test_client().get("/readyz"), 503, "MIGRATION_MISSING")
            assert problem["suggestion"] == "Run alembic upgrade head."
        assert house.flask.test_client().get("/healthz").status_code == 200


def test_the_first_request_needs_no_redis_and_no_venue(settings: Settings) -> None:
    away = f"redis://{NOWHERE}/0"
    with running(replace(settings, redis_url=away, celery_broker_url=away)) as house:
        client: Client = house.trader("Ann")
        assert client.get("/account").status_code == 200
