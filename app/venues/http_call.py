"""One HTTP request, one answer or one named failure, within one deadline.

urllib3 does the HTTP. What it does not do, and what an order's safety needs, is here: its read time-out starts again
with every byte received, and the operating system's name look-up has none at all; so a peer that drips one byte a
second could hold a worker far past its lease. `_DeadlineSocket` and `open_connection` bound the whole exchange.
"""

from __future__ import annotations

import io
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ssl import CertificateError, SSLError
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError

_CHUNK_BYTES = 65536
_DEADLINE_PRECISION_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer: headers and every byte of the body arrived."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallFailed:
    """There is no complete answer. `nothing_sent` is True only where not one byte of the request left."""

    code: str
    message: str
    detail: str
    nothing_sent: bool = False


class HttpCaller:
    """Kept connections to one host. Never repeats a request, never follows a redirect.

    For one thread of one process: make it after a fork, not before.
    """

    def __init__(self, base_url: str, *, connect_seconds: float) -> None:
        """`base_url` may carry a path, which is put in front of every target.

        Raises ValueError when it is not an http or https URL.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an http or https URL: {base_url!r}")
        pool = _PlainPool if url.scheme == "http" else _TlsPool
        self._pool = pool(url.hostname, url.port, maxsize=1, block=False)
        self._prefix = url.path.rstrip("/")
        self._connect_seconds = connect_seconds

    def call(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        deadline: float,
        max_bytes: int,
        body: bytes | None = None,
    ) -> HttpAnswer | CallFailed:
        """Send one request and read its whole answer until `deadline` (`time.monotonic` seconds)."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return CallFailed("VENUE_TIMEOUT", "The venue took too long to answer.", "no time left", nothing_sent=True)
        try:
            response = self._pool.urlopen(
                method,
                self._prefix + target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                timeout=urllib3.Timeout(total=remaining, connect=min(remaining, self._connect_seconds)),
            )
            try:
                content = _read_all(response, max_bytes, deadline)
            finally:
                # A body that was read to its end has given its connection back by itself; any other is thrown away,
                # because the next answer on it would be this one's rest.
                response.close()
        except (HTTPError, TimeoutError) as error:
            return _failure_of(error)
        if content is None:
            return CallFailed(
                "VENUE_ANSWER_UNREADABLE",
                "The venue's answer was too long to be one.",
                f"HTTP {response.status}, more than {max_bytes} bytes",
            )
        return HttpAnswer(response.status, content, response.headers)

    def close(self) -> None:
        """End all connections."""
        self._pool.close()


def _read_all(response: urllib3.BaseHTTPResponse, max_bytes: int, deadline: float) -> bytes | None:
    """The body, decompressed; None when it is longer than `max_bytes`. Raises `TimeoutError` after `deadline`."""
    chunks: list[bytes] = []
    length = 0
    while chunk := response.read(_CHUNK_BYTES):
        length += len(chunk)
        if length > max_bytes:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError("decompressing took too long")  # the socket has no part in it, so it cannot tell
        chunks.append(chunk)
    return b"".join(chunks)


def _failure_of(error: HTTPError | TimeoutError) -> CallFailed:
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        return CallFailed("VENUE_UNREACHABLE", "The venue could not be reached.", detail, nothing_sent=True)
    if isinstance(error, (ReadTimeoutError, TimeoutError)) or _caused_by_timeout(error):
        return CallFailed("VENUE_TIMEOUT", "The venue took too long to answer.", detail)
    return CallFailed("VENUE_CONNECTION_LOST", "The connection to the venue was lost before its answer came.", detail)


def _caused_by_timeout(error: HTTPError) -> bool:
    """True when urllib3 wrapped a time-out of sending, which it reports as an aborted connection."""
    return any(isinstance(cause, TimeoutError) for cause in (*error.args, error.__cause__, error.__context__))


# --- connections whose time-out is a deadline ------------------------------------------------------------------------


def open_connection(
    host: str,
    port: int,
    seconds: float,
    options: Sequence[tuple[Any, ...]] = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
) -> socket.socket:
    """A connected TCP socket within `seconds`, the name look-up included; its time-out is what is left of them.

    Raises TimeoutError, `socket.gaierror` or another OSError.
    """
    deadline = time.monotonic() + seconds
    addresses = _resolve(host, port, seconds)
    last_error: OSError = OSError(f"{host} has no address")
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"no connection to {host} within {seconds:g} s") from last_error
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            # One black-holed address must leave time for the others.
            sock.settimeout(remaining / (len(addresses) - position))
            sock.connect(address)
        except OSError as error:
            sock.close()
            last_error = error
            continue
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        return sock
    raise last_error


def _resolve(host: str, port: int, seconds: float) -> list[tuple[Any, ...]]:
    """`socket.getaddrinfo` within `seconds`. It has no time-out: a name is looked up in a thread, left if slow."""
    bare_host = host.strip("[]")
    try:
        ipaddress.ip_address(bare_host)
    except ValueError:
        pass  # a name: looked up below
    else:
        return list(socket.getaddrinfo(bare_host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST))
    outcome: queue.SimpleQueue[list[tuple[Any, ...]] | OSError | UnicodeError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            outcome.put(list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            outcome.put(error)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        found = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no address of {host} within {seconds:g} s") from None
    if isinstance(found, UnicodeError):
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is not a host name") from found
    if isinstance(found, OSError):
        raise found
    return found


class _DeadlineReader(io.RawIOBase):
    """The receiving side of a `_DeadlineSocket`."""

    def __init__(self, sock: _DeadlineSocket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.allow_only_what_remains()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            super().close()


class _DeadlineSocket:
    """A socket whose `settimeout` bounds everything that follows it together, instead of each system call anew.

    Has the methods that urllib3 and http.client use of a connected socket, plain or TLS.
    """

    def __init__(self, sock: Any, seconds: float) -> None:
        self._sock = sock
        self._set_seconds = -1.0
        self.settimeout(seconds)

    def settimeout(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def allow_only_what_remains(self) -> None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        # Setting it is a system call, so a time-out that is right within a few milliseconds stays.
        if abs(remaining - self._set_seconds) > _DEADLINE_PRECISION_SECONDS:
            self._sock.settimeout(remaining)
            self._set_seconds = remaining

    def sendall(self, data: Any) -> None:
        self.allow_only_what_remains()
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self, self._sock.makefile(mode, buffering=0)))

    def fileno(self) -> int:
        number: int = self._sock.fileno()
        return number

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def close(self) -> None:
        self._sock.close()


class _DeadlineConnection(HTTPConnection):
    """Every failure before the connection stands is a `NewConnectionError` or a `ConnectTimeoutError`."""

    def _new_conn(self) -> socket.socket:
        try:
            return open_connection(
                self._dns_host, self.port or self.default_port, self._seconds(), self.socket_options or ()
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error

    def connect(self) -> None:
        start = time.monotonic()
        try:
            super().connect()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection to {self.host} within {self.timeout} s") from error
        except (OSError, SSLError, CertificateError) as error:
            raise NewConnectionError(self, f"no connection to {self.host}: {error}") from error
        self.sock = _DeadlineSocket(self.sock, self._seconds() - (time.monotonic() - start))

    def _seconds(self) -> float:
        if self.timeout is None:
            raise ValueError("a connection to a venue needs a time-out")
        return self.timeout


class _DeadlineTlsConnection(_DeadlineConnection, HTTPSConnection):
    """The same over TLS: the method resolution order puts the deadline around urllib3's handshake."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTlsConnection
