"""What the feed reads from PostgreSQL: the only place its events come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from app.storage import order_events
from app.storage.transaction import Call, Database, Statement

# One query for many traders, each from its own place. The join is lateral so that each place is one short index scan.
PAGES = Statement(
    "feed_pages",
    """SELECT wanted.place, page.seq, page.payload::text
    FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS wanted (trader_id, after, place)
    CROSS JOIN LATERAL (
        SELECT seq, payload FROM order_events e WHERE e.trader_id = wanted.trader_id AND e.seq > wanted.after
        ORDER BY e.seq LIMIT $3) page
    ORDER BY wanted.place, page.seq""",
)

# Row security shows the keys whose hashes are named, and no others.
DEAD_KEYS = Statement(
    "feed_dead_keys",
    """SELECT decode(asked, 'hex') FROM unnest($1::text[]) AS asked WHERE NOT EXISTS (
        SELECT FROM api_keys WHERE key_hash = decode(asked, 'hex') AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $2::timestamptz))""",
)
_KEYS_IN_A_STATEMENT = 1000


class Place(NamedTuple):
    """Where to read on: the events of a trader after a seq."""

    trader_id: UUID
    after: int


class EventSource(Protocol):
    """The truth, as the feed reads it. Every method raises DatabaseUnavailable."""

    def head(self, trader_id: UUID) -> int:
        """How many events the trader has."""
        ...

    def heads(self, traders: Sequence[UUID]) -> Mapping[UUID, int]:
        """The same for several traders, in one query."""
        ...

    def pages(self, places: Sequence[Place], limit: int) -> Sequence[Sequence[tuple[int, bytes]]]:
        """For each place, in their order, at most `limit` events as (seq, JSON document), ascending."""
        ...

    def invalid_keys(self, hashes: Iterable[bytes], now: datetime) -> set[bytes]:
        """Those of the keys that are revoked, expired or gone."""
        ...


class PostgresEvents:
    """EventSource over the API's login."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self, trader_id: UUID) -> int:
        return self.heads([trader_id]).get(trader_id, 0)

    def heads(self, traders: Sequence[UUID]) -> Mapping[UUID, int]:
        return dict(self._database.read(Call(order_events.HEADS, [list(traders)])))

    def pages(self, places: Sequence[Place], limit: int) -> Sequence[Sequence[tuple[int, bytes]]]:
        traders = [place.trader_id for place in places]
        named = {"app.trader_ids": f"{{{','.join(map(str, dict.fromkeys(traders)))}}}"}
        wanted = Call(PAGES, [traders, [place.after for place in places], limit])
        rows = self._database.read(wanted, settings=named)
        pages: list[list[tuple[int, bytes]]] = [[] for _ in places]
        for place, seq, payload in rows:
            pages[place - 1].append((seq, order_events.numbered(seq, payload.encode())))
        return pages

    def invalid_keys(self, hashes: Iterable[bytes], now: datetime) -> set[bytes]:
        asked = [key_hash.hex() for key_hash in dict.fromkeys(hashes)]
        invalid: set[bytes] = set()
        for first in range(0, len(asked), _KEYS_IN_A_STATEMENT):
            some = asked[first : first + _KEYS_IN_A_STATEMENT]
            named = {"app.key_hash": ",".join(some)}
            invalid.update(bytes(row[0]) for row in self._database.read(Call(DEAD_KEYS, [some, now]), settings=named))
        return invalid
