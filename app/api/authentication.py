"""Who is calling: `Authorization: Bearer <api key>`."""

from __future__ import annotations

import re
from datetime import datetime

from flask import g, request

from app.api.bodies import raw_body
from app.api.problems import Problem
from app.domain.changes import Actor
from app.observability.context import bind
from app.sign_ins import SignIns, TooManyFailures
from app.signed_requests import SignatureRefused, check_signature
from app.storage.api_keys import Identity

Caller = Identity

_BEARER = re.compile(r"bearer +([!-~]{1,200})", re.ASCII | re.IGNORECASE)

_HOW = "Send the header Authorization: Bearer <api key>."


def identify(sign_ins: SignIns, now: datetime) -> Caller:
    """The caller of this request. Raises Problem 401, 429; DatabaseUnavailable."""
    header = request.headers.get("Authorization", "")
    if not header:
        raise _unauthorized("API_KEY_MISSING", "This request carries no API key.", _HOW)
    try:
        match = _BEARER.fullmatch(header.strip())
        if match is None:
            sign_ins.count_failure(request.remote_addr)
            raise _unauthorized("API_KEY_MALFORMED", "The Authorization header does not hold an API key.", _HOW)
        caller = sign_ins.identify(match[1], now, address=request.remote_addr)
        if caller is None:
            raise _unauthorized(
                "API_KEY_INVALID",
                "This API key is unknown, revoked or expired.",
                "Check the key, or ask the operator for a new one.",
            )
        if caller.signing_key is not None:
            _check_signature(sign_ins, caller, now)
    except TooManyFailures as failures:
        raise _too_many(failures) from None
    g.caller, g.received_at = caller, now
    bind(trader_id=str(caller.trader_id))
    return caller


def _check_signature(sign_ins: SignIns, caller: Caller, now: datetime) -> None:
    try:
        check_signature(request.environ, raw_body(), caller, now, sign_ins)
    except SignatureRefused as refused:
        sign_ins.count_failure(request.remote_addr)
        raise _unauthorized(refused.code, refused.detail, refused.suggestion) from None


def _too_many(failures: TooManyFailures) -> Problem:
    """Only for a sign-in that has failed: whoever shows a valid key is never told this."""
    return Problem(
        429,
        "TOO_MANY_FAILED_SIGN_INS",
        f"This sign-in failed, and it was the {failures.failures}th within a minute from the same address or with a "
        "key that begins alike.",
        "Check the API key before you try again; a valid key is accepted at once.",
        headers={"Retry-After": str(failures.retry_after)},
    )


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
