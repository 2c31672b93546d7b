"""A trader beside the page: what it does through the API, as its programs would."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import urllib3

from app.domain.changes import Actor
from app.domain.halts import Halt, HaltScope
from app.lifecycle.halts import HaltDesk, impose, lift
from app.lifecycle.traders import Administration, change_limits, create_key, create_trader, revoke_key
from app.storage.halts import PostgresHalts
from app.storage.traders import PostgresTraders
from app.storage.transaction import Database
from app.wiring import SystemClock, TimeOrderedIds
from local.stack import LocalStack

CASH = Decimal(10_000_000)
"""US dollars: more than the tests can spend."""
_PATIENCE_SECONDS = 30.0


class Office:
    """Makes traders and ends keys, as the command line does, without starting an interpreter for each."""

    def __init__(self, system: LocalStack) -> None:
        self._system = system
        self._database = Database(system.settings.sqlalchemy_url("owner"), pool_size=1, application_name="office")
        store = PostgresTraders(self._database)
        clock, ids, actor = SystemClock(), TimeOrderedIds(), Actor("administrator:test")
        self._admin = Administration(store, clock, ids, actor, "test")
        self._halts = HaltDesk(PostgresHalts(self._database), clock, ids, actor, "test")

    def open_account(self, name: str, **limits: int) -> Trader:
        """A trader that may send as many orders as it likes, with other limits as given."""
        made = create_trader(self._admin, name, CASH)
        change_limits(self._admin, made.trader_id, {"orders_per_minute": 100_000, **limits})
        return Trader(name, str(made.trader_id), made.key.text, self._system)

    @cached_property
    def operator_key(self) -> str:
        return self.new_operator_key()

    def new_operator_key(self) -> str:
        """A key with the scope admin and no other."""
        operator = create_trader(self._admin, f"operator {uuid4()}", Decimal(0))
        return create_key(self._admin, operator.trader_id, ["admin"], None).text

    def halt(self, trader: Trader, reason: str) -> Halt:
        halt, _ = impose(self._halts, HaltScope.TRADER, UUID(trader.trader_id), None, reason, cancel_exits=False)
        return halt

    def lift(self, halt: Halt) -> None:
        lift(self._halts, halt.id, "all is well")

    def revoke(self, key: str) -> None:
        revoke_key(self._admin, self._admin.store.find_key(key[:11]))

    def close(self) -> None:
        self._database.close()


@dataclass
class Trader:
    """One trader and its key."""

    name: str
    trader_id: str
    key: str = field(repr=False)
    system: LocalStack = field(repr=False)
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=8, timeout=20), repr=False)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        answer = self._pool.request(
            method,
            f"{self.system.url}/api/v1/{path}",
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers},
        )
        return answer.status, json.loads(answer.data)

    def get(self, path: str) -> Any:
        status, document = self.call("GET", path)
        assert status == 200, document
        return document

    def submit(self, **terms: object) -> str:
        """Submit an order, 1 AAPL at the market unless told so; its id."""
        body = {"symbol": "AAPL", "side": "BUY", "quantity": "1", "order_type": "MARKET"} | terms
        status, document = self.call(
            "POST", "orders", body, **{"Idempotency-Key": str(uuid4()), "Confirm-Duplicate": "true"}
        )
        assert status == 201, document
        return str(document["id"])

    def until(self, order_id: str, state: str) -> Any:
        """Wait until the order has this execution_state; the order."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            order = self.get(f"orders/{order_id}")
            if order["execution_state"] == state:
                return order
            assert time.monotonic() < deadline, f"{order_id} is {order['execution_state']}, not {state}"
            time.sleep(0.05)

    def orders(self) -> list[Any]:
        """All orders, newest first."""
        found: list[Any] = []
        cursor = ""
        while True:
            page = self.get(f"orders?limit=100{cursor and f'&cursor={cursor}'}")
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = page["next_cursor"]
