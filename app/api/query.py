"""Query parameters: typed, and every error told at once."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, TypeVar
from uuid import UUID

from flask import request
from msgspec import Meta

from app.api.description import Parameter
from app.api.problems import invalid
from app.api.wording import nearest, one_of, shown
from app.domain.denials import Denial
from app.storage.order_reads import Place

E = TypeVar("E", bound=StrEnum)

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,18}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./_-]{0,31}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE, _NAME, _ROW = b"\x01", b"\x02", b"\x03"

CURSOR = Parameter(
    Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")], "The `next_cursor` of the page before; its other filters too."
)


class Query:
    """The parameters of this request. Read them all, then call `check`."""

    def __init__(self, *known: str) -> None:
        self.errors: list[Denial] = []
        self._given: dict[str, str] = {}
        for name, values in request.args.lists():
            if name not in known:
                meant = nearest(name.lower(), known)
                suggestion = f"Did you mean {meant}?" if meant else "Leave it out."
                self._wrong("UNKNOWN_PARAMETER", f"There is no parameter {shown(name)}.", suggestion, shown(name))
            elif len(values) > 1:
                self._wrong("REPEATED_PARAMETER", f"{name} is given {len(values)} times.", "Give it once.", name)
            elif values[0]:
                self._given[name] = values[0]

    def check(self) -> None:
        """Raises Problem 422 with everything that is wrong."""
        if self.errors:
            raise invalid(self.errors)

    def word(self, name: str, words: type[E]) -> E | None:
        text = self._given.get(name)
        if text is None:
            return None
        try:
            return words(text.upper() if text.isascii() else text)
        except ValueError:
            self.errors.append(one_of(name, text, tuple(words)))
            return None

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        text = self._given.get(name)
        if text is None:
            return default
        if _INTEGER.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        expected = f"a whole number from {low} to {high}"
        self._wrong("INVALID_VALUE", f"{name} is {shown(text)}; it must be {expected}.", f"Use {expected}.", name)
        return default

    def time(self, name: str) -> datetime | None:
        text = self._given.get(name)
        if text is None:
            return None
        text = text.replace(" ", "+")  # a "+" that was not escaped arrives as a space
        if _TIME.fullmatch(text):
            try:
                return datetime.fromisoformat(text.upper()).astimezone(UTC)
            except (ValueError, OverflowError):
                pass  # a 30th of February, or a year that no time zone may move: told like any other wrong time
        self._wrong(
            "INVALID_VALUE",
            f"{name} is {shown(text)}; it must be a time such as 2026-01-05T14:30:00Z.",
            "Use RFC 3339 with an offset, such as 2026-01-05T14:30:00Z.",
            name,
        )
        return None

    def moment(self, name: str, *, end_of_day: bool = False) -> datetime | None:
        """A time, or a day in UTC: its beginning, or with `end_of_day` the beginning of the next one."""
        text = self._given.get(name)
        if text is None or not _DAY.fullmatch(text):
            return self.time(name)
        try:
            return datetime.fromisoformat(f"{text}T00:00:00+00:00") + timedelta(days=end_of_day)
        except (ValueError, OverflowError):
            return self.time(name)  # which says what is wrong with it

    def symbol(self, name: str) -> str | None:
        text = self._given.get(name)
        if text is None:
            return None
        symbol = text.upper()
        if _SYMBOL.fullmatch(symbol):
            return symbol
        self._wrong(
            "INVALID_VALUE", f"{name} is {shown(text)}, which is no symbol.", "Use a symbol such as AAPL.", name
        )
        return None

    def identifier(self, name: str) -> UUID | None:
        text = self._given.get(name)
        if text is None:
            return None
        try:
            return UUID(text)
        except ValueError:
            self._wrong("INVALID_VALUE", f"{name} is {shown(text)}, which is no id.", "Use an order's id.", name)
            return None

    def place(self) -> Place | None:
        """The cursor of a list by time."""
        packed = self._cursor(_PLACE)
        if packed is None:
            return None
        try:
            if len(packed) != 24:
                raise ValueError("a place has 24 bytes")
            at = _EPOCH + int.from_bytes(packed[:8], signed=True) * _MICROSECOND
        except (ValueError, OverflowError):
            self._wrong_cursor()
            return None
        return Place(at, UUID(bytes=packed[8:]))

    def row(self) -> tuple[datetime, int] | None:
        """The cursor of a list of log rows: time and position."""
        packed = self._cursor(_ROW)
        if packed is None:
            return None
        try:
            if len(packed) != 16:
                raise ValueError("a row's place has 16 bytes")
            at = _EPOCH + int.from_bytes(packed[:8], signed=True) * _MICROSECOND
        except (ValueError, OverflowError):
            self._wrong_cursor()
            return None
        return at, int.from_bytes(packed[8:], signed=True)

    def name(self) -> str:
        """The cursor of a list by name; empty at its beginning."""
        packed = self._cursor(_NAME)
        if packed is None:
            return ""
        text = packed.decode("ascii", "replace")
        if not _SYMBOL.fullmatch(text):
            self._wrong_cursor()
            return ""
        return text

    def _cursor(self, kind: bytes) -> bytes | None:
        text = self._given.get("cursor")
        if text is None:
            return None
        try:
            packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            packed = b""
        if packed[:1] != kind:
            self._wrong_cursor()
            return None
        return packed[1:]

    def _wrong_cursor(self) -> None:
        self._wrong(
            "INVALID_CURSOR",
            "The cursor is not one that this list has given.",
            "Use the next_cursor of the page before, or start without one.",
            "cursor",
        )

    def _wrong(self, code: str, message: str, suggestion: str, field: str) -> None:
        self.errors.append(Denial(code, message, suggestion, field))


def cursor_after(place: Place) -> str:
    """The cursor of the page that follows this place."""
    at = (place.at - _EPOCH) // _MICROSECOND
    return _text(_PLACE + at.to_bytes(8, signed=True) + place.id.bytes)


def cursor_after_row(place: tuple[datetime, int]) -> str:
    """The cursor of the page that follows this row of the log."""
    at = (place[0] - _EPOCH) // _MICROSECOND
    return _text(_ROW + at.to_bytes(8, signed=True) + place[1].to_bytes(8, signed=True))


def cursor_after_name(name: str) -> str:
    """The cursor of the page that follows this name."""
    return _text(_NAME + name.encode())


def _text(packed: bytes) -> str:
    return urlsafe_b64encode(packed).rstrip(b"=").decode()
