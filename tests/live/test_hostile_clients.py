"""Clients that say what they should not, do not listen, or do not leave: they change nothing for anybody else."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable

import pytest
import urllib3
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.settings import Settings
from tests.live.desk import Desk
from tests.live.listeners import Floor
from tests.live.raw_client import PATH, next_message, next_seq, plain_socket, raw_client, sign_in
from tests.live.serving import Web

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

NONSENSE: list[str | bytes] = [
    "", "x", "9", "0", "2", "2probe", "3", "33", "5", "6", "4", "44", "4x", "4null", "4[]", '4"', "42", "42[", "42[]",
    '42["connect",{"token":"x"}]', '42["disconnect"]', '42["order",{"seq":1}]', '421["ready",{"head_seq":9}]',
    '42["message"]', "43[]", "431[]", '44{"message":"no"}', "45", '451-["x",{"_placeholder":true,"num":0}]', "46",
    "40", "40{", "40[]", '40{"token":', "40/", "40/,", "40//x,{}", "40/admin,{}", "41/admin,", "4" + "[" * 2000,
    "40" + "[" * 2000, '40{"a":' + "[" * 2000, "40" + "9" * 200, "²", "4²", "40²", "\x00", "\ud7ff", b"", b"4",
    b"\xff" * 100,
]  # fmt: skip


def test_nonsense_changes_nothing(desk: Desk, url: str, served: tuple[Settings, Web]) -> None:
    trader = desk.trader()
    with raw_client(url) as client:
        sign_in(client, token=trader.key)
        for message in NONSENSE:
            client.send(message)
        desk.commit(trader, 2)
        received: list[int] = []
        while len(received) < 2:
            message = next_message(client)
            if message.startswith("42"):
                received.append(json.loads(message[2:])[1]["seq"])
            else:
                # a second connect on the same WebSocket, and other namespaces
                assert message.startswith(("44", "6")), message
        assert received == [1, 2]
    assert "Traceback" not in served[1].said()


def test_an_event_named_connect_is_no_connection(desk: Desk, url: str) -> None:
    trader, other = desk.trader(), desk.trader()
    with raw_client(url) as client:
        sign_in(client, token=trader.key)
        client.send("42" + json.dumps(["connect", {"token": other.key, "last_seq": 0}]))
        client.send("42" + json.dumps(["disconnect"]))
        desk.commit(other)
        desk.commit(trader)
        assert next_seq(client) == 1
        desk.commit(trader)
        assert next_seq(client) == 2


def test_a_namespace_left_and_joined_again_gets_every_event_once(desk: Desk, url: str) -> None:
    trader = desk.trader()
    with raw_client(url) as client:
        sign_in(client, token=trader.key)
        desk.commit(trader)
        assert next_seq(client) == 1
        client.send("41")
        desk.commit(trader)
        assert sign_in(client, token=trader.key, last_seq=1) == 2
        desk.commit(trader)
        assert [next_seq(client), next_seq(client)] == [2, 3]


def test_random_bytes_after_the_handshake_harm_nobody(desk: Desk, url: str, served: tuple[Settings, Web]) -> None:
    chance = random.Random(3)
    trader = desk.trader()
    with raw_client(url) as client:
        sign_in(client, token=trader.key)
        for _ in range(40):
            with plain_socket(url) as hostile:
                hostile.sendall(HANDSHAKE.format(path=PATH, host="x").encode())
                hostile.recv(4096)
                try:
                    hostile.sendall(chance.randbytes(chance.randint(1, 3000)))
                    hostile.settimeout(0.05)
                    hostile.recv(4096)
                except OSError:
                    pass  # cut off, or nothing to say
        desk.commit(trader)
        assert next_seq(client) == 1
    assert "Traceback" not in served[1].said()


@pytest.mark.parametrize("missing", ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Connection", "Upgrade"])
def test_half_a_handshake_is_refused(url: str, served: tuple[Settings, Web], missing: str) -> None:
    request = HANDSHAKE.format(path=PATH, host="x")
    lines = [line for line in request.split("\r\n") if not line.startswith(f"{missing}:")]
    with plain_socket(url) as hostile:
        hostile.sendall("\r\n".join(lines).encode())
        hostile.settimeout(5)
        assert hostile.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in served[1].said()


def test_polling_is_refused(url: str) -> None:
    for method, query in (("GET", "EIO=4&transport=polling"), ("POST", "EIO=4&transport=polling"), ("GET", "")):
        answer = urllib3.request(method, f"{url}/socket.io/?{query}", retries=False)
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "WEBSOCKET_ONLY"


def test_another_site_cannot_connect_from_a_browser(desk: Desk, url: str) -> None:
    with pytest.raises(InvalidStatus):
        with raw_client(url, origin="https://evil.example"):
            pass
    with raw_client(url, origin=url) as client:
        sign_in(client, token=desk.trader().key)


def test_a_long_message_ends_the_connection(desk: Desk, url: str) -> None:
    with raw_client(url) as client:
        sign_in(client, token=desk.trader().key)
        client.send("4" + "x" * 20_000)
        with pytest.raises(ConnectionClosed):
            client.recv(5)


def test_a_client_that_floods_is_cut_off_and_the_others_go_on(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    listener = floor.listener(url, {"token": trader.key}).connect()
    with raw_client(url) as client:
        sign_in(client, token=trader.key)
        _is_cut_off(lambda: client.send("3" * 50))
        desk.commit(trader)
        listener.wait_for(1, 2)


def test_clients_that_do_not_read_cost_little_memory_and_delay_nobody(
    desk: Desk, url: str, floor: Floor, served: tuple[Settings, Web]
) -> None:
    trader = desk.trader()
    for _ in range(40):
        desk.commit(trader, 500, wakes=False, filler="x" * 1500)  # 35 MB, more than any socket buffer holds
    before = sum(worker.memory_info().rss for worker in served[1].workers)
    request = HANDSHAKE.format(path=PATH, host="x").encode()
    frame = _masked(f"40{json.dumps({'token': trader.key, 'last_seq': 0})}".encode())
    deaf = [plain_socket(url, receive_buffer=4096) for _ in range(4)]
    for each in deaf:
        each.sendall(request)
        assert each.recv(1)
        each.sendall(frame)
    listener = floor.listener(url, {"token": trader.key}).connect()
    grown = 0
    for seq in range(20_001, 20_021):
        sent = time.monotonic()
        desk.commit(trader)
        listener.wait_for(seq, 3)
        assert time.monotonic() - sent < 3
        grown = max(grown, sum(worker.memory_info().rss for worker in served[1].workers) - before)
    assert grown < 40 * 2**20, grown
    for each in deaf:
        each.close()


def _is_cut_off(doing: Callable[[], object]) -> None:
    """Do it until the connection is closed."""
    deadline = time.monotonic() + 30
    with contextlib.suppress(ConnectionClosed):
        while True:
            doing()
            assert time.monotonic() < deadline


def _masked(text: bytes) -> bytes:
    """A client's text frame, masked with zeros."""
    size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    return b"\x81" + size + b"\x00\x00\x00\x00" + text


def test_a_slow_client_gets_every_event_whole(desk: Desk, url: str) -> None:
    """It reads a little at a time, so that the server's writes never fit at once."""
    trader = desk.trader()
    for _ in range(10):
        desk.commit(trader, 200, wakes=False, filler="ü" * 700)
    request = HANDSHAKE.format(path=PATH, host="x").encode()
    with plain_socket(url, receive_buffer=4096) as slow:
        slow.settimeout(10)
        slow.sendall(request + b"")
        received = bytearray(slow.recv(4096))
        slow.sendall(_masked(f"40{json.dumps({'token': trader.key, 'last_seq': 0})}".encode()))
        seqs: list[int] = []
        del received[: received.index(b"\r\n\r\n") + 4]
        while len(seqs) < 2000:
            received += slow.recv(3000)
            for text in _taken(received):
                if text.startswith('42["order"'):
                    seqs.append(json.loads(text[2:])[1]["seq"])
                elif text == "2":
                    slow.sendall(_masked(b"3"))
        assert seqs == list(range(1, 2001))


def _taken(received: bytearray) -> list[str]:
    """The whole text frames at the front, taken away."""
    texts: list[str] = []
    while len(received) >= 2:
        size, start = received[1], 2
        if size == 126:
            size, start = int.from_bytes(received[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(received[2:10], "big"), 10
        if len(received) < start + size:
            break
        assert received[0] == 0x81, received[:20]
        texts.append(received[start : start + size].decode())
        del received[: start + size]
    return texts
