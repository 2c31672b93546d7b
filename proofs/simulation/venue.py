"""The venue of a run: the fake venue of the tests behind a wire that loses, delays and repeats.

A call is three moments: the request leaves, the venue acts, the answer arrives. Anything may happen between them. The
venue keeps what it promises, and nothing more: a request is executed at latest VENUE_MAX_IN_FLIGHT_SECONDS after its
sender's call has ended; a look-up misses an order that is there at most once in a row after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from app.domain.reconciliation import NOTHING_KNOWN, Known
from app.domain.venue_answers import (
    CancelAnswer,
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
    VenueInstrument,
    VenueOrderStatus,
)
from app.venues.port import StreamLost
from proofs.fake_venue import FakeOrder, FakeVenue
from proofs.simulation.faults import FaultPlan
from proofs.simulation.history import short
from proofs.simulation.scheduler import Mailbox, Process, Scheduler

T = TypeVar("T")

TIMEOUT = 5.0
"""EXCHANGE_TIMEOUT_SECONDS."""
NAME = "fake"
MARKET_PRICE = Decimal("150.01")
STOPPED_AT = Decimal("139.50")
"""What a stop loss gets at least, below its trigger: the market has fallen through it."""
CENTS = 20
"""So many steps of a cent the prices of one part may differ in; the next part begins above them."""


class Exchange:
    """The venue itself: its ledger, what becomes of its orders, what it says on its stream."""

    def __init__(
        self,
        scheduler: Scheduler,
        faults: FaultPlan,
        capabilities: VenueCapabilities,
        clock: Callable[[], datetime],
        changed: Callable[[str], None],
    ) -> None:
        self.scheduler, self.faults, self.capabilities = scheduler, faults, capabilities
        self._changed = changed
        rng = scheduler.rng
        self.fake = FakeVenue(
            clock=clock,
            capabilities=capabilities,
            name=NAME,
            fill_on_accept=self._accepted,
            cancel_takes=timedelta(seconds=rng.choice((0, 0, 0.05, 0.5))),
        )
        self.streams: list[Stream] = []
        self.missed: set[str] = set()
        """Client order ids whose last look-up missed although the order was there."""
        self.visible_within = 5.0
        """Seconds after which look-ups must know the order that is being taken: the in-flight bound covers that too."""
        self._told = 0
        self.under_way = 0
        """Requests that have not arrived, and may yet."""

    # -- what becomes of an order --------------------------------------------------------------------------------------

    def _accepted(self, order: FakeOrder) -> Sequence[tuple[Decimal, Decimal]]:
        """The fake venue asks what is executed at once; the rest of the order's life is arranged here."""
        rng = self.scheduler.rng
        quantity = order.instruction.quantity
        cid = order.instruction.client_order_id
        self.scheduler.history.add(self.scheduler.now, "venue", f"has {order.venue_order_id} for {short(cid)}")
        if self.faults.meets("invisible at first"):
            order.visible_at = order.received_at + timedelta(seconds=rng.uniform(0, min(5.0, self.visible_within)))
        part = Decimal(rng.randrange(1, int(quantity) + 1))
        fate = rng.choice(("at once", "part at once", "soon", "in parts", "part only", "rests", "expires"))
        if order.leg is not None and rng.random() < 0.5:
            fate = rng.choice(("stopped", "stopped after a part"))
        if self.faults.meets("rejected later"):
            fate = "rejected"
        if fate == "at once":
            return [(quantity, self._price(order))]
        if fate == "part at once":
            self._later(order, lambda: self._fill(order, None))
            return [(part, self._price(order))] if part < quantity else []
        if fate == "soon":
            self._later(order, lambda: self._fill(order, None))
        elif fate in ("in parts", "part only"):
            self._later(order, lambda: self._fill(order, part))
            if fate == "in parts":
                self._later(order, lambda: self._fill(order, None))
        elif fate == "rejected":
            self._later(order, lambda: self._end(order, VenueOrderStatus.REJECTED))
        elif fate == "expires":
            self._later(order, lambda: self._end(order, VenueOrderStatus.EXPIRED))
        elif fate == "stopped":
            self._later(order, lambda: self._stop(order))
        elif fate == "stopped after a part":
            self._later(order, lambda: self._fill(order, part))
            self._later(order, lambda: self._stop(order))
        return []

    def _later(self, order: FakeOrder, event: Callable[[], None]) -> None:
        def happens() -> None:
            self.fake.settle()
            if order.status is VenueOrderStatus.WORKING:
                event()
            self.tell(order.ordered_as)

        self.scheduler.after(self.scheduler.rng.choice((0.01, 0.2, 2.0, 10.0)) * self.scheduler.rng.random(), happens)

    def _fill(self, order: FakeOrder, quantity: Decimal | None) -> None:
        executed = order.leaves if quantity is None else min(quantity, order.leaves)
        price = self._price(order)
        did = f"fills {executed} of {order.venue_order_id} at {price}"
        self.scheduler.history.add(self.scheduler.now, "venue", did)
        self.fake._execute(order, executed, price)

    def _price(self, order: FakeOrder) -> Decimal:
        """What the next execution of it costs: another price for every part, never worse than its limit."""
        better = self.scheduler.rng.randrange(CENTS) + CENTS * len(order.executions)
        away = Decimal(better) / 100
        base = STOPPED_AT if order.profit is not None else order.instruction.limit_price or MARKET_PRICE
        return base - away if order.instruction.side == "BUY" else base + away

    def _stop(self, order: FakeOrder) -> None:
        """The market reaches the stop loss of a pair: it takes over what the take profit has left."""
        self.scheduler.history.add(self.scheduler.now, "venue", f"triggers the stop of {order.venue_order_id}")
        stop = self.fake._trigger(order)
        rng = self.scheduler.rng
        part = Decimal(rng.randrange(1, int(stop.quantity) + 1))
        if rng.random() < 0.5:
            self._later(stop, lambda: self._fill(stop, part))
        if rng.random() < 0.8:
            self._later(stop, lambda: self._fill(stop, None))

    def _end(self, order: FakeOrder, status: VenueOrderStatus) -> None:
        self.scheduler.history.add(self.scheduler.now, "venue", f"{order.venue_order_id} is {status}")
        self.fake._end(order, status, reason="it changed its mind")

    def settle_everything(self) -> None:
        """After the faults: whatever still rests is filled."""
        for order in self.fake.ledger:
            waits = order.profit is not None and order.profit.status is VenueOrderStatus.WORKING
            if order.status is VenueOrderStatus.WORKING and order.cancelled_at is None and not waits:
                self._fill(order, None)
                self.tell(order.ordered_as)

    # -- its stream ----------------------------------------------------------------------------------------------------

    def tell(self, client_order_id: str) -> None:
        """Something was done: the streams carry the news, and whoever watches the ledger looks."""
        updates = self.fake.updates[self._told :]
        self._told = len(self.fake.updates)
        for stream in self.streams:
            for update in updates:
                stream.carry(update)
        self._changed(client_order_id)


@dataclass(eq=False)
class Request:
    """A request on its way."""

    act: Callable[[], object]
    answers: Mailbox[object] = field(default_factory=Mailbox)
    late: float | None = None
    """So long after its sender's call has ended it is executed."""


class Wire:
    """Implements `app.venues.port.Venue` for one process."""

    def __init__(self, exchange: Exchange, process: Process) -> None:
        self._exchange, self._process = exchange, process
        self._scheduler, self._faults = exchange.scheduler, exchange.faults
        self._under_way: Request | None = None
        process.at_end.append(self._sender_ended)

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> VenueCapabilities:
        return self._exchange.capabilities

    # -- calls ---------------------------------------------------------------------------------------------------------

    def submit(self, instruction: OrderInstruction) -> SubmitAnswer:
        cid = instruction.client_order_id
        self._scheduler.step(f"submits {short(cid)}")
        if self._faults.meets("submit unreachable"):
            return OutcomeUnknown("VENUE_UNREACHABLE", "The venue could not be reached.", nothing_sent=True)
        if self._faults.meets("submit rate limited"):
            return OutcomeUnknown("VENUE_RATE_LIMITED", "Too many calls.", retry_after=1.0)
        if self._faults.meets("submit error"):
            return _error()
        # refused for good, unless it already has the order
        if self._faults.meets("submit refused") and not self._exchange.fake.with_client_id(cid):
            return Refused("INSUFFICIENT_BUYING_POWER", "The venue refused the order.", "scripted")
        if self._faults.meets("submit lost"):
            return self._call(f"submit {short(cid)}", cid, None)
        late = self._scheduler.rng.random() if self._faults.meets("submit late") else None
        heard = not self._faults.meets("submit reply lost")
        answer = self._call(f"submit {short(cid)}", cid, lambda: self._exchange.fake.submit(instruction), late, heard)
        return _error() if self._faults.meets("submit error after") else answer

    def find(self, client_order_id: str) -> LookupAnswer:
        self._scheduler.step(f"looks for {short(client_order_id)}")
        if self._faults.meets("ask error"):
            return _error()
        return self._call(f"find {short(client_order_id)}", client_order_id, lambda: self._look(client_order_id))

    def executions(self, report: OrderReport, since: datetime, known: Known = NOTHING_KNOWN) -> ExecutionsAnswer:
        self._scheduler.step(f"lists executions of {report.venue_order_id}")
        if self._faults.meets("list error"):
            return _error()
        listed = self._call(
            f"list {report.venue_order_id}",
            report.client_order_id,
            lambda: self._exchange.fake.executions(report, since, known),
        )
        if isinstance(listed, Executions) and self._faults.meets("list incomplete"):
            return Executions(listed.executions[:-1])
        return listed

    def cancel(self, venue_order_id: str) -> CancelAnswer:
        self._scheduler.step(f"cancels {venue_order_id}")
        if self._faults.meets("cancel error"):
            return _error()
        cid = next((each.ordered_as for each in self._exchange.fake.ledger
                    if each.venue_order_id == venue_order_id), "")  # fmt: skip
        late = self._scheduler.rng.random() if self._faults.meets("cancel late") else None
        heard = not self._faults.meets("cancel reply lost")
        return self._call(
            f"cancel {venue_order_id}", cid, lambda: self._exchange.fake.cancel(venue_order_id), late, heard
        )

    def orders(self, since: datetime) -> Sequence[OrderReport] | OutcomeUnknown:
        self._scheduler.step("lists the orders")
        if self._faults.meets("ask error"):
            return _error()
        return self._call("list orders", "", lambda: self._exchange.fake.orders(since))

    def quotes(self, symbols: Sequence[str]) -> Sequence[Quote] | OutcomeUnknown:
        raise NotImplementedError

    def instruments(self) -> Sequence[VenueInstrument] | OutcomeUnknown:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to end."""

    # -- the wire ------------------------------------------------------------------------------------------------------

    def _look(self, client_order_id: str) -> LookupAnswer:
        answer = self._exchange.fake.find(client_order_id)
        missed = self._exchange.missed
        if isinstance(answer, Found) and client_order_id not in missed and self._faults.meets("miss"):
            missed.add(client_order_id)
            return NotFound("it is there, but this once")
        missed.discard(client_order_id)
        return answer

    def _call(
        self, label: str, about: str, act: Callable[[], T] | None, late: float | None = None, heard: bool = True
    ) -> T | OutcomeUnknown:
        rng, scheduler = self._scheduler.rng, self._scheduler
        request = Request(lambda: None if act is None else self._act(label, about, act), late=late)
        self._under_way = request
        if act is not None:
            self._exchange.under_way += 1
        if act is not None and late is None:
            scheduler.after(_moments(rng.random()), lambda: self._arrive(request, heard))
        answer = scheduler.receive(request.answers, TIMEOUT)
        self._under_way = None
        if answer is None:
            self._execute_late(request)
            scheduler.history.add(scheduler.now, scheduler.actor.name, f"! {label}: no answer")
            return OutcomeUnknown("VENUE_TIMEOUT", "The venue took too long to answer.")
        return answer  # type: ignore[return-value] # what `act` returned

    def _arrive(self, request: Request, heard: bool) -> None:
        self._exchange.under_way -= 1
        answer = request.act()
        if heard:
            self._scheduler.after(_moments(self._scheduler.rng.random()), lambda: request.answers.put(answer))

    def _act(self, label: str, about: str, act: Callable[[], object]) -> object:
        answer = act()
        self._scheduler.history.add(self._scheduler.now, "venue", f"{label}: {type(answer).__name__}")
        self._exchange.tell(about)
        return answer

    def _sender_ended(self) -> None:
        if self._under_way is not None:
            self._execute_late(self._under_way)
            self._under_way = None

    def _execute_late(self, request: Request) -> None:
        if request.late is None:
            return
        bound = self._exchange.capabilities.max_in_flight.total_seconds()
        delay, request.late = request.late * bound, None

        def arrive() -> None:
            self._exchange.visible_within = bound - delay
            self._arrive(request, False)
            self._exchange.visible_within = 5.0

        self._scheduler.after(delay, arrive)


def _moments(chance: float) -> float:
    """Seconds on the way: mostly a few milliseconds, now and then seconds."""
    return 0.05 * chance if chance < 0.9 else 20 * (chance - 0.9)


def _error() -> OutcomeUnknown:
    return OutcomeUnknown("VENUE_ERROR", "The venue has a problem of its own.", "HTTP 503")


class Stream:
    """Implements `app.venues.port.TradeStream` for the listener: no replay, may lose, repeat, reorder, break."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._scheduler, self._faults = exchange.scheduler, exchange.faults
        self._arrived: Mailbox[TradeUpdate] | None = None

    def connect(self) -> None:
        self._scheduler.step("connects to the stream")
        self._arrived = Mailbox()
        if self not in self._exchange.streams:
            self._exchange.streams.append(self)

    def updates(self, wait_seconds: float) -> Iterator[TradeUpdate]:
        self._scheduler.step("listens")
        if self._arrived is None or self._faults.meets("stream breaks"):
            self.close()
            raise StreamLost("the stream broke")
        first = self._scheduler.receive(self._arrived, wait_seconds)
        while first is not None:
            yield first
            first = self._arrived.items.popleft() if self._arrived.items else None

    def close(self) -> None:
        self._arrived = None
        if self in self._exchange.streams:
            self._exchange.streams.remove(self)

    def carry(self, update: TradeUpdate) -> None:
        """The venue says something: it may arrive late, in another order, twice or never."""
        if self._faults.meets("report lost") or self._arrived is None:
            return
        rng, arrived = self._scheduler.rng, self._arrived
        for _ in range(2 if self._faults.meets("report twice") else 1):
            delay = rng.uniform(0, 8) if self._faults.meets("report late") else _moments(rng.random())
            self._scheduler.after(delay, lambda: arrived.put(update))
