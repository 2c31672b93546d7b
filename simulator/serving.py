"""The way of every request: authenticate, decode, let a fault strike or not, answer, log, commit, reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from hmac import compare_digest
from time import perf_counter

from aiohttp import web

from simulator import misbehaviour
from simulator.calls import Call, Endpoint, Reply, decode, response
from simulator.faults import FaultBook
from simulator.ledger import Ledger
from simulator.refusals import Refusal, unauthorised
from simulator.request_log import ANSWERED, LoggedRequest
from simulator.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Serving:
    """Turns endpoints into HTTP handlers."""

    def __init__(self, settings: Settings, ledger: Ledger, faults: FaultBook) -> None:
        self._settings = settings
        self._ledger = ledger
        self.faults = faults
        self._last_request = ledger.last_request()
        self._late: set[asyncio.Task[None]] = set()

    def handler(self, endpoint: Endpoint) -> Handler:
        """The HTTP handler of an endpoint."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(endpoint, Call(request, endpoint.operation))

        return handle

    @property
    def late(self) -> int:
        """How many swallowed requests may still take effect."""
        return len(self._late)

    async def _serve(self, endpoint: Endpoint, call: Call) -> web.StreamResponse:
        try:
            if not endpoint.public:
                self._authenticate(call.request)
            if call.request.method in ("POST", "PATCH"):
                call.body = decode(await call.request.read())
            endpoint.about(call)
        except Refusal as refusal:
            return await self.reply(call, Reply(refusal.status, refusal.body()))
        call.fault = self.faults.strike(call.operation, call.client_order_id, call.symbol)
        if call.fault is not None:
            return await misbehaviour.apply(self, endpoint, call, call.fault)
        return await self.reply(call, self.answer(endpoint, call))

    def _authenticate(self, request: web.Request) -> None:
        headers = request.headers
        if not self.knows(headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")):
            raise unauthorised()

    def knows(self, key_id: str, secret_key: str) -> bool:
        """Whether these are the venue's credentials."""
        right = self._settings
        return compare_digest(key_id.encode(), right.key_id.encode()) and compare_digest(
            secret_key.encode(), right.secret_key.encode()
        )

    def answer(self, endpoint: Endpoint, call: Call) -> Reply:
        """Carries the request out; what it changed becomes durable with the next commit."""
        try:
            return endpoint.answer(call)
        except Refusal as refusal:
            return Reply(refusal.status, refusal.body())

    async def reply(self, call: Call, reply: Reply) -> web.StreamResponse:
        """Logs the request, waits until all it changed is durable, and answers."""
        await self.record(call, reply, reply.status, ANSWERED)
        return response(reply.status, reply.body())

    async def record(self, call: Call, effect: Reply | None, status: int | None, outcome: str) -> None:
        """Logs what became of a request and waits until all it changed is durable.

        `effect` is what a well-behaved venue would have answered, None when nothing was done; `status` is what the
        sender was told, None when nothing.
        """
        self._last_request += 1
        order_id = effect.order_id if effect is not None else None
        self._ledger.put_request(
            LoggedRequest(
                sequence=self._last_request,
                received_at=call.received_at,
                method=call.request.method,
                path=call.request.path_qs,
                operation=call.operation,
                client_order_id=call.client_order_id,
                order_id=order_id or (call.order.id if call.order is not None else None),
                status=status,
                code=effect.code if effect is not None else None,
                effect=None if effect is None else effect.status,
                outcome=outcome,
                fault=None if call.fault is None else call.fault.kind,
                milliseconds=(perf_counter() - call.started) * 1000,
            )
        )
        await self.commit()

    async def commit(self) -> None:
        """Waits until everything that requests have changed so far is durable."""
        if self._ledger.has_changes:
            await self._ledger.committed()

    def later(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work` whatever becomes of the request that asked for it."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late_done)

    def _late_done(self, task: asyncio.Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            # Raises here, in the loop's exception handler, what went wrong there.
            task.result()
