"""Traders' days: which have to begin, and whose loss has come to its limit. With the workers' login."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from app.storage.account_reads import EQUITY
from app.storage.transaction import Call, Database, Statement

AT_ONCE = 200
"""Accounts locked together while their day begins: no order waits longer than for so many small updates."""

# The locks first, in a statement of their own: what is read after it is what the last holder committed. An account
# that is busy is taken the next time, or by its own order.
LOCK_STALE = Statement(
    "lock_stale_sessions",
    """SELECT trader_id FROM accounts WHERE session_on IS NULL OR session_on < $1
    LIMIT $2 FOR UPDATE SKIP LOCKED""",
)
BEGIN_SESSIONS = Statement(
    "begin_sessions",
    f"""UPDATE accounts a SET session_on = $2, session_notional = 0, session_equity = {EQUITY}, updated_at = $3
    WHERE a.trader_id = ANY ($1::uuid[])""",
)
BEYOND_LIMIT = Statement(
    "traders_beyond_their_loss_limit",
    f"""SELECT t.id, t.limits_version FROM traders t JOIN accounts a ON a.trader_id = t.id
    WHERE t.daily_loss_limit IS NOT NULL AND t.trading_state = 'ACTIVE' AND a.session_on = $1
        AND a.session_equity - {EQUITY} >= t.daily_loss_limit""",
)
# A holding had no price when the day began: it is reckoned from the first moment at which all of them have one. The
# locks first here, too: one statement would put the cash of a fill that commits meanwhile beside the positions before.
LOCK_WITHOUT_EQUITY = Statement(
    "lock_sessions_without_equity",
    f"""SELECT a.trader_id FROM accounts a WHERE a.session_on = $1 AND a.session_equity IS NULL AND {EQUITY} IS NOT NULL
    LIMIT $2 FOR UPDATE OF a SKIP LOCKED""",
)
BEGIN_LATE = Statement(
    "begin_sessions_without_equity",
    f"""UPDATE accounts a SET session_equity = {EQUITY}, updated_at = $2
    WHERE a.trader_id = ANY ($1::uuid[]) AND {EQUITY} IS NOT NULL""",
)
# A new day, or another limit: then the new one is judged by.
TO_BE_LIFTED = Statement(
    "traders_whose_loss_is_over",
    """SELECT t.id FROM traders t JOIN accounts a ON a.trader_id = t.id
    WHERE t.trading_state = 'REDUCING' AND a.loss_limit_hit_on IS NOT NULL
        AND (a.loss_limit_hit_on < $1 OR t.limits_version <> a.loss_limit_hit_version)""",
)


class PostgresSessions:
    """SessionStore over PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, today: date, now: datetime) -> int:
        """Begin the day of accounts that have not begun it; how many."""
        with self._database.transaction() as transaction:
            late = [row[0] for row in transaction.fetch(Call(LOCK_WITHOUT_EQUITY, [today, AT_ONCE]))]
            if late:
                transaction.finish(Call(BEGIN_LATE, [late, now]))
        begun = 0
        while True:
            with self._database.transaction() as transaction:
                stale = [row[0] for row in transaction.fetch(Call(LOCK_STALE, [today, AT_ONCE]))]
                if not stale:
                    return begun
                transaction.finish(Call(BEGIN_SESSIONS, [stale, today, now]))
            begun += len(stale)

    def beyond_limit(self, today: date) -> Sequence[tuple[UUID, int]]:
        """Traders that may trade freely and have lost what they may lose in a day, by which version of their limits."""
        return [(trader_id, version) for trader_id, version in self._database.read(Call(BEYOND_LIMIT, [today]))]

    def to_be_lifted(self, today: date) -> Sequence[UUID]:
        """Traders that may only reduce because of a loss of another day, or by a limit that was changed since."""
        return [row[0] for row in self._database.read(Call(TO_BE_LIFTED, [today]))]
