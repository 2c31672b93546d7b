"""The people and programs outside: they submit with a key and repeat until they are answered, cancel, press retry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from app.domain.changes import Actor, LostRace, NoSuchOrder, StoreUnavailable
from app.domain.halts import Halt, HaltScope
from app.domain.order_states import ExecutionState
from app.domain.orders import OrderType, Side, TimeInForce
from app.domain.risk_rules import OrderTerms
from app.lifecycle.accept import AcceptancePolicy, AcceptedOrder, Refusal, accept
from app.lifecycle.amend import AmendOutcome, NewTerms, amend
from app.lifecycle.attention import abandon, retry
from app.lifecycle.cancel import request_cancel
from app.lifecycle.halts import HaltDesk, impose, lift
from app.lifecycle.ports import Ports
from proofs.simulation.faults import FaultPlan
from proofs.simulation.history import short
from proofs.simulation.scheduler import Mailbox, Process, Scheduler
from proofs.simulation.tables import Tables

T = TypeVar("T")
TRADER = Actor("trader")
OTHER_PRICES = (None, Decimal("149.75"), Decimal("150.50"))
LONGEST_REQUEST_SECONDS = 90.0
"""Longer than any request is held up, a process that stands still included."""
OTHER_QUANTITIES = (None, Decimal(1), Decimal(5), Decimal(20), Decimal(120))


@dataclass
class Web:
    """The intake: each request is a thread of control of the web process; its answer may never arrive."""

    scheduler: Scheduler
    faults: FaultPlan
    process: Callable[[], Process]
    ports: Callable[[Process], Ports]
    policy: AcceptancePolicy

    def call(self, what: str, run: Callable[[Ports], T]) -> T | None:
        """None: no answer (refused connection, the process died, the answer was lost, a 503)."""
        process = self.process()
        if not process.alive:
            self.scheduler.sleep(0.2)
            return None
        answers: Mailbox[T] = Mailbox()

        def serve() -> None:
            try:
                answer = run(self.ports(process))
            except (StoreUnavailable, LostRace) as error:
                self.scheduler.history.add(self.scheduler.now, process.name, f"! 503: {type(error).__name__}")
                return
            if not self.faults.meets("answer to client lost"):
                answers.put(answer)

        self.scheduler.spawn(process, f"{process.name}:{what}", serve)
        return self.scheduler.receive(answers, 3.0)


@dataclass
class Acknowledged:
    """What clients hold a 201 for."""

    by_key: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    broken: Callable[[str, str], None] = lambda _rule, _sentence: None

    def add(self, trader_id: UUID, key: str, order_id: UUID) -> None:
        known = self.by_key.setdefault((trader_id, key), order_id)
        if known != order_id:
            self.broken("one key, one order", f"key {key} was answered with {short(known)} and {short(order_id)}")


@dataclass
class Trader:
    """One trader's program: a list of orders to place, and what it does to each."""

    scheduler: Scheduler
    web: Web
    tables: Tables
    acknowledged: Acknowledged
    trader_id: UUID
    is_active: Callable[[], bool]

    def place(self, number: int, terms: OrderTerms, delay: float) -> None:
        """Submit one order, repeat until answered, then perhaps cancel it."""
        rng = self.scheduler.rng
        self.scheduler.sleep(delay)
        order_id = None
        while order_id is None:
            outcome = self.web.call(f"submit{number}", lambda ports: self._submit(ports, terms))
            if isinstance(outcome, Refusal):
                codes = ",".join(denial.code for denial in outcome.denials)
                self.scheduler.history.add(self.scheduler.now, "client", f"{terms.idempotency_key} refused: {codes}")
                return
            order_id = None if outcome is None else outcome.order_id
            if order_id is None:
                self.scheduler.sleep(rng.random())
        self.scheduler.history.add(self.scheduler.now, "client", f"{terms.idempotency_key} is {short(order_id)}")
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2)) if terms.price is not None else 0):
            self._wait()
            self.amend(order_id)
        if rng.random() < 0.3:
            self._wait()
            self.cancel(order_id)
        elif terms.stop_loss is not None and rng.random() < 0.3:
            self._wait()
            self._cancel_exits(order_id)

    def _wait(self) -> None:
        rng = self.scheduler.rng
        self.scheduler.sleep(rng.choice((0.0, 0.1, 1.0, 20.0)) * rng.random())

    def _submit(self, ports: Ports, terms: OrderTerms) -> AcceptedOrder | Refusal:
        outcome = accept(ports, self.web.policy, self.trader_id, terms, TRADER, ports.clock.now())
        if isinstance(outcome, AcceptedOrder):
            self.acknowledged.add(self.trader_id, terms.idempotency_key, outcome.order_id)
        return outcome

    def cancel(self, order_id: UUID) -> None:
        """Ask for a cancel until somebody answers."""
        while self.web.call("cancel", lambda ports: self._cancel(ports, order_id)) is None:
            self.scheduler.sleep(0.3)

    def _cancel(self, ports: Ports, order_id: UUID) -> object:
        return request_cancel(ports, order_id, TRADER, trader_id=self.trader_id)

    def _cancel_exits(self, entry_id: UUID) -> None:
        for order in list(self.tables.orders.values()):
            if order["parent_id"] == entry_id and order["execution_state"] != ExecutionState.CLOSED:
                self.cancel(order["id"])

    def amend(self, order_id: UUID) -> None:
        """Want another price or quantity until somebody answers."""
        rng = self.scheduler.rng
        price, quantity = rng.choice(OTHER_PRICES), rng.choice(OTHER_QUANTITIES)
        wanted = NewTerms(price, quantity)
        outcome = None
        while outcome is None:
            outcome = self.web.call("amend", lambda ports: self._amend(ports, order_id, wanted))
            self.scheduler.sleep(0.0 if outcome else 0.3)
        what = f"{short(order_id)} at {price} for {quantity}: {type(outcome).__name__}"
        self.scheduler.history.add(self.scheduler.now, "client", what)

    def _amend(self, ports: Ports, order_id: UUID, wanted: NewTerms) -> AmendOutcome:
        return amend(ports, order_id, TRADER, wanted, trader_id=self.trader_id)

    def attend(self) -> None:
        """Look at what needs attention: press retry, seldom give up; in the end always press retry."""
        rng = self.scheduler.rng
        while True:
            self.scheduler.sleep(1.0 + 4 * rng.random())
            waiting = [
                order["id"]
                for order in self.tables.orders.values()
                if order["trader_id"] == self.trader_id and order["execution_state"] == ExecutionState.NEEDS_ATTENTION
            ]
            for order_id in waiting:
                chance = rng.random()
                if self.is_active() and chance < 0.5:
                    continue
                what = abandon if self.is_active() and chance < 0.65 else retry
                self.web.call(what.__name__, lambda ports, what=what, order_id=order_id: what(  # type: ignore[misc]
                    ports, order_id, TRADER, trader_id=self.trader_id))  # fmt: skip

    def press_twice(self, number: int, terms: OrderTerms, delay: float) -> None:
        """The same request twice at once, as a proxy that repeats would send it."""
        self.scheduler.spawn(self.scheduler.actor.process, f"client{number}b", lambda: self.place(number, terms, delay))
        self.place(number, terms, delay)


EXITS = (
    (Decimal(140), Decimal(160)), (Decimal(140), Decimal(160)), (Decimal(140), None), (None, Decimal(160)),
)  # fmt: skip
"""Stop loss and take profit of an entry."""


def some_terms(scheduler: Scheduler, number: int) -> OrderTerms:
    """An order as traders place them: mostly small, sometimes more than there is money for."""
    rng = scheduler.rng
    order_type = rng.choice((OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET, OrderType.STOP))
    terms = OrderTerms(
        symbol=rng.choice(("AAPL", "MSFT")),
        side=rng.choice((Side.BUY, Side.BUY, Side.SELL)),
        quantity=Decimal(rng.choice((1, 2, 10, 100))),
        order_type=order_type,
        price=None if order_type is OrderType.MARKET else Decimal("150.25"),
        time_in_force=rng.choice((TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC)),
        idempotency_key=f"key-{number}",
        request_fingerprint=b"%d" % number,
        confirm_duplicate=True,
    )
    if rng.random() < 0.2:
        terms = replace(terms, max_wait_seconds=rng.randrange(1, 40))
    if terms.side is Side.BUY and rng.random() < 0.4:
        stop_loss, take_profit = rng.choice(EXITS)
        terms = replace(terms, stop_loss=stop_loss, take_profit=take_profit)
    return terms


@dataclass
class Operator:
    """Who halts trading now and then, and lets it go on."""

    scheduler: Scheduler
    web: Web
    traders: list[UUID]
    desk: Callable[[Ports], HaltDesk]
    is_active: Callable[[], bool]

    def work(self) -> None:
        """Impose, wait, lift; nothing stays halted when the faults have stopped."""
        rng = self.scheduler.rng
        unheard = []
        while self.is_active():
            self.scheduler.sleep(rng.uniform(0, 20))
            scope = rng.choice(list(HaltScope))
            trader_id = rng.choice(self.traders) if scope is HaltScope.TRADER else None
            target = scope, trader_id, "AAPL" if scope is HaltScope.SYMBOL else None
            if not self._impose(*target):
                unheard.append(target)
            self.scheduler.sleep(rng.uniform(0, 5))
            self._lift(*target)
        if unheard:  # a request of theirs may still be on its way, held up in the intake
            self.scheduler.sleep(LONGEST_REQUEST_SECONDS)
        for target in unheard:
            self._lift(*target)

    def _impose(self, scope: HaltScope, trader_id: UUID | None, symbol: str | None) -> bool:
        """Whether no request was left without an answer."""
        asked = 0
        imposed = None
        while imposed is None and self.is_active():
            asked += 1
            imposed = self.web.call("halt", lambda ports: impose(self.desk(ports), scope, trader_id, symbol, "a drill"))
        return imposed is not None and asked == 1

    def _lift(self, scope: HaltScope, trader_id: UUID | None, symbol: str | None) -> None:
        while (halt := self._active(scope, trader_id, symbol)) is not None:
            self.web.call("lift", lambda ports, halt=halt: lift(self.desk(ports), halt.id, "the drill is over"))  # type: ignore[misc]
            self.scheduler.sleep(0.1)

    def _active(self, scope: HaltScope, trader_id: UUID | None, symbol: str | None) -> Halt | None:
        while True:
            found = self.web.call("halts", lambda ports: [self.desk(ports).store.active(scope, trader_id, symbol)])
            if found is not None:
                return found[0]
            self.scheduler.sleep(0.2)


__all__ = ["Acknowledged", "NoSuchOrder", "Trader", "Web", "some_terms"]
