"""Whatever becomes of orders, the books are what executions and open orders say."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from app.domain import order_events as happened
from app.domain.books import BookedFill, book, moves_books, recomputed, reserved_for
from app.domain.fees import FeeSchedule
from app.domain.order_events import OrderEvent, Reason
from app.domain.order_states import ExecutionState, ImpossibleChange
from app.domain.orders import Order, Side
from app.domain.positions import Account, Position
from app.domain.reconciliation import amended
from tests.domain.orders import NOON, an_order

OPENING = Decimal(1_000_000)
FEES = FeeSchedule(Decimal("2.5"), Decimal("0.005"))
WHY = Reason("CODE", "Because.")
PRICES = st.decimals("0.01", "999", places=4)
ENDS = st.sampled_from([happened.Rejected(NOON, WHY), happened.Cancelled(NOON, WHY)])


@dataclass
class Books:
    """One trader's books and everything that ever moved them."""

    account: Account = field(default_factory=lambda: Account(an_order().trader_id, "USD", OPENING, Decimal(0)))
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[UUID, Order] = field(default_factory=dict)
    fills: list[BookedFill] = field(default_factory=list)

    def accept(self, order: Order) -> None:
        position = self.positions.get(order.symbol, Position(order.symbol))
        self.account, self.positions[order.symbol] = reserved_for(self.account, position, order)
        self.orders[order.id] = order

    def happen(self, order_id: UUID, event: OrderEvent) -> None:
        before = self.orders[order_id]
        try:
            after = before.apply(event)
        except ImpossibleChange:
            return
        self.orders[order_id] = after
        if not moves_books(before, after, event):
            return
        booked = book(self.account, self.positions[before.symbol], before, after, event, FEES)
        self.account, self.positions[before.symbol] = booked.account, booked.position
        if isinstance(event, happened.Filled):
            self.fills.append(BookedFill(before.symbol, before.side, event.quantity, event.price, booked.commission))


def test_an_execution_whose_commission_the_venue_does_not_tell_costs_what_the_fee_schedule_says() -> None:
    order = an_order(execution_state=ExecutionState.WORKING, venue_order_id="V1", attempts=1)
    empty = Position(order.symbol)
    for told, cost, source in ((None, "0.01", "FEE_SCHEDULE"), (Decimal("0.75"), "0.75", "VENUE")):
        fill = happened.Filled(NOON, Decimal(1), Decimal(20), told, Decimal(1))
        booked = book(Books().account, empty, order, order.apply(fill), fill, FEES)
        assert (booked.commission, booked.commission_source) == (Decimal(cost), source)
        assert booked.account.cash == OPENING - 20 - Decimal(cost)


class AnyHistory(RuleBasedStateMachine):
    """Orders, partial fills, cancels, other terms, rejections and late fills in any order."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()

    @rule(
        target=orders, side=st.sampled_from(Side), quantity=st.integers(1, 50), price=PRICES,
        symbol=st.sampled_from(["AAPL", "MSFT"]),
    )  # fmt: skip
    def accept(self, side: Side, quantity: int, price: Decimal, symbol: str) -> UUID:
        order = an_order(
            id=uuid4(), side=side, quantity=Decimal(quantity), price=price, symbol=symbol,
            reservation_price=FEES.unit_cost(price), execution_state=ExecutionState.QUEUED,
        )  # fmt: skip
        self.books.accept(order)
        return order.id

    @rule(order=orders)
    def send(self, order: UUID) -> None:
        self.books.happen(order, happened.SendStarted(NOON, "me", NOON))

    @rule(order=orders)
    def doubt(self, order: UUID) -> None:
        held = self.books.account.reserved
        self.books.happen(order, happened.OutcomeLost(NOON, WHY, NOON))
        assert self.books.account.reserved == held, "what is in doubt still holds everything back"

    @rule(order=orders)
    def venue_accepts(self, order: UUID) -> None:
        self.books.happen(order, happened.VenueAccepted(NOON, f"v-{order}", NOON))

    @rule(order=orders, share=st.integers(1, 50), price=PRICES, told=st.booleans())
    def fill(self, order: UUID, share: int, price: Decimal, told: bool) -> None:
        """Also after the end: then it is late."""
        held = self.books.orders[order]
        quantity = min(Decimal(share), held.quantity - held.filled_quantity)
        if quantity:
            commission = Decimal("0.35") if told else None
            self.books.happen(
                order, happened.Filled(NOON, quantity, price, commission, held.filled_quantity + quantity)
            )

    @rule(order=orders)
    def want_cancel(self, order: UUID) -> None:
        self.books.happen(order, happened.CancelWanted(NOON, WHY))

    @rule(order=consumes(orders), end=ENDS)
    def end(self, order: UUID, end: OrderEvent) -> None:
        self.books.happen(order, end)

    @rule(order=orders, end=ENDS)
    def end_and_go_on(self, order: UUID, end: OrderEvent) -> None:
        self.books.happen(order, end)

    @rule(order=orders, more=st.integers(1, 50), price=PRICES)
    def want_other_terms(self, order: UUID, more: int, price: Decimal) -> None:
        """Larger or smaller, dearer or cheaper; a second wish takes the place of the first."""
        quantity = self.books.orders[order].filled_quantity + more
        self.books.happen(order, happened.AmendWanted(NOON, quantity, price, FEES.unit_cost(price)))

    @rule(order=orders)
    def get_other_terms(self, order: UUID) -> None:
        """Also where a fill has overtaken them."""
        held = self.books.orders[order]
        if held.amend_requested_at is not None:
            self.books.happen(order, amended(held, NOON))

    @invariant()
    def books_are_what_fills_and_open_orders_say(self) -> None:
        account, positions = self._recomputed()
        assert self.books.account == account
        for symbol, position in self.books.positions.items():
            assert position == positions.get(symbol, Position(symbol))

    @invariant()
    def either_terms_could_be_executed_with_what_is_held_back(self) -> None:
        for order in self.books.orders.values():
            if order.amend_quantity is None or order.amend_reservation_price is None:
                continue
            wanted = max(order.amend_quantity - order.filled_quantity, Decimal(0))
            if order.side is Side.BUY:
                assert order.reserved_cash >= wanted * order.amend_reservation_price
                assert order.reserved_cash >= order.leaves_quantity * order.reservation_price
            else:
                assert order.reserved_quantity >= max(wanted, order.leaves_quantity)

    @invariant()
    def nothing_is_held_back_for_what_has_ended(self) -> None:
        if all(order.is_closed for order in self.books.orders.values()):
            assert self.books.account.reserved == 0
            assert all(position.reserved_quantity == 0 for position in self.books.positions.values())

    def _recomputed(self) -> tuple[Account, dict[str, Position]]:
        still_open = [order for order in self.books.orders.values() if not order.is_closed]
        return recomputed(self.books.account.trader_id, "USD", OPENING, self.books.fills, still_open)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
