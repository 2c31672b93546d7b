"""The oracle sees that the two ledgers differ: a run that went well is altered afterwards, a thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from proofs.fake_venue import FakeOrder
from proofs.simulation.stepped_database import MemoryDatabase
from proofs.simulation.world import World

SEED = 11


@pytest.fixture
def world() -> Iterator[World]:
    world = World(SEED, MemoryDatabase)
    world.start()
    world.scheduler.run()
    world.oracle.look_at_everything()
    assert world.oracle.violations == []
    yield world
    world.scheduler.close()


def executed(world: World) -> FakeOrder:
    return next(order for order in world.exchange.fake.ledger if order.executions)


def execution(**other: Any) -> Callable[[World], None]:
    def alter(world: World) -> None:
        order = executed(world)
        order.executions[0] = replace(order.executions[0], **other)

    return alter


def fill(**other: Any) -> Callable[[World], None]:
    def alter(world: World) -> None:
        order = executed(world)
        fill = world.tables.fills["fake", order.venue_order_id, order.executions[0].cumulative_quantity]
        fill.update(other)

    return alter


def instruction(**other: Any) -> Callable[[World], None]:
    """Of an order that still stands with the terms that our row has."""

    def alter(world: World) -> None:
        order = next(
            order
            for order in world.exchange.fake.ledger
            if order.profit is None
            and order.instruction.client_order_id == str(UUID(order.ordered_as[:36]))
            and not world.tables.orders[UUID(order.ordered_as[:36])]["replacements"]
        )
        order.instruction = replace(order.instruction, **other)

    return alter


ALTERED: dict[str, tuple[str, Callable[[World], None]]] = {
    "an execution at another price": ("fills are equal", execution(price=Decimal("1.23"))),
    "a part of another size, the sum the same": ("fills are equal", execution(quantity=Decimal("0.5"))),
    "a fill at another price": ("fills are equal", fill(price_at_fill=Decimal("1.23"))),
    "a fill of another order": ("fills are equal", fill(order_id=UUID(int=5))),
    "a fill of the other side": ("fills are equal", fill(side="NONE")),
    "another symbol at the venue": ("terms", instruction(symbol="KO")),
    "another side at the venue": ("terms", instruction(side="NONE")),
    "another quantity at the venue": ("terms", instruction(quantity=Decimal(7))),
    "another type at the venue": ("terms", instruction(order_type="STOP_LIMIT")),
    "another limit at the venue": ("terms", instruction(limit_price=Decimal(7))),
    "another trigger at the venue": ("terms", instruction(stop_price=Decimal(7))),
    "another stop loss of the pair at the venue": ("terms", instruction(or_stop_price=Decimal(7))),
    "another time in force at the venue": ("terms", instruction(time_in_force="FOK")),
}


@pytest.mark.parametrize("altered", ALTERED)
def test_what_differs_between_the_ledgers_is_a_violation(world: World, altered: str) -> None:
    rule, alter = ALTERED[altered]
    alter(world)
    world.oracle.look_at_everything()
    assert rule in {violation.rule for violation in world.oracle.violations}, world.oracle.violations


def test_the_parts_of_one_order_are_executed_at_different_prices() -> None:
    """Otherwise a price that was taken from another part would look right."""
    parts = 0
    for seed in range(12):
        world = World(seed, MemoryDatabase)
        world.start()
        world.scheduler.run()
        world.scheduler.close()
        for order in world.exchange.fake.ledger:
            prices = [each.price for each in order.executions]
            parts += len(prices) > 1
            assert len(set(prices)) == len(prices), order
    assert parts, "none was executed in parts"
