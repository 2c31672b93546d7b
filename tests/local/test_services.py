"""Embedded PostgreSQL and Redis on their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import PROJECT_ROOT
from local.cannot_start import CannotStart
from local.databases import copied_database
from local.memory import Memory
from local.postgresql import EmbeddedPostgres
from local.redis_server import EmbeddedRedis
from local.server_account import ServerAccount, ServerHome
from local.services import LocalServices, open_data_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the servers as somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A data folder the servers' user can reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="surefill-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_both_servers_are_up_within_five_seconds(tmp_path: Path) -> None:
    begun = time.monotonic()
    with LocalServices(tmp_path / "var") as services:
        took = time.monotonic() - begun
        assert _ask(services.postgres, "SELECT 1") == [(1,)]
        with redis.Redis.from_url(services.redis.url) as client:
            assert client.ping()

    assert took < 5  # about 1.5 on an idle machine of two cores


def test_the_owner_may_create_roles_and_is_no_superuser(postgres_server: EmbeddedPostgres) -> None:
    rights = "SELECT rolname, rolcanlogin, rolcreaterole, rolsuper, rolbypassrls, rolcreatedb FROM pg_roles"

    assert _ask(postgres_server, f"{rights} WHERE rolname = current_user") == [
        ("surefill_owner", True, True, False, False, False)
    ]


def test_the_clusters_superuser_cannot_log_in(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(
            host="127.0.0.1", port=postgres_server.port, user="postgres", password="guess", dbname="postgres"
        )


def test_nobody_without_the_password_gets_into_redis(redis_server: EmbeddedRedis) -> None:
    never = Retry(NoBackoff(), 0)
    with redis.Redis(port=redis_server.port, retry=never) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_durable_cluster_waits_for_the_disk(tmp_path: Path) -> None:
    with LocalServices(tmp_path / "var", durable=True, redis=False) as services:
        shown = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        assert _ask(services.postgres, shown) == [("on", "on")]


def test_passwords_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    memory = open_data_folder(tmp_path / "var")
    memory.secret("owner_password")

    assert (tmp_path / "var" / "local.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var").stat().st_mode & 0o066 == 0


def test_ports_and_passwords_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    first, second = (open_data_folder(tmp_path / "var") for _ in range(2))

    assert first.port("web") == Memory(second.folder).port("web")
    assert first.secret("owner_password") == Memory(second.folder).secret("owner_password")


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    memory = open_data_folder(tmp_path / "var")
    port = memory.port("postgres")
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", port))
        somebody.listen()
        assert memory.port("postgres") != port


def test_a_damaged_memory_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "local.json").write_text("{")

    with pytest.raises(CannotStart, match=r"local.json is damaged .*: restore it, or remove") as caught:
        Memory(tmp_path)
    assert "\n" not in str(caught.value)


def test_servers_killed_without_warning_come_back_with_their_data(open_folder: Path) -> None:
    services = LocalServices(open_folder, durable=True).start()
    try:
        _ask(services.postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
        for process in _working_in(open_folder):
            with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL's own processes end with their parent
                process.send_signal(signal.SIGKILL)
        with LocalServices(open_folder, durable=True) as again:
            assert _ask(again.postgres, "SELECT answer FROM kept") == [(42,)]
    finally:
        services.stop()


def test_a_second_start_ends_the_servers_that_were_left_running(open_folder: Path) -> None:
    left = LocalServices(open_folder).start()
    try:
        old = {process.pid for process in _working_in(open_folder)}
        with LocalServices(open_folder):
            assert old
            assert not old & {process.pid for process in _working_in(open_folder)}
    finally:
        left.stop()


_STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from local.services import LocalServices
LocalServices(Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(60)
"""


def test_the_servers_end_when_whoever_started_them_is_killed(open_folder: Path) -> None:
    argv = [sys.executable, "-c", _STARTS_AND_WAITS, str(open_folder)]
    with subprocess.Popen(argv, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        servers = _working_in(open_folder)
        starter.kill()
    assert servers
    assert psutil.wait_procs(servers, timeout=20)[1] == []


def test_a_copy_of_a_database_is_gone_after_its_test(postgres_server: EmbeddedPostgres, migrated_template: str) -> None:
    with copied_database(postgres_server, "short_lived", migrated_template) as url:
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orders")
            assert cursor.fetchall() == [(0,)]
    names = "SELECT count(*) FROM pg_database WHERE datname = 'short_lived'"
    assert _ask(postgres_server, names) == [(0,)]


@as_root
def test_started_by_root_the_servers_run_as_a_user_nobody_else_is(tmp_path: Path) -> None:
    with LocalServices(tmp_path / "var") as services:
        uid = services.postgres.home.account.uid
        assert uid not in {None, 0}
        # asked for together, so that a process that ends meanwhile is no error
        running = [each.info for each in psutil.process_iter(["uids", "name"]) if each.info["uids"]]
        assert {each["name"] for each in running if each["uids"].real == uid} >= {"postgres", "redis-server"}


@as_root
def test_no_permission_above_the_data_folder_is_changed(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    before = {folder: folder.stat().st_mode for folder in (closed, *closed.parents)}
    with LocalServices(closed / "project" / "var") as services:
        private = services.postgres.home.folder
        assert not private.is_relative_to(tmp_path)
        assert services.postgres.home.note
        assert _ask(services.postgres, "SELECT 1") == [(1,)]

    assert {folder: folder.stat().st_mode for folder in (closed, *closed.parents)} == before
    assert not private.exists()


@as_root
def test_programs_out_of_reach_are_copied_to_where_the_servers_user_can_read_them(
    tmp_path: Path, open_folder: Path
) -> None:
    closed = tmp_path / "closed"
    (closed / "package" / "bin").mkdir(parents=True)
    (closed / "package" / "bin" / "server").write_text("#!/bin/sh\necho here\n")
    (closed / "package" / "bin" / "server").chmod(0o700)
    closed.chmod(0o700)
    home = ServerHome(open_folder, ServerAccount(61_999), None)

    place = home.within_reach(closed, ["package", "not-there"])

    assert place != closed
    assert home.account.can_reach(place / "package" / "bin" / "server")
    assert home.within_reach(closed, ["package", "not-there"]) == place


def _working_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def _ask(postgres: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(psycopg2.connect(postgres.url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
