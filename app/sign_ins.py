"""Signing in with an API key: failures are counted, uses are remembered, and nobody is locked out.

A key has 256 random bits, so no limit is needed against guessing. The limits are there for programs that go on and on
with a wrong key, and for what they cost. A valid key is never refused because of somebody else's failures, be it from
the same address or with the same beginning: every key is looked up before a limit speaks, and where an address has
failed too often, its look-ups wait in a short line of their own instead of taking the connections of others.

Counted per process and in its memory, so it works without Redis and database; with N web processes an address has up to
N times as many tries.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

from app.domain.changes import LostRace
from app.observability.request_metrics import FAILED_SIGN_INS
from app.storage.api_keys import KEY_PREFIX, Identity, PostgresApiKeys
from app.storage.transaction import DatabaseUnavailable

log = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
FAILURES_PER_ADDRESS = 60
FAILURES_PER_PREFIX = 20
MOST_COUNTED = 10_000
"""Of addresses, and of prefixes: beyond it the one that was first counted is forgotten."""
LOOK_UPS_AT_ONCE = 2
"""Of all addresses together that have failed too often."""
LINE_SECONDS = 2.0
USES_EVERY_SECONDS = 60.0
SHOWN_OF_KEY = 11


class TooManyFailures(Exception):
    """This sign-in failed, and so did too many before it. `retry_after` in whole seconds."""

    def __init__(self, failures: int, retry_after: int) -> None:
        super().__init__(f"{failures} failed sign-ins")
        self.failures = failures
        self.retry_after = retry_after


@dataclass(slots=True)
class _Window:
    began: float
    failures: int = 0


class _Failures:
    """Failures by name within the running window; bounded."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._windows: dict[str, _Window] = {}

    def add(self, name: str, now: float) -> _Window:
        window = self._windows.get(name)
        if window is None or now - window.began >= WINDOW_SECONDS:
            self._windows.pop(name, None)  # at the end again: the front is what began first
            while len(self._windows) >= MOST_COUNTED:
                del self._windows[next(iter(self._windows))]
            window = self._windows[name] = _Window(now)
        window.failures += 1
        return window

    def exceeds(self, name: str, now: float) -> bool:
        window = self._windows.get(name)
        return window is not None and now - window.began < WINDOW_SECONDS and window.failures >= self._most

    def limit(self) -> int:
        return self._most

    def __len__(self) -> int:
        return len(self._windows)


class SignIns:
    """Who is calling, for every way in. Safe to share between threads and greenlets."""

    def __init__(
        self,
        api_keys: PostgresApiKeys,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        in_background: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._api_keys = api_keys
        self._monotonic = monotonic
        self._in_background = in_background or _in_a_thread
        self._lock = threading.Lock()
        self._line = threading.BoundedSemaphore(LOOK_UPS_AT_ONCE)
        self._addresses = _Failures(FAILURES_PER_ADDRESS)
        self._prefixes = _Failures(FAILURES_PER_PREFIX)
        self._uses: dict[UUID, tuple[UUID, datetime]] = {}
        self._recorded_at = monotonic()
        self.failed = 0
        """Failed sign-ins since the process began."""

    def identify(self, key: str, now: datetime, *, address: str | None, fresh: bool = False) -> Identity | None:
        """Whose key it is; None for an unknown, revoked or expired one, which is counted.

        `fresh` looks past the cache. Raises TooManyFailures instead of returning None; DatabaseUnavailable.
        """
        identity = None if fresh else self._api_keys.remembered(key, now)
        if identity is None:
            place = _place(address)
            if self._addresses.exceeds(place, self._monotonic()):
                identity = self._in_line(key, now, fresh)
            else:
                identity = self._api_keys.identify(key, now, fresh=fresh)
            if identity is None:
                self.count_failure(address, key)
                return None
        self._used(identity, now)
        return identity

    def count_failure(self, address: str | None, key: str = "") -> None:
        """One more sign-in that failed. Raises TooManyFailures when that makes too many."""
        now = self._monotonic()
        place = _place(address)
        prefix = key[:SHOWN_OF_KEY] if key.startswith(KEY_PREFIX) else ""
        with self._lock:
            self.failed += 1
            FAILED_SIGN_INS.inc()
            counted = [(self._addresses.add(place, now), self._addresses.limit())]
            if prefix:
                counted.append((self._prefixes.add(prefix, now), self._prefixes.limit()))
        for window, most in counted:
            if window.failures == most + 1:  # once in each window: a flood of tries is no flood of lines
                log.warning("many failed sign-ins", extra={"client": place, "key": prefix, "failures": most})
        for window, most in counted:
            if window.failures > most:
                left = WINDOW_SECONDS - (now - window.began)
                raise TooManyFailures(window.failures, max(1, ceil(left)))

    def take_nonce(self, identity: Identity, nonce: str, expires_at: datetime) -> bool:
        """See PostgresApiKeys.take_nonce."""
        return self._api_keys.take_nonce(identity, nonce, expires_at)

    def record_uses(self) -> None:
        """Write down when keys were last used. Raises DatabaseUnavailable, and forgets them: the next use counts."""
        with self._lock:
            uses, self._uses = self._uses, {}
            self._recorded_at = self._monotonic()
        self._api_keys.record_uses(uses)

    def _in_line(self, key: str, now: datetime, fresh: bool) -> Identity | None:
        if not self._line.acquire(timeout=LINE_SECONDS):
            raise TooManyFailures(FAILURES_PER_ADDRESS, 1)
        try:
            return self._api_keys.identify(key, now, fresh=fresh)
        finally:
            self._line.release()

    def _used(self, identity: Identity, now: datetime) -> None:
        self._uses[identity.key_id] = (identity.trader_id, now)
        if self._monotonic() - self._recorded_at < USES_EVERY_SECONDS and len(self._uses) < MOST_COUNTED:
            return
        with self._lock:
            if self._monotonic() - self._recorded_at < USES_EVERY_SECONDS and len(self._uses) < MOST_COUNTED:
                return
            self._recorded_at = self._monotonic()
        self._in_background(self._record_quietly)

    def _record_quietly(self) -> None:
        try:
            self.record_uses()
        except (DatabaseUnavailable, LostRace) as error:
            log.info("when keys were last used could not be written down: %s", error)


def _place(address: str | None) -> str:
    """What is counted for an address: an IPv6 host has a whole /64 to itself, so that is one place."""
    if not address:
        return "unknown"
    with contextlib.suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        if isinstance(parsed, ipaddress.IPv6Address):
            if parsed.ipv4_mapped is not None:
                return str(parsed.ipv4_mapped)
            return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return address[:64]


def _in_a_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="key-uses", daemon=True).start()
