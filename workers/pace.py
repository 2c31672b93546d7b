"""How a loop waits and how it ends: until the time is up or somebody asks it to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Stop:
    """Set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()

    def asked(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; True when asked to stop."""
        return self._event.wait(seconds)


class Backoff:
    """Growing waits between failures, in seconds."""

    def __init__(self, first: float = 0.2, most: float = 5.0) -> None:
        self._first, self._most, self._next = first, most, first

    def failed(self) -> float:
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait

    def worked(self) -> None:
        self._next = self._first
