"""Credentials for a venue are keys: who sets, seals anew or removes them is a row in the venue's audit chain.

The row names what was sealed by its hash and with which key. Of the credentials themselves it has nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol
from uuid import UUID, uuid5

from app.domain.changes import ChainHead, LogEntry
from app.lifecycle.compare import VENUE_CHAINS
from app.lifecycle.record import chained
from app.lifecycle.traders import Administration
from app.storage.venue_credentials import SealedCredentials


class CredentialStore(Protocol):
    """Where they are kept. Each method is one transaction."""

    def store(
        self,
        credentials: SealedCredentials,
        chain_id: UUID,
        entry: Callable[[ChainHead, SealedCredentials | None], LogEntry],
    ) -> None:
        """In the place of those the venue had, which `entry` is told."""
        ...

    def remove(self, venue: str, chain_id: UUID, entry: Callable[[ChainHead], LogEntry]) -> bool: ...


def keep_credentials(admin: Administration, store: CredentialStore, sealed: SealedCredentials, reason: str) -> None:
    """Store a venue's credentials, in the place of those it had."""

    def entry(chain: ChainHead, before: SealedCredentials | None) -> LogEntry:
        details = {
            "sealed_with": sealed.sealed_with,
            "sealed_sha256": sha256(sealed.sealed).hexdigest(),
            "replaces_sha256": None if before is None else sha256(before.sealed).hexdigest(),
        }
        return _entry(admin, chain, sealed.venue, "KEY_CREATED", reason, details)

    store.store(sealed, chain_of(sealed.venue), entry)


def remove_credentials(admin: Administration, store: CredentialStore, venue: str) -> bool:
    """Forget a venue's credentials; False when it had none."""
    return store.remove(
        venue, chain_of(venue), lambda chain: _entry(admin, chain, venue, "KEY_REVOKED", "They were removed.", None)
    )


def chain_of(venue: str) -> UUID:
    """The audit chain of what concerns a venue and no order."""
    return uuid5(VENUE_CHAINS, venue)


def _entry(
    admin: Administration,
    chain: ChainHead,
    venue: str,
    action: str,
    reason: str,
    details: dict[str, str | None] | None,
) -> LogEntry:
    return chained(
        chain,
        {
            "id": admin.ids.new(),
            "actor": admin.actor.name,
            "credential": admin.actor.credential,
            "action": action,
            "venue": venue,
            "reason": f"Credentials of the venue: {reason[0].lower()}{reason[1:]}",
            "details": None if details is None else json.dumps(details, sort_keys=True, separators=(",", ":")),
            "received_at": admin.actor.received_at,
            "timestamp": admin.clock.now(),
            "software_version": admin.software_version,
        },
    )
