"""The whole system, every process of the Procfile, for all journeys of a module; both ledgers after each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from local.stack import LocalStack
from proofs.venue_ledger import SimulatorControl
from tests.journeys.desk import CASH, Desk

# The simulator keeps this bound (its late requests take effect within 4 s), so proofs of absence need no 30 s.
ENVIRONMENT = {"VENUE_MAX_IN_FLIGHT_SECONDS": "6"}
_names = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "journey: runs the whole system, every process; takes seconds")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The whole system. Tests kill its processes; the supervisor starts them again."""
    with LocalStack(tmp_path_factory.mktemp("system"), ENVIRONMENT) as stack:
        yield stack


@pytest.fixture(scope="module")
def desk(system: LocalStack) -> Iterator[Desk]:
    """All traders of the module: after each test everything they did is compared with the venue's ledger."""
    with Desk(system) as desk:
        yield desk


@pytest.fixture
def venue(system: LocalStack) -> Iterator[SimulatorControl]:
    """The simulated venue's control endpoint; what a test scripts is taken back afterwards."""
    control = SimulatorControl(system.simulator_url)
    yield control
    control.change_settings(faults="none")
    control.remove_faults()


@pytest.fixture
def new_trader(desk: Desk) -> Iterator[Callable[[], str]]:
    """Makes traders; afterwards both ledgers must agree about every trader of the module."""
    yield lambda: desk.open_account(f"trader {next(_names)}", CASH)
    desk.ledgers_agree()


@pytest.fixture
def trader(new_trader: Callable[[], str]) -> str:
    """One trader's name."""
    return new_trader()
