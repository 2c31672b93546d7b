"""Reads of instruments and their last quotes: the same for every trader."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.domain.audit_chain import time_text
from app.domain.documents import Json, decimal_or_none
from app.domain.money import plain
from app.storage.transaction import Call, Row, Statement

INSTRUMENTS = Statement(
    "list_instruments",
    """SELECT symbol, name, status, tick_size, lot_size, venue FROM instruments WHERE symbol > $1 ORDER BY symbol
    LIMIT $2""",
)
QUOTE = Statement(
    "read_quote",
    "SELECT symbol, bid, ask, bid_size, ask_size, quoted_at, confirmed_at FROM instruments WHERE symbol = $1",
)

WATCHED_WITHIN = timedelta(seconds=10)
"""What is watched is confirmed every second, or every few where the venue is slow."""


def instruments(after: str, limit: int) -> Call:
    return Call(INSTRUMENTS, [after, limit])


def instrument_from(row: Row) -> Json:
    symbol, name, status, tick_size, lot_size, venue = row
    return {
        "symbol": symbol,
        "name": name,
        "status": status,
        "tick_size": plain(tick_size),
        "lot_size": plain(lot_size),
        "venue": venue,
    }


def quote(symbol: str) -> Call:
    return Call(QUOTE, [symbol])


def quote_from(row: Row) -> Json | None:
    """The last known quote; None where there has been none."""
    symbol, bid, ask, bid_size, ask_size, quoted_at, _ = row
    if bid is None or ask is None or quoted_at is None:
        return None
    return {
        "symbol": symbol,
        "bid": plain(bid),
        "ask": plain(ask),
        "bid_size": decimal_or_none(bid_size),
        "ask_size": decimal_or_none(ask_size),
        "timestamp": time_text(quoted_at),
    }


def is_watched(row: Row, now: datetime) -> bool:
    """Whether the venue has confirmed the quote in the last seconds."""
    confirmed_at = row[-1]
    return confirmed_at is not None and now - confirmed_at <= WATCHED_WITHIN
