"""Venues' credentials, sealed: this room stores them and cannot open them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.domain.changes import ChainHead, LogEntry
from app.storage import execution_logs
from app.storage.transaction import Call, Database, Statement

STORE = Statement(
    "store_venue_credentials",
    """INSERT INTO venue_credentials (venue, sealed_with, sealed, updated_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (venue) DO UPDATE SET sealed_with = excluded.sealed_with, sealed = excluded.sealed,
      updated_at = excluded.updated_at""",
)
FIND = Statement(
    "find_venue_credentials", "SELECT venue, sealed_with, sealed, updated_at FROM venue_credentials WHERE venue = $1"
)
LIST = Statement(
    "list_venue_credentials", "SELECT venue, sealed_with, sealed, updated_at FROM venue_credentials ORDER BY venue"
)
REMOVE = Statement("remove_venue_credentials", "DELETE FROM venue_credentials WHERE venue = $1")


@dataclass(frozen=True, slots=True)
class SealedCredentials:
    """Of one venue."""

    venue: str
    sealed_with: str
    """The name of the key."""
    sealed: bytes = field(repr=False)
    updated_at: datetime


class PostgresVenueCredentials:
    """Written with the owner's login, read with a worker's; the web processes may do neither."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(
        self,
        credentials: SealedCredentials,
        chain_id: UUID,
        entry: Callable[[ChainHead, SealedCredentials | None], LogEntry],
    ) -> None:
        """In the place of those the venue had, in one transaction with the audit row that `entry` makes."""
        keep = Call(STORE, [credentials.venue, credentials.sealed_with, credentials.sealed, credentials.updated_at])
        with self._database.transaction() as transaction:
            (locked,) = transaction.fetch(execution_logs.lock_chain(chain_id, None))
            before = transaction.fetch(Call(FIND, [credentials.venue]))
            row = entry(execution_logs.head(chain_id, *locked[:2]), _from(*before[0]) if before else None)
            transaction.finish(keep, *execution_logs.append([row]))

    def find(self, venue: str) -> SealedCredentials | None:
        rows = self._database.read(Call(FIND, [venue]))
        return _from(*rows[0]) if rows else None

    def all(self) -> Sequence[SealedCredentials]:
        return [_from(*row) for row in self._database.read(Call(LIST))]

    def remove(self, venue: str, chain_id: UUID, entry: Callable[[ChainHead], LogEntry]) -> bool:
        """With its audit row, like `store`. False when there were none."""
        with self._database.transaction() as transaction:
            (locked,) = transaction.fetch(execution_logs.lock_chain(chain_id, None))
            if not transaction.fetch(Call(FIND, [venue])):
                return False
            row = entry(execution_logs.head(chain_id, *locked[:2]))
            transaction.finish(Call(REMOVE, [venue]), *execution_logs.append([row]))
        return True


def _from(venue: str, sealed_with: str, sealed: bytes, updated_at: datetime) -> SealedCredentials:
    return SealedCredentials(venue, sealed_with, bytes(sealed), updated_at)
