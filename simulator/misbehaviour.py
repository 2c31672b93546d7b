"""How each kind of fault treats a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from simulator.calls import Call, Endpoint, Reply, response
from simulator.fault_kinds import NONSENSE
from simulator.faults import FaultRule
from simulator.nonsense import nonsense
from simulator.refusals import Refusal
from simulator.request_log import ANSWERED, CUT, LATE, NO_REPLY, WAITING

if TYPE_CHECKING:
    from simulator.serving import Serving

_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>%(status)d Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>%(status)d Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_ERRORS = {
    500: b'{"code": 50010000, "message": "internal server error occurred"}',
    503: b'{"code": 50310000, "message": "service unavailable"}',
    504: b'{"code": 50410000, "message": "upstream request timeout"}',
    408: b'{"code": 40810000, "message": "request timeout"}',
    429: b'{"code": 42910000, "message": "rate limit exceeded"}',
}
_JSON, _HTML = "application/json", "text/html"


async def apply(serving: Serving, endpoint: Endpoint, call: Call, fault: FaultRule) -> web.StreamResponse:
    """Treats the request as `fault` says."""
    kind = fault.kind
    if kind == "late_accept":
        return await _late_accept(serving, endpoint, call, fault)
    if kind == "slow" and fault.after_accept is False:
        await asyncio.sleep(fault.delay(2))
    refusal = _refusal(fault)
    if refusal is not None:
        reply = Reply(refusal.status, refusal.body())
        await serving.record(call, None, reply.status, ANSWERED)
        return response(reply.status, reply.body())
    effect = serving.answer(endpoint, call) if _takes_effect(fault) else None
    if kind in ("reply_lost_after_accept", "connection_lost_before_accept", "cancel_reply_lost"):
        await serving.record(call, effect, None, NO_REPLY)
        return hang_up(call.request)
    if kind == "cut_json" and effect is not None:
        await serving.record(call, effect, effect.status, CUT)
        return await _cut(call.request, effect, fault)
    if kind in NONSENSE and effect is not None:
        await serving.record(call, effect, effect.status, ANSWERED)
        return response(effect.status, nonsense(kind, effect.document, fault.megabytes))
    status, body, content_type = _answer(fault)
    if effect is not None and status is None:
        # Only late or rejected afterwards: the answer itself is the true one.
        if kind == "slow" and fault.after_accept is not False:
            await serving.commit()
            await asyncio.sleep(fault.delay(2))
        return await serving.reply(call, effect)
    await serving.record(call, effect, status, ANSWERED)
    headers = {"Retry-After": f"{fault.delay(1):.0f}"} if status == 429 else None
    return response(status or 500, body, content_type, headers)


def _takes_effect(fault: FaultRule) -> bool:
    if fault.kind.endswith("_before_accept") or fault.kind in ("rate_limited_429", "lookup_error"):
        return False
    if fault.kind == "timeout_408":
        return fault.after_accept is True
    if fault.kind == "html_instead_of_json":
        return fault.after_accept is not False
    return True


def _refusal(fault: FaultRule) -> Refusal | None:
    if fault.kind == "refuse":
        code = 40310000 if fault.code is None else fault.code
        more = {"buying_power": "0", "cost_basis": "1"} if fault.code is None and fault.message is None else {}
        return Refusal(fault.status or 403, code, fault.message or "insufficient buying power", **more)
    if fault.kind == "cancel_refused":
        return Refusal(fault.status or 422, fault.code or 42210000, fault.message or "order is not cancelable")
    return None


def _answer(fault: FaultRule) -> tuple[int | None, bytes, str]:
    """Status, body and type of the false answer; status None where the true one is given."""
    kind = fault.kind
    if kind == "html_instead_of_json":
        status = fault.status or 502
        return status, _GATEWAY_PAGE % {b"status": status}, _HTML
    if kind == "lookup_error":
        status = fault.status or 500
        return status, _ERRORS.get(status, _ERRORS[500]), _JSON
    for number, body in _ERRORS.items():
        if f"_{number}" in kind:
            return number, body, _JSON
    return None, b"", _JSON


async def _late_accept(serving: Serving, endpoint: Endpoint, call: Call, fault: FaultRule) -> web.StreamResponse:
    """Nobody hears of it: the request takes effect long after it came, and the connection ends without a reply."""
    delay = fault.delay(7)

    async def take_effect() -> None:
        await asyncio.sleep(delay)
        await serving.record(call, serving.answer(endpoint, call), None, LATE)

    serving.later(take_effect())
    await serving.record(call, None, None, WAITING)
    await asyncio.sleep(delay + 0.5 if fault.hang_up_after is None else fault.hang_up_after)
    return hang_up(call.request)


async def _cut(request: web.Request, effect: Reply, fault: FaultRule) -> web.StreamResponse:
    body = effect.body()
    half = body[: len(body) // 2]
    if not fault.connection:
        return response(effect.status, half)
    cut = web.StreamResponse(status=effect.status, headers={"Content-Type": _JSON, "Content-Length": str(len(body))})
    await cut.prepare(request)
    await cut.write(half)
    if request.transport is not None:
        request.transport.close()
    return cut


def hang_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a reply."""
    if request.transport is not None:
        request.transport.close()
    # Never sent: the server finds the connection closed.
    return web.Response(status=499)
