"""Orders: submit, list, get, cancel, amend, retry, acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import answer, encode, json_answer, page
from app.api.authentication import Caller, actor, identify, require
from app.api.bodies import no_fields, raw_body
from app.api.description import Header, Operation, Parameter, described
from app.api.intake import Intake, intake, row_security
from app.api.order_request import amendment, confirms_duplicate, idempotency_key, order_terms
from app.api.problems import RETRY_AFTER_SECONDS, Problem, denied, not_found, request_in_progress
from app.api.query import CURSOR, Query, cursor_after
from app.api.routes import READ, TRADE, blueprint, enter
from app.domain.acceptance import OrderTerms, Quota
from app.domain.changes import LostRace, NoSuchOrder, RowBusy
from app.domain.documents import Json, order_document
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import Order, Side
from app.lifecycle.accept import Refusal, accept, refuse
from app.lifecycle.amend import Amended, AmendStored, Denied, NewTerms, NotOpen, amend
from app.lifecycle.attention import AwaitingProof, Ended, NotWaiting, Resumed, abandon, retry
from app.lifecycle.cancel import Cancelled, CancelStored, TooLate, request_cancel
from app.storage import account_reads, order_reads
from app.storage.order_reads import Filter

DEFAULT_PAGE, LARGEST_PAGE = 20, 100
MOST_CANCELLED_AT_ONCE = 10_000

RATE_HEADERS = {
    "RateLimit-Policy": Header(str, "The trader's limit: `q` orders in `w` seconds."),
    "RateLimit": Header(str, "At least `r` more orders fit; more do in `t` seconds. Missing where no rule was asked."),
}
EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "A MARKET order": {"symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "MARKET"},
    "A LIMIT order, good till cancelled": {
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": "10",
        "order_type": "LIMIT",
        "price": "150.25",
        "time_in_force": "GTC",
    },
    "A STOP order that waits a minute at most": {
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": 5,
        "order_type": "STOP",
        "price": 155.5,
        "max_wait_seconds": 60,
    },
}
"""Bodies that the document shows and a test submits."""


class _StoredEvent(msgspec.Struct):
    """Of a stored event, the order as it was answered."""

    order: msgspec.Raw


_stored_event = msgspec.json.Decoder(_StoredEvent).decode


@blueprint.post("/orders")
@described(
    Operation(
        group="Orders",
        scope=TRADE,
        headers={
            "Idempotency-Key": Header(
                Annotated[str, Meta(pattern="^[!#-~]{1,253}$")],
                "A new value, such as a UUID, for each new order. The same key with the same body gives the stored "
                "answer and never a second order: after a 503, a 409 REQUEST_IN_PROGRESS or no answer at all, repeat "
                "the request with the same key.",
                required=True,
                example="4f1c2e5a-6f0b-4b0e-9d5e-1a2b3c4d5e6f",
            ),
            "Confirm-Duplicate": Header(
                Literal["true", "false"], "`true` sends an order that repeats one of the last few seconds."
            ),
        },
        body=shapes.OrderRequest,
        examples=EXAMPLES,
        answers={201: shapes.Order},
        answer_headers={
            201: {
                "Location": Header(str, "Where the order is."),
                "Idempotent-Replayed": Header(
                    Literal["true"], "This is the stored answer of an earlier request with the same key."
                ),
                "Server-Timing": Header(
                    str,
                    "Milliseconds: `validation;dur=` parsing and rules, `accept;dur=` these and the whole transaction.",
                ),
                **RATE_HEADERS,
            },
            422: RATE_HEADERS,
            429: RATE_HEADERS,
        },
        problems=(409, 429),
    )
)
def submit_order() -> Response:
    """Submit an order."""
    desk = intake()
    received_at = desk.ports.clock.now()
    caller = identify(desk.sign_ins, received_at)
    began = perf_counter()
    try:
        terms = _terms(desk, caller)
    except Problem as problem:
        with _telling_who_is_in_the_way(desk, caller):
            refuse(desk.ports, caller.trader_id, problem.denials, actor(caller), received_at)
        raise
    parsed = perf_counter()
    with _telling_who_is_in_the_way(desk, caller):
        outcome = accept(desk.ports, desk.acceptance, caller.trader_id, terms, actor(caller), received_at)
    accepted = perf_counter()
    if isinstance(outcome, Refusal):
        refused = denied(outcome.denials)
        refused.headers.update(_rate_headers(outcome.quota))
        raise refused
    validation = (parsed - began + outcome.rules_seconds) * 1000
    headers = {
        "Location": f"/api/v1/orders/{outcome.order_id}",
        # milliseconds: parsing and rules; with the whole transaction
        "Server-Timing": f"validation;dur={validation:.3f}, accept;dur={(accepted - began) * 1000:.3f}",
        **_rate_headers(outcome.quota),
    }
    if outcome.stored is None:
        return json_answer(encode(outcome.document), 201, headers)
    headers["Idempotent-Replayed"] = "true"
    # the first answer, byte for byte: both are the order as the first event holds it
    return json_answer(bytes(_stored_event(outcome.stored).order), 201, headers)


def _rate_headers(quota: Quota | None) -> dict[str, str]:
    """What the client may still do this minute, as the IETF draft on RateLimit header fields writes it."""
    if quota is None:
        return {}
    return {
        "RateLimit-Policy": f'"orders";q={quota.limit};w=60',
        "RateLimit": f'"orders";r={quota.remaining};t={quota.resets_in}',
    }


@contextmanager
def _telling_who_is_in_the_way(desk: Intake, caller: Caller) -> Iterator[None]:
    """Raises Problem 409 when the lock that could not be had is the account's: another request of this trader has it.

    Else RowBusy comes through: the gate of halts or a whole table, which is nobody's request. PostgreSQL does not say
    which lock it was, so it is asked whether the account is still held; 50 ms are for a table that is.
    """
    try:
        yield
    except RowBusy as error:
        settings = {**row_security(caller), "lock_timeout": "50ms"}
        if desk.database.read(account_reads.unheld(caller.trader_id), settings=settings):
            raise
        raise request_in_progress() from error


def _terms(desk: Intake, caller: Caller) -> OrderTerms:
    require(caller, TRADE)
    key = idempotency_key()
    confirm_duplicate = confirms_duplicate()
    return order_terms(raw_body(), key, confirm_duplicate=confirm_duplicate, venue=desk.venue)


@blueprint.get("/orders")
@described(
    Operation(
        group="Orders",
        scope=READ,
        query={
            "status": Parameter(OrderStatus, "Orders with this status."),
            "execution_state": Parameter(ExecutionState, "Orders in this execution state."),
            "symbol": Parameter(shapes.Symbol, "Orders for this symbol."),
            "side": Parameter(Side, "Orders of this side."),
            "parent_id": Parameter(shapes.Id, "Exits of this order: its stop loss and take profit."),
            "since": Parameter(shapes.GivenTime, "Orders accepted at this time or later."),
            "until": Parameter(shapes.GivenTime, "Orders accepted before this time."),
            "limit": Parameter(
                Annotated[int, Meta(ge=1, le=LARGEST_PAGE)], f"At most so many orders; {DEFAULT_PAGE} unless given."
            ),
            "cursor": CURSOR,
        },
        answers={200: shapes.Orders},
        problems=(422,),
    )
)
def list_orders() -> Response:
    """The trader's orders, newest first."""
    desk, caller = enter(READ)
    query = Query("status", "execution_state", "symbol", "side", "parent_id", "since", "until", "limit", "cursor")
    wanted = Filter(
        status=query.word("status", OrderStatus),
        execution_state=query.word("execution_state", ExecutionState),
        symbol=query.symbol("symbol"),
        side=query.word("side", Side),
        parent_id=query.identifier("parent_id"),
        since=query.time("since"),
        until=query.time("until"),
    )
    limit, after = query.integer("limit", DEFAULT_PAGE, 1, LARGEST_PAGE), query.place()
    query.check()
    rows = desk.read_list(caller, order_reads.list_orders(caller.trader_id, wanted, after, limit + 1))
    return page(rows, limit, order_reads.order_from, lambda row: cursor_after(order_reads.place_of_order(row)))


@blueprint.get("/orders/<uuid:order_id>")
@described(
    Operation(group="Orders", scope=READ, answers={200: shapes.OrderWithFills}, problems=(422,), conditional=True)
)
def get_order(order_id: UUID) -> Response:
    """One order with its fills."""
    desk, caller = enter(READ)
    Query().check()
    return answer(_order_with_fills(desk, caller, order_id))


@blueprint.post("/orders/<uuid:order_id>/cancel")
@described(
    Operation(
        group="Orders",
        scope=TRADE,
        body=shapes.NoFields,
        body_required=False,
        answers={200: shapes.Order, 202: shapes.Order},
        problems=(409,),
    )
)
def cancel_order(order_id: UUID) -> Response:
    """Ask for a cancel; the venue decides about what was sent.

    Safe to repeat: a wish that is stored, or a cancelled order, is answered with as it is.
    """
    desk, caller = enter(TRADE)
    no_fields(raw_body())
    outcome = request_cancel(desk.ports, order_id, actor(caller), trader_id=caller.trader_id)
    match outcome:
        case Cancelled(order):
            return answer(order_document(order))
        case CancelStored(order):
            return answer(order_document(order), 202)
        case TooLate(order):
            raise _audited(desk, caller, order_id, _closed(order.status))


@blueprint.post("/orders/cancel-all")
@described(
    Operation(
        group="Orders",
        scope=TRADE,
        body=shapes.NoFields,
        body_required=False,
        answers={202: shapes.Requested},
    )
)
def cancel_all_orders() -> Response:
    """Ask for a cancel of every open order of the trader.

    Safe to repeat: orders whose cancel is wanted already are not counted again.
    """
    desk, caller = enter(TRADE)
    no_fields(raw_body())
    requested = 0
    lost: LostRace | None = None
    for (order_id,) in desk.read(caller, order_reads.open_orders(caller.trader_id, MOST_CANCELLED_AT_ONCE)):
        try:
            outcome = request_cancel(desk.ports, order_id, actor(caller), trader_id=caller.trader_id)
        except LostRace as error:
            lost = error  # one order that is busy must not save the others from their cancel
            continue
        requested += not isinstance(outcome, TooLate)
    if lost is not None:
        raise _some_are_busy(requested)
    return answer({"requested": requested}, 202)


def _some_are_busy(requested: int) -> Problem:
    asked = "1 order was" if requested == 1 else f"{requested} orders were"
    return Problem(
        503,
        "BUSY",
        f"{asked} asked to cancel, and at least one was not: it is being changed at this moment.",
        "Send the same request again in a moment: orders whose cancel is wanted already are not asked again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


@blueprint.patch("/orders/<uuid:order_id>")
@described(
    Operation(
        group="Orders",
        scope=TRADE,
        body=shapes.AmendRequest,
        answers={200: shapes.Order, 202: shapes.Order},
        problems=(409,),
    )
)
def amend_order(order_id: UUID) -> Response:
    """Change an open order's price or quantity; the venue decides about what was sent.

    Safe to repeat: the body says what the terms shall be and not by how much they change, so the same wish again, or
    terms that the order has already, change nothing.
    """
    desk, caller = enter(TRADE)
    given = amendment(raw_body())
    wanted = NewTerms(given.get("price"), given.get("quantity"))
    match amend(desk.ports, order_id, actor(caller), wanted, trader_id=caller.trader_id):
        case Amended(order):
            return answer(order_document(order))
        case AmendStored(order):
            return answer(order_document(order), 202)
        case NotOpen(order):
            raise _audited(desk, caller, order_id, _not_open(order))
        case Denied(failed):
            raise _audited(desk, caller, order_id, denied(failed))


@blueprint.post("/orders/<uuid:order_id>/retry")
@described(
    Operation(
        group="Orders",
        scope=TRADE,
        body=shapes.NoFields,
        body_required=False,
        answers={202: shapes.Order},
        problems=(409,),
    )
)
def retry_order(order_id: UUID) -> Response:
    """Give an order that needs attention a new attempt budget.

    Safe to repeat: a second request finds an order that waits for nobody, and 409 says where it is.
    """
    desk, caller = enter(TRADE)
    no_fields(raw_body())
    outcome = retry(desk.ports, order_id, actor(caller), trader_id=caller.trader_id)
    return attended(outcome, lambda problem: _audited(desk, caller, order_id, problem))


@blueprint.post("/orders/<uuid:order_id>/acknowledge")
@described(
    Operation(
        group="Orders",
        scope=TRADE,
        body=shapes.NoFields,
        body_required=False,
        answers={200: shapes.Order, 202: shapes.Order},
        problems=(409,),
    )
)
def acknowledge_order(order_id: UUID) -> Response:
    """Accept that an order failed.

    Safe to repeat: while its absence is not proven the answer is the same; once it has ended, 409 says how.
    """
    desk, caller = enter(TRADE)
    no_fields(raw_body())
    outcome = abandon(desk.ports, order_id, actor(caller), trader_id=caller.trader_id)
    return attended(outcome, lambda problem: _audited(desk, caller, order_id, problem))


@blueprint.get("/orders/<uuid:order_id>/audit")
@described(
    Operation(
        group="Orders",
        scope=READ,
        query={
            "after": Parameter(
                Annotated[int, Meta(ge=0, lt=2**31)], "The `seq` of the last row that was seen; 0 unless given."
            ),
            "limit": Parameter(Annotated[int, Meta(ge=1, le=1000)], "At most so many rows; 1000 unless given."),
        },
        answers={200: shapes.AuditEntries},
        problems=(422,),
    )
)
def audit_order(order_id: UUID) -> Response:
    """The order's rows of the audit log, oldest first."""
    desk, caller = enter(READ)
    query = Query("after", "limit")
    after, limit = query.integer("after", 0, 0, 2**31 - 1), query.integer("limit", 1000, 1, 1000)
    query.check()
    rows = desk.read(caller, order_reads.audit(order_id, caller.trader_id, after, limit))
    if not rows:
        raise not_found("order")
    entries, total = order_reads.audit_entries(rows)
    return answer({"data": [_with_details(entry) for entry in entries], "total": total})


def _with_details(entry: Json) -> Json:
    details = entry["details"]
    return entry if details is None else {**entry, "details": msgspec.Raw(str(details).encode())}


def _order_with_fills(desk: Intake, caller: Caller, order_id: UUID) -> Json:
    rows = desk.read(caller, order_reads.order(order_id, caller.trader_id))
    if not rows:
        raise NoSuchOrder(str(order_id))
    return order_reads.order_with_fills(rows[0])


def _audited(desk: Intake, caller: Caller, order_id: UUID, problem: Problem) -> Problem:
    """The problem, once the audit log holds that this was refused."""
    who = actor(caller)
    refuse(
        desk.ports, caller.trader_id, problem.denials, who, who.received_at or desk.ports.clock.now(), order_id=order_id
    )
    return problem


def _not_open(order: Order) -> Problem:
    if order.is_closed:
        return _closed(order.status)
    if order.execution_state is ExecutionState.CANCELLING:
        return Problem(
            409, "CANCEL_UNDER_WAY", "The order is being cancelled.", "Wait for its end; then send a new order."
        )
    return Problem(
        409,
        "NEEDS_ATTENTION",
        "Nobody knows whether the venue has this order, so it cannot be changed.",
        "Press retry or acknowledge first.",
    )


def _closed(status: object) -> Problem:
    return Problem(
        409,
        "ORDER_CLOSED",
        f"The order has ended: it is {status}.",
        "Nothing can change it any more; send a new order if you want another one.",
    )


def attended(
    outcome: Resumed | AwaitingProof | Ended | NotWaiting,
    refused: Callable[[Problem], Problem] = lambda problem: problem,
) -> Response:
    """The answer to a person who has attended to an order. Raises Problem, as `refused` returns it."""
    match outcome:
        case Ended(order):
            return answer(order_document(order))
        case Resumed(order) | AwaitingProof(order):
            return answer(order_document(order), 202)
        case NotWaiting(order):
            raise refused(
                Problem(
                    409,
                    "NEEDS_NO_ATTENTION",
                    f"The order is {order.execution_state}; only one that is NEEDS_ATTENTION waits for you.",
                    "Wait: it goes on by itself." if not order.is_closed else "Nothing can change it any more.",
                )
            )
