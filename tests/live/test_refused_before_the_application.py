"""What gunicorn refuses by itself, because it is no request that the application could be given."""

from __future__ import annotations

import json
import logging
import socket
from http import HTTPStatus
from typing import Any, cast

import msgspec
import pytest
from gunicorn.config import Config  # type: ignore[import-untyped] # it has no types
from gunicorn.http.errors import InvalidResponseHeader  # type: ignore[import-untyped] # it has no types

from app.api.shapes import ProblemDocument
from app.http_worker import HttpWorker, problem_answer
from app.settings import Settings
from tests.live.raw_client import plain_socket
from tests.live.serving import Web

SECRET = "sk_secret_that_was_mistyped"
"""What must not be repeated."""


def asked(url: str, request: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Status line and headers, and the document, of an answer after which the connection ends."""
    with plain_socket(url) as client:
        client.settimeout(10)
        client.sendall(request)
        said = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["Content-Type"] == "application/problem+json", said
    assert int(headers["Content-Length"]) == len(body)
    return {"": status, **headers}, json.loads(body)


@pytest.mark.parametrize(
    ("request_line", "rest", "status", "code"),
    [
        (f"GET /api/v1/orders?cursor={SECRET}{'x' * 9000} HTTP/1.1", "", 414, "REQUEST_LINE_TOO_LONG"),
        ("GET /api/v1/orders HTTP/1.1", f"Cookie: {SECRET}{'x' * 300_000}\r\n", 431, "HEADERS_TOO_LARGE"),
        ("GET /api/v1/orders HTTP/1.1", f"A: {SECRET}\r\n" * 70, 431, "HEADERS_TOO_LARGE"),
        ("GET /api/v1/orders HTTP/1.1", f"Authorization Bearer {SECRET}\r\n", 400, "BAD_REQUEST"),
        ("GET /api/v1/orders HTTP/1.1", f"Authorization: Bearer\r\n {SECRET}\r\n", 400, "BAD_REQUEST"),
        (f"GET /api/v1/orders {SECRET}", "", 400, "BAD_REQUEST"),
        (f"{SECRET}", "", 400, "BAD_REQUEST"),
        ("POST /api/v1/orders HTTP/1.1", f"Expect: {SECRET}\r\n", 417, "EXPECTATION_FAILED"),
        ("POST /api/v1/orders HTTP/1.1", f"Transfer-Encoding: {SECRET}\r\n", 501, "TRANSFER_CODING_NOT_SUPPORTED"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_with_a_problem_that_repeats_nothing_of_it(
    served: tuple[Settings, Web], request_line: str, rest: str, status: int, code: str
) -> None:
    web = served[1]
    headers, problem = asked(web.url, f"{request_line}\r\nHost: x\r\n{rest}\r\n".encode())
    assert headers[""] == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    assert (headers["Connection"], headers["Cache-Control"]) == ("close", "no-store")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (problem["status"], problem["code"], problem["errors"]) == (status, code, [])
    assert problem["request_id"] is None and problem["detail"] and problem["suggestion"]
    assert "{" not in problem["detail"]
    assert SECRET not in str(problem)
    assert SECRET not in web.said()


def test_a_refusal_has_the_fields_of_every_problem() -> None:
    body = problem_answer(400, "BAD_REQUEST", "no", "try").partition(b"\r\n\r\n")[2]
    document = msgspec.json.decode(body, type=ProblemDocument)
    assert json.loads(msgspec.json.encode(document)) == json.loads(body)
    assert document.type == "urn:surefill:problem:bad-request"


class Connection:
    """Another end that has asked all it wanted to, and keeps what it is told."""

    def __init__(self) -> None:
        self.told = b""

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        self.told += data

    def shutdown(self, how: int) -> None: ...

    def recv(self, most: int) -> bytes:
        return b""


@pytest.mark.parametrize("fault", [RuntimeError("broken"), InvalidResponseHeader("one of ours")])
def test_a_fault_of_ours_is_told_and_logged_as_one(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    worker, connection = HttpWorker.__new__(HttpWorker), Connection()
    worker.log, worker.cfg = logging.getLogger("gunicorn.error"), Config()
    worker.handle_error(None, cast("socket.socket", connection), ("127.0.0.1", 1), fault)
    head, _, body = connection.told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert json.loads(body)["code"] == "INTERNAL_ERROR"
    [line] = caplog.records
    assert line.levelname == "ERROR" and line.exc_info and line.exc_info[1] is fault


def test_what_a_worker_says_is_in_the_form_of_the_log(served: tuple[Settings, Web]) -> None:
    web = served[1]
    asked(web.url, b"nonsense\r\n\r\n")
    said = web.said()
    assert "Logging error" not in said
    line = json.loads(said.splitlines()[-1])
    assert (line["logger"], line["status"], line["code"]) == ("gunicorn.error", 400, "BAD_REQUEST")
