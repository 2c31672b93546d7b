"""Every step between two durable effects of an order's life, by name: where a process can die, fail or stand still.

A durable effect is a commit of ours, or a request that the venue acts on. A real process, intake or worker
(crashing_worker.py), is brought to each of these points and stopped there in each way; both ledgers must agree
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """How a process stops at a point."""

    KILL = "kill -9"
    EXCEPTION = "exception"
    PAUSE = "pause longer than the lease"


class Attempt(StrEnum):
    """Whether it is the first request of its kind, or one after a request that was lost."""

    FIRST = "first attempt"
    RETRY = "retry"


@dataclass(frozen=True)
class CrashPoint:
    """`at` is the moment: "?" before, "!" after a "commit", a wake-up or a call to the venue.

    `after` is the call before it.
    """

    name: str
    at: str
    after: str | None = None
    after_in_retry: str | None = None
    cancels: bool = False
    """Met on the way of a cancel, not of a submit."""
    accepts: bool = False
    """Met at the intake, by a request; its client repeats it with the same key until it is answered."""

    @property
    def lost_in_retry(self) -> str:
        """What was lost before the retry: the request to the venue, or the intake's connection before its commit."""
        return "commit" if self.accepts else "cancel" if self.cancels else "submit"

    def is_met(self, moment: str, last_call: str | None, attempt: Attempt) -> bool:
        if moment != self.at:
            return False
        wanted = self.after_in_retry if attempt is Attempt.RETRY and self.after_in_retry else self.after
        return not moment.startswith("commit") or last_call == wanted


POINTS = (
    CrashPoint("order decided, not committed", "commit?", accepts=True),
    CrashPoint("order committed, nobody woken", "commit!", accepts=True),
    CrashPoint("order committed, worker woken, not answered", "wake!", accepts=True),
    CrashPoint("attempt decided, not committed", "commit?", after=None, after_in_retry="find!"),
    CrashPoint("attempt committed, request not sent", "submit?"),
    CrashPoint("request sent, answer not read", "submit!"),
    CrashPoint("answer read, not committed", "commit?", after="submit!"),
    CrashPoint("answer committed, nobody woken", "commit!", after="submit!"),
    CrashPoint("claimed to ask, venue not asked", "find?"),
    CrashPoint("venue asked, nothing committed", "find!"),
    CrashPoint("executions read, not committed", "executions!"),
    CrashPoint("executions committed, nobody woken", "commit!", after="executions!"),
    CrashPoint("cancel committed, request not sent", "cancel?", cancels=True),
    CrashPoint("cancel sent, answer not read", "cancel!", cancels=True),
    CrashPoint("cancel's answer read, not committed", "commit?", after="cancel!", cancels=True),
    CrashPoint("cancel's answer committed, nobody woken", "commit!", after="cancel!", cancels=True),
)
