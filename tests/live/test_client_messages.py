"""Which words of a client reach the server."""

from __future__ import annotations

import pytest
import socketio
from engineio import packet as engine_packet
from hypothesis import given
from hypothesis import strategies as st

from app.live.client_messages import LONGEST_MESSAGE, understood


@pytest.mark.parametrize(
    "message", ["1", "3", "40", "41", '40{"token":"sk_x","last_seq":3}', '40/admin,{"token":"x"}', "41/admin,"]
)
def test_connecting_leaving_and_answering_pings_is_understood(message: str) -> None:
    assert understood(message) == message


@pytest.mark.parametrize("message", ["", "0", "2", "5", "4", '42["connect"]', "43[]", "45", "46", "x", b"40", None, 4])
def test_everything_else_is_ignored(message: object) -> None:
    assert understood(message) is None


def test_an_auth_that_is_no_json_counts_as_none() -> None:
    assert understood('40{"token":') == "40"
    assert understood('40/admin,{"a":' + "[" * 3000) == "40/admin,"
    assert understood('40{"last_seq":' + "9" * 200 + "}") == "40"


def test_long_messages_are_ignored() -> None:
    assert understood('40{"token":"' + "x" * LONGEST_MESSAGE + '"}') is None


@given(st.one_of(st.text(), st.from_regex(r"4[0-6](/\w*,?)?[0-9]*[\[{].*")))
def test_what_is_understood_never_makes_the_libraries_fail(message: str) -> None:
    words = understood(message)
    if words is None:
        return
    outer = engine_packet.Packet(encoded_packet=words)
    if outer.packet_type == engine_packet.MESSAGE:
        inner = socketio.packet.Packet(encoded_packet=outer.data)
        assert inner.packet_type in (socketio.packet.CONNECT, socketio.packet.DISCONNECT)
        assert inner.data is None or isinstance(inner.data, dict)
