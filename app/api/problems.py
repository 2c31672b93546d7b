"""Everything that goes wrong becomes one document: application/problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from app.api.shapes import FieldProblem, ProblemDocument
from app.domain.changes import LostRace, NoSuchOrder, RowBusy
from app.domain.denials import Denial, DenialKind
from app.lifecycle.ports import UnknownVenue
from app.storage.transaction import DatabaseBusy, DatabaseUnavailable

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

_encode = msgspec.json.Encoder().encode


class Problem(Exception):
    """An answer that is not a success. `errors` holds every failed rule at once."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        suggestion: str,
        *,
        errors: Sequence[Denial] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.suggestion = suggestion
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    @property
    def denials(self) -> tuple[Denial, ...]:
        """The reasons, for the audit log: at least one."""
        return self.errors or (Denial(self.code, self.detail, self.suggestion),)


def invalid(errors: Sequence[Denial]) -> Problem:
    """422: what was asked for is well-formed JSON, but not a valid request. The first error gives the code."""
    first = errors[0]
    return Problem(422, first.code, first.message, first.suggestion, errors=errors)


def denied(denials: Sequence[Denial]) -> Problem:
    """A refusal by the rules. The order rate limit says when to come back, whatever else is wrong."""
    for denial in denials:
        if denial.kind is DenialKind.RATE:
            wait = denial.retry_after or RETRY_AFTER_SECONDS
            return Problem(
                429, denial.code, denial.message, denial.suggestion, errors=denials, headers={"Retry-After": str(wait)}
            )
    rules = [denial for denial in denials if denial.kind is not DenialKind.CONFLICT]
    if rules:
        first, status = rules[0], 422
    else:
        first, status = denials[0], 409
    return Problem(status, first.code, first.message, first.suggestion, errors=denials)


def not_found(what: str) -> Problem:
    """404 for what does not exist, and for what is somebody else's: nobody can tell the two apart."""
    return Problem(404, "NOT_FOUND", f"There is no such {what}.", f"Check the {what}'s name or id.")


def list_too_slow(seconds: int) -> Problem:
    """503: rows that match are so rare that finding a page of them takes too long; others need the database as well."""
    return Problem(
        503,
        "LIST_TOO_SLOW",
        f"Looking for what matches was given up after {seconds} seconds: among so many rows it is too rare.",
        "Narrow the time with since and until, for instance to a day, and ask for one time after the other; or ask "
        "without the other filters. The same request again takes as long.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def not_supported_yet(what: str) -> Problem:
    return Problem(
        422,
        "NOT_SUPPORTED_YET",
        f"{what} is not supported yet.",
        "Do without it for now; the changelog will say when it is there.",
    )


def response(problem: Problem) -> Response:
    """The problem as it leaves."""
    document = ProblemDocument(
        type=f"urn:surefill:problem:{problem.code.lower().replace('_', '-')}",
        title=problem.code.replace("_", " ").capitalize(),
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        suggestion=problem.suggestion,
        errors=[
            FieldProblem(error.field, error.code, error.message, error.suggestion, error.numbers)
            for error in problem.errors
        ],
        request_id=g.get("request_id"),
    )
    g.problem_code = problem.code
    return Response(_encode(document), problem.status, problem.headers, content_type=CONTENT_TYPE)


_BY_STATUS: dict[int, tuple[str, str, str]] = {
    400: ("BAD_REQUEST", "The request could not be understood.", "Check the request against the documentation."),
    404: ("NOT_FOUND", "There is nothing at this address.", "Check the path; the API is below /api/v1."),
    405: ("METHOD_NOT_ALLOWED", "This address does not take that method.", "Use one of the methods in Allow."),
    408: ("REQUEST_TIMEOUT", "The request did not arrive in time.", "Send it again."),
    413: ("BODY_TOO_LARGE", "The body is larger than 64 kB.", "Send a smaller body."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body is not JSON.", "Send JSON with Content-Type: application/json."),
}


def register(app: Flask) -> None:
    """Make every error of the application a problem document."""
    app.register_error_handler(Problem, response)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(NoSuchOrder, _of_no_such_order)
    app.register_error_handler(DatabaseBusy, _of_busy)
    app.register_error_handler(DatabaseUnavailable, _of_unavailable)
    app.register_error_handler(LostRace, _of_lost_race)
    app.register_error_handler(UnknownVenue, _of_unknown_venue)
    app.register_error_handler(Exception, _of_fault)


def _of_http(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error  # a redirect is no problem
    code, detail, suggestion = _BY_STATUS.get(
        status,
        (error.name.upper().replace(" ", "_"), f"{error.name}.", "Check the request against the documentation."),
    )
    allow = error.get_response().headers.get("Allow")
    return response(Problem(status, code, detail, suggestion, headers={"Allow": allow} if allow else None))


def _of_no_such_order(_: NoSuchOrder) -> Response:
    return response(not_found("order"))


def _of_busy(error: DatabaseBusy) -> Response:
    # no line in the log beside the request's own: when this happens, it happens a hundred times a second
    return response(
        Problem(
            503,
            "OVERLOADED",
            f"More is asked at once than this server can do: {error}.",
            "Try again, and wait longer each time: repeating it does no harm.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    )


def _of_unavailable(error: DatabaseUnavailable) -> Response:
    log.warning("the database is away: %s", error, extra={"request_id": g.get("request_id")})
    if request.method == "POST" and request.endpoint == "api.submit_order":
        detail = "The database cannot be reached, so nobody can say yet whether this order exists."
        suggestion = "Repeat the same request with the same Idempotency-Key: it never makes a second order."
    elif request.method in ("GET", "HEAD"):
        detail, suggestion = "The database cannot be reached.", "Try again in a moment."
    else:
        detail = "The database cannot be reached; the change may or may not have been stored."
        suggestion = "Try again in a moment: repeating it does no harm."
    return response(
        Problem(503, "DATABASE_UNAVAILABLE", detail, suggestion, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    )


def request_in_progress() -> Problem:
    """409: another request of the same trader is not done yet, perhaps the first one with the same key."""
    return Problem(
        409,
        "REQUEST_IN_PROGRESS",
        "Another request for this account is still being worked on; this one has stored nothing.",
        "Repeat the same request with the same Idempotency-Key in a moment.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _of_lost_race(error: LostRace) -> Response:
    """Nothing was written: somebody else holds, or has just changed, the same account, order or table."""
    log.warning("gave way to another transaction: %s", error, extra={"request_id": g.get("request_id")})
    suggestion = "Try again in a moment."
    if request.method == "POST" and request.endpoint == "api.submit_order":
        if not isinstance(error, RowBusy):
            return response(request_in_progress())
        # that it is the account which is held, the route has found out (app/api/orders.py)
        detail = (
            "No order can be taken at this moment: trading is being halted or resumed, or the database is being worked "
            "on. This request has stored nothing."
        )
        suggestion = "Repeat the same request with the same Idempotency-Key in a moment."
    else:
        detail = "Somebody else is changing the same thing at this moment; this request has stored nothing."
    return response(Problem(503, "BUSY", detail, suggestion, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}))


def _of_unknown_venue(error: UnknownVenue) -> Response:
    """The order was sent to a venue that this system is not set up for any more: nobody here can ask it."""
    return response(
        Problem(
            409,
            "VENUE_NOT_CONFIGURED",
            f"This order cannot be settled now: {error}. Nothing was changed.",
            "Ask the operator to configure that venue again; the order is kept and looked at as soon as it is.",
        )
    )


def _of_fault(error: Exception) -> Response:
    request_id = g.get("request_id")
    log.error("a request failed", exc_info=error, extra={"request_id": request_id})
    return response(
        Problem(
            500,
            "INTERNAL_ERROR",
            "Something went wrong on our side; it was written to the log.",
            f"Try again; if it happens again, tell the operator the request id {request_id}.",
        )
    )
