"""`sender list`, `sender ended`, `orphans`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.senders import ProcessSenders
from app.settings import Settings
from tests.api.house import Client, House, running
from tests.cli.conftest import Console

ELSEWHERE = "other-host/4026531836/boot/100/1"


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with running(settings) as house:
        yield house


@pytest.fixture
def ann(house: House) -> Client:
    return house.trader("Ann")


def sent_by(house: House, ann: Client, sender: str) -> str:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    house.rows(
        "UPDATE orders SET open_attempts = ARRAY['1 ' || %s], version = version + 1 WHERE id = %s", sender, order["id"]
    )
    house.rows(
        "UPDATE order_attempts SET sender = %s, ended_at = NULL, outcome = NULL WHERE order_id = %s",
        sender,
        order["id"],
    )
    return str(order["id"])


def test_a_sender_elsewhere_is_listed_and_ends_on_a_persons_word(house: House, ann: Client, console: Console) -> None:
    sent_by(house, ann, ELSEWHERE)
    assert f"{ELSEWHERE}: 1 orders" in console.ok("sender", "list").out
    said = console.ok("sender", "ended", "other-host", "--because", "it was scrapped")
    assert "1 submits of 1 orders" in said.out
    assert console.ok("sender", "list").out.startswith("none")
    again = console.run("sender", "ended", "other-host", "--because", "it was scrapped")
    assert again.status == 1 and "no open order waits for a sender named other-host" in again.err


def test_a_sender_that_runs_here_cannot_be_said_to_have_ended(house: House, ann: Client, console: Console) -> None:
    me = ProcessSenders().me
    sent_by(house, ann, me)
    assert "runs on this host" in console.ok("sender", "list").out
    refused = console.run("sender", "ended", me, "--because", "I think so")
    assert refused.status == 1 and "end that process first" in refused.err


def test_a_word_without_a_reason_is_not_taken(console: Console) -> None:
    assert console.run("sender", "ended", ELSEWHERE).status == 2


def test_no_orphans_are_said_to_be_none(console: Console) -> None:
    assert console.ok("orphans").out.startswith("none")
