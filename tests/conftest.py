"""Real PostgreSQL and real Redis for every test that asks: throw-away servers per session, a fresh database per test.

Both start in about a second and a half, on first use. Their data is not durable (fsync off); the answers are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import redis

from app.settings import Settings
from local.databases import copied_database, create_database, migrate, url_of
from local.postgresql import EmbeddedPostgres
from local.redis_server import EmbeddedRedis
from local.services import LocalServices

_TEMPLATE = "migrated_template"
# Nobody listens there: a test that reaches for the venue brings its own address.
_NO_VENUE = "http://127.0.0.1:9"
_NO_FOLDER = "/nonexistent/audit"

# Each of these folders' files share a whole system that takes long to start, so they go to one worker together.
_TOGETHER = ("tests/browser/",)

_numbers = itertools.count(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A file's tests stay together, and so do some folders' files."""
    from xdist.scheduler import LoadFileScheduling  # here, because a run in one process has no such plugin

    class TogetherScheduling(LoadFileScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            folder = next((each for each in _TOGETHER if nodeid.startswith(each)), None)
            return folder or super()._split_scope(nodeid)

    return TogetherScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL cluster of this test session, with its owner and no tables."""
    with LocalServices(tmp_path_factory.mktemp("postgres"), redis=False) as services:
        yield services.postgres


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis server of this test session."""
    with LocalServices(tmp_path_factory.mktemp("redis"), postgres=False) as services:
        yield services.redis


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that tests copy and nobody connects to."""
    create_database(postgres_server, _TEMPLATE)
    migrate(settings_for(url_of(postgres_server, _TEMPLATE), "redis://127.0.0.1:9/0"))
    return _TEMPLATE


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The owner's `DATABASE_URL` of a migrated database for this test alone."""
    with copied_database(postgres_server, f"test_{next(_numbers)}", migrated_template) as url:
        yield url


@pytest.fixture
def settings(database: str, redis_server: EmbeddedRedis) -> Settings:
    """Settings for that database, with all its logins, and an emptied Redis. There is no venue."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return settings_for(database, redis_server.url)


def settings_for(database_url: str, redis_url: str) -> Settings:
    """Settings with the given services and otherwise defaults; the surrounding environment does not count."""
    return Settings.from_environment(
        {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SIMULATOR_URL": _NO_VENUE, "AUDIT_FOLDER": _NO_FOLDER}
    )
