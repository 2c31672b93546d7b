"""The kill switch: what it stops, from when on, and what it does to what is open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from uuid import UUID

import psycopg2
import pytest

from app.domain.changes import Held, Verdict
from app.domain.halts import HaltScope
from app.domain.venue_answers import Accepted, Execution, OrderReport, TradeUpdate, VenueOrderStatus
from app.lifecycle.accept import AcceptedOrder, Refusal
from app.lifecycle.advance import _claim
from app.lifecycle.halts import cancel_what_is_halted, impose, lift
from app.lifecycle.reconcile import take_updates
from app.lifecycle.send import Leaving, record_answer, send
from app.storage.halts import GATE_KEY, PATIENCE
from app.storage.order_store import PASS_GATE_AND_LOCK_ACCOUNT
from app.storage.transaction import SESSION_SETTINGS, Call, DatabaseUnavailable
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import House

SCOPES = list(HaltScope)


def submits(house: House) -> int:
    return sum(method == "submit" for _, method, _ in house.venue.request_log)


def in_the_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def halt_everything(house: House, told: list[str]) -> Callable[[], None]:
    def work() -> None:
        house.halt(HaltScope.GLOBAL)
        told.append("halted")

    return work


def wait_for_the_gate(house: House, waiting: int = 1) -> None:
    """Until so many transactions wait at the gate."""
    with closing(psycopg2.connect(house.worker_url)) as connection, connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", (GATE_KEY,)
            )
            if cursor.fetchone() == (waiting,):
                return
            connection.rollback()
            cursor.execute("SELECT pg_sleep(0.005)")
    raise AssertionError("nobody waits at the gate")


@pytest.mark.parametrize("scope", SCOPES)
def test_a_halt_refuses_new_orders_and_says_who_why_and_what_to_do(house: House, scope: HaltScope) -> None:
    house.halt(scope)
    refusal = house.submit()
    assert isinstance(refusal, Refusal)
    denial = next(each for each in refusal.denials if each.code == "TRADING_HALTED")
    assert "administrator:test" in denial.message and "odd orders" in denial.message
    assert "lifted" in denial.suggestion


@pytest.mark.parametrize("scope", SCOPES)
def test_a_halt_stops_the_send_of_what_was_accepted_before(house: House, scope: HaltScope) -> None:
    order_id = house.submitted()
    house.halt(scope)
    house.advance(order_id)
    order = house.order(order_id)
    assert (order.status, order.reason and order.reason.code) == ("CANCELLED", "HALT")
    assert submits(house) == 0
    assert house.account()[1] == 0


@pytest.mark.parametrize("scope", SCOPES)
def test_a_halt_stops_a_retry(house: House, scope: HaltScope) -> None:
    house.venue.plan(Fault.SUBMIT_LOST)
    order_id = house.submitted()
    house.advance(order_id)
    house.halt(scope)
    house.sweep(45)
    assert submits(house) == 1
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


@pytest.mark.parametrize("scope", [HaltScope.TRADER, HaltScope.SYMBOL])
def test_a_halt_stops_nothing_else(house: House, scope: HaltScope) -> None:
    house.add_instrument("MSFT", bid="149.99", ask="150.01")
    halted = house.trader_id
    house.halt(scope, "MSFT")
    if scope is HaltScope.TRADER:
        house.trader_id = house.add_trader()
    order_id = house.submitted()
    house.sweep(0.5)
    house.advance(order_id)
    assert house.state(order_id) == ("PENDING", "WORKING")
    house.trader_id = halted
    assert isinstance(house.submit(symbol="MSFT"), Refusal)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_halt_cancels_what_is_open(house: House, scope: HaltScope) -> None:
    working, queued, doubted = house.submitted(), house.submitted(), house.submitted()
    house.advance(working)
    house.venue.plan(Fault.SUBMIT_REPLY_LOST)
    house.advance(doubted)
    house.halt(scope)
    house.sweep(3)
    house.listen()
    for order_id in (working, queued, doubted):
        order = house.order(order_id)
        assert (order.status, order.reason and order.reason.code) == ("CANCELLED", "HALT")
    assert house.account()[1] == 0


@pytest.mark.parametrize("scope", [HaltScope.GLOBAL, HaltScope.TRADER])
def test_the_first_press_halts_although_a_process_hangs_in_the_middle_of_an_acceptance(
    house: House, scope: HaltScope
) -> None:
    """That is when somebody presses it. The server ends who stands still, and the halt is still waiting then."""
    with pytest.raises(DatabaseUnavailable):
        hangs_in_an_acceptance(house, lambda: house.halt(scope))
    assert isinstance(house.submit(), Refusal)


def test_a_halt_is_lifted_although_a_process_hangs_in_the_middle_of_an_acceptance(house: House) -> None:
    halt = house.halt(HaltScope.GLOBAL)
    with pytest.raises(DatabaseUnavailable):
        hangs_in_an_acceptance(house, lambda: lift(house.halts, halt.id, "all is well"))
    assert isinstance(house.submit(), AcceptedOrder)


def hangs_in_an_acceptance(house: House, meanwhile: Callable[[], object]) -> None:
    """Between the two messages of an acceptance, with the gate and the account."""
    with house.api_database.transaction({"app.trader_id": str(house.trader_id)}) as transaction:
        assert transaction.fetch(Call(PASS_GATE_AND_LOCK_ACCOUNT, [house.trader_id]))
        meanwhile()


def test_a_halt_outlasts_whoever_holds_the_gate() -> None:
    """Who waits for a row behind the gate and then stands still; and it is told by itself, not by a statement's end."""

    def seconds(setting: str) -> float:
        return float(setting.removesuffix("s"))

    waits, stands_still, runs = (
        seconds(SESSION_SETTINGS[name])
        for name in ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")
    )
    assert waits + stands_still < seconds(PATIENCE["lock_timeout"]) < runs


def test_cancelling_what_is_halted_survives_a_crash_midway_and_may_be_repeated(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [house.submitted() for _ in range(5)]
    for order_id in orders:
        house.advance(order_id)
    house.halt(HaltScope.GLOBAL)
    changes = 0
    change = house.worker.store.change

    def dies_at_the_third(*args: object, **options: object) -> object:
        nonlocal changes
        changes += 1
        if changes == 3:
            raise KeyboardInterrupt
        return change(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(house.worker.store, "change", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            cancel_what_is_halted(house.worker)
    assert cancel_what_is_halted(house.worker) == 3
    assert cancel_what_is_halted(house.worker) == 0
    house.sweep(3)
    house.listen()
    assert {house.state(order_id) for order_id in orders} == {("CANCELLED", "CLOSED")}
    assert [house.events(order_id).count("order.cancelling") for order_id in orders] == [1] * 5


def test_lifting_lets_trade_again_and_both_acts_are_audited(house: House) -> None:
    halt = house.halt()
    assert impose(house.halts, HaltScope.TRADER, house.trader_id, None, "again") == (halt, False)
    assert lift(house.halts, halt.id, "all is well")[1]
    assert not lift(house.halts, halt.id, "twice")[1]
    assert isinstance(house.submit(), AcceptedOrder)
    logged = house.as_worker(
        "SELECT action::text, actor, reason FROM execution_logs WHERE trader_id = %s AND order_id IS NULL "
        "ORDER BY chain_seq",
        house.trader_id,
    )
    who = "administrator:test"
    assert logged == [("HALTED", who, "odd orders"), ("RESUMED", who, "all is well")]


def test_no_order_is_accepted_after_a_halt_was_committed(house: House) -> None:
    """A transaction that has passed the gate holds the halt up; the next one finds the halt."""
    decided: list[str] = []
    halting: list[threading.Thread] = []

    class Slow(type(house.api.store)):  # type: ignore[misc]
        def _view(self, *args: object) -> object:
            if not halting:
                halting.append(in_the_background(halt_everything(house, decided)))
                wait_for_the_gate(house)
                assert decided == [], "the halt waits for those who have looked already"
                decided.append("accepted")
            return super()._view(*args)

    store = house.api.store
    store.__class__ = Slow
    first = house.submit()
    halting[0].join(10)
    assert isinstance(first, AcceptedOrder)
    assert decided == ["accepted", "halted"]
    assert isinstance(house.submit(), Refusal)


def test_no_attempt_begins_after_a_halt_was_committed(house: House) -> None:
    order_id, later = house.submitted(), house.submitted()
    happened: list[str] = []
    halting: list[threading.Thread] = []

    def claim(held: Held) -> Verdict[object]:
        if not halting:
            halting.append(in_the_background(halt_everything(house, happened)))
            wait_for_the_gate(house)
            happened.append("claimed")
        return _claim(house.worker, held)  # type: ignore[return-value]

    leaving = house.worker.store.change(order_id, claim, sending=True)
    halting[0].join(10)
    assert happened == ["claimed", "halted"]
    assert isinstance(leaving, Leaving)
    house.advance(later)
    assert house.state(later) == ("CANCELLED", "CLOSED")
    send(house.worker, leaving)  # committed before the halt: it may leave, and is cancelled at once
    house.sweep(2)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert submits(house) == 1


def test_a_send_that_waits_for_a_halt_at_the_gate_sees_it(house: House) -> None:
    order_id = house.submitted()
    with closing(psycopg2.connect(house.worker_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (GATE_KEY,))
        sending = in_the_background(lambda: house.advance(order_id))
        wait_for_the_gate(house)
        cursor.execute(
            "INSERT INTO halts (id, scope, trader_id, code, reason, cancel_exits, halted_by, created_at) "
            "VALUES (gen_random_uuid(), 'TRADER', %s, 'TEST', 'meanwhile', false, 'test', now())",
            (house.trader_id,),
        )
        connection.commit()
    sending.join(10)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert submits(house) == 0


HUNDRED = Decimal(100)


def said(
    house: House, order_id: UUID, venue_order_id: str, filled: int, execution: tuple[int, int] | None = None
) -> TradeUpdate:
    """The stream's word: so much is filled, and perhaps one execution (cumulative, quantity)."""
    status = VenueOrderStatus.WORKING if filled < 100 else VenueOrderStatus.FILLED
    report = OrderReport(venue_order_id, str(order_id), "AAPL", "BUY", HUNDRED, status, "", Decimal(filled))
    if execution is None:
        return TradeUpdate("new", report)
    cumulative, quantity = map(Decimal, execution)
    return TradeUpdate("fill", report, Execution(venue_order_id, cumulative, quantity, Decimal(150), house.clock.now()))


@pytest.mark.parametrize(
    ("second_order", "filled", "execution", "code"),
    [
        (False, 60, (110, 50), "OVERFILL"),
        (False, 101, None, "OVERFILL"),
        (False, 60, (50, 30), "FILL_CONTRADICTS"),
        (False, 60, (60, 50), "FILL_CONTRADICTS"),
        (True, 10, (10, 10), "SECOND_VENUE_ORDER"),
    ],
)
def test_an_order_executed_beyond_its_quantity_or_twice_halts_its_trader_in_the_same_transaction(
    house: House, second_order: bool, filled: int, execution: tuple[int, int] | None, code: str
) -> None:
    order_id, waiting = house.submitted(), house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(60), Decimal(150))
    house.listen()
    ours = house.order(order_id).venue_order_id or ""
    before = house.account()[0]
    take_updates(
        house.worker, order_id, [said(house, order_id, "another" if second_order else ours, filled, execution)]
    )
    assert code in (house.order(order_id).alarm_code or "")
    assert house.account()[0] == before, "what cannot be is not booked"
    assert house.sql("SELECT scope, code FROM halts WHERE lifted_at IS NULL") == [("TRADER", code)]
    assert isinstance(house.submit(), Refusal)
    house.sweep(1)
    assert house.state(waiting) == ("CANCELLED", "CLOSED") and submits(house) == 1
    rows = house.as_worker(
        "SELECT error_code, reason FROM execution_logs WHERE chain_id = %s AND action = 'HALTED'", house.trader_id
    )
    assert [row[0] for row in rows] == [code] and str(order_id) in str(rows[0][1])


def test_a_second_venue_order_that_answers_a_submit_and_was_executed_halts_the_trader(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(60), Decimal(150))
    house.listen()
    record_answer(house.worker, order_id, 1, Accepted(said(house, order_id, "another", 10).report))
    assert house.sql("SELECT scope, code FROM halts WHERE lifted_at IS NULL") == [("TRADER", "SECOND_VENUE_ORDER")]


def lifted(house: House) -> None:
    """A person has looked, and lifts the trader's halt."""
    ((halt_id,),) = house.sql("SELECT id FROM halts WHERE lifted_at IS NULL")
    assert isinstance(halt_id, UUID)
    lift(house.halts, halt_id, "looked at")


def test_what_a_person_has_seen_and_lifted_does_not_halt_again_but_more_of_it_does(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(60), Decimal(150))
    house.listen()
    (there,) = house.venue.with_client_id(str(order_id))
    house.venue._execute(there, Decimal(50), Decimal(150))
    house.listen()
    lifted(house)
    house.sweep(60)  # the venue is asked again and again, and says the same
    assert house.sql("SELECT id FROM halts WHERE lifted_at IS NULL") == []
    assert isinstance(house.submit(), AcceptedOrder)
    house.venue._execute(there, Decimal(5), Decimal(150))
    house.listen()
    assert house.sql("SELECT code FROM halts WHERE lifted_at IS NULL") == [("OVERFILL",)]


def test_another_trade_that_is_taken_back_halts_again(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), HUNDRED, Decimal(150))
    house.listen()
    ours = house.order(order_id).venue_order_id or ""
    for filled in (60, 60, 30):
        undone = TradeUpdate("trade_bust", said(house, order_id, ours, filled).report)
        take_updates(house.worker, order_id, [undone])
        if filled == 60 and house.sql("SELECT id FROM halts WHERE lifted_at IS NULL"):
            lifted(house)
    assert len(house.sql("SELECT id FROM halts")) == 2
    assert house.sql("SELECT code FROM halts WHERE lifted_at IS NULL") == [("TRADE_TAKEN_BACK",)]


@pytest.mark.parametrize(("second_order", "filled"), [(True, 0), (False, 60)])
def test_what_executed_nothing_more_halts_nobody(house: House, second_order: bool, filled: int) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(60), Decimal(150))
    house.listen()
    ours = house.order(order_id).venue_order_id or ""
    take_updates(house.worker, order_id, [said(house, order_id, "another" if second_order else ours, filled)])
    assert house.sql("SELECT * FROM halts") == []
