"""Requests that trickle, against the real gunicorn: they end within a bound, and hold nobody up."""

from __future__ import annotations

import socket
import threading
import time

import urllib3

from app.api.bodies import BODY_SECONDS
from tests.live.desk import Desk
from tests.live.raw_client import plain_socket

BOUND = BODY_SECONDS + 5


def test_a_body_that_trickles_is_ended_and_delays_nobody(desk: Desk, url: str) -> None:
    trader = desk.trader()
    ends: dict[str, tuple[float, bytes]] = {}
    head = (
        "POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: slow\r\n"
        f"Authorization: Bearer {trader.key}\r\n"
    )
    slow = {
        "announced": (head + "Content-Length: 5000\r\n\r\n{", b" "),
        "in chunks": (head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n \r\n"),
        "silent": (head + "Content-Length: 5000\r\n\r\n", b""),
    }
    threads = [
        threading.Thread(target=lambda each=each: ends.__setitem__(each, _trickle(url, *slow[each]))) for each in slow
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        asked = time.monotonic()
        with urllib3.PoolManager(retries=False, timeout=5.0) as pool:
            assert pool.request("GET", f"{url}/healthz").status == 200
        assert time.monotonic() - asked < 2
        time.sleep(0.2)
    for name, (seconds, answer) in ends.items():
        assert answer.startswith(b"HTTP/1.1 408 "), (name, answer)
        assert b"REQUEST_TIMEOUT" in answer, name
        assert BODY_SECONDS - 0.5 < seconds < BOUND, (name, seconds)


def _trickle(url: str, begin: str, drop: bytes) -> tuple[float, bytes]:
    """Send a byte now and then until the server closes. Returns after how long it did, and what it said."""
    began = time.monotonic()
    said = b""
    with plain_socket(url) as client:
        client.settimeout(0.2)
        client.sendall(begin.encode())
        while time.monotonic() - began < BOUND + 5:
            try:
                client.sendall(drop)
                part = client.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            if not part:
                break
            said += part
    return time.monotonic() - began, said


def test_headers_that_are_too_many_or_too_long_are_refused(url: str) -> None:
    for request in (
        "GET /" + "a" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n" + "X-A: b\r\n" * 100 + "\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + "b" * 20_000 + "\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\nInjected: c\x00d\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ):
        with plain_socket(url) as client:
            client.settimeout(5)
            client.sendall(request.encode())
            answer = client.recv(4096)
            assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (request[:60], answer[:200])
            assert b"Injected" not in answer.partition(b"\r\n\r\n")[0]
            with_end = answer
            while part := _rest(client):
                with_end += part
            assert with_end.count(b"HTTP/1.") == 1, request[:60]  # one request, one answer: nothing smuggled behind it


def _rest(client: socket.socket) -> bytes:
    try:
        return client.recv(4096)
    except OSError:
        return b""
