"""The client of the proofs keeps what it was told and what it was not, and tells a refused feed from a lost one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID

import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.live.handshake import Refused as FeedRefused
from local.stack import CreatedTrader
from proofs.ledgers import Submission
from proofs.trader_client import Refused, TraderClient

TRADER, ORDER = UUID(int=1), UUID(int=2)
BODY = {"symbol": "AAPL", "side": "BUY", "quantity": 1, "order_type": "MARKET"}
CREATED = (201, {"id": str(ORDER)})
IN_PROGRESS = (409, {"code": "REQUEST_IN_PROGRESS"})
STALE = (422, {"code": "REFERENCE_PRICE_STALE"})
AWAY = (503, {"code": "DATABASE_UNAVAILABLE"})
CUT: tuple[int, dict[str, Any]] = (0, {})
"""The connection is cut before the answer."""


async def submitted(*answers: tuple[int, dict[str, Any]]) -> TraderClient:
    """A client whose one order is answered like this, one after another."""
    coming = iter(answers)

    async def answer(request: web.Request) -> web.Response:
        status, document = next(coming)
        if not status:
            assert request.transport is not None
            request.transport.close()
        return web.json_response(document, status=status or 200)

    app = web.Application()
    app.router.add_post("/api/v1/orders", answer)
    async with TestServer(app) as server:
        client = TraderClient(str(server.make_url("")).rstrip("/"), _trader(), lambda _client, _event: None)
        async with client:
            with contextlib.suppress(Refused):
                await client.submit(BODY, key="K", longest_pause=0.01)
    return client


def _trader() -> CreatedTrader:
    return CreatedTrader(name="ann", trader_id=str(TRADER), api_key="key")


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ((CREATED,), Submission("K", ORDER, 0, is_over=True)),
        ((AWAY, CUT, CREATED), Submission("K", ORDER, 2, is_over=True)),
        ((IN_PROGRESS, CREATED), Submission("K", ORDER, 0, is_over=True)),
        ((STALE,), Submission("K", None, 0, is_over=True)),
        ((CUT, STALE), Submission("K", None, 1, is_over=True)),
    ],
)
def test_how_a_submission_went_is_kept(answers: tuple[tuple[int, dict[str, Any]], ...], kept: Submission) -> None:
    client = asyncio.run(submitted(*answers))
    assert client.submissions == [kept]
    assert [promise.order_id for promise in client.acknowledged] == ([ORDER] if kept.order_id else [])


async def refused_feed(refusal: Exception | None) -> str | None:
    """What a client whose feed meets this, again and again, has noted of it."""
    met = asyncio.Event()
    server = socketio.AsyncServer(async_mode="aiohttp")

    async def connect(_sid: str, _environ: object, _auth: object) -> bool:
        met.set()
        if refusal is not None:
            raise refusal
        return False

    server.on("connect", connect)
    app = web.Application()
    server.attach(app)
    async with TestServer(app) as served:
        client = TraderClient(str(served.make_url("")).rstrip("/"), _trader(), lambda _client, _event: None)
        async with client:
            await met.wait()
            for _ in range(100):
                if client.feed_refused is not None:
                    break
                await asyncio.sleep(0.01)
    return client.feed_refused


@pytest.mark.parametrize(
    "code",
    [
        "API_KEY_MISSING",
        "API_KEY_INVALID",
        "SCOPE_MISSING",
        "LAST_SEQ_INVALID",
        "SEQ_AHEAD",
        "TOO_MANY_FAILED_SIGN_INS",
    ],
)
def test_a_feed_that_is_refused_for_good_is_noted_whatever_its_code(code: str) -> None:
    document = dict(FeedRefused(code, "No.", "Do not.").document)
    noted = asyncio.run(refused_feed(socketio.exceptions.ConnectionRefusedError(code, document)))
    assert noted is not None and code in noted


def test_a_feed_that_cannot_be_checked_at_the_moment_is_no_refusal() -> None:
    assert asyncio.run(refused_feed(None)) is None
