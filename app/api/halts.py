"""Halts: the kill switch, for keys with the scope admin."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from flask import Response
from msgspec import Meta

from app.api import shapes
from app.api.answers import answer
from app.api.authentication import Caller, actor
from app.api.bodies import JSON_WHITESPACE, fields_of, raw_body
from app.api.description import Operation, Parameter, described
from app.api.intake import Intake
from app.api.order_request import halt_request, reason_of
from app.api.problems import Problem, not_found
from app.api.query import Query
from app.api.routes import ADMIN, blueprint, enter
from app.domain.documents import halt_document
from app.lifecycle.halts import HaltDesk, impose, lift
from app.storage.halts import NoSuchHalt, NoSuchTarget, PostgresHalts

MOST_HALTS = 1000
LIFTED = "Lifted by an administrator."


@blueprint.post("/admin/halts")
@described(
    Operation(
        group="Administration",
        scope=ADMIN,
        body=shapes.HaltRequest,
        answers={201: shapes.Halt, 200: shapes.Halt},
        examples={"A symbol": {"scope": "SYMBOL", "symbol": "MSFT", "reason": "Earnings leaked."}},
    )
)
def impose_halt() -> Response:
    """Halt everything, a trader or a symbol. 201; 200 with the halt that stands when it was halted before."""
    desk, caller = enter(ADMIN)
    wanted = halt_request(raw_body())
    try:
        halt, new = impose(
            _desk(desk, caller), wanted.scope, wanted.trader_id, wanted.symbol, wanted.reason,
            cancel_exits=wanted.cancel_exits,
        )  # fmt: skip
    except NoSuchTarget:
        what = "symbol" if wanted.symbol else "trader_id"
        raise Problem(
            422,
            "UNKNOWN_SYMBOL" if wanted.symbol else "UNKNOWN_TRADER",
            f"There is no {'symbol ' + wanted.symbol if wanted.symbol else f'trader {wanted.trader_id}'}.",
            f"Check {what}; nothing was halted.",
        ) from None
    return answer(halt_document(halt), 201 if new else 200)


@blueprint.get("/admin/halts")
@described(
    Operation(
        group="Administration",
        scope=ADMIN,
        query={"limit": Parameter(Annotated[int, Meta(ge=1, le=MOST_HALTS)], "At most so many; 100 unless given.")},
        answers={200: shapes.Halts},
        problems=(422,),
    )
)
def list_halts() -> Response:
    """Halts: active ones first, then the newest."""
    desk, caller = enter(ADMIN)
    query = Query("limit")
    limit = query.integer("limit", 100, 1, MOST_HALTS)
    query.check()
    return answer({"data": [halt_document(halt) for halt in _desk(desk, caller).store.halts(limit)]})


@blueprint.delete("/admin/halts/<uuid:halt_id>")
@described(
    Operation(
        group="Administration",
        scope=ADMIN,
        body=shapes.LiftRequest,
        body_required=False,
        answers={200: shapes.Halt},
    )
)
def lift_halt(halt_id: UUID) -> Response:
    """Lift a halt; the body may give the reason. 200 with the halt, also when it was lifted before."""
    desk, caller = enter(ADMIN)
    body = raw_body()
    reason = reason_of(fields_of(body)) if body.strip(JSON_WHITESPACE) else None
    try:
        halt, _ = lift(_desk(desk, caller), halt_id, reason or LIFTED)
    except NoSuchHalt:
        raise not_found("halt") from None
    return answer(halt_document(halt))


def _desk(desk: Intake, caller: Caller) -> HaltDesk:
    store = PostgresHalts(desk.database, administrator=True)
    return HaltDesk(store, desk.ports.clock, desk.ports.ids, actor(caller), desk.ports.software_version)
