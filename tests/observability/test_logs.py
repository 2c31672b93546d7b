"""Lines of the log: JSON, with the ids of what is worked on, and with nothing that nobody has allowed."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

from app.domain.orders import Order
from app.observability.context import begin, bound, working_on
from app.observability.logs import FIELDS, JsonLines
from app.observability.order_log import LoggedWakeups
from app.settings import PROJECT_ROOT

TRADER = UUID(int=7)


class _Silent:
    def work(self, order: Order) -> None: ...

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None: ...


@pytest.fixture(autouse=True)
def nothing_bound() -> Iterator[None]:
    begin()
    yield
    begin()


def _line(**extra: object) -> dict[str, object]:
    record = logging.LogRecord("surefill.test", logging.INFO, __file__, 1, "said %s", ("so",), None)
    record.__dict__.update(extra)
    return dict(json.loads(JsonLines("web").format(record)))


def test_a_line_is_one_json_object() -> None:
    line = _line(order_id="o1", trader_id=TRADER)
    assert line["message"] == "said so"
    assert line["process"] == "web"
    assert (line["order_id"], line["trader_id"]) == ("o1", str(TRADER))
    assert str(line["time"]).endswith("+00:00")


def test_what_nobody_allowed_does_not_leave() -> None:
    line = _line(authorization="Bearer sk_secret", body="{}", order_id="o1")
    assert "sk_secret" not in json.dumps(line)
    assert set(line) == {"time", "level", "process", "logger", "message", "order_id"}


def test_every_field_that_is_logged_is_allowed() -> None:
    used: set[str] = set()
    for file in [*(PROJECT_ROOT / "app").rglob("*.py"), *(PROJECT_ROOT / "workers").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                used |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    assert used
    assert used <= FIELDS, f"if they can hold no secret, add to FIELDS in app/observability/logs.py: {used - FIELDS}"


def test_a_newline_in_what_is_logged_makes_no_second_line() -> None:
    record = logging.LogRecord("surefill.test", logging.INFO, __file__, 1, "a\nb", (), None)
    assert "\n" not in JsonLines("web").format(record)


def test_lines_carry_what_is_worked_on() -> None:
    begin(request_id="r1")
    with working_on(order_id="o1"):
        assert _line()["order_id"] == "o1"
    assert _line()["request_id"] == "r1"
    assert "order_id" not in bound()


@pytest.mark.parametrize(
    ("event", "code", "name"),
    [
        ("order.submitted", None, "order.submitted"),
        ("order.executed", None, "order.executed"),
        ("order.filled", None, "order.filled"),
        ("order.recovered", None, "order.recovered"),
        ("order.rejected", "INSUFFICIENT_FUNDS", "order.failed"),
        ("order.needs_attention", "NO_ANSWER", "order.failed"),
        ("order.cancelled", "USER_REQUEST", "order.cancelled_by_trader"),
        ("order.cancelled", "EXPIRED", None),
        ("order.partial", None, None),
    ],
)
def test_what_happens_to_an_order_is_one_line(
    caplog: pytest.LogCaptureFixture, event: str, code: str | None, name: str | None
) -> None:
    reason = None if code is None else {"code": code, "message": "…"}
    document = {
        "seq": 3, "event": event, "order_id": "o1", "status": "PENDING", "execution_state": "QUEUED",
        "filled_quantity": "0", "reason": reason,
    }  # fmt: skip
    with caplog.at_level(logging.INFO, "surefill.orders"):
        LoggedWakeups(_Silent()).events(TRADER, [json.dumps(document).encode()])
    assert [record.getMessage() for record in caplog.records] == ([] if name is None else [name])
    if name is not None:
        line = json.loads(JsonLines("web").format(caplog.records[0]))
        assert (line["event"], line["order_id"], line["trader_id"], line["seq"]) == (name, "o1", str(TRADER), 3)


def test_an_event_that_cannot_be_read_is_said_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "surefill.orders"):
        LoggedWakeups(_Silent()).events(TRADER, [b"{"])
    assert "not of its form" in caplog.text
