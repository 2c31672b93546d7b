"""The JavaScript client in a process of its own."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.live.listeners import eventually


class Follower:
    """A running follower.mjs and what it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def all(self, what: str) -> list[Any]:
        return [each["data"] for each in list(self.said) if each["what"] == what]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.all("order")]

    def wait_for(self, what: str, count: int = 1) -> Any:
        eventually(lambda: len(self.all(what)) >= count, 15, f"no {what}: {self.said[-5:]}")
        return self.all(what)[count - 1]

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.communicate(timeout=10)
        self._reader.join(10)


@contextmanager
def follower(folder: Path, *arguments: object) -> Iterator[Follower]:
    with subprocess.Popen(
        ["node", "follower.mjs", *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        following = Follower(process)
        try:
            yield following
        finally:
            process.kill()
            following._reader.join(10)
