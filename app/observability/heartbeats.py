"""Which processes are alive: each says so in Redis every few seconds.

A sorted set with the time of each process's last word as its score. It is Redis and not PostgreSQL because it is worth
nothing a minute later and would write all day; while Redis is away nobody knows who is alive, and nobody says zero.
A loop beats once a turn, so a loop that hangs falls silent though its process lives.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import msgspec
import redis

from app.version import VERSION

log = logging.getLogger(__name__)

KEY = "surefill:processes"
EVERY_SECONDS = 3.0
ALIVE_SECONDS = 15.0
"""Silent for longer than this is not alive."""
_FORGOTTEN_SECONDS = 900.0


class Beating(msgspec.Struct, frozen=True):
    """Who says that it is alive."""

    process: str
    host: str
    pid: int
    version: str
    started_at: str


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process and how many seconds ago it last said that it is alive."""

    who: Beating
    silent_seconds: float

    @property
    def is_alive(self) -> bool:
        return self.silent_seconds <= ALIVE_SECONDS


class Heart:
    """One process's heartbeat. `beat` costs nothing when it is too early; it never raises for a Redis that is away."""

    def __init__(self, client: redis.Redis, process: str) -> None:
        self._client = client
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._me = msgspec.json.encode(Beating(process, socket.gethostname(), os.getpid(), VERSION, started))
        self._next = 0.0
        self._away = False

    def beat(self) -> None:
        """This process is alive, and what called this went on."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_SECONDS
        try:
            at = time.time()
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.zadd(KEY, {self._me: at})
                pipeline.zremrangebyscore(KEY, 0, at - _FORGOTTEN_SECONDS)
                pipeline.execute()
        except redis.RedisError as error:
            if not self._away:
                log.warning("nobody can be told that this process is alive: %s", error)
            self._away = True
        else:
            self._away = False

    def beat_in_background(self) -> None:
        """For a process that serves and has no loop of its own."""
        threading.Thread(target=self._for_ever, name="heart", daemon=True).start()

    def leave(self) -> None:
        """This process ends on purpose: it is not missed."""
        try:
            self._client.zrem(KEY, self._me)
        except redis.RedisError as error:
            log.info("nobody could be told that this process ends: %s", error)

    def _for_ever(self) -> None:
        while True:
            self.beat()
            time.sleep(EVERY_SECONDS)


def processes(client: redis.Redis) -> list[ProcessSeen]:
    """Every process that has been heard of in the last quarter of an hour. Raises redis.RedisError."""
    now = time.time()
    seen: list[ProcessSeen] = []
    heard = cast("list[tuple[bytes, float]]", client.zrange(KEY, 0, -1, withscores=True))
    for member, at in heard:
        try:
            who = msgspec.json.decode(member, type=Beating)
        except msgspec.DecodeError:
            continue  # of another version
        seen.append(ProcessSeen(who, max(0.0, now - at)))
    return sorted(seen, key=lambda each: (each.who.process, each.who.host, each.who.pid))
