"""What can be traded, and at what price it was last quoted."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import answer, page
from app.api.description import Operation, Parameter, described
from app.api.problems import Problem, not_found
from app.api.query import CURSOR, Query, cursor_after_name
from app.api.routes import READ, blueprint, enter
from app.api.wording import shown
from app.storage import market_reads

LARGEST_PAGE = 1000
LONGEST_SYMBOL = 32


@blueprint.get("/instruments")
@described(
    Operation(
        group="Market",
        scope=READ,
        query={
            "limit": Parameter(Annotated[int, Meta(ge=1, le=LARGEST_PAGE)], "At most so many."),
            "cursor": CURSOR,
        },
        answers={200: shapes.Instruments},
        problems=(422,),
        conditional=True,
    )
)
def list_instruments() -> Response:
    """Instruments by symbol."""
    desk, caller = enter(READ)
    query = Query("limit", "cursor")
    limit, after = query.integer("limit", LARGEST_PAGE, 1, LARGEST_PAGE), query.name()
    query.check()
    rows = desk.read(caller, market_reads.instruments(after, limit + 1))
    return page(rows, limit, market_reads.instrument_from, lambda row: cursor_after_name(row[0]))


# a path, because symbols such as BTC/USD have a slash
@blueprint.get("/quotes/<path:symbol>")
@described(
    Operation(
        group="Market",
        scope=READ,
        path={"symbol": Parameter(shapes.Symbol, "The symbol; a slash in it may stand as it is.")},
        answers={200: shapes.Quote},
        problems=(404, 422),
        conditional=True,
    )
)
def get_quote(symbol: str) -> Response:
    """The last known bid and ask. Where the venue has not confirmed them lately, it is asked for them from now on."""
    desk, caller = enter(READ)
    Query().check()
    if not symbol.isascii() or not symbol.isprintable() or len(symbol) > LONGEST_SYMBOL:
        raise not_found("symbol")
    rows = desk.read(caller, market_reads.quote(symbol.upper()))
    if not rows:
        raise not_found("symbol")
    now = desk.ports.clock.now()
    if not market_reads.is_watched(rows[0], now):
        desk.ask_for_quote(rows[0][0], now)
    quote = market_reads.quote_from(rows[0])
    if quote is None:
        raise Problem(
            404, "NO_QUOTE_YET", f"There has been no quote for {shown(symbol)} yet.", "Try again when quotes arrive."
        )
    return answer(quote)
