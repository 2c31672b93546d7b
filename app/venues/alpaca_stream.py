"""Alpaca's live order updates over one WebSocket.

The stream has no replay and can go silent without closing. So everything that is not a clean update ends it with
`StreamLost`, and the caller fills the gap over REST: a lost connection, a missing pong, a frame that cannot be read.
An answered ping proves that the connection lives, not that no update was dropped: back-fill on a timer as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from app.domain.venue_answers import TradeUpdate
from app.venues import alpaca_wire as wire
from app.venues.alpaca_wire import Nonsense, Unreadable
from app.venues.http_call import open_connection
from app.venues.port import StreamLost

T = TypeVar("T")

_FRAME_BYTES = 1_000_000
_FRAMES_BUFFERED = 256  # more wait in the kernel: the venue slows down, our memory does not grow
_UPDATES_AT_ONCE = 1000  # so that a flood cannot keep the caller from its other work
_CLOSE_SECONDS = 0.2  # there is nothing left to say, and a lost stream must be replaced at once
_PORTS = {"ws": 80, "wss": 443}


class AlpacaTradeStream:
    """One subscription to `trade_updates`. After `StreamLost`, `connect` begins anew. For one thread."""

    def __init__(
        self,
        *,
        stream_url: str,
        key_id: str,
        secret_key: str,
        timeout_seconds: float,
        ping_seconds: float = 5.0,
        pong_seconds: float = 5.0,
    ) -> None:
        """`timeout_seconds` bounds `connect` as a whole; silence is noticed after `ping_seconds` + `pong_seconds`.

        Raises ValueError when the URL is not a ws or wss URL.
        """
        url = urlsplit(stream_url)
        if url.scheme not in _PORTS or not url.hostname:
            raise ValueError(f"not a ws or wss URL: {stream_url!r}")
        self._url = stream_url
        self._host = url.hostname
        self._port = url.port or _PORTS[url.scheme]
        self._key_id = key_id
        self._secret_key = secret_key
        self._timeout_seconds = timeout_seconds
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        self._connection: ClientConnection | None = None
        self._closing = ExitStack()

    def connect(self) -> None:
        """Connect, authenticate, subscribe. Raises `StreamLost` when that fails or takes longer than the time-out."""
        self.close()
        deadline = time.monotonic() + self._timeout_seconds
        try:
            self._connection = self._open(deadline)
        except (OSError, EOFError, ValueError, WebSocketException) as error:
            raise StreamLost(f"no stream: {type(error).__name__}: {self._without_secrets(str(error))}") from error
        self._send({"action": "authenticate", "data": {"key_id": self._key_id, "secret_key": self._secret_key}})
        authorization = self._first("authorization", deadline)
        if self._read(wire.AUTHORIZATION, authorization).status != "authorized":
            self._lose("VENUE_UNAUTHORIZED: the venue did not accept our credentials for its stream")
        self._send({"action": "listen", "data": {"streams": ["trade_updates"]}})
        listening = self._first("listening", deadline)
        if "trade_updates" not in self._read(wire.LISTENING, listening).streams:
            self._lose("the venue does not send us trade updates")

    def updates(self, wait_seconds: float) -> Iterator[TradeUpdate]:
        """Yield what has arrived, waiting at most that long for the first. Raises `StreamLost`.

        An update may be about an order that is not ours, and may come twice or out of order.
        """
        wait = wait_seconds
        for _ in range(_UPDATES_AT_ONCE):
            frame = self._receive(wait)
            if frame is None:
                return
            wait = 0.0
            if frame.stream == "authorization":
                self._lose("the venue ended our authorization")
            if frame.stream != "trade_updates":
                continue  # a stream we did not ask for has nothing to say about orders
            update = self._read(wire.UPDATE, frame.data)
            if wire.is_strategy(update.order):
                continue  # as the lists do: no report can be made of it, and it costs us nothing
            try:
                believed = wire.update_of(update)
            except Nonsense as error:
                self._lose(f"VENUE_ANSWER_NONSENSE: {error}", error)
            yield believed

    def close(self) -> None:
        """End the connection; harmless when there is none."""
        self._connection = None
        self._closing.close()

    # --- the connection ---------------------------------------------------------------------------------------------

    def _open(self, deadline: float) -> ClientConnection:
        sock = open_connection(self._host, self._port, self._timeout_seconds)
        sock.settimeout(None)  # from here on the WebSocket's own time-outs hold
        with ExitStack() as undo:
            undo.callback(sock.close)
            connection = self._closing.enter_context(
                connect(
                    self._url,
                    sock=sock,
                    proxy=None,
                    compression=None,
                    open_timeout=max(deadline - time.monotonic(), 0.001),
                    ping_interval=self._ping_seconds,
                    ping_timeout=self._pong_seconds,
                    close_timeout=_CLOSE_SECONDS,
                    max_size=_FRAME_BYTES,
                    max_queue=_FRAMES_BUFFERED,
                )
            )
            undo.pop_all()
        return connection

    def _send(self, message: dict[str, object]) -> None:
        try:
            self._live().send(msgspec.json.encode(message).decode())
        except (OSError, WebSocketException) as error:
            self._lose(f"the stream broke: {error}", error)

    def _first(self, stream: str, deadline: float) -> msgspec.Raw:
        """The first frame of that stream; others may come before it."""
        while True:
            frame = self._receive(max(deadline - time.monotonic(), 0.0))
            if frame is None:
                self._lose(f"the venue did not answer with {stream} in time")
            elif frame.stream == stream:
                return frame.data

    def _receive(self, wait_seconds: float) -> wire.FrameWire | None:
        """The next frame; None when none has come within the wait."""
        try:
            # Paper hosts send binary frames, live hosts text: bytes of JSON either way.
            content = self._live().recv(timeout=wait_seconds, decode=False)
        except TimeoutError:
            return None
        except (OSError, EOFError, WebSocketException) as error:
            self._lose(f"the stream broke: {error}", error)
        return self._read(wire.FRAME, content)

    def _read(self, decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> T:
        try:
            return wire.decode(decoder, content)
        except Unreadable as error:
            self._lose(f"VENUE_ANSWER_UNREADABLE: {error}", error)

    def _live(self) -> ClientConnection:
        if self._connection is None:
            raise StreamLost("the stream is not connected")
        return self._connection

    def _lose(self, why: str, cause: Exception | None = None) -> NoReturn:
        self.close()
        raise StreamLost(self._without_secrets(why)) from cause

    def _without_secrets(self, text: str) -> str:
        for secret in (self._secret_key, self._key_id):
            if secret:
                text = text.replace(secret, "***")
        return wire.printable(text, 500)
