"""A walk through everything that can happen: each of it is a row, whole, in the transaction of what it records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from app.domain.changes import Actor
from app.domain.halts import HaltScope
from app.domain.orders import Order, OrderType
from app.domain.venue_answers import Execution, OrderReport, TradeUpdate, VenueOrderStatus
from app.lifecycle import attention
from app.lifecycle.accept import Refusal
from app.lifecycle.amend import NewTerms, amend
from app.lifecycle.cancel import request_cancel
from app.lifecycle.compare import Comparison
from app.lifecycle.halts import lift
from app.lifecycle.loss_limits import watch_losses
from app.lifecycle.reconcile import take_updates
from app.lifecycle.send import instruction
from app.lifecycle.sender_ended import sender_ended
from app.lifecycle.traders import Administration, change_limits, create_key, create_trader, revoke_key, rotate_key
from app.lifecycle.venue_keys import chain_of, keep_credentials, remove_credentials
from app.settings import Settings
from app.storage.execution_logs import COLUMNS
from app.storage.sessions import PostgresSessions
from app.storage.tables import ACTION
from app.storage.traders import PostgresTraders
from app.storage.transaction import Database
from app.storage.venue_books import PostgresVenueBooks
from app.storage.venue_credentials import PostgresVenueCredentials, SealedCredentials
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import House
from tests.lifecycle.test_comparing_books import comparison as books_of
from tests.lifecycle.test_contradictions import paused

Row = dict[str, object]

OF_AN_ORDER = {
    "trader_id", "actor", "status", "execution_state", "symbol", "side", "quantity", "order_type", "time_in_force",
    "venue",
}  # fmt: skip
ALWAYS = {"id", "actor", "action", "timestamp", "software_version"}
EVENTS = {
    "order.submitted", "order.sending", "order.executed", "order.in_doubt", "order.needs_attention", "order.recovered",
    "order.partial", "order.filled", "order.rejected", "order.cancelling", "order.cancelled", "order.amending",
    "order.amended", "order.late_fill",
}  # fmt: skip


class Walk:
    """What happens, and everything that was written about it."""

    def __init__(self, house: House, settings: Settings) -> None:
        self.house = house
        self.owner = Database(settings.sqlalchemy_url("owner"), pool_size=1)
        clock, ids = house.clock, house.worker.ids
        operator = Actor("administrator:op", "command line", clock.now())
        self.operator = Administration(PostgresTraders(self.owner), clock, ids, operator, "test")
        self.sweeper = Administration(PostgresTraders(house.worker_database), clock, ids, Actor("sweeper"), "test")
        self.credentials = PostgresVenueCredentials(self.owner)

    # -- orders --------------------------------------------------------------------------------------------------------

    def working(self, **terms: object) -> UUID:
        order_id = self.house.submitted(**{"quantity": Decimal(10), **terms})
        self.house.advance(order_id)
        return order_id

    def filled(self, order_id: UUID, *quantities: int, price: str = "150") -> None:
        for quantity in quantities:
            self.house.venue.fill(str(order_id), Decimal(quantity), Decimal(price))
            self.house.listen()

    def orders_in_every_way(self) -> None:
        house = self.house
        exits = {"stop_loss": Decimal(140), "take_profit": Decimal(160)}
        entry = self.working(**exits)
        self.filled(entry, 4, 6)
        (exit_id,) = (row[0] for row in house.as_worker("SELECT id FROM orders WHERE parent_id = %s", entry))
        assert isinstance(exit_id, UUID)
        house.advance(exit_id)
        self.filled(exit_id, 10, price="160")
        self.working(order_type=OrderType.MARKET, price=None, max_slippage_bps=50, max_wait_seconds=300)
        house.venue.plan(Fault.SUBMIT_REPLY_LOST)
        doubted = self.working()
        house.sweep(3)
        assert house.state(doubted)[1] == "WORKING"
        house.venue.plan(Fault.SUBMIT_REFUSED)
        self.working()
        house.venue.plan(Fault.SUBMIT_REJECTED_LATER)
        self.working()
        house.sweep(2)
        house.listen()
        cancelled = self.working()
        request_cancel(house.api, cancelled, self._asking(), trader_id=house.trader_id)
        house.advance(cancelled)
        house.listen()
        self._filled_after_its_end(house.order(cancelled))
        assert isinstance(house.submit(quantity=Decimal("1000.5")), Refusal)

    def _filled_after_its_end(self, order: Order) -> None:
        venue_order_id, three = order.venue_order_id or "", Decimal(3)
        late = Execution(venue_order_id, three, three, Decimal(150), self.house.clock.now(), execution_id="late")
        report = OrderReport(
            venue_order_id, str(order.id), "AAPL", "BUY", order.quantity, VenueOrderStatus.CANCELLED, "canceled", three
        )
        take_updates(self.house.worker, order.id, [TradeUpdate("fill", report, late)])

    def _asking(self) -> Actor:
        return Actor("trader:ann", "sk_ann", self.house.clock.now())

    def a_person_decides(self) -> None:
        house = self.house
        house.venue.plan(Fault.SUBMIT_LOST, times=8)
        order_id = self.working()
        house.sweep(10)
        attention.retry(house.api, order_id, self._asking(), trader_id=house.trader_id)
        house.sweep(10)
        attention.abandon(house.api, order_id, self._asking(), trader_id=house.trader_id)
        house.sweep(60)
        assert house.state(order_id) == ("REJECTED", "CLOSED")
        house.senders.me = "other-host/1/boot/100/1"
        unproven, _ = paused(house)
        house.senders.me = "host/1/boot/200/2"
        house.clock.pass_(60)
        assert sender_ended(house.worker, "other-host", [unproven], self.operator.actor, "it was scrapped") == 1

    def other_terms(self) -> None:
        house = self.house
        queued = house.submitted(quantity=Decimal(10))
        amend(house.api, queued, self._asking(), NewTerms(None, Decimal(12)), trader_id=house.trader_id)
        working = self.working()
        amend(house.api, working, self._asking(), NewTerms(Decimal(149), None), trader_id=house.trader_id)
        for _ in range(2):
            house.sweep(3)
            house.listen()
        assert house.order(working).price == 149

    # -- everything else -----------------------------------------------------------------------------------------------

    def halts(self) -> None:
        for scope in HaltScope:
            lift(self.house.halts, self.house.halt(scope).id, "looked at")

    def keys_and_limits(self) -> None:
        made = create_trader(self.operator, "Walker", Decimal(1000))
        change_limits(self.operator, made.trader_id, {"daily_loss_limit": Decimal(10)})
        key = create_key(self.operator, made.trader_id, ["read"], None)
        revoke_key(self.operator, rotate_key(self.operator, key.stored, timedelta(hours=1), None).stored)
        for content in (b"first", b"second"):
            for venue in ("FAKE", "OTHER"):
                sealed = SealedCredentials(venue, "k", content, self.house.clock.now())
                keep_credentials(self.operator, self.credentials, sealed, "They were set.")
        assert remove_credentials(self.operator, self.credentials, "FAKE")
        assert not remove_credentials(self.operator, self.credentials, "FAKE")

    def losses(self) -> None:
        house = self.house
        sessions = PostgresSessions(house.worker_database)
        watch_losses(self.sweeper, sessions)
        change_limits(self.operator, house.trader_id, {"daily_loss_limit": Decimal(10)})
        house.sql("UPDATE instruments SET bid = 100, ask = 101")
        watch_losses(self.sweeper, sessions)
        change_limits(self.operator, house.trader_id, {"daily_loss_limit": None})
        watch_losses(self.sweeper, sessions)

    def comparisons(self) -> None:
        house = self.house
        like = house.order(self.working())
        house.venue.submit(replace(instruction(like), client_order_id=str(uuid4())))
        comparison = Comparison(house.worker, house.venue, PostgresVenueBooks(house.worker_database))
        for _ in range(2):
            comparison.run_once()
            house.clock.pass_(60)
        books_of(house).run_once("test")
        house.venue.held_before["AAPL"] = Decimal(3)
        books_of(house).run_once("test")

    def close(self) -> None:
        self.owner.close()

    # -- what was written ----------------------------------------------------------------------------------------------

    def log(self) -> list[Row]:
        names = ("chain_id", "chain_seq", "recorded_xid", *COLUMNS)
        selected = ", ".join(names).replace("recorded_xid", "recorded_xid::text::bigint %% 4294967296")
        rows = self.house.as_worker(f"SELECT {selected} FROM execution_logs ORDER BY position")
        return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def walk(house: House, settings: Settings) -> Iterator[Walk]:
    made = Walk(house, settings)
    yield made
    made.close()


def test_whatever_happens_is_a_row_with_all_that_belongs_to_it(walk: Walk) -> None:
    house = walk.house
    for part in (
        walk.orders_in_every_way, walk.a_person_decides, walk.other_terms, walk.halts, walk.keys_and_limits,
        walk.losses, walk.comparisons,
    ):  # fmt: skip
        part()
    log = walk.log()
    assert {row["action"] for row in log} == set(ACTION.enums), "walk through what is new as well"
    assert {name for (name,) in house.as_worker("SELECT DISTINCT event FROM order_events")} == EVENTS
    columns_that_nothing_fills = [name for name in COLUMNS if all(row[name] is None for row in log)]
    assert columns_that_nothing_fills == []
    for row in log:
        _is_whole(row)
    _changed_orders_say_their_terms(log)
    _keys_say_who_and_what(log)
    _everything_was_written_with_its_row(walk, log)


def _is_whole(row: Row) -> None:
    """Whatever a row of its kind has to say."""
    what = (row["action"], row["error_code"], row["reason"])
    about_an_order = row["order_id"] is not None and row["chain_id"] == row["order_id"]
    needed = ALWAYS | (OF_AN_ORDER if about_an_order else set())
    if about_an_order and row["action"] not in ("SUBMITTED", "APPROVED"):
        needed |= {"status_before", "filled_quantity"}
    if row["action"] == "FILLED":
        needed |= {
            "fill_quantity", "fill_price", "commission", "execution_id", "venue_order_id", "venue_at", "received_at",
            "retry_attempt",
        }  # fmt: skip
    if row["order_type"] in ("LIMIT", "STOP"):
        needed |= {"price"}
    if row["actor"] != "sweeper" and str(row["actor"]).startswith(("trader:", "administrator:op")):
        needed |= {"credential", "received_at"}
    if row["action"] == "ALARMED" or (row["action"] == "REJECTED" and row["status"] != "PENDING"):
        needed |= {"error_code", "reason"}
    if row["action"] == "REJECTED" and not about_an_order:
        needed |= {"rule", "limits_version", "received_at", "symbol", "quantity"}
    if row["action"] in ("LIMITS_CHANGED", "TRADER_CREATED") or (row["action"] == "APPROVED" and not row["parent_id"]):
        needed |= {"limits_version"}
    if row["action"] in ("LIMITS_CHANGED", "TRADER_CREATED", "KEY_CREATED"):
        needed |= {"details"}
    if row["action"] in ("HALTED", "RESUMED"):
        needed |= {"reason", "details"}
    assert [name for name in sorted(needed) if row[name] is None] == [], what


def _changed_orders_say_their_terms(log: list[Row]) -> None:
    wishes = [row for row in log if row["action"] == "AMENDED" and row["details"] is not None]
    told = [json.loads(json.dumps(row["details"])) for row in wishes]
    changed = {(terms["before"]["quantity"], terms["after"]["quantity"], terms["after"]["price"]) for terms in told}
    assert changed == {("10", "12", "150.25"), ("10", "10", "149")}
    assert all(row["limits_version"] is not None for row in wishes if str(row["actor"]).startswith("trader:"))
    exits = [row for row in log if row["parent_id"] is not None]
    assert {row["action"] for row in exits} >= {"SUBMITTED", "APPROVED", "EXECUTED", "FILLED"}
    assert [row["stop_loss"] for row in exits if row["action"] == "SUBMITTED"] == [Decimal(140)]


def _keys_say_who_and_what(log: list[Row]) -> None:
    of_venues = [row for row in log if row["chain_id"] in (chain_of("FAKE"), chain_of("OTHER")) and row["credential"]]
    assert [row["action"] for row in of_venues if row["venue"] == "FAKE"] == ["KEY_CREATED"] * 2 + ["KEY_REVOKED"]
    first, second = (row["details"] for row in of_venues if row["venue"] == "OTHER")
    assert isinstance(first, dict) and isinstance(second, dict)
    assert first["replaces_sha256"] is None and second["replaces_sha256"] == first["sealed_sha256"]


# Table, whose row it is in the log (column there, expression here), and which rows a step writes for good.
WRITTEN_BY_STEPS = {
    "order_events": ("order_id", "order_id", ""),
    "fills": ("order_id", "order_id", ""),
    "order_attempts": ("order_id", "order_id", "WHERE outcome IS NULL OR outcome <> ''"),
    "halts": ("trader_id", "trader_id", ""),
    "api_keys": ("trader_id", "trader_id", ""),
    "traders": ("trader_id", "id", ""),
    "venue_credentials": ("venue", "venue", ""),
    "venue_comparisons": ("venue", "venue", "WHERE position_drifts::text <> '{}'"),
}


def _everything_was_written_with_its_row(walk: Walk, log: list[Row]) -> None:
    """`xmin` is the transaction that wrote a row last, `recorded_xid` that of a row of the log."""
    for table, (in_log, here, which) in WRITTEN_BY_STEPS.items():
        ask = walk.house.sql if table in ("halts", "api_keys", "traders") else walk.house.as_worker
        told = {(row[in_log], row["recorded_xid"]) for row in log}
        written = ask(f"SELECT {here}, xmin::text::bigint FROM {table} {which}")
        assert written, table
        assert [each for each in written if each not in told] == [], f"{table}: written without a row of the log"
    heads = walk.house.as_worker("SELECT id, log_seq FROM orders")
    last = {row["order_id"]: row["chain_seq"] for row in log if row["chain_id"] == row["order_id"]}
    assert dict(heads) == last  # type: ignore[arg-type] # ids and numbers
