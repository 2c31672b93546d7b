"""The listener: takes the venue's live order updates into the books."""

from __future__ import annotations

import logging
import time

from app.domain.venue_answers import StreamLost
from app.lifecycle.listen import Listener
from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.storage.transaction import DatabaseUnavailable, LostRace
from app.wiring import trade_stream, worker_process
from workers.pace import Backoff, Stop

log = logging.getLogger(__name__)

HOLDS_SECONDS = 5.0
"""A stream that breaks sooner is connected again more and more slowly: every connect asks about all live orders."""


def main() -> None:
    settings = load_settings_or_exit()
    configure_logging("listener", settings.log_level)
    stop, backoff = Stop(), Backoff()
    process = worker_process(settings)
    listener = Listener(process.ports, trade_stream(settings))
    while not stop.asked():
        try:
            listener.connect()
            connected = time.monotonic()
            while not stop.asked():
                listener.run_once()
                if time.monotonic() - connected > HOLDS_SECONDS:
                    backoff.worked()
        except (StreamLost, DatabaseUnavailable, LostRace) as error:
            # updates taken from the stream but not stored are found again by the look-ups after the next connect
            log.warning("listening was interrupted: %s", error)
            listener.close()
            stop.wait(backoff.failed())
        except Exception:  # a fault about one order must not end the listening for all; it is said, with its trace
            log.exception("listening failed; it begins anew")
            listener.close()
            stop.wait(backoff.failed())
    listener.close()
    process.close()


if __name__ == "__main__":
    main()
