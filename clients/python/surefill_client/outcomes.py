"""Everything but success, by what it means for the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surefill_client.documents import Order


class SurefillError(Exception):
    """Any of those below."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One failed rule; `field` is None where it is about no field."""

    field: str | None
    code: str
    message: str
    suggestion: str


class Refused(SurefillError):
    """A definite no, by Surefill itself: `code` is stable, `errors` holds every failed rule."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        suggestion: str,
        errors: tuple[ErrorDetail, ...],
        request_id: str | None,
    ) -> None:
        super().__init__(f"{detail} {suggestion} ({status} {code}, request {request_id})")
        self.status = status
        self.code = code
        self.detail = detail
        self.suggestion = suggestion
        self.errors = errors
        self.request_id = request_id


class NotAllowed(Refused):
    """401 or 403: the key is unknown, revoked or expired, or lacks a scope."""


class NotFound(Refused):
    """404: there is no such thing, or it is somebody else's."""


class Conflict(Refused):
    """409: it contradicts what is there, as a cancel of an order that has ended."""


class RateLimited(Refused):
    """429: come back in `retry_after` seconds."""

    retry_after: float = 1.0


class NoAnswer(SurefillError):
    """Nobody answered, or the answer says that nobody knows. What was asked for may have happened or not."""


class OutcomeUnknown(NoAnswer):
    """The order may exist or not. Submit the same terms again with `idempotency_key`: it never makes a second order."""

    def __init__(self, idempotency_key: str, why: str) -> None:
        super().__init__(f"Nobody knows whether the order exists ({why}); submit it again with key {idempotency_key}.")
        self.idempotency_key = idempotency_key


class StillOpen(SurefillError):
    """The time to wait is over and the order has not ended. `order` is how it was last seen."""

    def __init__(self, order: Order) -> None:
        super().__init__(f"order {order.id} is still {order.execution_state}")
        self.order = order
