"""Who may connect, and where a connection begins."""

from __future__ import annotations

import base64
import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import socketio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.live.desk import Desk
from tests.live.listeners import Floor
from tests.live.raw_client import PATH, next_message, raw_client, sign_in


def test_a_connection_without_last_seq_begins_after_the_head(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 3)
    listener = floor.listener(url, {"token": trader.key}).connect()
    assert listener.heads == [3]
    desk.commit(trader, 2)
    listener.wait_for(5)
    assert listener.seqs == [4, 5]


def test_a_connection_with_last_seq_begins_after_it(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 5)
    listener = floor.listener(url, {"token": trader.key, "last_seq": 2}).connect()
    listener.wait_for(5)
    desk.commit(trader)
    listener.wait_for(6)
    assert listener.heads == [5]
    assert listener.seqs == [3, 4, 5, 6]


def test_last_seq_zero_is_the_whole_history_and_null_is_none_of_it(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 2)
    whole = floor.listener(url, {"token": trader.key, "last_seq": 0}).connect()
    new = floor.listener(url, {"token": trader.key, "last_seq": None}).connect()
    desk.commit(trader)
    whole.wait_for(3)
    new.wait_for(3)
    assert whole.seqs == [1, 2, 3]
    assert new.seqs == [3]


def test_a_trader_without_events_gets_ready_with_head_zero(desk: Desk, url: str, floor: Floor) -> None:
    assert floor.listener(url, {"token": desk.trader().key, "last_seq": 0}).connect().heads == [0]


def test_an_event_arrives_as_it_is_stored(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    listener = floor.listener(url, {"token": trader.key}).connect()
    desk.commit(trader, symbol='Zürich 🂡 "quoted" \\ </script>', average="150.250000000000000001", long="x" * 70_000)
    listener.wait_for(1)
    event = listener.events[0]
    assert event["symbol"] == 'Zürich 🂡 "quoted" \\ </script>'
    assert event["average"] == "150.250000000000000001"
    assert event["long"] == "x" * 70_000


def test_last_seq_beyond_the_head_is_refused(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 3)
    for beyond in (4, 10**30):
        refusal = floor.listener(url, {"token": trader.key, "last_seq": beyond}).attempt()
        assert refusal["message"] == "SEQ_AHEAD"
        assert refusal["data"]["code"] == "SEQ_AHEAD"
        assert refusal["data"]["head_seq"] == 3


@pytest.mark.parametrize("last_seq", [-1, 1.5, "1", True, [1], {}])
def test_a_last_seq_that_is_no_number_of_events_is_refused(desk: Desk, url: str, floor: Floor, last_seq: Any) -> None:
    refusal = floor.listener(url, {"token": desk.trader().key, "last_seq": last_seq}).attempt()
    assert refusal["message"] == "LAST_SEQ_INVALID"


@pytest.mark.parametrize("token", ["sk_wrong", "", None, 7, "ü", "\ud800", "x" * 3000])
def test_a_wrong_key_is_refused(url: str, floor: Floor, token: Any) -> None:
    refusal = floor.listener(url, {"token": token}).attempt()
    assert refusal["message"] in ("API_KEY_INVALID", "API_KEY_MISSING")
    assert refusal["data"]["suggestion"]


def test_no_auth_is_refused(url: str, floor: Floor) -> None:
    assert floor.listener(url, None).attempt()["message"] == "API_KEY_MISSING"


def test_an_expired_revoked_or_unfit_key_is_refused(desk: Desk, url: str, floor: Floor) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    for changes, code in (
        ({"expires_at": past}, "API_KEY_INVALID"),
        ({"revoked_at": past}, "API_KEY_INVALID"),
        ({"scopes": ["compliance"]}, "SCOPE_MISSING"),
    ):
        key = desk.trader(**changes).key
        assert floor.listener(url, {"token": key}).attempt()["message"] == code


def test_other_namespaces_are_refused(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    listener = floor.listener(url, {"token": trader.key})
    with pytest.raises(socketio.exceptions.ConnectionError, match="/admin"):
        listener.connect(["/admin"])


def test_traders_see_their_own_events_only(desk: Desk, url: str, floor: Floor) -> None:
    ann, ben = desk.trader(), desk.trader()
    anns = floor.listener(url, {"token": ann.key}).connect()
    bens = floor.listener(url, {"token": ben.key}).connect()
    for _ in range(20):
        desk.commit(ann, who="ann")
        desk.commit(ben, who="ben")
    anns.wait_for(20)
    bens.wait_for(20)
    assert anns.seqs == bens.seqs == list(range(1, 21))
    assert {event["who"] for event in anns.events} == {"ann"}
    assert {event["who"] for event in bens.events} == {"ben"}


def test_a_key_that_signs_connects_with_a_signed_handshake_and_with_none_twice(desk: Desk, url: str) -> None:
    """A stolen key, or a handshake that was recorded, opens nothing."""
    private = Ed25519PrivateKey.generate()
    key = desk.trader(signing_key=private.public_key().public_bytes_raw()).key
    signed = _signed_handshake(private)
    for headers, code in (
        ({}, "SIGNATURE_REQUIRED"),
        (_signed_handshake(Ed25519PrivateKey.generate()), "SIGNATURE_INVALID"),
        ({**signed, "Signature": f"sig=:{'A' * 86}==:"}, "SIGNATURE_INVALID"),
        (signed, None),
        (signed, "SIGNATURE_REPLAYED"),
    ):
        with raw_client(url, additional_headers=headers) as client:
            if code is None:
                assert sign_in(client, token=key) == 0
            else:
                client.send(f"40{json.dumps({'token': key})}")
                assert json.loads(next_message(client).removeprefix("44"))["message"] == code


def _signed_handshake(private: Ed25519PrivateKey) -> dict[str, str]:
    path, query = PATH.split("?")
    said = f'("@method" "@path" "@query");created={int(time.time())};nonce="{secrets.token_hex(16)}"'
    lines = ['"@method": GET', f'"@path": {path}', f'"@query": ?{query}', f'"@signature-params": {said}']
    signature = base64.b64encode(private.sign("\n".join(lines).encode())).decode()
    return {"Signature-Input": f"sig={said}", "Signature": f"sig=:{signature}:"}
