"""The published cost of an order is the one that is measured: round trips are what an order is paid in."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from app.settings import PROJECT_ROOT
from local.stack import LocalStack
from proofs.bench_cost import measure_cost
from proofs.statement_counter import StatementCounter

pytestmark = pytest.mark.journey

# A fill that comes before the answer to its order takes another way through the same number of commits, and on a busy
# machine the feed and the sweeper look more often: one transaction more shows in the commits.
TOLERANCE = {"Commits": 0.35, "Statements": 4.0, "Messages to PostgreSQL": 4.0, "Requests to the venue": 0.35}


def documented(name: str) -> float:
    """The figure of the row `name` of the table in docs/performance.md."""
    text = (PROJECT_ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {name} \| ([\d.]+) \|", text, re.MULTILINE)
    assert row is not None, f"docs/performance.md has no row {name!r}"
    return float(row[1])


def test_an_order_costs_as_many_commits_and_statements_as_documented(tmp_path: Path) -> None:
    with StatementCounter() as counter, LocalStack(tmp_path / "system", rewire=counter.rewire) as stack:
        traders = [stack.create_trader("counted", "10000000")]
        cost = asyncio.run(measure_cost(stack, counter, traders, orders=25))
    measured = {
        "Commits": cost.commits,
        "Statements": cost.statements,
        "Messages to PostgreSQL": cost.messages,
        "Requests to the venue": cost.venue_requests,
    }
    expected = {name: pytest.approx(documented(name), abs=tolerance) for name, tolerance in TOLERANCE.items()}
    assert measured == expected, f"change docs/performance.md with it: {cost}"
