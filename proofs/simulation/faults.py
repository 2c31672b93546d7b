"""What goes wrong in one run: drawn once from its seed, so that some runs meet one kind of fault often, others many."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from proofs.simulation.scheduler import Actor

KINDS = {
    # chances per step of a process, per message, per call: the most that a run may draw
    "crash": 0.01,
    "pause": 0.01,
    "short pause": 0.02,
    "connection lost before": 0.02,
    "connection lost in commit": 0.03,
    "database away": 0.002,
    "wake-up lost": 0.5,
    "wake-up late": 0.5,
    "wake-up twice": 0.3,
    "report lost": 0.4,
    "report late": 0.5,
    "report twice": 0.3,
    "stream breaks": 0.02,
    "submit unreachable": 0.2,
    "submit lost": 0.25,
    "submit late": 0.25,
    "submit error": 0.2,
    "submit error after": 0.2,
    "submit reply lost": 0.3,
    "submit refused": 0.2,
    "submit rate limited": 0.1,
    "rejected later": 0.15,
    "invisible at first": 0.3,
    "miss": 0.3,
    "ask error": 0.3,
    "list incomplete": 0.3,
    "list error": 0.2,
    "cancel error": 0.3,
    "cancel reply lost": 0.3,
    "cancel late": 0.3,
    "answer to client lost": 0.3,
}


class FaultPlan:
    """The chances of one run; all are nought once the faults have stopped."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.active = True
        density = rng.choice((0.15, 0.35, 0.6))
        self.chances = {
            kind: most * rng.random() if rng.random() < density else 0.0 for kind, most in sorted(KINDS.items())
        }
        self.pause: Callable[[Actor, float], None] = lambda _actor, _seconds: None
        self.crash: Callable[[Actor], None] = lambda _actor: None
        self.database_away: Callable[[], bool] = lambda: False

    def meets(self, kind: str) -> bool:
        """Whether it happens this time."""
        chance = self.chances[kind]
        return chance > 0 and self.active and self._rng.random() < chance

    def stop(self) -> None:
        self.active = False

    def at_step(self, actor: Actor, _label: str) -> None:
        """Before a step of a process: it may be killed, or stand still, for moments or for longer than its lease."""
        if actor.process.spared or not self.active:
            return
        if self.meets("crash"):
            self.crash(actor)
        elif self.meets("pause"):
            self.pause(actor, self._rng.uniform(5.0, 50.0))
        elif self.meets("short pause"):
            self.pause(actor, self._rng.uniform(0.05, 5.0))

    def at_message(self, _actor: Actor, *, commits: bool) -> str | None:
        """See stepped_database.Faults."""
        if self.database_away() or self.meets("connection lost before"):
            return "before"
        if commits and self.meets("connection lost in commit"):
            return "after" if self._rng.random() < 0.5 else "before"
        return None
