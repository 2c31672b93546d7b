"""Requests that waited in the queue of a web process that stood still, against the real gunicorn."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from app.settings import Settings
from tests.live.raw_client import plain_socket
from tests.live.serving import Web

DEPARTED = 40
BACKLOG = 256


@pytest.fixture
def stopped(served: tuple[Settings, Web]) -> Iterator[Web]:
    """The shared web process while its workers stand still; they go on afterwards."""
    serving = served[1]
    workers = serving.workers
    for worker in workers:
        worker.suspend()
    yield serving
    for worker in workers:
        worker.resume()


def asking(name: str) -> bytes:
    return f"GET /api/v1/orders HTTP/1.1\r\nHost: x\r\nX-Request-Id: {name}\r\n\r\n".encode()


def test_what_nobody_waits_for_any_more_is_passed_over(stopped: Web) -> None:
    for number in range(DEPARTED):
        with plain_socket(stopped.url) as client:
            client.sendall(asking(f"departed-{number}"))
    with ExitStack() as open_sockets:
        living = [open_sockets.enter_context(plain_socket(stopped.url)) for _ in range(4)]
        for number, client in enumerate(living):
            client.settimeout(10)
            client.sendall(asking(f"living-{number}"))
        for worker in stopped.workers:
            worker.resume()
        assert all(client.recv(4096).startswith(b"HTTP/1.1 401 ") for client in living)
    # each worker has a queue of its own, worked off in order: the last of the departed may still be in the other one's
    for worker in stopped.workers:
        worker.suspend()
    said = stopped.said()
    assert all(f"living-{number}" in said for number in range(4))
    assert "departed-" not in said


def test_no_more_wait_than_a_client_has_patience_for(stopped: Web) -> None:
    there = urlsplit(stopped.url)
    workers = len(stopped.workers)
    with ExitStack() as open_sockets:
        connecting = [open_sockets.enter_context(socket.socket()) for _ in range(workers * BACKLOG + 200)]
        for client in connecting:
            client.setblocking(False)
            client.connect_ex((there.hostname, there.port))
        time.sleep(0.2)
        poll = select.poll()
        for client in connecting:
            poll.register(client, select.POLLOUT)
        waiting = len(poll.poll(0))
    assert BACKLOG <= waiting <= workers * (BACKLOG + 1)
