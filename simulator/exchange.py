"""The life of orders at the venue: accepted, live, filled, cancelled, replaced, rejected, expired.

Every change is put into the ledger; every step is told on the stream after its commit. A reply to a request says only
that the request was accepted: what becomes of the order follows in a later turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import TypeVarTuple

from simulator.account import Account
from simulator.exits import Exits
from simulator.figures import new_id, now
from simulator.instruments import ACTIVE, Instrument
from simulator.ledger import Ledger
from simulator.matching import displayed_size, price_now, reaches_trigger
from simulator.order_book import OrderBook
from simulator.order_entry import OrderEntry, Replacement, check_replacement
from simulator.orders import Execution, Order, PlannedRejection
from simulator.quotes import Quotes
from simulator.refusals import (
    insufficient_balance,
    insufficient_buying_power,
    insufficient_quantity,
    repeated_client_order_id,
    unprocessable,
    wash_trade,
)
from simulator.settings import Settings
from simulator.trade_updates import Publish, trade_update

_Arguments = TypeVarTuple("_Arguments")
_AT_ONCE_OR_NEVER = ("ioc", "fok")


class Exchange:
    """Owns every change of an order's state."""

    def __init__(
        self,
        settings: Settings,
        instruments: dict[str, Instrument],
        quotes: Quotes,
        book: OrderBook,
        account: Account,
        ledger: Ledger,
        publish: Publish,
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._quotes = quotes
        self._book = book
        self._account = account
        self._ledger = ledger
        self._publish = publish
        self._exits = Exits(book, quotes, ledger, self._become_new, self._end_as)
        self._waiting_for_a_step: set[str] = set()
        self.market_open = True
        quotes.moved = self._quotes_moved

    # Requests. Each returns what was accepted or raises Refusal; nothing has been decided about the outcome.

    def submit(self, entry: OrderEntry, planned_rejection: PlannedRejection | None = None) -> Order:
        """Accepts an order. Raises Refusal."""
        self._check_unique(entry.client_order_id)
        self._check_wash_trade(entry)
        self._check_means(entry)
        order = self._new_order(entry)
        order.planned_rejection = planned_rejection
        # Planned before anything is put into the ledger, so that acceptance and first fill share one commit.
        self._later(0, self._activate, order)
        self._enter(order, entry)
        for leg_entry in entry.exits:
            leg = self._new_order(leg_entry, parent=order)
            self._enter(leg, leg_entry)
            order.leg_ids.append(leg.id)
        return order

    def request_cancel(self, order: Order) -> None:
        """Accepts the wish to cancel; a fill may still win. Raises Refusal when there is nothing left to cancel."""
        if not order.open:
            raise unprocessable(f'order is already in "{order.status}" state')
        if order.status == "pending_replace":
            raise unprocessable("order is pending replace and cannot be canceled")
        if order.status == "pending_cancel":
            return
        self._later(self._settings.cancel_delay_ms, self._finish_cancel, order)
        self._set_status(order, "pending_cancel")
        if self._settings.cancel_delay_ms:
            self._publish(trade_update("pending_cancel", order))

    def request_replace(self, order: Order, change: Replacement) -> Order:
        """Accepts the wish to replace and returns the new order; a fill may still win. Raises Refusal."""
        if order.status not in ("new", "partially_filled"):
            raise unprocessable(f"cannot replace order in {order.status} status")
        if change.client_order_id is not None:
            self._check_unique(change.client_order_id)
        kept = order.qty if self._settings.replacement_quantity == "original" else order.leaves_qty
        entry = OrderEntry(
            client_order_id=change.client_order_id or new_id(),
            instrument=self._instruments[order.symbol],
            side=order.side,
            type=order.type,
            time_in_force=change.time_in_force or order.time_in_force,
            qty=kept if change.qty is None else change.qty,
            limit_price=order.limit_price if change.limit_price is None else change.limit_price,
            stop_price=order.stop_price if change.stop_price is None else change.stop_price,
            extended_hours=order.extended_hours,
            order_class=order.order_class,
        )
        check_replacement(entry)
        successor = self._new_order(entry)
        successor.replaces = order.id
        self._later(self._settings.replace_delay_ms, self._finish_replace, order, successor)
        self._enter(successor, entry)
        self._set_status(order, "pending_replace")
        if self._settings.replace_delay_ms:
            self._publish(trade_update("pending_replace", order))
        return successor

    # Control.

    def open_market(self) -> None:
        """Orders that waited for the opening become live."""
        self.market_open = True
        for order in self._book.open_orders():
            if order.status == "accepted":
                self._activate(order)
            else:
                self._on_quote(order)

    def close_market(self, expire_day_orders: bool) -> None:
        """Nothing trades any more; DAY orders expire, if so wanted."""
        self.market_open = False
        if expire_day_orders:
            for order in self._book.open_orders():
                if order.time_in_force == "day" and order.open:
                    self._end_as(order, "expired")

    def reconsider(self, symbol: str) -> None:
        """Trades what can trade now, after a halt was lifted."""
        self._quotes_moved([symbol])

    def resume(self) -> None:
        """Takes up the orders that an earlier process left open."""
        for order in self._book.open_orders():
            if order.leaves_qty and order.buys and order.parent_id is None:
                self._account.hold(order, order.limit_price or self._quotes[order.symbol].ask)
        for order in self._book.open_orders():
            replaced = self._book.by_id.get(order.replaces or "")
            if order.status == "pending_new" and replaced is not None and replaced.status == "pending_replace":
                self._later(self._settings.replace_delay_ms, self._finish_replace, replaced, order)
            elif order.status in ("pending_new", "accepted"):
                self._later(0, self._activate, order)
            elif order.status == "pending_cancel":
                self._later(self._settings.cancel_delay_ms, self._finish_cancel, order)
            elif order.working:
                self._later(0, self._trade, order)

    # Acceptance.

    def _new_order(self, entry: OrderEntry, parent: Order | None = None) -> Order:
        time = now()
        return Order(
            sequence=self._book.next_sequence,
            id=new_id(),
            client_order_id=entry.client_order_id,
            symbol=entry.instrument.symbol,
            asset_id=entry.instrument.asset_id,
            asset_class=entry.instrument.asset_class,
            side=entry.side,
            type=entry.type,
            time_in_force=entry.time_in_force,
            qty=entry.qty,
            submitted_at=time,
            updated_at=time,
            status="held" if parent is not None else "pending_new" if self.market_open else "accepted",
            limit_price=entry.limit_price,
            stop_price=entry.stop_price,
            order_class=entry.order_class,
            extended_hours=entry.extended_hours,
            parent_id=None if parent is None else parent.id,
        )

    def _enter(self, order: Order, entry: OrderEntry) -> None:
        self._book.add(order)
        self._ledger.put_order(order)
        if order.buys and order.parent_id is None:
            self._account.hold(order, self._price_to_hold(entry))

    def _price_to_hold(self, entry: OrderEntry) -> Decimal:
        return entry.limit_price or entry.stop_price or self._quotes[entry.instrument.symbol].ask

    def _check_unique(self, client_order_id: str) -> None:
        rule = self._settings.client_id_uniqueness
        if rule == "none":
            return
        earlier = self._book.with_client_order_id(client_order_id)
        if any(rule == "permanent" or order.open for order in earlier):
            raise repeated_client_order_id()

    def _check_means(self, entry: OrderEntry) -> None:
        symbol = entry.instrument.symbol
        if entry.side == "buy":
            cost = self._price_to_hold(entry) * entry.qty
            buying_power = self._account.buying_power
            if cost > buying_power:
                raise insufficient_buying_power(buying_power, cost)
        elif entry.instrument.crypto or self._settings.short_selling == "refused":
            held = self.held_for_sale(symbol)
            available = max(Decimal(0), self._account.quantity(symbol) - held)
            if entry.qty > available:
                if entry.instrument.crypto:
                    raise insufficient_balance(symbol, entry.qty, available)
                raise insufficient_quantity(symbol, entry.qty, available, held)

    def held_for_sale(self, symbol: str) -> Decimal:
        """Quantity that open sell orders would sell; of a pair of exits only one counts."""
        return sum(
            (order.leaves_qty for order in self._book.open_orders(symbol) if not order.buys and order.status != "held"),
            Decimal(0),
        )

    def _check_wash_trade(self, entry: OrderEntry) -> None:
        if self._settings.wash_trade_check == "off":
            return
        for order in self._book.open_orders(entry.instrument.symbol):
            if order.side == entry.side or order.status == "held":
                continue
            if order.limit_price is None or entry.limit_price is None:
                raise wash_trade(order.id)
            buy, sell = (order, entry) if order.buys else (entry, order)
            if buy.limit_price is not None and sell.limit_price is not None and buy.limit_price >= sell.limit_price:
                raise wash_trade(order.id)

    # What becomes of an accepted order.

    def _activate(self, order: Order) -> None:
        if order.status not in ("pending_new", "accepted"):
            return
        if not self.market_open:
            if order.time_in_force in _AT_ONCE_OR_NEVER:
                self._end_as(order, "canceled")
            return
        planned = order.planned_rejection
        if planned is not None and not planned.after_partial_fill:
            self._later(planned.after_seconds * 1000, self._reject, order, planned.reason)
            return
        self._become_new(order)
        if self._settings.fill_delay_ms:
            self._schedule_step(order, self._settings.fill_delay_ms)
        else:
            self._trade(order)

    def _become_new(self, order: Order) -> None:
        self._set_status(order, "new")
        self._publish(trade_update("new", order))

    def _quotes_moved(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            for order in self._book.open_orders(symbol):
                self._on_quote(order)

    def _on_quote(self, order: Order) -> None:
        if order.id in self._waiting_for_a_step:
            return
        if order.status == "held":
            if self._may_trade(order) and self._exits.stop_reached(order):
                self._exits.let_stop_take_over(order)
                self._trade(order)
        elif order.working:
            self._trade(order, rested=True)

    def _may_trade(self, order: Order) -> bool:
        return self.market_open and self._instruments[order.symbol].state == ACTIVE

    def _trade(self, order: Order, rested: bool = False) -> None:
        """Fills what can be filled now. `rested`: the market came to the order, so a limit order gets its own price."""
        if not order.working or not self._may_trade(order):
            return
        if order.planned_rejection is not None:
            self._fill_half_and_reject(order, order.planned_rejection)
            return
        quote = self._quotes[order.symbol]
        if order.stop_price is not None and not order.triggered:
            if not reaches_trigger(order, quote):
                self._drop_rest_if_immediate(order)
                return
            order.triggered = True
            rested = False
        price = price_now(order, quote)
        if price is None:
            self._drop_rest_if_immediate(order)
            return
        if rested and order.limit_price is not None:
            price = order.limit_price
        shown = displayed_size(order, quote)
        if order.time_in_force == "fok" and shown < order.leaves_qty:
            self._end_as(order, "canceled")
            return
        self._execute(order, min(order.leaves_qty, shown), price)
        if order.leaves_qty:
            self._drop_rest_if_immediate(order)
            if order.working:
                self._schedule_step(order, self._settings.partial_fill_interval_ms, rested)

    def _drop_rest_if_immediate(self, order: Order) -> None:
        if order.time_in_force in _AT_ONCE_OR_NEVER:
            self._end_as(order, "canceled")

    def _schedule_step(self, order: Order, milliseconds: float, rested: bool = False) -> None:
        self._waiting_for_a_step.add(order.id)
        self._later(milliseconds, self._step, order, rested)

    def _step(self, order: Order, rested: bool) -> None:
        self._waiting_for_a_step.discard(order.id)
        self._trade(order, rested)

    def _fill_half_and_reject(self, order: Order, planned: PlannedRejection) -> None:
        half = (order.qty / 2).to_integral_value(ROUND_DOWN)
        price = price_now(order, self._quotes[order.symbol])
        if not order.filled_qty and half and price is not None:
            self._execute(order, half, price)
        self._waiting_for_a_step.add(order.id)
        self._later(planned.after_seconds * 1000, self._reject, order, planned.reason)

    def _execute(self, order: Order, qty: Decimal, price: Decimal) -> None:
        time = now()
        order.filled_qty += qty
        order.notional_filled += qty * price
        done = not order.leaves_qty
        if done:
            order.status, order.filled_at = "filled", time
        elif order.status == "new":
            order.status = "partially_filled"
        order.updated_at = time
        execution = Execution(
            sequence=len(self._book.executions) + 1,
            id=new_id(),
            activity_id=f"{time:%Y%m%d%H%M%S}{time.microsecond // 1000:03d}::{new_id()}",
            order_id=order.id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            qty=qty,
            price=price,
            cum_qty=order.filled_qty,
            leaves_qty=order.leaves_qty,
            position_qty=Decimal(0),
            transaction_time=time,
            order_status=order.status,
        )
        execution.position_qty = self._account.book(execution)
        self._book.add_execution(execution)
        self._ledger.put_execution(execution)
        self._ledger.put_order(order)
        if done:
            self._ended(order)
        self._publish(trade_update("fill" if done else "partial_fill", order, execution))
        if done:
            self._exits.after_end(order)

    def _finish_cancel(self, order: Order) -> None:
        if order.status == "pending_cancel":
            self._end_as(order, "canceled")

    def _finish_replace(self, order: Order, successor: Order) -> None:
        if order.status == "pending_replace":
            order.replaced_by = successor.id
            self._exits.hand_over(order, successor)
            self._end_as(order, "replaced")
            self._activate(successor)
        elif successor.status == "pending_new":
            self._publish(trade_update("order_replace_rejected", order))
            self._reject(successor, "the order was filled before it could be replaced")

    def _reject(self, order: Order, reason: str) -> None:
        if order.open:
            order.reject_reason = reason
            self._end_as(order, "rejected")

    def _end_as(self, order: Order, status: str) -> None:
        """Ends an order without a fill: canceled, expired, replaced or rejected."""
        time = self._set_status(order, status)
        if status == "canceled":
            order.canceled_at = time
        elif status == "expired":
            order.expired_at = time
        elif status == "replaced":
            order.replaced_at = time
        elif status == "rejected":
            order.failed_at = time
        self._ended(order)
        self._publish(trade_update(status, order))
        if status != "replaced":
            self._exits.after_end(order)

    def _ended(self, order: Order) -> None:
        self._waiting_for_a_step.discard(order.id)
        self._book.ended(order)
        self._account.release(order)

    def _set_status(self, order: Order, status: str) -> datetime:
        order.status = status
        order.updated_at = time = now()
        self._ledger.put_order(order)
        return time

    # Time.

    def _later(self, milliseconds: float, call: Callable[[*_Arguments], None], *arguments: *_Arguments) -> None:
        loop = asyncio.get_running_loop()
        if milliseconds:
            loop.call_later(milliseconds / 1000, call, *arguments)
        else:
            loop.call_soon(call, *arguments)
