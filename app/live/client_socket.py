"""The WebSocket of one client, as Engine.IO drives it: whole writes, few words from the client, no endless waiting.

It stands in for engineio's own adapter of simple-websocket, which trusts the client further than a public port may:
it writes with `send`, which under gevent may write a part only and so breaks the stream of a slow client; it waits
without end for a peer that is gone; and it buffers whatever the client sends.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import simple_websocket
from wsproto.utilities import ProtocolError

from app.live.client_messages import LONGEST_MESSAGE, understood

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

# Both gunicorn and Werkzeug hand the connection over under their own name.
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")

PING_INTERVAL_SECONDS = 10
PING_TIMEOUT_SECONDS = 15
SILENCE_SECONDS = PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS + 5
"""A client answers every ping, so nothing heard for this long, or nothing taken for this long, is the end."""

INBOUND_BURST_BYTES = 16 * 1024
INBOUND_BYTES_PER_SECOND = 512
"""A client answers pings (7 bytes) and reconnects now and then. Whoever says much more floods."""


class TooTalkative(OSError):
    """A client sends more than any honest one has to say."""


class ClientSocket:
    """The part of a socket that simple-websocket uses, with bounds."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._writing = threading.Lock()
        self._allowance = float(INBOUND_BURST_BYTES)
        self._counted_at = time.monotonic()
        socket.settimeout(SILENCE_SECONDS)

    def send(self, data: bytes) -> int:
        """Write all of it, or break the connection: half a frame must never be followed by another.

        Raises BrokenPipeError, whatever the reason.
        """
        with self._writing:
            try:
                self._socket.sendall(data)
            except OSError as error:
                self._break()
                raise BrokenPipeError(str(error)) from error
        return len(data)

    def recv(self, size: int) -> bytes:
        """Some bytes, none at the end. Raises OSError: gone, silent, or TooTalkative."""
        data: bytes = self._socket.recv(size)
        now = time.monotonic()
        refill = (now - self._counted_at) * INBOUND_BYTES_PER_SECOND
        self._allowance = min(self._allowance + refill, INBOUND_BURST_BYTES) - len(data)
        self._counted_at = now
        if self._allowance < 0:
            log.warning("a live client was cut off: it sends more than a listener has to say")
            self._break()
            raise TooTalkative
        return data

    def close(self) -> None:
        """Close the connection, whoever else still holds the socket."""
        self._break()
        self._socket.close()

    def _break(self) -> None:
        try:
            self._socket.shutdown(2)  # SHUT_RDWR: whoever waits to read wakes up too
        except OSError:
            log.debug("the connection was already gone")


class ClientWebSocket:
    """What engineio calls "websocket": made with its handler, called with the request, then driven by it."""

    def __init__(self, handler: Any, server: object) -> None:
        self._handler = handler

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ = dict(environ)
        # Compression would cost a socket 300 kB and every event some CPU, for frames that are otherwise shared.
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        name = next(name for name in _SOCKETS if name in environ)
        self._socket = environ[name] = ClientSocket(environ[name])
        try:
            self._websocket = simple_websocket.Server(
                environ,
                max_message_size=LONGEST_MESSAGE,
                thread_class=functools.partial(threading.Thread, daemon=True),
            )
        except (ProtocolError, simple_websocket.ConnectionError):
            # engineio keeps a record of the client from before this handshake
            self._handler.__self__.close(wait=False, abort=True)
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [b"This is no WebSocket handshake."]
        answer: Iterable[bytes] = self._handler(self)
        if self._websocket.mode == "gunicorn":
            raise StopIteration  # how gunicorn is told that the connection has been dealt with
        if self._websocket.mode == "werkzeug":
            raise ConnectionError
        return answer

    def send(self, data: str | bytes) -> None:
        """Send a text message, or bytes that are frames already. Raises OSError."""
        if isinstance(data, bytes):
            if not self._websocket.connected:
                raise OSError("the client has left")
            self._socket.send(data)
            return
        try:
            self._websocket.send(data)
        except simple_websocket.ConnectionClosed as error:
            raise OSError("the client has left") from error

    def wait(self) -> str | None:
        """The next message that is understood; None when the client has left."""
        while True:
            try:
                message = understood(self._websocket.receive())
            except simple_websocket.ConnectionClosed:
                return None
            if message is not None:
                return message

    def close(self) -> None:
        """Say goodbye, unless the client has left already."""
        if self._websocket.connected:
            self._websocket.close()
