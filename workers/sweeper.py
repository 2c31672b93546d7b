"""The sweeper: finds every order that is overdue and puts it on the queue again (I2).

So the whole queue may be lost, and nothing is. Several sweepers may run; a second message about an order is a no-op.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from app.domain.changes import Actor, LostRace
from app.domain.order_states import ExecutionState
from app.domain.orders import Order
from app.lifecycle.advance import sender_died
from app.lifecycle.exits import cancel_exits_without_position
from app.lifecycle.halts import cancel_what_is_halted
from app.lifecycle.loss_limits import watch_losses
from app.lifecycle.ports import Ports
from app.lifecycle.refusals import tell_counted
from app.observability.heartbeats import Heart
from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.storage.operations_reads import count_what_is_settled
from app.storage.sessions import PostgresSessions
from app.storage.transaction import DatabaseUnavailable
from app.wakeups import task_for
from app.wiring import Process, worker_process
from workers.pace import Backoff, Stop

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
AT_ONCE = 500
LOOK_AT_EXITS_EVERY = 4  # ticks: what takes a position away behind an exit's back is rare
AUTORETRY_GRACE_SECONDS = 0.3  # the retry's own message comes first; this one is for when it was lost
REPEAT_SECONDS = 2.0  # then 4, then 8: a backlog of messages must not be answered with more messages
LONGEST_REPEAT_SECONDS = 8.0
A_MESSAGE_SECONDS = 0.02  # a slow host's workers take one in that time: what stands behind so many has not been lost
TELL_REFUSALS_SECONDS = 15.0
WATCH_LOSSES_SECONDS = 1.0

TOTALS_EVERY_SECONDS = 15.0


class Queue(Protocol):
    """Where task messages go."""

    def enqueue(self, order: Order) -> bool:
        """Whether the broker took the message."""
        ...

    def waiting(self, queue_name: str) -> int:
        """How many messages wait in that queue; 0 also when nobody can tell."""
        ...


class Sweeper:
    """Puts overdue orders on the queue; remembers for which version of an order it has done so."""

    def __init__(self, ports: Ports, queue: Queue, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ports = ports
        self._queue = queue
        self._monotonic = monotonic
        self._looks = 0
        self._enqueued: dict[UUID, tuple[int, float, float]] = {}  # version, when, not again for so long
        self._waiting: dict[str, int] = {}  # messages by queue, asked at most once a look
        self._tell_refusals_at = 0.0

    def run_once(self) -> int:
        """One look at what is overdue; how many were put on the queue."""
        ports, now = self._ports, self._ports.clock.now()
        cancel_what_is_halted(ports)
        if self._looks % LOOK_AT_EXITS_EVERY == 0:
            cancel_exits_without_position(ports)
        self._looks += 1
        self._waiting.clear()
        overdue = [
            order
            for order in ports.store.due(now, AT_ONCE)
            if order.execution_state is not ExecutionState.IN_DOUBT
            or order.due_at is None
            or (now - order.due_at).total_seconds() > AUTORETRY_GRACE_SECONDS
        ]
        abandoned = [order for order in ports.store.sending(now) if sender_died(ports, order)]
        enqueued = sum(self._enqueue(order) for order in overdue + abandoned)
        self._forget_old()
        if self._monotonic() >= self._tell_refusals_at:
            self._tell_refusals_at = self._monotonic() + TELL_REFUSALS_SECONDS
            tell_counted(ports)
        return enqueued

    def _enqueue(self, order: Order) -> bool:
        now = self._monotonic()
        version, at, repeat = self._enqueued.get(order.id, (-1, 0.0, REPEAT_SECONDS))
        again = version == order.version
        if again and (now < at + repeat or now < at + self._wait_in_queue(order)):
            return False
        if not self._queue.enqueue(order):
            return False
        repeat = min(repeat * 2, LONGEST_REPEAT_SECONDS) if again else REPEAT_SECONDS
        self._enqueued[order.id] = (order.version, now, repeat)
        return True

    def _wait_in_queue(self, order: Order) -> float:
        """Seconds that a message may have waited by now. Each one sent again makes all others wait longer: a backlog
        that is worked off would grow by it. A queue that was lost is short, and all of it is sent again at once.
        """
        _, name = task_for(order)
        if name not in self._waiting:
            self._waiting[name] = self._queue.waiting(name)
        return self._waiting[name] * A_MESSAGE_SECONDS

    def _forget_old(self) -> None:
        if len(self._enqueued) > 20 * AT_ONCE:
            now = self._monotonic()
            self._enqueued = {key: kept for key, kept in self._enqueued.items() if kept[1] + kept[2] > now}


class Totals:
    """Moves on the totals that monitoring reads. What they lack, readers count themselves: it may be late."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._next = 0.0

    def run_once(self) -> None:
        """One step when it is time."""
        if time.monotonic() < self._next:
            return
        more = count_what_is_settled(self._process.database, self._process.ports.clock.now())
        self._next = time.monotonic() + (0.0 if more else TOTALS_EVERY_SECONDS)


class Losses:
    """Begins traders' days and watches their daily losses."""

    def __init__(self, process: Process, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._administration = process.administration(Actor("sweeper"))
        self._sessions = PostgresSessions(process.database)
        self._monotonic = monotonic
        self._next = 0.0

    def run_once(self) -> None:
        if self._monotonic() >= self._next:
            self._next = self._monotonic() + WATCH_LOSSES_SECONDS
            watch_losses(self._administration, self._sessions)


def main() -> None:
    settings = load_settings_or_exit()
    configure_logging("sweeper", settings.log_level)
    stop, backoff = Stop(), Backoff()
    process = worker_process(settings)
    sweeper, losses = Sweeper(process.ports, process.wakeups), Losses(process)
    totals, heart = Totals(process), Heart(process.redis, "sweeper")
    while not stop.asked():
        try:
            sweeper.run_once()
            losses.run_once()
            totals.run_once()
            heart.beat()
            backoff.worked()
            stop.wait(TICK_SECONDS)
        except LostRace as error:
            log.info("an account is busy; its day is looked at again: %s", error)
        except DatabaseUnavailable as error:
            log.warning("the database is away: %s", error)
            stop.wait(backoff.failed())
    heart.leave()
    process.close()


if __name__ == "__main__":
    main()
