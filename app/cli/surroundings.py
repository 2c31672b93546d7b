"""What commands work with, and how they end: an answer, or one line that says what is wrong."""

from __future__ import annotations

import functools
import getpass
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, Protocol, TypeVar, cast
from uuid import UUID

import click
import psycopg2
import psycopg2.errors
from flask import current_app
from flask.cli import with_appcontext

from app.domain.changes import Actor, LostRace
from app.domain.time_ordered_ids import RANDOM_BITS, time_ordered_uuid
from app.lifecycle.compare_books import BookComparison
from app.lifecycle.ports import Ports
from app.lifecycle.traders import SHOWN_OF_KEY, Administration, KeyHasEnded
from app.settings import DatabaseLogin, Settings, SettingsError
from app.storage.traders import NameTaken, NoSuchKey, NoSuchTrader, PostgresTraders
from app.storage.transaction import Database, DatabaseUnavailable
from app.version import VERSION

EXTENSION = "surefill.commands"

P = ParamSpec("P")
R = TypeVar("R")


class Worker(Protocol):
    """What a worker process works with."""

    @property
    def ports(self) -> Ports: ...

    def book_comparison(self) -> BookComparison: ...

    def close(self) -> None: ...


StartWorker = Callable[[Settings], Worker]


@dataclass(frozen=True, slots=True)
class Surroundings:
    settings: Settings
    start_worker: StartWorker


class NotConfigured(click.ClickException):
    """A setting is missing or wrong."""

    exit_code = 2


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class TimeOrderedIds:
    """UUIDs of version 7."""

    def new(self) -> UUID:
        return time_ordered_uuid(datetime.now(UTC), secrets.randbits(RANDOM_BITS))


def surroundings() -> Surroundings:
    return cast("Surroundings", current_app.extensions[EXTENSION])


def command(run: Callable[P, R]) -> Callable[P, R]:
    """Runs with the application, and ends with one line instead of a traceback where the fault is not ours."""

    @with_appcontext
    @functools.wraps(run)
    def plainly(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return run(*arguments, **options)
        except SettingsError as error:
            raise NotConfigured(str(error)) from None
        except DatabaseUnavailable as error:
            raise _wrong(f"the database cannot be reached: {error}") from None
        except LostRace:
            raise _wrong("somebody else is changing the same thing; nothing was written: try again") from None
        except NoSuchTrader as error:
            raise _wrong(f"there is no trader {error}; `trader list` shows them") from None
        except NoSuchKey as error:
            raise _wrong(
                f"no key, or more than one, has the id or the first {SHOWN_OF_KEY} characters {error}: "
                "`key list` shows both"
            ) from None
        except KeyHasEnded as error:
            raise _wrong(f"the key {error}… has ended, so there is nothing to rotate: create a new one") from None
        except NameTaken as error:
            raise _wrong(f"there is a trader named {error} already: choose another name") from None
        except psycopg2.errors.UndefinedTable:
            raise _wrong("the database has no tables yet: run `alembic upgrade head`") from None
        except psycopg2.errors.InsufficientPrivilege as error:
            raise _wrong(f"this login may not do that: {str(error).strip().splitlines()[0]}") from None

    return plainly


def _wrong(message: str) -> click.ClickException:
    return click.ClickException(message)


@contextmanager
def database(login: DatabaseLogin) -> Iterator[Database]:
    """A connection for this command alone."""
    opened = Database(surroundings().settings.sqlalchemy_url(login), pool_size=1, application_name="surefill-command")
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def administration() -> Iterator[Administration]:
    """Traders and keys, with the owner's login."""
    with database("owner") as owner:
        yield Administration(PostgresTraders(owner), SystemClock(), TimeOrderedIds(), administrator(), VERSION)


def administrator() -> Actor:
    """Whoever runs the command, as the audit log names it; the command reached us now."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        name = "unknown"
    return Actor(f"administrator:{name}", "command line", datetime.now(UTC))
