"""Write requirements.txt and requirements-dev.txt: the whole closure of the two .in files, as installed here.

Run by `make pins` in a fresh virtual environment that holds the newest versions the .in files allow. A condition that
an .in file or a package puts on a requirement (a platform, a Python version) is kept.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

# The platforms and versions Surefill is meant for: a requirement that holds on none of them is left out.
ENVIRONMENTS: list[dict[str, str]] = [
    {
        "python_version": version.rpartition(".")[0],
        "python_full_version": version,
        "implementation_version": version,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": system.lower(),
        "platform_system": system,
        "platform_machine": machine,
        "extra": "",
    }
    for version in ("3.11.2", "3.11.9", "3.12.1", "3.13.1", "3.14.1")
    for system in ("Linux", "Darwin")
    for machine in ("x86_64", "aarch64", "arm64")
]

# Needed only on versions older than the one that pins: their version cannot be read off this environment.
NOT_INSTALLED_HERE = {"async-timeout": "5.0.1"}


def holds(marker: Marker | None, extras: Iterable[str]) -> tuple[bool, bool]:
    """Whether `marker` holds on any of our platforms, and whether on all."""
    if marker is None:
        return True, True
    answers = [
        any(marker.evaluate(environment | {"extra": extra}) for extra in ("", *extras)) for environment in ENVIRONMENTS
    ]
    return any(answers), all(answers)


def closure(wanted: Iterable[Requirement]) -> dict[str, str]:
    """Canonical name to pinned line of everything that `wanted` pulls in."""
    lines: dict[str, str] = {}
    conditional: dict[str, bool] = {}
    queue = [(requirement, requirement.marker) for requirement in wanted]
    walked: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement, marker = queue.pop(0)
        name = canonicalize_name(requirement.name)
        try:
            distribution = importlib.metadata.distribution(name)
            version = distribution.version
        except importlib.metadata.PackageNotFoundError:
            version = NOT_INSTALLED_HERE[name]
            distribution = None
        if name not in lines or (conditional[name] and marker is None):
            lines[name] = f"{name}=={version}" + (f" ; {marker}" if marker is not None else "")
            conditional[name] = marker is not None
        if distribution is None or (name, frozenset(requirement.extras)) in walked:
            continue
        walked.add((name, frozenset(requirement.extras)))
        for text in distribution.requires or ():
            needed = Requirement(text)
            somewhere, everywhere = holds(needed.marker, requirement.extras)
            if somewhere:
                queue.append((needed, marker if everywhere else needed.marker))
    return lines


def wanted_in(file: str) -> list[Requirement]:
    """The requirements of an .in file, comments dropped."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def main() -> None:
    """Write both files."""
    running = closure(wanted_in("requirements.in"))
    everything = closure([*wanted_in("requirements.in"), *wanted_in("requirements-dev.in")])
    (ROOT / "requirements.txt").write_text(
        "# Made by `make pins` from requirements.in, where every name has its reason. pytest and fakeredis are here\n"
        "# and not in requirements-dev.txt because the project's owner wants them named beside the rest.\n"
        + "".join(f"{running[name]}\n" for name in sorted(running)),
        encoding="utf-8",
    )
    (ROOT / "requirements-dev.txt").write_text(
        "# Made by `make pins` from requirements-dev.in: what tests and lint need beyond running.\n"
        "-r requirements.txt\n" + "".join(f"{everything[name]}\n" for name in sorted(set(everything) - set(running))),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
