"""A client of Surefill that never submits an order twice and never takes silence for an answer."""

from surefill_client.client import Surefill
from surefill_client.documents import Event, Fill, Order, Reason
from surefill_client.outcomes import (
    Conflict,
    ErrorDetail,
    NoAnswer,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    StillOpen,
    SurefillError,
)

__all__ = [
    "Conflict",
    "ErrorDetail",
    "Event",
    "Fill",
    "NoAnswer",
    "NotAllowed",
    "NotFound",
    "Order",
    "OutcomeUnknown",
    "RateLimited",
    "Reason",
    "Refused",
    "StillOpen",
    "Surefill",
    "SurefillError",
]
