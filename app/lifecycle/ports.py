"""What the lifecycle is given to work with: the store, and everything of one process in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar
from uuid import UUID

from app.domain.acceptance import AcceptanceView, OrderTerms
from app.domain.changes import Accepting, ChainHead, CountedRefusal, Held, Verdict
from app.domain.fees import FeeSchedule
from app.domain.halts import Halt
from app.domain.orders import Order
from app.domain.retry_policy import RetryPolicy
from app.domain.surroundings import Clock, Ids, Senders, Wakeups
from app.venues.port import Venue

T = TypeVar("T")


class OrderStore(Protocol):
    """The truth. Each method is one transaction; none is open when it returns."""

    def change(
        self,
        order_id: UUID,
        decide: Callable[[Held], Verdict[T]],
        *,
        books: bool = False,
        trader_id: UUID | None = None,
        sending: bool = False,
        as_left: Order | None = None,
    ) -> T:
        """Lock the order (and its account), decide, write, commit, wake the feed.

        `sending`: the decision may let the order leave for the venue, so the gate is passed before halts are read.
        `as_left`: the order as the caller's own last commit left it. The first decision is made from it, with nothing
        read beside it, and written only if the order is still at that version; otherwise as without it.
        Raises NoSuchOrder. `decide` may run again from the start when books turn out to be needed.
        """
        ...

    def accept(
        self,
        trader_id: UUID,
        terms: OrderTerms,
        decide: Callable[[AcceptanceView, ChainHead], Accepting],
    ) -> None:
        """Lock the account, read all that the rules look at, decide, write, commit, wake the feed."""
        ...

    def amend(
        self,
        order_id: UUID,
        trader_id: UUID,
        terms_of: Callable[[Order], OrderTerms],
        decide: Callable[[Held, AcceptanceView], Verdict[T]],
    ) -> T:
        """Lock the order and its account, read all that the rules look at for those terms, decide, write.

        Raises NoSuchOrder.
        """
        ...

    def refuse(self, trader_id: UUID, decide: Callable[[ChainHead], CountedRefusal | None]) -> None:
        """Lock the trader's chain and write what a refusal leaves in the audit log; nothing for None."""
        ...

    def with_counted_refusals(self, more_than: int, before: datetime) -> Sequence[UUID]:
        """Traders that had more refusals than that in a minute that began before then, not told in the log yet."""
        ...

    def order(self, order_id: UUID) -> Order | None:
        """The order as committed, without a lock."""
        ...

    def due(self, now: datetime, limit: int) -> Sequence[Order]:
        """Open orders whose due time has passed, longest overdue first, and strays to go after."""
        ...

    def sending(self, now: datetime) -> Sequence[Order]:
        """Orders that may be on the wire, their lease still running."""
        ...

    def halted(self, limit: int) -> Sequence[tuple[Order, Halt]]:
        """Open orders that an active halt covers and that nobody wants cancelled yet, oldest first."""
        ...

    def exits_beyond_position(self) -> Sequence[tuple[Order, Decimal]]:
        """Open exits that reserve more than the trader holds, with what is held."""
        ...

    def order_at_venue(self, venue_order_id: str) -> UUID | None:
        """Whose order of ours an order of the venue is: also the other exit of a pair, or one that was replaced."""
        ...

    def look_at_live_orders(self, now: datetime) -> int:
        """Make every order that lives at the venue due; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The surroundings of one process."""

    clock: Clock
    ids: Ids
    store: OrderStore
    senders: Senders
    wakeups: Wakeups
    policy: RetryPolicy
    venue_of: Callable[[str], Venue]
    """The adapter for a venue's name."""
    software_version: str
    wait: Callable[[float], None]
    """Let so many seconds pass."""
    fees: FeeSchedule = field(default_factory=FeeSchedule)
    """What an execution costs where the venue does not say it."""


class UnknownVenue(LookupError):
    """No adapter is configured for the venue of an order."""
