"""The short form of `make chaos`: it runs, finds nothing, and would find something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proofs import chaos
from proofs.chaos_faults import KINDS, schedule

pytestmark = pytest.mark.journey

SHORT = (
    "kill children in mid-send", "redis flushall", "postgres immediate restart", "postgres connections cut",
    "venue stream loses",
)  # fmt: skip
CONTRACT = {
    "orders", "faults", "lost", "duplicated", "missing_fills", "missing_events", "repeated_events", "unsettled",
    "recovery_seconds",
}  # fmt: skip


def test_nothing_is_lost_or_doubled_while_everything_around_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chaos, "RESULT", tmp_path / "chaos.json")
    status = chaos.main(["--minutes", "0.3", "--rate", "6", "--pace", "0.2", "--seed", "11", "--kinds", *SHORT])
    said = capsys.readouterr().out
    assert status == 0, said
    result = json.loads((tmp_path / "chaos.json").read_text())
    assert result.keys() == CONTRACT
    assert result["orders"] > 50 and result["faults"] >= 2, said  # how many fit in depends on the machine
    assert [result[name] for name in CONTRACT - {"orders", "faults", "recovery_seconds"}] == [0] * 6
    assert result["recovery_seconds"].get("kill children in mid-send", 0) <= 10
    assert result["recovery_seconds"].get("redis flushall", 0) <= 5


def test_the_schedule_follows_from_its_seed_and_has_every_kind_first() -> None:
    from itertools import islice
    from random import Random

    kinds = list(KINDS)
    first, again, other = (
        [fault.kind for fault in islice(schedule(Random(seed), kinds), 2 * len(kinds))] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert sorted(first[: len(kinds)]) == sorted(kinds)
