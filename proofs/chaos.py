"""`make chaos`: real processes under load while everything around them fails; then both ledgers are compared.

Nothing of Surefill is imported that decides about orders: it is judged from outside, by its API, its feeds, its
database and the simulated venue's own ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from local.cannot_start import CannotStart
from local.stack import LocalStack
from proofs.chaos_faults import KINDS, LONGER_THAN_THE_LEASE, MINUTE_FAULT, Fault, Scene, Undo, schedule
from proofs.chaos_load import Load
from proofs.chaos_report import Recoveries, contract_document, tables, verdict
from proofs.fault_proxy import FaultProxies, rewired
from proofs.ledgers import Comparison, compare
from proofs.our_ledger import OurLedger, open_states, read_our_ledger
from proofs.venue_ledger import SimulatorControl
from simulator.settings import CLIENT_ID_UNIQUENESS

RATE = 15.0
TRADERS = 6
CASH = Decimal(1_000_000_000)
"""Of each trader, in US dollars: funds are not what is tested here."""
GAP_SECONDS = (8.0, 12.0)
OVERLAP_AFTER_SECONDS = 4.0
"""A fault whose traces are not gone so long after its end is joined by the next one."""
ALONE_SECONDS = 180.0
"""With --alone the next fault waits so long, at most, for the last one's traces to go."""
REST_SECONDS = 15.0
"""So long what was away is left alone at most: until its absence has left no trace, which is what is measured."""
AMBUSHED = 12
"""So many orders are sent into an ambush: more than the worker has children."""
AMBUSH_SECONDS = 0.3
SAY_EVERY_SECONDS = 60.0
LAST_WATCH_SECONDS = 30.0
DRAIN_SECONDS = 600.0
AGREE_SECONDS = 45.0
RESULT = Path("var/chaos.json")

ENVIRONMENT = {
    # The longest that something may be held on its way here: a stopped simulator, a black hole.
    "VENUE_MAX_IN_FLIGHT_SECONDS": "15",
    "ORDER_RATE_LIMIT_PER_MINUTE": "100000",
    # Twice the default: everything goes through a proxy, so a child waits more than it works.
    "WORKER_CONCURRENCY": "8",
}

# What the venue's own nonsense and contradictions are meant to raise. Every other alarm counts against us.
EXPECTED_ALARMS = {
    "VENUE_ANSWER_NONSENSE",
    "VENUE_ANSWER_UNREADABLE",
    # the simulator is told to deny, for some seconds, orders that it has
    "MISSING_AT_VENUE",
}
NONSENSE_SYMBOL = "WRONG"
"""What the simulator calls a security when it talks nonsense: terms that differ by it are rightly alarmed."""


@dataclass
class Strike:
    """One fault as it was done."""

    number: int
    fault: Fault
    began: float
    ended: float | None = None
    undo: Undo | None = None
    settled: float | None = None
    taken_back: asyncio.Event = field(default_factory=asyncio.Event)
    """It hits nothing any more."""

    @property
    def lasts(self) -> bool:
        """Whether it is one of those that others join."""
        return self.fault.seconds > LONGER_THAN_THE_LEASE

    def is_felt(self, now: float) -> bool:
        """Whether what it hits is hit still, or was away for long and has not come to rest."""
        if not self.taken_back.is_set():
            return True
        return self.lasts and self.settled is None and now < (self.ended or now) + REST_SECONDS


class Chaos:
    """One run against a system that is up."""

    def __init__(self, scene: Scene, load: Load, console: Console, options: argparse.Namespace) -> None:
        self._scene = scene
        self.load = load
        self._console = console
        self._options = options
        self.strikes: list[Strike] = []
        self.recoveries = Recoveries()
        self._watching: set[asyncio.Task[None]] = set()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("chaos", total=options.minutes * 60, told="")

    async def run(self) -> Comparison:
        """Load and faults for as long as asked for, then heal, drain, compare. Raises what the load raised."""
        begun = time.monotonic()
        until = begun + self._options.minutes * 60
        with self._progress:
            showing = asyncio.create_task(self._show(begun))
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.load.trade(self._options.rate, until))
                    group.create_task(self._strike(until))
                self._say("healing everything; waiting until every order has ended")
                await self._heal()
                await asyncio.wait([*self._watching, asyncio.create_task(asyncio.sleep(0))], timeout=LAST_WATCH_SECONDS)
                await self._drain()
            finally:
                for task in (showing, *self._watching):
                    task.cancel()
        return await self._agree()

    # -- faults -------------------------------------------------------------------------------------------------------

    async def _strike(self, until: float) -> None:
        random = Random(self._options.seed)
        await asyncio.sleep(2.0)
        minute_too_long = self._options.minutes < 3
        coming: deque[Fault] = deque()
        faults = schedule(random, self._options.kinds)
        while time.monotonic() < until:
            fault = self._next(coming, faults)
            if fault is None:
                await asyncio.sleep(0.25)
                continue
            if fault.kind == MINUTE_FAULT and minute_too_long:
                fault = replace(fault, seconds=12.0)
            if time.monotonic() + max(fault.seconds, 2.0) > until:
                if fault.seconds <= LONGER_THAN_THE_LEASE:
                    break
                continue  # a shorter one still fits
            begun = time.monotonic()
            await self._begin(len(self.strikes) + 1, fault)
            gap = random.uniform(*GAP_SECONDS) * self._options.pace
            await asyncio.sleep(max(0.0, begun + gap - time.monotonic()))
            await self._let_settle()

    def _next(self, coming: deque[Fault], schedule: Iterator[Fault]) -> Fault | None:
        """The next one that hits something else than what is hit now: two at once are welcome, but not at one thing."""
        now = time.monotonic()
        busy = {strike.fault.hits for strike in self.strikes if strike.is_felt(now)}
        while len(coming) < len(self._options.kinds):
            coming.append(next(schedule))
        for fault in coming:
            if fault.hits not in busy:
                coming.remove(fault)
                return fault
        return None

    async def _let_settle(self) -> None:
        """Wait for the last fault's traces to go, unless it lasts longer than others do or is joined by the next one.

        With --alone there are no such exceptions.
        """
        last = self.strikes[-1]
        if self._options.alone:
            if self._watching:
                await asyncio.wait(self._watching, timeout=ALONE_SECONDS)
            return
        while last.settled is None and not last.lasts:
            if last.ended is not None and time.monotonic() > last.ended + OVERLAP_AFTER_SECONDS:
                return
            await asyncio.sleep(0.05)

    async def _begin(self, number: int, fault: Fault) -> None:
        scene = replace(self._scene, random=Random(f"{self._options.seed}/{number}"))
        strike = Strike(number, fault, time.monotonic())
        self.strikes.append(strike)
        self._say(f"{number}: {fault.kind}" + (f" for {fault.seconds:g} s" if fault.seconds else ""))
        spring = None
        if fault.ambush is not None:
            spring = await asyncio.to_thread(fault.ambush, scene)
            await asyncio.wait([self.load.probe() for _ in range(AMBUSHED)], timeout=3)
            await asyncio.sleep(AMBUSH_SECONDS)
        strike.began = time.monotonic()
        strike.undo = await asyncio.to_thread(fault.begin, scene)
        if spring is not None:
            await asyncio.to_thread(spring)
        if strike.undo is None:
            strike.taken_back.set()
        task = asyncio.create_task(self._watch(strike))
        self._watching.add(task)
        task.add_done_callback(self._watched)

    def _watched(self, task: asyncio.Task[None]) -> None:
        self._watching.discard(task)
        self.load.note_failure(task)

    async def _watch(self, strike: Strike) -> None:
        if strike.undo is not None:
            await asyncio.sleep(max(0.0, strike.began + strike.fault.seconds - time.monotonic()))
            if strike.undo is not None:
                await self._end(strike)
        strike.ended = since = time.monotonic() if strike.fault.seconds else strike.began
        told = self.load.told
        caught = set(told.unsettled)
        probe = await self.load.probe()
        accepted = time.monotonic()
        while (probe is not None and probe not in told.status_of) or caught & told.unsettled:
            told.changed.clear()
            await told.changed.wait()
        strike.settled = time.monotonic()
        joined = any(
            other is not strike and other.began < strike.settled and (other.settled is None or other.settled > since)
            for other in self.strikes
        )
        # one that the rules refused, or that the venue ended otherwise, has not shown that everything works
        if probe is not None and told.was_filled(probe) and not joined:
            self.recoveries.seconds[strike.fault.kind].append(strike.settled - since)
            self.recoveries.intake[strike.fault.kind].append(accepted - since)

    async def _end(self, strike: Strike) -> None:
        undo, strike.undo = strike.undo, None
        if undo is not None:
            await asyncio.to_thread(undo)
        strike.taken_back.set()

    async def _heal(self) -> None:
        for strike in self.strikes:
            await self._end(strike)
        for name in ("postgres", "redis", "venue"):
            self._scene.proxies.calm(name)
        await asyncio.to_thread(self._scene.venue.remove_faults)
        await asyncio.to_thread(lambda: self._scene.venue.change_settings(faults="none"))

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        while True:
            await self.load.drain()
            states = await asyncio.to_thread(open_states, self._scene.stack.settings.database_url_worker)
            self.load.complain()
            if not states and self.load.under_way <= 0:
                return
            if time.monotonic() > deadline:
                return  # the comparison counts what is left
            counts = ", ".join(f"{count} {state}" for state, count in states.items())
            left = f"; {self.load.under_way} requests and waits of clients have not ended" if not states else ""
            self._say(f"{sum(states.values())} orders are still open: {counts}{left}")
            await asyncio.sleep(1.0)

    async def _agree(self) -> Comparison:
        """Compare until nothing differs or the time is up. Raises what a chore has raised up to the end."""
        deadline = time.monotonic() + AGREE_SECONDS
        while True:
            pending = await asyncio.to_thread(self._scene.venue.late_requests)
            comparison = await asyncio.to_thread(self._compared)
            if pending:
                sentence = f"{pending} requests that the venue has swallowed may take effect yet"
                comparison.note("unfinished", sentence, pending)
            if self.load.under_way > 0:
                sentence = f"{self.load.under_way} requests and waits of clients have not ended"
                comparison.note("unfinished", sentence, self.load.under_way)
            self.load.complain()
            if comparison.holds or self.load.told.unexpected or time.monotonic() > deadline:
                return comparison
            await asyncio.sleep(1.0)

    def _ours(self) -> OurLedger:
        return read_our_ledger(self._scene.stack.settings.database_url_worker)

    def _compared(self) -> Comparison:
        ours = self._ours()
        found = compare(
            ours,
            self._scene.venue.ledger(),
            acknowledged=[promise for client in self.load.clients for promise in client.acknowledged],
            submissions={client.trader_id: client.submissions for client in self.load.clients},
            deposits={client.trader_id: CASH for client in self.load.clients},
            feeds=[client.feed for client in self.load.clients],
        )
        forgive_expected(found, ours)
        told = self.load.told
        if told.unexpected:
            found.note("unexpected_answers", "; ".join(told.unexpected_first), told.unexpected)
        return found

    # -- saying -------------------------------------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        self._console.print(f"chaos: {time.strftime('%H:%M:%S')} {line}", markup=False, soft_wrap=True)

    async def _show(self, begun: float) -> None:
        told = self.load.told
        say_at = begun + SAY_EVERY_SECONDS
        while True:
            if time.monotonic() >= say_at and not self._console.is_terminal:
                say_at += SAY_EVERY_SECONDS
                accepted = self.load.submitted / (time.monotonic() - begun)
                self._say(
                    f"{self.load.submitted} orders accepted ({accepted:.1f}/s), {told.exits} exits, {told.closed()} "
                    f"ended, {len(told.unsettled)} unsettled, {len(self.strikes)} faults"
                )
            self._progress.update(
                self._bar,
                completed=time.monotonic() - begun,
                told=f"{self.load.submitted} orders, {told.closed()} ended, {len(self.strikes)} faults, "
                f"{told.events['order.in_doubt']} times in doubt, {told.presses} retries pressed",
            )
            await asyncio.sleep(0.25)


def forgive_expected(found: Comparison, ours: OurLedger) -> None:
    """Take off what the comparison has counted of alarms that the faults themselves are meant to raise.

    Only where the audit log says so: each code that the order carries, with a sentence that is expected.
    """
    raised: dict[UUID, list[str]] = defaultdict(list)
    for entry in ours.log:
        if entry.alarm is not None:
            raised[entry.order_id].append(entry.alarm)
    expected = {
        str(order.id)
        for order in ours.orders.values()
        if order.alarm_code and _are_expected(order.alarm_code, raised[order.id])
    }
    found.alarms -= len(expected)
    found.differences = [
        line for line in found.differences
        if not (line.startswith("alarms: ") and any(order_id in line for order_id in expected))
    ]  # fmt: skip


def _are_expected(codes: str, alarms: Sequence[str]) -> bool:
    written = {alarm.partition(": ")[0] for alarm in alarms}
    return set(codes.split(",")) <= written and all(map(_is_expected, alarms))


def _is_expected(alarm: str) -> bool:
    code, _, sentence = alarm.partition(": ")
    return code in EXPECTED_ALARMS or (code == "TERMS_DIFFER" and f" {NONSENSE_SYMBOL}, " in sentence)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 0 when every counter is 0, 1 when not, 2 when it could not start."""
    options = _options(arguments)
    console = Console(highlight=False)
    sys.setswitchinterval(0.0005)  # every byte of the system passes through the proxies' thread: 5 ms would show
    signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="surefill-chaos-"))
    held = False
    try:
        with FaultProxies() as proxies:
            stack = LocalStack(
                folder,
                {**ENVIRONMENT, "VENUE_CLIENT_ID_UNIQUENESS": options.uniqueness},
                rewire=lambda environment: rewired(proxies, environment),
                simulator_environment={
                    "SIMULATOR_SEED": str(options.seed),
                    "SIMULATOR_CLIENT_ID_UNIQUENESS": options.uniqueness,
                },
            )
            console.print(f"chaos: starting the whole system on {folder} …", markup=False, soft_wrap=True)
            with stack:
                held = _chaos(stack, proxies, console, options)
    except CannotStart as error:
        print(f"chaos: cannot start: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"chaos: stopped; its data and logs stay in {folder}", file=sys.stderr)
        return 130
    if held:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"chaos: its data and logs stay in {folder}")
    return 0 if held else 1


def _chaos(stack: LocalStack, proxies: FaultProxies, console: Console, options: argparse.Namespace) -> bool:
    with ThreadPoolExecutor(2) as two_at_once:
        names = [f"trader {number}" for number in range(1, TRADERS + 1)]
        traders = list(two_at_once.map(lambda name: stack.create_trader(name, str(CASH)), names))
    venue = SimulatorControl(stack.simulator_url)
    scene = Scene(stack, proxies, venue, Random(options.seed))

    async def run() -> tuple[Chaos, Comparison, float]:
        async with Load(stack.url, traders, options.seed) as load:
            chaos = Chaos(scene, load, console, options)
            begun = time.monotonic()
            comparison = await chaos.run()
            return chaos, comparison, time.monotonic() - begun

    chaos, comparison, seconds = asyncio.run(run())
    audit = _audit_complaint(stack)
    if audit:
        comparison.note("audit_gaps", f"the audit log does not verify: {audit}")
    for table in tables(chaos.strikes, chaos.recoveries, comparison, chaos.load, stack, venue, seconds):
        console.print(table)
    result = contract_document(comparison, len(chaos.strikes), chaos.recoveries)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for difference in comparison.differences:
        print(f"chaos: {difference}")
    print(f"chaos: {verdict(result, comparison)}; {RESULT} (seed {options.seed})", flush=True)
    return comparison.holds


def _audit_complaint(stack: LocalStack) -> str:
    """What `audit verify` has to complain about; nothing when the log is whole."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("flask")), "--app", "app", "audit", "verify"],
        env={"PATH": str(Path(sys.executable).parent), **stack.settings_environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-500:]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of load and faults (default 5)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"orders a second (default {RATE:g})")
    parser.add_argument("--seed", type=int, default=None, help="of orders and faults (default: another one each time)")
    parser.add_argument("--pace", type=float, default=1.0, help="stretches the 8 to 12 s between faults (default 1)")
    alone = f"the next fault waits until the last one has left no trace, at most {ALONE_SECONDS:g} s"
    parser.add_argument("--alone", action="store_true", help=alone)
    parser.add_argument("--uniqueness", choices=CLIENT_ID_UNIQUENESS, default="permanent",
                        help="how long the venue refuses a repeated client order id: for good (the default, which by "
                             "itself forbids every second order), while the first one is open, not at all")  # fmt: skip
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND",
                        help=f"only these faults: {', '.join(KINDS)}")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = Random().randrange(1_000_000)
    return options


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(143)  # so that everything started is stopped on the way out


if __name__ == "__main__":
    sys.exit(main())
