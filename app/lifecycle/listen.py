"""record: what the venue's stream says is taken into the books.

The stream has no memory: whatever came while it was cut is found by comparing the venue's lists after every connect
(`app.lifecycle.compare`), and an order that the stream has forgotten is asked about on its own due time. Identity of a
fill makes all of that safe to repeat (I6).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from app.domain.changes import LostRace, NoSuchOrder, StoreUnavailable
from app.domain.venue_answers import TAKEN_BACK, TradeUpdate
from app.lifecycle.ports import Ports
from app.lifecycle.reconcile import take_updates
from app.lifecycle.send import RECORD_PAUSES
from app.venues.port import TradeStream

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
_UUID_LENGTH = 36


class Listener:
    """One connection to the venue's stream."""

    def __init__(self, ports: Ports, stream: TradeStream) -> None:
        self._ports = ports
        self._stream = stream

    def connect(self) -> None:
        """Connect. The time without a stream left no trace in it: compare right after. Raises StreamLost."""
        self._stream.connect()
        log.info("connected to the venue's stream")

    def run_once(self) -> int:
        """Take what has arrived, one transaction per order; how many updates there were.

        Raises StreamLost, and DatabaseUnavailable: what was heard and not stored is asked for after the next connect.
        """
        updates: list[TradeUpdate] = []
        try:
            updates.extend(self._stream.updates(WAIT_SECONDS))
        finally:
            # also what came before the stream broke: it may be the only word on an order that has ended here
            self._take_all(updates)
        return len(updates)

    def _take_all(self, updates: Iterable[TradeUpdate]) -> None:
        """What cannot be stored about one order keeps nobody from hearing of the others. Raises the first problem."""
        failed: Exception | None = None
        # no list repeats what was taken back, so that comes first, and is not given up at the first problem
        for client_order_id, its_updates in sorted(_by_order(updates), key=lambda of: not _takes_back(of[1])):
            try:
                if _takes_back(its_updates):
                    self._insist(client_order_id, its_updates)
                else:
                    self.take(client_order_id, its_updates)
            except StoreUnavailable:
                raise  # it would keep the others waiting as well; the next comparison tells of them all
            except Exception as error:  # noqa: BLE001 -- raised once the others were told
                failed = failed or error
        if failed is not None:
            raise failed

    def _insist(self, client_order_id: str, updates: list[TradeUpdate]) -> None:
        for pause in RECORD_PAUSES:
            try:
                return self.take(client_order_id, updates)
            except (StoreUnavailable, LostRace):
                self._ports.wait(pause)
        try:
            self.take(client_order_id, updates)
        except (StoreUnavailable, LostRace):
            log.error("the venue takes an execution back, and it cannot be stored", extra={"order_id": client_order_id})
            raise

    def take(self, client_order_id: str, updates: list[TradeUpdate]) -> None:
        """Apply what was said about the order with that client order id, oldest first; log what is nobody's."""
        try:
            # a replacement's client order id is the order's with a number after it
            take_updates(self._ports, UUID(client_order_id[:_UUID_LENGTH]), updates)
        except (ValueError, NoSuchOrder):
            # the venue named it itself: the other exit of a pair
            ours = self._ports.store.order_at_venue(updates[-1].report.venue_order_id)
            if ours is not None:
                take_updates(self._ports, ours, updates)
                return
            log.warning(
                "the venue reports an order that is not ours",
                extra={"client_order_id": client_order_id, "venue_order_id": updates[-1].report.venue_order_id},
            )

    def close(self) -> None:
        self._stream.close()


def _takes_back(updates: Iterable[TradeUpdate]) -> bool:
    return any(update.event in TAKEN_BACK for update in updates)


def _by_order(updates: Iterable[TradeUpdate]) -> Iterable[tuple[str, list[TradeUpdate]]]:
    grouped: dict[str, list[TradeUpdate]] = {}
    for update in updates:
        grouped.setdefault(update.report.client_order_id, []).append(update)
    return grouped.items()
