"""`make simulate`: many seeds, each a deterministic run of the production lifecycle under faults.

Writes var/simulate.json. Exits with 1 when a seed broke a rule, after printing its history and the command that runs
it again.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import multiprocessing.util
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from proofs.simulation.postgres import SimulationServer
from proofs.simulation.world import Result, run

RESULT = Path("var/simulate.json")
BATCH = 20
ON_POSTGRES_EVERY = 50


@dataclass
class Outcome:
    """What a worker process reports about one seed."""

    seed: int
    rules: list[str]
    orders: int
    steps: int
    drained_after: float
    alarms: list[str]
    on_postgres: bool


@dataclass
class Tally:
    """All seeds so far. `from_seed` is the first; the next range begins at `from_seed + seeds`."""

    from_seed: int
    seeds: int = 0
    violations: int = 0
    first_failing_seed: int | None = None
    failing_seeds: list[int] = field(default_factory=list)
    on_postgres: int = 0
    orders: int = 0
    steps: int = 0
    longest_drain_seconds: float = 0.0
    """Virtual seconds from the last fault until every order had ended."""
    alarms: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.orders += outcome.orders
        self.steps += outcome.steps
        self.on_postgres += outcome.on_postgres
        self.longest_drain_seconds = max(self.longest_drain_seconds, round(outcome.drained_after, 1))
        for alarm in outcome.alarms:
            self.alarms[alarm] = self.alarms.get(alarm, 0) + 1
        if outcome.rules:
            self.violations += 1
            self.failing_seeds = sorted([*self.failing_seeds, outcome.seed])[:100]
            self.first_failing_seed = self.failing_seeds[0]


def on_postgres(seed: int) -> bool:
    """Every fiftieth seed runs on the real store, the others on its double."""
    return seed % ON_POSTGRES_EVERY == 0


class Stores:
    """The stores of one process: PostgreSQL is started when the first seed needs it."""

    def __init__(self, folder: Path, store: str) -> None:
        self._folder, self._store = folder, store
        self._server: SimulationServer | None = None

    def run(self, seed: int) -> Result:
        if not self.uses_postgres(seed):
            return run(seed)
        if self._server is None:
            self._server = SimulationServer(self._folder)
        return self._server.run(seed)

    def uses_postgres(self, seed: int) -> bool:
        return self._store == "postgres" or (self._store == "both" and on_postgres(seed))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


_stores: list[Stores] = []


def _prepare(folder: str, store: str) -> None:
    gc.disable()  # a run ends with all that it made: looking for what has become garbage meanwhile costs a tenth
    stores = Stores(Path(folder) / str(os.getpid()), store)
    _stores.append(stores)
    multiprocessing.util.Finalize(None, stores.close, exitpriority=0)


def _run_batch(seeds: Sequence[int]) -> list[Outcome]:
    outcomes = []
    for seed in seeds:
        result = _stores[0].run(seed)
        outcomes.append(
            Outcome(
                seed, [violation.rule for violation in result.violations], result.orders, result.steps,
                result.drained_after or 0.0, result.alarms, _stores[0].uses_postgres(seed),
            )
        )  # fmt: skip
    gc.collect()
    return outcomes


def run_all(seeds: range, *, processes: int, store: str, stop_at_first: bool = False) -> Iterator[Outcome]:
    """The outcome of every seed, in their order: an interrupted range goes on where it stopped."""
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    with tempfile.TemporaryDirectory(prefix="surefill-simulate-") as folder:
        with multiprocessing.get_context("spawn").Pool(processes, _prepare, (folder, store)) as pool:
            for outcomes in pool.imap(_run_batch, batches):
                yield from outcomes
                if stop_at_first and any(outcome.rules for outcome in outcomes):
                    return
            # They stop their servers, which a worker that is merely terminated leaves to the kernel.
            pool.close()
            pool.join()


def explain(result: Result) -> None:
    """The history of a run and how to repeat it."""
    print(result.history.text())
    print(
        f"\nseed {result.seed}, client order ids are unique: {result.uniqueness}; {len(result.faults)} kinds of faults"
    )
    for violation in result.violations:
        print(f"VIOLATED {violation.rule}: {violation.sentence}")
    print(f"again: {command_for(result.seed)}")


def command_for(seed: int) -> str:
    """The one command that replays a seed."""
    return f".venv/bin/python -m proofs.simulate --seed {seed}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.seed is not None:
        return _one(options.seed, options.store)
    seeds = range(options.from_, options.from_ + options.seeds)
    tally, began = Tally(options.from_), time.monotonic()
    shown = kept = 0.0
    options.result.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        for outcome in run_all(
            seeds, processes=options.processes, store=options.store, stop_at_first=options.stop_at_first
        ):
            tally.add(outcome)
            if not options.quiet and time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                _progress(tally, len(seeds), time.monotonic() - began)
            if time.monotonic() - kept > 10:
                kept = time.monotonic()
                _keep(options.result, tally, kept - began)
    if not options.quiet:
        _progress(tally, len(seeds), time.monotonic() - began)
        print(file=sys.stderr)
    _keep(options.result, tally, time.monotonic() - began)
    if tally.first_failing_seed is not None:
        print(f"seed {tally.first_failing_seed} breaks a rule; its history:\n")
        _one(tally.first_failing_seed, options.store)
    bound = f"; with none, fewer than {3 / tally.seeds:.2g} of all runs fail (95 %)" if not tally.violations else ""
    print(
        f"simulate: {tally.seeds} seeds ({tally.on_postgres} on PostgreSQL), {tally.orders} orders, "
        f"{tally.steps} steps: "
        f"{tally.violations} violations{bound}"
    )
    return 1 if tally.violations or tally.seeds < len(seeds) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--from", dest="from_", type=int, default=0, help="the first seed: ranges can be resumed")
    parser.add_argument("--seed", type=int, help="run this one and print its history")
    parser.add_argument("--jobs", "--processes", dest="processes", type=int, default=os.cpu_count() or 1,
                        help="so many processes at once; one for each processor unless given")  # fmt: skip
    parser.add_argument("--store", choices=("both", "memory", "postgres"), default="both")
    parser.add_argument("--stop-at-first", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--result", type=Path, default=RESULT)
    return parser.parse_args(arguments)


def _one(seed: int, store: str) -> int:
    with tempfile.TemporaryDirectory(prefix="surefill-simulate-") as folder:
        stores = Stores(Path(folder), store)
        try:
            result = stores.run(seed)
        finally:
            stores.close()
    explain(result)
    return 1 if result.violations else 0


def _keep(result: Path, tally: Tally, seconds: float) -> None:
    tally.wall_seconds = round(seconds, 1)
    result.write_text(json.dumps(asdict(tally), indent=2) + "\n")


def _progress(tally: Tally, all_: int, seconds: float) -> None:
    done = tally.seeds / all_
    bar = "#" * int(30 * done)
    rate = tally.seeds / max(seconds, 0.001)
    left = (all_ - tally.seeds) / max(rate, 0.001)
    sys.stderr.write(
        f"\r[{bar:<30}] {tally.seeds}/{all_} seeds, {tally.violations} violations, {rate:.0f}/s, {left:.0f} s left "
    )
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
