"""The simulator as it runs in production: its own process, driven over HTTP."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import urllib3

_START_SECONDS = 15.0
_KEY_ID = "conformance"
_SECRET_KEY = "conformance-secret"


class SimulatorProcess:
    """Start it with `with`; it listens on a port of its own choice and keeps its ledger in `folder`."""

    key_id = _KEY_ID
    secret_key = _SECRET_KEY

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._settings = settings
        self._port = 0
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=10))
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)
        self._http.clear()

    def start(self) -> None:
        """On the port it had before, if it had one."""
        options = {"port": str(self._port), "ledger": str(self._folder / "ledger.sqlite3")} | self._settings
        command = [sys.executable, "-m", "simulator", "--key-id", _KEY_ID, "--secret-key", _SECRET_KEY]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", value]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SIMULATOR_")}
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        line = _first_line(self._process.stdout)
        listening = re.search(r"http://[^ :]+:(\d+)", line)
        if listening is None:
            self._end(signal.SIGKILL)
            raise AssertionError(f"the simulator did not start: {line!r}")
        self._port = int(listening.group(1))

    def kill(self) -> None:
        """As a crash would: nothing is written any more."""
        self._end(signal.SIGKILL)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control endpoint, which asks for no key."""
        response = self._http.request(method, f"{self.url}/simulator/{path}", json=body)
        assert response.status == 200, response.data
        return response.json()

    def cancel_everything(self) -> None:
        headers = {"APCA-API-KEY-ID": _KEY_ID, "APCA-API-SECRET-KEY": _SECRET_KEY}
        response = self._http.request("DELETE", f"{self.url}/v2/orders", headers=headers)
        assert response.status == 207, response.data

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def _first_line(stdout: IO[str]) -> str:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        return lines.get(timeout=_START_SECONDS)
    except queue.Empty:
        return ""
