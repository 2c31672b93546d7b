"""The production lifecycle over real PostgreSQL, with a clock and a venue that the test owns."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg2
import pytest

from app.domain.acceptance import OrderTerms, RulePolicy
from app.domain.changes import Actor
from app.domain.halts import Halt, HaltScope
from app.domain.orders import Order, OrderType, Side, TimeInForce
from app.domain.retry_policy import RetryPolicy
from app.domain.time_ordered_ids import RANDOM_BITS, time_ordered_uuid
from app.domain.venue_answers import ClientIdUniqueness, VenueCapabilities
from app.lifecycle.accept import AcceptancePolicy, AcceptedOrder, Refusal, accept
from app.lifecycle.advance import advance
from app.lifecycle.exits import cancel_exits_without_position
from app.lifecycle.halts import HaltDesk, cancel_what_is_halted, impose
from app.lifecycle.listen import Listener
from app.lifecycle.ports import Ports
from app.lifecycle.send import Next
from app.settings import Settings
from app.storage.halts import PostgresHalts
from app.storage.order_store import PostgresOrders
from app.storage.transaction import Database
from proofs.fake_venue import FakeTradeStream, FakeVenue

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
TRADER = Actor("trader")


class OwnedClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        self._now += timedelta(microseconds=1)  # two readings are never the same
        return self._now

    def pass_(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class Ids:
    def __init__(self, clock: OwnedClock) -> None:
        self._clock = clock

    def new(self) -> UUID:
        return time_ordered_uuid(self._clock.now(), secrets.randbits(RANDOM_BITS))


@dataclass
class OwnedSenders:
    """Processes that end when the test says so."""

    me: str = "host/1/boot/100/1"
    gone: set[str] = field(default_factory=set)
    testified: set[str] = field(default_factory=set)
    """Attempts that the living sender itself says it does not send any more."""

    def has_ended(self, sender: str, attempt: str) -> bool:
        return sender in self.gone or (sender == self.me and attempt in self.testified)

    @contextmanager
    def sending(self, attempt: str) -> Iterator[None]:
        yield


@dataclass
class Heard:
    """Wake-ups as they were sent."""

    orders: list[UUID] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)

    def work(self, order: Order) -> None:
        self.orders.append(order.id)

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        self.published.extend(events)


class House:
    """One trader with 100,000 in cash, one worker, one venue."""

    def __init__(self, settings: Settings, uniqueness: ClientIdUniqueness) -> None:
        self.clock = OwnedClock()
        self.heard = Heard()
        self.senders = OwnedSenders()
        self.venue = FakeVenue(
            clock=self.clock.now,
            capabilities=VenueCapabilities(uniqueness, max_in_flight=timedelta(seconds=30)),
        )
        self.stream = FakeTradeStream(self.venue)
        self.owner = psycopg2.connect(settings.database_url)
        self.owner.autocommit = True
        self.api_database = Database(settings.sqlalchemy_url("api"))
        self.worker_database = Database(settings.sqlalchemy_url("worker"))
        self.api = self._ports(self.api_database)
        self.worker = self._ports(self.worker_database)
        self.owner_database = Database(settings.sqlalchemy_url("owner"), pool_size=2)
        self.halts = HaltDesk(
            PostgresHalts(self.owner_database), self.clock, Ids(self.clock), Actor("administrator:test"), "test"
        )
        self.listener = Listener(self.worker, self.stream)
        self.policy = AcceptancePolicy()
        self.trader_id = self.add_trader()
        self.add_instrument("AAPL", bid="149.99", ask="150.01")

    def _ports(self, database: Database, rule_policy: RulePolicy | None = None) -> Ports:
        return Ports(
            clock=self.clock,
            ids=Ids(self.clock),
            store=PostgresOrders(database, self.heard, self.clock, rule_policy=rule_policy),
            senders=self.senders,
            wakeups=self.heard,
            policy=RetryPolicy(),
            venue_of=lambda name: self.venue,
            software_version="test",
            wait=self.clock.pass_,
        )

    # -- set-up --------------------------------------------------------------------------------------------------------

    def add_trader(self, cash: str = "100000") -> UUID:
        trader_id = uuid4()
        with self.owner.cursor() as cursor:
            now = self.clock.now()
            cursor.execute(
                "INSERT INTO traders (id, name, created_at, updated_at) VALUES (%s, %s, %s, %s);"
                "INSERT INTO accounts (trader_id, cash, opening_cash, updated_at) VALUES (%s, %s, %s, %s);"
                "INSERT INTO event_counters (trader_id) VALUES (%s)",
                (trader_id, str(trader_id), now, now, trader_id, Decimal(cash), Decimal(cash), now, trader_id),
            )
        return trader_id

    def add_instrument(self, symbol: str, bid: str, ask: str) -> None:
        now = self.clock.now()
        self.sql(
            "INSERT INTO market_hours (venue, is_open, confirmed_at) VALUES (%s, true, %s) ON CONFLICT DO NOTHING",
            self.venue.name, now,
        )  # fmt: skip
        self.sql(
            "INSERT INTO instruments (symbol, venue, name, status, tick_size, lot_size, bid, ask, quoted_at, "
            "confirmed_at, updated_at) VALUES (%s, %s, %s, 'ACTIVE', 0.01, 1, %s, %s, %s, %s, %s)",
            symbol, self.venue.name, symbol, Decimal(bid), Decimal(ask), now, now, now,
        )  # fmt: skip

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self.owner.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def collar(self, bps: int) -> None:
        """Accept with another price collar."""
        self.api = self._ports(self.api_database, RulePolicy(price_collar_bps=bps))

    # -- what people and processes do ----------------------------------------------------------------------------------

    def submit(self, **changes: object) -> AcceptedOrder | Refusal:
        return self.submit_to(self.api, **changes)

    def submit_to(self, ports: Ports, **changes: object) -> AcceptedOrder | Refusal:
        wanted: dict[str, object] = {
            "symbol": "AAPL",
            "side": Side.BUY,
            "quantity": Decimal(100),
            "order_type": OrderType.LIMIT,
            "price": Decimal("150.25"),
            "time_in_force": TimeInForce.DAY,
            "idempotency_key": str(uuid4()),
            "request_fingerprint": b"1",
            "confirm_duplicate": True,
        }
        terms = OrderTerms(**{**wanted, **changes})  # type: ignore[arg-type] # named after the fields
        return accept(ports, self.policy, self.trader_id, terms, TRADER, self.clock.now())

    def submitted(self, **changes: object) -> UUID:
        outcome = self.submit(**changes)
        assert isinstance(outcome, AcceptedOrder), outcome
        return outcome.order_id

    def advance(self, order_id: UUID) -> Next:
        return advance(self.worker, order_id)

    def listen(self) -> None:
        """Take everything the venue's stream has said."""
        updates = list(self.stream.updates(0))
        for update in updates:
            self.listener.take(update.report.client_order_id, [update])

    def sweep(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass; advance whatever falls due, as the sweeper would have it."""
        for _ in range(int(seconds / step)):
            self.clock.pass_(step)
            self.venue.settle()
            cancel_what_is_halted(self.worker)
            cancel_exits_without_position(self.worker)
            for order in self.worker.store.due(self.clock.now(), 100):
                self.advance(order.id)

    def halt(self, scope: HaltScope = HaltScope.TRADER, symbol: str = "AAPL", *, cancel_exits: bool = False) -> Halt:
        """An administrator stops the trader, the symbol or everything."""
        trader_id = self.trader_id if scope is HaltScope.TRADER else None
        about = symbol if scope is HaltScope.SYMBOL else None
        return impose(self.halts, scope, trader_id, about, "odd orders", cancel_exits=cancel_exits)[0]

    # -- what can be seen ----------------------------------------------------------------------------------------------

    def order(self, order_id: UUID) -> Order:
        order = self.worker.store.order(order_id)
        assert order is not None
        return order

    def state(self, order_id: UUID) -> tuple[str, str]:
        order = self.order(order_id)
        return order.status.value, order.execution_state.value

    def events(self, order_id: UUID) -> list[str]:
        with closing(psycopg2.connect(self.worker_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT event FROM order_events WHERE order_id = %s ORDER BY seq", (order_id,))
            return [name for (name,) in cursor.fetchall()]

    def account(self) -> tuple[Decimal, Decimal]:
        """Cash and what is reserved of it."""
        ((cash, reserved),) = self.sql("SELECT cash, reserved FROM accounts WHERE trader_id = %s", self.trader_id)
        assert isinstance(cash, Decimal) and isinstance(reserved, Decimal)
        return cash, reserved

    def as_worker(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.worker_url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def sql_as_worker(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Read or change what traders own."""
        with closing(psycopg2.connect(self.worker_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    @property
    def worker_url(self) -> str:
        return self.worker_database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def close(self) -> None:
        self.owner.close()
        self.owner_database.close()
        self.api_database.close()
        self.worker_database.close()


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """A venue that refuses a repeated client order id for good."""
    made = House(settings, ClientIdUniqueness.PERMANENT)
    made.stream.connect()
    yield made
    made.close()


@pytest.fixture
def forgetful_house(settings: Settings) -> Iterator[House]:
    """A venue that takes a repeated client order id as a new order."""
    made = House(settings, ClientIdUniqueness.NONE)
    made.stream.connect()
    yield made
    made.close()
