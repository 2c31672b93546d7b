"""A web process, traders and clients for the tests of the live feed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from app.settings import Settings
from local.databases import copied_database
from local.postgresql import EmbeddedPostgres
from local.redis_server import EmbeddedRedis
from tests.conftest import settings_for
from tests.live.desk import Desk
from tests.live.listeners import Floor
from tests.live.serving import Web, web

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def served(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    redis_server: EmbeddedRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Settings, Web]]:
    """A web process of two workers that the tests share; each test brings traders of its own."""
    with copied_database(postgres_server, f"live_{next(_numbers)}", migrated_template) as url:
        settings = settings_for(url, redis_server.url)
        with web(settings, tmp_path_factory.mktemp("web")) as serving:
            yield settings, serving


@pytest.fixture
def desk(served: tuple[Settings, Web]) -> Iterator[Desk]:
    """Writes events into the shared database."""
    desk = Desk(served[0])
    yield desk
    desk.close()


@pytest.fixture
def url(served: tuple[Settings, Web]) -> str:
    """Where the shared web process listens."""
    return served[1].url


@pytest.fixture
def floor() -> Iterator[Floor]:
    """Where the test's clients live."""
    floor = Floor()
    yield floor
    floor.close()
