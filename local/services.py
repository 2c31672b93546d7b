"""PostgreSQL and Redis alone, on a folder of their own: what tests need, up in about a second."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from local.leftovers import MARK, StartedProcesses, end, left_over
from local.memory import Memory
from local.postgresql import EmbeddedPostgres
from local.redis_server import EmbeddedRedis
from local.server_account import ServerHome, ended_with_this_process, server_home

_STOP_SECONDS = 10.0


def open_data_folder(folder: Path) -> Memory:
    """Make the data folder, private to us, and read what it remembers."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    memory = Memory(folder.resolve())
    if memory.get("mark") is None:
        memory.put("mark", secrets.token_hex(8))
    return memory


def end_left_over(memory: Memory) -> int:
    """End every process of an earlier start on this data folder. Returns how many there were."""
    started = StartedProcesses(memory.folder)
    data = Path(memory.get("server_home") or memory.folder) / "postgres"
    count = end(left_over(memory.get("mark") or "", data, started))
    started.forget()
    return count


def remove_private_home(memory: Memory, home: ServerHome) -> None:
    """Remove what a throw-away start kept outside its folder."""
    if home.folder != memory.folder:
        shutil.rmtree(home.folder, ignore_errors=True)


class LocalServices:
    """`with LocalServices(folder) as services:` runs PostgreSQL and Redis until the block ends.

    Not durable (fsync off) unless told so, and with a superuser for fixtures: for throw-away data.
    They end with the process that started them, however it ends (Linux; elsewhere with the next start on the folder).
    """

    def __init__(self, folder: Path, *, durable: bool = False, postgres: bool = True, redis: bool = True) -> None:
        self._memory = open_data_folder(folder)
        self._durable = durable
        self._wanted = (postgres, redis)
        self._running: list[tuple[subprocess.Popen[bytes], int]] = []
        self._home: ServerHome | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None

    @property
    def postgres(self) -> EmbeddedPostgres:
        """The database server, once started."""
        if self._postgres is None:
            raise RuntimeError("PostgreSQL has not been started")
        return self._postgres

    @property
    def redis(self) -> EmbeddedRedis:
        """The Redis server, once started."""
        if self._redis is None:
            raise RuntimeError("Redis has not been started")
        return self._redis

    def start(self) -> Self:
        """Start what is wanted and wait until it answers. Raises CannotStart."""
        end_left_over(self._memory)
        home = self._home = server_home(self._memory, throw_away=True)
        wants_postgres, wants_redis = self._wanted
        ready: list[Callable[[], None]] = []
        try:
            if wants_redis:
                self._redis = EmbeddedRedis.prepare(self._memory, home)
                self._launch("redis", self._redis.command(), signal.SIGTERM)
                ready.append(self._redis.wait_until_ready)
            if wants_postgres:
                self._postgres = EmbeddedPostgres.prepare(self._memory, home, durable=self._durable, for_tests=True)
                self._launch("postgres", self._postgres.command(), signal.SIGINT)
                ready.append(self._postgres.wait_until_ready)
            for wait_until_ready in ready:
                wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both, and remove what was kept outside the folder."""
        for process, stop_signal in reversed(self._running):
            process.send_signal(stop_signal)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
        StartedProcesses(self._memory.folder).forget()
        if self._home is not None:
            remove_private_home(self._memory, self._home)
        self._memory.release_ports()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, name: str, argv: list[str], stop_signal: signal.Signals) -> None:
        with (self._memory.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ended_with_this_process(argv, stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=os.environ | {MARK: self._memory.get("mark") or ""},
                start_new_session=True,  # Ctrl-C is for the one who started us, who then stops the servers in order
            )
        self._running.append((process, int(stop_signal)))
        StartedProcesses(self._memory.folder).add(name, process.pid)
