"""The commands of `flask --app app` on a real database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from flask import Flask

from app import cli
from app.settings import PROJECT_ROOT, Settings
from app.wiring import worker_process
from local.databases import copied_database
from local.postgresql import EmbeddedPostgres
from local.redis_server import EmbeddedRedis
from tests.conftest import settings_for

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Console:
    """Runs commands against one system."""

    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DATA_FOLDER": "/nonexistent",
            "DATABASE_URL": self.settings.database_url,
            "REDIS_URL": self.settings.redis_url,
            "SIMULATOR_URL": "http://127.0.0.1:9",
        }

    def run(self, *words: str) -> Said:
        """A command inside this process."""
        app = Flask("app", static_folder=None)
        cli.register(app, self.settings, worker_process)
        result = app.test_cli_runner().invoke(args=words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def process(self, *words: str, environment: dict[str, str] | None = None) -> Said:
        """A command as an administrator runs it."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "flask", "--app", "app", *words],
            cwd=PROJECT_ROOT,
            env=environment or self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str) -> Said:
        said = self.run(*words)
        assert said.status == 0, said
        return said

    def trader(self, name: str = "Ann", cash: str = "100000") -> dict[str, Any]:
        return dict(self.ok("trader", "create", "--name", name, "--cash", cash, "--json").json)

    def sql(self, login: str, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """What a login reads or writes."""
        url = getattr(self.settings, "database_url" if login == "owner" else f"database_url_{login}")
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def chain(self, trader_id: str) -> list[Any]:
        """The trader's own audit rows: action, actor, details, limits_version."""
        return self.sql(
            "compliance",
            """SELECT action, actor, details, limits_version FROM execution_logs WHERE chain_id = %s
            ORDER BY chain_seq""",
            [trader_id],
        )


@pytest.fixture
def console(settings: Settings) -> Console:
    return Console(settings)


@pytest.fixture
def actions(console: Console) -> Callable[[str], list[str]]:
    """The actions in a trader's audit chain."""
    return lambda trader_id: [row[0] for row in console.chain(trader_id)]


@pytest.fixture(scope="module")
def one_console(
    postgres_server: EmbeddedPostgres, migrated_template: str, redis_server: EmbeddedRedis
) -> Iterator[Console]:
    """A console for tests that change nothing, with a trader named Ann."""
    with copied_database(postgres_server, "one_console", migrated_template) as url:
        console = Console(settings_for(url, redis_server.url))
        console.trader()
        yield console
