"""What one order costs in calls to PostgreSQL, to the venue, to Redis: one at a time, so that nothing is shared."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from local.stack import CreatedTrader, LocalStack
from proofs.bench_load import trading
from proofs.statement_counter import StatementCounter
from proofs.venue_ledger import SimulatorControl

_IDLE_SECONDS = 4.0
_REST_SECONDS = 2.0  # for what follows an order, such as acknowledgements to the broker
_RARE = 0.02
_ASKED_BY_US = ("info", "hello", "client")


@dataclass(frozen=True)
class Cost:
    """Per order that is filled at once, what the idle system says anyway taken away."""

    commits: float
    rollbacks: float
    """Transactions that only read."""
    statements: float
    """Without transaction control and without PREPARE."""
    messages: float
    """Round trips to PostgreSQL; several statements travel in one."""
    venue_requests: float
    redis_commands: float
    by_name: Mapping[str, float]
    """Prepared statements."""
    idle_per_second: Mapping[str, float]

    def as_result(self) -> dict[str, Any]:
        """As in `var/bench.json`."""
        return {
            "commits_per_order": self.commits,
            "statements_per_order": self.statements,
            "database_messages_per_order": self.messages,
            "rollbacks_per_order": self.rollbacks,
            "venue_requests_per_order": self.venue_requests,
            "redis_commands_per_order": self.redis_commands,
            "statements_by_name_per_order": dict(self.by_name),
            "idle_calls_per_second": dict(self.idle_per_second),
        }


async def measure_cost(
    stack: LocalStack, counter: StatementCounter, traders: Sequence[CreatedTrader], orders: int
) -> Cost:
    """Submit `orders` orders one after the other on a system whose database calls go through `counter`."""
    async with trading(stack.url, traders) as load:
        await load.one_by_one(4 * len(traders))  # every connection has its statements prepared
        await asyncio.sleep(_REST_SECONDS)
        idle, idle_seconds = await _counted(stack, counter, asyncio.sleep(_IDLE_SECONDS))
        spent, seconds = await _counted(stack, counter, load.one_by_one(orders), rest=_REST_SECONDS)
    per_order = Counter({name: (count - idle[name] * seconds / idle_seconds) / orders for name, count in spent.items()})
    return Cost(
        commits=round(per_order["commits"], 2),
        rollbacks=round(per_order["rollbacks"], 2),
        statements=round(per_order["statements"], 1),
        messages=round(per_order["messages"], 1),
        venue_requests=round(per_order["venue requests"], 2),
        redis_commands=round(per_order["redis commands"], 1),
        by_name={
            name.removeprefix("EXECUTE "): round(count, 2)
            for name, count in per_order.most_common()
            if name.startswith("EXECUTE ") and count > _RARE
        },
        idle_per_second={
            name: round(count / idle_seconds, 1) for name, count in idle.items() if not name.startswith("EXECUTE ")
        },
    )


async def _counted(
    stack: LocalStack, counter: StatementCounter, work: Any, rest: float = 0.0
) -> tuple[Counter[str], float]:
    """What was said while `work` was done, and the seconds it took."""
    before, begun = _counts(stack, counter), time.monotonic()
    await work
    await asyncio.sleep(rest)
    after = _counts(stack, counter)
    return Counter({name: count - before[name] for name, count in after.items()}), time.monotonic() - begun


def _counts(stack: LocalStack, counter: StatementCounter) -> Counter[str]:
    spoken = counter.spoken()
    with redis.Redis.from_url(stack.settings.redis_url) as client:
        commands: Mapping[str, Mapping[str, Any]] = client.info("commandstats")
    return Counter(
        {
            "commits": spoken.commits,
            "rollbacks": spoken.rollbacks,
            "statements": spoken.statements,
            "messages": spoken.messages,
            "venue requests": len(SimulatorControl(stack.simulator_url).requests()),
            "redis commands": sum(
                int(stat["calls"])
                for name, stat in commands.items()
                if not name.removeprefix("cmdstat_").startswith(_ASKED_BY_US)
            ),
            **{f"EXECUTE {name}": count for name, count in spoken.names.items()},
        }
    )
