"""The kill switch: a halt is imposed, its open orders are cancelled, and somebody lifts it again.

Imposing and lifting are transactions of their own, each with its row in the audit log. From the commit on no order is
accepted and no attempt begins that the halt stops (I4): whoever accepts or sends looks for halts behind the same gate.
What is open then is cancelled one order after the other, by the sweeper: a crash in between loses nothing, because what
is still to do is read from the orders themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from app.domain.changes import Actor, ChainHead, Imposing, LogEntry, LostRace, StoreRefused
from app.domain.halts import OPERATOR, Halt, HaltScope
from app.domain.order_states import ImpossibleChange
from app.domain.surroundings import Clock, Ids
from app.lifecycle.cancel import request_cancel
from app.lifecycle.ports import Ports
from app.lifecycle.record import chained

log = logging.getLogger(__name__)

SWEEPER = Actor("sweeper")
AT_ONCE = 500


class HaltStore(Protocol):
    """Where halts are kept. Each method is one transaction."""

    def impose(
        self,
        scope: HaltScope,
        trader_id: UUID | None,
        symbol: str | None,
        decide: Callable[[Halt | None, ChainHead], Imposing],
    ) -> Halt:
        """Close the gate, decide with the active halt of the same thing, write. Raises NoSuchTarget."""
        ...

    def lift(self, halt_id: UUID, decide: Callable[[Halt, ChainHead], Imposing]) -> Halt:
        """Raises NoSuchHalt."""
        ...

    def active(self, scope: HaltScope, trader_id: UUID | None, symbol: str | None) -> Halt | None: ...

    def halts(self, limit: int) -> Sequence[Halt]: ...


@dataclass(frozen=True, slots=True)
class HaltDesk:
    """The surroundings of whoever imposes and lifts."""

    store: HaltStore
    clock: Clock
    ids: Ids
    actor: Actor
    software_version: str


def impose(
    desk: HaltDesk,
    scope: HaltScope,
    trader_id: UUID | None,
    symbol: str | None,
    reason: str,
    *,
    cancel_exits: bool = False,
) -> tuple[Halt, bool]:
    """Halt it; the halt that stands now, and whether it is new. Raises NoSuchTarget."""
    new = False

    def decide(active: Halt | None, chain: ChainHead) -> Imposing:
        nonlocal new
        new = active is None
        if active is not None:
            return Imposing(active)
        now = desk.clock.now()
        halt = Halt(
            desk.ids.new(), scope, trader_id, symbol, OPERATOR, reason, cancel_exits, desk.actor.name, now
        )  # fmt: skip
        return Imposing(halt, _entry(desk, chain, halt, "HALTED", reason))

    return desk.store.impose(scope, trader_id, symbol, decide), new


def lift(desk: HaltDesk, halt_id: UUID, reason: str) -> tuple[Halt, bool]:
    """Let it trade again; the halt, and whether it was active. Raises NoSuchHalt."""
    lifted = False

    def decide(halt: Halt, chain: ChainHead) -> Imposing:
        nonlocal lifted
        lifted = halt.is_active
        if not lifted:
            return Imposing(halt)
        ended = replace(halt, lifted_at=desk.clock.now(), lifted_by=desk.actor.name, lift_reason=reason)
        return Imposing(ended, _entry(desk, chain, ended, "RESUMED", reason))

    return desk.store.lift(halt_id, decide), lifted


def cancel_what_is_halted(ports: Ports) -> int:
    """Want every open order cancelled that an active halt covers; how many.

    Repeating it changes nothing: an order whose cancel is wanted is not found again.
    """
    wanted = 0
    for order, halt in ports.store.halted(AT_ONCE):
        try:
            request_cancel(ports, order.id, SWEEPER, reason=halt.as_reason())
        except (LostRace, StoreRefused, ImpossibleChange):
            # one order that is busy or cannot be changed must not save the others: it is found again at the next look
            log.exception("an order that a halt covers could not be cancelled", extra={"order_id": str(order.id)})
        else:
            wanted += 1
    return wanted


def _entry(desk: HaltDesk, chain: ChainHead, halt: Halt, action: str, reason: str) -> LogEntry:
    now = halt.lifted_at or halt.created_at
    return chained(
        chain,
        {
            "id": desk.ids.new(),
            "trader_id": halt.trader_id,
            "actor": desk.actor.name,
            "credential": desk.actor.credential,
            "received_at": desk.actor.received_at,
            "action": action,
            "symbol": halt.symbol,
            "reason": reason,
            "error_code": halt.code,
            "details": halt.details(),
            "timestamp": now,
            "software_version": desk.software_version,
        },
    )
