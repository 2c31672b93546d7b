"""What a chaos run has to say: the contract's document, and tables for a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from rich.table import Table

from local.stack import LocalStack
from proofs.chaos_faults import Fault
from proofs.chaos_load import Load
from proofs.ledgers import Comparison
from proofs.venue_ledger import SimulatorControl

_PROCESSES = ("web", "worker", "listener", "sweeper", "quotes", "simulator", "redis", "postgres")


@dataclass
class Recoveries:
    """Seconds from the end of a fault (for a kill: from the kill), by kind; only where no other fault was at work."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Until everything that it had caught on the way was settled, and an order sent right after it was filled."""
    intake: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Until the 201 of that order."""


class Struck(Protocol):
    """A fault that was done."""

    @property
    def fault(self) -> Fault: ...


def contract_document(comparison: Comparison, faults: int, recoveries: Recoveries) -> dict[str, object]:
    """`var/chaos.json`, exactly as the contract has it. Of each kind the slowest recovery, in seconds.

    What the contract has no counter of its own for is counted where it would hurt: a fill that nobody made, or an order
    that nobody asked for, is a duplication; an order at the venue with other terms, or without its exits, is as good as
    lost; one whose end is not the venue's is unsettled, and so is what never came to its end, what waits for a person's
    look at an alarm, and what the books or the audit log do not bear out.
    """
    extra = comparison.orphans + comparison.overfilled + comparison.invented_fills + comparison.unasked
    unsettled = comparison.unknown + comparison.wrong_ends + comparison.unfinished + comparison.unexpected_answers
    unsettled += comparison.alarms + comparison.wrong_books + comparison.audit_gaps
    return {
        "orders": comparison.orders,
        "faults": faults,
        "lost": comparison.lost + comparison.ghosts + comparison.wrong_terms + comparison.unprotected,
        "duplicated": comparison.duplicated + extra,
        "missing_fills": comparison.missing_fills,
        "missing_events": comparison.missing_events + comparison.event_gaps,
        "repeated_events": comparison.repeated_events,
        "unsettled": unsettled,
        "recovery_seconds": {kind: round(max(seconds), 2) for kind, seconds in sorted(recoveries.seconds.items())},
    }


def verdict(result: Mapping[str, object], comparison: Comparison) -> str:
    """One line: the contract's counters, and what else differs."""
    counters = ", ".join(
        f"{value} {name.replace('_', ' ')}" for name, value in result.items() if isinstance(value, int)
    )
    return f"{counters}: " + ("all of it holds" if comparison.holds else f"IT DOES NOT HOLD {comparison.counters()}")


def tables(
    strikes: Sequence[Struck],
    recoveries: Recoveries,
    comparison: Comparison,
    load: Load,
    stack: LocalStack,
    venue: SimulatorControl,
    seconds: float,
) -> list[Table]:
    """What happened in `seconds`, and how soon it was over."""
    told = load.told
    met = Counter(entry["fault"] for entry in venue.requests() if entry["fault"]) + venue.stream_faults()
    deaths = {name: stack.deaths(name) for name in _PROCESSES}
    rows = {
        "orders": f"{comparison.orders} in {seconds:.0f} s ({comparison.orders / seconds:.1f}/s): "
        f"{comparison.filled} filled, {comparison.rejected} rejected, {comparison.cancelled} cancelled",
        "faults": f"{len(strikes)}, and {met.total()} of the venue's requests and events struck",
        "compared": f"{comparison.fills} executions and {comparison.events} events, one by one",
        "changed": f"{told.amended[200]} orders at once, {told.amended[202]} through the venue, "
        f"{told.amended[409]} too late; {told.exits} exits followed their entries",
        "recoveries": f"{told.events['order.in_doubt']} times in doubt, {told.events['order.recovered']} found at the "
        f"venue, {told.presses} retries pressed",
        "clients": f"{sum(client.repeated_requests for client in load.clients)} requests repeated, "
        f"{sum(client.reconnects for client in load.clients)} feeds resumed; {comparison.unheard} orders whose client "
        "was never told of them",
        "refused by the rules": ", ".join(f"{n} {code}" for code, n in told.refused.items()) or "none",
        "processes that died": ", ".join(f"{name} {n}" for name, n in deaths.items() if n) or "none",
    }
    summary = Table(show_header=False)
    for name, text in rows.items():
        summary.add_row(name, text)
    return [summary, _recovery_table(strikes, recoveries)]


def _recovery_table(strikes: Sequence[Struck], recoveries: Recoveries) -> Table:
    table = Table(title="seconds until everything was settled again", title_justify="left")
    for heading in ("fault", "times", "measured", "median", "slowest", "slowest 201"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for kind, times in sorted(Counter(strike.fault.kind for strike in strikes).items()):
        measured, intake = recoveries.seconds.get(kind, []), recoveries.intake.get(kind, [])
        figures = [f"{median(measured):.1f}", f"{max(measured):.1f}", f"{max(intake):.1f}"] if measured else [""] * 3
        table.add_row(kind, str(times), str(len(measured)), *figures)
    return table
