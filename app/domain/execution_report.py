"""A report of executions: its rows, its totals, and how a row becomes text. Money in the account's currency, UTC."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.domain.audit_chain import time_text
from app.domain.documents import Json, decimal_or_none
from app.domain.money import ZERO, average, plain

COLUMNS = (
    "row", "timestamp", "trader_id", "order_id", "symbol", "side", "order_type", "quantity", "price", "value",
    "commission", "realized_pnl", "filled_quantity", "venue", "venue_order_id", "execution_id", "code", "reason",
    "executions",
)  # fmt: skip

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/-]*", re.ASCII)  # what no spreadsheet takes for anything else
# Full-width forms, too: some spreadsheets take them for the others.
_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_BEGINS_FORMULA = re.compile(rf"[{_FORMULA}\t\r\n]")
# Where a spreadsheet's separator is another one (";" in half of Europe), a cell begins in the middle of the text.
_AFTER_SEPARATOR = re.compile(rf"([;,|\t\r\n][\s\"']*)(?=[{_FORMULA}])")


class RowKind(StrEnum):
    EXECUTION = "EXECUTION"  # a fill
    REJECTED = "REJECTED"  # an order that the venue refused, or that was given up
    CANCELLED = "CANCELLED"  # an order that ended before it was wholly filled
    REFUSED = "REFUSED"  # a request that was refused and never became an order, or changed none
    TOTAL = "TOTAL"  # executions of one symbol and side: `price` is their average
    END = "END"  # the last row, with the totals of everything: a report without one is not complete


@dataclass(frozen=True, slots=True)
class ReportRow:
    """An execution (price and quantity of the fill), or something that was not executed (those that were asked for)."""

    kind: RowKind
    at: datetime
    trader_id: UUID
    order_id: UUID | None
    symbol: str | None
    side: str | None
    order_type: str | None
    quantity: Decimal | None
    price: Decimal | None
    commission: Decimal | None = None
    realized_pnl: Decimal | None = None
    filled_quantity: Decimal | None = None
    venue: str | None = None
    venue_order_id: str | None = None
    execution_id: str | None = None
    code: str | None = None
    reason: str | None = None

    @property
    def value(self) -> Decimal | None:
        """What an execution was worth, commission apart."""
        if self.kind is not RowKind.EXECUTION or self.price is None or self.quantity is None:
            return None
        return self.price * self.quantity

    def document(self) -> Json:
        """The row as a JSON value; what it does not have is null."""
        return {
            "row": self.kind.value,
            "timestamp": time_text(self.at),
            "trader_id": str(self.trader_id),
            "order_id": None if self.order_id is None else str(self.order_id),
            "symbol": self.symbol,
            "side": self.side,
            "order_type": self.order_type,
            "quantity": decimal_or_none(self.quantity),
            "price": decimal_or_none(self.price),
            "value": decimal_or_none(self.value),
            "commission": decimal_or_none(self.commission),
            "realized_pnl": decimal_or_none(self.realized_pnl),
            "filled_quantity": decimal_or_none(self.filled_quantity),
            "venue": self.venue,
            "venue_order_id": self.venue_order_id,
            "execution_id": self.execution_id,
            "code": self.code,
            "reason": self.reason,
        }


@dataclass(slots=True)
class Total:
    """Executions of one symbol and side."""

    symbol: str
    side: str
    executions: int = 0
    quantity: Decimal = ZERO
    value: Decimal = ZERO
    commission: Decimal = ZERO
    realized_pnl: Decimal = ZERO

    def document(self) -> Json:
        return {
            "row": RowKind.TOTAL.value,
            "symbol": self.symbol,
            "side": self.side,
            "quantity": plain(self.quantity),
            "price": decimal_or_none(average(self.value, self.quantity)),
            "value": plain(self.value),
            "commission": plain(self.commission),
            "realized_pnl": plain(self.realized_pnl),
            "executions": self.executions,
        }


@dataclass(slots=True)
class Totals:
    """Grows with the rows: as many entries as there are symbols and sides."""

    of: dict[tuple[str, str], Total] = field(default_factory=dict)
    counted: Counter[RowKind] = field(default_factory=Counter)

    def add(self, row: ReportRow) -> None:
        self.counted[row.kind] += 1
        if row.kind is not RowKind.EXECUTION or row.quantity is None:
            return
        key = (row.symbol or "", row.side or "")
        total = self.of.get(key)
        if total is None:
            total = self.of[key] = Total(*key)
        total.executions += 1
        total.quantity += row.quantity
        total.value += row.value or ZERO
        total.commission += row.commission or ZERO
        total.realized_pnl += row.realized_pnl or ZERO

    def lines(self) -> list[Json]:
        """The totals by symbol and side."""
        return [self.of[key].document() for key in sorted(self.of)]

    def end(self) -> Json:
        """The last line: everything together. Quantities of different things have no sum."""
        counted = self.counted
        told = (
            f"{counted[RowKind.REJECTED]} orders rejected, {counted[RowKind.CANCELLED]} cancelled,"
            f" {counted[RowKind.REFUSED]} requests refused"
        )
        totals = self.of.values()
        return {
            "row": RowKind.END.value,
            "value": plain(sum((total.value for total in totals), ZERO)),
            "commission": plain(sum((total.commission for total in totals), ZERO)),
            "realized_pnl": plain(sum((total.realized_pnl for total in totals), ZERO)),
            "executions": counted[RowKind.EXECUTION],
            "reason": told,
        }


def cell(value: object) -> str:
    """A value as a cell of a spreadsheet's CSV (RFC 4180): numbers stay numbers, and no text becomes a formula.

    What begins like a formula and is no plain number gets an apostrophe in front, which spreadsheets take as "this is
    text" (OWASP, CSV injection); so does what follows a character that may separate cells.
    """
    if value is None:
        return ""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    if _NUMBER.fullmatch(text):
        return text
    text = _AFTER_SEPARATOR.sub(r"\1'", text)
    if _BEGINS_FORMULA.match(text):
        text = f"'{text}"
    if any(character in text for character in ',"\n\r'):
        text = '"' + text.replace('"', '""') + '"'
    return text


def csv_row(row: ReportRow) -> str:
    """`csv_line` of the row's document, in a third of the time: most cells can be nothing but a number or an id."""
    return (
        f"{row.kind.value},{time_text(row.at)},{row.trader_id},{row.order_id or ''},{cell(row.symbol)},"
        f"{row.side or ''},{row.order_type or ''},{_amount(row.quantity)},{_amount(row.price)},{_amount(row.value)},"
        f"{_amount(row.commission)},{_amount(row.realized_pnl)},{_amount(row.filled_quantity)},{cell(row.venue)},"
        f"{cell(row.venue_order_id)},{cell(row.execution_id)},{cell(row.code)},{cell(row.reason)},\r\n"
    )


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else plain(amount)


def csv_line(document: Json) -> str:
    return ",".join([cell(document.get(name)) for name in COLUMNS]) + "\r\n"


HEADER = ",".join(COLUMNS) + "\r\n"
