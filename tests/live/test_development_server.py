"""The same feed on threads, as a development server runs it; and its time limits, shortened."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from flask import Flask
from websockets.exceptions import ConnectionClosed
from werkzeug.serving import make_server

from app import live
from app.live import client_socket, server
from app.live.client_socket import INBOUND_BURST_BYTES, ClientSocket, TooTalkative
from app.settings import Settings
from app.sign_ins import SignIns
from app.storage.api_keys import PostgresApiKeys
from app.storage.transaction import Database
from app.wiring import SystemClock
from local.memory import free_port
from tests.live.desk import Desk
from tests.live.listeners import Floor, eventually
from tests.live.raw_client import next_seq, raw_client, sign_in


@contextmanager
def development_server(settings: Settings) -> Iterator[str]:
    """Werkzeug's server on threads, with the feed attached. Yields its address."""
    app = Flask("development")
    database = Database(settings.sqlalchemy_url("api"), pool_size=2)
    surroundings = SimpleNamespace(settings=settings, ports=SimpleNamespace(clock=SystemClock()))
    live.attach(app, surroundings, SignIns(PostgresApiKeys(database)))
    port = free_port()
    serving = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        app.extensions["live"].end()
        serving.shutdown()
        serving.server_close()
        thread.join(10)
        database.close()


@pytest.fixture
def own_desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    yield desk
    desk.close()


def test_it_serves_on_threads(own_desk: Desk, floor: Floor) -> None:
    trader = own_desk.trader()
    own_desk.commit(trader, 300)
    with development_server(own_desk.settings) as url:
        listeners = [floor.listener(url, {"token": trader.key, "last_seq": 0}).connect() for _ in range(5)]
        for _ in range(20):
            own_desk.commit(trader, 5)
        for listener in listeners:
            listener.wait_for(400)
            assert listener.seqs == list(range(1, 401))
        own_desk.revoke(trader.key)
        eventually(lambda: all(listener.disconnects for listener in listeners), 4)


def test_a_client_that_shows_no_key_is_sent_away(own_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SECONDS_TO_SHOW_A_KEY", 0.5)
    trader = own_desk.trader()
    with development_server(own_desk.settings) as url:
        with raw_client(url) as known, raw_client(url) as stranger, raw_client(url) as refused:
            sign_in(known, token=trader.key)
            refused.send('40{"token":"sk_wrong"}')
            assert "API_KEY_INVALID" in str(refused.recv(5))
            for each in (stranger, refused):
                with pytest.raises(ConnectionClosed):
                    each.recv(5)
            own_desk.commit(trader)
            assert next_seq(known) == 1


def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "SILENCE_SECONDS", 0.3)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = ClientSocket(ours)
        too_much = b"x" * (64 << 20)  # more than any socket buffer holds
        with pytest.raises(BrokenPipeError):
            client.send(too_much)
        with pytest.raises(BrokenPipeError):
            client.send(b"and nothing more")
        assert client.recv(10) == b""


def test_a_client_that_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "SILENCE_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OSError, match="timed out"):
        ClientSocket(ours).recv(10)


def test_a_client_that_says_too_much_is_cut_off() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = ClientSocket(ours)
        for _ in range(INBOUND_BURST_BYTES // 1024):
            theirs.sendall(b"x" * 1024)
            client.recv(4096)
        theirs.sendall(b"x" * 1024)
        with pytest.raises(TooTalkative):
            client.recv(4096)


def test_several_writers_never_mix_their_frames() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = ClientSocket(ours)
        writers = [
            threading.Thread(target=lambda letter=letter: [client.send(letter * 70_000) for _ in range(10)])
            for letter in (b"a", b"b", b"c")
        ]
        for writer in writers:
            writer.start()
        received = bytearray()
        while len(received) < 3 * 10 * 70_000:
            received += theirs.recv(1 << 16)
        for writer in writers:
            writer.join()
        for start in range(0, len(received), 70_000):
            assert len(set(received[start : start + 70_000])) == 1
