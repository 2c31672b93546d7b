"""Events: the polling fallback of the live feed."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import json_answer
from app.api.description import Operation, Parameter, described
from app.api.query import Query
from app.api.routes import READ, blueprint, enter
from app.storage import order_events, order_reads

DEFAULT_EVENTS, MOST_EVENTS = 100, 1000


@blueprint.get("/events")
@described(
    Operation(
        group="Live updates",
        scope=READ,
        query={
            "since": Parameter(shapes.Seq, "The number of the last event that was seen; 0 unless given."),
            "limit": Parameter(
                Annotated[int, Meta(ge=1, le=MOST_EVENTS)], f"At most so many events; {DEFAULT_EVENTS} unless given."
            ),
        },
        answers={200: shapes.Events},
        problems=(422,),
    )
)
def list_events() -> Response:
    """The trader's events after `since`, in order."""
    desk, caller = enter(READ)
    query = Query("since", "limit")
    since = query.integer("since", 0, 0, 10**18 - 1)
    limit = query.integer("limit", DEFAULT_EVENTS, 1, MOST_EVENTS)
    query.check()
    rows = desk.read(caller, order_reads.events(caller.trader_id, since, limit))
    # events go out as they are stored: nothing is decoded on the way
    events = order_events.from_rows([(seq, payload) for _, seq, payload in rows if seq is not None])
    head = rows[0][0] if rows else 0
    return json_answer(b'{"data":[%s],"head_seq":%d}' % (b",".join(event for _, event in events), head))
