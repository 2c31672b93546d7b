"""The audit log of all traders, for whoever has the scope compliance."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import page
from app.api.description import Operation, Parameter, described
from app.api.query import CURSOR, Query, cursor_after_row
from app.api.reports import Moment
from app.api.routes import COMPLIANCE, blueprint, enter
from app.storage import audit_reads

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000


@blueprint.get("/compliance/audit")
@described(
    Operation(
        group="Compliance",
        scope=COMPLIANCE,
        query={
            "from": Parameter(Moment, "Recorded then or later."),
            "to": Parameter(Moment, "Recorded before; a day is meant as a whole."),
            "trader_id": Parameter(shapes.Id, "Rows of this trader."),
            "order_id": Parameter(shapes.Id, "Rows of this order."),
            "limit": Parameter(
                Annotated[int, Meta(ge=1, le=LARGEST_PAGE)], f"At most so many; {DEFAULT_PAGE} unless given."
            ),
            "cursor": CURSOR,
        },
        answers={200: shapes.LoggedEntries},
        problems=(422,),
    )
)
def audit_all() -> Response:
    """Rows of the audit log of all traders, by the time they were recorded, oldest first."""
    desk, _ = enter(COMPLIANCE)
    query = Query("from", "to", "trader_id", "order_id", "limit", "cursor")
    wanted = audit_reads.Wanted(
        since=query.moment("from"),
        until=query.moment("to", end_of_day=True),
        trader_id=query.identifier("trader_id"),
        order_id=query.identifier("order_id"),
    )
    limit, after = query.integer("limit", DEFAULT_PAGE, 1, LARGEST_PAGE), query.row()
    query.check()
    rows = desk.compliance().read(audit_reads.log_page(wanted, after, limit + 1))
    return page(rows, limit, audit_reads.logged_entry, lambda row: cursor_after_row(audit_reads.place_of(row)))
