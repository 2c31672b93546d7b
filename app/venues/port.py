"""The one door to a venue. An adapter turns a venue's wire into the answers of `app.domain.venue_answers`.

Contract for every adapter (checked by `tests/venues/conformance.py`):

* No method raises for what a venue or the network did; all of that is an answer. `OutcomeUnknown` is the answer for
  everything that is not a definite word of the venue: time-outs, cut connections, 5xx, 408, 429, bodies that do not
  parse, bodies about another order.
* No method repeats a request by itself, and none takes longer than the adapter's time-out.
* `close` ends all connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.reconciliation import NOTHING_KNOWN, Known
from app.domain.trading_session import MarketHours
from app.domain.venue_answers import (
    CancelAnswer,
    Execution,
    ExecutionsAnswer,
    LookupAnswer,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    PartOfList,
    Quote,
    StreamLost,
    SubmitAnswer,
    TradeUpdate,
    VenueCapabilities,
    VenueHoldings,
    VenueInstrument,
)

__all__ = ["StreamLost", "TradeStream", "Venue", "VenueLists", "VenueWithAccount"]


class Venue(Protocol):
    """Blocking calls to one venue; safe to use from one thread of one process."""

    @property
    def name(self) -> str:
        """Short stable name, stored on orders and fills."""
        ...

    @property
    def capabilities(self) -> VenueCapabilities: ...

    def submit(self, instruction: OrderInstruction) -> SubmitAnswer: ...

    def find(self, client_order_id: str) -> LookupAnswer:
        """Ask for an order in any state by our id."""
        ...

    def executions(self, report: OrderReport, since: datetime, known: Known = NOTHING_KNOWN) -> ExecutionsAnswer:
        """Executions of that order from `since` (aware UTC) on, oldest first: at least all that are not in `known`.

        Where `known` and the venue's latest are all that the report counts, what is older need not be among them.
        """
        ...

    def cancel(self, venue_order_id: str) -> CancelAnswer: ...

    def orders(self, since: datetime) -> Sequence[OrderReport] | PartOfList | OutcomeUnknown:
        """Every order the venue has received from `since` on, in any state: for finding orphans and missed ends."""
        ...

    def quotes(self, symbols: Sequence[str]) -> Sequence[Quote] | OutcomeUnknown: ...

    def instruments(self) -> Sequence[VenueInstrument] | OutcomeUnknown: ...
    def close(self) -> None: ...


class VenueLists(Protocol):
    """What a venue tells about many orders at once: for comparing it with our books."""

    @property
    def name(self) -> str: ...

    def open_orders(self) -> Sequence[OrderReport] | OutcomeUnknown:
        """Every order that is open there, however old."""
        ...

    def orders(self, since: datetime) -> Sequence[OrderReport] | PartOfList | OutcomeUnknown:
        """See Venue.orders."""
        ...

    def executions_of(
        self, reports: Sequence[OrderReport], since: datetime, known: Known = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Execution]] | OutcomeUnknown:
        """The same of all these orders, by the venue's order id.

        An order whose executions would take longer to find is missing from the result: nothing is known of it, and it
        is asked about by itself.
        """
        ...


class VenueWithAccount(Venue, Protocol):
    """What is asked beside the life of orders: the venue's clock, and its own books of our account."""

    def market_hours(self) -> MarketHours | OutcomeUnknown:
        """Whether the market is open, and when that changes next."""
        ...

    def holdings(self) -> VenueHoldings | OutcomeUnknown:
        """Cash and positions of the venue account, as the venue has them now."""
        ...


class TradeStream(Protocol):
    """The venue's live order updates."""

    def connect(self) -> None:
        """Connect, authenticate, subscribe. Raises `StreamLost` when that fails."""
        ...

    def updates(self, wait_seconds: float) -> Iterator[TradeUpdate]:
        """Yield what has arrived, waiting at most that long for the first; raises `StreamLost` when it broke."""
        ...

    def close(self) -> None: ...
