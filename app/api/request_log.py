"""One log line and one id per request. No header, no query and no body is ever logged: keys would be in them."""

from __future__ import annotations

import logging
import re
import time
from secrets import token_hex

from flask import Flask, Response, g, request

from app.observability.context import begin
from app.observability.request_metrics import answered

log = logging.getLogger("surefill.requests")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def register(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-Id")
    g.request_id = given if given and _REQUEST_ID.fullmatch(given) else token_hex(16)
    begin(request_id=g.request_id)


def _end(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = g.request_id
    seconds = time.perf_counter() - g.began
    answered(request.method, None if request.url_rule is None else request.url_rule.rule, response.status_code, seconds)
    if log.isEnabledFor(logging.INFO):
        caller = g.get("caller")
        rule = request.url_rule
        log.info(
            "request",
            extra={
                "method": request.method,
                # the route, not the path: a path that nobody serves may hold anything
                "route": None if rule is None else rule.rule,
                "status": response.status_code,
                "code": g.get("problem_code"),
                "ms": round(seconds * 1000, 2),
                "trader_id": None if caller is None else str(caller.trader_id),
                "key": None if caller is None else caller.key_prefix,
                "order_id": _order_id(response),
            },
        )
    return response


def _order_id(response: Response) -> str | None:
    given = (request.view_args or {}).get("order_id")
    if given is not None:
        return str(given)
    location = response.headers.get("Location", "")
    return location.rpartition("/")[2] if location.startswith("/api/v1/orders/") else None
