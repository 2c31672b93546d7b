"""The audit log's canonical encoding and hash chain.

The rows of one order (or of a trader, or of the system, where there is no order) form a chain: each row's hash covers
its own content and the hash before it. The encoding is a JSON object of the row's non-null fields with sorted keys,
no white space, UTF-8, every value a string (decimals plain without trailing zeros, times RFC 3339 UTC with
microseconds, integers in decimal); `hash = SHA-256(previous_hash || encoding)`, the first previous hash is 32 zero
bytes. Anybody can recompute it from an export.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

from app.domain.money import plain

GENESIS = bytes(32)
SYSTEM_CHAIN = UUID("00000000-0000-8000-8000-000000000001")
"""The chain of what concerns neither an order nor a single trader."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def time_text(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds: 2026-01-31T12:00:00.000001Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return time_text(value)
    return str(value)


def canonical(fields: Mapping[str, object]) -> bytes:
    """The bytes that a row's hash covers."""
    return _encode({name: _text(value) for name, value in fields.items() if value is not None}).encode()


def link(previous: bytes, encoding: bytes) -> bytes:
    """The hash of a row with this canonical encoding that follows `previous`."""
    return sha256(previous + encoding).digest()
