"""The Python client: silence is never an answer, and an order is never sent under two keys."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from surefill_client import Conflict, NoAnswer, OutcomeUnknown, RateLimited, Refused, StillOpen, Surefill
from tests.clients.scripted_server import Reply, cut, document, page, problem, scripted

ORDER: dict[str, Any] = {
    "id": "019b8f0e-7a10-7c39-8a55-1f2d3c4b5a69", "symbol": "AAPL", "side": "BUY", "quantity": "1",
    "order_type": "MARKET", "price": None, "status": "PENDING", "execution_state": "QUEUED", "filled_quantity": "0",
    "average_fill_price": None, "attempts": 0, "reason": None, "version": 1,
    "created_at": "2026-01-05T14:30:00.000000Z", "updated_at": "2026-01-05T14:30:00.000000Z", "closed_at": None,
    "a_member_of_a_later_version": 1,
}  # fmt: skip
TERMS: dict[str, Any] = {"symbol": "AAPL", "side": "BUY", "quantity": 1, "order_type": "MARKET"}
accepted = document(201, ORDER)


def _client(url: str, deadline: float = 5.0) -> Surefill:
    return Surefill(url, "key", timeout_seconds=0.5, deadline_seconds=deadline)


SILENCES: dict[str, Reply] = {
    "a cut connection": cut,
    "a gateway's 502": page(502),
    "a gateway's 404": page(404),
    "a gateway's 200": page(200),
    "a 200 that is JSON": document(200, {}),
    "a 201 that is no order": document(201, {"id": 1}),
    "a 201 that is no object": document(201, []),
    "the database is away": problem(503, "DATABASE_UNAVAILABLE"),
    "a fault": problem(500, "INTERNAL_ERROR"),
    "a redirect": document(307, {}),
    "a problem without a code": document(422, {"detail": "No."}, "application/problem+json"),
    "a time-out of the request": problem(408, "REQUEST_TIMEOUT"),
    "another one under way": problem(409, "REQUEST_IN_PROGRESS"),
}


@pytest.mark.parametrize("silence", SILENCES)
def test_it_is_asked_again_with_the_same_key_and_the_same_bytes(silence: str) -> None:
    with scripted(SILENCES[silence], accepted) as (url, seen), _client(url) as client:
        assert client.submit(**TERMS).id == ORDER["id"]
    assert len(seen) == 2
    assert len({(headers["Idempotency-Key"], body) for headers, body in seen}) == 1


@pytest.mark.parametrize("silence", SILENCES)
def test_at_the_deadline_it_is_unknown_and_the_key_is_handed_over(silence: str) -> None:
    with scripted(SILENCES[silence]) as (url, seen), _client(url, deadline=0.3) as client:
        with pytest.raises(OutcomeUnknown) as unknown:
            client.submit(**TERMS)
    assert {headers["Idempotency-Key"] for headers, _ in seen} == {unknown.value.idempotency_key}


def test_a_server_that_is_silent_is_waited_for_no_longer_than_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with _client(f"http://127.0.0.1:{silent.getsockname()[1]}", deadline=0.2) as client:
            with pytest.raises(OutcomeUnknown):
                client.submit(**TERMS)


def test_a_refusal_is_a_definite_no() -> None:
    with scripted(problem(422, "INSUFFICIENT_FUNDS")) as (url, seen), _client(url) as client:
        with pytest.raises(Refused) as refused:
            client.submit(**TERMS)
    assert (refused.value.code, refused.value.errors[0].field, len(seen)) == ("INSUFFICIENT_FUNDS", "quantity", 1)


def test_a_refusal_after_silence_is_not_because_the_first_request_may_still_arrive() -> None:
    with scripted(cut, problem(422, "INSUFFICIENT_FUNDS")) as (url, _), _client(url) as client:
        with pytest.raises(OutcomeUnknown, match="INSUFFICIENT_FUNDS"):
            client.submit(**TERMS)


def test_a_refusal_after_another_was_under_way_is_one() -> None:
    with scripted(problem(409, "REQUEST_IN_PROGRESS"), problem(422, "LOT_SIZE")) as (url, _), _client(url) as client:
        with pytest.raises(Refused, match="LOT_SIZE"):
            client.submit(**TERMS)


def test_too_many_orders_say_when_to_come_back() -> None:
    with scripted(problem(429, "RATE_LIMITED")) as (url, _), _client(url) as client:
        with pytest.raises(RateLimited) as limited:
            client.submit(**TERMS)
    assert limited.value.retry_after == 1.0


def test_a_key_of_ones_own_is_used() -> None:
    with scripted(accepted) as (url, seen), _client(url) as client:
        client.submit(**TERMS, idempotency_key="mine")
    assert seen[0][0]["Idempotency-Key"] == "mine"


def test_an_action_without_an_answer_is_no_refusal() -> None:
    with scripted(cut) as (url, _), _client(url) as client:
        with pytest.raises(NoAnswer):
            client.cancel("o1")
    with scripted(problem(409, "ORDER_CLOSED")) as (url, _), _client(url) as client:
        with pytest.raises(Conflict):
            client.cancel("o1")


def test_waiting_goes_on_through_outages_and_ends_with_what_was_seen() -> None:
    closed = document(200, {**ORDER, "execution_state": "CLOSED", "status": "FILLED"})
    with scripted(document(200, ORDER), cut, page(502), closed) as (url, _), _client(url) as client:
        assert client.wait_until_closed("o1").status == "FILLED"
    with scripted(document(200, ORDER), cut) as (url, _), _client(url) as client:
        with pytest.raises(StillOpen) as still_open:
            client.wait_until_closed("o1", within_seconds=0.2)
    assert still_open.value.order.execution_state == "QUEUED"
    with scripted(cut) as (url, _), _client(url) as client:
        with pytest.raises(NoAnswer):
            client.wait_until_closed("o1", within_seconds=0.2)


def test_an_order_that_needs_attention_is_not_waited_for() -> None:
    with scripted(document(200, {**ORDER, "execution_state": "NEEDS_ATTENTION"})) as (url, _), _client(url) as client:
        with pytest.raises(StillOpen):
            client.wait_until_closed("o1", within_seconds=30)


def test_a_gap_between_events_is_never_passed_over() -> None:
    event = {"seq": 3, "event": "order.submitted", "order": ORDER, "fill": None, "reason": None,
             "timestamp": ORDER["created_at"]}  # fmt: skip
    with scripted(cut, document(200, {"data": [event], "head_seq": 3})) as (url, _), _client(url) as client:
        assert next(client.events(since=2)).seq == 3
    with scripted(document(200, {"data": [event], "head_seq": 3})) as (url, _), _client(url) as client:
        with pytest.raises(RuntimeError, match="gaps"):
            next(client.events(since=1))
