"""Databases of a throw-away cluster: one migrated template, and a copy of it per test in a few milliseconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import alembic.command
import alembic.config
import psycopg2

from app.settings import PROJECT_ROOT, Settings
from local.postgresql import DATABASE, OWNER, EmbeddedPostgres


def migrate(settings: Settings) -> None:
    """Bring the database of `settings` to the newest migration, inside this process."""
    config = alembic.config.Config(str(PROJECT_ROOT / "alembic.ini"))
    config.attributes["settings"] = settings
    alembic.command.upgrade(config, "head")


def url_of(postgres: EmbeddedPostgres, name: str) -> str:
    """The owner's `DATABASE_URL` for the database `name` of that cluster."""
    return f"{postgres.url.removesuffix(DATABASE)}{name}"


def create_database(postgres: EmbeddedPostgres, name: str, template: str | None = None) -> None:
    """Make an empty database, or a copy of `template`, which nobody may be connected to."""
    copied = "" if template is None else f" TEMPLATE {template} STRATEGY FILE_COPY"
    _as_superuser(postgres, f"CREATE DATABASE {name} OWNER {OWNER}{copied}")


def drop_database(postgres: EmbeddedPostgres, name: str) -> None:
    """Drop a database and end the connections that are still open to it."""
    _as_superuser(postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def copied_database(postgres: EmbeddedPostgres, name: str, template: str) -> Iterator[str]:
    """A copy of `template` for one test: yields the owner's `DATABASE_URL`, drops it afterwards."""
    create_database(postgres, name, template)
    try:
        yield url_of(postgres, name)
    finally:
        drop_database(postgres, name)


def _as_superuser(postgres: EmbeddedPostgres, statement: str) -> None:
    with contextlib.closing(psycopg2.connect(postgres.test_superuser_url)) as connection:
        connection.autocommit = True  # neither CREATE nor DROP DATABASE may run inside a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)
