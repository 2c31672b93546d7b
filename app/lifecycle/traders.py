"""Administration of traders: accounts, keys, limits, halts. Every change is a row in the trader's audit chain.

The row is written in the transaction of what it records; the account is locked first, like by every order, so that
nobody adds to the chain at the same moment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Protocol
from uuid import UUID

from app.domain.changes import Actor, ChainHead, LogEntry
from app.domain.money import plain
from app.domain.surroundings import Clock, Ids
from app.lifecycle.record import chained
from app.storage.traders import Limits, StoredKey, StoredTrader, TraderChanges

SCOPES = ("trade", "read", "admin", "compliance")
DEFAULT_SCOPES = ("trade", "read")
KEY_BEGINS = "sk_"
KEY_BYTES = 32  # 256 random bits: nobody guesses one, so a plain hash is enough
SHOWN_OF_KEY = 11  # enough to tell keys apart in logs, of no use to an attacker


class KeyHasEnded(Exception):
    """A key that was revoked or has expired cannot be rotated."""


class TraderStore(Protocol):
    """Where traders are kept. Each method is one transaction."""

    def create(self, trader: StoredTrader, key: StoredKey, entries: Callable[[ChainHead], Sequence[LogEntry]]) -> None:
        """Raises NameTaken."""
        ...

    def change(self, trader_id: UUID, decide: Callable[[StoredTrader, ChainHead], TraderChanges | None]) -> None:
        """Lock the trader and its account, decide, write. Raises NoSuchTrader."""
        ...

    def find(self, id_or_name: str) -> StoredTrader:
        """Raises NoSuchTrader."""
        ...

    def find_key(self, id_or_prefix: str) -> StoredKey:
        """Raises NoSuchKey."""
        ...

    def traders(self) -> Sequence[StoredTrader]: ...

    def keys(self, trader_id: UUID) -> Sequence[StoredKey]: ...


@dataclass(frozen=True, slots=True)
class Administration:
    """The surroundings of an administrator's command."""

    store: TraderStore
    clock: Clock
    ids: Ids
    actor: Actor
    software_version: str
    secret: Callable[[], str] = lambda: secrets.token_urlsafe(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `text` is shown once and never stored."""

    stored: StoredKey
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreatedTrader:
    trader_id: UUID
    key: IssuedKey


def create_trader(admin: Administration, name: str, cash: Decimal, currency: str = "USD") -> CreatedTrader:
    """A trader with an account, a first key and an audit chain. Raises NameTaken."""
    now = admin.clock.now()
    trader = StoredTrader(admin.ids.new(), name, "ACTIVE", {}, 1, currency, cash, now)
    key = _issue(admin, trader.id, DEFAULT_SCOPES, None, None, now)

    def entries(chain: ChainHead) -> Sequence[LogEntry]:
        details = {"name": name, "currency": currency, "cash": plain(cash)}
        created = trader_entry(admin, chain, trader.id, "TRADER_CREATED", now, limits_version=1, details=details)
        return [created, _key_created(admin, _head_after(created), key.stored, now)]

    admin.store.create(trader, key.stored, entries)
    return CreatedTrader(trader.id, key)


def create_key(
    admin: Administration,
    trader_id: UUID,
    scopes: Sequence[str],
    expires_at: datetime | None,
    signing_key: bytes | None = None,
) -> IssuedKey:
    """One more key; with `signing_key`, its requests have to be signed. Raises NoSuchTrader."""
    now = admin.clock.now()
    key = _issue(admin, trader_id, scopes, expires_at, signing_key, now)

    def decide(_: StoredTrader, chain: ChainHead) -> TraderChanges:
        return TraderChanges(log=[_key_created(admin, chain, key.stored, now)], new_key=key.stored, at=now)

    admin.store.change(trader_id, decide)
    return key


def rotate_key(admin: Administration, old: StoredKey, overlap: timedelta, expires_at: datetime | None) -> IssuedKey:
    """A new key with the scopes and the signing key of the old one, which ends after `overlap`.

    One row of the audit log tells both. Raises KeyHasEnded, NoSuchTrader.
    """
    now = admin.clock.now()
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise KeyHasEnded(old.prefix)
    key = _issue(admin, old.trader_id, old.scopes, expires_at, old.signing_key, now)
    ends_at = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)

    def decide(_: StoredTrader, chain: ChainHead) -> TraderChanges:
        replaces = {"replaces_key_id": str(old.id), "replaced_key_expires_at": ends_at.isoformat()}
        entry = _key_created(admin, chain, key.stored, now, **replaces)
        return TraderChanges(log=[entry], new_key=key.stored, ending_key=(old.id, ends_at), at=now)

    admin.store.change(old.trader_id, decide)
    return key


def revoke_key(admin: Administration, key: StoredKey) -> bool:
    """End a key for good; False when it had ended before. Raises NoSuchTrader."""
    now = admin.clock.now()
    if key.revoked_at is not None:
        return False

    def decide(_: StoredTrader, chain: ChainHead) -> TraderChanges:
        details = {"key_id": str(key.id), "prefix": key.prefix}
        entry = trader_entry(admin, chain, key.trader_id, "KEY_REVOKED", now, details=details)
        return TraderChanges(log=[entry], revoked_key=key.id, at=now)

    admin.store.change(key.trader_id, decide)
    return True


def change_limits(admin: Administration, trader_id: UUID, limits: Limits) -> StoredTrader | None:
    """Set the given limits, leave the others; None when nothing changes. Raises NoSuchTrader."""
    now = admin.clock.now()
    changed: StoredTrader | None = None

    def decide(trader: StoredTrader, chain: ChainHead) -> TraderChanges | None:
        nonlocal changed
        before = {name: trader.limits[name] for name in limits if trader.limits[name] != limits[name]}
        if not before:
            return None
        after = {name: limits[name] for name in before}
        version = trader.limits_version + 1
        changed = StoredTrader(
            trader.id, trader.name, trader.trading_state, {**trader.limits, **after}, version, trader.currency,
            trader.cash, trader.created_at,
        )  # fmt: skip
        details = {"before": _texts(before), "after": _texts(after)}
        entry = trader_entry(admin, chain, trader.id, "LIMITS_CHANGED", now, limits_version=version, details=details)
        return TraderChanges(log=[entry], limits=after, at=now)

    admin.store.change(trader_id, decide)
    return changed


def _issue(
    admin: Administration,
    trader_id: UUID,
    scopes: Sequence[str],
    expires_at: datetime | None,
    signing_key: bytes | None,
    now: datetime,
) -> IssuedKey:
    text = KEY_BEGINS + admin.secret()
    stored = StoredKey(
        id=admin.ids.new(),
        trader_id=trader_id,
        prefix=text[:SHOWN_OF_KEY],
        scopes=tuple(scopes),
        created_at=now,
        expires_at=expires_at,
        signing_key=signing_key,
        key_hash=sha256(text.encode()).digest(),
    )
    return IssuedKey(stored, text)


def _key_created(admin: Administration, chain: ChainHead, key: StoredKey, now: datetime, **more: str) -> LogEntry:
    details = {
        "key_id": str(key.id),
        "prefix": key.prefix,
        "scopes": ",".join(key.scopes),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        **({} if key.signing_key is None else {"signing_key": key.signing_key.hex()}),
        **more,
    }
    return trader_entry(admin, chain, key.trader_id, "KEY_CREATED", now, details=details)


def trader_entry(
    admin: Administration,
    chain: ChainHead,
    trader_id: UUID,
    action: str,
    now: datetime,
    *,
    details: Mapping[str, object],
    **fields: object,
) -> LogEntry:
    return chained(
        chain,
        {
            "id": admin.ids.new(),
            "trader_id": trader_id,
            "actor": admin.actor.name,
            "credential": admin.actor.credential,
            "received_at": admin.actor.received_at,
            "action": action,
            # a text: its bytes are what the hash covers, and the column keeps them as they are
            "details": json.dumps(details, sort_keys=True, separators=(",", ":")),
            "timestamp": now,
            "software_version": admin.software_version,
            **fields,
        },
    )


def _head_after(entry: LogEntry) -> ChainHead:
    return ChainHead(entry.chain_id, entry.chain_seq, entry.hash)


def _texts(limits: Limits) -> dict[str, str | None]:
    return {
        name: None if value is None else plain(value) if isinstance(value, Decimal) else str(value)
        for name, value in limits.items()
    }
