"""Refusals in the audit log, bounded: whoever holds a key must not be able to fill the disk with them.

The first refusals of a trader's minute are rows of their own. Further ones only raise a counter beside the head of the
trader's chain, and when the minute is over one row says how many there were: written with the trader's next refusal,
or by the sweeper.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from app.domain.audit_chain import time_text
from app.domain.changes import Actor, ChainHead, CountedRefusal, LogEntry
from app.lifecycle.ports import Ports
from app.lifecycle.record import chained

MOST_WRITTEN = 60
"""Rows of refusals a trader and minute: more than a person can send or read, and 100 MB a day at the very most."""
COUNTED = "REFUSALS_COUNTED"
_MINUTE = timedelta(minutes=1)
_SWEEPER = Actor("sweeper")


def counted(
    ports: Ports, trader_id: UUID, chain: ChainHead, now: datetime, entry: Callable[[ChainHead], LogEntry]
) -> CountedRefusal:
    """What this refusal writes: the row that `entry` makes for a place in the chain, unless there were too many."""
    minute = now.replace(second=0, microsecond=0)
    log: list[LogEntry] = []
    refusals = chain.refusals
    if chain.refusal_minute is not None and chain.refusal_minute >= minute:
        minute = chain.refusal_minute  # or another process is ahead by a little
    else:
        if chain.refusals > MOST_WRITTEN:
            log.append(_summary(ports, trader_id, chain, now))
            chain = ChainHead(chain.chain_id, log[0].chain_seq, log[0].hash)
        refusals = 0
    if refusals < MOST_WRITTEN:
        log.append(entry(chain))
    return CountedRefusal(chain.chain_id, log, minute, refusals + 1)


def tell_counted(ports: Ports) -> int:
    """Write the rows of minutes that are over and saw too many refusals; how many rows."""
    told = 0
    minute = ports.clock.now().replace(second=0, microsecond=0)
    for trader_id in ports.store.with_counted_refusals(MOST_WRITTEN, minute):
        told += _tell(ports, trader_id, minute)
    return told


def _tell(ports: Ports, trader_id: UUID, minute: datetime) -> bool:
    told = False

    def decide(chain: ChainHead) -> CountedRefusal | None:
        nonlocal told
        told = chain.refusals > MOST_WRITTEN and chain.refusal_minute is not None and chain.refusal_minute < minute
        if not told:
            return None  # the trader's next refusal has told it meanwhile
        return CountedRefusal(trader_id, [_summary(ports, trader_id, chain, ports.clock.now())], minute, 0)

    ports.store.refuse(trader_id, decide)
    return told


def _summary(ports: Ports, trader_id: UUID, chain: ChainHead, now: datetime) -> LogEntry:
    if chain.refusal_minute is None:
        raise ValueError("no minute, nothing counted")
    more = chain.refusals - MOST_WRITTEN
    since, until = time_text(chain.refusal_minute), time_text(chain.refusal_minute + _MINUTE)
    details = {"from": since, "until": until, "refusals": chain.refusals, "not_written": more}
    return chained(
        chain,
        {
            "id": ports.ids.new(),
            "trader_id": trader_id,
            "actor": _SWEEPER.name,
            "action": "REJECTED",
            "error_code": COUNTED,
            "reason": f"{more} more requests of this trader were refused between {since} and {until}.",
            "details": json.dumps(details, sort_keys=True, separators=(",", ":")),
            "timestamp": now,
            "software_version": ports.software_version,
        },
    )
