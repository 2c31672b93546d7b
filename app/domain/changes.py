"""What one transaction decides and writes about an order: plain rows, built by the lifecycle, stored by the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar
from uuid import UUID

from app.domain.books import CommissionSource
from app.domain.documents import Json
from app.domain.halts import Halt
from app.domain.orders import Order
from app.domain.positions import Account, Position
from app.domain.trading_session import Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: a trader with a key, an administrator, or one of our own processes.

    `received_at` is when what made it act reached us: the trader's request, the venue's answer (aware UTC).
    """

    name: str
    credential: str | None = None
    received_at: datetime | None = None

    def hearing(self, received_at: datetime) -> Actor:
        """The same one, acting on what reached us then."""
        return Actor(self.name, self.credential, received_at)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One row of the audit log.

    `encoding` is the canonical encoding of `fields` with the row's chain and place in it: what the hash covers is
    also what is stored.
    """

    chain_id: UUID
    chain_seq: int
    previous_hash: bytes
    hash: bytes
    encoding: bytes
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
    commission_source: CommissionSource = CommissionSource.VENUE


@dataclass(frozen=True, slots=True)
class Imposing:
    """What one transaction decided about a halt: how the halt stands, and the audit row (none: it stood so before)."""

    halt: Halt
    log: LogEntry | None = None


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


@dataclass(frozen=True, slots=True)
class Child:
    """A new order written along with its parent."""

    order: Order
    log: list[LogEntry]
    feed: list[FeedEvent]


@dataclass(slots=True)
class Changes:
    """Everything one transaction writes about one order."""

    order: Order
    before: Order | None = None
    """The order as it was read under its lock; None for a new one."""
    account: Account | None = None
    position: Position | None = None
    fills: list[FillRow] = field(default_factory=list)
    attempts_started: list[AttemptStarted] = field(default_factory=list)
    attempts_ended: list[AttemptEnded] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)
    feed: list[FeedEvent] = field(default_factory=list)
    session: Session | None = None
    """The trader's day with what a change of the order adds to it; None: nothing."""
    children: list[Child] = field(default_factory=list)
    """New orders that follow from what happened to this one: its exits."""
    halts: list[Imposing] = field(default_factory=list)
    """Halts that what happened to the order calls for, with their rows in the trader's own chain."""


@dataclass(frozen=True, slots=True)
class Held:
    """An order under its row lock, with what was read beside it under the account's lock if books were asked for."""

    order: Order
    account: Account | None = None
    position: Position | None = None
    known: Mapping[tuple[str, Decimal], Decimal] = field(default_factory=dict)
    """Executions recorded so far: the venue's order and its cumulative quantity -> quantity."""
    instrument_status: str | None = None
    trading_state: str | None = None
    held_quantity: Decimal | None = None
    """Of an exit: what the trader holds of its symbol."""
    halt: Halt | None = None
    """An active halt that covers the order."""
    trader_chain: ChainHead | None = None
    """The trader's own audit chain; read only where the gate is closed, so that a halt may be written."""
    trader_halts: Sequence[Halt] = ()
    """Every halt that this trader ever had, lifted ones included; read with `trader_chain`."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The end of a chain of the audit log. That of a trader's chain counts the refusals of a minute."""

    chain_id: UUID
    seq: int
    hash: bytes
    refusal_minute: datetime | None = None
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class CountedRefusal:
    """What a refusal writes: rows, or only its count of that minute."""

    chain_id: UUID
    log: Sequence[LogEntry]
    minute: datetime
    refusals: int


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """What a deciding function returns: its result, and what to write (nothing: the transaction is rolled back)."""

    result: T
    changes: Changes | None = None


class BooksNeeded(Exception):
    """A decision moves money, but the account is not locked: the store repeats it with the books."""


class GateNeeded(Exception):
    """A decision halts trading, but the gate is not closed: the store repeats it behind the closed gate."""


class NoSuchOrder(Exception):
    """There is no such order, or it is not this trader's."""


@dataclass(frozen=True, slots=True)
class Accepting:
    """What an acceptance decided under the account's lock: a new order, or what its refusal leaves in the audit log."""

    changes: Changes | None = None
    refusal: CountedRefusal | None = None
    quote_wanted: str | None = None
    """A listed symbol of which the refusal lacked a fresh quote: have it watched from now on."""
    session: Session | None = None
    """The trader's day with the new order in it."""


class StoreUnavailable(Exception):
    """The store cannot be reached or did not answer. Whether a change under way happened is unknown."""


class StoreRefused(Exception):
    """The database refused what was to be written, and would again: a fault in what we were told or in our code."""


class LostRace(Exception):
    """Somebody else changed the row first, or holds it too long: nothing was written."""


class RowBusy(LostRace):
    """Somebody held a row for longer than the lock time-out: trying again at once would only wait again."""
