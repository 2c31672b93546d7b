"""Every event, once, in order: whatever happens to the wake-ups, and whenever the client comes."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from app.wakeups import channel
from tests.live.desk import Desk
from tests.live.listeners import Floor, eventually


def test_a_lost_wakeup_delays_by_about_a_second_and_drops_nothing(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    listener = floor.listener(url, {"token": trader.key}).connect()
    for seq in range(1, 4):
        committed = time.monotonic()
        desk.commit(trader, wakes=False)
        listener.wait_for(seq, seconds=1.2)
        assert time.monotonic() - committed < 1.2
    assert listener.seqs == [1, 2, 3]


def test_a_forged_wakeup_changes_nothing(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 2)
    listener = floor.listener(url, {"token": trader.key, "last_seq": 0}).connect()
    listener.wait_for(2)
    own = channel(trader.trader_id)
    for name, text in (
        (own, '{"seq":3,"event":"order.filled","order_id":"forged"}'),
        (own, '{"seq":1,"event":"order.filled","order_id":"forged"}'),
        (own, "not JSON"),
        (own, ""),
        ("orders:", "no trader"),
        ("orders:*", "a pattern"),
        ("orders:not-a-trader", "x" * 100_000),
        (channel(uuid4()), "nobody's"),
    ):
        desk.publish(name, text)
    desk.commit(trader, wakes=False)
    listener.wait_for(3)
    assert listener.seqs == [1, 2, 3]
    assert "forged" not in str(listener.events)


def test_doubled_and_reordered_wakeups_change_nothing(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    listener = floor.listener(url, {"token": trader.key}).connect()
    order = random.Random(1)
    for _ in range(20):
        last = desk.commit(trader, 5, wakes=False)
        for seq in order.sample(range(last - 4, last + 1), 5) * 2:
            desk.publish(channel(trader.trader_id), f'{{"seq":{seq}}}')
    listener.wait_for(100)
    assert listener.seqs == list(range(1, 101))


def test_ten_thousand_events_of_backlog_are_replayed_while_new_ones_come(desk: Desk, url: str, floor: Floor) -> None:
    trader, other = desk.trader(), desk.trader()
    for _ in range(20):
        desk.commit(trader, 500, wakes=False, filler="x" * 1000)
    bystander = floor.listener(url, {"token": other.key}).connect()
    live = floor.listener(url, {"token": trader.key}).connect()
    began = time.monotonic()
    listener = floor.listener(url, {"token": trader.key, "last_seq": 0}).connect()
    slowest = 0.0
    for seq in range(1, 21):
        sent = time.monotonic()
        desk.commit(other)
        desk.commit(trader)
        bystander.wait_for(seq)
        slowest = max(slowest, time.monotonic() - sent)
    listener.wait_for(10_020, 30)
    live.wait_for(10_020, 30)
    assert listener.seqs == list(range(1, 10_021))
    assert live.seqs == list(range(10_001, 10_021))
    print(f"10,000 events in {time.monotonic() - began:.2f} s; a bystander's slowest {slowest * 1000:.0f} ms")
    assert slowest < 1


def test_many_sockets_of_one_trader_all_get_everything(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 100)
    listeners = [floor.listener(url, {"token": trader.key, "last_seq": place}).connect() for place in range(0, 100, 5)]
    for _ in range(50):
        desk.commit(trader, 2)
    for place, listener in zip(range(0, 100, 5), listeners, strict=True):
        listener.wait_for(200)
        assert listener.seqs == list(range(place + 1, 201))


def test_connections_made_during_a_commit_storm_see_no_gap_and_no_duplicate(desk: Desk, url: str, floor: Floor) -> None:
    """Several writers commit two traders' events, a third of the wake-ups is lost, and clients come at every moment:
    200 connections, half of them with `last_seq`."""
    traders = [desk.trader() for _ in range(2)]
    stop = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.wait(chance.uniform(0.0, 0.03)):
            desk.commit(chance.choice(traders), chance.randint(1, 3), wakes=chance.random() < 0.66)

    def follow(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            trader = chance.choice(traders)
            first = floor.listener(url, {"token": trader.key}).connect()
            first.wait_for(first.heads[0] + chance.randint(1, 5))
            first.leave()
            known = first.seqs[chance.randrange(len(first.seqs))]
            second = floor.listener(url, {"token": trader.key, "last_seq": known}).connect()
            second.wait_for(max(known, second.heads[0]) + chance.randint(1, 5))
            second.leave()
            for start, seqs in ((first.heads[0], first.seqs), (known, second.seqs)):
                assert seqs == list(range(start + 1, start + 1 + len(seqs)))

    with ThreadPoolExecutor(8) as people:
        writers = [people.submit(write, seed) for seed in range(4)]
        followers = [people.submit(follow, 100 + seed) for seed in range(4)]
        try:
            for each in followers:
                each.result()
        finally:
            stop.set()
        for each in writers:
            each.result()


def test_a_reconnect_with_auth_as_a_function_continues_without_a_gap(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    desk.commit(trader, 5)
    seen: list[int] = []
    listener = floor.listener(url, lambda: {"token": trader.key, "last_seq": seen[-1] if seen else 0}, reconnects=True)
    listener.client.on("order", lambda event: seen.append(event["seq"]))
    listener.connect()
    for last in (5, 10, 15):
        _reached(seen, last)
        floor.run(listener.client.eio.ws.close())  # the connection is lost, not left
        desk.commit(trader, 5)
    _reached(seen, 20)
    assert len(listener.heads) == 4
    assert seen == list(range(1, 21))


def test_a_revoked_key_loses_its_connections_within_two_seconds(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader()
    spare = desk.another_key(trader.trader_id)
    revoked = [floor.listener(url, {"token": trader.key}, reconnects=True).connect() for _ in range(3)]
    kept = floor.listener(url, {"token": spare}).connect()
    began = time.monotonic()
    desk.revoke(trader.key)
    eventually(lambda: all(each.disconnects for each in revoked), 2)
    assert time.monotonic() - began < 2
    desk.commit(trader)
    kept.wait_for(1)
    assert not kept.disconnects
    assert not any(each.events for each in revoked)
    assert floor.listener(url, {"token": trader.key}).attempt()["message"] == "API_KEY_INVALID"


def test_a_key_that_expires_loses_its_connections(desk: Desk, url: str, floor: Floor) -> None:
    trader = desk.trader(expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    listener = floor.listener(url, {"token": trader.key}).connect()
    eventually(lambda: bool(listener.disconnects), 3.5)


def _reached(seen: list[int], last: int) -> None:
    eventually(lambda: bool(seen) and seen[-1] >= last, why=f"event {last} did not come")
