"""Routes of the contract that are refused until they are built, each behind its scope."""

from __future__ import annotations

from flask import Response

from app.api.description import Operation, described
from app.api.problems import not_supported_yet
from app.api.routes import COMPLIANCE, READ, blueprint, enter


@blueprint.get("/reports/executions")
@described(Operation(group="Reports", scope=READ, answers={}, problems=(422,)))
def report_executions() -> Response:
    """A download of the trader's executions."""
    enter(READ)
    raise not_supported_yet("The report of executions")


@blueprint.get("/compliance/audit")
@described(Operation(group="Compliance", scope=COMPLIANCE, answers={}, problems=(422,)))
def audit_all() -> Response:
    """The audit log of all traders."""
    enter(COMPLIANCE)
    raise not_supported_yet("The audit log of all traders over the API")
