"""API keys: who is calling. Only a hash of a key is stored; the key itself has 256 random bits, so a plain SHA-256 is
as good as a slow hash and costs nothing."""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from app.storage.transaction import Call, Database, Statement

KEY_PREFIX = "sk_"
_WHOLE_KEY = re.compile(rf"{KEY_PREFIX}[A-Za-z0-9_-]{{43}}")
CACHE_SECONDS = 1.0
"""A revoked key is refused at the latest this long after; most requests then need no look-up."""
MOST_CACHED = 10_000

IDENTIFY = Statement(
    "identify_key",
    """SELECT id, trader_id, prefix, scopes, expires_at, revoked_at, signing_key, key_hash FROM api_keys
    WHERE key_hash = $1""",
)
# In the order of the ids, so that two processes that write the same keys never wait for each other in a circle.
RECORD_USES = Statement(
    "record_key_uses",
    """INSERT INTO api_key_uses (key_id, trader_id, last_used_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS used (key_id, trader_id, at) ORDER BY key_id
    ON CONFLICT (key_id) DO UPDATE SET last_used_at = greatest(api_key_uses.last_used_at, excluded.last_used_at)""",
)
# What has expired goes on the way: a key keeps as many nonces as it has signed requests in that time.
TAKE_NONCE = Statement(
    "take_nonce",
    """WITH expired AS (DELETE FROM request_nonces WHERE key_id = $1 AND expires_at < now())
    INSERT INTO request_nonces (key_id, trader_id, nonce, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (key_id, nonce) DO NOTHING RETURNING true""",
)


def has_api_key(text: str) -> bool:
    """Whether a whole API key stands in it, valid or not."""
    return _WHOLE_KEY.search(text) is not None


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller that has shown a valid key."""

    key_id: UUID
    trader_id: UUID
    key_prefix: str
    scopes: frozenset[str]
    expires_at: datetime | None
    signing_key: bytes | None = field(default=None, repr=False)
    """The public half of an Ed25519 pair, 32 bytes. With one, every request has to be signed."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes


class PostgresApiKeys:
    """Looks keys up; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[bytes, tuple[float, Identity]] = {}
        self._lock = threading.Lock()

    def remembered(self, key: str, now: datetime) -> Identity | None:
        """Whose key it is, if that was looked up within the last second; None says nothing."""
        cached = self._cache.get(_hash(key))
        if cached is None or time.monotonic() >= cached[0]:
            return None
        return _unless_expired(cached[1], now)

    def identify(self, key: str, now: datetime, *, fresh: bool = False) -> Identity | None:
        """Whose key it is; None for an unknown, revoked or expired one. `fresh` looks past the cache.

        Raises DatabaseUnavailable.
        """
        key_hash = _hash(key)
        cached = self._cache.get(key_hash)
        if cached is not None and not fresh and time.monotonic() < cached[0]:
            return _unless_expired(cached[1], now)
        # row security shows the one row whose hash is named, and no other
        rows = self._database.read(Call(IDENTIFY, [key_hash]), settings={"app.key_hash": key_hash.hex()})
        # The index has compared hashes, whose bytes nobody chooses; that this takes the same time for all is for good
        # measure.
        if not rows or rows[0][5] is not None or not hmac.compare_digest(bytes(rows[0][7]), key_hash):
            with self._lock:
                self._cache.pop(key_hash, None)
            return None
        key_id, trader_id, prefix, scopes, expires_at, _, signing_key, _ = rows[0]
        identity = Identity(
            key_id,
            trader_id,
            prefix,
            frozenset(scopes),
            expires_at,
            None if signing_key is None else bytes(signing_key),
        )
        with self._lock:
            if len(self._cache) >= MOST_CACHED:
                self._cache.clear()
            self._cache[key_hash] = (time.monotonic() + CACHE_SECONDS, identity)
        return _unless_expired(identity, now)

    def record_uses(self, uses: Mapping[UUID, tuple[UUID, datetime]]) -> None:
        """Key id to (trader id, time of its last use); an earlier time than the stored one changes nothing.

        Raises DatabaseUnavailable.
        """
        if not uses:
            return
        used = list(uses.items())  # at once: it may still be added to
        traders = sorted({trader_id for _, (trader_id, _) in used})
        values: list[object] = [
            [key_id for key_id, _ in used],
            [trader_id for _, (trader_id, _) in used],
            [at for _, (_, at) in used],
        ]
        self._database.read(
            Call(RECORD_USES, values), settings={"app.key_owners": f"{{{','.join(map(str, traders))}}}"}
        )

    def take_nonce(self, identity: Identity, nonce: str, expires_at: datetime) -> bool:
        """Remember that the key has used this nonce; False when it had before. Raises DatabaseUnavailable."""
        call = Call(TAKE_NONCE, [identity.key_id, identity.trader_id, nonce, expires_at])
        return bool(self._database.read(call, settings={"app.trader_id": str(identity.trader_id)}))


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _unless_expired(identity: Identity, now: datetime) -> Identity | None:
    return None if identity.expires_at is not None and identity.expires_at <= now else identity
