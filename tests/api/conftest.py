"""One application and database for each module; new traders and a fresh market for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from local.databases import copied_database
from local.postgresql import EmbeddedPostgres
from local.redis_server import EmbeddedRedis
from tests.api.house import Client, House, running
from tests.conftest import settings_for


@pytest.fixture(scope="module")
def house_of_module(
    request: pytest.FixtureRequest,
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    name = request.module.__name__.replace(".", "_")
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    with copied_database(postgres_server, name, migrated_template) as url:
        with running(settings_for(url, redis_server.url)) as house:
            yield house


@pytest.fixture
def house(house_of_module: House) -> House:
    """The application, with two symbols that can be traded and one that is halted."""
    house_of_module.open_market()
    return house_of_module


@pytest.fixture
def ann(house: House) -> Client:
    return house.trader("Ann")


@pytest.fixture
def ben(house: House) -> Client:
    return house.trader("Ben")
