"""`/openapi.json` and `/docs`: what the API is, for programs and for people. No key is needed."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

from flask import Flask, Response, current_app

from app.api.answers import encode
from app.api.description import Operation, described
from app.api.openapi import document
from app.api.problems import not_found
from app.api.routes import blueprint
from app.version import VERSION

_FOLDER = Path(__file__).parent / "reader"
_FILES = {"rapidoc-min.js": "text/javascript", "docs.js": "text/javascript", "docs.css": "text/css"}

# The viewer is ours to serve: nothing is loaded from elsewhere. It writes style attributes, which cannot run anything.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _encoded(app: Flask) -> tuple[bytes, str]:
    """The document and its ETag; made once, on first use, when every route is there."""
    body = encode(document(app))
    return body, blake2b(body, digest_size=12).hexdigest()


@blueprint.get("/openapi.json")
@described(Operation(group="Documentation", answers={200: dict}, conditional=True))
def openapi() -> Response:
    """This document."""
    body, tag = _encoded(current_app._get_current_object())  # type: ignore[attr-defined] # the application, not its proxy
    response = Response(body, headers={"Cache-Control": "no-cache"}, content_type="application/json")
    response.set_etag(tag)
    return response


@blueprint.get("/docs")
@described(Operation(group="Documentation", answers={200: str}, media=("text/html",)))
def docs() -> Response:
    """A page to read this document."""
    return Response(
        (_FOLDER / "docs.html").read_bytes(),
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache", "Referrer-Policy": "no-referrer"},
        content_type="text/html; charset=utf-8",
    )


@blueprint.get("/docs/<name>")
def docs_file(name: str) -> Response:
    """A file of that page."""
    kind = _FILES.get(name)
    if kind is None:
        raise not_found("file")
    return Response(
        (_FOLDER / name).read_bytes(),
        headers={"Cache-Control": "max-age=3600", "ETag": f'"{VERSION}"'},
        content_type=f"{kind}; charset=utf-8",
    )
