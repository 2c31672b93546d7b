"""`reconcile`: have the venue asked about orders now."""

from __future__ import annotations

from uuid import UUID

import click

from app.cli.surroundings import administrator, command, surroundings
from app.domain.changes import Held, NoSuchOrder, Verdict
from app.domain.order_states import ExecutionState
from app.domain.orders import Order
from app.lifecycle.advance import advance
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record
from app.lifecycle.send import TryAgain

# A lease is somebody's; these wait for their time only.
_WAITING = (ExecutionState.WORKING, ExecutionState.CANCELLING, ExecutionState.NEEDS_ATTENTION, ExecutionState.IN_DOUBT)


@click.command("reconcile")
@click.option("--order", "order_id", type=click.UUID, help="This order only, at once and by this command itself.")
@command
def reconcile(order_id: UUID | None) -> None:
    """Compare orders with the venue: all that live there (the workers do it), or one (at once)."""
    settings = surroundings()
    worker = settings.start_worker(settings.settings)
    try:
        if order_id is None:
            marked = worker.ports.store.look_at_live_orders(worker.ports.clock.now())
            click.echo(f"every live order is due, {marked} of them earlier than planned: the workers ask about them")
            return
        try:
            before, after, waits = _look_now(worker.ports, order_id)
        except NoSuchOrder:
            raise click.ClickException(f"there is no order {order_id}") from None
    finally:
        worker.close()
    click.echo(f"{order_id}: {_state(before)} -> {_state(after)}")
    if waits is not None:
        click.echo(f"no answer yet: {waits.reason.message} Looked at again at {waits.at.isoformat()}.")


def _look_now(ports: Ports, order_id: UUID) -> tuple[Order, Order, TryAgain | None]:
    def make_due(held: Held) -> Verdict[Order]:
        if held.order.execution_state not in _WAITING:
            return Verdict(held.order)
        record = Record(ports, held, administrator())
        record.bookkeeping(due_at=record.now)
        return Verdict(held.order, record.changes())

    before = ports.store.change(order_id, make_due)
    outcome = advance(ports, order_id)
    after = ports.store.order(order_id)
    if after is None:
        raise NoSuchOrder(str(order_id))
    return before, after, outcome if isinstance(outcome, TryAgain) else None


def _state(order: Order) -> str:
    reason = f" ({order.reason.code})" if order.reason else ""
    return f"{order.status} {order.execution_state}{reason}"
