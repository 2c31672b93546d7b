"""Option types of the commands."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from app.domain.money import DECIMAL_PLACES, VALUE_LIMIT

_DECIMAL = re.compile(rf"[0-9]{{1,18}}(?:\.[0-9]{{1,{DECIMAL_PLACES}}})?")
_COUNT = re.compile(r"[0-9]{1,9}")


class Amount(click.ParamType[Decimal]):
    """A decimal number; nothing is lost on the way."""

    name = "amount"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        text = str(value)
        if not _DECIMAL.fullmatch(text) or Decimal(text) >= VALUE_LIMIT or (not Decimal(text) and not self._zero):
            least = "0 or more" if self._zero else "greater than 0"
            self.fail(f"{text!r} is no amount: expected a number {least}, such as 2500.50", param, ctx)
        return Decimal(text)


class Count(click.ParamType[int]):
    """A whole number greater than 0."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not _COUNT.fullmatch(text) or not int(text):
            self.fail(f"{text!r} is no whole number greater than 0", param, ctx)
        return int(text)


NONE = object()


class OrNone(click.ParamType[Any]):
    """A value of another type, or the word `none`, which takes a limit away."""

    def __init__(self, of: click.ParamType[Any]) -> None:
        self._of = of
        self.name = f"{of.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value is NONE or str(value).lower() == "none":
            return NONE
        return self._of.convert(value, param, ctx)


_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """Seconds, minutes, hours or days: 90s, 30m, 24h, 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no duration: expected one such as 90s, 30m, 24h or 7d", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Moment(click.ParamType[datetime]):
    """A time with its offset; in the future unless `past` is allowed."""

    name = "time"

    def __init__(self, *, past: bool = False) -> None:
        self._past = past

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: expected one such as 2027-01-31T00:00:00Z", param, ctx)
        if at.tzinfo is None:
            self.fail(f"{value!r} has no offset: expected one such as 2027-01-31T00:00:00Z", param, ctx)
        if not self._past and at <= datetime.now(UTC):
            self.fail(f"{value!r} has passed", param, ctx)
        return at.astimezone(UTC)
