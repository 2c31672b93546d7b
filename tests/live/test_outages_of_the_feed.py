"""Services go away and come back; nobody misses an event or gets one twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from app.settings import Settings
from app.storage.transaction import DatabaseUnavailable
from local.databases import migrate
from local.services import LocalServices
from tests.conftest import settings_for
from tests.live.browser_client import follower
from tests.live.desk import Desk, Listened
from tests.live.listeners import Floor, Listener, eventually
from tests.live.serving import Web, web


class House:
    """Servers of this module's own, to be stopped and started."""

    def __init__(self, services: LocalServices) -> None:
        self.services = services
        self.settings: Settings = settings_for(services.postgres.url, services.redis.url)
        migrate(self.settings)

    def stop(self, name: str, with_signal: signal.Signals) -> None:
        """End "redis" or "postgres" and wait until it has ended."""
        process = self.services._running[0 if name == "redis" else 1][0]
        process.send_signal(with_signal)
        process.wait(20)

    def start(self, name: str) -> None:
        """Start it again, on the same port."""
        if name == "redis":
            self.services._launch("redis", self.services.redis.command(), signal.SIGTERM)
            self.services._running[0] = self.services._running.pop()
            self.services.redis.wait_until_ready()
        else:
            self.services._launch("postgres", self.services.postgres.command(), signal.SIGINT)
            self.services._running[1] = self.services._running.pop()
            self.services.postgres.wait_until_ready()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    # durable: a commit that was answered survives a server that is stopped the hard way
    with LocalServices(tmp_path_factory.mktemp("services"), durable=True) as services:
        yield House(services)


@pytest.fixture(scope="module")
def serving(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web(house.settings, tmp_path_factory.mktemp("web")) as serving:
        yield serving


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    desk = Desk(house.settings)
    yield desk
    desk.close()


def commit_when_it_answers(desk: Desk, trader: Listened, *, wakes: bool = True) -> int:
    deadline = time.monotonic() + 20
    while True:
        try:
            return desk.commit(trader, wakes=wakes)
        except DatabaseUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def following(floor: Floor, serving: Web, trader: Listened, count: int = 6) -> list[Listener]:
    """Clients that come back by themselves with the last seq they have."""
    listeners: list[Listener] = []
    for _ in range(count):
        listener = floor.listener(serving.url, None, reconnects=True)
        listener._auth = lambda each=listener: {"token": trader.key, "last_seq": each.last_seq or 0}
        listeners.append(listener.connect())
    return listeners


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_restart_of_postgresql_keeps_the_connections_and_loses_nothing(
    house: House, desk: Desk, serving: Web, floor: Floor, how: signal.Signals
) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader)
    desk.commit(trader, 3)
    house.stop("postgres", how)
    time.sleep(1.5)
    house.start("postgres")
    began = time.monotonic()
    last = commit_when_it_answers(desk, trader)
    for listener in listeners:
        listener.wait_for(last, 10)
        assert listener.seqs == list(range(1, last + 1))
        assert not listener.disconnects
    assert time.monotonic() - began < 5


def test_who_connects_while_postgresql_is_away_comes_back_by_itself(
    house: House, desk: Desk, serving: Web, node_folder: Path
) -> None:
    trader = desk.trader()
    desk.commit(trader, 2)
    house.stop("postgres", signal.SIGINT)
    try:
        with follower(node_folder, serving.url, trader.key, 0) as following:
            eventually(lambda: serving.said().count("could not be checked") > 0, 15)
            house.start("postgres")
            following.wait_for("order", 2)
            assert following.seqs == [1, 2]
            assert not [each for each in following.all("connect_error") if not each["comes_back"]]
    finally:
        if house.services._running[1][0].poll() is not None:
            house.start("postgres")


def test_postgresql_that_stays_silent_for_seconds_delays_only(
    house: House, desk: Desk, serving: Web, floor: Floor
) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader)
    desk.commit(trader)
    for backend in _feed_backends(house):
        os.kill(backend, signal.SIGSTOP)
    try:
        desk.commit(trader, 2)
        time.sleep(1.5)
    finally:
        for backend in _feed_backends(house):
            os.kill(backend, signal.SIGCONT)
    for listener in listeners:
        listener.wait_for(3)
        assert listener.seqs == [1, 2, 3]
        assert not listener.disconnects


def test_feed_connections_that_are_cut_are_made_again(house: House, desk: Desk, serving: Web, floor: Floor) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader)
    for seq in range(1, 4):
        with closing(psycopg2.connect(house.services.postgres.test_superuser_url)) as superuser:
            with superuser.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'surefill-feed'"
                )
        desk.commit(trader)
        for listener in listeners:
            listener.wait_for(seq, 3)
    assert all(listener.seqs == [1, 2, 3] and not listener.disconnects for listener in listeners)


def test_without_redis_events_come_a_little_later(house: House, desk: Desk, serving: Web, floor: Floor) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader)
    house.stop("redis", signal.SIGKILL)
    try:
        eventually(lambda: serving.said().count("Redis is away") >= 2)
        for seq in range(1, 6):
            began = time.monotonic()
            desk.commit(trader, wakes=False)
            for listener in listeners:
                listener.wait_for(seq, 1.2)
            assert time.monotonic() - began < 1.2
    finally:
        house.start("redis")
    eventually(lambda: serving.said().count("Redis is back") >= 2)
    began = time.monotonic()
    desk.commit(trader)
    for listener in listeners:
        listener.wait_for(6, 0.5)
        assert listener.seqs == list(range(1, 7))
        assert not listener.disconnects


def test_redis_that_stays_silent_is_noticed_and_events_still_come(
    house: House, desk: Desk, serving: Web, floor: Floor
) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader)
    away = serving.said().count("Redis is away")
    group = os.getpgid(house.services._running[0][0].pid)
    os.killpg(group, signal.SIGSTOP)
    try:
        for seq in range(1, 8):
            desk.commit(trader, wakes=False)
            for listener in listeners:
                listener.wait_for(seq, 1.2)
        eventually(lambda: serving.said().count("Redis is away") > away, 15)
    finally:
        os.killpg(group, signal.SIGCONT)
    assert all(listener.seqs == list(range(1, 8)) for listener in listeners)


def test_a_web_worker_that_is_killed_costs_a_reconnect(desk: Desk, serving: Web, floor: Floor) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader, 10)
    for worker in serving.workers:
        desk.commit(trader, 2)
        worker.kill()
        desk.commit(trader, 2)
    last = desk.commit(trader)
    for listener in listeners:
        listener.wait_for(last, 20)
        assert listener.seqs == list(range(1, last + 1))


def test_a_web_worker_that_ends_sends_its_clients_to_another_one(desk: Desk, serving: Web, floor: Floor) -> None:
    trader = desk.trader()
    listeners = following(floor, serving, trader, 10)
    eventually(lambda: len(serving.workers) == 2)
    for worker in serving.workers:
        began = time.monotonic()
        worker.terminate()
        worker.wait(10)
        assert time.monotonic() - began < 4
        desk.commit(trader)
    for listener in listeners:
        listener.wait_for(2, 20)
        assert listener.seqs == [1, 2]
    assert "Worker graceful timeout" not in serving.said()


def _feed_backends(house: House) -> list[int]:
    with closing(psycopg2.connect(house.services.postgres.test_superuser_url)) as superuser:
        with superuser.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'surefill-feed'")
            return [int(pid) for (pid,) in cursor.fetchall()]
