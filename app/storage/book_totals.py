"""The sums of all traders' books, and the comparisons with the venue's. With the workers' login."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.domain.book_comparison import BooksCompared, BookTotals
from app.domain.changes import ChainHead, LogEntry
from app.domain.money import plain
from app.storage import execution_logs
from app.storage.transaction import Call, Database, Statement

# One statement, so one snapshot. A commission of the house's own schedule is no money that the venue took.
TOTALS = Statement(
    "book_totals",
    """SELECT (SELECT coalesce(sum(cash - opening_cash), 0) FROM accounts),
        (SELECT coalesce(sum(commission), 0) FROM fills
            WHERE venue = $1 AND commission_source = 'FEE_SCHEDULE' AND commission <> 0),
        (SELECT coalesce(json_object_agg(symbol, quantity::text), '{}')::text FROM (
            SELECT p.symbol, sum(p.quantity) AS quantity FROM positions p JOIN instruments i USING (symbol)
            WHERE i.venue = $1 GROUP BY p.symbol HAVING sum(p.quantity) <> 0) held)""",
)
FIRST = Statement(
    "first_venue_comparison",
    "SELECT house_cash FROM venue_comparisons WHERE venue = $1 ORDER BY compared_at LIMIT 1",
)
LAST = Statement("last_venue_comparison", "SELECT max(compared_at) FROM venue_comparisons WHERE venue = $1")
# Since when nobody knows whether the books are right: where they never were compared, since there are traders.
UNCHECKED_SINCE = Statement(
    "books_unchecked_since",
    """SELECT coalesce((SELECT max(compared_at) FROM venue_comparisons), (SELECT min(created_at) FROM traders))""",
)
ADD = Statement(
    "add_venue_comparison",
    """INSERT INTO venue_comparisons (id, venue, compared_at, house_cash, cash_drift, position_drifts)
    VALUES ($1, $2, $3, $4, $5, $6)""",
)


def unchecked_since(database: Database) -> datetime | None:
    """See PostgresBookTotals.unchecked_since. The compliance login may ask, too."""
    at: datetime | None = database.read(Call(UNCHECKED_SINCE))[0][0]
    return at


class PostgresBookTotals:
    """Reads the sums, keeps what was found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def totals(self, venue: str) -> BookTotals:
        """The sums of all traders."""
        ((traded, house_fees, positions),) = self._database.read(Call(TOTALS, [venue]))
        held = {symbol: Decimal(text) for symbol, text in json.loads(positions).items()}
        return BookTotals(traded + house_fees, held)

    def house_cash(self, venue: str) -> Decimal | None:
        rows = self._database.read(Call(FIRST, [venue]))
        return rows[0][0] if rows else None

    def last_compared(self, venue: str) -> datetime | None:
        rows = self._database.read(Call(LAST, [venue]))
        return rows[0][0] if rows else None

    def unchecked_since(self) -> datetime | None:
        """When the books were last compared, or could have been first; None without any trader."""
        return unchecked_since(self._database)

    def add(self, compared: BooksCompared, chain_id: UUID, entry: Callable[[ChainHead], LogEntry] | None) -> None:
        """Keep a comparison, in one transaction with the audit row of its drift."""
        drifts = json.dumps({symbol: plain(drift) for symbol, drift in compared.position_drifts.items()})
        kept = Call(ADD, [compared.id, compared.venue, compared.at, compared.house_cash, compared.cash_drift, drifts])
        with self._database.transaction() as transaction:
            if entry is None:
                transaction.finish(kept)
                return
            (locked,) = transaction.fetch(execution_logs.lock_chain(chain_id, None))
            row = entry(execution_logs.head(chain_id, *locked[:2]))
            transaction.finish(kept, *execution_logs.append([row]))
