"""Events: the polling fallback of the live feed."""

from __future__ import annotations

from flask import Response

from app.api.answers import json_answer
from app.api.query import Query
from app.api.routes import READ, blueprint, enter
from app.storage import order_events, order_reads

DEFAULT_EVENTS, MOST_EVENTS = 100, 1000


@blueprint.get("/events")
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
