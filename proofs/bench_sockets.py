"""What idle listeners cost intake: the same light load in turns without and with open sockets, in one run.

    .venv/bin/python -m proofs.bench_sockets

The load is an open loop far below what the machine can do, so that the difference is the sockets' and no queue's. Each
socket belongs to a trader of its own who does nothing: that is the dear case, since nothing is shared between them.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp

from app.domain.changes import Actor
from app.lifecycle.traders import Administration
from app.lifecycle.traders import create_trader as create
from app.storage.traders import PostgresTraders
from app.storage.transaction import Database
from app.wiring import SystemClock, TimeOrderedIds
from local.stack import CreatedTrader, LocalStack
from proofs.bench import ENVIRONMENT
from proofs.bench_connections import Feed
from proofs.bench_load import Load, trading
from proofs.processor_time import processor_seconds

_CASH = Decimal(1_000_000_000)
_SETTLE_SECONDS = 2.0
_SEED = 11


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--orders-per-second", type=float, default=16)
    parser.add_argument("--pairs", type=int, default=5, help="turns of each kind")
    parser.add_argument("--seconds", type=float, default=10, help="of one turn")
    options = parser.parse_args(arguments)
    # Without waiting for the disk: it hesitates by more than what is measured here, and sockets write nothing.
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder), ENVIRONMENT, durable=False) as stack:
        busy, idle = _accounts(stack, 12), _accounts(stack, options.sockets, "idle")
        asyncio.run(_measure(stack, busy, idle, options))
    return 0


def _accounts(stack: LocalStack, count: int, name: str = "busy") -> list[CreatedTrader]:
    database = Database(stack.settings.sqlalchemy_url("owner"), pool_size=1, application_name="bench")
    admin = Administration(
        PostgresTraders(database), SystemClock(), TimeOrderedIds(), Actor("administrator:bench"), "bench"
    )
    made = [create(admin, f"{name} {number}", _CASH) for number in range(count)]
    database.close()
    return [CreatedTrader(name, str(each.trader_id), each.key.text) for each in made]


async def _measure(
    stack: LocalStack, busy: Sequence[CreatedTrader], idle: Sequence[CreatedTrader], options: argparse.Namespace
) -> None:
    without: list[list[float]] = []
    beside: list[list[float]] = []
    async with trading(stack.url, busy) as load:
        await load.steady(options.orders_per_second, 5, 0, _SEED)
        for turn in range(options.pairs):
            # which kind begins alternates, so that a machine that gets slower is not blamed on either
            for is_beside in ((False, True), (True, False))[turn % 2]:
                async with AsyncExitStack() as sockets:
                    if is_beside:
                        await sockets.enter_async_context(_listening(stack.url, idle))
                    await asyncio.sleep(_SETTLE_SECONDS)
                    samples, share = await _turn(stack, load, options, turn)
                (beside if is_beside else without).append(samples)
                print(
                    f"{len(idle) if is_beside else 0:>4} sockets: p50 {_rank(samples, 50):6.1f}, "
                    f"p95 {_rank(samples, 95):6.1f} ms, {share:.2f} processors",
                    flush=True,
                )
    for percent in (50, 95):
        alone = _rank([each for turn in without for each in turn], percent)
        loaded = _rank([each for turn in beside for each in turn], percent)
        ratios = sorted(_rank(b, percent) / _rank(a, percent) for a, b in zip(without, beside, strict=True))
        print(
            f"accept p{percent}: {alone:.1f} ms without, {loaded:.1f} ms with {len(idle)} idle sockets: "
            f"{100 * (loaded / alone - 1):+.0f} %; median of the pairs {100 * (ratios[len(ratios) // 2] - 1):+.0f} %"
        )


async def _turn(stack: LocalStack, load: Load, options: argparse.Namespace, turn: int) -> tuple[list[float], float]:
    """Milliseconds from due to 201 of each order, and how many processors the system was busy with."""
    before, at = await asyncio.to_thread(processor_seconds, stack), time.monotonic()
    load.forget()
    load.record(True)
    # both kinds of a pair get the very same orders
    await load.steady(options.orders_per_second, options.seconds, 0, _SEED + 1 + turn)
    load.record(False)
    after, took = await asyncio.to_thread(processor_seconds, stack), time.monotonic() - at
    share = sum(after[name] - before.get(name, 0.0) for name in after) / took
    return load.samples().accept_ms, share


@asynccontextmanager
async def _listening(url: str, traders: Sequence[CreatedTrader]) -> AsyncIterator[None]:
    """One open socket for each of them."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        tasks = []
        for trader in traders:
            is_ready = asyncio.Event()
            feed = Feed(url, trader.api_key, lambda event, at, wall: None)
            tasks.append(group.create_task(feed.run(session, is_ready)))
            await is_ready.wait()
        yield
        for task in tasks:
            task.cancel()


def _rank(values: Sequence[float], percent: int) -> float:
    ranked = sorted(values)
    return ranked[math.ceil(len(ranked) * percent / 100) - 1]


if __name__ == "__main__":
    sys.exit(main())
