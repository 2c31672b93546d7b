"""The processes of Surefill as a run has them: each runs the production code of its kind in a loop.

What surrounds that code in production (Celery's autoretry and redelivery, the restart by the supervisor) is done here
in virtual time and meets the run's faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.domain.changes import LostRace, StoreUnavailable
from app.domain.order_states import ExecutionState
from app.domain.orders import ExecutionPath, Order
from app.domain.time_ordered_ids import RANDOM_BITS, time_ordered_uuid
from app.domain.venue_answers import StreamLost
from app.lifecycle.advance import advance
from app.lifecycle.listen import Listener
from app.lifecycle.ports import Ports
from app.lifecycle.send import TryAgain
from proofs.simulation.faults import FaultPlan
from proofs.simulation.history import short
from proofs.simulation.scheduler import Mailbox, Process, Scheduler
from proofs.simulation.venue import Exchange, Stream
from workers.sweeper import Sweeper

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
AUTORETRIES = 3


@dataclass(frozen=True)
class Clock:
    """One process's clock: it goes right, but wrong by a constant."""

    scheduler: Scheduler
    skew: float

    def now(self) -> datetime:
        return START + timedelta(microseconds=round((self.scheduler.now + self.skew) * 1_000_000))


@dataclass(frozen=True)
class Ids:
    scheduler: Scheduler
    clock: Clock

    def new(self) -> UUID:
        return time_ordered_uuid(self.clock.now(), self.scheduler.rng.getrandbits(RANDOM_BITS))


@dataclass(frozen=True)
class Senders:
    """What the operating system and the process itself can testify, as app.senders does."""

    process: Process
    others: dict[str, Process]
    """All processes there ever were, by their name as senders."""

    @property
    def me(self) -> str:
        return self.process.sender

    def has_ended(self, sender: str, attempt: str) -> bool:
        if sender == self.me:
            return attempt not in self.process.on_the_wire
        other = self.others[sender]
        return other.host == self.process.host and not other.alive

    @contextmanager
    def sending(self, attempt: str) -> Iterator[None]:
        self.process.on_the_wire.add(attempt)
        try:
            yield
        finally:
            self.process.on_the_wire.discard(attempt)


@dataclass(frozen=True)
class Message:
    """A task message: an order's id, how its task retries, and how often it has."""

    order_id: UUID
    retries_by_itself: bool
    retried: int = 0


class Broker:
    """A queue that loses, delays, repeats and reorders."""

    def __init__(self, scheduler: Scheduler, faults: FaultPlan) -> None:
        self._scheduler, self._faults = scheduler, faults
        self.queue: Mailbox[Message] = Mailbox()

    def send(self, message: Message, delay: float = 0.0) -> None:
        if self._faults.meets("wake-up lost"):
            return
        rng = self._scheduler.rng
        for _ in range(2 if self._faults.meets("wake-up twice") else 1):
            late = rng.uniform(0, 10) if self._faults.meets("wake-up late") else 0.002 * rng.random()
            self._scheduler.after(delay + late, lambda: self.queue.put(message))


@dataclass(frozen=True)
class Wakeups:
    """What one process says after its commits."""

    scheduler: Scheduler
    broker: Broker
    published: Callable[[UUID, Sequence[bytes]], None]

    def work(self, order: Order) -> None:
        self.enqueue(order)

    def enqueue(self, order: Order) -> bool:
        self.scheduler.step(f"wakes {short(order.id)}")
        by_itself = order.execution_path is ExecutionPath.V2 and order.execution_state in (
            ExecutionState.QUEUED,
            ExecutionState.SENDING,
            ExecutionState.IN_DOUBT,
        )
        self.broker.send(Message(order.id, by_itself))
        return True

    def waiting(self, _queue_name: str) -> int:
        return 0

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        self.published(trader_id, events)


def work(scheduler: Scheduler, ports: Ports, broker: Broker) -> None:
    """A worker: one task at a time. See workers/order_tasks.py."""
    process = scheduler.actor.process
    while True:
        message = scheduler.receive(broker.queue, None)
        assert message is not None

        def deliver_again(message: Message = message) -> None:
            broker.send(message, delay=1.0)  # acknowledged late: a killed worker's message comes again, or is lost

        process.at_end.append(deliver_again)
        scheduler.step(f"takes {short(message.order_id)}")
        again: float | None = None
        try:
            following = advance(ports, message.order_id)
            if isinstance(following, TryAgain):
                scheduler.history.add(scheduler.now, scheduler.actor.name, f"tries again: {following.reason.code}")
                again = 2.0**message.retried
        except (StoreUnavailable, LostRace) as error:
            scheduler.history.add(scheduler.now, scheduler.actor.name, f"! {type(error).__name__}: {error}")
            again = 2.0**message.retried
        process.at_end.remove(deliver_again)
        if again is not None and message.retries_by_itself and message.retried < AUTORETRIES:
            broker.send(Message(message.order_id, True, message.retried + 1), delay=again)


def sweep(scheduler: Scheduler, ports: Ports, wakeups: Wakeups) -> None:
    """The sweeper. See workers/sweeper.py."""
    sweeper = Sweeper(ports, wakeups, monotonic=lambda: scheduler.now)
    while True:
        try:
            sweeper.run_once()
        except (StoreUnavailable, LostRace) as error:
            scheduler.history.add(scheduler.now, scheduler.actor.name, f"! {type(error).__name__}")
        scheduler.sleep(0.5 + 2 * scheduler.rng.random())


def listen(scheduler: Scheduler, ports: Ports, exchange: Exchange) -> None:
    """The listener. See workers/listener.py."""
    stream = Stream(exchange)
    scheduler.actor.process.at_end.append(stream.close)
    listener = Listener(ports, stream)
    while True:
        try:
            listener.connect()
            while True:
                listener.run_once()
        except (StreamLost, StoreUnavailable, LostRace) as error:
            scheduler.history.add(scheduler.now, scheduler.actor.name, f"! {type(error).__name__}")
            listener.close()
            scheduler.sleep(0.2 + scheduler.rng.random())
