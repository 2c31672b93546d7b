"""The exchange's day, and whether its market is open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.domain.money import ZERO

EXCHANGE_ZONE = ZoneInfo("America/New_York")
"""Daily limits begin and end with the day of the exchange, not with the day of the server."""


def session_of(now: datetime) -> date:
    """The exchange's date at `now` (aware)."""
    return now.astimezone(EXCHANGE_ZONE).date()


def session_began(now: datetime) -> datetime:
    """When the exchange's day of `now` began: midnight there, aware."""
    return datetime.combine(session_of(now), time(), EXCHANGE_ZONE)


@dataclass(frozen=True, slots=True)
class Session:
    """A trader's day so far. Money in the account's currency."""

    on: date
    start_equity: Decimal | None
    """What the account was worth when the day began; None where a holding had no price then."""
    notional: Decimal = ZERO
    """The worth of all orders accepted today, whatever became of them."""


@dataclass(frozen=True, slots=True)
class MarketHours:
    """The venue's clock as it was last heard; it foretells the next opening and closing, so it outlives an outage."""

    is_open: bool
    next_open: datetime | None
    next_close: datetime | None

    def open_at(self, now: datetime) -> bool | None:
        """Whether the market is open at `now`; None when that is beyond what the venue foretold."""
        if self.is_open:
            if self.next_close is None or now < self.next_close:
                return True
            if self.next_open is None or self.next_open <= self.next_close:
                return None
            return False if now < self.next_open else None
        if self.next_open is None:
            return None
        if now < self.next_open:
            return False
        if self.next_close is None or self.next_close <= self.next_open:
            return None
        return True if now < self.next_close else None
