"""The trader's page at `/`, and the files of all pages."""

from __future__ import annotations

from flask import Blueprint, Response, abort

from app.page.shell import asset, document

blueprint = Blueprint("page", __name__, template_folder="templates")


@blueprint.get("/")
def trader() -> Response:
    """The trader's page."""
    return document("trader.html", module="trader/main.js", styles=("trader/trader.css",))


@blueprint.get("/ops")
def operations() -> Response:
    """The operations page."""
    return document("ops.html", module="ops/main.js", styles=("ops/ops.css",))


@blueprint.get("/assets/<version>/<path:path>")
def file(version: str, path: str) -> Response:
    """One of the pages' files."""
    found = asset(version, path)
    return abort(404) if found is None else found


@blueprint.get("/favicon.ico")
def icon() -> Response:
    """What browsers ask for by themselves."""
    found = asset("", "shared/icon.svg")
    return abort(404) if found is None else found
