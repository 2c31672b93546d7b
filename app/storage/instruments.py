"""Instruments and their last quotes, copied from the venue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.trading_session import MarketHours
from app.domain.venue_answers import Quote, VenueInstrument
from app.storage.transaction import Call, Database, Statement

FEW = 200
"""A venue with no more instruments than this is watched whole."""
RECENTLY = timedelta(days=1)

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
WATCHED = Statement(
    "watched_symbols",
    f"""SELECT symbol FROM instruments i WHERE venue = $1 AND status = 'ACTIVE' AND (
        (SELECT count(*) FROM instruments WHERE venue = $1) <= {FEW}
        OR EXISTS (SELECT 1 FROM positions p WHERE p.symbol = i.symbol AND p.quantity <> 0)
        OR EXISTS (SELECT 1 FROM orders o WHERE o.symbol = i.symbol AND o.created_at > $2))
    ORDER BY symbol LIMIT 1000""",
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

    def watched(self, venue: str, now: datetime) -> list[str]:
        """Symbols whose quotes are worth having: all of a small venue, else what is held or was ordered lately."""
        return [row[0] for row in self._database.read(Call(WATCHED, [venue, now - RECENTLY]))]

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
