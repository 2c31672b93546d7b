"""What need not travel: an answer that has not changed is 304, a large one is compressed.

gzip is a few lines of ours, because the answers are whole in memory and the one rule that matters is ours: a small
answer, every answer of the order path among them, is never touched. Keys travel in a header, never in a body, and no
other site can make a browser send one, so compressing beside encryption gives nothing away (BREACH needs both).
"""

from __future__ import annotations

import gzip
from hashlib import blake2b

from flask import Flask, Response, current_app, request

from app.api.description import operation_of

SMALLEST_COMPRESSED = 4096
"""Bytes. Below, what a reader would save is less than what the processor spends: three packets at most."""
_LEVEL = 5  # an eighth of JSON's size is left; higher levels cost twice the time for one per cent
_COMPRESSED_TYPES = ("application/json", "text/html", "text/css", "text/javascript", "text/csv", "text/plain")


def register(app: Flask) -> None:
    app.after_request(_travel_light)


def _travel_light(response: Response) -> Response:
    if request.method not in ("GET", "HEAD") or response.status_code != 200 or response.direct_passthrough:
        return response
    if _is_conditional():
        _tag(response)
        if response.status_code == 304:
            return response
    if (
        not response.is_streamed
        and response.mimetype in _COMPRESSED_TYPES
        and (response.content_length or 0) >= SMALLEST_COMPRESSED
        and "Content-Encoding" not in response.headers
    ):
        response.vary.add("Accept-Encoding")
        if request.accept_encodings.quality("gzip") > 0:
            response.set_data(gzip.compress(response.get_data(), _LEVEL, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
    return response


def _is_conditional() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    operation = operation_of(view) if view else None
    return operation is not None and operation.conditional


def _tag(response: Response) -> None:
    """A tag of the content, weak because compressing changes the bytes; 304 when the client has that content."""
    tag, _ = response.get_etag()
    if tag is None:
        tag = blake2b(response.get_data(), digest_size=12).hexdigest()
    response.set_etag(tag, weak=True)
    response.headers.setdefault("Cache-Control", "private, no-cache")
    response.vary.add("Authorization")
    if request.if_none_match.contains_weak(tag):
        response.status_code = 304
        response.set_data(b"")
        for name in ("Content-Length", "Content-Type"):
            response.headers.pop(name, None)
