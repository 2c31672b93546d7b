"""The same as test_books_follow_orders.py through the whole lifecycle and real PostgreSQL, on a few histories."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from app.domain.books import BookedFill, recomputed
from app.domain.fees import FeeSchedule
from app.domain.orders import Order, OrderType, Side
from app.domain.venue_answers import TradeUpdate, VenueOrderStatus
from app.lifecycle.accept import AcceptedOrder
from app.lifecycle.amend import NewTerms, amend
from app.lifecycle.cancel import request_cancel
from app.lifecycle.halts import lift
from app.lifecycle.reconcile import take_updates
from app.storage import orders
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import TRADER, House

STEPS = (
    "submit", "submit", "submit", "send", "send", "fill", "fill", "fill", "amend", "cancel", "end", "late", "bust",
    "sweep",
)  # fmt: skip
FAULTS = (Fault.SUBMIT_REPLY_LOST, Fault.SUBMIT_LOST, Fault.SUBMIT_REFUSED, Fault.SUBMIT_ERROR_AFTER_ACCEPT)


def _books_agree(house: House) -> None:
    fills = [
        BookedFill(*row)  # type: ignore[arg-type] # named after the columns
        for row in house.as_worker(
            "SELECT symbol, side, quantity_filled, price_at_fill, commission FROM fills WHERE trader_id = %s"
            " ORDER BY position", house.trader_id,
        )
    ]  # fmt: skip
    still_open = [
        orders.from_row(row)
        for row in house.as_worker(
            f"SELECT {orders.SELECTED} FROM orders o WHERE trader_id = %s AND closed_at IS NULL", house.trader_id
        )
    ]
    account, positions = recomputed(house.trader_id, "USD", Decimal(100_000), fills, still_open)
    assert house.account() == (account.cash, account.reserved)
    stored = {
        str(symbol): values
        for symbol, *values in house.as_worker(
            "SELECT symbol, quantity, reserved_quantity, cost_basis, realized_pnl FROM positions WHERE trader_id = %s",
            house.trader_id,
        )
    }
    for symbol, position in positions.items():
        held = [position.quantity, position.reserved_quantity, position.cost_basis, position.realized_pnl]
        assert stored.get(symbol, [Decimal(0)] * 4) == held


@pytest.mark.parametrize("seed", range(4))
def test_any_history_leaves_the_books_as_recomputed_from_fills(house: House, seed: int) -> None:
    random = Random(seed)
    fees = FeeSchedule(Decimal("2.5"), Decimal("0.005"))
    house.api, house.worker = replace(house.api, fees=fees), replace(house.worker, fees=fees)
    made: list[UUID] = []
    for _ in range(30):
        _step(house, random, made)
        _books_agree(house)
    for order_id in made:
        request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(90)
    house.listen()
    _books_agree(house)
    assert all(house.order(order_id).is_closed for order_id in made)
    assert house.account()[1] == 0, "what has ended holds nothing back"


def _step(house: House, random: Random, made: list[UUID]) -> None:
    what = random.choice(STEPS)
    if what == "submit" or not made:
        side = random.choice((Side.BUY, Side.BUY, Side.SELL))
        order_type = random.choice((OrderType.LIMIT, OrderType.MARKET, OrderType.STOP))
        price = None if order_type is OrderType.MARKET else Decimal(random.randint(14_000, 16_000)) / 100
        outcome = house.submit(side=side, quantity=Decimal(random.randint(1, 60)), order_type=order_type, price=price)
        if isinstance(outcome, AcceptedOrder):
            made.append(outcome.order_id)
        return
    order = house.order(random.choice(made))
    if what == "send":
        if random.random() < 0.3:
            house.venue.plan(random.choice(FAULTS))
        house.advance(order.id)
    elif what == "cancel":
        request_cancel(house.api, order.id, TRADER, trader_id=house.trader_id)
    elif what == "sweep":
        house.sweep(3)
    elif what == "amend":
        wanted = NewTerms(Decimal(random.randint(14_000, 16_000)) / 100, Decimal(random.randint(1, 80)))
        amend(house.api, order.id, TRADER, wanted, trader_id=house.trader_id)
    elif what == "bust":
        _taken_back(house, order)
    else:
        _at_the_venue(house, random, order, what)
    house.listen()


def _taken_back(house: House, order: Order) -> None:
    """The venue undoes an execution; a person looks, and lifts the halt."""
    theirs = house.venue.with_client_id(order.client_order_id)
    if not theirs or not theirs[-1].filled:
        return
    take_updates(house.worker, order.id, [TradeUpdate("trade_bust", theirs[-1].report())])
    for (halt_id,) in house.sql("SELECT id FROM halts WHERE lifted_at IS NULL"):
        lift(house.halts, UUID(str(halt_id)), "looked at")


def _at_the_venue(house: House, random: Random, order: Order, what: str) -> None:
    theirs = house.venue.with_client_id(order.client_order_id)
    if not theirs:
        return
    last, quantity = theirs[-1], min(theirs[-1].leaves, Decimal(random.randint(1, 40)))
    price = Decimal(random.randint(140_000, 160_000)) / 1000
    if last.status is not VenueOrderStatus.WORKING:
        if what == "late" and order.is_closed and quantity:
            ended, last.status, last.cancelled_at = last.status, VenueOrderStatus.WORKING, None
            house.venue._execute(last, quantity, price)
            last.status = ended if last.leaves else last.status
        return
    if what == "fill":
        house.venue.fill(order.client_order_id, quantity, price)
    elif what == "end":
        house.venue.end(order.client_order_id, random.choice((VenueOrderStatus.CANCELLED, VenueOrderStatus.EXPIRED)))
