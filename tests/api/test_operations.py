"""The operations page's numbers, its actions on any trader's order, and /metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.observability.durable_metrics import Kept
from app.observability.heartbeats import Heart
from app.settings import PROJECT_ROOT
from app.storage.operations_reads import SETTLED, count_what_is_settled, first_id, made_at
from app.storage.transaction import Database, DatabaseUnavailable
from tests.api.house import Client, House, problem_of


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are read anew for each question."""
    unkept = Kept.get

    def get(self: Kept[Any]) -> Any:
        self._until = 0.0
        return unkept(self)

    monkeypatch.setattr(Kept, "get", get)


@pytest.fixture
def admin(house: House) -> Client:
    return house.with_scopes(house.trader("Operator"), "admin")


def _seen(admin: Client) -> dict[str, Any]:
    answer = admin.get("/admin/operations")
    assert answer.status_code == 200, answer.text
    return dict(answer.json or {})


def _metrics(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    answer = client.http.get("/metrics")
    assert answer.status_code == 200
    return {
        sample_name: {tuple(sample.labels.values()): sample.value for sample in samples}
        for sample_name, samples in _by_name(answer.text)
    }


def _by_name(text: str) -> Iterator[tuple[str, list[Any]]]:
    found: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    yield from found.items()


def test_what_waits_for_a_person_is_seen_with_its_trader(house: House, ann: Client, admin: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    (waiting,) = [each for each in _seen(admin)["waiting"] if each["id"] == order["id"]]
    assert (waiting["execution_state"], waiting["trader_id"]) == ("NEEDS_ATTENTION", str(ann.trader_id))
    assert waiting["reason"]["code"]


def test_totals_count_each_event_once_wherever_they_are_counted(house: House, ann: Client, admin: Client) -> None:
    before = _seen(admin)["totals"]
    filled = ann.order(order_type="MARKET", price=None)
    ann.submit(quantity="-1")
    with house.working() as worker:
        worker.send(filled)
        worker.fill(filled, "10", "150")
    expected = {"submitted": 1, "refused": 1, "sent": 1, "executed": 1, "filled": 1}
    assert _gained(before, _seen(admin)["totals"]) == expected

    now = datetime.now(UTC) + SETTLED + timedelta(seconds=1)
    database = Database(house.settings.sqlalchemy_url("worker"), pool_size=1)
    while count_what_is_settled(database, now):
        pass
    count_what_is_settled(database, now)
    database.close()
    assert house.rows("SELECT total FROM operation_totals WHERE event = 'submitted'")
    assert _gained(before, _seen(admin)["totals"]) == expected


def _gained(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def test_what_may_still_be_uncommitted_is_not_in_the_totals_yet(house: House, ann: Client) -> None:
    database = Database(house.settings.sqlalchemy_url("worker"), pool_size=1)
    ((mark,),) = house.rows("SELECT counted_to FROM operation_mark")
    now = made_at(mark) + SETTLED + timedelta(seconds=1)
    assert not count_what_is_settled(database, now)
    database.close()
    ((moved,),) = house.rows("SELECT counted_to FROM operation_mark")
    assert mark < moved == first_id(now - SETTLED)


def test_the_last_hour_has_every_minute_and_what_happened_in_it(house: House, ann: Client, admin: Client) -> None:
    order = ann.order(order_type="MARKET", price=None)
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "10", "150")
    seen = _seen(admin)
    assert len(seen["minutes"]) == 60
    assert sum(minute["submitted"] for minute in seen["minutes"]) >= 1
    assert any(minute["filled_p95_ms"] is not None for minute in seen["minutes"])
    assert seen["latency_ms"]["submit_to_filled"]["p50"] > 0
    assert seen["latency_ms"]["submit_to_confirmed"]["count"] >= 1


def test_an_administrator_gives_an_order_another_try_and_the_log_names_who(
    house: House, ann: Client, admin: Client
) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    assert admin.post(f"/admin/orders/{order['id']}/retry").status_code == 202
    entries = (ann.get(f"/orders/{order['id']}/audit").json or {})["data"]
    retried = next(entry for entry in entries if entry["action"] == "RETRIED")
    assert retried["actor"] == f"administrator:{admin.trader_id}"
    assert retried["trader_id"] == str(ann.trader_id)
    problem_of(admin.post(f"/admin/orders/{order['id']}/retry"), 409, "NEEDS_NO_ATTENTION")
    assert house.refusals(admin) == []
    (refused,) = house.rows(
        "SELECT error_code, actor, received_at IS NOT NULL FROM execution_logs WHERE chain_id = %s AND order_id = %s",
        ann.trader_id, order["id"],
    )  # fmt: skip
    assert refused == ("NEEDS_NO_ATTENTION", f"administrator:{admin.trader_id}", True)


def test_an_administrator_gives_an_order_up(house: House, ann: Client, admin: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    answer = admin.post(f"/admin/orders/{order['id']}/acknowledge")
    assert answer.status_code in (200, 202)
    assert (ann.get(f"/orders/{order['id']}").json or {})["execution_state"] in ("CANCELLING", "CLOSED")


def test_only_an_administrator_sees_or_does_any_of_it(house: House, ann: Client, ben: Client) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.fail(order)
    everything_else = house.with_scopes(ben, "read", "trade", "compliance")
    problem_of(everything_else.get("/admin/operations"), 403, "SCOPE_MISSING")
    for action in ("retry", "acknowledge"):
        problem_of(everything_else.post(f"/admin/orders/{order['id']}/{action}"), 403, "SCOPE_MISSING")
        problem_of(ben.post(f"/orders/{order['id']}/{action}"), 404, "NOT_FOUND")
    assert (ann.get(f"/orders/{order['id']}").json or {})["execution_state"] == "NEEDS_ATTENTION"


def test_an_order_that_is_not_there_is_not_found(admin: Client) -> None:
    missing = "019b8f0e-7a10-7c39-8a55-1f2d3c4b5a69"
    for action in ("retry", "acknowledge"):
        problem_of(admin.post(f"/admin/orders/{missing}/{action}"), 404, "NOT_FOUND")


def test_processes_are_alive_while_they_say_so(house: House, admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.flask.extensions["surefill.serving"].process.redis
    heart = Heart(client, "sweeper")
    heart.beat()
    (sweeper,) = [each for each in _seen(admin)["processes"] if each["process"] == "sweeper"]
    assert sweeper["alive"]
    (member,) = [each for each in client.zrange("surefill:processes", 0, -1) if b'"sweeper"' in each]
    client.zincrby("surefill:processes", -60, member)
    (sweeper,) = [each for each in _seen(admin)["processes"] if each["process"] == "sweeper"]
    assert not sweeper["alive"]
    assert _metrics(admin)["surefill_processes"][("sweeper",)] == 0
    heart.leave()
    assert not [each for each in _seen(admin)["processes"] if each["process"] == "sweeper"]


def test_what_cannot_be_read_is_left_out_and_not_zero(
    house: House, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr("app.storage.operations_reads.read_durable", away)
    metrics = _metrics(admin)
    assert metrics["surefill_up"][("database",)] == 0
    assert "surefill_orders_open" not in metrics
    assert "surefill_order_events_total" not in metrics
    problem_of(admin.get("/admin/operations"), 503, "DATABASE_UNAVAILABLE")


def test_unknown_processes_and_queues_are_null(house: House, admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.observability.overview.processes", lambda client: client.execute_command("NOT A COMMAND"))
    seen = _seen(admin)
    assert seen["processes"] is None
    assert "surefill_processes" not in _metrics(admin)


def test_metrics_say_nothing_about_a_trader_or_an_order(house: House, ann: Client) -> None:
    order = ann.order()
    text = ann.http.get("/metrics").text
    for secret in (order["id"], str(ann.trader_id), ann.key, "AAPL"):
        assert secret not in text


def test_requests_are_counted_by_route_and_never_by_path(ann: Client) -> None:
    order = ann.order()
    ann.get(f"/orders/{order['id']}")
    ann.http.get("/wp-login.php")
    requests = _metrics(ann)["surefill_http_requests_total"]
    assert requests[("GET", "/api/v1/orders/<uuid:order_id>", "200")] >= 1
    assert requests[("GET", "nowhere", "404")] >= 1


@pytest.mark.parametrize("file", ["grafana-dashboard.json", "alerts.yml"])
def test_every_metric_that_is_watched_exists(house: House, ann: Client, file: str) -> None:
    order = ann.order()
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "10", "150")
    market = ann.order(order_type="MARKET", price=None)
    with house.working() as worker:
        worker.send(market)
        worker.fill(market, "10", "150")
    text = (PROJECT_ROOT / "ops" / file).read_text()
    watched = set(re.findall(r"surefill_[a-z_]+", text))
    assert len(watched) >= 8
    served = {name for name, _ in _by_name(ann.http.get("/metrics").text)}
    assert watched <= served, watched - served


def test_every_alert_says_what_to_do() -> None:
    guide = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    rules = yaml.safe_load((PROJECT_ROOT / "ops" / "alerts.yml").read_text())["groups"][0]["rules"]
    assert len(rules) >= 10
    for rule in rules:
        assert f"### {rule['alert']}\n" in guide, rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_books_that_nobody_has_compared_lately_are_seen(house: House, admin: Client) -> None:
    compared = (
        "INSERT INTO venue_comparisons (id, venue, compared_at, house_cash, cash_drift, position_drifts)"
        " VALUES (gen_random_uuid(), 'simulator', %s, 0, 0, '{}')"
    )
    three_days = 3 * 86400
    house.rows(compared, datetime.now(UTC) - timedelta(seconds=three_days))
    assert _seen(admin)["venue"]["books_unchecked_seconds"] == pytest.approx(three_days, abs=60)
    assert _metrics(admin)["surefill_books_unchecked_seconds"][()] == pytest.approx(three_days, abs=60)
    house.rows(compared, datetime.now(UTC))
    assert _metrics(admin)["surefill_books_unchecked_seconds"][()] < 60


def test_the_dashboard_is_one(tmp_path: Path) -> None:
    dashboard = json.loads((PROJECT_ROOT / "ops" / "grafana-dashboard.json").read_text())
    jsonschema.validate(
        dashboard,
        {
            "required": ["title", "uid", "panels", "schemaVersion"],
            "properties": {
                "panels": {"items": {"required": ["id", "title", "type", "gridPos", "targets"]}, "minItems": 10}
            },
        },
    )
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_page_is_served_like_the_others(ann: Client) -> None:
    page = ann.http.get("/ops")
    assert page.status_code == 200
    assert "ops/main.js" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
