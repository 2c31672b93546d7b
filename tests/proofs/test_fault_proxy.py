"""The proxy does to connections what it says: in one direction or both, and calm again afterwards."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from proofs.fault_proxy import FaultProxies, Weather


class Echo:
    """A server that answers each byte with the same byte; counts connections and says what it heard."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.heard += data
                connection.sendall(data)
        self.ended.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxies(echo: Echo) -> Iterator[FaultProxies]:
    with FaultProxies() as made:
        made.add("echo", "127.0.0.1", echo.port)
        yield made


@pytest.fixture
def client(proxies: FaultProxies) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxies.port("echo")), timeout=5) as connection:
        assert said(connection, b"hello") == b"hello"
        yield connection


def said(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    answer = b""
    while len(answer) < len(text):
        answer += client.recv(65536)
    return answer


def test_bytes_pass_unchanged_and_ends_are_passed_on(client: socket.socket, echo: Echo) -> None:
    blob = bytes(range(256)) * 2000
    assert said(client, blob) == blob
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert echo.ended.wait(5)


@pytest.mark.parametrize("towards", ["to_server", "to_client"])
def test_latency_is_of_one_direction(proxies: FaultProxies, client: socket.socket, towards: str) -> None:
    proxies.condition("echo", **{towards: Weather(latency=0.2)})
    begun = time.monotonic()
    said(client, b"x")
    assert 0.19 <= time.monotonic() - begun < 0.39, "once, not twice"
    proxies.calm("echo")
    begun = time.monotonic()
    said(client, b"x")
    assert time.monotonic() - begun < 0.19


def test_bandwidth_is_bounded(proxies: FaultProxies, client: socket.socket) -> None:
    proxies.condition("echo", to_client=Weather(bandwidth=100_000))
    begun = time.monotonic()
    said(client, b"x" * 30_000)
    assert time.monotonic() - begun >= 0.25


def test_a_black_hole_holds_bytes_and_gives_them_out_afterwards(
    proxies: FaultProxies, client: socket.socket, echo: Echo
) -> None:
    proxies.black_hole("echo", to_client=False)
    client.sendall(b"late")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.close()  # its sender gives up; what is on the way arrives all the same
    assert bytes(echo.heard) == b"hello"
    proxies.calm("echo")
    assert echo.ended.wait(5)
    assert bytes(echo.heard) == b"hellolate"


def test_new_connections_meet_the_black_hole_too(proxies: FaultProxies) -> None:
    proxies.black_hole("echo")
    with socket.create_connection(("127.0.0.1", proxies.port("echo")), timeout=0.3) as late:
        late.sendall(b"x")
        with pytest.raises(TimeoutError):
            late.recv(1)
        proxies.calm("echo")
        late.settimeout(5)
        assert late.recv(1) == b"x"


def test_a_cut_resets_both_ends(proxies: FaultProxies, client: socket.socket, echo: Echo) -> None:
    assert proxies.cut("echo") == 1
    with pytest.raises(ConnectionError):
        said(client, b"x")
    assert echo.ended.wait(5)


def test_refused_connections_are_reset_and_old_ones_live(proxies: FaultProxies, client: socket.socket) -> None:
    proxies.refuse("echo", refuses=True)
    with (
        pytest.raises(ConnectionError),
        socket.create_connection(("127.0.0.1", proxies.port("echo")), timeout=5) as refused,
    ):
        refused.recv(1)
    assert said(client, b"x") == b"x"


def test_half_open_the_server_is_not_told_that_its_client_is_gone(
    proxies: FaultProxies, client: socket.socket, echo: Echo
) -> None:
    assert proxies.half_open("echo", gone="client") == 1
    with pytest.raises(ConnectionError):
        said(client, b"x")
    assert not echo.ended.wait(0.3)
    proxies.calm("echo")
    assert echo.ended.wait(5)


def test_half_open_the_client_is_not_told_that_its_server_is_gone(
    proxies: FaultProxies, client: socket.socket, echo: Echo
) -> None:
    proxies.half_open("echo", gone="server")
    assert echo.ended.wait(5)
    client.sendall(b"x")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    proxies.calm("echo")
    client.settimeout(5)
    with pytest.raises(ConnectionError):
        client.recv(1)
