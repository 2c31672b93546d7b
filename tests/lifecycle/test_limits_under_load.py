"""Orders that fit alone but not together, all at once: accepted exactly up to the limit, on real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from app.lifecycle.accept import Refusal
from app.settings import Settings
from app.storage.order_store import PostgresOrders
from app.storage.transaction import Database
from tests.lifecycle.conftest import House

ORDERS = 200
AT_ONCE = 8  # connections of each of two stores, as two web processes have them


def race(house: House, settings: Settings) -> Counter[str]:
    """200 orders of 10 at 100 each from sixteen threads; how many were accepted, and the codes of the refusals."""
    databases = [Database(settings.sqlalchemy_url("api"), pool_size=AT_ONCE) for _ in range(2)]
    ports = [
        replace(house.api, store=PostgresOrders(database, house.heard, house.clock, orders_per_minute=100_000))
        for database in databases
    ]

    def submit(number: int) -> str:
        outcome = house.submit_to(ports[number % 2], quantity=Decimal(10), price=Decimal(100))
        return ",".join(denial.code for denial in outcome.denials) if isinstance(outcome, Refusal) else "accepted"

    try:
        with ThreadPoolExecutor(2 * AT_ONCE) as threads:
            return Counter(threads.map(submit, range(ORDERS)))
    finally:
        for database in databases:
            database.close()


@pytest.mark.parametrize(
    ("limits", "accepted", "code"),
    [
        ({}, 100, "INSUFFICIENT_FUNDS"),  # 100,000 in cash
        ({"max_position_quantity": 475}, 47, "MAX_POSITION_QUANTITY"),
        ({"max_position_value": 47_500}, 47, "MAX_POSITION_VALUE"),
        ({"max_daily_notional": 47_999}, 47, "MAX_DAILY_NOTIONAL"),
        ({"max_open_orders": 47}, 47, "MAX_OPEN_ORDERS"),
        ({"orders_per_minute": 47}, 47, "ORDER_RATE_LIMIT"),
    ],
    ids=lambda value: "-".join(value) or "cash" if isinstance(value, dict) else None,
)
def test_orders_at_once_are_accepted_exactly_up_to_the_limit(
    house: House, settings: Settings, limits: dict[str, int], accepted: int, code: str
) -> None:
    for name, value in limits.items():
        house.sql(f"UPDATE traders SET {name} = %s WHERE id = %s", value, house.trader_id)
    assert race(house, settings) == {"accepted": accepted, code: ORDERS - accepted}
    assert house.account() == (Decimal(100_000), Decimal(1000 * accepted))
    ((notional,),) = house.sql("SELECT session_notional FROM accounts WHERE trader_id = %s", house.trader_id)
    assert notional == 1000 * accepted
