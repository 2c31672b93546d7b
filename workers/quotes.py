"""The quotes process: keeps instruments, their last quotes and the venue's clock in the database.

A venue that is down must not blind the rules: intake reads what is stored here and judges its age.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.changes import LostRace
from app.domain.venue_answers import OutcomeUnknown
from app.observability.heartbeats import Heart
from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.storage.book_totals import PostgresBookTotals
from app.storage.instruments import PostgresInstruments
from app.storage.transaction import DatabaseUnavailable
from app.wiring import Process, worker_process
from workers.pace import Backoff, Stop

log = logging.getLogger(__name__)

QUOTES_EVERY_SECONDS = 1.0
HOURS_EVERY_SECONDS = 5.0
INSTRUMENTS_EVERY_SECONDS = 30.0
HELD_EVERY_SECONDS = 10.0
"""What came to be held was ordered before, and open orders are looked at every time."""

COMPARE_BOOKS_AFTER_SECONDS = 300.0
"""The venue's books are compared once a day; whether it is time is asked this often, and not at once after a start,
when what happened meanwhile is still being fetched."""
BOOKS_UNCHECKED_TOO_LONG = timedelta(days=2)
"""Then a warning becomes an error."""


class Quotes:
    """Copies the venue's instruments and quotes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._instruments = PostgresInstruments(process.database)
        self._next_instruments = 0.0
        self._next_hours = 0.0
        self._next_held = 0.0
        self._held: Sequence[str] = ()
        self._ordered_until: datetime | None = None
        self._next_comparison = time.monotonic() + COMPARE_BOOKS_AFTER_SECONDS

    def run_once(self) -> int:
        """Refresh the instruments when it is time, then the quotes; how many quotes were stored."""
        venue, clock = self._process.venue, self._process.ports.clock
        if time.monotonic() >= self._next_hours:
            hours = venue.market_hours()
            if isinstance(hours, OutcomeUnknown):
                log.warning("the venue did not say whether its market is open: %s", hours.message)
            else:
                self._instruments.store_hours(venue.name, hours, clock.now())
                self._next_hours = time.monotonic() + HOURS_EVERY_SECONDS
        if time.monotonic() >= self._next_instruments:
            listed = venue.instruments()
            if isinstance(listed, OutcomeUnknown):
                log.warning("the venue did not list its instruments: %s", listed.message)
            else:
                self._instruments.store(venue.name, listed, clock.now())
                self._next_instruments = time.monotonic() + INSTRUMENTS_EVERY_SECONDS
        if time.monotonic() >= self._next_held:
            now = clock.now()
            self._held = self._instruments.held(venue.name)
            self._instruments.ask_for_ordered(self._ordered_until, now)
            self._ordered_until = now
            self._next_held = time.monotonic() + HELD_EVERY_SECONDS
        symbols = self._instruments.watched(venue.name, self._held, clock.now())
        quotes = venue.quotes(symbols) if symbols else []
        if isinstance(quotes, OutcomeUnknown):
            log.warning("the venue sent no quotes: %s", quotes.message)
            return 0
        self._instruments.store_quotes(quotes, clock.now())
        return len(quotes)

    def compare_books(self) -> None:
        """Once a day, the venue account's cash and positions against our books. Here, because it calls the venue."""
        if time.monotonic() < self._next_comparison:
            return
        self._next_comparison = time.monotonic() + COMPARE_BOOKS_AFTER_SECONDS
        comparison = self._process.book_comparison()
        if not comparison.is_due():
            return
        try:
            found = comparison.run_once("quotes")
        except DatabaseUnavailable as error:  # it may only be too slow to add up
            self._tell_unchecked(str(error))
        else:
            if isinstance(found, OutcomeUnknown):
                self._tell_unchecked(f"the venue did not say what the account holds: {found.message}")

    def _tell_unchecked(self, reason: str) -> None:
        since = PostgresBookTotals(self._process.database).unchecked_since()
        late = since is not None and self._process.ports.clock.now() - since > BOOKS_UNCHECKED_TOO_LONG
        level = logging.ERROR if late else logging.WARNING
        log.log(level, "the books have not been compared with the venue's since %s: %s", since, reason)


def main() -> None:
    settings = load_settings_or_exit()
    configure_logging("quotes", settings.log_level)
    stop, backoff = Stop(), Backoff()
    process = worker_process(settings)
    quotes, heart = Quotes(process), Heart(process.redis, "quotes")
    while not stop.asked():
        try:
            stored = quotes.run_once()
            heart.beat()
            quotes.compare_books()
            backoff.worked()
            stop.wait(QUOTES_EVERY_SECONDS if stored else 0.5)
        except (DatabaseUnavailable, LostRace) as error:
            log.warning("the database is away: %s", error)
            stop.wait(backoff.failed())
    heart.leave()
    process.close()


if __name__ == "__main__":
    main()
