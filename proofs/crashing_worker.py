"""Worker processes that stop at a crash point: the production worker with its venue and its database watched.

Reads one job a line (JSON) from standard input, starts a process for each, and says on standard output when it got to
its point: `reached ORDER_ID PID`. A job without a point takes whatever is due to its end, like the sweeper and the
workers together. The processes end with this one.
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
from uuid import UUID

from app.domain.changes import LostRace
from app.domain.venue_answers import (
    CancelAnswer,
    ExecutionsAnswer,
    LookupAnswer,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    Quote,
    SubmitAnswer,
    VenueCapabilities,
    VenueInstrument,
)
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
        if self.armed or call != ("cancel" if self.point.cancels else "submit"):
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

    def executions(self, report: OrderReport, since: datetime) -> ExecutionsAnswer:
        answer = self.venue.executions(report, since)
        self.wire.moment("executions!")
        return answer

    def cancel(self, venue_order_id: str) -> CancelAnswer:
        if self.wire.loses("cancel"):
            return OutcomeUnknown("VENUE_TIMEOUT", "The request was lost on its way.")
        self.wire.moment("cancel?")
        answer = self.venue.cancel(venue_order_id)
        self.wire.moment("cancel!")
        return answer

    def orders(self, since: datetime) -> Sequence[OrderReport] | OutcomeUnknown:
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
        self.wire.moment("commit?")
        setting = self.inner.finish(*calls, returning=returning)
        self.wire.moment("commit!")
        return setting


class WatchedDatabase(Database):
    """The worker's database, its commits watched."""

    def __init__(self, url: str, wire: Wire) -> None:
        super().__init__(url, pool_size=1)
        self._wire = wire

    @contextlib.contextmanager
    def transaction(self, settings: Mapping[str, str] | None = None) -> Iterator[Transaction]:
        with super().transaction(settings) as transaction:
            yield WatchedTransaction(transaction, self._wire)  # type: ignore[misc] # the same methods


def bring(job: Mapping[str, str]) -> None:
    """The life of one process with a point: works on one order until it is closed."""
    settings = load_settings_or_exit()
    process = worker_process(settings)
    order_id = UUID(job["order"])

    def reached() -> None:
        sys.stdout.write(f"reached {order_id} {os.getpid()}\n")
        sys.stdout.flush()

    point = next(each for each in POINTS if each.name == job["point"])
    wire = Wire(point, Way(job["way"]), Attempt(job["attempt"]), reached)
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
