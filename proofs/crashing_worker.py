"""Processes that stop at a crash point: production's intake and worker with their venue and their database watched.

Reads one job a line (JSON) from standard input, starts a process for each, and says on standard output when it got to
its point: `reached ORDER_ID PID` (of an intake: its idempotency key). A job without a point takes whatever is due to
its end, like the sweeper and the workers together. The processes end with this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.domain.acceptance import OrderTerms
from app.domain.changes import Actor, LostRace
from app.domain.orders import Order, OrderType, Side, TimeInForce
from app.domain.reconciliation import NOTHING_KNOWN, Known
from app.domain.venue_answers import (
    CancelAnswer,
    ExecutionsAnswer,
    LookupAnswer,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    PartOfList,
    Quote,
    SubmitAnswer,
    VenueCapabilities,
    VenueInstrument,
)
from app.lifecycle.accept import AcceptancePolicy, accept
from app.lifecycle.advance import advance
from app.lifecycle.ports import Ports
from app.settings import load_settings_or_exit
from app.storage.order_store import PostgresOrders
from app.storage.transaction import Call, Database, DatabaseUnavailable, Row, Transaction
from app.venues.port import Venue
from app.wiring import worker_process
from proofs.crash_points import POINTS, Attempt, CrashPoint, Way

PAUSE_SECONDS = 0.1


class Tripped(Exception):
    """The exception of a process that fails at its point."""


@dataclass
class Wire:
    """Watches the moments of one process; stops it at its point, once."""

    point: CrashPoint
    way: Way
    attempt: Attempt
    reached: Callable[[], None]
    last_call: str | None = None
    sprung: bool = False

    def __post_init__(self) -> None:
        self.armed = self.attempt is Attempt.FIRST

    def moment(self, name: str) -> None:
        if not name.startswith("commit"):
            self.last_call = name
        if not self.armed or self.sprung or not self.point.is_met(name, self.last_call, self.attempt):
            return
        self.sprung = True
        self.reached()
        match self.way:
            case Way.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Way.PAUSE:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Way.EXCEPTION:
                raise Tripped(self.point.name)

    def loses(self, call: str) -> bool:
        """Whether this request is the lost one before a retry."""
        if self.armed or call != self.point.lost_in_retry:
            return False
        self.armed = True
        return True


@dataclass
class WatchedVenue:
    """The venue of the process, call by call."""

    venue: Venue
    wire: Wire

    @property
    def name(self) -> str:
        return self.venue.name

    @property
    def capabilities(self) -> VenueCapabilities:
        return self.venue.capabilities

    def submit(self, instruction: OrderInstruction) -> SubmitAnswer:
        if self.wire.loses("submit"):
            return OutcomeUnknown("VENUE_TIMEOUT", "The request was lost on its way.")
        self.wire.moment("submit?")
        answer = self.venue.submit(instruction)
        self.wire.moment("submit!")
        return answer

    def find(self, client_order_id: str) -> LookupAnswer:
        self.wire.moment("find?")
        answer = self.venue.find(client_order_id)
        self.wire.moment("find!")
        return answer

    def executions(self, report: OrderReport, since: datetime, known: Known = NOTHING_KNOWN) -> ExecutionsAnswer:
        answer = self.venue.executions(report, since, known)
        self.wire.moment("executions!")
        return answer

    def cancel(self, venue_order_id: str) -> CancelAnswer:
        if self.wire.loses("cancel"):
            return OutcomeUnknown("VENUE_TIMEOUT", "The request was lost on its way.")
        self.wire.moment("cancel?")
        answer = self.venue.cancel(venue_order_id)
        self.wire.moment("cancel!")
        return answer

    def orders(self, since: datetime) -> Sequence[OrderReport] | PartOfList | OutcomeUnknown:
        return self.venue.orders(since)

    def quotes(self, symbols: Sequence[str]) -> Sequence[Quote] | OutcomeUnknown:
        return self.venue.quotes(symbols)

    def instruments(self) -> Sequence[VenueInstrument] | OutcomeUnknown:
        return self.venue.instruments()

    def close(self) -> None:
        self.venue.close()


@dataclass
class WatchedTransaction:
    """One transaction, its commit watched."""

    inner: Transaction
    wire: Wire

    def fetch(self, *calls: Call) -> list[Row]:
        return self.inner.fetch(*calls)

    def read(self, *calls: Call) -> list[Row]:
        return self.inner.read(*calls)

    def finish(self, *calls: Call, returning: str | None = None) -> str | None:
        if self.wire.loses("commit"):
            raise DatabaseUnavailable("the connection was lost before the commit")
        self.wire.moment("commit?")
        setting = self.inner.finish(*calls, returning=returning)
        self.wire.moment("commit!")
        return setting


class WatchedDatabase(Database):
    """The database of a worker or an intake, its commits watched."""

    def __init__(self, url: str, wire: Wire) -> None:
        super().__init__(url, pool_size=1)
        self._wire = wire

    @contextlib.contextmanager
    def transaction(self, settings: Mapping[str, str] | None = None) -> Iterator[Transaction]:
        with super().transaction(settings) as transaction:
            yield WatchedTransaction(transaction, self._wire)  # type: ignore[misc] # the same methods


@dataclass
class WatchedWakeups:
    """Nobody hears a wake-up of this intake; the moment after it is watched."""

    wire: Wire

    def work(self, _order: Order) -> None:
        self.wire.moment("wake!")

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None: ...


def bring(job: Mapping[str, str]) -> None:
    """The life of one process with a point: takes one order in, or works on one until it is closed."""
    point = next(each for each in POINTS if each.name == job["point"])

    def reached() -> None:
        sys.stdout.write(f"reached {job['order']} {os.getpid()}\n")
        sys.stdout.flush()

    wire = Wire(point, Way(job["way"]), Attempt(job["attempt"]), reached)
    (_take_in if point.accepts else _work_on)(job, wire)


def market_order(key: str) -> OrderTerms:
    """What every intake with a point is asked for, under an idempotency key of its own."""
    return OrderTerms(
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(1),
        order_type=OrderType.MARKET,
        price=None,
        time_in_force=TimeInForce.GTC,
        idempotency_key=key,
        request_fingerprint=b"",
        confirm_duplicate=True,
    )


def _take_in(job: Mapping[str, str], wire: Wire) -> None:
    settings = load_settings_or_exit()
    process = worker_process(settings)
    database, wakeups = WatchedDatabase(settings.sqlalchemy_url("api"), wire), WatchedWakeups(wire)
    ports = replace(process.ports, store=PostgresOrders(database, wakeups, process.ports.clock), wakeups=wakeups)
    while True:  # the client repeats its request
        with contextlib.suppress(Tripped, LostRace, DatabaseUnavailable):
            terms = market_order(job["order"])
            accept(ports, AcceptancePolicy(), UUID(job["trader"]), terms, Actor("trader"), ports.clock.now())
            raise SystemExit(0)
        time.sleep(PAUSE_SECONDS)


def _work_on(job: Mapping[str, str], wire: Wire) -> None:
    settings = load_settings_or_exit()
    process = worker_process(settings)
    order_id = UUID(job["order"])
    venue = WatchedVenue(process.venue, wire)
    database = WatchedDatabase(settings.sqlalchemy_url("worker"), wire)
    ports = replace(
        process.ports,
        store=PostgresOrders(database, process.wakeups, process.ports.clock),
        venue_of=lambda _name: venue,
    )

    def still_open() -> Sequence[UUID]:
        order = ports.store.order(order_id)
        if order is None or order.is_closed:
            raise SystemExit(0)
        return [order_id] if order.due_at is None or order.due_at <= ports.clock.now() or not order.attempts else []

    _work(ports, still_open)


def heal() -> None:
    """The life of the process that takes whatever is due."""
    ports = worker_process(load_settings_or_exit()).ports
    _work(ports, lambda: [order.id for order in ports.store.due(ports.clock.now(), 500)])


def _work(ports: Ports, due: Callable[[], Sequence[UUID]]) -> None:
    while True:
        try:
            for order_id in due():
                with contextlib.suppress(Tripped, LostRace):  # a task that fails; its worker goes on
                    advance(ports, order_id)
        except DatabaseUnavailable as error:
            sys.stderr.write(f"{error}\n")
        time.sleep(PAUSE_SECONDS)


def main() -> None:
    children = []
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()  # nothing is connected yet: everything a worker needs is made after this
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            bring(job) if "point" in job else heal()
        children.append(pid)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
