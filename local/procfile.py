"""The Procfile: one line per process, `name: command`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from local.cannot_start import CannotStart

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):\s*(\S.*)")


def read_procfile(file: Path) -> dict[str, list[str]]:
    """Process name to command words, in the file's order. No shell reads them. Raises :class:`CannotStart`."""
    programs: dict[str, list[str]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[1] in programs:
            raise CannotStart(f"{file.name}, line {number}: expected `name: command`, each name once")
        programs[match[1]] = shlex.split(match[2])
    return programs
