"""Our books beside the venue account's: what the sums are, and what of a difference is drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.domain.money import ZERO, plain


@dataclass(frozen=True, slots=True)
class BookTotals:
    """The sums of all traders' books. `traded_cash`: what trading brought or cost, the venue's view of commissions."""

    traded_cash: Decimal
    positions: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class BooksCompared:
    """What one comparison found. A drift is the venue's figure less ours."""

    id: UUID
    venue: str
    at: datetime
    house_cash: Decimal
    cash_drift: Decimal
    position_drifts: Mapping[str, Decimal]

    @property
    def agrees(self) -> bool:
        return not self.cash_drift and not self.position_drifts


def what_stayed(before: BooksCompared, now: BooksCompared) -> BooksCompared:
    """The drift of both looks: the newer figures of what differed in each."""
    return BooksCompared(
        now.id,
        now.venue,
        now.at,
        now.house_cash,
        now.cash_drift if before.cash_drift else ZERO,
        {symbol: drift for symbol, drift in now.position_drifts.items() if symbol in before.position_drifts},
    )


def sentence(compared: BooksCompared) -> str:
    """What differs, with the numbers."""
    parts = [f"{symbol} {drift:+f}" for symbol, drift in compared.position_drifts.items()]
    if compared.cash_drift:
        parts.append(f"cash {plain(compared.cash_drift)}")
    return f"The venue has more or less than our books say: {', '.join(parts)}. Nothing was changed."
