"""A server between client and Surefill that loses, cuts, delays and invents answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; its answer is the next of the script, the last one for good."""

    protocol_version = "HTTP/1.1"
    script: list[Reply]
    seen: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((dict(self.headers.items()), body))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        reply(self)

    def say(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class names it so


def cut(request: Request) -> None:
    """The connection ends without an answer."""
    request.close_connection = True
    request.connection.close()


def page(status: int) -> Reply:
    """A gateway's page."""
    return lambda request: request.say(status, "text/html", b"<h1>gateway</h1>")


def document(status: int, value: object, content_type: str = "application/json") -> Reply:
    return lambda request: request.say(status, content_type, json.dumps(value).encode())


def problem(status: int, code: str) -> Reply:
    """What Surefill says when it refuses."""
    return document(
        status,
        {"type": "", "title": "", "status": status, "detail": "No.", "code": code, "suggestion": "Do.", "errors": [
            {"field": "quantity", "code": code, "message": "No.", "suggestion": "Do."}], "request_id": "r"},
        "application/problem+json",
    )  # fmt: skip


@contextmanager
def scripted(*script: Reply) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Its address, and the requests it has seen."""
    handler = type("Scripted", (Request,), {"script": list(script), "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.seen  # type: ignore[attr-defined] # set above
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
