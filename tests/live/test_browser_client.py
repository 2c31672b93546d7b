"""The JavaScript client, socket.io-client 4, as the page and other people's programs use it, run by node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.browser_client import follower
from tests.live.desk import Desk


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
    ("key", "last_seq", "code"),
    [("sk_wrong", 0, "API_KEY_INVALID"), ("", 0, "API_KEY_MISSING"), (None, 7, "SEQ_AHEAD")],
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
