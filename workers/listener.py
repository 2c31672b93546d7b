"""The listener: takes the venue's live order updates into the books.

The stream has no memory: whatever came while it was cut is asked for over REST after every connect, and an order that
the stream has forgotten is asked about on its own due time. Identity of a fill makes all of that safe to repeat (I6).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from app.domain.venue_answers import TradeUpdate
from app.lifecycle.ports import NoSuchOrder
from app.lifecycle.reconcile import take_updates
from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.storage.transaction import DatabaseUnavailable
from app.venues.port import StreamLost, TradeStream
from app.wiring import Process, trade_stream, worker_process
from workers.pace import Backoff, Stop

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.5


class Listener:
    """One connection to the venue's stream."""

    def __init__(self, process: Process, stream: TradeStream) -> None:
        self._process = process
        self._stream = stream

    def connect(self) -> None:
        """Connect, then have every live order asked about: the time without a stream left no trace in it."""
        self._stream.connect()
        ports = self._process.ports
        marked = ports.store.look_at_live_orders(ports.clock.now())
        log.info("connected to the venue's stream; %d live orders are asked about", marked)

    def run_once(self) -> int:
        """Take what has arrived, one transaction per order; how many updates there were."""
        updates = list(self._stream.updates(WAIT_SECONDS))
        for order_id, its_updates in _by_order(updates):
            self._take(order_id, its_updates)
        return len(updates)

    def _take(self, client_order_id: str, updates: list[TradeUpdate]) -> None:
        try:
            take_updates(self._process.ports, UUID(client_order_id), updates)
        except (ValueError, NoSuchOrder):
            log.warning(
                "the venue reports an order that is not ours",
                extra={"client_order_id": client_order_id, "venue_order_id": updates[-1].report.venue_order_id},
            )

    def close(self) -> None:
        self._stream.close()


def _by_order(updates: Iterable[TradeUpdate]) -> Iterable[tuple[str, list[TradeUpdate]]]:
    grouped: dict[str, list[TradeUpdate]] = {}
    for update in updates:
        grouped.setdefault(update.report.client_order_id, []).append(update)
    return grouped.items()


def main() -> None:
    settings = load_settings_or_exit()
    configure_logging("listener", settings.log_level)
    stop, backoff = Stop(), Backoff()
    process = worker_process(settings)
    listener = Listener(process, trade_stream(settings))
    while not stop.asked():
        try:
            listener.connect()
            backoff.worked()
            while not stop.asked():
                listener.run_once()
        except (StreamLost, DatabaseUnavailable) as error:
            # updates taken from the stream but not stored are found again by the look-ups after the next connect
            log.warning("listening was interrupted: %s", error)
            listener.close()
            stop.wait(backoff.failed())
    listener.close()
    process.close()


if __name__ == "__main__":
    main()
