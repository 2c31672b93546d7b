"""Who is calling: `Authorization: Bearer <api key>`."""

from __future__ import annotations

import re
from datetime import datetime

from flask import g, request

from app.api.problems import Problem
from app.domain.changes import Actor
from app.storage.api_keys import Identity, PostgresApiKeys

Caller = Identity

_BEARER = re.compile(r"bearer +([!-~]{1,200})", re.ASCII | re.IGNORECASE)

_HOW = "Send the header Authorization: Bearer <api key>."


def identify(api_keys: PostgresApiKeys, now: datetime) -> Caller:
    """The caller of this request. Raises Problem 401; DatabaseUnavailable."""
    header = request.headers.get("Authorization", "")
    if not header:
        raise _unauthorized("API_KEY_MISSING", "This request carries no API key.", _HOW)
    match = _BEARER.fullmatch(header.strip())
    if match is None:
        raise _unauthorized("API_KEY_MALFORMED", "The Authorization header does not hold an API key.", _HOW)
    caller = api_keys.identify(match[1], now)
    if caller is None:
        raise _unauthorized(
            "API_KEY_INVALID",
            "This API key is unknown, revoked or expired.",
            "Check the key, or ask the operator for a new one.",
        )
    g.caller, g.received_at = caller, now
    return caller


def require(caller: Caller, scope: str) -> None:
    """Raises Problem 403 when the key lacks the scope."""
    if not caller.may(scope):
        held = ", ".join(sorted(caller.scopes)) or "none"
        raise Problem(
            403,
            "SCOPE_MISSING",
            f"This needs the scope {scope}; the key's scopes are: {held}.",
            f"Use a key that has the scope {scope}.",
        )


def actor(caller: Caller) -> Actor:
    """The caller as the audit log names it."""
    return Actor(f"trader:{caller.trader_id}", caller.key_prefix, g.get("received_at"))


def _unauthorized(code: str, detail: str, suggestion: str) -> Problem:
    return Problem(401, code, detail, suggestion, headers={"WWW-Authenticate": 'Bearer realm="surefill"'})
