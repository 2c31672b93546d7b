"""The demonstration in small, while every process is killed once on the way."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from local.stack import LocalStack
from proofs.demo import CASH, KILLS, Demonstration
from proofs.venue_ledger import SimulatorControl

pytestmark = pytest.mark.journey


def test_both_ledgers_agree_after_every_process_was_killed_once_while_the_venue_misbehaved(
    system: LocalStack, venue: SimulatorControl
) -> None:
    venue.change_settings(faults="one-in-three")
    said = io.StringIO()
    demonstration = Demonstration(
        system,
        [system.create_trader(f"demonstrator {number}", str(CASH)) for number in (1, 2)],
        Console(file=said),
        orders=60,
        seed=4,
        kills=list(KILLS),
        deadline_seconds=100,
    )
    comparison, _, in_time = asyncio.run(demonstration.run())
    assert in_time, said.getvalue()
    assert comparison.differences == []
    for name in ("web", "worker", "listener", "sweeper", "quotes", "simulator", "redis", "postgres"):
        assert system.deaths(name) >= 1
