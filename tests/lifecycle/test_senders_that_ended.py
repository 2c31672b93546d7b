"""What proves that a sender has ended, where the process table cannot say it: a person's word, written down."""

from __future__ import annotations

from uuid import UUID

from app.domain.changes import Actor
from app.lifecycle.cancel import request_cancel
from app.lifecycle.sender_ended import names, sender_ended
from app.storage.open_senders import open_senders
from tests.lifecycle.conftest import TRADER, House
from tests.lifecycle.test_contradictions import paused

PERSON = Actor("administrator:ann", "command line")
ELSEWHERE = "other-host/4026531836/boot/100/1"


def lost_elsewhere(house: House) -> UUID:
    """An order whose sender was on a host that does not exist any more; its cancel waits for a proof."""
    house.senders.me = ELSEWHERE
    order_id, _ = paused(house)
    house.senders.me = "host/1/boot/200/2"
    request_cancel(house.api, order_id, TRADER, trader_id=house.trader_id)
    house.sweep(200, step=5)
    assert house.state(order_id) == ("PENDING", "CANCELLING")
    assert "SENDER_UNPROVEN" in (house.order(order_id).alarm_code or "")
    return order_id


def test_silence_proves_nothing_and_a_persons_word_is_recorded_as_what_it_is(house: House) -> None:
    order_id = lost_elsewhere(house)
    assert [(each.name, each.order_ids) for each in open_senders(house.worker_database)] == [(ELSEWHERE, (order_id,))]
    assert sender_ended(house.worker, "other-host", [order_id], PERSON, "the host was scrapped") == 1
    assert sender_ended(house.worker, "other-host", [order_id], PERSON, "again") == 0
    said = "administrator:ann says that other-host has ended: the host was scrapped"
    assert house.as_worker("SELECT outcome, error_code, evidence FROM order_attempts WHERE kind = 'SUBMIT'") == [
        ("SENDER_GONE", "OPERATOR_WORD", said)
    ]
    assert house.as_worker(
        "SELECT actor, action::text, reason FROM execution_logs WHERE error_code = 'SENDER_ENDED'"
    ) == [("administrator:ann", "CORRECTED", said)]
    assert open_senders(house.worker_database) == []


def test_the_in_flight_bound_counts_from_the_persons_word(house: House) -> None:
    order_id = lost_elsewhere(house)
    sender_ended(house.worker, ELSEWHERE, [order_id], PERSON, "seen to be gone")
    house.sweep(25)
    assert house.state(order_id) == ("PENDING", "CANCELLING"), "what it sent last may still arrive"
    house.sweep(10)
    assert house.state(order_id) == ("CANCELLED", "CLOSED")


def test_another_sender_of_the_same_order_is_not_meant(house: House) -> None:
    order_id = lost_elsewhere(house)
    assert sender_ended(house.worker, "other", [order_id], PERSON, "a name that only begins like it") == 0
    assert len(house.order(order_id).open_attempts) == 1


def test_a_name_means_itself_and_what_is_inside_of_it() -> None:
    assert names(ELSEWHERE, ELSEWHERE)
    assert names("other-host/4026531836", ELSEWHERE)
    assert names("other-host/", ELSEWHERE)
    assert not names("other-host/40", ELSEWHERE)
    assert not names("", ELSEWHERE)
