"""The web worker: what never becomes a request of the application is refused with a problem document, too.

gunicorn imports this before anything is patched for gevent: nothing of the application may be imported here.
"""

from __future__ import annotations

import contextlib
import json
import socket
from http import HTTPStatus
from typing import Any

import gevent  # type: ignore[import-untyped] # it has no types
from gunicorn.http import errors  # type: ignore[import-untyped] # it has no types
from gunicorn.util import write_nonblock  # type: ignore[import-untyped] # it has no types
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped] # it has no types

_MALFORMED = (
    "BAD_REQUEST",
    "What arrived is not a well-formed HTTP request.",
    "Check the request line and each header: a name, a colon and a value on one line.",
)
_REFUSALS: dict[type[Exception], tuple[int, str, str, str]] = {
    errors.LimitRequestLine: (
        414,
        "REQUEST_LINE_TOO_LONG",
        "The request line is longer than {limits.limit_request_line} bytes.",
        "Ask with fewer or shorter parameters.",
    ),
    errors.LimitRequestHeaders: (
        431,
        "HEADERS_TOO_LARGE",
        "There are more than {limits.limit_request_fields} headers, or one has more than "
        "{limits.limit_request_field_size} bytes.",
        "Send fewer or shorter headers.",
    ),
    errors.ExpectationFailed: (
        417,
        "EXPECTATION_FAILED",
        "The header Expect asks for something that this server does not do.",
        "Leave it out, or say 100-continue.",
    ),
    errors.UnsupportedTransferCoding: (
        501,
        "TRANSFER_CODING_NOT_SUPPORTED",
        "The body is sent in a transfer coding that this server does not take.",
        "Send it with Content-Length, or as Transfer-Encoding: chunked.",
    ),
}
_FAULT = (
    500,
    "INTERNAL_ERROR",
    "Something went wrong on our side; it was written to the log.",
    "Try again; if it happens again, tell the operator when it did.",
)
# What the application or gunicorn's own settings did wrong, although it is of the kind of a parse error.
_OUR_FAULTS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)

# A connection that is closed while the client still sends is reset, and the answer may be lost with it. So what comes
# is read to its end first, within these bounds: who sends for ever is not waited for.
_MOST_PASSED_OVER = 1024 * 1024
_LONGEST_PASSING_OVER_SECONDS = 1.0


class HttpWorker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's worker on gevent, whose own refusals are application/problem+json instead of HTML."""

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer and log what went wrong outside the application.

        Neither the answer nor a refusal's line in the log repeats anything of the request: whoever mistypes a header
        puts a key there, and gunicorn's own sentences quote it.
        """
        if isinstance(exc, gevent.GreenletExit):
            return  # this worker ends, and its client had asked nothing
        refusal = refusal_of(exc)
        status, code, detail, suggestion = refusal or _FAULT
        if refusal is None:
            self.log.error("a request failed outside the application", exc_info=exc)
        else:
            self.log.info("no request: %s", type(exc).__name__, extra={"status": status, "code": code})
        with contextlib.suppress(OSError):  # it has left
            write_nonblock(client, problem_answer(status, code, detail.format(limits=self.cfg), suggestion))
            _pass_over_the_rest(client)


def refusal_of(error: BaseException) -> tuple[int, str, str, str] | None:
    """Status, code, detail and suggestion for what the client did wrong; None where it did nothing wrong."""
    if isinstance(error, _OUR_FAULTS):
        return None
    for kind, refusal in _REFUSALS.items():
        if isinstance(error, kind):
            return refusal
    if isinstance(error, errors.ParseException):
        return (400, *_MALFORMED)
    return None


def problem_answer(status: int, code: str, detail: str, suggestion: str) -> bytes:
    """A whole HTTP answer with the fields of every problem document (app/api/problems.py)."""
    document = {
        "type": f"urn:surefill:problem:{code.lower().replace('_', '-')}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "suggestion": suggestion,
        "errors": [],
        "request_id": None,
    }
    body = json.dumps(document, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def _pass_over_the_rest(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    left = _MOST_PASSED_OVER
    with gevent.Timeout(_LONGEST_PASSING_OVER_SECONDS, False):
        while left > 0 and (piece := client.recv(65536)):
            left -= len(piece)
