"""Every step between two durable effects of an order's life, by name: where a process can die, fail or stand still.

A durable effect is a commit of ours, or a request that the venue acts on. A real worker process (crashing_worker.py) is
brought to each of these points and stopped there in each way; both ledgers must agree afterwards.
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
    """`at` is the moment: "?" before, "!" after a "commit" or a call to the venue. `after` is the call before it."""

    name: str
    at: str
    after: str | None = None
    after_in_retry: str | None = None
    cancels: bool = False
    """Met on the way of a cancel, not of a submit."""

    def is_met(self, moment: str, last_call: str | None, attempt: Attempt) -> bool:
        if moment != self.at:
            return False
        wanted = self.after_in_retry if attempt is Attempt.RETRY and self.after_in_retry else self.after
        return not moment.startswith("commit") or last_call == wanted


POINTS = (
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
