"""Request bodies: JSON text -> fields, losing nothing and guessing nothing."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from typing import Any, NoReturn

from flask import g, request
from gevent import Timeout, monkey  # type: ignore[import-untyped] # no types
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped] # it ships none

from app.api.problems import Problem, invalid
from app.api.wording import shown, unknown_field
from app.domain.denials import Denial

LARGEST_BODY = 64 * 1024
BODY_SECONDS = 5.0
"""The whole body arrives within this, or the request ends: a body that trickles must not hold its place for ever."""
JSON_WHITESPACE = b" \t\n\r"
"""RFC 8259, section 2. A body of nothing else counts as none; Python's own notion has a form feed in it too."""
DEEPEST = 16
MOST_UNKNOWN_FIELDS = 20
"""So many are named; a body of thousands must not cost a search for a likeness each."""


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


Value = str | Number | bool | None | list[Any] | dict[str, Any]
Fields = dict[str, Value]


def raw_body() -> bytes:
    """The whole body of this request. Raises Problem 400 when it did not arrive whole; 408, 413, 415."""
    if "raw_body" in g:
        return bytes(g.raw_body)  # it can be read once; a signature is over it, and then it is what is asked for
    body = g.raw_body = _checked()
    return body


def _checked() -> bytes:
    body = _received()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(
            415, "UNSUPPORTED_MEDIA_TYPE", "The body is compressed.", "Send it as it is, without Content-Encoding."
        )
    if body and (
        request.mimetype != "application/json"
        or request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8")
    ):
        kind = shown(request.content_type) if request.content_type else "nothing"
        raise Problem(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"The body must be JSON in UTF-8; its Content-Type says {kind}.",
            "Send JSON with Content-Type: application/json.",
        )
    return body


def _received() -> bytes:
    announced = request.content_length
    if announced is None and not request.environ.get("wsgi.input_terminated"):
        return b""
    if announced is not None and announced > LARGEST_BODY:
        raise _too_large()
    # read here and not by the framework: it takes the part of a body that arrived, or that fits, for the whole
    wanted = LARGEST_BODY + 1 if announced is None else announced
    parts: list[bytes] = []
    received = 0
    # without gevent, in a development server, nothing can interrupt a read
    patience = Timeout(BODY_SECONDS) if monkey.is_module_patched("socket") else None
    try:
        if patience is not None:
            patience.start()
        while received < wanted and (part := request.environ["wsgi.input"].read(wanted - received)):
            parts.append(part)
            received += len(part)
    except Timeout as error:
        if error is not patience:
            raise
        raise _too_slow() from None
    except (OSError, ParseException) as error:  # a connection that broke, and gunicorn's word for a chunk that is none
        raise _incomplete(f"The body could not be read: {shown(str(error)) or 'it broke off'}.") from None
    finally:
        if patience is not None:
            patience.close()
    if received > LARGEST_BODY:
        raise _too_large()
    if announced is not None and received < announced:
        raise _incomplete(f"Only {received} of the body's {announced} bytes have arrived.")
    return b"".join(parts)


def _too_slow() -> Problem:
    # nobody reads the rest: otherwise the server would go on waiting for it before the connection may end
    with contextlib.suppress(KeyError, OSError):
        request.environ["gunicorn.socket"].shutdown(socket.SHUT_RD)
    return Problem(
        408,
        "REQUEST_TIMEOUT",
        f"The body did not arrive within {BODY_SECONDS:g} seconds.",
        "Send it again, all at once.",
    )


def _too_large() -> Problem:
    return Problem(413, "BODY_TOO_LARGE", f"The body is larger than {LARGEST_BODY} bytes.", "Send a smaller body.")


def _incomplete(detail: str) -> Problem:
    return Problem(400, "BODY_INCOMPLETE", detail, "Send the request again, whole.")


def fields_of(body: bytes) -> Fields:
    """The members of a JSON object; numbers keep their text. Raises Problem 400."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _malformed("MALFORMED_JSON", f"The body is not UTF-8: byte {error.start} is wrong.") from None
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise _malformed("NESTED_TOO_DEEP", f"The body is nested more than {DEEPEST} deep.")
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed("MALFORMED_JSON", f"The body is not JSON: {error.msg.lower()} at {where}.") from None
    if not isinstance(value, dict):
        raise _malformed("NOT_AN_OBJECT", "The body is JSON, but not an object.")
    return value


def no_fields(body: bytes) -> None:
    """For calls that take no body: nothing or `{}`. Raises Problem 400, 422."""
    if body.strip(JSON_WHITESPACE):
        refuse_unknown(fields_of(body), ())


def refuse_unknown(fields: Fields, known: tuple[str, ...]) -> None:
    """Raises Problem 422 for fields that are not among `known`."""
    errors = unknown_fields(fields, known)
    if errors:
        raise invalid(errors)


def unknown_fields(fields: Fields, known: tuple[str, ...]) -> list[Denial]:
    """One error per field that is not among `known`, the first ones if they are many."""
    return [unknown_field(name, known) for name in [name for name in fields if name not in known][:MOST_UNKNOWN_FIELDS]]


def _members(pairs: list[tuple[str, Value]]) -> Fields:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        # which of the two was meant is not ours to guess
        raise _malformed("DUPLICATE_FIELD", f"The field {shown(twice)} appears more than once.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _malformed("MALFORMED_JSON", f"The body is not JSON: {name} is not a JSON number.")


_decode = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=Number, parse_int=Number, parse_constant=_no_constant
).decode

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _malformed(code: str, detail: str) -> Problem:
    return Problem(400, code, detail, "Send one JSON object in UTF-8, each field once.")
