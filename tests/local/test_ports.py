"""A port that one start has chosen is not chosen by another before its server listens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import PROJECT_ROOT
from local import memory
from local.memory import Memory, free_port

_ANOTHER = "import sys; from local import memory; print(memory._claim(int(sys.argv[1])))"


def claimed_by_another(port: int) -> bool:
    """Whether another process gets `port`."""
    run = subprocess.run(
        [sys.executable, "-c", _ANOTHER, str(port)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.strip() == "True"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract sockets are Linux's")
def test_a_port_that_one_process_has_chosen_is_not_given_to_another(tmp_path: Path) -> None:
    folder = Memory(tmp_path)
    port = folder.port("web")

    assert not claimed_by_another(port)
    assert folder.port("web") == port
    folder.release_ports()
    assert claimed_by_another(port)


def test_a_process_does_not_choose_the_same_port_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PORTS", [25_001, 25_002, 25_003])

    assert len({free_port(), free_port()}) == 2
