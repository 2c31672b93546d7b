from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.venue_process import VenueProcess


@pytest.fixture(scope="module")
def running_venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    venue = VenueProcess(tmp_path_factory.mktemp("venue") / "ledger.sqlite3", "--seed", "7")
    yield venue
    venue.stop()


@pytest.fixture
def venue(running_venue: VenueProcess) -> Iterator[VenueProcess]:
    """A running simulator with quotes that stand still and without any fault; settings are put back afterwards."""
    before = running_venue.control("settings", method="GET")
    running_venue.control("quotes", {"frozen": True})
    running_venue.quote("AAPL", "100.00", "100.02", "100")
    yield running_venue
    running_venue.control("settings", before)
    running_venue.call("DELETE", "/v2/orders")
    running_venue.control("reset")


@pytest.fixture
def own_venue(tmp_path: Path) -> Iterator[VenueProcess]:
    """A simulator of the test's own, which it may kill and start again."""
    venue = VenueProcess(tmp_path / "ledger.sqlite3", "--seed", "7")
    yield venue
    venue.stop()
