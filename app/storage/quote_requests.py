"""Symbols whose quotes were asked for: of a large venue, what nobody holds is watched only then.

At most one row a symbol, and only of symbols that are listed: whoever asks for thousands fills no table with them.
"""

from __future__ import annotations

from datetime import datetime

from app.storage.transaction import Call, Statement

# A row that was written a moment ago is not even locked: a page that asks every second costs one read.
ASK = Statement(
    "ask_for_quote",
    """INSERT INTO quote_requests AS r (symbol, asked_at)
    SELECT symbol, $2::timestamptz FROM instruments WHERE symbol = $1 AND NOT EXISTS (
        SELECT 1 FROM quote_requests e WHERE e.symbol = $1 AND e.asked_at > $2::timestamptz - interval '10 s')
    ON CONFLICT (symbol) DO UPDATE SET asked_at = greatest(r.asked_at, excluded.asked_at)""",
)
# Whoever traded a symbol may do so again. The accepted order pays nothing for it: this is read from what it wrote.
# Both ends, or the planner takes it for a third of the table.
ASK_FOR_ORDERED = Statement(
    "ask_for_quotes_of_ordered",
    """INSERT INTO quote_requests AS r (symbol, asked_at)
    SELECT i.symbol, $3::timestamptz
    FROM (SELECT DISTINCT symbol FROM orders WHERE id >= $1 AND id < $2) o JOIN instruments i USING (symbol)
    WHERE NOT EXISTS (
        SELECT 1 FROM quote_requests e WHERE e.symbol = i.symbol AND e.asked_at > $3::timestamptz - interval '1 minute')
    ORDER BY i.symbol
    ON CONFLICT (symbol) DO UPDATE SET asked_at = greatest(r.asked_at, excluded.asked_at)""",
)


def ask(symbol: str, at: datetime) -> Call:
    """Have the symbol's quote watched for the next day, if it is listed."""
    return Call(ASK, [symbol, at])
