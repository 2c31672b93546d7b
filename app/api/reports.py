"""A download of executions: CSV and JSON are streamed page by page, PDF is made whole and therefore bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Annotated
from uuid import UUID

from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import encode
from app.api.authentication import Caller
from app.api.description import Operation, Parameter, described
from app.api.intake import Intake
from app.api.problems import Problem, invalid, not_found
from app.api.query import Query
from app.api.routes import COMPLIANCE, READ, blueprint, enter
from app.domain.audit_chain import time_text
from app.domain.execution_report import HEADER, ReportRow, Totals, csv_line, csv_row
from app.domain.risk_rules import Denial
from app.storage import report_reads
from app.storage.report_reads import Period, Read

MOST_ROWS_OF_PDF = 10_000
UNLESS_GIVEN = timedelta(days=30)

Moment = Annotated[
    str,
    Meta(
        description="A time (RFC 3339), or a day in UTC such as 2026-01-31.",
        examples=["2026-01-05T14:30:00Z", "2026-01-31"],
    ),
]


class Format(StrEnum):
    CSV = "CSV"
    JSON = "JSON"
    PDF = "PDF"


@blueprint.get("/reports/executions")
@described(
    Operation(
        group="Reports",
        scope=READ,
        query={
            "from": Parameter(Moment, "The beginning, included; 30 days before the end unless given."),
            "to": Parameter(Moment, "The end, not included, but a day is meant as a whole; now unless given."),
            "format": Parameter(Format, "CSV unless given."),
            "trader_id": Parameter(shapes.Id, "With the scope compliance: this trader only, not all."),
        },
        answers={200: shapes.ExecutionReport},
        media=("application/json", "text/csv", "application/pdf"),
        problems=(404, 422),
    )
)
def report_executions() -> Response:
    """Executions of a period with totals, and what was rejected, cancelled or refused with its reasons.

    The trader's own; with the scope compliance beside read, everybody's.
    A report whose last row is not END is not complete.
    """
    desk, caller = enter(READ)
    now = desk.ports.clock.now()
    query = Query("from", "to", "format", "trader_id")
    until = query.moment("to", end_of_day=True) or now
    since = query.moment("from") or _long_before(until)
    kind, trader_id = query.word("format", Format) or Format.CSV, query.identifier("trader_id")
    query.check()
    if since >= until:
        raise invalid([_no_period(since, until)])
    period = Period(since, until)
    read, traders, whose = _reader(desk, caller, trader_id)
    name = f"executions-{since:%Y%m%dT%H%M%SZ}-{until:%Y%m%dT%H%M%SZ}.{kind.value.lower()}"
    if kind is Format.PDF:
        return _download(_pdf(read, traders, period, whose), "application/pdf", name)
    pages = report_reads.report_rows(read, traders(), period)
    pages = chain([next(pages, [])], pages)  # what is wrong at the beginning is still an answer of its own
    if kind is Format.CSV:
        return _download(_csv(pages), "text/csv; charset=utf-8; header=present", name)
    return _download(_json(pages, period, now), "application/json", name)


def _long_before(until: datetime) -> datetime:
    """The beginning unless one is given; the first moment of all where there is no earlier one."""
    earliest = datetime.min.replace(tzinfo=UTC)
    return until - UNLESS_GIVEN if until - earliest > UNLESS_GIVEN else earliest


def _reader(desk: Intake, caller: Caller, trader_id: UUID | None) -> tuple[Read, Callable[[], Iterator[UUID]], str]:
    """Who reads which traders' rows, and what to call them."""
    if caller.may(COMPLIANCE):
        compliance = desk.compliance()
        if trader_id is not None:
            return compliance.read, lambda: iter([trader_id]), f"trader {trader_id}"
        return compliance.read, lambda: report_reads.all_traders(compliance.read), "all traders"
    if trader_id not in (None, caller.trader_id):
        raise not_found("trader")
    return lambda call: desk.read(caller, call), lambda: iter([caller.trader_id]), f"trader {caller.trader_id}"


def _csv(pages: Iterator[Sequence[ReportRow]]) -> Iterator[bytes]:
    totals = Totals()
    yield HEADER.encode()
    for page in pages:
        for row in page:
            totals.add(row)
        yield "".join([csv_row(row) for row in page]).encode()
    yield "".join([csv_line(line) for line in (*totals.lines(), totals.end())]).encode()


def _json(pages: Iterator[Sequence[ReportRow]], period: Period, now: datetime) -> Iterator[bytes]:
    totals = Totals()
    first = {"from": time_text(period.since), "to": time_text(period.until), "generated_at": time_text(now)}
    yield encode(first)[:-1] + b',"data":['
    separator = b""
    for page in pages:
        for row in page:
            totals.add(row)
        if page:
            yield separator + b",".join([encode(row.document()) for row in page])
            separator = b","
    yield b'],"totals":' + encode(totals.lines()) + b',"end":' + encode(totals.end()) + b"}"


def _pdf(read: Read, traders: Callable[[], Iterator[UUID]], period: Period, whose: str) -> bytes:
    from app.report_pdf import report_pdf  # a library that only this answer needs

    rows = report_reads.count(read, traders(), period, MOST_ROWS_OF_PDF)
    if rows > MOST_ROWS_OF_PDF:
        raise Problem(
            422,
            "REPORT_TOO_LARGE",
            f"This period has more than {MOST_ROWS_OF_PDF:,} rows, and a PDF holds at most {MOST_ROWS_OF_PDF:,}.",
            "Ask for format=csv, which has no limit, or for a shorter period.",
        )
    title = f"Executions of {whose}, {time_text(period.since)} to {time_text(period.until)}"
    return report_pdf(title, report_reads.report_rows(read, traders(), period))


def _download(body: bytes | Iterator[bytes], content_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, 200, headers, content_type=content_type)


def _no_period(since: datetime, until: datetime) -> Denial:
    return Denial(
        "INVALID_PERIOD",
        f"The period begins at {time_text(since)} and ends at {time_text(until)}: nothing lies between.",
        "Give a from that is before to.",
        "from",
    )
