"""Requests that nobody waits for any more."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from app.departed_clients import DepartedClients, has_left


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's end and the server's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                yield client, accepted


class Asked:
    """An application that counts, and what was answered."""

    def __init__(self) -> None:
        self.begun = 0
        self.status = ""

    def __call__(self, _: dict[str, Any], start_response: Callable[..., Any], /) -> Iterable[bytes]:
        self.begun += 1
        start_response("201 Created", [])
        return [b"{}"]

    def ask(self, connection: object) -> bytes:
        environ = {"REQUEST_METHOD": "POST", "gunicorn.socket": connection}
        return b"".join(DepartedClients(self)(environ, self._answer))

    def _answer(self, status: str, _: object) -> None:
        self.status = status


def departed(server: socket.socket) -> bool:
    """Wait until the system has heard of it."""
    deadline = time.monotonic() + 5
    while not has_left(server) and time.monotonic() < deadline:
        time.sleep(0.001)
    return has_left(server)


def test_a_request_whose_client_waits_is_worked_on(connection: tuple[socket.socket, socket.socket]) -> None:
    client, server = connection
    asked = Asked()
    asked.ask(server)
    client.sendall(b"the next request, sent ahead")
    assert asked.ask(server) == b"{}"
    assert (asked.begun, asked.status) == (2, "201 Created")


def test_nothing_is_begun_for_a_client_that_has_left(connection: tuple[socket.socket, socket.socket]) -> None:
    client, server = connection
    client.sendall(b"a request that is in the queue")
    client.close()
    assert departed(server)
    asked = Asked()
    assert b"CLIENT_LEFT" in asked.ask(server)
    assert (asked.begun, asked.status) == (0, "503 Service Unavailable")


def test_a_connection_that_was_reset_is_a_client_that_has_left(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, server = connection
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert departed(server)


def test_what_is_no_tcp_connection_is_asked_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert not has_left(ours)
    assert not has_left(None)
