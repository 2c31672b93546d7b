"""Operations: how the whole system is, and what waits for a person. For keys with the scope admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import msgspec
from flask import Response, current_app, g

from app.api import shapes
from app.api.answers import answer
from app.api.authentication import Caller
from app.api.bodies import no_fields, raw_body
from app.api.description import Operation, described
from app.api.intake import Intake
from app.api.orders import attended
from app.api.problems import Problem, not_found
from app.api.query import Query
from app.api.routes import ADMIN, blueprint, enter
from app.domain.audit_chain import time_text
from app.domain.changes import Actor
from app.domain.documents import Json
from app.lifecycle.accept import refuse
from app.lifecycle.attention import abandon, retry
from app.observability.overview import Overview
from app.observability.request_metrics import delivery_percentiles
from app.storage.operations_reads import EVENTS, Durable, Percentiles
from app.storage.transaction import DatabaseUnavailable

EXTENSION = "surefill.overview"


class OpenState(msgspec.Struct, kw_only=True):
    """Open orders in one execution state."""

    state: str
    count: int
    overdue: int
    longest_unchanged_seconds: float


class Times(msgspec.Struct, kw_only=True):
    """Percentiles in milliseconds, of the last five minutes; null where nothing was measured."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


class Latency(msgspec.Struct, kw_only=True):
    """`submit_to_filled` is of MARKET orders; `event_delivery` of this host's web processes since their start."""

    submit_to_filled: Times
    submit_to_confirmed: Times
    event_delivery: Times


class VenueCalls(msgspec.Struct, kw_only=True):
    """Calls for orders of the last five minutes that ended alike."""

    kind: str
    outcome: str
    count: int
    p50_ms: float | None
    p95_ms: float | None


class VenueHealth(msgspec.Struct, kw_only=True):
    """`silent_seconds` since it last confirmed a quote, null where that is not known; `books_unchecked_seconds` since
    its books were last compared with ours."""

    name: str
    silent_seconds: float | None
    books_unchecked_seconds: float
    instruments: int | None
    not_tradable: int | None
    calls: list[VenueCalls]


class RunningProcess(msgspec.Struct, kw_only=True):
    """A process that was heard of in the last quarter of an hour."""

    process: str
    host: str
    pid: int
    version: str
    started_at: str
    silent_seconds: float
    alive: bool


class WaitingOrder(msgspec.Struct, kw_only=True):
    """An order of any trader that needs attention, is in doubt or overdue."""

    id: shapes.Id
    trader_id: shapes.Id
    trader: str
    symbol: str
    side: str
    quantity: shapes.Amount
    filled_quantity: shapes.Amount
    order_type: str
    price: shapes.Amount | None
    status: str
    execution_state: str
    attempts: int
    reason: shapes.Reason | None
    alarm: str | None
    venue: str
    created_at: shapes.Time
    updated_at: shapes.Time
    due_at: shapes.Time | None


class Minute(msgspec.Struct, kw_only=True):
    """What happened in one minute."""

    minute: shapes.Time
    submitted: int
    filled: int
    refused: int
    rejected: int
    cancelled: int
    sent_again: int
    in_doubt: int
    needs_attention: int
    filled_p50_ms: float | None
    filled_p95_ms: float | None
    filled_p99_ms: float | None


class Operations(msgspec.Struct, kw_only=True):
    """How the whole system is. `queues` and `processes` are null where Redis does not tell: unknown is not zero."""

    at: shapes.Time
    redis: bool
    open: list[OpenState]
    oldest_overdue_seconds: float
    totals: dict[str, int]
    latency_ms: Latency
    queues: dict[str, int] | None
    processes: list[RunningProcess] | None
    venue: VenueHealth
    waiting: list[WaitingOrder]
    minutes: list[Minute]


@blueprint.get("/admin/operations")
@described(Operation(group="Administration", scope=ADMIN, answers={200: Operations}, problems=(422,)))
def operations() -> Response:
    """How the system is now, what waits for a person, and the last hour by minute."""
    desk, _ = enter(ADMIN)
    Query().check()
    seen = _overview()
    durable, minutes, waiting = seen.durable.get(), seen.minutes.get(), seen.waiting.get()
    if durable is None or minutes is None or waiting is None:
        raise DatabaseUnavailable("the compliance login cannot read")
    market = seen.market.get()
    return answer(
        {
            "at": time_text(durable.at),
            "redis": bool(seen.redis.get()),
            "open": [
                {
                    "state": state,
                    "count": each.count,
                    "overdue": each.overdue,
                    "longest_unchanged_seconds": round(max(0.0, each.longest_unchanged_seconds), 3),
                }
                for state, each in sorted(durable.open.items())
            ],
            "oldest_overdue_seconds": round(durable.oldest_overdue_seconds, 3),
            "totals": {event: durable.totals[event] for event in EVENTS},
            "latency_ms": {
                "submit_to_filled": _times(durable.filled),
                "submit_to_confirmed": _times(durable.confirmed),
                "event_delivery": _times(Percentiles(*delivery_percentiles())),
            },
            "queues": seen.queues.get(),
            "processes": _processes(seen),
            "venue": {
                "name": desk.venue,
                "silent_seconds": _rounded(seen.venue_silent_seconds()),
                "books_unchecked_seconds": round(durable.books_unchecked_seconds, 1),
                "instruments": None if market is None else market[0],
                "not_tradable": None if market is None else market[2],
                "calls": _calls(durable),
            },
            "waiting": waiting,
            "minutes": minutes,
        }
    )


@blueprint.post("/admin/orders/<uuid:order_id>/retry")
@described(
    Operation(
        group="Administration",
        scope=ADMIN,
        body=shapes.NoFields,
        body_required=False,
        answers={202: shapes.Order},
        problems=(409,),
    )
)
def retry_for_trader(order_id: UUID) -> Response:
    """Give any trader's order that needs attention a new attempt budget.

    The venue is asked first, and the order is sent again only where that cannot execute it twice, as for its trader.
    The audit log names the administrator.
    """
    desk, caller = enter(ADMIN)
    no_fields(raw_body())
    owner = _owner(order_id)
    outcome = retry(desk.ports, order_id, _administrator(caller), trader_id=owner)
    return attended(outcome, lambda problem: _audited(desk, caller, owner, order_id, problem))


@blueprint.post("/admin/orders/<uuid:order_id>/acknowledge")
@described(
    Operation(
        group="Administration",
        scope=ADMIN,
        body=shapes.NoFields,
        body_required=False,
        answers={200: shapes.Order, 202: shapes.Order},
        problems=(409,),
    )
)
def acknowledge_for_trader(order_id: UUID) -> Response:
    """Accept for any trader that an order that needs attention has failed.

    It ends when its absence at the venue is proven; if the venue turns out to have it, it is adopted and cancelled. The
    audit log names the administrator.
    """
    desk, caller = enter(ADMIN)
    no_fields(raw_body())
    owner = _owner(order_id)
    outcome = abandon(desk.ports, order_id, _administrator(caller), trader_id=owner)
    return attended(outcome, lambda problem: _audited(desk, caller, owner, order_id, problem))


def _overview() -> Overview:
    return cast("Callable[[], Overview]", current_app.extensions[EXTENSION])()


def _audited(desk: Intake, caller: Caller, owner: UUID, order_id: UUID, problem: Problem) -> Problem:
    """The problem, once the chain of the order's trader holds that the administrator was refused."""
    who = _administrator(caller)
    received_at = who.received_at or desk.ports.clock.now()
    refuse(desk.ports, owner, problem.denials, who, received_at, order_id=order_id)
    return problem


def _owner(order_id: UUID) -> UUID:
    owner = _overview().owner_of(order_id)
    if owner is None:
        raise not_found("order")
    return owner


def _administrator(caller: Caller) -> Actor:
    return Actor(f"administrator:{caller.trader_id}", caller.key_prefix, g.get("received_at"))


def _processes(seen: Overview) -> list[Json] | None:
    heard = seen.processes.get()
    if heard is None:
        return None
    return [
        {
            **msgspec.to_builtins(each.who),
            "silent_seconds": round(each.silent_seconds, 1),
            "alive": each.is_alive,
        }
        for each in heard
    ]


def _calls(durable: Durable) -> list[Json]:
    return [
        {"kind": kind, "outcome": outcome, "count": count, "p50_ms": _ms(p50), "p95_ms": _ms(p95)}
        for (kind, outcome), (count, p50, p95) in sorted(durable.attempts.items())
    ]


def _times(measured: Percentiles) -> dict[str, Any]:
    return {
        "count": measured.count,
        "p50": _ms(measured.p50),
        "p95": _ms(measured.p95),
        "p99": _ms(measured.p99),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
