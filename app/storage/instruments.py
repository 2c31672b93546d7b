"""Instruments and their last quotes, copied from the venue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.trading_session import MarketHours
from app.domain.venue_answers import Quote, VenueInstrument
from app.storage.operations_reads import first_id
from app.storage.quote_requests import ASK_FOR_ORDERED
from app.storage.transaction import Call, Database, Statement

FEW = 200
"""A venue with no more instruments than this is watched whole."""
MOST_WATCHED = 1000
MOST_ASKED = 200
"""Two requests to the venue: what is held or open is quoted in time, however much is asked for beside it."""
RECENTLY = timedelta(days=1)
"""So long is a symbol watched after it was asked for or ordered."""
LONGEST_GAP = timedelta(hours=1)
UNCOMMITTED = timedelta(seconds=60)
"""An order may be committed so much later than its id was made."""

UPSERT = Statement(
    "upsert_instruments",
    """INSERT INTO instruments (symbol, venue, name, status, tick_size, lot_size, always_open, updated_at)
    SELECT n.symbol, $1, n.name, n.status, n.tick_size, n.lot_size, n.always_open, $8
    FROM unnest($2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::boolean[])
        AS n (symbol, name, status, tick_size, lot_size, always_open)
    ON CONFLICT (symbol) DO UPDATE SET venue = excluded.venue, name = excluded.name, status = excluded.status,
        tick_size = excluded.tick_size, lot_size = excluded.lot_size, always_open = excluded.always_open,
        updated_at = excluded.updated_at
    WHERE (instruments.venue, instruments.name, instruments.status, instruments.tick_size, instruments.lot_size,
            instruments.always_open)
        IS DISTINCT FROM (excluded.venue, excluded.name, excluded.status, excluded.tick_size, excluded.lot_size,
            excluded.always_open)""",
)
# What the venue does not list (any more) cannot be traded there.
DELIST = Statement(
    "delist_instruments",
    """UPDATE instruments SET status = 'DELISTED', updated_at = $2
    WHERE status <> 'DELISTED' AND symbol <> ALL ($1::text[])""",
)
STORE_QUOTES = Statement(
    "store_quotes",
    """UPDATE instruments i SET bid = q.bid, ask = q.ask, bid_size = q.bid_size, ask_size = q.ask_size,
        quoted_at = q.quoted_at, confirmed_at = $7
    FROM unnest($1::text[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[], $6::timestamptz[])
        AS q (symbol, bid, ask, bid_size, ask_size, quoted_at)
    WHERE i.symbol = q.symbol AND q.quoted_at < $7::timestamptz + interval '1 minute'
        AND (i.quoted_at IS NULL OR i.quoted_at <= q.quoted_at
            OR i.quoted_at > $7::timestamptz + interval '1 minute')""",
)
STORE_HOURS = Statement(
    "store_market_hours",
    """INSERT INTO market_hours (venue, is_open, next_open, next_close, confirmed_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (venue) DO UPDATE SET is_open = excluded.is_open, next_open = excluded.next_open,
        next_close = excluded.next_close, confirmed_at = excluded.confirmed_at""",
)
HELD = Statement(
    "held_symbols",
    """SELECT DISTINCT p.symbol FROM positions p JOIN instruments i USING (symbol)
    WHERE p.quantity <> 0 AND i.venue = $1 ORDER BY p.symbol""",
)
# Every second: what is read grows with the open orders and with what was asked for lately, not with history.
WATCHED = Statement(
    "watched_symbols",
    f"""SELECT i.symbol FROM instruments i JOIN (
        SELECT symbol, min(place) AS place, max(asked_at) AS asked_at FROM (
            SELECT unnest($2::text[]) AS symbol, 0 AS place, NULL::timestamptz AS asked_at
            UNION ALL SELECT symbol, 1, NULL FROM orders WHERE closed_at IS NULL
            UNION ALL (SELECT symbol, 2, asked_at FROM quote_requests WHERE asked_at > $3
                ORDER BY asked_at DESC LIMIT {MOST_ASKED})
            UNION ALL SELECT symbol, 3, NULL FROM instruments
                WHERE venue = $1 AND (SELECT count(*) FROM instruments WHERE venue = $1) <= {FEW}) each_why
        GROUP BY symbol) w USING (symbol)
    WHERE i.venue = $1 AND i.status = 'ACTIVE'
    ORDER BY w.place, w.asked_at DESC NULLS LAST, i.symbol LIMIT {MOST_WATCHED}""",
)


class PostgresInstruments:
    """The instruments table, for the process that fills it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, venue: str, instruments: Sequence[VenueInstrument], at: datetime) -> None:
        """Add new instruments, change what changed; one that the venue does not list is DELISTED."""
        if not instruments:
            return
        with self._database.transaction() as transaction:
            transaction.finish(
                Call(
                    UPSERT,
                    [
                        venue,
                        [i.symbol for i in instruments],
                        [i.name for i in instruments],
                        ["ACTIVE" if i.tradable else "HALTED" for i in instruments],
                        [i.tick_size for i in instruments],
                        [i.lot_size for i in instruments],
                        [i.always_open for i in instruments],
                        at,
                    ],
                ),
                Call(DELIST, [[i.symbol for i in instruments], at]),
            )

    def store_hours(self, venue: str, hours: MarketHours, at: datetime) -> None:
        """Keep the venue's clock: what it foretold holds while the venue is away."""
        with self._database.transaction() as transaction:
            transaction.finish(Call(STORE_HOURS, [venue, hours.is_open, hours.next_open, hours.next_close, at]))

    def held(self, venue: str) -> list[str]:
        """Symbols that some trader holds. Reads every position: not for every second."""
        return [row[0] for row in self._database.read(Call(HELD, [venue]))]

    def ask_for_ordered(self, since: datetime | None, now: datetime) -> None:
        """Have what was ordered since the last look watched for a day; without one, what was in the last hour."""
        seen_to = now - LONGEST_GAP if since is None else max(since - UNCOMMITTED, now - LONGEST_GAP)
        with self._database.transaction() as transaction:
            transaction.finish(Call(ASK_FOR_ORDERED, [first_id(seen_to), first_id(now), now]))

    def watched(self, venue: str, held: Sequence[str], now: datetime) -> list[str]:
        """Symbols whose quotes are worth having: what is held, has open orders, was asked for; all of a small venue.

        In that order, so that a venue of thousands of instruments loses what is wanted least.
        """
        return [row[0] for row in self._database.read(Call(WATCHED, [venue, list(held), now - RECENTLY]))]

    def store_quotes(self, quotes: Sequence[Quote], at: datetime) -> None:
        """Keep each quote that is not older than the stored one, and note that the venue confirmed it just now."""
        if not quotes:
            return
        with self._database.transaction() as transaction:
            transaction.finish(
                Call(
                    STORE_QUOTES,
                    [
                        [q.symbol for q in quotes],
                        [q.bid for q in quotes],
                        [q.ask for q in quotes],
                        [q.bid_size for q in quotes],
                        [q.ask_size for q in quotes],
                        [q.quoted_at for q in quotes],
                        at,
                    ],
                )
            )
