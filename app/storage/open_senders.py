"""Senders of submits that are not proven to have ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.storage.transaction import Call, Database, Statement

# An entry of open_attempts is "number sender"; a place is the beginning of its senders' names.
OPEN_SENDERS = Statement(
    "open_senders",
    """SELECT split_part(entry, ' ', 2) AS sender, array_agg(id ORDER BY created_at), min(updated_at)
    FROM orders, unnest(open_attempts) AS entry WHERE due_at IS NOT NULL GROUP BY 1 ORDER BY 3""",
)


@dataclass(frozen=True, slots=True)
class OpenSender:
    """A sender, the open orders that it may still have on the wire, and since when nothing was heard of the oldest."""

    name: str
    order_ids: tuple[UUID, ...]
    since: datetime


def open_senders(database: Database) -> list[OpenSender]:
    """All of them, the one that has been silent for longest first."""
    rows = database.read(Call(OPEN_SENDERS))
    return [OpenSender(name, tuple(map(_uuid, ids)), since) for name, ids, since in rows]


def _uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
