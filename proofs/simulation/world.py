"""One run: the processes of Surefill, a venue, clients and a plan of faults, all made from one seed."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from app.domain.acceptance import RulePolicy
from app.domain.changes import Actor
from app.domain.retry_policy import RetryPolicy
from app.domain.time_ordered_ids import RANDOM_BITS, time_ordered_uuid
from app.domain.venue_answers import ClientIdUniqueness, VenueCapabilities
from app.lifecycle.accept import AcceptancePolicy
from app.lifecycle.halts import HaltDesk
from app.lifecycle.ports import Ports
from app.storage.halts import PostgresHalts
from app.storage.order_store import PostgresOrders
from app.storage.transaction import Database
from proofs.simulation.clients import Acknowledged, Operator, Trader, Web, some_terms
from proofs.simulation.faults import FaultPlan
from proofs.simulation.history import History
from proofs.simulation.oracle import UUID_LENGTH, Oracle, Violation
from proofs.simulation.processes import START, Broker, Clock, Ids, Senders, Wakeups, listen, sweep, work
from proofs.simulation.scheduler import Actor as ThreadOfControl
from proofs.simulation.scheduler import Process, Scheduler, Stuck
from proofs.simulation.stepped_database import Connections, MemoryDatabase
from proofs.simulation.tables import Tables
from proofs.simulation.venue import Exchange, Wire

DRAIN_SECONDS = 900.0
"""Virtual seconds after the faults within which everything must have ended."""
SETTLE_EVERY = 5.0
STRAGGLERS_SECONDS = 12.0
"""A wake-up or a report that was sent before everything had ended arrives within this time."""
LATEST_REQUEST_SECONDS = 40.0
"""And so does a request whose sender has ended, or what a process that stands still was about to do."""


@dataclass
class Result:
    """How one seed went."""

    seed: int
    violations: list[Violation]
    history: History
    orders: int
    steps: int
    drained_after: float | None
    """Virtual seconds from the last fault until everything had ended."""
    uniqueness: str
    tables: Tables
    faults: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    wall_seconds: float = 0.0

    @property
    def digest(self) -> str:
        return self.history.digest()


Open = Callable[[Connections, str], Database]
"""Opens the database for a login: "api" or "worker"."""


class World:
    """Everything of one run."""

    def __init__(self, seed: int, open_database: Open) -> None:
        self.seed = seed
        rng = Random(seed)
        self.history = History()
        self.scheduler = Scheduler(rng, self.history)
        self.faults = FaultPlan(rng)
        self.tables = Tables()
        self.senders: dict[str, Process] = {}
        self.processes: dict[str, Process] = {}
        self.broker = Broker(self.scheduler, self.faults)
        self.acknowledged = Acknowledged()
        self.uniqueness = rng.choice(list(ClientIdUniqueness))
        self.world_clock = Clock(self.scheduler, 0.0)
        self.exchange = Exchange(
            self.scheduler,
            self.faults,
            VenueCapabilities(self.uniqueness, max_in_flight=timedelta(seconds=30), not_founds_needed=2),
            self.world_clock.now,
            self._ledger_changed,
        )
        self.traders = [self._trader() for _ in range(rng.choice((1, 1, 2)))]
        self.oracle = Oracle(self.tables, self.exchange.fake, self.acknowledged, self.world_clock)
        self.acknowledged.broken = self.oracle.broken
        self._away_until = 0.0
        self._born = 0
        self.connections = Connections(self.scheduler, self.tables, self.faults, self._committed)
        self.databases = {login: open_database(self.connections, login) for login in ("api", "worker")}
        self.scheduler.at_step = self.faults.at_step
        self.scheduler.died = self._died
        self.faults.pause, self.faults.crash = self._pause, self._crash
        self.faults.database_away = self._database_away
        self._ports: dict[Process, Ports] = {}
        self.drained_at: float | None = None

    # -- set-up --------------------------------------------------------------------------------------------------------

    def _trader(self) -> UUID:
        trader_id = time_ordered_uuid(START, self.scheduler.rng.getrandbits(RANDOM_BITS))
        self.tables.add_trader(trader_id, Decimal(50_000), START)
        for symbol in ("AAPL", "MSFT"):
            self.tables.instruments[symbol] = {
                "venue": "fake", "status": "ACTIVE", "tick_size": Decimal("0.01"), "lot_size": Decimal(1),
                "bid": Decimal("149.99"), "ask": Decimal("150.01"), "confirmed_at": START + timedelta(minutes=10),
                "always_open": True,
            }  # fmt: skip
            self.tables.positions[trader_id, symbol] = {
                "quantity": Decimal(150), "reserved_quantity": Decimal(0), "cost_basis": Decimal(15_000),
                "realized_pnl": Decimal(0), "updated_at": START,
            }  # fmt: skip
        return trader_id

    def start(self) -> None:
        """Start every process and every client."""
        rng = self.scheduler.rng
        hosts = rng.choice((("one",), ("one", "two")))
        for number in range(rng.choice((2, 3))):
            self._start_process(f"worker{number}", hosts[number % len(hosts)])
        self._start_process("sweeper", "one")
        self._start_process("listener", "one")
        self._start_process("web", "one")
        outside = Process("outside", "elsewhere", 0.0, 0, spared=True)
        web = Web(
            self.scheduler, self.faults, lambda: self.processes["web"], lambda process: self._ports[process],
            AcceptancePolicy(v2_percent=rng.choice((100, 100, 50, 0))),
        )  # fmt: skip
        number = 0
        for trader_id in self.traders:
            trader = Trader(
                self.scheduler, web, self.tables, self.acknowledged, trader_id, lambda: self.faults.active
            )  # fmt: skip
            for _ in range(rng.choice((1, 2, 3, 4))):
                number += 1
                place = trader.press_twice if rng.random() < 0.15 else trader.place
                terms, delay = some_terms(self.scheduler, number), rng.choice((0.0, 1.0, 20.0)) * rng.random()
                self.scheduler.spawn(
                    outside, f"client{number}",
                    lambda place=place, number=number, terms=terms, delay=delay: place(number, terms, delay),  # type: ignore[misc]
                )  # fmt: skip
            self.scheduler.spawn(outside, "attendant", trader.attend)
        if rng.random() < 0.3:
            operator = Operator(
                self.scheduler, web, self.traders, self._halt_desk, lambda: self.faults.active
            )  # fmt: skip
            self.scheduler.spawn(outside, "client:operator", operator.work)
        self.scheduler.after(rng.uniform(5, 60), self._stop_faults)
        self.scheduler.after(0.5, self._weather)

    def _start_process(self, name: str, host: str) -> None:
        self._born += 1
        process = Process(name, host, self.scheduler.rng.uniform(-1, 1), self._born)
        self.processes[name] = process
        self.senders[process.sender] = process
        clock = Clock(self.scheduler, process.skew)
        wakeups = Wakeups(self.scheduler, self.broker, self.oracle.published)
        wire = Wire(self.exchange, process)
        database = self.databases["api" if name == "web" else "worker"]
        ports = self._ports[process] = Ports(
            clock=clock,
            ids=Ids(self.scheduler, clock),
            store=PostgresOrders(
                database,
                wakeups,
                clock,
                rule_policy=RulePolicy(reference_max_age=timedelta(days=1)),
                wash_trades_of="off",  # the double keeps no order book
            ),
            senders=Senders(process, self.senders),
            wakeups=wakeups,
            policy=RetryPolicy(),
            venue_of=lambda _name: wire,
            software_version="simulated",
            wait=self.scheduler.sleep,
        )
        bodies: dict[str, Callable[[], None]] = {
            "sweeper": lambda: sweep(self.scheduler, ports, wakeups),
            "listener": lambda: listen(self.scheduler, ports, self.exchange),
        }
        if name != "web":
            body = bodies.get(name, lambda: work(self.scheduler, ports, self.broker))
            self.scheduler.spawn(process, name, body)

    def _halt_desk(self, ports: Ports) -> HaltDesk:
        store = PostgresHalts(self.databases["api"], administrator=True)
        return HaltDesk(store, ports.clock, ports.ids, Actor("administrator"), ports.software_version)

    # -- faults --------------------------------------------------------------------------------------------------------

    def _pause(self, actor: ThreadOfControl, seconds: float) -> None:
        self.history.add(self.scheduler.now, "world", f"! {actor.name} stands still for {seconds:.2f} s")
        actor.process.paused_until = self.scheduler.now + seconds

    def _crash(self, actor: ThreadOfControl) -> None:
        process = actor.process
        self.scheduler.after(0.0, lambda: self._kill(process))

    def _kill(self, process: Process) -> None:
        if not process.alive:
            return
        self.history.add(self.scheduler.now, "world", f"! kill -9 {process.name}")
        self.scheduler.kill(process)
        self.scheduler.after(
            self.scheduler.rng.uniform(0.1, 3), lambda: self._start_process(process.name, process.host)
        )

    def _weather(self) -> None:
        """Twice a second: may the database go away, or the stream?"""
        if self.faults.meets("database away"):
            self._away_until = self.scheduler.now + self.scheduler.rng.uniform(0.2, 8)
            self.history.add(self.scheduler.now, "world", f"! the database is away until {self._away_until:.2f}")
        if self.faults.active:
            self.scheduler.after(0.5, self._weather)

    def _database_away(self) -> bool:
        return self.scheduler.now < self._away_until

    def _stop_faults(self) -> None:
        self.history.add(self.scheduler.now, "world", "the faults stop")
        self.faults.stop()
        self._stopped_at = self.scheduler.now
        self._away_until = 0.0
        for process in self.processes.values():
            process.paused_until = min(process.paused_until, self.scheduler.now + 60)
        self.scheduler.after(SETTLE_EVERY, self._settle)

    def _settle(self) -> None:
        waited = self.scheduler.now - self._stopped_at
        idle = all(actor.process.name != "outside" or actor.name == "attendant"
                   for process in (self.processes["web"],) for actor in process.actors)  # fmt: skip
        if self.oracle.is_quiet and idle and self._clients_are_done:
            self.drained_at = waited
            # whatever is still on its way must find nothing to do any more
            paused = any(process.paused_until > self.scheduler.now for process in self.processes.values())
            late = paused or self.exchange.under_way
            self.scheduler.after(LATEST_REQUEST_SECONDS if late else STRAGGLERS_SECONDS, self.scheduler.stop)
        elif waited > DRAIN_SECONDS:
            self.scheduler.stop()
        else:
            self.exchange.settle_everything()
            self.scheduler.after(SETTLE_EVERY, self._settle)

    @property
    def _clients_are_done(self) -> bool:
        return not any(actor.name.startswith("client") for actor in self.scheduler.actors)

    # -- what the oracle is told ---------------------------------------------------------------------------------------

    def _committed(self, _actor: ThreadOfControl) -> None:
        self.oracle.look_at_commit()
        self._stop_if_broken()

    def _ledger_changed(self, client_order_id: str) -> None:
        if client_order_id and any(order.ordered_as == client_order_id for order in self.exchange.fake.ledger):
            self.oracle.look_at_order(UUID(client_order_id[:UUID_LENGTH]))
        self._stop_if_broken()

    def _died(self, actor: ThreadOfControl, error: BaseException) -> None:
        where = "".join(traceback.format_exception(error)[-3:])
        self.oracle.broken("no exception escapes", f"{actor.name}: {type(error).__name__}: {error}\n{where}")
        self._stop_if_broken()

    def _stop_if_broken(self) -> None:
        if self.oracle.violations:
            self.scheduler.stop()


def run(seed: int, open_database: Open = MemoryDatabase) -> Result:
    """Run one seed to its end."""
    began = time.perf_counter()
    with _quiet_logs():
        world = World(seed, open_database)
        world.start()
        try:
            world.scheduler.run()
        except Stuck as stuck:
            world.oracle.broken("liveness", str(stuck))
        if not world.oracle.violations:
            world.oracle.look_at_everything()
        world.scheduler.close()
    alarms = [order["alarm_code"] for order in world.tables.orders.values() if order["alarm_code"]]
    return Result(
        seed=seed,
        violations=world.oracle.violations,
        history=world.history,
        orders=len(world.tables.orders),
        steps=world.scheduler.steps,
        drained_after=world.drained_at,
        uniqueness=world.uniqueness.value,
        tables=world.tables,
        faults=[kind for kind, chance in world.faults.chances.items() if chance],
        alarms=alarms,
        wall_seconds=time.perf_counter() - began,
    )


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


__all__: Sequence[str] = ("Result", "World", "run")
