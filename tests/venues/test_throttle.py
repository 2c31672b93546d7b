"""Our own limit towards a venue: what is held back was never sent, and cancels and look-ups come first."""

from __future__ import annotations

import socket
import time

import pytest

from app.domain.venue_answers import CancelTaken, NotFound, OutcomeUnknown
from app.venues.throttle import MovingWindowThrottle, Urgency
from local.redis_server import EmbeddedRedis
from tests.venues.alpaca_samples import NOT_FOUND, instruction, order_json, venue
from tests.venues.scripted_wire import ScriptedWire, http


def test_submits_leave_a_quarter_for_cancels_and_look_ups() -> None:
    throttle = MovingWindowThrottle(8, 60, name="alpaca")
    submits = [throttle.take("trading", Urgency.LAST) for _ in range(8)]
    assert submits[:6] == [None] * 6
    assert all(wait is not None and 0 < wait <= 60 for wait in submits[6:])
    look_ups = [throttle.take("trading", Urgency.FIRST) for _ in range(3)]
    assert look_ups[:2] == [None, None]
    assert look_ups[2] is not None


def test_look_ups_may_use_everything() -> None:
    throttle = MovingWindowThrottle(8, 60, name="alpaca")
    assert [throttle.take("trading", Urgency.FIRST) for _ in range(8)] == [None] * 8
    assert throttle.take("trading", Urgency.LAST) is not None


def test_each_allowance_is_its_own() -> None:
    throttle = MovingWindowThrottle(4, 60, name="alpaca")
    assert [throttle.take("data", Urgency.FIRST) for _ in range(4)] == [None] * 4
    assert throttle.take("trading", Urgency.FIRST) is None


def test_the_window_moves_on() -> None:
    throttle = MovingWindowThrottle(2, 1, name="alpaca")
    assert [throttle.take("trading", Urgency.FIRST) for _ in range(2)] == [None, None]
    deadline = time.monotonic() + 5
    while (wait := throttle.take("trading", Urgency.FIRST)) is not None and time.monotonic() < deadline:
        time.sleep(min(wait, 0.1))
    assert wait is None


@pytest.mark.parametrize(("calls", "seconds"), [(1, 60), (0, 60), (-5, 60), (10, 0)])
def test_a_limit_that_leaves_no_call_is_refused(calls: int, seconds: int) -> None:
    with pytest.raises(ValueError, match="throttle"):
        MovingWindowThrottle(calls, seconds, name="alpaca")


def test_a_call_that_is_held_back_is_not_sent_and_says_so() -> None:
    with ScriptedWire() as wire:
        adapter = venue(wire.url, throttle=MovingWindowThrottle(4, 60, name="alpaca"))
        wire.reply(*[http(200, order_json())] * 3, http(404, NOT_FOUND), http(204, b""))
        for _ in range(3):
            adapter.submit(instruction())
        answer = adapter.submit(instruction())
        assert isinstance(answer, OutcomeUnknown)
        assert (answer.code, answer.nothing_sent) == ("VENUE_THROTTLED_BY_US", True)
        assert answer.retry_after is not None
        assert len(wire.requests) == 3
        assert isinstance(adapter.find("ours-1"), NotFound)
        look_up = adapter.find("ours-1")
        assert isinstance(look_up, OutcomeUnknown)
        assert look_up.nothing_sent
        assert len(wire.requests) == 4
        adapter.close()


def test_without_a_throttle_nothing_is_held_back() -> None:
    with ScriptedWire() as wire:
        adapter = venue(wire.url)
        wire.reply(*[http(204, b"")] * 300)
        assert all(isinstance(adapter.cancel("v"), CancelTaken) for _ in range(300))
        adapter.close()


def test_processes_that_share_a_redis_share_the_limit(redis_server: EmbeddedRedis) -> None:
    one, another = (MovingWindowThrottle(8, 60, name="shared", redis_url=redis_server.url) for _ in range(2))
    taken = [each.take("trading", Urgency.LAST) for each in (one, another) * 4]
    assert taken.count(None) == 6
    assert [another.take("trading", Urgency.FIRST), one.take("trading", Urgency.FIRST)] == [None, None]
    wait = one.take("trading", Urgency.FIRST)
    assert wait is not None
    assert 0 < wait <= 60


def test_without_its_redis_a_process_keeps_the_limit_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    throttle = MovingWindowThrottle(4, 60, name="alpaca", redis_url="redis://127.0.0.1:1/0")
    assert [throttle.take("trading", Urgency.FIRST) for _ in range(4)] == [None] * 4
    assert throttle.take("trading", Urgency.FIRST) is not None
    assert len(caplog.records) == 1, "said once, not at every call"


def test_a_redis_that_accepts_and_stays_silent_costs_little() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        throttle = MovingWindowThrottle(4, 60, name="alpaca", redis_url=url)
        start = time.monotonic()
        assert [throttle.take("trading", Urgency.FIRST) for _ in range(4)] == [None] * 4
        assert throttle.take("trading", Urgency.FIRST) is not None
        assert time.monotonic() - start < 1.5, "asked once, then not again for a while"
