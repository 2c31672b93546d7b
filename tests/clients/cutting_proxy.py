"""Between an example and Surefill: what submits an order is passed on, and its answer is lost on the way back."""

from __future__ import annotations

import re
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

Cut = Literal["reset", "close", "half the body"]
"""What becomes of an answer: a TCP reset, an end without a byte, or its headers and half of its body."""

_SUBMIT = b"POST /api/v1/orders "


@contextmanager
def cutting(url: str, *cuts: Cut) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the key of each submit. The first submits meet `cuts`, everything else is passed on."""
    remaining, keys, ended = list(cuts), list[str](), threading.Event()
    target = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def relay(client: socket.socket) -> None:
            with client, socket.create_connection((target.hostname, target.port or 80)) as server:
                other = {client: server, server: client}
                while not ended.is_set():
                    for side in select.select([client, server], [], [], 0.05)[0]:
                        try:
                            data = side.recv(65536)
                            if side is client and data.startswith(_SUBMIT):
                                data = _whole(client, data)
                                keys.append(_key(data))
                                if remaining:
                                    server.sendall(data)
                                    _answer(client, _whole(server, b""), remaining.pop(0))
                                    return
                            if not data:
                                return
                            other[side].sendall(data)
                        except ConnectionError:
                            return

        def accept() -> None:
            while not ended.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                relays.append(threading.Thread(target=relay, args=(client,), daemon=True))
                relays[-1].start()

        relays: list[threading.Thread] = []
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", keys
        finally:
            ended.set()
            accepting.join()
            for each in relays:
                each.join()


def _whole(sock: socket.socket, data: bytes) -> bytes:
    """One message with headers and a body of the length they name."""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if found and len(body) >= int(length[1] if length else 0):
            return data
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("ended within a message")
        data += more


def _key(request: bytes) -> str:
    found = re.search(rb"(?i)\r\nidempotency-key: *([^\r]*)", request)
    assert found is not None
    return found[1].decode()


def _answer(client: socket.socket, answer: bytes, cut: Cut) -> None:
    if cut == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif cut == "half the body":
        head, _, body = answer.partition(b"\r\n\r\n")
        client.sendall(head + b"\r\n\r\n" + body[: len(body) // 2])
