"""What the house needs of the world around it, passed in: time, identifiers, processes, wake-ups."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.domain.orders import Order


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

    def has_ended(self, sender: str, attempt: str) -> bool:
        """True only when it is proven that this sender does not send this attempt any more.

        False when it may, or when nobody here can tell.
        """
        ...

    def sending(self, attempt: str) -> AbstractContextManager[None]:
        """While it is entered, this process may have that attempt on the wire."""
        ...


class Wakeups(Protocol):
    """Best effort, after the commit: what is lost here is found by the sweeper and by the feed's own look."""

    def work(self, order: Order) -> None:
        """Somebody should look at this order now."""
        ...

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        """These events (JSON documents with their seq) were committed."""
        ...
