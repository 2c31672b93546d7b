"""The Redis users of docs/security.md, on a real Redis: what the processes do is allowed, nothing else is."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker

import app.redis_transport
from app.live.wakeup_subscriber import WakeupSubscriber, subscription_client
from app.observability.heartbeats import Heart, processes
from app.venues.throttle import MovingWindowThrottle, Urgency
from app.wakeups import CANCELS, EXECUTE, ORDERS, RECONCILIATIONS, TaskMessages, channel
from local.redis_server import EmbeddedRedis
from local.services import LocalServices

RULES = re.compile(r"^user (surefill-\w+) on >PASSWORD (.+)$", re.MULTILINE)
PASSWORD = "p" * 32
WEB, WORKER = "surefill-web", "surefill-worker"
TRIED = "command client"
"""redis-py asks servers of some vendors to announce maintenance (CLIENT MAINT_NOTIFICATIONS), and lives without."""
QUEUES = (CANCELS, ORDERS, RECONCILIATIONS)


@dataclass(frozen=True)
class Guarded:
    """A Redis whose users are those of the documentation."""

    server: EmbeddedRedis
    administrator: redis.Redis

    def url(self, user: str) -> str:
        return f"redis://{user}:{PASSWORD}@127.0.0.1:{self.server.port}/0"

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user), socket_timeout=2)

    def refused(self) -> list[tuple[str, str]]:
        """What any of the users was refused so far: user and what it was."""
        log = self.administrator.acl_log()
        seen = [(str(each["username"]), f"{each['reason']} {each['object']}") for each in log]
        return [each for each in seen if each[1] != TRIED]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    rules = RULES.findall((Path(app.redis_transport.__file__).parents[1] / "docs" / "security.md").read_text())
    assert {user for user, _ in rules} == {WEB, WORKER}
    with (
        LocalServices(tmp_path_factory.mktemp("redis-users"), postgres=False) as services,
        pytest.MonkeyPatch.context() as patch,
    ):
        # Celery's configuration reads the process's environment, once; the broker is set below all the same.
        patch.setenv("DATABASE_URL", "postgresql://nobody:none@127.0.0.1:9/none")
        patch.setenv("REDIS_URL", services.redis.url)
        patch.setenv("SIMULATOR_URL", "http://127.0.0.1:9")
        with redis.Redis.from_url(services.redis.url) as administrator:
            for user, words in rules:
                _acl(administrator, "SETUSER", user, "on", f">{PASSWORD}", *words.split())
            yield Guarded(services.redis, administrator)


@pytest.fixture(autouse=True)
def fresh_log(guarded: Guarded) -> None:
    _acl(guarded.administrator, "LOG", "RESET")


def _run(client: Any, command: Sequence[str]) -> None:
    client.execute_command(*command)


def _acl(client: Any, *words: str) -> Any:
    return client.execute_command("ACL", *words)


def _celery(url: str) -> Celery:
    celery = Celery("users")
    celery.config_from_object("celeryconfig", silent=False, force=False)
    celery.conf.update(broker_url=url, broker_transport=app.redis_transport.transport_of(url))
    return celery


def _until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_orders_pass_from_a_web_process_to_a_worker_and_news_back(guarded: Guarded) -> None:
    done: list[str] = []
    woken: list[UUID] = []
    working = _celery(guarded.url(WORKER))

    def execute(order_id: str) -> None:
        done.append(order_id)

    working.task(execute, name=EXECUTE)
    stands: list[bool] = []
    subscriber = WakeupSubscriber(
        subscription_client(guarded.url(WEB)), wake=woken.append, wake_all=lambda: None, stands=stands.append
    )
    threading.Thread(target=subscriber.run, daemon=True).start()
    try:
        with start_worker(working, pool="solo", perform_ping_check=False, queues=list(QUEUES), shutdown_timeout=10):
            order_id, trader_id = uuid4(), uuid4()
            TaskMessages(_celery(guarded.url(WEB))).send(EXECUTE, order_id, ORDERS)
            _until(lambda: done == [str(order_id)], "the worker did not get the message")
            TaskMessages(working).send(EXECUTE, order_id, ORDERS)  # a worker and the sweeper send, too
            _until(lambda: len(done) == 2, "the worker did not get the second message")
            _until(lambda: stands, "no subscription")
            with guarded.client(WORKER) as worker, worker.pipeline(transaction=False) as pipeline:
                pipeline.publish(channel(trader_id), b"{}")
                pipeline.execute()
            _until(lambda: woken == [trader_id], "the news did not arrive")
    finally:
        subscriber.end()
    assert guarded.refused() == []


def test_processes_tell_that_they_live_count_queues_and_share_a_throttle(guarded: Guarded) -> None:
    for user in (WEB, WORKER):
        with guarded.client(user) as client:
            heart = Heart(client, user)
            heart.beat()
            assert user in [each.who.process for each in processes(client)]
            heart.leave()
            assert client.ping()
            with client.pipeline(transaction=False) as pipeline:
                for name in QUEUES:
                    pipeline.llen(name)
                assert pipeline.execute() == [0, 0, 0]
    throttles = [MovingWindowThrottle(4, 60, name="venue", redis_url=guarded.url(WORKER)) for _ in range(2)]
    waits = [throttle.take("orders", Urgency.FIRST) for throttle in throttles * 3]
    assert [wait is None for wait in waits] == [True] * 4 + [False] * 2
    assert guarded.refused() == []


_NOBODYS = """
FLUSHALL; FLUSHDB; KEYS *; SCAN 0; CONFIG GET *; SHUTDOWN; DEBUG SLEEP 0; SAVE; ACL LIST; CLIENT LIST; CLIENT KILL ID 0
MONITOR; MODULE LIST; REPLICAOF 127.0.0.1 9; GET secret; SET orders text; DEL orders; LRANGE orders 0 -1
RENAME orders gone; LPUSH other x; PUBLISH other x; PSUBSCRIBE *; SUBSCRIBE other; RESTORE orders 0 x; EVAL return 0
SCRIPT FLUSH; ZADD other 1 x
"""
NOBODYS: list[tuple[str, ...]] = [tuple(command.split()) for command in _NOBODYS.strip().replace("\n", ";").split(";")]
ONE_USERS: dict[str, list[tuple[str, ...]]] = {
    WEB: [("BRPOP", "orders", "1"), ("RPOP", "orders")],
    WORKER: [("PSUBSCRIBE", "orders:*")],
}


@pytest.mark.parametrize("user", [WEB, WORKER])
def test_nothing_else_is_allowed(guarded: Guarded, user: str) -> None:
    for command in [*NOBODYS, *ONE_USERS[user]]:
        with guarded.client(user) as client, pytest.raises(redis.exceptions.NoPermissionError):
            _run(client, command)
