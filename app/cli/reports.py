"""`report executions`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from uuid import UUID

import click
from flask.cli import AppGroup

from app.cli.amounts import Moment
from app.cli.surroundings import administration, command, database
from app.domain.execution_report import HEADER, Totals, csv_line, csv_row
from app.storage.report_reads import Period, all_traders, report_rows

report = AppGroup("report", help="Reports.")


@report.command("executions")
@click.option("--trader", "id_or_name", help="This trader only: id or name.")
@click.option("--from", "since", type=Moment(past=True), help="The beginning; 30 days before the end unless given.")
@click.option("--to", "until", type=Moment(past=True), help="The end, not included; now unless given.")
@click.option("--output", type=click.File("w", lazy=False), default="-", help="A file; standard output if left out.")
@command
def executions(id_or_name: str | None, since: datetime | None, until: datetime | None, output: IO[Any]) -> None:
    """Executions of a period as CSV, with totals and what was not executed, and why. The last row is END."""
    until = until or datetime.now(UTC)
    since = since or until - timedelta(days=30)
    if since >= until:
        raise click.UsageError("--from must lie before --to")
    trader_id: UUID | None = None
    if id_or_name is not None:
        with administration() as admin:
            trader_id = admin.store.find(id_or_name).id
    totals = Totals()
    with database("compliance") as reader:
        traders: Iterator[UUID] = all_traders(reader.read) if trader_id is None else iter([trader_id])
        output.write(HEADER)
        for page in report_rows(reader.read, traders, Period(since, until)):
            for row in page:
                totals.add(row)
            output.write("".join([csv_row(row) for row in page]))
    output.write("".join([csv_line(line) for line in (*totals.lines(), totals.end())]))
