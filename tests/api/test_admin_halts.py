"""The kill switch over the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import Client, House, problem_of

ABSENT = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def admin(house: House) -> Client:
    return house.with_scopes(house.trader("Ada"), "admin")


def _halt(admin: Client, **body: Any) -> dict[str, Any]:
    answer = admin.post("/admin/halts", json={"reason": "odd orders", **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json or {})


def test_a_halted_trader_is_refused_until_the_halt_is_lifted(ann: Client, ben: Client, admin: Client) -> None:
    halt = _halt(admin, scope="TRADER", trader_id=str(ann.trader_id))
    assert halt["halted_by"] == f"trader:{admin.trader_id}"
    problem = problem_of(ann.submit(), 422, "TRADING_HALTED")
    assert "odd orders" in problem["detail"] and halt["halted_by"] in problem["detail"]
    seen = ann.get("/account").json or {}
    shown = {name: halt[name] for name in ("id", "scope", "symbol", "code", "reason", "created_at")}
    assert (seen["trading_state"], seen["halts"]) == ("HALTED", [shown])
    assert ben.submit().status_code == 201
    assert (ben.get("/account").json or {})["halts"] == []
    lifted = admin.call("DELETE", f"/admin/halts/{halt['id']}", json={"reason": "all is well"})
    assert lifted.status_code == 200 and lifted.json is not None
    assert (lifted.json["lift_reason"], lifted.json["lifted_by"]) == ("all is well", halt["halted_by"])
    assert ann.submit().status_code == 201
    assert ann.get("/account").json["trading_state"] == "ACTIVE"  # type: ignore[index]


@pytest.mark.parametrize("body", [{"scope": "GLOBAL"}, {"scope": "symbol", "symbol": "AAPL"}])
def test_a_halt_for_everybody(house: House, ann: Client, admin: Client, body: dict[str, str]) -> None:
    halt = _halt(admin, **body)
    again = admin.post("/admin/halts", json={"reason": "more", **body})
    assert (again.status_code, again.json) == (200, halt)
    problem_of(ann.submit(), 422, "TRADING_HALTED")
    assert (ann.submit(symbol="MSFT", price="300").status_code == 201) is ("symbol" in body)
    seen = ann.get("/account").json or {}
    assert [each["symbol"] for each in seen["halts"]] == [body.get("symbol")]
    assert seen["trading_state"] == ("ACTIVE" if "symbol" in body else "HALTED")
    assert admin.get("/admin/halts").json["data"][0] == halt  # type: ignore[index]
    assert admin.call("DELETE", f"/admin/halts/{halt['id']}").status_code == 200
    assert admin.call("DELETE", f"/admin/halts/{halt['id']}").status_code == 200
    assert ann.submit().status_code == 201
    logged = house.rows(
        "SELECT action::text FROM execution_logs WHERE trader_id IS NULL AND details->>'halt_id' = %s "
        "ORDER BY chain_seq",
        halt["id"],
    )
    assert logged == [("HALTED",), ("RESUMED",)]


@pytest.mark.parametrize("body", [b"\x0c", b"\x0b\x1f", b"\xc2\xa0"])
def test_what_is_not_white_space_in_json_is_no_empty_body(admin: Client, ann: Client, body: bytes) -> None:
    halt = _halt(admin, scope="TRADER", trader_id=str(admin.trader_id))
    as_json: dict[str, Any] = {"content_type": "application/json"}
    problem_of(admin.call("DELETE", f"/admin/halts/{halt['id']}", data=body, **as_json), 400, "MALFORMED_JSON")
    problem_of(ann.post("/orders/cancel-all", data=body, **as_json), 400, "MALFORMED_JSON")
    assert admin.call("DELETE", f"/admin/halts/{halt['id']}", data=b" \t\r\n", **as_json).status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"reason": "x"}, "scope", "REQUIRED"),
        ({"scope": "GLOBAL"}, "reason", "REQUIRED"),
        ({"scope": "GLOBAL", "reason": " "}, "reason", "INVALID_VALUE"),
        ({"scope": "GLOBAL", "reason": "x" * 501}, "reason", "INVALID_VALUE"),
        ({"scope": "GLOBAL", "reason": "x", "symbol": "AAPL"}, "symbol", "CONTRADICTION"),
        ({"scope": "SYMBOL", "reason": "x", "symbol": "AAPL", "trader_id": ABSENT}, "trader_id", "CONTRADICTION"),
        ({"scope": "TRADER", "reason": "x"}, "trader_id", "REQUIRED"),
        ({"scope": "TRADER", "reason": "x", "trader_id": "Ann"}, "trader_id", "INVALID_VALUE"),
        ({"scope": "SYMBOL", "reason": "x"}, "symbol", "REQUIRED"),
        ({"scope": "GLOBAL", "reason": "x", "cancel_exits": "yes"}, "cancel_exits", "INVALID_TYPE"),
        ({"scope": "GLOBAL", "reason": "x", "until": "now"}, "until", "UNKNOWN_FIELD"),
    ],
)
def test_a_wrong_halt_says_what_is_wrong(admin: Client, body: dict[str, Any], field: str, code: str) -> None:
    problem = problem_of(admin.post("/admin/halts", json=body), 422, code)
    assert (field, code) in [(error["field"], error["code"]) for error in problem["errors"]]


def test_what_does_not_exist_is_not_halted(admin: Client) -> None:
    body = {"scope": "TRADER", "reason": "x", "trader_id": ABSENT}
    problem_of(admin.post("/admin/halts", json=body), 422, "UNKNOWN_TRADER")
    problem_of(
        admin.post("/admin/halts", json={"scope": "SYMBOL", "reason": "x", "symbol": "NOPE"}), 422, "UNKNOWN_SYMBOL"
    )
    problem_of(admin.call("DELETE", f"/admin/halts/{ABSENT}"), 404, "NOT_FOUND")
