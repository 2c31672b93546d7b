"""`reconcile`: the venue is asked now."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.settings import Settings
from tests.api.house import Client, House, running
from tests.cli.conftest import Console

ABSENT = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with running(settings) as house:
        yield house


@pytest.fixture
def ann(house: House) -> Client:
    return house.trader("Ann")


def test_all_live_orders_become_due(house: House, ann: Client, console: Console) -> None:
    orders = [ann.order() for _ in range(3)]
    with house.working() as worker:
        for order in orders[:2]:
            worker.send(order)
    assert console.ok("reconcile").out.startswith("every live order is due")
    due = house.rows("SELECT count(*) FROM orders WHERE due_at <= now() AND execution_state = 'WORKING'")
    assert due == [(2,)]


def test_one_order_is_looked_at_at_once_and_silence_is_no_answer(house: House, ann: Client, console: Console) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
    said = console.ok("reconcile", "--order", order["id"])  # nobody listens where the venue should be
    assert said.out.startswith(f"{order['id']}: PENDING WORKING -> PENDING WORKING")


def test_an_order_that_ended_is_left_alone(house: House, ann: Client, console: Console) -> None:
    order = ann.order()
    ann.post(f"/orders/{order['id']}/cancel")
    version = house.rows("SELECT version FROM orders")
    said = console.ok("reconcile", "--order", order["id"])
    assert said.out == f"{order['id']}: CANCELLED CLOSED (USER_REQUEST) -> CANCELLED CLOSED (USER_REQUEST)\n"
    assert house.rows("SELECT version FROM orders") == version


def test_an_order_that_does_not_exist_is_one_line(console: Console) -> None:
    said = console.run("reconcile", "--order", ABSENT)
    assert (said.status, said.err) == (1, f"Error: there is no order {ABSENT}\n")
