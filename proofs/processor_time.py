"""Processor time of a running system, process by process."""

from __future__ import annotations

import psutil

from local.stack import LocalStack

PROCESSES = ("web", "worker", "listener", "sweeper", "quotes", "sequencer", "simulator", "redis", "postgres")


def processor_seconds(stack: LocalStack) -> dict[str, float]:
    """Seconds of processor time that each process of the system has used so far, its children's included."""
    return {name: sum(map(_seconds, stack.pids(name))) for name in PROCESSES}


def _seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # its parent has waited for it, and counts its time
    return float(times.user + times.system + times.children_user + times.children_system)
