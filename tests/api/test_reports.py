"""Reports of executions and the compliance list: what is in them, whose it is, and how they come in pieces."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from app.api import reports
from app.domain.execution_report import ReportRow, RowKind, cell, csv_line, csv_row
from app.storage import report_reads
from app.storage.transaction import Call, Statement
from tests.api.house import Client, House, problem_of


@pytest.fixture
def busy(house: House, ann: Client) -> Client:
    """Two fills, a cancelled order, one that the venue rejected, and a refusal."""
    with house.working() as worker:
        order = ann.order(quantity="10")
        worker.send(order)
        worker.fill(order, "4", "150.10")
        worker.fill(order, "6", "150.20")
        partly = ann.order(quantity="5")
        worker.send(partly)
        worker.fill(partly, "1", "150.25")
    ann.post(f"/orders/{ann.order(quantity='7')['id']}/cancel")
    ann.submit(quantity="1000.5")
    return ann


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_csv_has_executions_then_what_was_not_executed_then_totals_and_an_end(busy: Client) -> None:
    answer = busy.get("/reports/executions", format="csv")
    assert answer.status_code == 200 and answer.content_type.startswith("text/csv")
    assert re.fullmatch(r'attachment; filename="executions-\w+-\w+\.csv"', answer.headers["Content-Disposition"])
    rows = table(answer.text)
    assert [row["row"] for row in rows] == ["EXECUTION"] * 3 + ["CANCELLED", "REFUSED", "TOTAL", "END"]
    first, cancelled, refused, total, end = rows[0], rows[3], rows[4], rows[5], rows[6]
    assert (first["quantity"], first["price"], first["value"], first["side"]) == ("4", "150.1", "600.4", "BUY")
    assert (cancelled["code"], cancelled["filled_quantity"]) == ("USER_REQUEST", "0")
    assert (refused["code"], refused["order_id"]) == ("LOT_SIZE", "")
    value = Decimal("600.4") + Decimal("901.2") + Decimal("150.25")
    assert (total["executions"], total["quantity"], Decimal(total["value"])) == ("3", "11", value)
    assert total["price"] == "150.16818182"  # the average, half-even to 8 places
    assert end["reason"] == "0 orders rejected, 1 cancelled, 1 requests refused"


def test_json_is_the_same(busy: Client) -> None:
    answer = busy.get("/reports/executions", format="json")
    document: Any = answer.json
    rows = table(busy.get("/reports/executions").text)
    assert [row["row"] for row in document["data"]] == [row["row"] for row in rows[:5]]
    assert [total["quantity"] for total in document["totals"]] == ["11"]
    assert document["end"]["executions"] == 3
    empty: Any = busy.get("/reports/executions", format="json", to="2020-01-01").json
    assert (empty["data"], empty["totals"], empty["end"]["executions"]) == ([], [], 0)


def test_a_report_in_many_pages_is_the_same_report(busy: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"from": "2020-01-01", "to": datetime.now(UTC).strftime("%Y-%m-%d")}
    whole = busy.get("/reports/executions", **query).text
    monkeypatch.setattr(report_reads, "PAGE_ROWS", 1)
    assert busy.get("/reports/executions", **query).text == whole


def test_a_pdf_is_one(busy: Client) -> None:
    answer = busy.get("/reports/executions", format="pdf")
    assert answer.status_code == 200 and answer.content_type == "application/pdf"
    assert answer.data.startswith(b"%PDF-") and b"150.1" in answer.data and b"USER_REQUEST" in answer.data


def test_a_pdf_that_would_be_too_large_names_csv(busy: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_ROWS_OF_PDF", 4)
    problem = problem_of(busy.get("/reports/executions", format="pdf"), 422, "REPORT_TOO_LARGE")
    assert "format=csv" in problem["suggestion"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"from": "2026-02-01", "to": "2026-01-01"}, "INVALID_PERIOD"),
        ({"from": "yesterday"}, "INVALID_VALUE"),
        ({"to": "2026-02-30"}, "INVALID_VALUE"),
        ({"format": "xls"}, "INVALID_VALUE"),
        ({"since": "2026-01-01"}, "UNKNOWN_PARAMETER"),
        ({"trader_id": "1"}, "INVALID_VALUE"),
    ],
)
def test_what_is_no_report_is_said(ann: Client, query: dict[str, str], code: str) -> None:
    problem = problem_of(ann.get("/reports/executions", **query), 422, problem_code(ann, query))
    assert code in (problem["code"], *[error["code"] for error in problem["errors"]])


def problem_code(ann: Client, query: dict[str, str]) -> str:
    document: Any = ann.get("/reports/executions", **query).json
    return str(document["code"])


def test_a_report_may_end_in_the_first_days_of_all(ann: Client) -> None:
    for query in ({"to": "0001-01-01"}, {"to": "0001-01-20T00:00:00Z"}, {"to": "0001-03-01"}):
        answer = ann.get("/reports/executions", **query)
        assert answer.status_code == 200, answer.text
        assert [row["row"] for row in table(answer.text)] == ["END"]
    problem_of(ann.get("/reports/executions", to="0001-01-01T00:00:00Z"), 422, "INVALID_PERIOD")


def test_a_day_is_meant_as_a_whole(busy: Client) -> None:
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    assert len(table(busy.get("/reports/executions", **{"from": today, "to": today}).text)) == 7


# -- whose ------------------------------------------------------------------------------------------------------------


def test_a_trader_gets_their_own_and_cannot_name_another(house: House, busy: Client, ben: Client) -> None:
    assert [row["row"] for row in table(ben.get("/reports/executions").text)] == ["END"]
    problem_of(ben.get("/reports/executions", trader_id=str(busy.trader_id)), 404, "NOT_FOUND")
    assert len(table(busy.get("/reports/executions", trader_id=str(busy.trader_id)).text)) == 7


def test_compliance_gets_everybody_s_or_one_trader_s(house: House, busy: Client, ben: Client) -> None:
    officer = house.with_scopes(ben, "read", "compliance")
    seen = {row["trader_id"] for row in table(officer.get("/reports/executions").text)}
    assert str(busy.trader_id) in seen
    of_one = table(officer.get("/reports/executions", trader_id=str(busy.trader_id)).text)
    assert [row["row"] for row in of_one[:3]] == ["EXECUTION"] * 3
    assert {row["trader_id"] for row in of_one if row["row"] in ("EXECUTION", "REFUSED")} == {str(busy.trader_id)}


# -- spreadsheets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", '"\'\rx"'),
        ("\n=1", "\"'\n'=1\""),
        ("\uff1d1+1", "'\uff1d1+1"),
        # a spreadsheet that separates cells by semicolons or tabs begins one in the middle of the text
        ("X;=1+1", "X;'=1+1"),
        ('X; "@SUM(A1)', '"X; ""\'@SUM(A1)"'),
        ("a\t+1", "a\t'+1"),
        ("1 - 2; 3", "1 - 2; 3"),
        ("-1.5", "-1.5"),
        ("-1.5E3", "'-1.5E3"),
        ("150.25", "150.25"),
        ("a,b", '"a,b"'),
        ('a"b', '"a""b"'),
        (None, ""),
        (7, "7"),
    ],
)
def test_no_text_becomes_a_formula_and_numbers_stay_numbers(value: object, expected: str) -> None:
    assert cell(value) == expected


def test_a_row_is_written_the_quick_way_as_it_would_be_from_its_document() -> None:
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    for row in (
        ReportRow(RowKind.EXECUTION, at, uuid4(), uuid4(), "=X", "BUY", "LIMIT", Decimal("4.0"), Decimal("1E2"),
                  Decimal(0), Decimal("-1.50"), Decimal(4), 'a "venue"', "+1", "1", None, None),
        ReportRow(RowKind.REFUSED, at, uuid4(), None, None, None, None, None, None, code="-X", reason="one,\ntwo"),
    ):  # fmt: skip
        assert csv_row(row) == csv_line(row.document())


# -- the log of all traders -------------------------------------------------------------------------------------------


def test_compliance_reads_the_whole_log_page_by_page(house: House, busy: Client, ben: Client) -> None:
    officer = house.with_scopes(ben, "compliance")
    seen: list[tuple[str, int]] = []
    cursor = None
    while True:
        page: Any = officer.get("/compliance/audit", limit=7, **({"cursor": cursor} if cursor else {})).json
        assert len(page["data"]) <= 7
        seen += [(entry["chain_id"], entry["seq"]) for entry in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == house.rows("SELECT count(*) FROM execution_logs")[0][0]


def test_compliance_asks_for_a_trader_an_order_and_a_time(house: House, busy: Client, ben: Client) -> None:
    officer = house.with_scopes(ben, "compliance")
    order_id = house.rows("SELECT order_id FROM fills WHERE trader_id = %s LIMIT 1", busy.trader_id)[0][0]

    def entries(**query: str) -> list[dict[str, Any]]:
        answer: Any = officer.get("/compliance/audit", limit=1000, **query).json
        return list(answer["data"])

    of_order = entries(order_id=str(order_id))
    assert [entry["seq"] for entry in of_order] == list(range(1, len(of_order) + 1))
    assert {entry["trader_id"] for entry in entries(trader_id=str(busy.trader_id))} == {str(busy.trader_id)}
    assert entries(trader_id=str(uuid4())) == []
    at = of_order[1]["timestamp"]
    assert all(entry["timestamp"] >= at for entry in entries(**{"from": at}))
    assert all(entry["timestamp"] < at for entry in entries(to=at))
    assert entries(to=(datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")) == []


def test_a_cursor_that_is_none_is_said(house: House, ann: Client) -> None:
    officer = house.with_scopes(ann, "compliance")
    for cursor in ("x", "AQ", "Aw", "A" * 40):
        problem_of(officer.get("/compliance/audit", cursor=cursor), 422, "INVALID_CURSOR")


# -- the criteria of success ------------------------------------------------------------------------------------------


def test_the_criteria_of_success_are_measured(house: House, busy: Client) -> None:
    rows = house.rows("SELECT criterion, value, met, measured_on FROM success_criteria ORDER BY criterion")
    measured = {criterion: (value, met) for criterion, value, met, _ in rows}
    assert list(measured) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert measured[5] == (0, True) and measured[6] == (1, True) and measured[7] == (1, True)
    assert measured[3][1] is True and measured[3][0] > 0
    assert measured[8] == (None, None)  # there were no hundred traders


def test_a_trader_s_own_login_measures_only_that_trader(house: House, busy: Client) -> None:
    assert house.database.read(
        Call(Statement("criteria", "SELECT sum(measured_on) FROM success_criteria")),
        settings={"app.trader_id": str(uuid4())},
    ) == [(0,)]
