"""Why an order is refused. Denied is ours, rejected is the venue's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum


class DenialKind(StrEnum):
    """What sort of no it is, for whoever answers the client."""

    RULE = "RULE"
    CONFLICT = "CONFLICT"
    RATE = "RATE"


@dataclass(frozen=True, slots=True)
class Denial:
    """A failed rule: a stable code, one sentence with the numbers, and what to do."""

    code: str
    message: str
    suggestion: str
    field: str | None = None
    kind: DenialKind = DenialKind.RULE
    retry_after: int | None = None
    """Seconds."""
    numbers: dict[str, str] = dataclasses.field(default_factory=dict)
