"""A client below the client libraries: it says what no library would."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

PATH = "/socket.io/?EIO=4&transport=websocket"


@contextmanager
def raw_client(url: str, **options: Any) -> Iterator[ClientConnection]:
    """An open WebSocket whose Engine.IO handshake has been read."""
    with connect(
        f"ws{url.removeprefix('http')}{PATH}", ping_interval=None, close_timeout=1, max_size=None, **options
    ) as connection:
        opened = connection.recv(5)
        assert isinstance(opened, str)
        assert opened.startswith("0")
        yield connection


def sign_in(client: ClientConnection, **auth: Any) -> int:
    """Connect to the default namespace. Returns the head of `ready`."""
    client.send(f"40{json.dumps(auth)}")
    assert next_message(client).startswith('40{"sid"')
    name, data = json.loads(next_message(client).removeprefix("42"))
    assert name == "ready"
    return int(data["head_seq"])


def next_message(client: ClientConnection, seconds: float = 5.0) -> str:
    """The next text that is no ping."""
    deadline = time.monotonic() + seconds
    while True:
        message = client.recv(max(0.0, deadline - time.monotonic()))
        assert isinstance(message, str)
        if message == "2":
            client.send("3")
        else:
            return message


def next_seq(client: ClientConnection, seconds: float = 5.0) -> int:
    """The seq of the next event."""
    name, data = json.loads(next_message(client, seconds).removeprefix("42"))
    assert name == "order"
    return int(data["seq"])


def plain_socket(url: str, receive_buffer: int | None = None) -> socket.socket:
    """A TCP connection to the web process."""
    address = urlsplit(url)
    assert address.hostname is not None
    made = socket.socket()
    if receive_buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.connect((address.hostname, address.port))
    return made
