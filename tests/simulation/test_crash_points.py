"""A real worker process dies, fails or stands still at every crash point; the venue's ledger and ours agree after."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest

from app.domain.changes import Actor
from app.domain.orders import Order, OrderType, Side, TimeInForce
from app.domain.risk_rules import OrderTerms
from app.domain.venue_answers import OutcomeUnknown
from app.lifecycle.accept import AcceptancePolicy, AcceptedOrder, accept
from app.lifecycle.advance import advance
from app.lifecycle.cancel import request_cancel
from app.lifecycle.ports import Ports
from app.senders import ProcessSenders
from app.settings import PROJECT_ROOT, Settings
from app.storage.instruments import PostgresInstruments
from app.storage.order_store import PostgresOrders
from app.storage.transaction import Database
from app.wiring import SystemClock, TimeOrderedIds, default_venue, retry_policy
from proofs.crash_points import POINTS, Attempt, CrashPoint, Way
from proofs.ledgers import compare
from proofs.our_ledger import read_our_ledger
from proofs.venue_ledger import SimulatorControl
from tests.venues.simulator_process import SimulatorProcess

TRADER = Actor("trader")
CASH = Decimal(1_000_000)
DEADLINE_SECONDS = 60.0


class Unheard:
    """Nobody is woken: the healthy process looks at what is due."""

    def work(self, order: Order) -> None: ...

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None: ...


class Workers:
    """The processes of proofs/crashing_worker."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "proofs.crashing_worker"],
            cwd=PROJECT_ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.reached: dict[UUID, int] = {}

    def start(self, **job: str) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()

    def wait_for(self, orders: set[UUID]) -> None:
        """Until the processes of all these orders are at their points."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not orders <= self.reached.keys():
            _, order_id, pid = self._said.get(timeout=max(0.1, deadline - time.monotonic())).split()
            self.reached[UUID(order_id)] = int(pid)

    def _listen(self) -> None:
        assert self._parent.stdout is not None
        for line in self._parent.stdout:
            self._said.put(line)

    def close(self) -> None:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.close()
        assert self._parent.wait(10) == 0
        self._parent.stdout.close()


@contextmanager
def running(settings: Settings, folder: Path) -> Iterator[tuple[Ports, Ports, Workers, SimulatorControl]]:
    with SimulatorProcess(folder) as simulator:
        environment = {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "SIMULATOR_URL": simulator.url,
            "APCA_API_KEY_ID": simulator.key_id,
            "APCA_API_SECRET_KEY": simulator.secret_key,
            "EXCHANGE_TIMEOUT_SECONDS": "1",
            "LEASE_SECONDS": "1.5",
            "VENUE_MAX_IN_FLIGHT_SECONDS": "1",
            "DUPLICATE_WINDOW_SECONDS": "0",
            "ORDER_RATE_LIMIT_PER_MINUTE": "1000",
        }
        with_simulator = Settings.from_environment(environment)
        database = Database(with_simulator.sqlalchemy_url("worker"))
        venue, clock = default_venue(with_simulator), SystemClock()
        ports = Ports(
            clock=clock,
            ids=TimeOrderedIds(),
            store=PostgresOrders(database, Unheard(), clock, orders_per_minute=1000),
            senders=ProcessSenders(),
            wakeups=Unheard(),
            policy=retry_policy(with_simulator),
            venue_of=lambda _name: venue,
            software_version="test",
            wait=time.sleep,
        )
        api_database = Database(with_simulator.sqlalchemy_url("api"))
        intake = replace(ports, store=PostgresOrders(api_database, Unheard(), clock, orders_per_minute=1000))
        control = SimulatorControl(simulator.url)
        control.set_quote("AAPL", bid="150.00", ask="150.02", bid_size="100000", ask_size="100000")
        listed, quotes, hours = venue.instruments(), venue.quotes(["AAPL"]), venue.market_hours()
        assert not isinstance(listed, OutcomeUnknown)
        assert not isinstance(quotes, OutcomeUnknown)
        assert not isinstance(hours, OutcomeUnknown)
        instruments = PostgresInstruments(database)
        instruments.store(venue.name, listed, clock.now())
        instruments.store_quotes(quotes, clock.now())
        instruments.store_hours(venue.name, hours, clock.now())
        workers = Workers(environment)
        try:
            yield intake, ports, workers, control
        finally:
            workers.close()
            venue.close()
            database.close()
            api_database.close()


def add_trader(settings: Settings) -> UUID:
    trader_id = uuid4()
    connection = psycopg2.connect(settings.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO traders (id, name, created_at, updated_at) VALUES (%s, %s, now(), now());"
            "INSERT INTO accounts (trader_id, cash, updated_at) VALUES (%s, %s, now());"
            "INSERT INTO event_counters (trader_id) VALUES (%s)",
            (str(trader_id), str(trader_id), str(trader_id), CASH, str(trader_id)),
        )
    connection.close()
    return trader_id


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("attempt", Attempt)
def test_both_ledgers_agree_whatever_happens_at_any_point(settings: Settings, tmp_path: Path, attempt: Attempt) -> None:
    trader_id = add_trader(settings)
    with running(settings, tmp_path) as (intake, ports, workers, venue):

        def submit(point: CrashPoint) -> UUID:
            terms = OrderTerms(
                symbol="AAPL",
                side=Side.BUY,
                quantity=Decimal(1),
                order_type=OrderType.LIMIT if point.cancels else OrderType.MARKET,
                price=Decimal("145.00") if point.cancels else None,  # below the market: it rests
                time_in_force=TimeInForce.GTC,
                idempotency_key=str(uuid4()),
                request_fingerprint=b"",
                confirm_duplicate=True,
            )
            outcome = accept(intake, AcceptancePolicy(), trader_id, terms, TRADER, ports.clock.now())
            assert isinstance(outcome, AcceptedOrder), outcome
            if point.cancels:
                advance(ports, outcome.order_id)
                request_cancel(ports, outcome.order_id, TRADER)
            return outcome.order_id

        cases = {submit(point): (point, way) for point in POINTS for way in Way}
        for order_id, (point, way) in cases.items():
            workers.start(order=str(order_id), point=point.name, way=way, attempt=attempt)
        workers.wait_for(set(cases))
        workers.start()  # from now on a healthy process takes whatever is due

        def settled(order_id: UUID) -> bool:
            order = ports.store.order(order_id)
            return order is not None and order.is_closed

        until(lambda: all(settled(order_id) for order_id in cases))
        for order_id, (_, way) in cases.items():
            if way is Way.PAUSE:
                os.kill(workers.reached[order_id], signal.SIGCONT)
        time.sleep(1.0)  # the zombies do what they were about to do
        assert all(settled(order_id) for order_id in cases)
        found = compare(read_our_ledger(settings.database_url_worker), venue.ledger(), deposits={trader_id: CASH})
        assert found.holds, found.differences
        assert (found.filled, found.cancelled) == (27, 12)
