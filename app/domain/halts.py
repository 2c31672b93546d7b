"""Halts: who has stopped which trading, why, and what that stops.

A halt stops new orders and every send from the commit on that wrote it: accepting and claiming transactions take the
gate shared before they look for halts, a halting one takes it alone, so none can have looked before and commit after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.order_events import Reason

OPERATOR = "OPERATOR"
"""The code of a halt that a person made; others name what was found."""


class HaltScope(StrEnum):
    """What a halt stops."""

    GLOBAL = "GLOBAL"
    TRADER = "TRADER"
    SYMBOL = "SYMBOL"


@dataclass(frozen=True, slots=True)
class Halt:
    """One halt. `trader_id` is set exactly for TRADER, `symbol` exactly for SYMBOL; times aware UTC."""

    id: UUID
    scope: HaltScope
    trader_id: UUID | None
    symbol: str | None
    code: str
    reason: str
    cancel_exits: bool
    """Whether protective exits that stand at the venue are cancelled too: that leaves positions unprotected."""
    halted_by: str
    created_at: datetime
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str | None = None

    @property
    def is_active(self) -> bool:
        return self.lifted_at is None

    def sentence(self) -> str:
        """What is stopped, since when, by whom and why, for the trader who meets it."""
        what = {
            HaltScope.GLOBAL: "All trading",
            HaltScope.TRADER: "Trading of this account",
            HaltScope.SYMBOL: f"Trading in {self.symbol}",
        }[self.scope]
        since = self.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{what} has been halted since {since} by {self.halted_by}: {self.reason.rstrip('.')}."

    def details(self) -> str:
        """What the audit row of a halt says beside its columns; a text, because its bytes are what the hash covers."""
        details = {"halt_id": str(self.id), "scope": str(self.scope), "cancel_exits": self.cancel_exits}
        return json.dumps(details, sort_keys=True, separators=(",", ":"))

    def as_reason(self) -> Reason:
        """Why an order was cancelled or not sent."""
        return Reason("HALT", self.sentence())
