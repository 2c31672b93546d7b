"""The web application on a real database, and those who call it."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extras
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.domain.changes import Actor
from app.domain.halts import Halt, HaltScope
from app.domain.orders import Order
from app.domain.retry_policy import RetryPolicy
from app.domain.trading_session import MarketHours
from app.domain.venue_answers import ClientIdUniqueness, Quote, VenueCapabilities, VenueInstrument
from app.lifecycle.advance import advance
from app.lifecycle.halts import HaltDesk, impose
from app.lifecycle.ports import Ports
from app.lifecycle.reconcile import take_updates
from app.lifecycle.traders import Administration, change_limits, create_key, create_trader
from app.settings import Settings
from app.storage.halts import PostgresHalts
from app.storage.instruments import PostgresInstruments
from app.storage.order_store import PostgresOrders
from app.storage.traders import PostgresTraders
from app.storage.transaction import Database
from app.web import create_web_app
from app.wiring import Process, SystemClock, TimeOrderedIds
from proofs.fake_venue import FakeTradeStream, FakeVenue, Fault

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]

_numbers = itertools.count(1)

LIMIT_ORDER: Mapping[str, Any] = {
    "symbol": "AAPL",
    "side": "BUY",
    "quantity": "10",
    "order_type": "LIMIT",
    "price": "150.25",
}


@dataclass(frozen=True)
class Client:
    """One trader at the API."""

    http: FlaskClient
    trader_id: UUID
    key: str = field(repr=False)

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return self.http.open(f"/api/v1{path}", method=method, headers=headers, **options)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.call("GET", path, query_string=query or None)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.call("POST", path, **options)

    def submit(
        self, *, key: str | None = None, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> TestResponse:
        """Submit LIMIT_ORDER with other fields; a field that is None is left out."""
        body = {name: value for name, value in {**LIMIT_ORDER, **fields}.items() if value is not None}
        return self.submit_body(json.dumps(body), key=key, headers=headers)

    def submit_body(
        self, body: str | bytes, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        return self.post(
            "/orders",
            data=body,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": key or f"key-{next(_numbers)}",
                "Confirm-Duplicate": "true",
                **(headers or {}),
            },
        )

    def order(self, **fields: Any) -> dict[str, Any]:
        """A new order that is accepted."""
        answer = self.submit(**fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.json or {})


class _Unheard:
    """Nobody waits for a wake-up here."""

    def work(self, order: Order) -> None: ...

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None: ...


class _ThisProcess:
    me = "host/1/boot/1/1"

    @contextmanager
    def sending(self, attempt: str) -> Iterator[None]:
        yield

    def has_ended(self, sender: str, attempt: str) -> bool:
        return sender != self.me


class Worker:
    """Takes orders to a venue that does what the test says. It does not retry."""

    def __init__(self, database: Database, venue: FakeVenue) -> None:
        clock = SystemClock()
        self.venue = venue
        self._stream = FakeTradeStream(self.venue)
        self._stream.connect()
        unheard = _Unheard()
        self.ports = Ports(
            clock=clock,
            ids=TimeOrderedIds(),
            store=PostgresOrders(database, unheard, clock),
            senders=_ThisProcess(),
            wakeups=unheard,
            policy=RetryPolicy(max_attempts=0),
            venue_of=lambda _: self.venue,
            software_version="test",
            wait=lambda seconds: None,
        )

    def send(self, order: Mapping[str, Any]) -> None:
        advance(self.ports, UUID(order["id"]))

    def fail(self, order: Mapping[str, Any]) -> None:
        """Send it into the void: it then needs attention."""
        self.venue.plan(Fault.SUBMIT_LOST)
        self.send(order)

    def fill(self, order: Mapping[str, Any], quantity: str, price: str) -> None:
        self.venue.fill(order["id"], Decimal(quantity), Decimal(price))
        self.listen()

    def listen(self) -> None:
        """Take what the venue's stream has said."""
        for update in list(self._stream.updates(0)):
            take_updates(self.ports, UUID(update.report.client_order_id), [update])


@dataclass(frozen=True)
class House:
    """Everything behind the API, for a test to arrange."""

    settings: Settings
    flask: Flask
    owner: Database
    venue: FakeVenue = field(
        default_factory=lambda: FakeVenue(
            clock=SystemClock().now,
            capabilities=VenueCapabilities(ClientIdUniqueness.PERMANENT, max_in_flight=timedelta(0)),
            name="simulator",
        )
    )

    @property
    def database(self) -> Database:
        """The API's own connections."""
        process: Process = self.flask.extensions["surefill.serving"].process
        return process.database

    @property
    def administration(self) -> Administration:
        return Administration(
            PostgresTraders(self.owner), SystemClock(), TimeOrderedIds(), Actor("administrator:test"), "test"
        )

    def trader(self, name: str, cash: str = "100000") -> Client:
        made = create_trader(self.administration, f"{name} {next(_numbers)}", Decimal(cash))
        return Client(self.flask.test_client(), made.trader_id, made.key.text)

    def with_scopes(self, client: Client, *scopes: str) -> Client:
        """The same trader with another key."""
        key = create_key(self.administration, client.trader_id, scopes, None)
        return Client(client.http, client.trader_id, key.text)

    def limit(self, client: Client, **limits: Any) -> None:
        change_limits(self.administration, client.trader_id, limits)

    def halt(self, client: Client, reason: str = "odd orders") -> Halt:
        """An administrator halts this trader."""
        desk = HaltDesk(PostgresHalts(self.owner), SystemClock(), TimeOrderedIds(), Actor("administrator:test"), "test")
        return impose(desk, HaltScope.TRADER, client.trader_id, None, reason)[0]

    def rows(self, statement: str, *values: object) -> list[Any]:
        """What the workers' login, which sees all traders, reads or writes."""
        url = self.settings.sqlalchemy_url("worker").replace("+psycopg2", "")
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def quote(self, symbol: str, bid: str, ask: str, at: datetime | None = None) -> None:
        quoted_at = at or datetime.now(UTC)
        quote = Quote(symbol, Decimal(bid), Decimal(ask), Decimal(100), Decimal(100), quoted_at)
        with closing(self._worker()) as worker:
            PostgresInstruments(worker).store_quotes([quote], quoted_at)

    def open_market(self) -> None:
        """Two symbols that can be traded, with fresh quotes, and one that is halted."""
        self.rows("UPDATE instruments SET quoted_at = NULL")
        self.list_instruments(instrument("AAPL"), instrument("MSFT"), instrument("HALT", tradable=False))
        self.open_hours(MarketHours(is_open=True, next_open=None, next_close=None))
        self.quote("AAPL", "150.00", "150.10")
        self.quote("MSFT", "300.00", "300.20")

    def open_hours(self, hours: MarketHours) -> None:
        """What the venue's clock says."""
        with closing(self._worker()) as worker:
            PostgresInstruments(worker).store_hours("simulator", hours, datetime.now(UTC))

    def list_instruments(self, *instruments: VenueInstrument) -> None:
        with closing(self._worker()) as worker:
            PostgresInstruments(worker).store("simulator", instruments, datetime.now(UTC))

    def hold(self, client: Client, symbol: str, quantity: str, cost: str) -> None:
        """Give the trader a holding."""
        self.rows(
            """INSERT INTO positions (trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl,
            updated_at) VALUES (%s, %s, %s, 0, %s, 0, now())""",
            client.trader_id, symbol, Decimal(quantity), Decimal(cost),
        )  # fmt: skip

    def refusals(self, client: Client) -> list[tuple[str, str]]:
        """Error code and actor of the audited refusals, oldest first."""
        return [
            (code, actor)
            for code, actor in self.rows(
                """SELECT error_code, actor FROM execution_logs
                WHERE trader_id = %s AND action = 'REJECTED' AND order_id IS NULL ORDER BY chain_seq""",
                client.trader_id,
            )
        ]

    @contextmanager
    def working(self) -> Iterator[Worker]:
        """A worker process beside the API, with a venue in memory."""
        with closing(self._worker()) as database:
            yield Worker(database, self.venue)

    def count(self, table: str, client: Client) -> int:
        """How many rows of a table are that trader's."""
        return int(self.rows(f"SELECT count(*) FROM {table} WHERE trader_id = %s", client.trader_id)[0][0])

    def _worker(self) -> Database:
        return Database(self.settings.sqlalchemy_url("worker"), pool_size=1)


def instrument(symbol: str, *, tradable: bool = True, tick: str = "0.01", lot: str = "1") -> VenueInstrument:
    return VenueInstrument(symbol, f"{symbol} Inc.", "active", tradable, Decimal(tick), Decimal(lot))


class running:  # noqa: N801 - reads as a phrase: `with running(settings) as house`
    """The application on these settings, for a while."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = Database(settings.sqlalchemy_url("owner"), pool_size=2)
        self._patch = pytest.MonkeyPatch()
        root = logging.getLogger()
        self._logging = (list(root.handlers), root.level)

    def __enter__(self) -> House:
        # Celery's configuration reads the process's environment, once; the broker is this system's all the same.
        for name in ("DATABASE_URL", "REDIS_URL"):
            self._patch.setenv(name, getattr(self._settings, name.lower()))
        self._patch.setenv("SIMULATOR_URL", self._settings.apca_api_base_url)
        import celeryconfig

        self._patch.setattr(celeryconfig, "broker_url", self._settings.celery_broker_url)
        flask = create_web_app(self._settings)
        self._restore_logging()
        house = House(self._settings, flask, self._owner)
        house.open_market()
        self._house = house
        return house

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self._owner.close()
        self._house.flask.extensions["surefill.serving"].process.close()

    def _restore_logging(self) -> None:
        root = logging.getLogger()
        root.handlers[:], level = self._logging
        root.setLevel(level)


def problem_of(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer that must be one, with that status and code."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    document = dict(answer.json or {})
    assert document["code"] == code, document
    assert document["status"] == status
    for name in ("type", "title", "detail", "suggestion"):
        assert document[name], name
    assert all({"field", "code", "message", "suggestion"} <= error.keys() for error in document["errors"])
    return document
