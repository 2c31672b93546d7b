"""Who goes on next, and what time it is. Everything that happens in a run happens because this said so.

Each thread of control of the simulated processes is a greenlet that runs production code until that code calls one of
its ports; there it hands over. So production code is interleaved, stopped and killed at every such call without being
changed. Time is virtual, chance is one generator, nothing waits.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

import greenlet

from proofs.simulation.history import History

T = TypeVar("T")

LONGEST_STEP = 0.003
"""Virtual seconds: a step of a process takes up to this long."""


class Crashed(BaseException):
    """The process was killed: thrown into its greenlets, so that what they hold is released. Nobody may catch it."""


class Stuck(Exception):
    """The run does not come to its end within the steps that it may take."""


@dataclass(eq=False)
class Process:
    """A simulated operating system process: dies and stands still as a whole; has a clock and a name of its own."""

    name: str
    host: str
    skew: float
    """Seconds its clock is ahead of the world's."""
    born: int
    alive: bool = True
    paused_until: float = 0.0
    spared: bool = False
    """True for what is no part of Surefill (clients): it is neither killed nor paused."""
    actors: list[Actor] = field(default_factory=list)
    on_the_wire: set[str] = field(default_factory=set)
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called when it is killed, or ends."""

    @property
    def sender(self) -> str:
        return f"{self.host}/1/boot/{self.name}/{self.born}"


class Actor:
    """One thread of control of a process."""

    def __init__(self, process: Process, name: str, body: Callable[[], None], hub: greenlet.greenlet) -> None:
        self.process = process
        self.name = name
        self.greenlet = greenlet.greenlet(body, hub)
        self.pending: Callable[[], None] | None = None
        """What its open transaction is going to make true."""
        self.waiting = 0
        """Rises with every wait, so that a late wake-up of an earlier one is known as such."""


@dataclass(eq=False)
class Mailbox(Generic[T]):
    """Where something arrives that an actor waits for."""

    items: deque[T] = field(default_factory=deque)
    waiters: list[Callable[[], None]] = field(default_factory=list)

    def put(self, item: T) -> None:
        self.items.append(item)
        waiters, self.waiters = self.waiters, []
        for wake in waiters:
            wake()


class Scheduler:
    """Virtual time, chance, and the baton."""

    def __init__(self, rng: Random, history: History, *, most_steps: int = 60_000) -> None:
        self.rng = rng
        self.history = history
        self.now = 0.0
        self.steps = 0
        self.at_step: Callable[[Actor, str], None] = lambda _actor, _label: None
        """Asked before each step of a process: where faults come from."""
        self.died: Callable[[Actor, BaseException], None] = lambda _actor, _error: None
        """Told of an exception that nobody caught."""
        self._most_steps = most_steps
        self._hub = greenlet.getcurrent()
        self._by_greenlet: dict[greenlet.greenlet, Actor] = {}
        self._ready: list[Actor] = []
        self._blocked: list[Actor] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._stopped = False

    # -- for the world -------------------------------------------------------------------------------------------------

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen later. It must not call a port."""
        heapq.heappush(self._timers, (self.now + seconds, next(self._serial), event))

    def spawn(self, process: Process, name: str, body: Callable[[], None]) -> Actor:
        """Start a thread of control; an exception that leaves it is reported."""

        def guarded() -> None:
            try:
                body()
            except Crashed:
                pass
            except Exception as error:  # noqa: BLE001 # whatever it is, it belongs into the run's result
                self.died(actor, error)
            finally:
                self._by_greenlet.pop(actor.greenlet, None)
                process.actors.remove(actor)

        actor = Actor(process, name, guarded, self._hub)
        process.actors.append(actor)
        self._by_greenlet[actor.greenlet] = actor
        self._ready.append(actor)
        return actor

    def kill(self, process: Process) -> None:
        """kill -9: it does nothing more; what it had open at the database is rolled back."""
        process.alive = False
        for actor in list(process.actors):
            for queue in (self._ready, self._blocked):
                if actor in queue:
                    queue.remove(actor)
            actor.waiting += 1
            if actor.greenlet:  # has begun
                actor.greenlet.throw(Crashed)
            else:
                self._by_greenlet.pop(actor.greenlet, None)
                process.actors.remove(actor)
        for ended in process.at_end:
            ended()

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Until somebody says stop. Raises Stuck."""
        while not self._stopped:
            while self._timers and self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()
            runnable = [actor for actor in self._ready if actor.process.paused_until <= self.now]
            if runnable:
                self.steps += 1
                if self.steps > self._most_steps:
                    raise Stuck(f"not at its end after {self._most_steps} steps")
                actor = runnable[self.rng.randrange(len(runnable))] if len(runnable) > 1 else runnable[0]
                self._ready.remove(actor)
                self.now += self.rng.random() * LONGEST_STEP
                actor.greenlet.switch()
                continue
            upcoming = [self._timers[0][0]] if self._timers else []
            upcoming += [actor.process.paused_until for actor in self._ready]
            if not upcoming:
                raise Stuck("nobody has anything to do")
            self.now = max(self.now, min(upcoming))

    def close(self) -> None:
        """End every greenlet that is left."""
        for actor in list(self._by_greenlet.values()):
            actor.process.alive = False
        for actor in list(self._by_greenlet.values()):
            if actor.greenlet:
                actor.greenlet.throw(Crashed)

    @property
    def actors(self) -> list[Actor]:
        """Every thread of control that has not ended."""
        return list(self._by_greenlet.values())

    # -- for processes -------------------------------------------------------------------------------------------------

    @property
    def actor(self) -> Actor:
        """Whose code is running."""
        return self._by_greenlet[greenlet.getcurrent()]

    def step(self, label: str) -> None:
        """The running process is about to call a port: others may go first, and it may not come to it."""
        actor = self._living()
        self.history.add(self.now, actor.name, label)
        self.at_step(actor, label)
        self._ready.append(actor)
        self._hand_over(actor)

    def sleep(self, seconds: float) -> None:
        """The running process waits."""
        actor = self._living()
        actor.waiting += 1
        self.after(seconds, self._waker(actor))
        self._hand_over(actor)

    def receive(self, mailbox: Mailbox[T], seconds: float | None) -> T | None:
        """What arrives in the mailbox; None when nothing did within so many seconds."""
        actor = self._living()
        deadline = None if seconds is None else self.now + seconds
        while not mailbox.items:
            if deadline is not None and self.now >= deadline:
                return None
            actor.waiting += 1
            wake = self._waker(actor)
            mailbox.waiters.append(wake)
            if deadline is not None:
                self.after(deadline - self.now, wake)
            self._hand_over(actor)
        return mailbox.items.popleft()

    def blocked(self, deadline: float) -> bool:
        """The running process waits for a lock: until some transaction has ended. False when that took too long."""
        actor = self._living()
        if self.now >= deadline:
            return False
        actor.waiting += 1
        self._blocked.append(actor)
        self.after(deadline - self.now, self._waker(actor, self._blocked))
        self._hand_over(actor)
        return True

    def released(self) -> None:
        """A transaction has ended: whoever waits for a lock tries again."""
        for actor in self._blocked:
            actor.waiting += 1
            self._ready.append(actor)
        self._blocked.clear()

    def _living(self) -> Actor:
        actor = self.actor
        if not actor.process.alive:
            raise Crashed
        return actor

    def _hand_over(self, actor: Actor) -> None:
        self._hub.switch()
        if not actor.process.alive:
            raise Crashed

    def _waker(self, actor: Actor, queue: list[Actor] | None = None) -> Callable[[], None]:
        turn = actor.waiting

        def wake() -> None:
            if actor.waiting == turn and actor.process.alive:
                actor.waiting += 1
                if queue is not None and actor in queue:
                    queue.remove(actor)
                self._ready.append(actor)

        return wake
