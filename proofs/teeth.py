"""`make teeth`: takes each safeguard out, one at a time, in a throw-away copy, and tells what notices.

Writes var/teeth.json and prints a table. Exits with 1 when nothing notices one: that is a hole in the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from proofs.safeguards import SAFEGUARDS, Safeguard

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path("var/teeth.json")
COPIED = (
    "app", "workers", "simulator", "local", "proofs", "migrations", "tests", "alembic.ini", "celeryconfig.py",
    "pyproject.toml", "gunicorn.conf.py", "Procfile",
)  # fmt: skip
FEW_SEEDS = 60
"""Tried before the named tests: seconds, and enough for most safeguards."""
SHORT = ("attempt row before the send (I4)", "check at the send (I4)", "fill identity (I6)", "sweeper (I2)")
"""What CI tries: four that the simulation notices, in seconds."""


@dataclass(frozen=True)
class Bite:
    """What became of one safeguard's absence."""

    safeguard: str
    keeps: str
    noticed_by: str | None
    """None: nothing noticed."""
    seconds: float


class NotThere(Exception):
    """The text that would be taken out is not in the source, or more than once."""


@contextmanager
def copy_without(safeguard: Safeguard | None) -> Iterator[Path]:
    """A copy of the tree without one safeguard. Raises NotThere."""
    with tempfile.TemporaryDirectory(prefix="surefill-teeth-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(source, copy / name)
        if safeguard is not None:
            file = copy / safeguard.file
            text = file.read_text()
            if text.count(safeguard.text) != 1:
                raise NotThere(f"{safeguard.name}: its text is {text.count(safeguard.text)} times in {safeguard.file}")
            file.write_text(text.replace(safeguard.text, safeguard.without))
        yield copy


def bite(safeguard: Safeguard, processes: int) -> Bite:
    """Take it out and see who notices: a few seeds of the simulation, the named tests, then the other seeds."""
    began = time.monotonic()
    few = range(min(safeguard.seeds, FEW_SEEDS))
    with copy_without(safeguard) as copy:
        noticed = _simulation(safeguard, few, copy, processes) if few else None
        for test in safeguard.tests if noticed is None else ():
            noticed = noticed or _test(test, copy)
        if noticed is None and len(few) < safeguard.seeds:
            noticed = _simulation(safeguard, range(len(few), safeguard.seeds), copy, processes)
    return Bite(safeguard.name, safeguard.keeps, noticed, round(time.monotonic() - began, 1))


def _simulation(safeguard: Safeguard, seeds: range, copy: Path, processes: int) -> str | None:
    result = copy / "simulate.json"
    options = ["--from", str(seeds.start), "--seeds", str(len(seeds)), "--processes", str(processes)]
    options += ["--store", safeguard.store, "--stop-at-first", "--quiet", "--result", str(result)]
    done = _run(copy, "-m", "proofs.simulate", *options)
    if done.returncode == 0:
        return None
    found = json.loads(result.read_text()) if result.exists() else {}
    if not found.get("violations"):
        raise RuntimeError(f"the simulation failed by itself:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    rule = next((line for line in done.stdout.splitlines() if line.startswith("VIOLATED ")), "VIOLATED ?")
    name = rule.removeprefix("VIOLATED ").split(":")[0]
    return f"simulation, seed {found['first_failing_seed']}: {name}"


def _test(test: str, copy: Path) -> str | None:
    done = _run(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test)
    if done.returncode == 0:
        return None
    # with what follows, since a line of a captured log may begin with the same word
    failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED tests/", "ERROR tests/"))), "")
    if done.returncode != 1 or not failed.startswith("FAILED"):
        raise RuntimeError(f"pytest failed by itself on {test}:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return failed.removeprefix("FAILED ").split(" - ")[0]


def _run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="teeth", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only the four that CI tries")
    parser.add_argument("--only", help="safeguards whose name has this in it")
    parser.add_argument("--exactly", help="the safeguard with this name")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    chosen = [
        safeguard for safeguard in SAFEGUARDS
        if (not options.short or safeguard.name in SHORT) and (options.only or "") in safeguard.name
        and options.exactly in (None, safeguard.name)
    ]  # fmt: skip
    bites = []
    for place, safeguard in enumerate(chosen, start=1):
        sys.stderr.write(f"\r{place}/{len(chosen)} {safeguard.name:<50}")
        sys.stderr.flush()
        each = bite(safeguard, options.processes)
        bites.append(each)
        sys.stderr.write("\r" + " " * 60 + "\r")
        print(f"{each.safeguard:<42} {each.noticed_by or 'NOTHING NOTICES'}  ({each.seconds:.0f} s)", flush=True)
    holes = [each.safeguard for each in bites if each.noticed_by is None]
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(json.dumps([asdict(each) for each in bites], indent=2) + "\n")
    print(f"teeth: {len(bites)} safeguards taken out, {len(bites) - len(holes)} noticed")
    return 1 if holes else 0


if __name__ == "__main__":
    raise SystemExit(main())
