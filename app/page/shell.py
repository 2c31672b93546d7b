"""What every page of ours is made of: an HTML document that loads one module, and the files it needs.

A page is a template that extends `shell.html`, a module below `static/`, and one route:

    @blueprint.get("/ops")
    def ops() -> Response:
        return document("ops.html", module="ops/main.js", styles=("ops/ops.css",))
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from flask import Response, render_template, request

from app.page.files import PageFile, PageFiles
from app.page.security import guarded

FILES = PageFiles(Path(__file__).parent / "static")
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_EACH_TIME = "no-cache"


def address(path: str) -> str:
    """Where a browser finds one of the files."""
    return f"/assets/{FILES.version}/{path}"


def document(template: str, *, module: str, styles: tuple[str, ...] = ()) -> Response:
    """A page. It is asked for each time and travels only when it has changed."""
    html = render_template(
        template,
        address=address,
        module=module,
        modules=FILES.modules_of(module),
        styles=("shared/tokens.css", "shared/widgets.css", *styles),
    ).encode()
    return _answer(
        PageFile(html, "text/html; charset=utf-8", sha256(html).hexdigest()[:24]), cache_control=_ASK_EACH_TIME
    )


def asset(version: str, path: str) -> Response | None:
    """One file, or None. Under another version's address (an older page is still open) it is not kept."""
    file = FILES.get(path)
    if file is None:
        return None
    return _answer(file, cache_control=_FOR_GOOD if version == FILES.version else _ASK_EACH_TIME)


def _answer(file: PageFile, *, cache_control: str) -> Response:
    packed = file.gzipped if request.accept_encodings.quality("gzip") > 0 else None
    response = Response(file.content if packed is None else packed, content_type=file.content_type)
    if packed is not None:
        response.content_encoding = "gzip"
    if not file.is_compressed_already:
        response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = cache_control
    response.set_etag(file.etag, weak=True)  # weak: packed or not, it is the same file
    guarded(response)
    response.make_conditional(request)
    return response
