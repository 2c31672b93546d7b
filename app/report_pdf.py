"""A report of executions as PDF, written cell by cell: a table engine lays a report of this size out in minutes.

reportlab, because it is kept (since 2000), permissive (BSD) and writes a page at a time; fpdf2 is LGPL.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from io import BytesIO

from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfgen.canvas import Canvas

from app.domain.documents import Json
from app.domain.execution_report import ReportRow, Totals

_WIDTH, _HEIGHT = landscape(A4)
_MARGIN, _LINE, _SIZE = 28.0, 9.0, 6.5
# Column, width in points, and whether it is aligned to the right, as numbers are.
_LAYOUT: Sequence[tuple[str, float, bool]] = (
    ("row", 44, False), ("timestamp", 92, False), ("order_id", 128, False), ("symbol", 42, False),
    ("side", 24, False), ("quantity", 62, True), ("price", 62, True), ("value", 72, True), ("commission", 52, True),
    ("filled_quantity", 56, True), ("reason", 150, False),
)  # fmt: skip


def report_pdf(title: str, pages: Iterable[Sequence[ReportRow]]) -> bytes:
    """The whole document. The traders' own words may hold characters that the font lacks: those become "?"."""
    out = BytesIO()
    # pages are not compressed: that would hold up every other request of this process at the end, all at once
    sheet = _Sheet(Canvas(out, pagesize=(_WIDTH, _HEIGHT), pageCompression=0), title)
    totals = Totals()
    for page in pages:
        for row in page:
            totals.add(row)
            sheet.line(_with_reason(row.document()))
        time.sleep(0)  # other requests of this process get their turn
    sheet.blank()
    for total in totals.lines():
        sheet.line(total, bold=True)
    sheet.line(totals.end(), bold=True)
    sheet.close()
    return out.getvalue()


def _with_reason(document: Json) -> Json:
    code, reason = document["code"], document["reason"]
    return document if code is None else {**document, "reason": f"{code}: {reason or ''}"}


class _Sheet:
    def __init__(self, canvas: Canvas, title: str) -> None:
        self._canvas, self._title, self._number = canvas, title, 0
        canvas.setTitle(title)
        canvas.setCreator("Surefill")
        self._y = 0.0
        self._begin()

    def _begin(self) -> None:
        self._number += 1
        self._y = _HEIGHT - _MARGIN
        self._text(self._title, f"page {self._number}", bold=True)
        self._y -= _LINE
        self._cells({name: name for name, _, _ in _LAYOUT}, bold=True)
        self._canvas.line(_MARGIN, self._y + _LINE - 2, _WIDTH - _MARGIN, self._y + _LINE - 2)

    def _text(self, left: str, right: str, *, bold: bool) -> None:
        self._canvas.setFont("Helvetica-Bold" if bold else "Helvetica", _SIZE + 2)
        self._canvas.drawString(_MARGIN, self._y, _printable(left))
        self._canvas.drawRightString(_WIDTH - _MARGIN, self._y, right)
        self._y -= _LINE

    def line(self, document: Json, *, bold: bool = False) -> None:
        if self._y < _MARGIN + _LINE:
            self._canvas.showPage()
            self._begin()
        self._cells(document, bold=bold)

    def blank(self) -> None:
        self._y -= _LINE

    def _cells(self, document: Json, *, bold: bool) -> None:
        self._canvas.setFont("Helvetica-Bold" if bold else "Helvetica", _SIZE)
        x = _MARGIN
        for name, width, right in _LAYOUT:
            value = document.get(name)
            if value is not None:
                most = int(width / (_SIZE * 0.5))
                text = _printable(str(value))
                text = text if len(text) <= most else f"{text[: most - 1]}\u2026"
                if right:
                    self._canvas.drawRightString(x + width - 4, self._y, text)
                else:
                    self._canvas.drawString(x, self._y, text)
            x += width
        self._y -= _LINE

    def close(self) -> None:
        self._canvas.showPage()
        self._canvas.save()


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else " " for character in text.encode("cp1252", "replace").decode("cp1252")
    )
