"""Failed sign-ins: counted, bounded, and never at the cost of whoever has a valid key."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast
from uuid import UUID, uuid4

import pytest
from prometheus_client import generate_latest

from app import sign_ins as module
from app.observability.request_metrics import collected
from app.sign_ins import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_PREFIX,
    MOST_COUNTED,
    USES_EVERY_SECONDS,
    WINDOW_SECONDS,
    SignIns,
    TooManyFailures,
)
from app.storage.api_keys import Identity, PostgresApiKeys
from app.storage.transaction import DatabaseUnavailable

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
VALID = "sk_valid000rest"
IDENTITY = Identity(uuid4(), uuid4(), VALID[:11], frozenset({"read"}), None)


class Keys:
    """One valid key; counts look-ups."""

    def __init__(self) -> None:
        self.lookups = 0
        self.at_once = self.most_at_once = 0
        self.recorded: list[dict[UUID, tuple[UUID, datetime]]] = []
        self.away = False
        self.hold: threading.Event | None = None

    def remembered(self, key: str, now: datetime) -> Identity | None:
        return None

    def identify(self, key: str, now: datetime, *, fresh: bool = False) -> Identity | None:
        self.lookups += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.hold is not None:
            self.hold.wait(5)
        self.at_once -= 1
        return IDENTITY if key == VALID else None

    def record_uses(self, uses: Mapping[UUID, tuple[UUID, datetime]]) -> None:
        if self.away:
            raise DatabaseUnavailable("away")
        self.recorded.append(dict(uses))


class Sign:
    """Sign-ins on a clock that stands still."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.clock = 1000.0
        self.background: list[Callable[[], None]] = []
        self.ins = SignIns(
            cast("PostgresApiKeys", self.keys),
            monotonic=lambda: self.clock,
            in_background=self.background.append,
        )

    def fail(self, key: str, address: str | None = "192.0.2.1", times: int = 1) -> None:
        for _ in range(times):
            assert self.ins.identify(key, NOW, address=address) is None

    def is_limited(self, key: str, address: str | None = "192.0.2.1") -> int:
        with pytest.raises(TooManyFailures) as told:
            self.ins.identify(key, NOW, address=address)
        return told.value.retry_after

    def succeeds(self, address: str | None = "192.0.2.1") -> None:
        assert self.ins.identify(VALID, NOW, address=address) is IDENTITY


@pytest.fixture
def sign() -> Sign:
    return Sign()


def _counted(metrics: bytes) -> float:
    """What /metrics says of failed sign-ins."""
    (line,) = re.findall(rb"^surefill_failed_sign_ins_total (.+)$", metrics, re.MULTILINE)
    return float(line)


def test_an_address_that_fails_too_often_is_told_when_to_come_back(sign: Sign) -> None:
    before = generate_latest(collected())
    sign.fail("x", times=FAILURES_PER_ADDRESS)
    sign.clock += 20
    assert sign.is_limited("x") == WINDOW_SECONDS - 20
    sign.fail("x", "192.0.2.2")
    sign.clock += WINDOW_SECONDS - 20
    sign.fail("x")
    assert sign.ins.failed == FAILURES_PER_ADDRESS + 3
    assert _counted(generate_latest(collected())) - _counted(before) == FAILURES_PER_ADDRESS + 3


def test_keys_that_begin_alike_are_counted_together_from_everywhere(sign: Sign) -> None:
    for number in range(FAILURES_PER_PREFIX):
        sign.fail(f"sk_abcdefgh{number}", f"192.0.2.{number}")
    sign.is_limited("sk_abcdefgh-one-more", "198.51.100.1")
    sign.fail("sk_another-beginning", "198.51.100.1")


def test_the_rightful_owner_is_never_locked_out(sign: Sign) -> None:
    """Not by failures from the same address, not by tries with the same beginning, not by both."""
    for number in range(3 * FAILURES_PER_ADDRESS):
        with contextlib.suppress(TooManyFailures):
            sign.ins.identify(f"{VALID[:11]}guess{number}", NOW, address="192.0.2.1")
    sign.is_limited(f"{VALID[:11]}guess")
    sign.succeeds("192.0.2.1")
    sign.succeeds("198.51.100.7")


def test_a_flood_of_wrong_keys_takes_few_connections(sign: Sign) -> None:
    sign.fail("x", times=FAILURES_PER_ADDRESS)
    sign.keys.hold = threading.Event()

    def wrong() -> None:
        with pytest.raises(TooManyFailures):
            sign.ins.identify("x", NOW, address="192.0.2.1")

    threads = [threading.Thread(target=wrong) for _ in range(10)]
    for thread in threads:
        thread.start()
    # somebody else's look-up does not stand in that line
    while sign.keys.at_once < module.LOOK_UPS_AT_ONCE:
        pass
    other = threading.Thread(target=lambda: sign.succeeds("198.51.100.7"))
    other.start()
    sign.keys.hold.set()
    for thread in [*threads, other]:
        thread.join()
    assert sign.keys.most_at_once <= module.LOOK_UPS_AT_ONCE + 1


def test_memory_is_bounded_whatever_is_tried(sign: Sign) -> None:
    for number in range(MOST_COUNTED + 500):
        sign.fail(f"sk_{number:08}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(sign.ins._addresses) == len(sign.ins._prefixes) == MOST_COUNTED


@pytest.mark.parametrize(
    ("addresses", "together"),
    [
        (["2001:db8::1", "2001:db8::ffff:1", "2001:DB8:0:0:1::"], True),
        (["2001:db8::1", "2001:db8:0:1::1"], False),
        (["::ffff:192.0.2.1", "192.0.2.1"], True),
        ([None, ""], True),
        (["x" * 100, "x" * 200], True),
    ],
)
def test_an_ipv6_host_is_one_place_whatever_it_calls_itself(
    sign: Sign, addresses: list[str | None], together: bool
) -> None:
    assert (len({module._place(address) for address in addresses}) == 1) is together


def test_a_flood_of_failures_is_one_line_a_minute(sign: Sign, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(FAILURES_PER_ADDRESS * 3):
            with contextlib.suppress(TooManyFailures):
                sign.ins.identify("sk_secret-that-is-mistyped", NOW, address="192.0.2.1")
    assert len(caplog.records) == 2  # one for the beginning, one for the address
    assert "mistyped" not in str([record.__dict__ for record in caplog.records])


def test_uses_are_written_once_a_minute_and_not_by_the_request(sign: Sign) -> None:
    for _ in range(50):
        sign.succeeds()
    assert sign.background == []
    sign.clock += USES_EVERY_SECONDS
    for _ in range(50):
        sign.succeeds()
    assert sign.keys.recorded == []
    assert len(sign.background) == 1
    sign.background.pop()()
    assert sign.keys.recorded == [{IDENTITY.key_id: (IDENTITY.trader_id, NOW)}]


def test_without_a_database_uses_wait_and_nobody_is_disturbed(sign: Sign) -> None:
    sign.keys.away = True
    sign.clock += USES_EVERY_SECONDS
    sign.succeeds()
    sign.background.pop()()
    sign.keys.away = False
    sign.clock += USES_EVERY_SECONDS
    sign.succeeds()
    sign.background.pop()()
    assert len(sign.keys.recorded) == 1
