"""`make demo`: 200 orders while the venue misbehaves on one in three, then both ledgers compared."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.cannot_start import CannotStart
from local.stack import CreatedTrader, LocalStack
from proofs.demo_orders import SEED, Intent, Plan, Target, choose, plans, request_body
from proofs.ledgers import Comparison, compare
from proofs.our_ledger import read_our_ledger
from proofs.trader_client import Json, Refused, Submitted, TraderClient
from proofs.venue_ledger import SimulatorControl

ORDERS = 200
TRADERS = 4
CASH = Decimal(10_000_000)
"""Of each trader, in US dollars: more than its orders can cost."""
DEADLINE_SECONDS = 300.0
AGREE_SECONDS = 20.0
"""How long both ledgers may take to agree once every order has ended: a look-up of what the stream dropped."""
PRESS_AFTER_SECONDS = 0.3
"""From the event that an order needs attention to the press on retry."""
OWN_ORDER_SECONDS = 0.3
"""Between two tries of an order that one's own resting order is in the way of."""

# The simulator executes nothing later than 4 s after it was sent (late_accept), so 6 s is a bound it keeps. With the
# default of 30 the proof that a cancelled order never arrived would take most of the demonstration's time.
ENVIRONMENT = {"VENUE_MAX_IN_FLIGHT_SECONDS": "6"}
SIMULATOR_ENVIRONMENT = {"SIMULATOR_FAULTS": "one-in-three", "SIMULATOR_SEED": str(SEED)}

PROCESSES = ("web", "worker", "listener", "sweeper", "quotes", "sequencer", "simulator", "redis", "postgres")
KILLS: dict[str, Callable[[LocalStack], int]] = {
    "web": lambda stack: stack.kill("web"),
    "worker-child": lambda stack: stack.kill_a_child("worker"),
    "worker": lambda stack: stack.kill("worker"),
    "listener": lambda stack: stack.kill("listener"),
    "sweeper": lambda stack: stack.kill("sweeper"),
    "quotes": lambda stack: stack.kill("quotes"),
    "sequencer": lambda stack: stack.kill("sequencer"),
    "simulator": lambda stack: stack.kill("simulator"),
    "redis": lambda stack: stack.kill("redis"),
    "postgres": lambda stack: stack.kill("postgres"),
}


@dataclass
class Told:
    """What the traders' clients have learned from their feeds."""

    state: dict[UUID, str] = field(default_factory=dict)
    """execution_state of each order, by its last event."""
    status: Counter[str] = field(default_factory=Counter)
    """Of the orders that have ended."""
    events: Counter[str] = field(default_factory=Counter)
    presses: int = 0


class Demonstration:
    """One run against a system that is up."""

    def __init__(
        self,
        stack: LocalStack,
        traders: Sequence[CreatedTrader],
        console: Console,
        *,
        orders: int,
        seed: int,
        kills: Sequence[str],
        deadline_seconds: float,
    ) -> None:
        self._stack = stack
        self._control = SimulatorControl(stack.simulator_url)
        self._console = console
        self._orders = orders
        self._kills = list(kills)
        self._deadline_seconds = deadline_seconds
        self._plans = plans(orders, len(traders), seed)
        self._clients = [TraderClient(stack.url, trader, self._on_event) for trader in traders]
        self._told = Told()
        self._working: dict[UUID, asyncio.Event] = {}
        self._milestones = {orders * number // (len(kills) + 1): asyncio.Event() for number in range(1, len(kills) + 1)}
        """Spread over the run: after so many orders, the next kill."""
        self._chores: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._ticks: dict[str, Decimal] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} ended"),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar: TaskID = self._progress.add_task("orders", total=orders, told="")

    async def run(self) -> tuple[Comparison, float, bool]:
        """Submit, follow, press, compare.

        Returns the comparison, the seconds from first order to last end, and whether the deadline was kept. Raises
        an ExceptionGroup with Refused when an order was refused that ought to be accepted.
        """
        begun = time.monotonic()
        in_time = True
        async with contextlib.AsyncExitStack() as opened:
            for client in self._clients:
                await opened.enter_async_context(client)
            with self._progress:
                try:
                    async with asyncio.timeout(self._deadline_seconds):
                        await self._follow()
                except TimeoutError:
                    in_time = False
                finally:
                    seconds = time.monotonic() - begun
                    for chore in self._chores:
                        chore.cancel()
                    await asyncio.gather(*self._chores, return_exceptions=True)
            return await self._agree(), seconds, in_time

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(client.until_connected())
        self._ticks = {
            entry["symbol"]: Decimal(entry["tick_size"])
            for entry in (await self._clients[0].get("instruments"))["data"]
        }
        async with asyncio.TaskGroup() as group:
            for client, its_plans in zip(self._clients, self._plans, strict=True):
                group.create_task(self._trade(client, its_plans))
            group.create_task(self._kill_on_the_way())
            group.create_task(self._until_all_ended())

    # -- trading ----------------------------------------------------------------------------------------------------

    async def _trade(self, client: TraderClient, its_plans: Sequence[Plan]) -> None:
        for plan in its_plans:
            await asyncio.sleep(plan.pause_seconds)
            held = (await client.get("positions"))["data"] if plan.sells else []
            target = choose(plan, held)
            submitted = await self._submit(client, plan, target)
            if self._acknowledged in self._milestones:
                self._milestones[self._acknowledged].set()
            if plan.intent is Intent.CANCEL:
                self._do(self._cancel(client, submitted.order_id, plan))

    async def _submit(self, client: TraderClient, plan: Plan, target: Target) -> Submitted:
        """Submit at the prices of now. Where an order of the trader's own stands in the way, wait until it has gone."""
        while True:
            quote = await client.get(f"quotes/{target.symbol}")
            try:
                return await client.submit(request_body(plan, target, quote, self._ticks[target.symbol]))
            except Refused as refused:
                if refused.code != "WASH_TRADE":
                    raise
            await asyncio.sleep(OWN_ORDER_SECONDS)

    async def _cancel(self, client: TraderClient, order_id: UUID, plan: Plan) -> None:
        if plan.confirmed_first:
            await self._working.setdefault(order_id, asyncio.Event()).wait()
        await asyncio.sleep(plan.patience_seconds)
        await client.act(order_id, "cancel")

    async def _press(self, client: TraderClient, order_id: UUID) -> None:
        await asyncio.sleep(PRESS_AFTER_SECONDS)
        if await client.act(order_id, "retry") == 202:
            self._told.presses += 1

    def _do(self, chore: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed = task.exception()

    # -- following --------------------------------------------------------------------------------------------------

    def _on_event(self, client: TraderClient, event: Json) -> None:
        order_id, state = UUID(event["order_id"]), event["execution_state"]
        told = self._told
        told.events[event["event"]] += 1
        was_closed = told.state.get(order_id) == "CLOSED"
        told.state[order_id] = state
        if state not in ("QUEUED", "SENDING", "IN_DOUBT"):
            self._working.setdefault(order_id, asyncio.Event()).set()
        if event["event"] == "order.needs_attention":
            self._do(self._press(client, order_id))
        if state == "CLOSED" and not was_closed:
            told.status[event["status"]] += 1
            self._show()

    def _show(self) -> None:
        told = self._told
        doubts, presses = told.events["order.in_doubt"], told.presses
        self._progress.update(
            self._bar,
            completed=sum(told.status.values()),
            told=f"{told.status['FILLED']} filled, {told.status['REJECTED']} rejected, "
            f"{told.status['CANCELLED']} cancelled; {doubts} times in doubt, {presses} retries pressed",
        )

    @property
    def _acknowledged(self) -> int:
        return sum(len(client.acknowledged) for client in self._clients)

    async def _until_all_ended(self) -> None:
        quiet_since = time.monotonic()
        while not self._all_ended():
            await asyncio.sleep(0.05)
            if self._failed is not None:
                raise self._failed
            refused = next((client.feed_refused for client in self._clients if client.feed_refused), None)
            if refused is not None:
                raise RuntimeError(f"the server refused a client's feed: {refused}")
            if not self._console.is_terminal and time.monotonic() - quiet_since > 10:
                quiet_since = time.monotonic()
                self._console.print(f"{self._acknowledged} submitted, {sum(self._told.status.values())} ended")

    def _all_ended(self) -> bool:
        return self._acknowledged == self._orders and all(
            self._told.state.get(promise.order_id) == "CLOSED"
            for client in self._clients
            for promise in client.acknowledged
        )

    # -- faults -----------------------------------------------------------------------------------------------------

    async def _kill_on_the_way(self) -> None:
        for reached, name in zip(self._milestones.values(), self._kills, strict=True):
            await reached.wait()
            pid = await asyncio.to_thread(KILLS[name], self._stack)
            self._console.print(f"killed {name} with -9 (pid {pid}) after {self._acknowledged} orders")

    # -- comparing --------------------------------------------------------------------------------------------------

    async def _agree(self) -> Comparison:
        deadline = time.monotonic() + AGREE_SECONDS
        while True:
            pending = await asyncio.to_thread(self._control.late_requests)
            comparison = await asyncio.to_thread(self._compared)
            if pending:
                comparison.note("unfinished", f"{pending} requests may still take effect at the venue", pending)
            if comparison.holds or time.monotonic() > deadline:
                return comparison
            await asyncio.sleep(0.5)

    def _compared(self) -> Comparison:
        return compare(
            read_our_ledger(self._stack.settings.database_url_worker),
            self._control.ledger(),
            acknowledged=[promise for client in self._clients for promise in client.acknowledged],
            submissions={client.trader_id: client.submissions for client in self._clients},
            deposits={client.trader_id: CASH for client in self._clients},
            feeds=[client.feed for client in self._clients],
        )

    def summary(self, comparison: Comparison, seconds: float) -> Table:
        """What happened, as a table."""
        told = self._told
        faults = Counter(entry["fault"] for entry in self._control.requests() if entry["fault"])
        faults += self._control.stream_faults()
        title = f"{self._orders} orders of {len(self._clients)} traders; the venue misbehaves on one in three"
        table = Table(title=title, show_header=False, title_justify="left")
        table.add_row("filled / rejected / cancelled", f"{comparison.filled} / {comparison.rejected} / "
                      f"{comparison.cancelled}")  # fmt: skip
        table.add_row("executions, equal one by one", str(comparison.fills))
        table.add_row("events, each received once", str(comparison.events))
        table.add_row("faults met", f"{faults.total()}: " + ", ".join(
            f"{count} {kind}" for kind, count in faults.most_common()))  # fmt: skip
        table.add_row(
            "recoveries",
            f"{told.events['order.in_doubt']} times in doubt, {told.events['order.recovered']} found at the venue "
            f"afterwards, {told.presses} retries pressed",
        )
        table.add_row(
            "clients",
            f"{sum(client.repeated_requests for client in self._clients)} requests repeated with their key, "
            f"{sum(client.reconnects for client in self._clients)} feeds resumed",
        )
        deaths = {name: self._stack.deaths(name) for name in PROCESSES}
        table.add_row("processes that died", ", ".join(f"{name} {n}" for name, n in deaths.items() if n) or "none")
        table.add_row("first order to last end", f"{seconds:.1f} s")
        return table


def last_line(comparison: Comparison) -> str:
    """The demonstration's verdict, as the contract words it."""
    return (
        f"demo: {comparison.orders} submitted = {comparison.filled} filled + {comparison.rejected} rejected + "
        f"{comparison.cancelled} cancelled; {comparison.lost + comparison.missing_fills + comparison.missing_events} "
        f"lost, {comparison.duplicated + comparison.invented_fills + comparison.repeated_events} duplicated, "
        f"{comparison.unknown} unknown"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit status: 0 when the promise held, 1 when not, 2 when it could not start."""
    options = _options(arguments)
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="surefill-demo-"))
    stack = LocalStack(
        folder,
        ENVIRONMENT,
        simulator_environment=SIMULATOR_ENVIRONMENT | {"SIMULATOR_SEED": str(options.seed)},
        report=lambda line: console.print(f"demo: {line}", markup=False, soft_wrap=True),
    )
    console.print("demo: starting the whole system on a throw-away folder …")
    try:
        with stack:
            held = _demonstrate(stack, console, options)
    except CannotStart as error:
        print(f"demo: cannot start: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"demo: stopped; its data and logs stay in {folder}", file=sys.stderr)
        return 130
    if held:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if held else 1


def _demonstrate(stack: LocalStack, console: Console, options: argparse.Namespace) -> bool:
    with ThreadPoolExecutor(2) as two_at_once:
        names = [f"trader {number}" for number in range(1, TRADERS + 1)]
        traders = list(two_at_once.map(lambda name: stack.create_trader(name, str(CASH)), names))
    running = ", ".join(f"{name} {'+'.join(map(str, stack.pids(name)))}" for name in PROCESSES)
    console.print(f"demo: processes in {stack.folder / 'processes.jsonl'}: {running}", markup=False, soft_wrap=True)
    console.print("demo: kill -9 any of them on the way", markup=False)
    demonstration = Demonstration(
        stack,
        traders,
        console,
        orders=options.orders,
        seed=options.seed,
        kills=options.kill,
        deadline_seconds=options.deadline,
    )
    try:
        comparison, seconds, in_time = asyncio.run(demonstration.run())
    except ExceptionGroup as group:
        refusals, others = group.split(Refused)
        if refusals is None or others is not None:
            raise
        for refusal in refusals.exceptions:
            print(f"demo: an order that ought to be accepted was refused: {refusal}")
        print(f"demo: its data and logs stay in {stack.folder}")
        return False
    console.print(demonstration.summary(comparison, seconds))
    if not in_time:
        print(f"demo: not every order had ended after {options.deadline:g} s")
    complete = in_time and comparison.holds and comparison.orders == options.orders
    if not complete:
        for difference in comparison.differences:
            print(f"demo: {difference}")
        print(f"demo: {comparison.counters()}; data and logs stay in {stack.folder}")
    print(last_line(comparison), flush=True)
    return complete


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs.demo", description=__doc__)
    parser.add_argument("--kill", action="append", default=[], choices=list(KILLS), metavar="PROCESS",
                        help=f"kill a process with -9 on the way; may be given again: {', '.join(KILLS)}")  # fmt: skip
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"how many orders (default {ORDERS})")
    parser.add_argument("--seed", type=int, default=SEED, help="of the orders and of the faults")
    parser.add_argument("--deadline", type=float, default=DEADLINE_SECONDS,
                        help=f"seconds until every order must have ended (default {DEADLINE_SECONDS:g})")  # fmt: skip
    return parser.parse_args(arguments)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(143)  # so that everything started is stopped on the way out


if __name__ == "__main__":
    sys.exit(main())
