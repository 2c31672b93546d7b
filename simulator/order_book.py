"""All orders of the ledger in memory, and the ways they are looked up."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime

from simulator.orders import Execution, Order


class OrderBook:
    """Orders by id, by client order id, by symbol while open, and in the order of their submission."""

    def __init__(self) -> None:
        self.by_id: dict[str, Order] = {}
        self.in_sequence: list[Order] = []
        self._by_client_order_id: dict[str, list[Order]] = {}
        self._open: dict[str, dict[str, Order]] = {}
        self.executions: list[Execution] = []
        self._activity_index: dict[str, int] = {}
        self._executions_of: dict[str, list[Execution]] = {}

    def add(self, order: Order) -> None:
        """Takes in a new order, or one from the ledger."""
        self.by_id[order.id] = order
        self.in_sequence.append(order)
        self._by_client_order_id.setdefault(order.client_order_id, []).append(order)
        if order.open:
            self._open.setdefault(order.symbol, {})[order.id] = order

    def ended(self, order: Order) -> None:
        """The order reached a terminal status."""
        self._open.get(order.symbol, {}).pop(order.id, None)

    def add_execution(self, execution: Execution) -> None:
        """Takes in a new fill, or one from the ledger."""
        self._activity_index[execution.activity_id] = len(self.executions)
        self.executions.append(execution)
        self._executions_of.setdefault(execution.order_id, []).append(execution)

    @property
    def next_sequence(self) -> int:
        """The sequence of the order that comes next."""
        return self.in_sequence[-1].sequence + 1 if self.in_sequence else 1

    def with_client_order_id(self, client_order_id: str) -> list[Order]:
        """Every order that carries it, oldest first. More than one only where the venue permits it."""
        return self._by_client_order_id.get(client_order_id, [])

    def newest(self, client_order_id: str) -> Order | None:
        """The latest order that carries this client order id."""
        orders = self.with_client_order_id(client_order_id)
        return orders[-1] if orders else None

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Open orders, oldest first within a symbol."""
        if symbol is not None:
            return list(self._open.get(symbol, {}).values())
        return [order for orders in self._open.values() for order in orders.values()]

    def submitted_between(self, after: datetime | None, until: datetime | None, newest_first: bool) -> Iterator[Order]:
        """Orders submitted after `after` and before `until`, both exclusive."""
        first = 0 if after is None else bisect_right(self.in_sequence, after, key=_submitted_at)
        last = len(self.in_sequence) if until is None else bisect_left(self.in_sequence, until, key=_submitted_at)
        indexes = range(first, last)
        return (self.in_sequence[index] for index in (reversed(indexes) if newest_first else indexes))

    def executions_of(self, order_id: str) -> list[Execution]:
        """The fills of an order, oldest first."""
        return self._executions_of.get(order_id, [])

    def index_of_activity(self, activity_id: str) -> int | None:
        """Where in `executions` the fill with this activity id is."""
        return self._activity_index.get(activity_id)

    def executions_between(self, after: datetime | None, until: datetime | None) -> tuple[int, int]:
        """The slice of `executions` after `after` (exclusive) up to `until` (inclusive)."""
        first = 0 if after is None else bisect_right(self.executions, after, key=_executed_at)
        last = len(self.executions) if until is None else bisect_right(self.executions, until, key=_executed_at)
        return first, last


def _submitted_at(order: Order) -> datetime:
    return order.submitted_at


def _executed_at(execution: Execution) -> datetime:
    return execution.transaction_time
