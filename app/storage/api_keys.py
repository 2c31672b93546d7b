"""API keys: who is calling. Only a hash of a key is stored; the key itself has 256 random bits, so a plain SHA-256 is
as good as a slow hash and costs nothing."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from app.storage.transaction import Call, Database, Statement

KEY_PREFIX = "sk_"
CACHE_SECONDS = 1.0
"""A revoked key is refused at the latest this long after; most requests then need no look-up."""
MOST_CACHED = 10_000

IDENTIFY = Statement(
    "identify_key",
    "SELECT id, trader_id, prefix, scopes, expires_at, revoked_at FROM api_keys WHERE key_hash = $1",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller that has shown a valid key."""

    key_id: UUID
    trader_id: UUID
    key_prefix: str
    scopes: frozenset[str]
    expires_at: datetime | None

    def may(self, scope: str) -> bool:
        return scope in self.scopes


class PostgresApiKeys:
    """Looks keys up; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[bytes, tuple[float, Identity]] = {}
        self._lock = threading.Lock()

    def identify(self, key: str, now: datetime, *, fresh: bool = False) -> Identity | None:
        """Whose key it is; None for an unknown, revoked or expired one. `fresh` looks past the cache.

        Raises DatabaseUnavailable.
        """
        key_hash = sha256(key.encode()).digest()
        cached = self._cache.get(key_hash)
        if cached is not None and not fresh and time.monotonic() < cached[0]:
            return _unless_expired(cached[1], now)
        # row security shows the one row whose hash is named, and no other
        rows = self._database.read(Call(IDENTIFY, [key_hash]), settings={"app.key_hash": key_hash.hex()})
        if not rows or rows[0][5] is not None:
            with self._lock:
                self._cache.pop(key_hash, None)
            return None
        key_id, trader_id, prefix, scopes, expires_at, _ = rows[0]
        identity = Identity(key_id, trader_id, prefix, frozenset(scopes), expires_at)
        with self._lock:
            if len(self._cache) >= MOST_CACHED:
                self._cache.clear()
            self._cache[key_hash] = (time.monotonic() + CACHE_SECONDS, identity)
        return _unless_expired(identity, now)


def _unless_expired(identity: Identity, now: datetime) -> Identity | None:
    return None if identity.expires_at is not None and identity.expires_at <= now else identity
