"""A server that sends whatever bytes it is told to, at whatever pace, and closes where it is told to."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Literal, Self

End = Literal["keep", "close", "reset", "hold"]
"""After the last byte: go on with the next request, close, close with a TCP reset, or stay silent and open."""


@dataclass(frozen=True)
class Request:
    """One HTTP request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What one request meets. `pause` seconds lie before each chunk but the first."""

    chunks: Iterable[bytes] | Callable[[Request], Iterable[bytes]]
    pause: float = 0.0
    end: End = "keep"
    reads_request: bool = True
    """False: it acts as soon as the connection stands."""


def http(
    status: int,
    body: bytes,
    *,
    content_type: str = "application/json",
    headers: Sequence[tuple[str, str]] = (),
    length: int | None = None,
) -> bytes:
    """An HTTP answer; `length` lies about the body's."""
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status != 204:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def websocket_handshake(request: Request) -> bytes:
    magic = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(magic.encode(), usedforsecurity=False).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def websocket_frame(payload: bytes, *, binary: bool = False) -> bytes:
    opcode = 0x82 if binary else 0x81
    if len(payload) < 126:
        return struct.pack("!BB", opcode, len(payload)) + payload
    if len(payload) < 65536:
        return struct.pack("!BBH", opcode, 126, len(payload)) + payload
    return struct.pack("!BBQ", opcode, 127, len(payload)) + payload


class ScriptedWire:
    """Listens on a free loopback port. Each request takes the next reply of the script; without one it is held."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.script: deque[Reply] = deque()
        self.requests: list[Request] = []
        self.connections = 0
        self._stop = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def reply(self, *replies: Reply | bytes) -> None:
        self.script.extend(Reply([each]) if isinstance(each, bytes) else each for each in replies)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for sock in (self._listener, *self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits in accept or recv
            except OSError:
                continue  # that side has ended already
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock, sock.makefile("rb") as reader:
                while self._one(sock, reader):
                    pass
        except OSError:
            return  # the client hung up, which is what most of these tests make it do

    def _one(self, sock: socket.socket, reader: BinaryIO) -> bool:
        """Serve one request; False when the connection is over."""
        if self.script and not self.script[0].reads_request:
            return self._play(sock, self.script.popleft(), None)
        request = _read_request(reader)
        if request is None:
            return False
        self.requests.append(request)
        return self._play(sock, self.script.popleft() if self.script else Reply([], end="hold"), request)

    def _play(self, sock: socket.socket, reply: Reply, request: Request | None) -> bool:
        if callable(reply.chunks):
            assert request is not None
            chunks = reply.chunks(request)
        else:
            chunks = reply.chunks
        for position, chunk in enumerate(chunks):
            if position and reply.pause and self._stop.wait(reply.pause):
                return False
            sock.sendall(chunk)
        if reply.end == "hold":
            self._stop.wait()
        if reply.end == "close":
            # Closing with bytes unread would be a reset, and take back what was sent.
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(2.0)
            while sock.recv(65536):
                pass
        if reply.end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.end == "keep"


def _read_request(reader: BinaryIO) -> Request | None:
    lines: list[str] = []
    for line in reader:
        if line == b"\r\n":
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    else:
        return None
    method, target, _ = lines[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", "0"))
    body = reader.read(length) if length else b""
    return Request(method, target, headers, body)
