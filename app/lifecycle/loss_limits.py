"""A loss that has come to its daily limit leaves a trader REDUCING until the exchange's next day, or another limit.

Acceptance judges every order by the loss of that moment, whoever has looked before; this makes the state visible, stops
what was accepted and not sent, and begins every account's day even where no order comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from app.domain.changes import ChainHead
from app.domain.money import plain
from app.domain.trading_session import session_of
from app.lifecycle.traders import Administration, trader_entry
from app.storage.traders import StoredTrader, TraderChanges

RULE = "DAILY_LOSS_LIMIT"


class SessionStore(Protocol):
    """Where traders' days are kept."""

    def begin(self, today: date, now: datetime) -> int: ...

    def beyond_limit(self, today: date) -> Sequence[tuple[UUID, int]]:
        """Who has lost too much, and by which version of the trader's limits."""
        ...

    def to_be_lifted(self, today: date) -> Sequence[UUID]: ...


def watch_losses(admin: Administration, sessions: SessionStore) -> int:
    """Begin days, stop who has lost too much, let go who may trade again; how many traders changed."""
    now = admin.clock.now()
    today = session_of(now)
    sessions.begin(today, now)
    lifted, hit = sessions.to_be_lifted(today), sessions.beyond_limit(today)
    for trader_id in lifted:
        _set(admin, trader_id, "REDUCING", "ACTIVE", "RESUMED", today)
    for trader_id, version in hit:
        _set(admin, trader_id, "ACTIVE", "REDUCING", "HALTED", today, version)
    return len(lifted) + len(hit)


def _set(
    admin: Administration,
    trader_id: UUID,
    before: str,
    after: str,
    action: str,
    today: date,
    limits_version: int | None = None,
) -> None:
    now = admin.clock.now()

    def decide(trader: StoredTrader, chain: ChainHead) -> TraderChanges | None:
        limit = trader.limits["daily_loss_limit"]
        if trader.trading_state != before:
            return None  # somebody else was first
        if limits_version not in (None, trader.limits_version):
            return None  # it was judged by a limit that is not the trader's any more: it is judged again in a moment
        entry = trader_entry(
            admin,
            chain,
            trader_id,
            action,
            now,
            details={
                "before": before,
                "after": after,
                "session": today.isoformat(),
                "daily_loss_limit": None if limit is None else plain(limit),  # type: ignore[arg-type] # an amount
            },
            rule=RULE,
            reason="The daily loss limit was hit: only orders that reduce a position are taken."
            if after == "REDUCING"
            else "The loss was another day's, or the limit was changed.",
            limits_version=trader.limits_version,
        )
        return TraderChanges(
            log=[entry], trading_state=after, loss_limit_hit_on=today if after == "REDUCING" else None, at=now
        )

    admin.store.change(trader_id, decide)
