"""`report executions`."""

from __future__ import annotations

from flask.cli import AppGroup

from app.cli.surroundings import NotYet, command

report = AppGroup("report", help="Reports.")


@report.command("executions", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@command
def executions() -> None:
    """A report of executions. Not there yet."""
    raise NotYet("the report of executions is not there yet: GET /api/v1/fills lists a trader's executions")
