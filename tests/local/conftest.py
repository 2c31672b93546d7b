"""A stand-in for the whole system: the real supervisor and services, processes that do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

STUB_SYSTEM = Path(__file__).with_name("stub_system")


@pytest.fixture(scope="session")
def stub_root() -> Path:
    """A project folder with the Procfile's names and quick processes behind them."""
    return STUB_SYSTEM
