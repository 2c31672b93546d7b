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

from app.domain.changes import Actor, LostRace, StoreUnavailable
from app.domain.orders import Order, OrderType
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
from proofs.crashing_worker import market_order
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


Case = tuple[CrashPoint, Way, Attempt]
CASES: list[Case] = [(point, way, attempt) for attempt in Attempt for point in POINTS for way in Way]


def test_both_ledgers_agree_whatever_happens_at_any_point(settings: Settings, tmp_path: Path) -> None:
    """All cases at once: most of their time they wait for leases, retries and bounds to run out."""
    trader_id = add_trader(settings)
    # one of its own for each intake: one that stands still in its transaction holds the account until it is cut off
    takers = {case: add_trader(settings) for case in CASES if case[0].accepts}
    keys = {case: str(uuid4()) for case in takers}
    with running(settings, tmp_path) as (intake, ports, workers, venue):

        def bring(case: Case, order: str, **more: str) -> None:
            point, way, attempt = case
            workers.start(order=order, point=point.name, way=way, attempt=attempt, **more)

        def repeat(case: Case) -> UUID:
            """As the client of that intake, at another one, until it is answered."""
            deadline = time.monotonic() + DEADLINE_SECONDS
            while True:
                try:
                    terms = market_order(keys[case])
                    outcome = accept(intake, AcceptancePolicy(), takers[case], terms, TRADER, ports.clock.now())
                except (LostRace, StoreUnavailable):
                    assert time.monotonic() < deadline
                    continue
                assert isinstance(outcome, AcceptedOrder), outcome
                return outcome.order_id

        def submit(point: CrashPoint) -> UUID:
            terms = market_order(str(uuid4()))
            if point.cancels:  # below the market: it rests
                terms = replace(terms, order_type=OrderType.LIMIT, price=Decimal("145.00"))
            outcome = accept(intake, AcceptancePolicy(), trader_id, terms, TRADER, ports.clock.now())
            assert isinstance(outcome, AcceptedOrder), outcome
            if point.cancels:
                advance(ports, outcome.order_id)
                request_cancel(ports, outcome.order_id, TRADER)
            return outcome.order_id

        for case, key in keys.items():
            bring(case, key, trader=str(takers[case]))
        working = {submit(case[0]): case for case in CASES if not case[0].accepts}
        for order_id, case in working.items():
            bring(case, str(order_id))
        workers.wait_for({*working, *map(UUID, keys.values())})
        taken = {repeat(case): case for case in takers}
        workers.start()  # from now on a healthy process takes whatever is due

        def settled(order_id: UUID) -> bool:
            order = ports.store.order(order_id)
            return order is not None and order.is_closed

        until(lambda: all(settled(order_id) for order_id in (*working, *taken)))
        zombies = [order_id for order_id, (_, way, _) in working.items() if way is Way.PAUSE]
        zombies += [UUID(key) for (_, way, _), key in keys.items() if way is Way.PAUSE]
        for each in zombies:
            os.kill(workers.reached[each], signal.SIGCONT)
        time.sleep(1.0)  # they do what they were about to do
        assert all(settled(order_id) for order_id in working)
        assert {repeat(case): case for case in takers} == taken, "one key, one order"
        deposits = dict.fromkeys((trader_id, *takers.values()), CASH)
        found = compare(read_our_ledger(settings.database_url_worker), venue.ledger(), deposits=deposits)
        assert found.holds, found.differences
        assert (found.filled, found.cancelled) == (2 * 36, 2 * 12)
