"""When to try again and when to look again. Pure: the attempt, a clock's reading, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.order_states import ExecutionState
from app.domain.orders import ExecutionPath, Order


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How persistent we are. Seconds and counts; see the configuration table of the README."""

    max_attempts: int = 3
    backoff_seconds: int = 1
    lease_seconds: float = 8.0
    queue_grace_seconds: float = 2.0
    """A QUEUED order is overdue after this long: its message is lost or late, and the sweeper enqueues it again."""

    def lease_until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.lease_seconds)

    def first_due(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.queue_grace_seconds)

    def retry_delay(self, retries_used: int) -> timedelta:
        """1, 2, 4 … times the backoff; no jitter, so that a person can predict it."""
        return timedelta(seconds=self.backoff_seconds * 2**retries_used)

    def after_failure(self, order: Order, now: datetime) -> RetryAt | GiveUp:
        """What follows an attempt, or a look-up before one, that ended without an answer."""
        if order.is_exit:  # a position is unprotected meanwhile: nobody gives up, whatever the path
            return RetryAt(now + min(self.retry_delay(min(order.retries_used, 10)), _EXITS_AT_LEAST_EVERY))
        if order.execution_path is ExecutionPath.PLAIN or order.retries_used >= self.max_attempts:
            return GiveUp()
        return RetryAt(now + self.retry_delay(order.retries_used))


@dataclass(frozen=True, slots=True)
class RetryAt:
    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No automatic retry is left: a person decides."""


LONGEST_WAIT = timedelta(seconds=60)
"""What a venue asks us to wait is obeyed so long. A maintenance page that names an hour is over sooner, and an order in
doubt is not left alone meanwhile (I2)."""
HELD_BACK_AT_LEAST = timedelta(seconds=1)


def asked_to_wait_until(order: Order, now: datetime, retry_after: float | None) -> datetime:
    """When the venue, or our own throttle, wants to be asked again; never past the order's own deadline.

    `retry_after` in seconds; None: nobody asked to wait.
    """
    until = now + min(timedelta(seconds=retry_after or 0), LONGEST_WAIT)
    return min(until, order.expires_at) if order.expires_at is not None and order.expires_at > now else until


_EXITS_AT_LEAST_EVERY = timedelta(seconds=10)
ENTRY_STALLS_AFTER = timedelta(seconds=10)
"""So long without a fill, and a partly filled entry is cancelled: its exits cannot stand before it has ended."""


def stalls_at(order: Order) -> datetime | None:
    """When a partly filled entry that waits for its exits has waited long enough; None: it does not."""
    if order.execution_state is not ExecutionState.WORKING or not order.is_unprotected or order.is_exit:
        return None
    return order.updated_at + ENTRY_STALLS_AFTER


SOONEST_FETCH = timedelta(seconds=1)
LATEST_FETCH = timedelta(seconds=60)


def missing_since(order: Order, reported_at: datetime | None) -> datetime:
    """From when on executions that the venue counts, and that we do not have, can have been missing at the latest."""
    return order.updated_at if reported_at is None else max(order.updated_at, reported_at)


def fetch_again_at(order: Order, reported_at: datetime | None, now: datetime) -> datetime:
    """When executions that could not be had are asked for again: after as long as they have been missing.

    So the pauses double, with nothing to be counted: a list that lags shows them within seconds, and one that cannot
    be had does not take the venue's allowance from look-ups and cancels. An order that can still be executed is looked
    at no later than any other.
    """
    pause = now - missing_since(order, reported_at)
    return now + min(max(pause, SOONEST_FETCH), LATEST_FETCH)


# Look again at a live order soon after it changed (a lost stream message shows within seconds), rarely when it rests.
SOONEST_LOOK = timedelta(seconds=2)
LATEST_LOOK = timedelta(seconds=30)
_LATEST = {
    ExecutionState.WORKING: LATEST_LOOK,
    ExecutionState.CANCELLING: timedelta(seconds=5),
    ExecutionState.NEEDS_ATTENTION: timedelta(seconds=10),
}


def while_unproven(order: Order, now: datetime) -> datetime:
    """When to ask again about an order whose sender cannot be proven to have ended: a person has to say so, and makes
    it due by that. Until then no answer decides anything, and asking takes the allowance from other orders."""
    quiet = (now - order.updated_at) / 2
    again = now + min(max(quiet, SOONEST_FETCH), LATEST_LOOK)
    return min(again, order.expires_at) if order.expires_at is not None and order.expires_at > now else again


def look_again_at(order: Order, now: datetime) -> datetime:
    """When to ask the venue about an order that waits for it: half its quiet time, between 2 and at most 30 seconds.

    Never later than the order's own deadline, or the end of the wait of an entry that stalls.
    """
    quiet = (now - order.updated_at) / 2
    again = now + min(max(quiet, SOONEST_LOOK), _LATEST.get(order.execution_state, SOONEST_LOOK))
    if order.is_leaving_venue:
        again = min(again, now + _LATEST[ExecutionState.CANCELLING])
    if order.cancel_requested_at is None:
        for deadline in (order.expires_at, stalls_at(order)):
            if deadline is not None and now < deadline < again:
                again = deadline
    return again
