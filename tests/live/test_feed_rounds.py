"""The feed's loop, round by round, over a database and sockets that the test owns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from app.live.connections import Connection, Connections
from app.live.event_source import Place
from app.live.feed import EVENTS_PER_ROUND, LOOK_SECONDS_WITHOUT_WAKEUPS, PAGE_EVENTS, Feed
from app.live.frames import Framed, text_frame
from app.storage.transaction import DatabaseUnavailable

ANN, BEN = UUID(int=1), UUID(int=2)


@dataclass
class OwnedEvents:
    """An EventSource in memory that can be away, or damaged."""

    head_of: dict[UUID, int] = field(default_factory=dict)
    missing: set[tuple[UUID, int]] = field(default_factory=set)
    away: bool = False
    queries: list[list[Place]] = field(default_factory=list)

    def head(self, trader_id: UUID) -> int:
        return self.heads([trader_id])[trader_id]

    def heads(self, traders: Sequence[UUID]) -> Mapping[UUID, int]:
        self._answer()
        return {trader_id: self.head_of.get(trader_id, 0) for trader_id in traders}

    def pages(self, places: Sequence[Place], limit: int) -> Sequence[Sequence[tuple[int, bytes]]]:
        self._answer()
        self.queries.append(list(places))
        return [list(islice(self._events(*place), limit)) for place in places]

    def _events(self, trader_id: UUID, after: int) -> Iterator[tuple[int, bytes]]:
        for seq in range(after + 1, self.head_of.get(trader_id, 0) + 1):
            if (trader_id, seq) not in self.missing:
                yield seq, b'{"seq":%d}' % seq

    def invalid_keys(self, hashes: Iterable[bytes], now: datetime) -> set[bytes]:
        return set()

    def _answer(self) -> None:
        if self.away:
            raise DatabaseUnavailable("away")


@dataclass
class OwnedSockets:
    """Sockets that take what they are given, or do not."""

    told: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    got: dict[str, list[object]] = field(default_factory=dict)
    cuts: list[str] = field(default_factory=list)
    feed: Feed | None = None

    def is_connected(self, connection: Connection) -> bool:
        return connection.sid in self.told

    def has_room(self, connection: Connection) -> bool:
        return connection.sid not in self.full

    def send(self, connection: Connection, frames: Framed) -> None:
        self.got.setdefault(connection.sid, []).extend(_said(frames.encode()))

    def cut(self, connection: Connection, reason: str) -> None:
        self.cuts.append(connection.sid)
        assert self.feed is not None
        self.feed.leave(connection.sid)


def _said(frames: bytes) -> list[object]:
    """`head_seq` of ready as ("ready", n), seq of events as n."""
    said: list[object] = []
    while frames:
        size, start = frames[1], 2
        if size == 126:
            size, start = int.from_bytes(frames[2:4], "big"), 4
        name, data = json.loads(frames[start : start + size].removeprefix(b"42"))
        said.append(("ready", data["head_seq"]) if name == "ready" else data["seq"])
        frames = frames[start + size :]
    return said


class House:
    def __init__(self) -> None:
        self.events = OwnedEvents()
        self.sockets = OwnedSockets()
        self.feed = Feed(Connections(), self.events, self.sockets)
        self.sockets.feed = self.feed
        self.now = 100.0

    def join(self, trader_id: UUID, after: int | None = None, *, told: bool = True) -> str:
        head = self.events.head_of.get(trader_id, 0)
        sid = str(uuid4())
        if told:
            self.sockets.told.add(sid)
        cursor = head if after is None else after
        self.feed.join(Connection(sid, trader_id, "sk_", b"", head, cursor, self.now, None))
        return sid

    def commit(self, trader_id: UUID, count: int = 1) -> None:
        self.events.head_of[trader_id] = self.events.head_of.get(trader_id, 0) + count

    def round(self, later: float = 0.01) -> None:
        self.now += later
        self.feed.run_once(self.now)

    def look(self) -> None:
        self.round(LOOK_SECONDS_WITHOUT_WAKEUPS)

    def got(self, sid: str) -> list[object]:
        return self.sockets.got.get(sid, [])


def test_nothing_goes_out_before_the_client_knows_that_it_is_connected() -> None:
    house = House()
    house.commit(ANN, 2)
    sid = house.join(ANN, 0, told=False)
    house.feed.wake(ANN)
    house.look()
    assert house.got(sid) == []
    house.sockets.told.add(sid)
    house.round()
    assert house.got(sid) == [("ready", 2), 1, 2]


def test_events_between_the_handshake_and_ready_are_not_lost() -> None:
    house = House()
    sid = house.join(ANN)
    house.commit(ANN, 3)
    house.round()
    assert house.got(sid) == [("ready", 0), 1, 2, 3]


def test_one_query_serves_all_traders_and_all_their_sockets() -> None:
    house = House()
    sids = [house.join(trader_id) for trader_id in (ANN, BEN) for _ in range(20)]
    house.look()
    house.commit(ANN)
    house.commit(BEN)
    house.events.queries.clear()
    house.feed.wake(ANN)
    house.feed.wake(BEN)
    house.round()
    assert house.events.queries == [[Place(ANN, 0), Place(BEN, 0)]]
    assert all(house.got(sid)[1:] == [1] for sid in sids)


def test_a_wakeup_of_a_trader_nobody_listens_to_reads_nothing() -> None:
    house = House()
    house.join(ANN)
    house.look()
    house.events.queries.clear()
    house.feed.wake(BEN)
    house.round()
    assert house.events.queries == []


def test_who_is_far_behind_does_not_delay_what_is_new() -> None:
    house = House()
    house.commit(ANN, 100 * PAGE_EVENTS)
    behind = [house.join(ANN, number * PAGE_EVENTS) for number in range(20)]
    live = house.join(BEN)
    house.look()
    for seq in range(1, 6):
        house.commit(BEN)
        house.feed.wake(BEN)
        house.round()
        assert house.got(live)[-1] == seq
        assert len(house.events.queries[-1]) <= EVENTS_PER_ROUND // PAGE_EVENTS + 1
    for _ in range(600):
        house.round()
    for number, sid in enumerate(behind):
        assert house.got(sid)[1:] == list(range(number * PAGE_EVENTS + 1, 100 * PAGE_EVENTS + 1))


def test_a_socket_without_room_waits_and_misses_nothing() -> None:
    house = House()
    slow, quick = house.join(ANN), house.join(ANN)
    house.look()
    house.sockets.full.add(slow)
    for seq in range(1, 1001):
        house.commit(ANN)
        if seq % 10 == 0:
            house.feed.wake(ANN)
            house.round()
    assert house.got(quick)[1:] == list(range(1, 1001))
    assert house.got(slow)[1:] == []
    house.sockets.full.clear()
    for _ in range(10):
        house.round()
    assert house.got(slow)[1:] == list(range(1, 1001))


def test_while_the_database_is_away_connections_are_kept_and_nothing_is_forgotten() -> None:
    house = House()
    sid = house.join(ANN)
    house.look()
    house.commit(ANN, 2)
    house.feed.wake(ANN)
    house.events.away = True
    for _ in range(5):
        house.round()
    late = house.join(ANN, 1)
    house.round()
    house.events.away = False
    house.round()
    house.round()
    assert house.got(sid)[1:] == [1, 2]
    assert house.got(late) == [("ready", 2), 2]
    assert house.sockets.cuts == []


def test_an_outage_during_a_look_at_all_heads_costs_no_further_delay() -> None:
    house = House()
    woken, unwoken = house.join(ANN), house.join(BEN)
    house.look()
    house.commit(ANN)
    house.commit(BEN)
    house.events.away = True
    house.feed.wake(ANN)
    house.look()
    house.events.away = False
    house.round()
    assert house.got(woken)[1:] == house.got(unwoken)[1:] == [1]


def test_a_gap_in_the_database_is_never_skipped() -> None:
    house = House()
    hurt, sound, other = house.join(ANN), house.join(ANN), house.join(BEN)
    house.look()
    house.commit(ANN, 5)
    house.commit(BEN, 1)
    house.events.missing = {(ANN, 3)}
    house.look()
    house.look()
    assert set(house.sockets.cuts) == {hurt, sound}
    assert house.got(hurt)[1:] == []
    assert house.got(other)[1:] == [1]


def test_a_missing_next_event_is_never_skipped() -> None:
    house = House()
    sid = house.join(ANN)
    house.look()
    house.commit(ANN, 5)
    house.events.missing = {(ANN, 1)}
    house.look()
    assert house.sockets.cuts == [sid]
    assert house.got(sid)[1:] == []


def test_a_database_that_was_set_back_sends_its_clients_away() -> None:
    house = House()
    house.commit(ANN, 5)
    sid = house.join(ANN)
    house.look()
    house.events.head_of[ANN] = 3
    house.look()
    assert house.sockets.cuts == [sid]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 3 * PAGE_EVENTS)),
        st.tuples(st.just("join"), st.floats(0, 1)),
        st.tuples(
            st.sampled_from(["wake", "round", "look", "away", "back", "fill", "drain", "leave"]), st.integers(0, 5)
        ),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_whatever_happens_in_whatever_order_every_socket_gets_each_event_once(
    steps: list[tuple[str, float]],
) -> None:
    house = House()
    began: dict[str, int] = {}
    for step, number in steps:
        if step == "commit":
            house.commit(ANN, int(number))
        elif step == "join" and not house.events.away:
            after = int(number * house.events.head_of.get(ANN, 0))
            began[house.join(ANN, after)] = after
        elif step == "wake":
            house.feed.wake(ANN)
        elif step == "round":
            house.round()
        elif step == "look":
            house.look()
        elif step in ("away", "back"):
            house.events.away = step == "away"
        elif began and step in ("fill", "drain", "leave"):
            sid = list(began)[int(number) % len(began)]
            if step == "fill":
                house.sockets.full.add(sid)
            elif step == "drain":
                house.sockets.full.discard(sid)
            else:
                house.feed.leave(sid)
    house.events.away = False
    house.sockets.full.clear()
    for _ in range(sum(step == "commit" for step, _ in steps) * 3 + len(began) + 3):
        house.look()
    head = house.events.head_of.get(ANN, 0)
    staying = {connection.sid for connection in house.feed.connections.all()}
    for sid, after in began.items():
        seqs = house.got(sid)[1:]
        assert seqs == list(range(after + 1, after + 1 + len(seqs)))
        if sid in staying:
            assert after + len(seqs) == head
    assert house.sockets.cuts == []


@given(st.integers(0, 70_000))
def test_a_frame_says_its_length_as_the_protocol_wants_it(size: int) -> None:
    frame = text_frame(b"x" * size)
    assert frame[0] == 0x81
    if size < 126:
        assert frame[1] == size
    elif size < 1 << 16:
        assert (frame[1], int.from_bytes(frame[2:4], "big")) == (126, size)
    else:
        assert (frame[1], int.from_bytes(frame[2:10], "big")) == (127, size)
    assert frame.endswith(b"x" * size)
    assert len(frame) == size + (2 if size < 126 else 4 if size < 1 << 16 else 10)
