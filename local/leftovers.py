"""End what an earlier start on the same data folder left behind, and nothing else.

Three marks tell our processes from everybody's: the pid and start time that were written down when the process was
started; the mark in its environment, which its children inherit; and, for PostgreSQL, whose processes overwrite their
environment, the data folder they work in. A pid alone is never believed: it may have been given to somebody else.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

MARK = "SUREFILL_STACK"
"""The environment variable whose value is the data folder's own random name."""

_FILE = "processes.jsonl"
# Two readings of one process's start time differ by rounding only; pids are not reused that fast.
_SAME_START_SECONDS = 0.1
_GRACE_SECONDS = 3.0


class StartedProcesses:
    """The data folder's list of what was started: one line per process, appended at once."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE

    def add(self, name: str, pid: int) -> None:
        """Write down a process that was just started; one that has ended already needs no line."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"name": name, "pid": pid, "started": started}) + "\n")

    def forget(self) -> None:
        """Everything has been stopped."""
        self._file.unlink(missing_ok=True)

    def running(self) -> list[psutil.Process]:
        """Those that still run: same pid and same start time."""
        if not self._file.exists():
            return []
        found = []
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                process = psutil.Process(int(entry["pid"]))
                if abs(process.create_time() - float(entry["started"])) < _SAME_START_SECONDS:
                    found.append(process)
            except (ValueError, KeyError, psutil.NoSuchProcess):
                continue  # a line cut short by the kill, or a process that is gone
        return found


def left_over(mark: str, data: Path | None, started: StartedProcesses) -> list[psutil.Process]:
    """Running processes of the data folder with this `mark`, the supervisor first."""
    recorded = started.running()
    found = {process.pid: process for process in recorded}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark or (data is not None and process.cwd() == str(data)):
                found.setdefault(process.pid, process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # somebody else's, or gone
    for process in recorded:
        for child in _children(process):
            found.setdefault(child.pid, child)
    found.pop(psutil.Process().pid, None)
    return list(found.values())


def end(processes: Iterable[psutil.Process], grace_seconds: float = _GRACE_SECONDS) -> int:
    """Stop `processes`: politely, then for good. Returns how many there were. A supervisor must come first."""
    remaining = [process for process in processes if process.is_running()]
    count = len(remaining)
    for process in remaining:
        # A supervisor is killed outright: asked politely, it would take its time, and start what we end meanwhile.
        if _is_supervisor(process):
            _signal(process, signal.SIGKILL)
    for process in remaining:
        # PostgreSQL's polite stop is SIGINT: disconnect everybody, write a checkpoint.
        _signal(process, signal.SIGINT if _name(process) == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    _, remaining = psutil.wait_procs(remaining, timeout=max(0.0, deadline - time.monotonic()))
    for process in remaining:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(remaining, timeout=grace_seconds)
    return count


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        return any(word.endswith("supervisord") or word == "supervisor.supervisord" for word in process.cmdline()[:4])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)  # psutil refuses when the pid has been given to another process
    except psutil.NoSuchProcess:
        return
