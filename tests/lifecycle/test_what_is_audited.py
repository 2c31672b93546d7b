"""Every step of an order is a row with everything that belongs to it, and refusals cannot fill the disk."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from app.domain.changes import Actor
from app.domain.risk_rules import Denial
from app.lifecycle.accept import Refusal, refuse
from app.lifecycle.cancel import request_cancel
from app.lifecycle.refusals import MOST_WRITTEN, tell_counted
from app.storage.execution_logs import COLUMNS
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import House

ON_EVERY_ROW_OF_AN_ORDER = {
    "id", "trader_id", "actor", "action", "order_id", "status", "execution_state", "symbol", "side", "quantity",
    "order_type", "price", "time_in_force", "venue", "timestamp", "software_version",
}  # fmt: skip


def log_of(house: House, chain_id: UUID) -> list[dict[str, object]]:
    rows = house.as_worker(
        f"SELECT chain_seq, {', '.join(COLUMNS)} FROM execution_logs WHERE chain_id = %s ORDER BY chain_seq", chain_id
    )
    return [dict(zip(("chain_seq", *COLUMNS), row, strict=True)) for row in rows]


def test_each_step_of_a_filled_order_says_who_what_when_and_on_which_terms(house: House) -> None:
    order_id = house.submitted(max_wait_seconds=300)
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(60), Decimal("150.00"))
    house.listen()
    log = log_of(house, order_id)
    assert [row["action"] for row in log] == ["SUBMITTED", "APPROVED", "EXECUTED", "EXECUTED", "FILLED"]
    assert [row["chain_seq"] for row in log] == [1, 2, 3, 4, 5]
    for row in log:
        assert [name for name in ON_EVERY_ROW_OF_AN_ORDER if row[name] is None] == [], row["action"]
    submitted, approved, sending, working, filled = log
    assert submitted["received_at"] is not None and submitted["max_wait_seconds"] == 300
    assert approved["limits_version"] == 1
    assert sending["sent_at"] is not None and sending["retry_attempt"] == 0
    assert (working["status_before"], working["venue_order_id"] is not None) == ("PENDING", True)
    assert working["received_at"] is not None and working["venue_at"] is not None
    assert (filled["status_before"], filled["status"]) == ("PENDING", "PARTIAL")
    for name in ("fill_quantity", "fill_price", "commission", "execution_id", "venue_at", "received_at"):
        assert filled[name] is not None, name


def test_a_cancel_is_told_when_it_is_wanted_sent_answered_and_done(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    asked = house.clock.now()
    actor = Actor("trader:ann", "sk_ann", asked)
    request_cancel(house.api, order_id, actor, trader_id=house.trader_id)
    house.advance(order_id)
    house.listen()
    wanted, sent, answered, done = log_of(house, order_id)[-4:]
    assert {row["action"] for row in (wanted, sent, answered, done)} == {"CANCELLED"}
    assert (wanted["actor"], wanted["credential"], wanted["received_at"]) == ("trader:ann", "sk_ann", asked)
    assert (sent["sent_at"] is not None, sent["execution_state"]) == (True, "CANCELLING")
    assert "TAKEN" in str(answered["reason"]) and answered["received_at"] is not None
    assert (done["status"], done["execution_state"], done["error_code"]) == ("CANCELLED", "CLOSED", "USER_REQUEST")


def test_the_lost_answer_and_the_end_of_its_attempt_are_told(house: House) -> None:
    order_id = house.submitted()
    house.venue.plan(Fault.SUBMIT_LOST)
    house.advance(order_id)
    lost = log_of(house, order_id)[-1]
    assert lost["action"] == "EXECUTED" and lost["execution_state"] == "IN_DOUBT" and lost["error_code"] is not None


def test_a_refusal_holds_all_terms_that_were_asked_for(house: House) -> None:
    assert isinstance(house.submit(quantity=Decimal("1000.5"), max_slippage_bps=7, stop_loss=Decimal("140")), Refusal)
    (row,) = log_of(house, house.trader_id)
    assert (row["max_slippage_bps"], row["stop_loss"]) == (7, Decimal(140))
    assert row["order_id"] is None and row["status"] is None


def test_refusals_beyond_a_bound_become_one_row_a_minute_that_says_how_many(house: House) -> None:
    house.clock.pass_(60 - house.clock.now().second)
    for _ in range(MOST_WRITTEN + 5):
        house.submit(quantity=Decimal("1000.5"))
    assert len(log_of(house, house.trader_id)) == MOST_WRITTEN
    assert tell_counted(house.worker) == 0  # the minute is not over
    house.clock.pass_(60)
    assert tell_counted(house.worker) == 1
    assert tell_counted(house.worker) == 0
    told = log_of(house, house.trader_id)[-1]
    assert (told["action"], told["error_code"], told["actor"]) == ("REJECTED", "REFUSALS_COUNTED", "sweeper")
    assert str(told["reason"]).startswith("5 more requests of this trader were refused between ")


def test_the_next_minute_s_first_refusal_tells_what_was_counted_before_it(house: House) -> None:
    house.clock.pass_(60 - house.clock.now().second)
    denial = Denial("BODY_MALFORMED", "It is no JSON.", "Send JSON.")
    for _ in range(MOST_WRITTEN + 2):
        refuse(house.api, house.trader_id, [denial], Actor("trader"), house.clock.now())
    house.clock.pass_(60)
    refuse(house.api, house.trader_id, [denial], Actor("trader"), house.clock.now())
    log = log_of(house, house.trader_id)
    assert len(log) == MOST_WRITTEN + 2
    assert [row["error_code"] for row in log[-2:]] == ["REFUSALS_COUNTED", "BODY_MALFORMED"]
    assert [row["chain_seq"] for row in log] == list(range(1, len(log) + 1))
    assert tell_counted(house.worker) == 0
