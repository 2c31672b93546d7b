"""A migrated database on the newest and on the oldest PostgreSQL that Surefill runs on, with two traders in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2.extras
import pytest

from tests.storage.clusters import Cluster, Database, newest_cluster, oldest_cluster
from tests.storage.sessions import Session, fill_for_two_traders

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # untyped in its stubs


@pytest.fixture(scope="session", params=["newest", "oldest"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    start = newest_cluster if request.param == "newest" else oldest_cluster
    with start(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> Iterator[Database]:
    """Migrated and empty: the template of the others, so nobody connects to it."""
    with cluster.database() as database:
        database.upgrade()
        yield database


@pytest.fixture(scope="session")
def with_two_traders(cluster: Cluster, migrated: Database) -> Iterator[Database]:
    """The same with a row of Ann's and one of Ben's in every table; a template too."""
    with cluster.database(migrated) as database:
        fill_for_two_traders(database)
        yield database


@pytest.fixture(scope="module")
def schema(cluster: Cluster, with_two_traders: Database) -> Iterator[Database]:
    """The module's copy, in which nothing is ever committed."""
    with cluster.database(with_two_traders) as database:
        yield database


@pytest.fixture
def own_database(cluster: Cluster, with_two_traders: Database) -> Iterator[Database]:
    """A database of this test's own with the same two traders, for what has to be committed."""
    with cluster.database(with_two_traders) as database:
        yield database


@pytest.fixture(scope="module")
def idle(schema: Database) -> Iterator[dict[str, list[Any]]]:
    """The module's connections by role: to prove who you are takes longer than most tests do."""
    connections: dict[str, list[Any]] = defaultdict(list)
    yield connections
    for of_one_role in connections.values():
        for connection in of_one_role:
            connection.close()


@pytest.fixture
def session(schema: Database, idle: dict[str, list[Any]]) -> Iterator[Callable[..., Session]]:
    """`session(role, **settings)`: a transaction of that role with `app.…` settings; it is never committed."""
    opened: list[tuple[str, Any]] = []

    def begin(role: str, **settings: object) -> Session:
        connection = idle[role].pop() if idle[role] else schema.connect(role)
        opened.append((role, connection))
        cursor = connection.cursor()
        for name, value in settings.items():
            cursor.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", str(value)))
        return Session(cursor)

    yield begin
    for role, connection in opened:
        connection.rollback()
        connection.autocommit = False
        idle[role].append(connection)
