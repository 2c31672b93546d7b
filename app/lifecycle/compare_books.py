"""Our books and the venue account's: positions and cash compared, drift alarmed and audited, never mended.

The venue account is shared, so its positions are compared with the sum of all traders'. Its cash holds money that is no
trader's, too: the first comparison says how much that is, and from then on only trading may change the difference.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID, uuid5

from app.domain.book_comparison import BooksCompared, BookTotals, judged, sentence
from app.domain.changes import ChainHead, LogEntry
from app.domain.money import ZERO, plain
from app.domain.surroundings import Clock, Ids
from app.domain.venue_answers import OutcomeUnknown
from app.lifecycle.compare import VENUE_CHAINS
from app.lifecycle.record import chained
from app.venues.port import VenueWithAccount

log = logging.getLogger(__name__)

DRIFT = "BOOKS_DRIFT"
EVERY = timedelta(days=1)
MOST_LOOKS = 6
PAUSE_SECONDS = 2.0
"""An execution that the venue has and we have not heard of yet is no drift: it is gone from the next look."""


class BookTotalsStore(Protocol):
    """Where the sums are read and comparisons kept."""

    def totals(self, venue: str) -> BookTotals: ...

    def house_cash(self, venue: str) -> Decimal | None:
        """What the first comparison found; None before it."""
        ...

    def last_compared(self, venue: str) -> datetime | None: ...

    def add(self, compared: BooksCompared, chain_id: UUID, entry: Callable[[ChainHead], LogEntry] | None) -> None:
        """Keep the comparison, with the audit row of its drift if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class BookComparison:
    """Compares one venue's books with ours."""

    venue: VenueWithAccount
    store: BookTotalsStore
    clock: Clock
    ids: Ids
    wait: Callable[[float], None]
    software_version: str

    def is_due(self) -> bool:
        last = self.store.last_compared(self.venue.name)
        return last is None or self.clock.now() - last >= EVERY

    def run_once(self, actor: str) -> BooksCompared | OutcomeUnknown:
        """Compare, alarm, keep. Asks again before it calls anything drift."""
        is_first = self.store.house_cash(self.venue.name) is None
        looks: list[BooksCompared] = []
        compared: BooksCompared | None = None
        while compared is None:
            if len(looks) == MOST_LOOKS:
                return OutcomeUnknown(
                    "BOOKS_MOVING", "The sums were others at each look; they are compared again later."
                )
            if looks:
                self.wait(PAUSE_SECONDS)
            found = self._look()
            if isinstance(found, OutcomeUnknown):
                return found
            looks.append(found)
            compared = judged(looks, is_first=is_first)
        entry = None if compared.agrees else self._alarm(compared, actor)
        self.store.add(compared, uuid5(VENUE_CHAINS, self.venue.name), entry)
        if not compared.agrees:
            log.error("the venue's books differ from ours: %s", sentence(compared))
        return compared

    def _look(self) -> BooksCompared | OutcomeUnknown:
        theirs = self.venue.holdings()
        if isinstance(theirs, OutcomeUnknown):
            return theirs
        ours = self.store.totals(self.venue.name)
        house_cash = theirs.cash - ours.traded_cash
        known = self.store.house_cash(self.venue.name)
        symbols = sorted(theirs.positions.keys() | ours.positions.keys())
        drifts = {symbol: theirs.positions.get(symbol, ZERO) - ours.positions.get(symbol, ZERO) for symbol in symbols}
        return BooksCompared(
            self.ids.new(),
            self.venue.name,
            self.clock.now(),
            house_cash,
            ZERO if known is None else house_cash - known,
            {symbol: drift for symbol, drift in drifts.items() if drift},
        )

    def _alarm(self, compared: BooksCompared, actor: str) -> Callable[[ChainHead], LogEntry]:
        details = {
            "cash_drift": plain(compared.cash_drift),
            "position_drifts": {symbol: plain(drift) for symbol, drift in compared.position_drifts.items()},
        }

        def entry(head: ChainHead) -> LogEntry:
            return chained(
                head,
                {
                    "id": self.ids.new(),
                    "actor": actor,
                    "action": "ALARMED",
                    "venue": compared.venue,
                    "error_code": DRIFT,
                    "reason": sentence(compared)[:2000],
                    "details": json.dumps(details, sort_keys=True),
                    "timestamp": compared.at,
                    "software_version": self.software_version,
                },
            )

        return entry
