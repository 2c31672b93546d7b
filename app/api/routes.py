"""The blueprint that every group of routes hangs on, and what most of them begin with."""

from __future__ import annotations

from flask import Blueprint

from app.api.authentication import Caller, actor, identify, require
from app.api.intake import Intake, intake
from app.api.problems import Problem
from app.lifecycle.accept import refuse

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

READ, TRADE, ADMIN, COMPLIANCE = "read", "trade", "admin", "compliance"


def enter(scope: str) -> tuple[Intake, Caller]:
    """The intake, and the caller whose key has the scope. Raises Problem 401, 403; DatabaseUnavailable."""
    desk = intake()
    received_at = desk.ports.clock.now()
    caller = identify(desk.sign_ins, received_at)
    try:
        require(caller, scope)
    except Problem as problem:  # somebody with a key tried what the key does not allow: that is for the audit log
        refuse(desk.ports, caller.trader_id, problem.denials, actor(caller), received_at)
        raise
    return desk, caller
