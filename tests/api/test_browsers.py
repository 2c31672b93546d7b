"""What every answer tells browsers, and requests of other sites' pages."""

from __future__ import annotations

import pytest

from app.browsers import ALWAYS, UNLESS_SAID, BrowserRules
from tests.api.house import Client, House, problem_of

HEADERS = dict(ALWAYS + UNLESS_SAID)


def test_every_answer_has_the_headers_whatever_it_is(house: House, ann: Client) -> None:
    http = house.flask.test_client()
    order = ann.submit()
    for answer in (
        order, ann.get("/account"), ann.get("/orders", limit=0), ann.get("/nope"), ann.post("/account"), http.get("/"),
        http.get("/healthz"), http.get("/readyz"), http.get("/api/v1/orders"), http.open("/api/v1/orders", "OPTIONS"),
        http.get("/socket.io/"), http.get("/api/v1/orders", headers={"Origin": "https://evil.example"}),
    ):  # fmt: skip
        for name, value in ALWAYS:
            assert answer.headers.getlist(name) == [value], (answer.request.path, name)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in answer.headers
        if answer.request.path.startswith("/api/v1/") and "docs" not in answer.request.path:
            assert answer.headers["Cache-Control"] == "no-store"


def test_tls_is_insisted_on_where_there_is_tls() -> None:
    told: list[tuple[str, str]] = []

    def application(environ: object, start_response: object) -> list[bytes]:
        start_response("200 OK", [("Cache-Control", "max-age=60")])  # type: ignore[operator]
        return []

    BrowserRules(application, hsts_seconds=600)({"REQUEST_METHOD": "GET"}, lambda status, headers: told.extend(headers))
    assert ("Strict-Transport-Security", "max-age=600") in told
    assert [value for name, value in told if name == "Cache-Control"] == ["max-age=60"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "file://localhost"},
        {"Origin": "http://[localhost"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_sites_page_gets_nothing_and_changes_nothing(
    house: House, ann: Client, method: str, headers: dict[str, str]
) -> None:
    answer = ann.call(method, "/orders/cancel-all" if method == "POST" else "/orders", headers=headers)
    problem_of(answer, 403, "CROSS_SITE_REQUEST")
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Origin": "https://LOCALHOST"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_its_own_page_and_a_link_from_elsewhere_are_answered(ann: Client, headers: dict[str, str]) -> None:
    assert ann.call("GET", "/account", headers=headers).status_code == 200


def test_a_form_of_another_site_that_navigates_is_refused(ann: Client) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    problem_of(ann.post("/orders/cancel-all", headers=headers), 403, "CROSS_SITE_REQUEST")


def test_no_answer_lets_another_site_read_it(ann: Client) -> None:
    preflight = ann.http.options(
        "/api/v1/orders",
        headers={"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"},
    )
    assert not [name for name, _ in preflight.headers if name.lower().startswith("access-control")]
