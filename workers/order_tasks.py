"""The tasks. Each takes an order id, does what is due for that order and is a no-op when nothing is.

Retries: Celery's autoretry is the fast path; the order's own attempt count and due time decide. A message that comes
early, twice or late finds the order not due and does nothing.
"""

from __future__ import annotations

from uuid import UUID

from app.domain.changes import LostRace
from app.lifecycle.advance import advance
from app.lifecycle.send import TryAgain
from app.settings import load_settings_or_exit
from app.storage.transaction import DatabaseUnavailable
from app.wakeups import CANCEL, EXECUTE, EXECUTE_PLAIN, RECONCILE
from workers.celery_app import celery_app, process

_settings = load_settings_or_exit()


class NoAnswerYet(Exception):
    """The order's outcome is not known; it is looked at again after the backoff."""


@celery_app.task(
    name=EXECUTE,
    autoretry_for=(NoAnswerYet, DatabaseUnavailable, LostRace),
    max_retries=_settings.order_retry_max_attempts,
    retry_backoff=_settings.order_retry_backoff_seconds,
    retry_backoff_max=3600,
    retry_jitter=False,  # 1, 2, 4 seconds, as documented
    throws=(NoAnswerYet,),
)
def execute_order(order_id: str) -> None:
    """Send the order, or ask about it before sending again."""
    outcome = advance(process().ports, UUID(order_id))
    if isinstance(outcome, TryAgain):
        raise NoAnswerYet(f"{order_id}: {outcome.reason.code}")


@celery_app.task(name=EXECUTE_PLAIN)
def execute_order_plain(order_id: str) -> None:
    """The same for orders outside the roll-out: one attempt, no autoretry."""
    advance(process().ports, UUID(order_id))


@celery_app.task(name=CANCEL)
def cancel_order(order_id: str) -> None:
    """Ask the venue to cancel, or find out whether there is anything to cancel."""
    advance(process().ports, UUID(order_id))


@celery_app.task(name=RECONCILE)
def reconcile_order(order_id: str) -> None:
    """Ask the venue about a live order, or one that waits for a person."""
    advance(process().ports, UUID(order_id))
