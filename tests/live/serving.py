"""The real web process: gunicorn with gevent, as the Procfile starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import urllib3

from app.settings import PROJECT_ROOT, Settings
from local.memory import free_port

_START_SECONDS = 30.0


@dataclass(frozen=True)
class Web:
    """A gunicorn that runs: its parent process and its address."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def cpu_seconds(self) -> float:
        """What the workers have used so far."""
        times = [worker.cpu_times() for worker in self.workers]
        return float(sum(each.user + each.system for each in times))

    def said(self) -> str:
        """Its log."""
        return self.log.read_text()


@contextmanager
def web(settings: Settings, folder: Path, *, workers: int = 2, extra: Mapping[str, str] | None = None) -> Iterator[Web]:
    """Serve these settings until the block ends."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PORT": str(port),
        "WEB_CONCURRENCY": str(workers),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SIMULATOR_URL": "http://127.0.0.1:9",
        "PYTHONWARNINGS": "error::RuntimeWarning",
        **(extra or {}),
    }
    log = folder / f"web-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "app:create_app()"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    serving = Web(process, f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_ready(serving)
        yield serving
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(serving: Web) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with urllib3.PoolManager(retries=False, timeout=1.0) as pool:
        while True:
            assert serving.process.poll() is None, serving.said()
            try:
                if pool.request("GET", f"{serving.url}/healthz").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass  # it does not listen yet
            assert time.monotonic() < deadline, serving.said()
            time.sleep(0.05)
