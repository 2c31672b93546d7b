"""The blueprint that every group of routes hangs on, and what most of them begin with."""

from __future__ import annotations

from flask import Blueprint

from app.api.authentication import Caller, identify, require
from app.api.intake import Intake, intake

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

READ, TRADE, ADMIN, COMPLIANCE = "read", "trade", "admin", "compliance"


def enter(scope: str) -> tuple[Intake, Caller]:
    """The intake, and the caller whose key has the scope. Raises Problem 401, 403; DatabaseUnavailable."""
    desk = intake()
    caller = identify(desk.api_keys, desk.ports.clock.now())
    require(caller, scope)
    return desk, caller
