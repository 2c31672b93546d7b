"""Exits of bracket, OCO and OTO orders: they start when the entry is wholly filled, and one cancels the other.

While a take profit rests, its stop loss has the status `held`. When the market reaches the stop, the take profit is
cancelled first and the stop loss takes over what it had left, so that both together never sell more than the entry.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.ledger import Ledger
from simulator.matching import reaches_trigger
from simulator.order_book import OrderBook
from simulator.orders import Order
from simulator.quotes import Quotes


class Exits:
    """Starts, links and ends the exits of an order."""

    def __init__(
        self,
        book: OrderBook,
        quotes: Quotes,
        ledger: Ledger,
        become_new: Callable[[Order], None],
        end_as: Callable[[Order, str], None],
    ) -> None:
        self._book = book
        self._quotes = quotes
        self._ledger = ledger
        self._become_new = become_new
        self._end_as = end_as

    def legs(self, order: Order) -> list[Order]:
        """The exits of an entry, take profit first."""
        return [self._book.by_id[leg_id] for leg_id in order.leg_ids]

    def _partners(self, order: Order) -> list[Order]:
        """The orders that end when `order` ends: the other exit, or an OCO's stop loss for its take profit."""
        if order.parent_id is not None:
            parent = self._book.by_id[order.parent_id]
            siblings = [leg for leg in self.legs(parent) if leg is not order]
            return [*siblings, parent] if parent.order_class == "oco" else siblings
        return self.legs(order)

    def after_end(self, order: Order) -> None:
        """An order ended: its exits start, or they and its other exit are cancelled."""
        if order.status == "filled" and order.parent_id is None and order.order_class in ("bracket", "oto"):
            for leg in self.legs(order):
                if leg.type == "limit" or len(order.leg_ids) == 1:
                    self._become_new(leg)
            return
        for partner in self._partners(order):
            # A stop loss that has taken over outlives the take profit that was cancelled for it.
            if partner.open and not partner.triggered:
                self._end_as(partner, "expired" if order.status == "expired" else "canceled")

    def stop_reached(self, stop: Order) -> bool:
        """Whether a held stop loss is in force and its trigger price is reached."""
        parent = self._book.by_id[stop.parent_id or ""]
        in_force = parent.working if parent.order_class == "oco" else parent.status == "filled"
        return in_force and reaches_trigger(stop, self._quotes[stop.symbol])

    def let_stop_take_over(self, stop: Order) -> None:
        """The stop loss becomes live with what the take profit had left; the take profit is cancelled."""
        partners = [partner for partner in self._partners(stop) if partner.open]
        for partner in partners:
            stop.qty = min(stop.qty, partner.leaves_qty)
        stop.triggered = True
        self._become_new(stop)
        for partner in partners:
            self._end_as(partner, "canceled")

    def hand_over(self, order: Order, successor: Order) -> None:
        """The replacement takes the replaced order's place among its exits, or as one of them."""
        successor.parent_id, successor.leg_ids = order.parent_id, list(order.leg_ids)
        for leg in self.legs(order):
            leg.parent_id = successor.id
            self._ledger.put_order(leg)
        if order.parent_id is not None:
            parent = self._book.by_id[order.parent_id]
            parent.leg_ids = [successor.id if leg_id == order.id else leg_id for leg_id in parent.leg_ids]
            self._ledger.put_order(parent)
        self._ledger.put_order(successor)
