"""An order that needs attention: a person asks for another try, or gives it up."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.domain import order_events as happened
from app.domain.changes import Actor, Held, Verdict
from app.domain.order_states import ExecutionState
from app.domain.orders import Order
from app.domain.reconciliation import absence
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record


@dataclass(frozen=True, slots=True)
class Resumed:
    """It goes on: the venue is asked first, then it is sent again if that is safe."""

    order: Order


@dataclass(frozen=True, slots=True)
class Ended:
    """It was proven absent and is closed."""

    order: Order


@dataclass(frozen=True, slots=True)
class AwaitingProof:
    """Given up; it ends when its absence at the venue is proven."""

    order: Order


@dataclass(frozen=True, slots=True)
class NotWaiting:
    """It does not need attention."""

    order: Order


def retry(ports: Ports, order_id: UUID, actor: Actor, *, trader_id: UUID | None = None) -> Resumed | NotWaiting:
    """A new attempt budget under the same client order id. Raises NoSuchOrder."""

    def decide(held: Held) -> Verdict[Resumed | NotWaiting]:
        if held.order.execution_state is not ExecutionState.NEEDS_ATTENTION:
            return Verdict(NotWaiting(held.order))
        record = Record(ports, held, actor)
        record.happened(happened.RetryRequested(record.now, by=actor.name))
        return Verdict(Resumed(record.order), record.changes())

    outcome = ports.store.change(order_id, decide, trader_id=trader_id)
    if isinstance(outcome, Resumed):
        ports.wakeups.work(outcome.order)
    return outcome


def abandon(
    ports: Ports, order_id: UUID, actor: Actor, *, trader_id: UUID | None = None
) -> Ended | AwaitingProof | NotWaiting:
    """Accept the failure. Raises NoSuchOrder."""

    def decide(held: Held) -> Verdict[Ended | AwaitingProof | NotWaiting]:
        order = held.order
        if order.abandoned_at is not None and order.execution_state is ExecutionState.CANCELLING:
            return Verdict(AwaitingProof(order))
        if order.execution_state is not ExecutionState.NEEDS_ATTENTION:
            return Verdict(NotWaiting(order))
        record = Record(ports, held, actor)
        record.happened(happened.Abandoned(record.now, by=actor.name))
        needed = ports.venue_of(order.venue).capabilities.not_founds_needed
        # a venue that has said that it knows the client order id has the order, whatever it denies
        has_said_so = order.is_known_at_venue or order.client_id_known_at is not None
        if order.not_founds >= needed and not has_said_so:
            record.happened(absence(record.order, record.now))
            return Verdict(Ended(record.order), record.changes())
        return Verdict(AwaitingProof(record.order), record.changes())

    outcome = ports.store.change(order_id, decide, trader_id=trader_id)
    if isinstance(outcome, AwaitingProof):
        ports.wakeups.work(outcome.order)
    return outcome
