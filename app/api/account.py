"""The trader's own books: account, positions, fills."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import answer, page
from app.api.description import Operation, Parameter, described
from app.api.problems import Problem
from app.api.query import CURSOR, Query, cursor_after, cursor_after_name
from app.api.routes import READ, blueprint, enter
from app.domain.orders import Side
from app.domain.trading_session import session_began
from app.storage import account_reads, order_reads
from app.storage.order_reads import Filter

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
LIMIT = Parameter(Annotated[int, Meta(ge=1, le=LARGEST_PAGE)], "At most so many.")


@blueprint.get("/account")
@described(Operation(group="Account", scope=READ, answers={200: shapes.Account}, problems=(404, 422)))
def get_account() -> Response:
    """Cash, equity, profit and loss, limits."""
    desk, caller = enter(READ)
    Query().check()
    rows = desk.read(caller, account_reads.account(caller.trader_id, desk.ports.clock.now()))
    if not rows:
        raise Problem(404, "NOT_FOUND", "This trader has no account.", "Ask the operator.")
    return answer(account_reads.account_from(rows[0], caller.trader_id, desk.orders_per_minute))


@blueprint.get("/positions")
@described(
    Operation(
        group="Account",
        scope=READ,
        query={"limit": LIMIT, "cursor": CURSOR},
        answers={200: shapes.Positions},
        problems=(422,),
        conditional=True,
    )
)
def list_positions() -> Response:
    """What the trader holds, by symbol."""
    desk, caller = enter(READ)
    query = Query("limit", "cursor")
    limit, after = query.integer("limit", LARGEST_PAGE, 1, LARGEST_PAGE), query.name()
    query.check()
    day = session_began(desk.ports.clock.now())
    rows = desk.read(caller, account_reads.positions(caller.trader_id, day, after, limit + 1))
    return page(rows, limit, account_reads.position_from, lambda row: cursor_after_name(row[0]))


@blueprint.get("/fills")
@described(
    Operation(
        group="Account",
        scope=READ,
        query={
            "order_id": Parameter(shapes.Id, "Executions of this order."),
            "symbol": Parameter(shapes.Symbol, "Executions in this symbol."),
            "side": Parameter(Side, "Executions of this side."),
            "since": Parameter(shapes.GivenTime, "Executions at this time or later, by the venue's clock."),
            "until": Parameter(shapes.GivenTime, "Executions before this time."),
            "limit": LIMIT,
            "cursor": CURSOR,
        },
        answers={200: shapes.Fills},
        problems=(422,),
    )
)
def list_fills() -> Response:
    """The trader's executions, newest first."""
    desk, caller = enter(READ)
    query = Query("order_id", "symbol", "side", "since", "until", "limit", "cursor")
    wanted = Filter(
        order_id=query.identifier("order_id"),
        symbol=query.symbol("symbol"),
        side=query.word("side", Side),
        since=query.time("since"),
        until=query.time("until"),
    )
    limit, after = query.integer("limit", DEFAULT_PAGE, 1, LARGEST_PAGE), query.place()
    query.check()
    rows = desk.read_list(caller, order_reads.list_fills(caller.trader_id, wanted, after, limit + 1))
    return page(rows, limit, order_reads.fill_from, lambda row: cursor_after(order_reads.place_of_fill(row)))
