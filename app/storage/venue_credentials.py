"""Venues' credentials, sealed: this room stores them and cannot open them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

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
REMOVE = Statement("remove_venue_credentials", "DELETE FROM venue_credentials WHERE venue = $1 RETURNING true")


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

    def store(self, credentials: SealedCredentials) -> None:
        """In the place of those the venue had."""
        self._database.read(
            Call(STORE, [credentials.venue, credentials.sealed_with, credentials.sealed, credentials.updated_at])
        )

    def find(self, venue: str) -> SealedCredentials | None:
        rows = self._database.read(Call(FIND, [venue]))
        return _from(*rows[0]) if rows else None

    def all(self) -> Sequence[SealedCredentials]:
        return [_from(*row) for row in self._database.read(Call(LIST))]

    def remove(self, venue: str) -> bool:
        """False when there were none."""
        return bool(self._database.read(Call(REMOVE, [venue])))


def _from(venue: str, sealed_with: str, sealed: bytes, updated_at: datetime) -> SealedCredentials:
    return SealedCredentials(venue, sealed_with, bytes(sealed), updated_at)
