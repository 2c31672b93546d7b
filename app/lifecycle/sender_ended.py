"""A person says that a sender has ended, where no process can prove it: on another host, in a container that is gone.

It is written down as what it is, a person's word, and the in-flight bound of every order counts from that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.domain.changes import Actor, AttemptEnded, Held, Verdict
from app.domain.order_states import ExecutionState
from app.domain.retry_policy import look_again_at
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record


def names(said: str, sender: str) -> bool:
    """Whether what was said names this sender: by its whole name, or by the place that it runs in."""
    return sender == said or sender.startswith(said.rstrip("/") + "/")


def sender_ended(ports: Ports, said: str, order_ids: Sequence[UUID], actor: Actor, why: str) -> int:
    """Record the end for these orders; how many submits that were. Raises NoSuchOrder."""
    return sum(ports.store.change(order_id, lambda held: _end(ports, held, said, actor, why)) for order_id in order_ids)


def _end(ports: Ports, held: Held, said: str, actor: Actor, why: str) -> Verdict[int]:
    ended = [attempt for attempt in held.order.open_attempts if names(said, attempt.sender)]
    if not ended or held.order.is_closed:
        return Verdict(0)
    record = Record(ports, held, actor)
    word = f"{actor.name} says that {said} has ended: {why}"
    for attempt in ended:
        record.attempt_ended(
            AttemptEnded("SUBMIT", attempt.number, record.now, "SENDER_GONE", "OPERATOR_WORD", word[:500])
        )
    record.noted("CORRECTED", error_code="SENDER_ENDED", reason=word[:500])
    order = record.order
    # the venue is asked now; a lease that is running stays its holder's
    if order.execution_state is not ExecutionState.SENDING and order.due_at is not None:
        record.bookkeeping(due_at=min(order.due_at, look_again_at(order, record.now)))
    return Verdict(len(ended), record.changes())
