"""The OpenAPI document: every route of the application, from what it says about itself and from the shapes' types."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from flask import Flask
from werkzeug.routing import Rule

from app.api.description import Header, Operation, Parameter, operation_of
from app.api.shapes import Id, ProblemDocument
from app.version import VERSION

Json = dict[str, Any]

NO_CALLS: Mapping[str, str] = {
    "/socket.io": "not HTTP's request and answer: Socket.IO, described in the introduction",
    "/": "a page for people",
    "/ops": "a page for people",
    "/assets/<version>/<path:path>": "files of the pages",
    "/favicon.ico": "a file of the pages",
    "/api/v1/docs/<name>": "files of the page that shows this document",
}
"""Routes that are not in the document, each with the reason."""

GROUPS = (
    "Orders", "Live updates", "Account", "Market", "Reports", "Administration", "Compliance", "Health", "Documentation",
)  # fmt: skip
"""Groups of operations, as a reader meets them."""

_METHODS = ("get", "post", "put", "patch", "delete")  # HEAD and OPTIONS come with every route
_CONVERTED = re.compile(r"<(?:(\w+):)?(\w+)>")
_REF = "#/components/schemas/{name}"

_INTRODUCTION = """\
Submit orders, follow them, read the books. An accepted order (201) is kept: it is never lost and never executed twice,
and its state is never guessed.

- **Key**: `Authorization: Bearer <api key>`. A key has scopes: `trade`, `read`, `admin`, `compliance`.
- **Decimals** are strings in plain notation; requests may use strings or JSON numbers, and no digit is lost.
- **Times** are RFC 3339 in UTC with microseconds.
- **Enumerated words** are upper case; requests may use lower case. Unknown fields and parameters are errors.
- **Errors** are `application/problem+json` (RFC 9457). `code` is stable; `errors` holds every failed rule at once, each
  with a suggestion.
- **Unknown is not no.** After a 503, a 409 `REQUEST_IN_PROGRESS` or no answer, an order may exist: repeat the request
  with the same `Idempotency-Key`.
- **Repeating is safe.** `POST /orders` needs an `Idempotency-Key`; every other change says what shall be, so the same
  request again changes nothing.
- **Live updates**: Socket.IO (protocol 5) at `/socket.io`, WebSocket transport, `auth: {token, last_seq}`; each `order`
  message is the `Event` of this document. `GET /events` is the same by polling.
"""

_MEANINGS = {
    200: "Done, or as it is now.",
    201: "Accepted and kept.",
    202: "The wish is stored; the venue decides.",
    304: "Nothing has changed since the answer with that ETag.",
    400: "The request cannot be understood.",
    401: "No API key, or one that is unknown, revoked or expired.",
    403: "The key lacks the scope, or the page of another site sent this.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The body did not arrive in time.",
    409: "It contradicts what is there, or another request is still being worked on.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "What is asked for is not valid, or the rules refuse it; `errors` says everything that is wrong.",
    429: "Too many orders in the last minute, or too many failed sign-ins.",
    500: "A fault of ours; it is in the log under the request id.",
    503: "It cannot be done at this moment, and `code` says why: the database cannot be reached (then nobody knows "
    "whether a change was stored), too much is asked at once, a list takes too long, or somebody holds what it needs.",
}

_RETRY_AFTER = Header(int, "Seconds to wait before the next try.")
_PROBLEM_HEADERS: Mapping[int, Mapping[str, Header]] = {
    401: {"WWW-Authenticate": Header(str, "How to send a key.")},
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}
_EVERY_ANSWER: Mapping[str, Header] = {
    "X-Request-Id": Header(str, "Names this request in the log; yours, if you sent one.")
}
_ETAG = Header(str, "Send it back as If-None-Match, and an answer that has not changed is 304 without a body.")


class Undescribed(Exception):
    """A route says nothing about itself: put `@described(Operation(…))` below its route decorator."""


def document(app: Flask) -> Json:
    """The document of this application. Raises Undescribed for a route that says nothing about itself."""
    found = list(_operations(app))
    schemas = _Schemas(found)
    paths: dict[str, Json] = {}
    for rule, method, operation, summary in found:
        paths.setdefault(_path(rule), {})[method] = _operation(rule, method, operation, summary, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Surefill",
            "version": VERSION,
            "summary": "An accepted order is never lost, never executed twice, and its state is never guessed.",
            "description": _INTRODUCTION,
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in GROUPS],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "API key"}},
            "schemas": schemas.components,
        },
    }


def calls(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every route of the application that is a call, with each of its methods."""
    for rule in app.url_map.iter_rules():
        if rule.rule not in NO_CALLS:
            for method in _METHODS:
                if method.upper() in (rule.methods or ()):
                    yield rule, method


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation, str]]:
    for rule, method in calls(app):
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        if operation is None:
            raise Undescribed(f"{method.upper()} {rule.rule}")
        if operation.group not in GROUPS:
            raise Undescribed(f"{method.upper()} {rule.rule}: there is no group {operation.group}")
        yield rule, method, operation, inspect.getdoc(view) or ""


def _path(rule: Rule) -> str:
    return _CONVERTED.sub(r"{\2}", rule.rule)


def _operation(rule: Rule, method: str, operation: Operation, summary: str, schemas: _Schemas) -> Json:
    first, _, rest = summary.partition("\n\n")
    scope = f"Needs a key with the scope `{operation.scope}`." if operation.scope else "Needs no key."
    made: Json = {
        "operationId": f"{rule.endpoint.rpartition('.')[2]}_{method}"
        if len((rule.methods or set()) & {name.upper() for name in _METHODS}) > 1
        else rule.endpoint.rpartition(".")[2],
        "tags": [operation.group],
        "summary": " ".join(first.split()),
        "description": "\n\n".join(filter(None, [rest, scope])),
        "security": [{"apiKey": []}] if operation.scope else [],
        "responses": {},
    }
    parameters = [
        *_path_parameters(rule, operation, schemas),
        *(_parameter(name, "query", given, schemas) for name, given in operation.query.items()),
        *(_parameter(name, "header", given, schemas) for name, given in operation.headers.items()),
    ]
    if operation.conditional:
        parameters.append(_parameter("If-None-Match", "header", Header(str, "An ETag of an earlier answer."), schemas))
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {
            "required": operation.body_required,
            "content": {
                "application/json": {
                    "schema": schemas.of(operation.body),
                    **(
                        {"examples": {name: {"value": value} for name, value in operation.examples.items()}}
                        if operation.examples
                        else {}
                    ),
                }
            },
        }
    for status, shape in operation.answers.items():
        made["responses"][str(status)] = _answer(operation, status, shape, schemas)
    if operation.conditional:
        made["responses"]["304"] = {"description": _MEANINGS[304], "headers": schemas.headers({"ETag": _ETAG})}
    for status in sorted({*operation.problems, *_usual_problems(rule, operation)}):
        made["responses"][str(status)] = {
            "description": _MEANINGS[status],
            "headers": schemas.headers(
                {**_EVERY_ANSWER, **_PROBLEM_HEADERS.get(status, {}), **operation.answer_headers.get(status, {})}
            ),
            "content": {"application/problem+json": {"schema": schemas.of(ProblemDocument)}},
        }
    return made


def _usual_problems(rule: Rule, operation: Operation) -> Iterable[int]:
    yield from (403, 500)
    if operation.scope:
        yield from (401, 429, 503)
    if operation.body is not None:
        yield from (400, 408, 413, 415, 422)
    if rule.arguments:
        yield 404


def _answer(operation: Operation, status: int, shape: Any, schemas: _Schemas) -> Json:
    headers = {**_EVERY_ANSWER, **operation.answer_headers.get(status, {})}
    if operation.conditional:
        headers["ETag"] = _ETAG
    made: Json = {"description": _MEANINGS[status], "headers": schemas.headers(headers)}
    if shape is not None:
        made["content"] = {media: {"schema": schemas.of(shape)} for media in operation.media}
    return made


def _path_parameters(rule: Rule, operation: Operation, schemas: _Schemas) -> Iterator[Json]:
    for converter, name in _CONVERTED.findall(rule.rule):
        given = operation.path.get(name)
        if given is None:
            given = Parameter(Id if converter == "uuid" else str, f"The {name.removesuffix('_id')}'s id.")
        yield {**_parameter(name, "path", given, schemas), "required": True}


def _parameter(name: str, where: str, given: Parameter | Header, schemas: _Schemas) -> Json:
    made: Json = {"name": name, "in": where, "description": given.meaning, "schema": schemas.of(given.shape)}
    if given.required:
        made["required"] = True
    if isinstance(given, Header) and given.example is not None:
        made["example"] = given.example
    return made


class _Schemas:
    """The schemas of every type that the operations name; a type that has a name is a component."""

    def __init__(self, found: Iterable[tuple[Rule, str, Operation, str]]) -> None:
        shapes: list[Any] = [ProblemDocument, Id, int, str]
        for _, _, operation, _ in found:
            shapes += [shape for shape in operation.answers.values() if shape is not None]
            shapes += [] if operation.body is None else [operation.body]
            shapes += [given.shape for given in (*operation.query.values(), *operation.path.values())]
            shapes += [header.shape for header in operation.headers.values()]
            shapes += [header.shape for headers in operation.answer_headers.values() for header in headers.values()]
        unique = list({repr(shape): shape for shape in shapes}.values())
        made, self.components = msgspec.json.schema_components(unique, ref_template=_REF)
        self._made = dict(zip((repr(shape) for shape in unique), made, strict=True))

    def of(self, shape: Any) -> Json:
        return self._made[repr(shape)]

    def headers(self, given: Mapping[str, Header]) -> Json:
        return {
            name: {"description": header.meaning, "schema": self.of(header.shape)} for name, header in given.items()
        }
