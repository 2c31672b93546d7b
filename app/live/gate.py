"""Only WebSocket handshakes reach Socket.IO; everybody else is told so in the form of every other error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

PATH = "/socket.io"

_PROBLEM = msgspec.json.encode(
    {
        "type": "about:blank",
        "title": "WebSocket only",
        "status": 400,
        "detail": "Live updates come over Socket.IO with the WebSocket transport only.",
        "code": "WEBSOCKET_ONLY",
        "suggestion": 'Connect with {transports: ["websocket"]}, or poll GET /api/v1/events.',
        "errors": [],
    }
)


class Application(Protocol):
    """A WSGI application."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any], /) -> Iterable[bytes]: ...


class Gate:
    """Stands before the Socket.IO server, which would answer half a handshake with a traceback."""

    def __init__(self, inside: Application) -> None:
        self._inside = inside

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any], /) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if (path == PATH or path.startswith(f"{PATH}/")) and not _is_handshake(environ):
            start_response(
                "400 Bad Request",
                [("Content-Type", "application/problem+json"), ("Content-Length", str(len(_PROBLEM)))],
            )
            return [_PROBLEM]
        return self._inside(environ, start_response)


def _is_handshake(environ: dict[str, Any]) -> bool:
    connection = [word.strip() for word in environ.get("HTTP_CONNECTION", "").lower().split(",")]
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and "upgrade" in connection
        and parse_qs(environ.get("QUERY_STRING", "")).get("transport") == ["websocket"]
    )
