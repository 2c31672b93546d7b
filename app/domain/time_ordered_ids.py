"""Identifiers that sort by time (UUID version 7, RFC 9562): new rows land side by side in their indexes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

RANDOM_BITS = 74


def time_ordered_uuid(at: datetime, randomness: int) -> UUID:
    """A version 7 UUID of a moment (to the millisecond) and 74 random bits."""
    milliseconds = int(at.timestamp() * 1000)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | ((randomness >> 62) & 0xFFF) << 64
    value |= 0b10 << 62 | (randomness & 0x3FFF_FFFF_FFFF_FFFF)
    return UUID(int=value)
