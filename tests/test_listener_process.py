"""The listener's process compares with the venue's lists after each connect of the stream, and on a timer besides."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.venue_answers import StreamLost
from app.storage.transaction import DatabaseUnavailable
from workers import listener


class Stopping:
    """Asked to stop as soon as `done` holds."""

    def __init__(self, done: Any) -> None:
        self.asked = done

    def wait(self, _seconds: float) -> None: ...


def without_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(log_level="INFO", exchange_timeout_seconds=5.0)
    process = SimpleNamespace(ports=None, credentials=None, redis=None, close=lambda: None)
    heart = SimpleNamespace(beat=lambda: None, leave=lambda: None)
    monkeypatch.setattr(listener, "load_settings_or_exit", lambda: settings)
    monkeypatch.setattr(listener, "configure_logging", lambda *_: None)
    monkeypatch.setattr(listener, "worker_process", lambda _settings: process)
    monkeypatch.setattr(listener, "trade_stream", lambda *_: None)
    monkeypatch.setattr(listener, "Heart", lambda *_: heart)


def test_each_connect_of_the_stream_is_followed_by_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []

    def breaks() -> None:
        raise StreamLost("the stream broke")

    stream = SimpleNamespace(connect=lambda: did.append("connected"), run_once=breaks, close=lambda: None)
    rounds = SimpleNamespace(start=lambda: None, now=lambda: did.append("compares"), join=lambda _seconds: None)
    without_surroundings(monkeypatch)
    monkeypatch.setattr(listener, "Stop", lambda: Stopping(lambda: len(did) >= 4))
    monkeypatch.setattr(listener, "Listener", lambda *_: stream)
    monkeypatch.setattr(listener, "Comparing", lambda *_: rounds)
    listener.main()
    assert did == ["connected", "compares"] * 2


def test_a_silent_stream_is_compared_with_on_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    began, after_gaps = time.monotonic(), list[bool]()

    def run_once(*, after_gap: bool) -> Any:
        after_gaps.append(after_gap)
        return SimpleNamespace(news=0, orphans=0, asked_about=0)

    comparing = SimpleNamespace(run_once=run_once, in_doubt=lambda: False)
    without_surroundings(monkeypatch)
    monkeypatch.setattr(listener, "comparison", lambda _process: comparing)
    monkeypatch.setattr(listener, "EVERY", timedelta(milliseconds=20))
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.001)
    stop: Any = Stopping(lambda: len(after_gaps) >= 3 or time.monotonic() > began + 10)
    listener.Comparing(SimpleNamespace(), stop)._run()  # type: ignore[arg-type] # the settings are not looked at
    assert after_gaps == [False] * 3


def test_a_listener_that_cannot_begin_to_compare_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the main thread, so that the process ends and is started again, and does not go on without comparing."""

    def away(_settings: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(listener, "worker_process", away)
    with pytest.raises(DatabaseUnavailable):
        listener.Comparing(SimpleNamespace(), Stopping(lambda: True))  # type: ignore[arg-type] # as above
