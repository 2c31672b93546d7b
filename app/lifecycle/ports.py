"""What the lifecycle needs of the world, passed in: time, identifiers, the store, the venue, wake-ups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from app.domain.documents import Json
from app.domain.orders import Order
from app.domain.positions import Account, Position
from app.domain.retry_policy import RetryPolicy
from app.domain.risk_rules import AcceptanceView, OrderTerms
from app.venues.port import Venue

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Ids(Protocol):
    def new(self) -> UUID: ...


class Senders(Protocol):
    """Who may have a request on the wire."""

    @property
    def me(self) -> str:
        """Names this process for good: host, boot, pid and start time."""
        ...

    def has_ended(self, sender: str) -> bool:
        """True only when that process is proven to be gone; False when it lives or nobody here can tell."""
        ...


class Wakeups(Protocol):
    """Best effort, after the commit: what is lost here is found by the sweeper and by the feed's own look."""

    def work(self, order: Order) -> None:
        """Somebody should look at this order now."""
        ...

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        """These events (JSON documents with their seq) were committed."""
        ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: a trader with a key, an administrator, or one of our own processes."""

    name: str
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One row of the audit log; `fields` are its columns without the chain's own."""

    chain_id: UUID
    chain_seq: int
    previous_hash: bytes
    hash: bytes
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event for the trader's feed: the whole JSON document but for its seq, which the commit assigns."""

    name: str
    document: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class FillRow:
    id: UUID
    executed_at: datetime
    quantity: Decimal
    price: Decimal
    commission: Decimal
    venue_order_id: str
    cumulative_quantity: Decimal
    execution_id: str | None
    realized_pnl: Decimal
    is_late: bool


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    kind: str
    number: int
    fence: int
    client_order_id: str
    sender: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    kind: str
    number: int
    ended_at: datetime
    outcome: str
    error_code: str | None
    evidence: str | None


@dataclass(slots=True)
class Changes:
    """Everything one transaction writes about one order."""

    order: Order
    is_new: bool = False
    account: Account | None = None
    position: Position | None = None
    fills: list[FillRow] = field(default_factory=list)
    attempts_started: list[AttemptStarted] = field(default_factory=list)
    attempts_ended: list[AttemptEnded] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)
    feed: list[FeedEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Held:
    """An order under its row lock, with what was read beside it under the account's lock if books were asked for."""

    order: Order
    account: Account | None = None
    position: Position | None = None
    known: Mapping[Decimal, Decimal] = field(default_factory=dict)
    """Executions recorded so far: cumulative quantity -> quantity."""
    instrument_status: str | None = None
    trading_state: str | None = None


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The end of a chain of the audit log that is not an order's."""

    chain_id: UUID
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """What a deciding function returns: its result, and what to write (nothing: the transaction is rolled back)."""

    result: T
    changes: Changes | None = None


class BooksNeeded(Exception):
    """A decision moves money, but the account is not locked: the store repeats it with the books."""


class NoSuchOrder(Exception):
    """There is no such order, or it is not this trader's."""


@dataclass(frozen=True, slots=True)
class Accepting:
    """What an acceptance decided under the account's lock: a new order, or the audit entry of its refusal."""

    changes: Changes | None = None
    refusal: LogEntry | None = None


class OrderStore(Protocol):
    """The truth. Each method is one transaction; none is open when it returns."""

    def change(
        self,
        order_id: UUID,
        decide: Callable[[Held], Verdict[T]],
        *,
        books: bool = False,
        trader_id: UUID | None = None,
    ) -> T:
        """Lock the order (and its account), decide, write, commit, wake the feed.

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

    def refuse(self, trader_id: UUID, entry: Callable[[ChainHead], LogEntry]) -> None:
        """Write the audit entry of a request that never became an order."""
        ...

    def order(self, order_id: UUID) -> Order | None:
        """The order as committed, without a lock."""
        ...

    def due(self, now: datetime, limit: int) -> Sequence[Order]:
        """Open orders whose due time has passed, longest overdue first."""
        ...

    def sending(self, now: datetime) -> Sequence[Order]:
        """Orders that may be on the wire, their lease still running."""
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
