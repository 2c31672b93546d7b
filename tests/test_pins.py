"""Every dependency is pinned to one version: a new one comes in by a change that somebody reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.settings import PROJECT_ROOT

PIN = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[0-9][A-Za-z0-9.!+-]*( *;.*)?( *#.*)?")


@pytest.mark.parametrize("path", sorted(PROJECT_ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_every_requirement_names_one_version_and_no_other_place_to_get_it_from(path: Path) -> None:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted
    unpinned = [line for line in wanted if not PIN.fullmatch(line) and line != "-r requirements.txt"]
    assert unpinned == []
