"""One request and its answer, between HTTP and the venue."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import Any

import msgspec
from aiohttp import web

from simulator.faults import FaultRule
from simulator.figures import now
from simulator.orders import Order
from simulator.refusals import malformed

# Decimals leave as JSON numbers (market data); the trading API's figures are text already.
encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass
class Reply:
    """What a well-behaved venue answers."""

    status: int = 200
    document: Any = None
    order_id: str | None = None

    @property
    def code(self) -> int | None:
        """The error code in the body, if the answer is an error."""
        return self.document.get("code") if isinstance(self.document, dict) and self.status >= 400 else None

    def body(self) -> bytes:
        """The JSON to send; nothing for 204."""
        return b"" if self.status == 204 else encode(self.document)


@dataclass
class Call:
    """One request, decoded. `client_order_id` and `symbol` say whom it is about, if anyone."""

    request: web.Request
    operation: str
    received_at: datetime = field(default_factory=now)
    started: float = field(default_factory=perf_counter)
    body: Any = None
    order: Order | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    fault: FaultRule | None = None

    def query(self, name: str, default: str = "") -> str:
        """A query parameter, or `default` when it is absent or empty."""
        return self.request.query.get(name) or default


def nobody(call: Call) -> None:
    """A call that is about no order in particular."""


@dataclass(frozen=True)
class Endpoint:
    """How one route is answered; `about` finds out whom a call is about before a fault can strike.

    `public` routes need no keys, as crypto market data at Alpaca.
    """

    operation: str
    answer: Callable[[Call], Reply]
    about: Callable[[Call], None] = nobody
    public: bool = False


def response(
    status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> web.Response:
    """The HTTP response with this body."""
    headers = headers or {}
    return web.Response(status=status, body=body, headers={"Content-Type": content_type} | headers if body else headers)


def _no_constant(name: str) -> Decimal:
    raise ValueError(f"{name} is not JSON")


def decode(raw: bytes) -> object:
    """The JSON in `raw`, numbers as int and Decimal. Raises Refusal."""
    try:
        decoded: object = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise malformed() from error
    return decoded
