"""How numbers and times are read and written on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random

_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{0,12})?|\.\d{1,12})")
_NINE_PLACES = Decimal("0.000000001")


def plain(number: Decimal) -> str:
    """Plain notation without exponent and trailing zeros: "150.25", "0.00000001", "100"."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def read_number(text: str) -> Decimal:
    """The number written as `text`. Raises ValueError for anything but a plain decimal (no NaN, no exponent)."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return Decimal(text)


def average(notional: Decimal, quantity: Decimal) -> Decimal:
    """Average price in US dollars, rounded half-even to nine places."""
    return (notional / quantity).quantize(_NINE_PLACES, ROUND_HALF_EVEN)


class _StrictClock:
    """The time in UTC, always later than before: orders and fills are found by bisection over their times."""

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        self._latest = max(datetime.now(UTC), self._latest + _MICROSECOND)
        return self._latest


_MICROSECOND = timedelta(microseconds=1)
now = _StrictClock()


def moment(time: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


_chance = Random()


def new_id() -> str:
    """A fresh random UUID (version 4) as text. Far cheaper than the standard library's, and every order needs four."""
    digits = f"{_chance.getrandbits(128):032x}"
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )


def read_moment(text: str) -> datetime:
    """An aware time from RFC 3339 or a plain date; no zone means UTC. Raises ValueError."""
    # A "+" of a zone arrives as a blank when the client did not quote the query.
    time = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
