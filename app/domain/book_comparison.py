"""Our books beside the venue account's: what the sums are, and what of a difference is drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


LOOKS_IN_A_ROW = 3
"""So many looks must find the same difference before it is called drift."""


def judged(looks: Sequence[BooksCompared], *, is_first: bool) -> BooksCompared | None:
    """What these looks, oldest first, say together. None: nothing yet.

    The venue's cash, its positions and our books are read one after the other, so what is executed meanwhile shows as a
    difference that is another one in the next look. A sum agrees as soon as one look finds it so; it has drifted once
    the last `LOOKS_IN_A_ROW` found the same difference. `is_first`: this one finds how much cash is no trader's, which
    is settled once two looks in a row found as much, with nothing on its way.
    """
    last, latest = looks[-1], looks[-LOOKS_IN_A_ROW:]
    position_drifts: dict[str, Decimal] = {}
    for symbol, drift in last.position_drifts.items():
        if any(symbol not in look.position_drifts for look in looks):
            continue
        if len(latest) < LOOKS_IN_A_ROW or any(look.position_drifts[symbol] != drift for look in latest):
            return None
        position_drifts[symbol] = drift
    cash_drift = ZERO
    if is_first:
        if len(looks) < 2 or any(
            (look.house_cash, look.position_drifts) != (last.house_cash, position_drifts) for look in looks[-2:]
        ):
            return None
    elif all(look.cash_drift for look in looks):
        if len(latest) < LOOKS_IN_A_ROW or any(look.cash_drift != last.cash_drift for look in latest):
            return None
        cash_drift = last.cash_drift
    return BooksCompared(last.id, last.venue, last.at, last.house_cash, cash_drift, position_drifts)


def sentence(compared: BooksCompared) -> str:
    """What differs, with the numbers."""
    parts = [f"{symbol} {drift:+f}" for symbol, drift in compared.position_drifts.items()]
    if compared.cash_drift:
        parts.append(f"cash {plain(compared.cash_drift)}")
    return f"The venue has more or less than our books say: {', '.join(parts)}. Nothing was changed."
