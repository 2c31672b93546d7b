"""Surefill: an order is executed exactly once, whatever fails on the way. `create_app` is the web process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def create_app() -> Flask:
    """The Flask application: intake API, live feed, commands. Prints one line and exits 2 on a wrong setting."""
    from app.web import create_web_app  # flask is imported by the web process only

    return create_web_app()
