"""A venue in memory: a ledger that keeps a venue's promises, and faults that break them one call at a time.

It has no threads, sockets, sleeps or randomness of its own. Time is the clock it is given, so that a simulation can own
it; everything that happens "later" happens when a call or `settle` finds the clock past its moment. It passes the same
conformance suite as the adapters.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain.reconciliation import NOTHING_KNOWN, Known, are_complete
from app.domain.trading_session import MarketHours
from app.domain.venue_answers import (
    Accepted,
    CancelAnswer,
    CancelRefused,
    CancelTaken,
    ClientIdKnown,
    ClientIdUniqueness,
    Execution,
    Executions,
    ExecutionsAnswer,
    Found,
    LookupAnswer,
    NotFound,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Refused,
    SubmitAnswer,
    TradeUpdate,
    VenueCapabilities,
    VenueHoldings,
    VenueInstrument,
    VenueOrderStatus,
)
from app.venues.port import StreamLost


class Fault(StrEnum):
    """What the next call of one method meets. The first word is the method."""

    SUBMIT_REFUSED = "submit refused"
    SUBMIT_UNREACHABLE = "submit unreachable"  # no connection: nothing was sent
    SUBMIT_LOST = "submit lost"  # the connection broke before the venue had the order
    SUBMIT_ERROR = "submit error"  # 5xx, the venue does not have the order
    SUBMIT_RATE_LIMITED = "submit rate limited"
    SUBMIT_REPLY_LOST = "submit reply lost"  # the venue has the order, we hear nothing
    SUBMIT_ERROR_AFTER_ACCEPT = "submit error after accept"
    SUBMIT_REPLY_UNREADABLE = "submit reply unreadable"  # the venue has the order, the answer is garbage
    SUBMIT_ACCEPTED_LATE = "submit accepted late"  # a time-out, and `seconds` later the venue takes the order
    SUBMIT_REJECTED_LATER = "submit rejected later"  # accepted, and `seconds` later rejected
    SUBMIT_FOUND_LATER = "submit found later"  # accepted, and look-ups know the order only `seconds` later
    FIND_ERROR = "find error"
    FIND_DENIED = "find denied"  # "not found" whatever the truth
    EXECUTIONS_ERROR = "executions error"
    EXECUTIONS_INCOMPLETE = "executions incomplete"  # the list lags behind the order: the newest is missing
    CANCEL_ERROR = "cancel error"  # the venue did not take the request
    CANCEL_REPLY_LOST = "cancel reply lost"  # it took the request, we hear nothing
    ORDERS_ERROR = "orders error"
    QUOTES_ERROR = "quotes error"
    INSTRUMENTS_ERROR = "instruments error"
    MARKET_HOURS_ERROR = "market_hours error"
    HOLDINGS_ERROR = "holdings error"

    @property
    def method(self) -> str:
        return self.value.split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and its parameter."""

    fault: Fault
    seconds: float = 1.0
    code: str = "VENUE_REFUSED"


@dataclass(slots=True)
class FakeOrder:
    """One order in the venue's ledger."""

    venue_order_id: str
    instruction: OrderInstruction
    received_at: datetime
    visible_at: datetime
    updated_at: datetime
    status: VenueOrderStatus = VenueOrderStatus.WORKING
    executions: list[Execution] = field(default_factory=list)
    reason: str | None = None
    replaced_by: str | None = None
    rejected_at: datetime | None = None
    cancelled_at: datetime | None = None
    leg: FakeOrder | None = None
    """The stop loss that came along with a take profit; one cancels the other."""
    profit: FakeOrder | None = None
    """The take profit that this stop loss belongs to."""
    quantity: Decimal = Decimal(0)

    @property
    def ordered_as(self) -> str:
        """The client order id of the request that opened it; a stop loss came with its take profit's."""
        return (self.profit or self).instruction.client_order_id

    @property
    def filled(self) -> Decimal:
        return self.executions[-1].cumulative_quantity if self.executions else Decimal(0)

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.filled

    def report(self, *, with_legs: bool = True) -> OrderReport:
        notional = sum((each.quantity * each.price for each in self.executions), Decimal(0))
        return OrderReport(
            venue_order_id=self.venue_order_id,
            client_order_id=self.instruction.client_order_id,
            symbol=self.instruction.symbol,
            side=self.instruction.side,
            quantity=self.quantity,
            status=self.status,
            raw_status=self.status.value.lower(),
            filled_quantity=self.filled,
            average_fill_price=notional / self.filled if self.filled else None,
            reason=self.reason,
            updated_at=self.updated_at,
            replaced_by=self.replaced_by,
            legs=() if self.leg is None or not with_legs else (self.leg.report(),),
        )


class FakeVenue:
    """Implements `app.venues.port.Venue`.

    `fill_on_accept` says what an order executes the moment it is accepted, as (quantity, price) pairs.
    `choose` is asked for a fault at each call that has none planned, with the method and the id it is about.
    `spend` is told how many seconds a call that times out took.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        capabilities: VenueCapabilities,
        name: str = "fake",
        timeout_seconds: float = 5.0,
        fill_on_accept: Callable[[FakeOrder], Sequence[tuple[Decimal, Decimal]]] | None = None,
        choose: Callable[[str, str], Planned | None] | None = None,
        spend: Callable[[float], None] | None = None,
        cancel_takes: timedelta = timedelta(0),
    ) -> None:
        self._name = name
        self._capabilities = capabilities
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._fill_on_accept = fill_on_accept
        self._choose = choose
        self._spend = spend
        self._cancel_takes = cancel_takes
        self._planned: defaultdict[str, deque[Planned]] = defaultdict(deque)
        self._under_way: list[tuple[datetime, OrderInstruction]] = []
        self.ledger: list[FakeOrder] = []
        self.request_log: list[tuple[datetime, str, str]] = []
        """(time, method, client or venue order id) of every call that reached the venue or tried to."""
        self.updates: list[TradeUpdate] = []
        """Everything the venue's stream has said."""
        self.current_quotes: dict[str, Quote] = {}
        self.listed: list[VenueInstrument] = []
        self.cash = Decimal(10**9)
        self.held_before: dict[str, Decimal] = {}
        """Positions that no order of ours explains."""
        self.hours = MarketHours(is_open=True, next_open=None, next_close=None)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> VenueCapabilities:
        return self._capabilities

    # --- driving it -------------------------------------------------------------------------------------------------

    def plan(self, fault: Fault, *, seconds: float = 1.0, code: str = "VENUE_REFUSED", times: int = 1) -> None:
        """The next `times` calls of the fault's method meet it."""
        self._planned[fault.method].extend([Planned(fault, seconds, code)] * times)

    def forget_plans(self, method: str) -> None:
        """From now on its calls meet nothing."""
        self._planned[method].clear()

    def with_client_id(self, client_order_id: str) -> list[FakeOrder]:
        """Every order the venue ever took with that id, oldest first."""
        self.settle()
        return [order for order in self.ledger if order.instruction.client_order_id == client_order_id]

    def duplicates(self) -> list[str]:
        """Client order ids under which the venue has more than one order."""
        self.settle()
        count = Counter(order.instruction.client_order_id for order in self.ledger)
        return [client_order_id for client_order_id, orders in count.items() if orders > 1]

    def fill(self, client_order_id: str, quantity: Decimal, price: Decimal) -> Execution:
        """Execute part of the newest order with that id. Raises ValueError when it cannot execute that much."""
        order = self.with_client_id(client_order_id)[-1]
        if order.status is not VenueOrderStatus.WORKING or not 0 < quantity <= order.leaves:
            raise ValueError(
                f"{order.venue_order_id} is {order.status} with {order.leaves} left, no fill of {quantity}"
            )
        return self._execute(order, quantity, price)

    def end(
        self,
        client_order_id: str,
        status: VenueOrderStatus,
        *,
        reason: str | None = None,
        replaced_by: str | None = None,
    ) -> None:
        """The venue ends the newest order with that id: a rejection, an expiry, a replacement."""
        self._end(self.with_client_id(client_order_id)[-1], status, reason=reason, replaced_by=replaced_by)

    def settle(self) -> None:
        """Let everything happen whose time has come."""
        now = self._clock()
        arrived = [each for each in self._under_way if each[0] <= now]
        self._under_way = [each for each in self._under_way if each[0] > now]
        for moment, instruction in sorted(arrived, key=lambda each: each[0]):
            if not self._knows(instruction.client_order_id):
                self._accept(instruction, moment)
        for order in self.ledger:
            if order.status is VenueOrderStatus.WORKING and order.rejected_at and order.rejected_at <= now:
                self._end(order, VenueOrderStatus.REJECTED, reason="rejected after acceptance")
            if order.status is VenueOrderStatus.WORKING and order.cancelled_at and order.cancelled_at <= now:
                self._end(order, VenueOrderStatus.CANCELLED)

    # --- the port ---------------------------------------------------------------------------------------------------

    def submit(self, instruction: OrderInstruction) -> SubmitAnswer:
        planned = self._meet("submit", instruction.client_order_id)
        if planned is None:
            return self._take(instruction)
        match planned.fault:
            case Fault.SUBMIT_REFUSED:
                return Refused(planned.code, "The venue refused the order.", "scripted")
            case Fault.SUBMIT_UNREACHABLE:
                return OutcomeUnknown("VENUE_UNREACHABLE", "The venue could not be reached.", nothing_sent=True)
            case Fault.SUBMIT_LOST:
                return OutcomeUnknown("VENUE_CONNECTION_LOST", "The connection to the venue was lost.")
            case Fault.SUBMIT_ERROR:
                return _error()
            case Fault.SUBMIT_RATE_LIMITED:
                return OutcomeUnknown("VENUE_RATE_LIMITED", "Too many calls.", retry_after=planned.seconds)
            case Fault.SUBMIT_ACCEPTED_LATE:
                self._under_way.append((self._clock() + timedelta(seconds=planned.seconds), instruction))
                return self._time_out()
        answer = self._take(instruction)
        if not isinstance(answer, Accepted):
            return answer
        order = self.ledger[-1]
        match planned.fault:
            case Fault.SUBMIT_REPLY_LOST:
                return self._time_out()
            case Fault.SUBMIT_ERROR_AFTER_ACCEPT:
                return _error()
            case Fault.SUBMIT_REPLY_UNREADABLE:
                return OutcomeUnknown("VENUE_ANSWER_UNREADABLE", "The venue's answer could not be read.")
            case Fault.SUBMIT_REJECTED_LATER:
                order.rejected_at = self._clock() + timedelta(seconds=planned.seconds)
            case Fault.SUBMIT_FOUND_LATER:
                order.visible_at = self._clock() + timedelta(seconds=planned.seconds)
        return answer

    def find(self, client_order_id: str) -> LookupAnswer:
        planned = self._meet("find", client_order_id)
        if planned is not None:
            return NotFound("scripted") if planned.fault is Fault.FIND_DENIED else _error()
        now = self._clock()
        known = [order for order in self.with_client_id(client_order_id) if order.visible_at <= now]
        return Found(known[-1].report()) if known else NotFound("not in the ledger")

    def executions(self, report: OrderReport, since: datetime, known: Known = NOTHING_KNOWN) -> ExecutionsAnswer:
        planned = self._meet("executions", report.venue_order_id)
        if planned is not None and planned.fault is Fault.EXECUTIONS_ERROR:
            return _error()
        listed = self._listed(report, since, known)
        return Executions(tuple(listed[:-1] if planned is not None else listed))

    def cancel(self, venue_order_id: str) -> CancelAnswer:
        planned = self._meet("cancel", venue_order_id)
        if planned is not None and planned.fault is Fault.CANCEL_ERROR:
            return _error()
        order = next((each for each in self.ledger if each.venue_order_id == venue_order_id), None)
        if order is None:
            return CancelRefused("VENUE_ORDER_UNKNOWN", "The venue does not know the order.")
        if order.status is not VenueOrderStatus.WORKING:
            return CancelRefused("VENUE_NOT_CANCELABLE", f"The order is {order.status}.")
        order.cancelled_at = order.cancelled_at or self._clock() + self._cancel_takes
        self.settle()
        return CancelTaken() if planned is None else self._time_out()

    def orders(self, since: datetime) -> Sequence[OrderReport] | OutcomeUnknown:
        if self._meet("orders", "") is not None:
            return _error()
        now = self._clock()
        return [order.report() for order in self.ledger if order.received_at >= since and order.visible_at <= now]

    def open_orders(self) -> Sequence[OrderReport] | OutcomeUnknown:
        if self._meet("orders", "") is not None:
            return _error()
        now = self._clock()
        working = [order for order in self.ledger if order.status is VenueOrderStatus.WORKING]
        return [order.report() for order in working if order.visible_at <= now]

    def executions_of(
        self, reports: Sequence[OrderReport], since: datetime, known: Known = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Execution]] | OutcomeUnknown:
        planned = self._meet("executions", ",".join(report.venue_order_id for report in reports))
        if planned is not None:
            return _error()
        return {report.venue_order_id: self._listed(report, since, known) for report in reports}

    def quotes(self, symbols: Sequence[str]) -> Sequence[Quote] | OutcomeUnknown:
        if self._meet("quotes", ",".join(symbols)) is not None:
            return _error()
        return [self.current_quotes[symbol] for symbol in symbols if symbol in self.current_quotes]

    def instruments(self) -> Sequence[VenueInstrument] | OutcomeUnknown:
        return list(self.listed) if self._meet("instruments", "") is None else _error()

    def market_hours(self) -> MarketHours | OutcomeUnknown:
        return self.hours if self._meet("market_hours", "") is None else _error()

    def holdings(self) -> VenueHoldings | OutcomeUnknown:
        if self._meet("holdings", "") is not None:
            return _error()
        cash, positions = self.cash, dict(self.held_before)
        for order in self.ledger:
            sign = 1 if order.instruction.side == "BUY" else -1
            for execution in order.executions:
                symbol = order.instruction.symbol
                positions[symbol] = positions.get(symbol, Decimal(0)) + sign * execution.quantity
                cash -= sign * execution.quantity * execution.price + (execution.commission or 0)
        return VenueHoldings(cash, "USD", {symbol: quantity for symbol, quantity in positions.items() if quantity})

    def close(self) -> None:
        """Nothing to end."""

    # --- inside -----------------------------------------------------------------------------------------------------

    def _listed(self, report: OrderReport, since: datetime, known: Known) -> list[Execution]:
        """Read newest first, one by one, and no further than the contract asks: the least that whoever asks may get."""
        ledger = [order for order in self.ledger if order.venue_order_id == report.venue_order_id]
        listed: list[Execution] = []
        for execution in (each for order in ledger for each in reversed(order.executions)):
            if are_complete(report, listed, known):
                break
            if execution.executed_at >= since:
                listed.insert(0, execution)
        return listed

    def _meet(self, method: str, about: str) -> Planned | None:
        self.settle()
        self.request_log.append((self._clock(), method, about))
        if self._planned[method]:
            return self._planned[method].popleft()
        return self._choose(method, about) if self._choose is not None else None

    def _time_out(self) -> OutcomeUnknown:
        if self._spend is not None:
            self._spend(self._timeout_seconds)
        return OutcomeUnknown("VENUE_TIMEOUT", "The venue took too long to answer.")

    def _knows(self, client_order_id: str) -> bool:
        """True when the venue, being what it is, refuses this id."""
        same = [order for order in self.ledger if order.instruction.client_order_id == client_order_id]
        match self._capabilities.client_id_uniqueness:
            case ClientIdUniqueness.PERMANENT:
                return bool(same)
            case ClientIdUniqueness.OPEN_ORDERS:
                return any(order.status is VenueOrderStatus.WORKING for order in same)
            case ClientIdUniqueness.NONE:
                return False

    def _take(self, instruction: OrderInstruction) -> SubmitAnswer:
        if self._knows(instruction.client_order_id):
            return ClientIdKnown("The venue already has an order with this client order id.")
        return Accepted(self._accept(instruction, self._clock()).report())

    def _accept(self, instruction: OrderInstruction, moment: datetime) -> FakeOrder:
        order = self._enter(instruction, moment)
        if instruction.or_stop_price is not None:
            order.leg = self._enter(replace(instruction, client_order_id=f"leg-of-{order.venue_order_id}"), moment)
            order.leg.profit = order
        self._say("new", order)
        for quantity, price in self._fill_on_accept(order) if self._fill_on_accept is not None else ():
            self._execute(order, quantity, price)
        return order

    def _enter(self, instruction: OrderInstruction, moment: datetime) -> FakeOrder:
        name = f"{self._name}-{len(self.ledger) + 1}"
        order = FakeOrder(name, instruction, moment, moment, moment, quantity=instruction.quantity)
        self.ledger.append(order)
        return order

    def trigger(self, client_order_id: str) -> FakeOrder:
        """The market reaches the stop of a pair: the stop loss takes over what the take profit has left."""
        return self._trigger(self.with_client_id(client_order_id)[-1])

    def _trigger(self, order: FakeOrder) -> FakeOrder:
        stop = order.leg
        if stop is None:
            raise ValueError(f"{order.venue_order_id} is no pair")
        stop.quantity = order.leaves
        order.leg = None  # it outlives the take profit
        self._end(order, VenueOrderStatus.CANCELLED)
        order.leg = stop
        return stop

    def fill_stop(self, client_order_id: str, quantity: Decimal, price: Decimal) -> Execution:
        """Execute part of the stop loss of a pair."""
        stop = self.with_client_id(client_order_id)[-1].leg
        if stop is None:
            raise ValueError(f"{client_order_id} is no pair")
        return self._execute(stop, quantity, price)

    def _execute(self, order: FakeOrder, quantity: Decimal, price: Decimal) -> Execution:
        execution = Execution(
            venue_order_id=order.venue_order_id,
            cumulative_quantity=order.filled + quantity,
            quantity=quantity,
            price=price,
            executed_at=self._clock(),
            execution_id=f"{order.venue_order_id}/{len(order.executions) + 1}",
        )
        order.executions.append(execution)
        order.updated_at = execution.executed_at
        if not order.leaves:
            order.status = VenueOrderStatus.FILLED
        # The venue names the same execution differently on its stream, as Alpaca may.
        self._say(
            "partial_fill" if order.leaves else "fill",
            order,
            replace(execution, execution_id=f"stream/{execution.execution_id}"),
        )
        if order.status is VenueOrderStatus.FILLED:
            self._end_partner(order)
        return execution

    def _end(
        self, order: FakeOrder, status: VenueOrderStatus, *, reason: str | None = None, replaced_by: str | None = None
    ) -> None:
        order.status = status
        order.reason = reason
        order.replaced_by = replaced_by
        order.updated_at = self._clock()
        self._say(status.value.lower(), order)
        self._end_partner(order)

    def _end_partner(self, order: FakeOrder) -> None:
        for partner in (order.leg, order.profit):
            if partner is not None and partner.status is VenueOrderStatus.WORKING:
                self._end(partner, VenueOrderStatus.CANCELLED)

    def _say(self, event: str, order: FakeOrder, execution: Execution | None = None) -> None:
        # the stream tells of each order by itself
        self.updates.append(TradeUpdate(event, order.report(with_legs=False), execution))


class FakeTradeStream:
    """Implements `app.venues.port.TradeStream` over a `FakeVenue`: no replay, may lose, repeat, reorder, break."""

    def __init__(self, venue: FakeVenue, *, wait: Callable[[float], None] | None = None) -> None:
        self._venue = venue
        self._wait = wait
        self._position: int | None = None
        self.refuses_connections = False
        self.broken = False
        self.tamper: Callable[[list[TradeUpdate]], list[TradeUpdate]] = lambda updates: updates
        """What becomes of a batch of updates on its way: leave out, repeat, reverse."""

    def connect(self) -> None:
        if self.refuses_connections:
            raise StreamLost("the stream refuses connections")
        self.broken = False
        self._position = len(self._venue.updates)

    def updates(self, wait_seconds: float) -> Iterator[TradeUpdate]:
        if self.broken or self._position is None:
            self._position = None
            raise StreamLost("the stream broke")
        self._venue.settle()
        if self._position == len(self._venue.updates) and self._wait is not None:
            self._wait(wait_seconds)
        batch = self._venue.updates[self._position :]
        self._position = len(self._venue.updates)
        yield from self.tamper(batch)

    def close(self) -> None:
        self._position = None


def _error() -> OutcomeUnknown:
    return OutcomeUnknown("VENUE_ERROR", "The venue has a problem of its own.", "HTTP 503")
