"""An order's life when nothing fails."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import uuid4

from app.domain.audit_chain import GENESIS, canonical, link
from app.domain.orders import OrderType, Side
from app.lifecycle.accept import AcceptedOrder, Refusal
from app.lifecycle.cancel import Cancelled, CancelStored, TooLate, request_cancel
from app.lifecycle.reconcile import take_updates
from app.storage.execution_logs import COLUMNS
from tests.lifecycle.conftest import TRADER, House


def test_an_accepted_order_reserves_its_cash_and_is_queued(house: House) -> None:
    order_id = house.submitted()
    assert house.state(order_id) == ("PENDING", "QUEUED")
    assert house.account() == (Decimal(100000), Decimal("15025"))
    assert house.events(order_id) == ["order.submitted"]
    assert house.heard.orders == [order_id]


def test_an_order_is_sent_accepted_and_filled_once(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(40), Decimal("150.00"))
    house.venue.fill(str(order_id), Decimal(60), Decimal("150.10"))
    house.listen()
    order = house.order(order_id)
    assert (order.status, order.execution_state) == ("FILLED", "CLOSED")
    assert order.average_fill_price == Decimal("150.06")
    assert house.account() == (Decimal(100000) - Decimal(15006), Decimal(0))
    assert house.events(order_id) == [
        "order.submitted", "order.sending", "order.executed", "order.partial", "order.filled",
    ]  # fmt: skip
    assert len(house.venue.with_client_id(str(order_id))) == 1


def test_a_second_delivery_of_the_same_message_changes_nothing(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    before = house.order(order_id)
    house.advance(order_id)
    assert house.order(order_id) == before


def test_a_second_delivery_of_the_same_fill_changes_nothing(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(40), Decimal("150.00"))
    updates = list(house.stream.updates(0))
    take_updates(house.worker, order_id, updates)
    before, books = house.order(order_id), house.account()
    take_updates(house.worker, order_id, updates)
    take_updates(house.worker, order_id, updates[::-1])
    assert (house.order(order_id), house.account()) == (before, books)


def test_a_message_about_no_order_is_settled(house: House) -> None:
    house.advance(uuid4())


def test_the_same_key_gives_the_same_order(house: House) -> None:
    first = house.submit(idempotency_key="k")
    again = house.submit(idempotency_key="k")
    assert isinstance(first, AcceptedOrder) and isinstance(again, AcceptedOrder)
    assert again.order_id == first.order_id and again.replayed and not first.replayed


def test_the_same_key_for_another_request_is_refused(house: House) -> None:
    house.submit(idempotency_key="k")
    outcome = house.submit(idempotency_key="k", request_fingerprint=b"2")
    assert isinstance(outcome, Refusal)
    assert [denial.code for denial in outcome.denials] == ["IDEMPOTENCY_KEY_REUSED"]


def test_every_failed_rule_is_answered_and_the_refusal_is_audited(house: House) -> None:
    outcome = house.submit(quantity=Decimal("1000.5"), price=Decimal("150.255"))
    assert isinstance(outcome, Refusal)
    assert {denial.code for denial in outcome.denials} == {"LOT_SIZE", "TICK_SIZE", "INSUFFICIENT_FUNDS"}
    assert house.as_worker("SELECT action::text, order_id, rule FROM execution_logs") == [
        ("REJECTED", None, "LOT_SIZE,TICK_SIZE,INSUFFICIENT_FUNDS")
    ]
    assert house.account() == (Decimal(100000), Decimal(0))


def test_a_sell_reserves_shares_and_frees_them(house: House) -> None:
    bought = house.submitted(order_type=OrderType.MARKET, price=None)
    house.advance(bought)
    house.venue.fill(str(bought), Decimal(100), Decimal("150.00"))
    house.listen()
    sold = house.submitted(side=Side.SELL, quantity=Decimal(60))
    refused = house.submit(side=Side.SELL, quantity=Decimal(60))
    assert isinstance(refused, Refusal) and refused.denials[0].code == "INSUFFICIENT_SHARES"
    request_cancel(house.api, sold, TRADER, trader_id=house.trader_id)
    assert house.as_worker("SELECT quantity, reserved_quantity FROM positions") == [(100, 0)]


def test_cancelling_a_queued_order_ends_it_at_once(house: House) -> None:
    order_id = house.submitted()
    assert isinstance(request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id), Cancelled)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert house.account() == (Decimal(100000), Decimal(0))
    house.advance(order_id)
    assert house.venue.with_client_id(str(order_id)) == []


def test_cancelling_a_working_order_waits_for_the_venue(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(30), Decimal("150"))
    house.listen()
    assert isinstance(request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id), CancelStored)
    assert house.state(order_id) == ("PARTIAL", "CANCELLING")
    house.advance(order_id)
    house.listen()
    assert house.state(order_id) == ("CANCELLED", "CLOSED")
    assert house.order(order_id).filled_quantity == 30
    assert house.account() == (Decimal(100000) - 4500, Decimal(0))
    assert house.events(order_id)[-2:] == ["order.cancelling", "order.cancelled"]
    assert isinstance(request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id), Cancelled)


def test_a_filled_order_cannot_be_cancelled(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(100), Decimal("150"))
    house.listen()
    assert isinstance(request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id), TooLate)


def test_what_is_published_is_what_is_stored(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    published = [json.loads(event) for event in house.heard.published]
    assert [event["seq"] for event in published] == [1, 2, 3]
    stored = house.as_worker("SELECT seq, payload FROM order_events ORDER BY seq")
    assert [{"seq": seq, **payload} for seq, payload in stored] == published  # type: ignore[dict-item]


def test_the_audit_chain_of_an_order_can_be_recomputed(house: House) -> None:
    order_id = house.submitted()
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(100), Decimal("150"))
    house.listen()
    names = ("chain_id", "chain_seq", *COLUMNS)
    rows = house.as_worker(
        f"SELECT previous_hash, hash, {', '.join(names)} FROM execution_logs WHERE order_id = %s ORDER BY chain_seq",
        str(order_id),
    )
    previous = GENESIS
    for row in rows:
        fields = dict(zip(names, row[2:], strict=True))
        assert _bytes(row[0]) == previous
        previous = link(previous, canonical(fields))
        assert _bytes(row[1]) == previous
    assert len(rows) == 5


def _bytes(column: object) -> bytes:
    assert isinstance(column, memoryview)
    return column.tobytes()
