"""A real Chromium in front of the whole system, every process of it, once for all tests of this folder."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from local.stack import LocalStack
from proofs.venue_ledger import SimulatorControl
from tests.browser.trader import Office, Trader
from tests.browser.trader_page import TraderPage

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HOW_TO_GET_ONE = (
    "no Chromium here: apt-get install chromium (macOS: brew install --cask chromium), or name one with CHROMIUM=/path"
)
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

_names = itertools.count(1)


def find_chromium() -> str | None:
    """Where a Chromium or Chrome is; None where there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = [path for name in CHROMIUM_NAMES if (path := shutil.which(name))]
    return next(iter([*found, *(path for path in APPLICATIONS if Path(path).exists())]), None)


def flags() -> list[str]:
    """For a browser that asks nobody. Its sandbox cannot be had by root, and what it loads is ours."""
    return [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is; what asks for it is skipped where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip(HOW_TO_GET_ONE)
    return path


# Not for the whole session: Playwright leaves an event loop running in this thread, and no other test could have one.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser; each page has a context, so storage, of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def system(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The whole system; not started where there is no browser."""
    # One retry, not three: an order needs attention after a second and not after seven.
    environment = {"VENUE_MAX_IN_FLIGHT_SECONDS": "6", "ORDER_RETRY_MAX_ATTEMPTS": "1"}
    with LocalStack(tmp_path_factory.mktemp("browsed"), environment, durable=False) as stack:
        yield stack


@pytest.fixture
def venue(system: LocalStack) -> Iterator[SimulatorControl]:
    """The simulated venue's control endpoint; what a test scripts is taken back afterwards."""
    control = SimulatorControl(system.simulator_url)
    yield control
    control.change_settings(faults="none", fill_delay_ms=0, cancel_delay_ms=0)
    control.remove_faults()


@pytest.fixture(scope="session")
def office(system: LocalStack) -> Iterator[Office]:
    """Makes traders and ends their keys."""
    office = Office(system)
    yield office
    office.close()


@pytest.fixture
def new_trader(office: Office) -> Callable[[], Trader]:
    """Makes traders that may send as much as they like."""
    return lambda: office.open_account(f"trader {next(_names)}")


@pytest.fixture
def trader(new_trader: Callable[[], Trader]) -> Trader:
    return new_trader()


@pytest.fixture
def new_page(browser: Browser, system: LocalStack) -> Iterator[Callable[..., TraderPage]]:
    """Opens pages, each as in a browser of its own. Afterwards none of them may have complained."""
    pages: list[TraderPage] = []

    def opened(**context: object) -> TraderPage:
        pages.append(TraderPage(browser, system.url, **context))
        return pages[-1]

    yield opened
    complaints = [complaint for page in pages for complaint in page.complaints]
    for page in pages:
        page.close()
    assert complaints == []


@pytest.fixture
def page(new_page: Callable[..., TraderPage], trader: Trader) -> TraderPage:
    """A trader's page, signed in and live."""
    page = new_page()
    page.sign_in(trader)
    return page
