"""Clients that others wrote accept the simulator as the venue that they were written for.

They pin what the project's own environment cannot live with, so they run in one of their own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.simulator.venue_process import KEY_ID, ROOT, SECRET_KEY, VenueProcess

_PEERS = Path(__file__).parent / "peers"
_HOW_TO_MAKE_IT = "python3 -m venv .venv-peers && .venv-peers/bin/pip install -r requirements-peers.txt"


@pytest.mark.parametrize("script", ["alpaca_py_trading.py", "alpaca_py_stream.py", "ccxt_alpaca.py"])
def test_an_independent_client_accepts_the_simulator(own_venue: VenueProcess, script: str) -> None:
    interpreter = Path(os.environ.get("SUREFILL_PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
    if not interpreter.exists():
        pytest.fail(f"{interpreter} is missing; make it with: {_HOW_TO_MAKE_IT}", pytrace=False)
    run = subprocess.run(
        [str(interpreter), str(_PEERS / script), own_venue.url, KEY_ID, SECRET_KEY],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
