"""An exit takes the terms of its entry that concern it, and nothing of what has happened to the entry."""

from __future__ import annotations

from dataclasses import MISSING, fields
from decimal import Decimal
from uuid import UUID

from app.domain.exits import exit_of
from app.domain.orders import Order
from tests.domain.orders import NOON, an_order


def test_an_exit_begins_without_anything_that_has_happened_to_its_entry() -> None:
    state = {field.name: field.default for field in fields(Order) if field.default is not MISSING}
    happened = {name: f"the entry's {name}" for name in state}
    entry = an_order(stop_loss=Decimal(140), take_profit=Decimal(160)).changed(**happened)
    made = exit_of(entry, Decimal(10), UUID(int=7), 1, NOON, NOON)
    assert {name: getattr(made, name) for name in state} == state
    assert len(state) > 30  # what is written down once, in Order
