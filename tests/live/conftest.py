"""A web process, traders and clients for the tests of the live feed."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program and socket.io-client, installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on PATH: install Node.js 18 or newer to run the JavaScript client's tests")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(
        Path(__file__).parent / "js", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")
    )
    installed = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"socket.io-client cannot be installed: {installed.stderr.strip().splitlines()[-1:]}")
    return folder
