"""The listener: takes the venue's live order updates into the books, and compares its lists with them."""

from __future__ import annotations

import logging
import threading
import time

from app.domain.changes import LostRace
from app.domain.venue_answers import OutcomeUnknown, StreamLost
from app.lifecycle.compare import EVERY, WHILE_IN_DOUBT, Comparison
from app.lifecycle.listen import Listener
from app.observability.heartbeats import Heart
from app.observability.logs import configure_logging
from app.settings import Settings, load_settings_or_exit
from app.storage.transaction import DatabaseUnavailable
from app.wiring import comparison, trade_stream, worker_process
from workers.pace import Backoff, Stop

log = logging.getLogger(__name__)

HOLDS_SECONDS = 5.0
"""A stream that breaks sooner is connected again more and more slowly: every connect asks for all open orders."""
LOOK_SECONDS = 1.0


class Comparing:
    """Compares on a timer, sooner while orders are in doubt, and at once when asked to.

    In a thread with connections of its own: a venue that is slow to list its orders must not hold up its stream.
    """

    def __init__(self, settings: Settings, stop: Stop) -> None:
        # Here, in the main thread: where it cannot be had the process ends, and is started again.
        self._process = worker_process(settings)
        self._stop = stop
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="comparing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def now(self) -> None:
        """The stream was away: compare."""
        self._wanted.set()

    def join(self, seconds: float) -> None:
        self._wanted.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        comparing, backoff = comparison(self._process), Backoff(first=1.0)
        last = float("-inf")
        while not self._stop.asked():
            after_gap = self._wanted.wait(LOOK_SECONDS)
            self._wanted.clear()
            try:
                if self._stop.asked() or not (after_gap or self._is_time(comparing, last)):
                    continue
                last = time.monotonic()
                found = comparing.run_once(after_gap=after_gap)
                if isinstance(found, OutcomeUnknown):
                    self._stop.wait(backoff.failed())
                    continue
                backoff.worked()
                if after_gap or found.news or found.orphans or found.asked_about:
                    log.info("compared with the venue: %s", found)
            except (DatabaseUnavailable, LostRace) as error:
                log.warning("the comparison was interrupted: %s", error)
                self._again(backoff, after_gap=after_gap)
            except Exception:  # a fault about one order must not end the comparing; it is said, with its trace
                log.exception("the comparison failed; it begins anew")
                self._again(backoff, after_gap=after_gap)
        self._process.close()

    def _again(self, backoff: Backoff, *, after_gap: bool) -> None:
        self._stop.wait(backoff.failed())
        if after_gap:
            self._wanted.set()

    @staticmethod
    def _is_time(comparing: Comparison, last: float) -> bool:
        quiet = time.monotonic() - last
        if quiet > EVERY.total_seconds():
            return True
        return quiet > WHILE_IN_DOUBT.total_seconds() and comparing.in_doubt()


def main() -> None:
    settings = load_settings_or_exit()
    configure_logging("listener", settings.log_level)
    stop, backoff = Stop(), Backoff()
    process = worker_process(settings)
    listener, comparing = (
        Listener(process.ports, trade_stream(settings, process.credentials)),
        Comparing(settings, stop),
    )
    comparing.start()
    heart = Heart(process.redis, "listener")
    while not stop.asked():
        try:
            listener.connect()
            comparing.now()
            connected = time.monotonic()
            while not stop.asked():
                listener.run_once()
                heart.beat()
                if time.monotonic() - connected > HOLDS_SECONDS:
                    backoff.worked()
        except (StreamLost, DatabaseUnavailable, LostRace) as error:
            # updates taken from the stream but not stored are found again by the comparison after the next connect
            log.warning("listening was interrupted: %s", error)
            heart.beat()  # a venue that is away does not make this process a dead one
            listener.close()
            stop.wait(backoff.failed())
        except Exception:  # a fault about one order must not end the listening for all; it is said, with its trace
            log.exception("listening failed; it begins anew")
            listener.close()
            stop.wait(backoff.failed())
    comparing.join(settings.exchange_timeout_seconds)
    listener.close()
    heart.leave()
    process.close()


if __name__ == "__main__":
    main()
