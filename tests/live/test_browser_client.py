"""The JavaScript client, socket.io-client 4, as the page and other people's programs use it, run by node."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.desk import Desk
from tests.live.listeners import eventually

SOURCES = Path(__file__).parent / "js"


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program and socket.io-client, installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on PATH: install Node.js 18 or newer to run the JavaScript client's tests")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True, text=True
    )
    if installed.returncode != 0:
        pytest.skip(f"socket.io-client cannot be installed: {installed.stderr.strip().splitlines()[-1:]}")
    return folder


class Follower:
    """A running follower.mjs and what it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def all(self, what: str) -> list[Any]:
        return [each["data"] for each in list(self.said) if each["what"] == what]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.all("order")]

    def wait_for(self, what: str, count: int = 1) -> Any:
        eventually(lambda: len(self.all(what)) >= count, 15, f"no {what}: {self.said[-5:]}")
        return self.all(what)[count - 1]

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.communicate(timeout=10)
        self._reader.join(10)


@contextmanager
def follower(folder: Path, *arguments: object) -> Iterator[Follower]:
    with subprocess.Popen(
        ["node", "follower.mjs", *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        following = Follower(process)
        try:
            yield following
        finally:
            process.kill()
            following._reader.join(10)


def test_it_follows_reconnects_and_misses_nothing(desk: Desk, url: str, node_folder: Path) -> None:
    trader = desk.trader()
    desk.commit(trader, 3)
    with follower(node_folder, url, trader.key) as following:
        assert following.wait_for("ready") == {"head_seq": 3}
        for round_ in range(1, 5):
            desk.commit(trader, 2, note="Zürich \u2028 🂡")
            following.wait_for("order", 4 * round_ - 2)
            following.tell("drop")
            desk.commit(trader, 2, wakes=False)
            following.wait_for("ready", round_ + 1)
            following.wait_for("order", 4 * round_)
        assert following.seqs == list(range(4, 20))
        assert following.all("order")[0]["note"] == "Zürich \u2028 🂡"
        assert all(each["comes_back"] for each in following.all("disconnect"))


def test_it_replays_ten_thousand_events(desk: Desk, url: str, node_folder: Path) -> None:
    trader = desk.trader()
    for _ in range(20):
        desk.commit(trader, 500, wakes=False)
    with follower(node_folder, url, trader.key, 0) as following:
        following.wait_for("order", 10_000)
        assert following.seqs == list(range(1, 10_001))


def test_what_it_sends_changes_nothing(desk: Desk, url: str, node_folder: Path) -> None:
    trader = desk.trader()
    with follower(node_folder, url, trader.key) as following:
        following.wait_for("ready")
        following.tell("shout")
        desk.commit(trader)
        following.wait_for("order")
        assert [each["what"] for each in following.said] == ["ready", "order"]


@pytest.mark.parametrize(
    ("key", "last_seq", "code"), [("sk_wrong", 0, "API_KEY_INVALID"), ("", 0, "API_KEY_MISSING"), (None, 7, "SEQ_AHEAD")]
)
def test_a_refusal_has_a_code_and_is_not_tried_again(
    desk: Desk, url: str, node_folder: Path, key: str | None, last_seq: int, code: str
) -> None:
    with follower(node_folder, url, desk.trader().key if key is None else key, last_seq) as following:
        refusal = following.wait_for("connect_error")
        assert refusal["message"] == refusal["data"]["code"] == code
        assert not refusal["comes_back"]


def test_a_revoked_key_is_told_and_does_not_come_back(desk: Desk, url: str, node_folder: Path) -> None:
    trader = desk.trader()
    with follower(node_folder, url, trader.key) as following:
        following.wait_for("ready")
        desk.revoke(trader.key)
        assert following.wait_for("disconnect") == {"reason": "io server disconnect", "comes_back": False}
