"""Which process sent a request, and whether that process is proven to have ended.

A name holds host, PID namespace, boot, pid and start time. The proof is the operating system's, so it can only be
given on the same host and in the same PID namespace; everywhere else the answer is "not proven", which is safe.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


HIDDEN = "hidden"
"""A process that exists and whose start time we may not read."""


def _place() -> str:
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else f"{psutil.boot_time():.0f}"
    namespace = str(_PID_NAMESPACE.readlink()).strip("pid:[]") if _PID_NAMESPACE.exists() else "-"
    return f"{socket.gethostname()}/{namespace}/{boot}"


def _started(pid: int) -> str | None:
    """When the process with this pid started, in the kernel's own count (the wall clock may be set); None: no such."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if stat.parent.parent.joinpath("self").exists():
            if not stat.exists():
                os.kill(pid, 0)  # it may only be hidden from us: then this is not permitted, and it lives
            fields = stat.read_text().rpartition(")")[2].split()
            return None if fields[0] in "ZX" else fields[19]
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return None
    except PermissionError:
        return HIDDEN


class ProcessSenders:
    """Senders by the operating system's process table."""

    def __init__(self) -> None:
        self._place = _place()
        pid = os.getpid()
        self._me = f"{self._place}/{pid}/{_started(pid)}"
        self._on_the_wire: set[str] = set()

    @property
    def me(self) -> str:
        return self._me

    def has_ended(self, sender: str, attempt: str) -> bool:
        if sender == self._me:
            return attempt not in self._on_the_wire  # nobody knows better than the sender itself
        place, _, rest = sender.rpartition("/")
        place, _, pid = place.rpartition("/")
        if place != self._place or not pid.isdigit():
            here, there = self._place.split("/"), place.split("/")
            # the same machine after a reboot: nothing of before is running
            return len(there) == 3 and here[0] == there[0] and here[2] != there[2]
        started = _started(int(pid))
        return started not in (rest, HIDDEN)

    def lives(self, sender: str) -> bool:
        """True only when it is proven that this process is running, here."""
        place, _, rest = sender.rpartition("/")
        place, _, pid = place.rpartition("/")
        return place == self._place and pid.isdigit() and _started(int(pid)) in (rest, HIDDEN)

    @contextmanager
    def sending(self, attempt: str) -> Iterator[None]:
        self._on_the_wire.add(attempt)
        try:
            yield
        finally:
            self._on_the_wire.discard(attempt)
