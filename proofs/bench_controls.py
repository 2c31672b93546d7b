"""How long an acceptance takes with every rule, and a cancel: `python -m proofs.bench_controls`.

Open loops on a throw-away system: orders at random times whatever becomes of the earlier ones, each timed from when it
was due. Every trader has every limit, so no rule is spared its data. Writes var/bench_controls.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import psycopg2

from app.settings import PROJECT_ROOT
from local.stack import LocalStack
from proofs.bench import BenchStack, _percentiles, _traders
from proofs.bench_load import Load, trading
from proofs.processor_time import processor_seconds

RESULT = PROJECT_ROOT / "var" / "bench_controls.json"
EVERY_LIMIT = (
    "--max-position-value", "1000000000", "--max-position-quantity", "1000000000", "--max-order-value", "100000000",
    "--max-order-quantity", "1000000", "--max-open-orders", "1000000", "--max-daily-notional", "100000000000",
    "--daily-loss-limit", "1000000000",
)  # fmt: skip
_SEED = 11
# Of each order that was cancelled after the venue had it, the moments on its way.
_CANCELS = """
    SELECT w.payload->>'timestamp', a.sent_at, a.ended_at, l.venue_at, l.timestamp
    FROM order_events w
    JOIN order_attempts a ON a.order_id = w.order_id AND a.kind = 'CANCEL'
    JOIN execution_logs l ON l.order_id = w.order_id AND l.action = 'CANCELLED' AND l.status = 'CANCELLED'
    WHERE w.event = 'order.cancelling' AND a.ended_at IS NOT NULL AND l.venue_at IS NOT NULL
    AND (w.payload->>'timestamp')::timestamptz >= %s
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    options = _options(arguments)
    with BenchStack() as stack:
        traders = _traders(stack, options.traders)
        for trader in traders:
            stack.limit_trader(trader, *EVERY_LIMIT)
        result = asyncio.run(_measure(stack, traders, options))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for name, values in result.items():
        print(f"{name:48} {values}")
    return 0


async def _measure(stack: LocalStack, traders: Sequence[Any], options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {}
    async with trading(stack.url, traders) as load:
        await load.full(24, 0, 4)
        load.record(True)
        for name, cancels in (("whole system", 0.0), ("whole system at half load, a third cancelled", 1 / 3)):
            rate = options.rate if not cancels else options.half
            load.forget_samples()
            began, spent = _now(stack), processor_seconds(stack)
            await load.steady(rate, options.seconds, cancels, _SEED)
            result |= _told(f"{name}, {rate:g} orders/s", load, stack, spent, options.seconds)
            if cancels:
                result["cancel, step by step"] = _steps(stack, began)
        for program in ("worker", "listener", "sweeper"):
            await asyncio.to_thread(stack.stop_program, program)
        load.forget_samples()
        spent = processor_seconds(stack)
        await load.steady_intake(options.rate, options.seconds, _SEED)
        result |= _told(f"intake alone, {options.rate:g} orders/s", load, stack, spent, options.seconds)
    return result


def _told(what: str, load: Load, stack: LocalStack, before: Mapping[str, float], seconds: float) -> dict[str, Any]:
    after = processor_seconds(stack)
    busy = sum(after[name] - before[name] for name in after if after[name] >= before[name])
    told: dict[str, Any] = {
        f"{what}: {name}": _percentiles(values) | {"samples": len(values)}
        for name, values in vars(load.samples()).items()
        if values
    }
    told[f"{what}: processors busy"] = round(busy / seconds, 2)
    return told


def _now(stack: LocalStack) -> object:
    return _rows(stack, "SELECT clock_timestamp()")[0][0]


def _rows(stack: LocalStack, statement: str, *values: object) -> list[tuple[Any, ...]]:
    url = stack.settings.database_url_worker
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def _steps(stack: LocalStack, since: object) -> dict[str, Any]:
    """Where a cancel's time goes, in milliseconds, as our books and the venue's stamp tell it."""
    names = ("wanted to sent", "sent to the venue's own time", "sent to answered", "the venue's own time to recorded")
    parts: dict[str, list[float]] = {name: [] for name in names}
    for wanted_text, sent, answered, at_venue, recorded in _rows(stack, _CANCELS, since):
        wanted = datetime.fromisoformat(wanted_text)
        spans = (sent - wanted, at_venue - sent, answered - sent, recorded - at_venue)
        for name, span in zip(names, spans, strict=True):
            parts[name].append(span.total_seconds() * 1000)
    return {name: _percentiles(values) for name, values in parts.items()}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs.bench_controls", description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="orders a second (50)")
    parser.add_argument("--half", type=float, default=36, help="half of full load, orders a second (36)")
    parser.add_argument("--seconds", type=float, default=20, help="of each part (20)")
    parser.add_argument("--traders", type=int, default=12, help="each with its own socket (12)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
