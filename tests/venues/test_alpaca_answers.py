"""What each answer of the venue means: by its meaning, not by its number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.domain.venue_answers import (
    Accepted,
    CancelRefused,
    CancelTaken,
    ClientIdKnown,
    Found,
    NotFound,
    OutcomeUnknown,
    Refused,
    VenueOrderStatus,
)
from app.venues.alpaca import AlpacaVenue
from app.venues.alpaca_wire import STATUSES
from tests.venues.alpaca_samples import KEY_ID, NOT_FOUND, SECRET_KEY, instruction, order_json, venue
from tests.venues.scripted_wire import ScriptedWire, http

HTML = b"<html><head><title>Attention required</title></head><body>gateway</body></html>"


@pytest.fixture
def wire() -> Iterator[ScriptedWire]:
    with ScriptedWire() as server:
        yield server


@pytest.fixture
def alpaca(wire: ScriptedWire) -> Iterator[AlpacaVenue]:
    adapter = venue(wire.url)
    yield adapter
    adapter.close()


def error(code: int, message: str, **more: Any) -> bytes:
    return json.dumps({"code": code, "message": message} | more).encode()


def test_the_order_goes_out_with_every_digit_and_our_id(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(200, order_json(qty="0.123456789")))
    alpaca.submit(instruction(quantity=Decimal("0.123456789"), limit_price=Decimal("1E+2")))
    sent = wire.requests[0]
    assert (sent.method, sent.target) == ("POST", "/v2/orders")
    assert (sent.headers["apca-api-key-id"], sent.headers["apca-api-secret-key"]) == (KEY_ID, SECRET_KEY)
    assert json.loads(sent.body) == {
        "client_order_id": "ours-1",
        "symbol": "AAPL",
        "qty": "0.123456789",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "100",
    }


def test_an_accepted_order_is_reported_as_the_venue_describes_it(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    body = order_json(status="partially_filled", filled_qty="40", filled_avg_price="190.123456789012345678")
    wire.reply(http(200, body))
    answer = alpaca.submit(instruction())
    assert isinstance(answer, Accepted)
    report = answer.report
    assert (report.status, report.raw_status) == (VenueOrderStatus.WORKING, "partially_filled")
    assert (report.side, report.quantity, report.filled_quantity) == ("BUY", Decimal(100), Decimal(40))
    assert report.average_fill_price == Decimal("190.123456789012345678")
    assert report.updated_at == datetime(2026, 3, 2, 14, 30, 1, 123457, tzinfo=UTC)


def test_numbers_without_quotes_lose_no_digit(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(200, order_json().replace(b'"qty": "100"', b'"qty": 0.100000001')))
    answer = alpaca.submit(instruction(quantity=Decimal("0.100000001")))
    assert isinstance(answer, Accepted)


@pytest.mark.parametrize("status", [name for name, means in STATUSES.items() if not means.is_end])
def test_a_status_that_is_not_an_end_leaves_the_order_working(
    wire: ScriptedWire, alpaca: AlpacaVenue, status: str
) -> None:
    wire.reply(http(200, order_json(status=status)))
    answer = alpaca.find("ours-1")
    assert isinstance(answer, Found)
    assert answer.report.status is VenueOrderStatus.WORKING
    assert answer.report.raw_status == status


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("canceled", VenueOrderStatus.CANCELLED),
        ("expired", VenueOrderStatus.EXPIRED),
        ("rejected", VenueOrderStatus.REJECTED),
    ],
)
def test_an_end_is_an_end(wire: ScriptedWire, alpaca: AlpacaVenue, status: str, means: VenueOrderStatus) -> None:
    wire.reply(http(200, order_json(status=status)))
    answer = alpaca.find("ours-1")
    assert isinstance(answer, Found)
    assert answer.report.status is means
    assert answer.report.status.is_end


def test_no_documented_status_is_missing_and_only_five_are_ends() -> None:
    working = {name for name, means in STATUSES.items() if not means.is_end}
    assert working == {
        *("new", "partially_filled", "done_for_day", "pending_cancel", "pending_replace", "pending_review"),
        *("accepted", "pending_new", "accepted_for_bidding", "stopped", "suspended", "calculated", "held"),
    }
    assert set(STATUSES) - working == {"filled", "canceled", "expired", "rejected", "replaced"}


def test_a_replaced_order_names_its_successor(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(200, order_json(status="replaced", replaced_by="next-id")))
    answer = alpaca.find("ours-1")
    assert isinstance(answer, Found)
    assert (answer.report.status, answer.report.replaced_by) == (VenueOrderStatus.REPLACED, "next-id")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            403,
            error(40310000, "insufficient buying power", buying_power="3200", cost_basis="5000.00"),
            "VENUE_INSUFFICIENT_FUNDS",
        ),
        (
            403,
            error(40310000, "insufficient qty available for order (requested: 5, available: 1)"),
            "VENUE_INSUFFICIENT_SHARES",
        ),
        (
            403,
            error(40310000, "insufficient balance for BTC (requested: 5, available: 1)"),
            "VENUE_INSUFFICIENT_SHARES",
        ),
        (
            403,
            error(40310000, "insufficient balance for USD (requested: 5, available: 1)"),
            "VENUE_INSUFFICIENT_FUNDS",
        ),
        (403, error(40310000, "potential wash trade detected. use complex orders"), "VENUE_WASH_TRADE"),
        (403, error(40310000, "account is restricted to liquidation only"), "VENUE_ACCOUNT_RESTRICTED"),
        (403, error(40310000, "something new"), "VENUE_REFUSED"),
        (
            422,
            error(42210000, "invalid limit_price 190.123. sub-penny increment does not fulfill minimum pricing"),
            "VENUE_PRICE_INCREMENT",
        ),
        (422, error(42210000, 'asset "NOPE" not found'), "VENUE_INSTRUMENT_UNKNOWN"),
        (422, error(42210000, "asset HALT is not tradable"), "VENUE_INSTRUMENT_NOT_TRADABLE"),
        (422, error(40010001, "limit orders require limit price"), "VENUE_REFUSED"),
        (400, error(40010000, "request body format is invalid"), "VENUE_REFUSED"),
    ],
)
def test_a_no_in_the_venues_own_json_is_a_refusal(
    wire: ScriptedWire, alpaca: AlpacaVenue, status: int, body: bytes, code: str
) -> None:
    wire.reply(http(status, body))
    answer = alpaca.submit(instruction())
    assert isinstance(answer, Refused)
    assert answer.code == code
    said = json.loads(body)
    assert said["message"].rstrip(".") in answer.message
    assert str(said["code"]) in answer.message
    assert answer.evidence.startswith(f"HTTP {status}: ")


def test_a_refusal_for_want_of_funds_has_the_numbers_in_it(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(403, error(40310000, "insufficient buying power", buying_power="3200", cost_basis="5000.00")))
    answer = alpaca.submit(instruction())
    assert isinstance(answer, Refused)
    assert answer.message == (
        "The venue refused the order: insufficient buying power; buying power 3200, cost 5000.00 (venue code 40310000)."
    )


def test_a_known_client_order_id_says_that_the_order_is_there(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(422, error(40010001, "client_order_id must be unique")))
    assert isinstance(alpaca.submit(instruction()), ClientIdKnown)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, error(40110000, "request is not authorized"), "VENUE_UNAUTHORIZED"),
        (401, HTML, "VENUE_UNAUTHORIZED"),
        (403, HTML, "VENUE_UNAUTHORIZED"),
        (403, b'{"message": "forbidden."}', "VENUE_UNAUTHORIZED"),
        (403, error(42210000, "a number that does not belong to this status"), "VENUE_UNAUTHORIZED"),
        (403, b"", "VENUE_UNAUTHORIZED"),
        (422, HTML, "VENUE_ANSWER_UNEXPECTED"),
        (422, b'{"code": "42210000", "message": "a number as text"}', "VENUE_ANSWER_UNEXPECTED"),
        (422, b'{"code": 42210000}', "VENUE_ANSWER_UNEXPECTED"),
        (404, NOT_FOUND, "VENUE_ANSWER_UNEXPECTED"),
        (404, HTML, "VENUE_ANSWER_UNEXPECTED"),
        (408, error(40810000, "request timeout"), "VENUE_ERROR"),
        (408, HTML, "VENUE_ERROR"),
        (429, error(42910000, "rate limit exceeded"), "VENUE_RATE_LIMITED"),
        (429, HTML, "VENUE_RATE_LIMITED"),
        (500, error(50010000, "internal server error"), "VENUE_ERROR"),
        (502, HTML, "VENUE_ERROR"),
        (503, b"", "VENUE_ERROR"),
        (504, HTML, "VENUE_ERROR"),
        (504, order_json(), "VENUE_ERROR"),
        (599, error(40310000, "insufficient buying power"), "VENUE_ERROR"),
        (200, HTML, "VENUE_ANSWER_UNREADABLE"),
        (200, b"", "VENUE_ANSWER_UNREADABLE"),
        (200, b"null", "VENUE_ANSWER_UNREADABLE"),
        (200, b"[]", "VENUE_ANSWER_UNREADABLE"),
        (200, b"{}", "VENUE_ANSWER_UNREADABLE"),
        (200, order_json()[:-20], "VENUE_ANSWER_UNREADABLE"),
        (200, order_json() + b"x", "VENUE_ANSWER_UNREADABLE"),
        (200, b"\xff\xfe\x00garbage", "VENUE_ANSWER_UNREADABLE"),
        (200, b'{"legs":' + b"[" * 100_000, "VENUE_ANSWER_UNREADABLE"),
        (200, error(40310000, "insufficient buying power"), "VENUE_ANSWER_UNREADABLE"),
        (202, order_json(), "VENUE_ANSWER_UNREADABLE"),
        (204, b"", "VENUE_ANSWER_UNREADABLE"),
        (301, b"", "VENUE_ANSWER_UNEXPECTED"),
        (307, b"", "VENUE_ANSWER_UNEXPECTED"),
        (418, b"", "VENUE_ANSWER_UNEXPECTED"),
    ],
)
def test_everything_else_leaves_the_outcome_of_a_submit_unknown(
    wire: ScriptedWire, alpaca: AlpacaVenue, status: int, body: bytes, code: str
) -> None:
    wire.reply(http(status, body, headers=[("Location", wire.url + "/v2/elsewhere")]))
    answer = alpaca.submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == (code, False)
    assert len(wire.requests) == 1, "nothing is repeated, no redirect is followed"


ANOTHER_ORDER: list[dict[str, Any]] = [{"symbol": "MSFT"}, {"side": "sell"}, {"qty": "101"}]
NONSENSE: list[dict[str, Any]] = [
    {"client_order_id": "someone-elses"},
    {"client_order_id": ""},
    {"symbol": ""},
    {"side": "hold"},
    {"qty": None},
    {"qty": "0"},
    {"qty": "-100"},
    {"qty": "NaN"},
    {"qty": "sNaN"},
    {"qty": "Infinity"},
    {"qty": "1e999999"},
    {"qty": "1e-999999"},
    {"qty": "9" * 5000},
    {"qty": "100.0000000001"},
    {"filled_qty": "-1"},
    {"filled_qty": "100.000000001"},
    {"filled_qty": "NaN"},
    {"filled_qty": "-Infinity"},
    {"filled_qty": "40", "filled_avg_price": "-190"},
    {"filled_qty": "40", "filled_avg_price": "0"},
    {"filled_qty": "40", "filled_avg_price": "NaN"},
    {"status": "filled", "filled_qty": "40"},
    {"status": "liquidated"},
    {"status": ""},
    {"status": "FILLED"},
    {"id": ""},
    {"id": "two\nlines"},
    {"id": "with a \x00 byte"},
    {"id": "x" * 200},
    {"updated_at": "2026-03-02T14:30:01"},
    {"updated_at": "9999-12-31T23:59:59-14:00"},
]


@pytest.mark.parametrize(
    ("call", "different"),
    # A look-up knows only the client order id; its caller compares the rest.
    [("submit", each) for each in ANOTHER_ORDER + NONSENSE] + [("find", each) for each in NONSENSE],
    ids=lambda each: json.dumps(each)[:50],
)
def test_an_answer_that_contradicts_itself_or_us_is_not_believed(
    wire: ScriptedWire, alpaca: AlpacaVenue, call: str, different: dict[str, Any]
) -> None:
    wire.reply(http(200, order_json(**different)))
    answer = alpaca.submit(instruction()) if call == "submit" else alpaca.find("ours-1")
    assert isinstance(answer, OutcomeUnknown)
    assert answer.code == "VENUE_ANSWER_NONSENSE"
    assert "HTTP 200" in answer.evidence
    assert answer.evidence.isprintable()


@pytest.mark.parametrize(
    "different",
    [
        {"qty": "a hundred"},
        {"qty": ""},
        {"qty": True},
        {"qty": [100]},
        {"id": 7},
        {"status": None},
        {"filled_qty": None},
        {"updated_at": "yesterday"},
        {"updated_at": 1},
    ],
    ids=str,
)
def test_a_field_of_another_type_makes_the_answer_unreadable(
    wire: ScriptedWire, alpaca: AlpacaVenue, different: dict[str, Any]
) -> None:
    wire.reply(http(200, order_json(**different)))
    answer = alpaca.submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert answer.code == "VENUE_ANSWER_UNREADABLE"


def test_only_the_venues_own_word_means_not_found(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(404, NOT_FOUND))
    assert isinstance(alpaca.find("ours-1"), NotFound)
    assert wire.requests[0].target == "/v2/orders:by_client_order_id?client_order_id=ours-1"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, HTML),
        (404, b""),
        (404, b'{"message": "not found"}'),
        (404, b'{"code": 40410001, "message": "endpoint not found"}'),
        (404, b'{"code": 40410000}'),
        (404, b'{"code": 4041000'),
        (410, b'{"code": 40410000, "message": "order not found"}'),
        (200, b'{"code": 40410000, "message": "order not found"}'),
        (500, b'{"code": 40410000, "message": "order not found"}'),
        (401, HTML),
        (403, error(40310000, "forbidden")),
        (429, HTML),
        (204, b""),
    ],
)
def test_an_error_while_asking_is_not_a_not_found(
    wire: ScriptedWire, alpaca: AlpacaVenue, status: int, body: bytes
) -> None:
    wire.reply(http(status, body))
    assert isinstance(alpaca.find("ours-1"), OutcomeUnknown)


def test_an_id_cannot_change_the_question(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(404, NOT_FOUND), http(204, b""))
    alpaca.find("a&status=all/../ü")
    alpaca.cancel("../orders?x=1")
    assert wire.requests[0].target.endswith("?client_order_id=a%26status%3Dall%2F..%2F%C3%BC")
    assert wire.requests[1].target == "/v2/orders/..%2Forders%3Fx%3D1"


def test_a_cancel_is_taken_refused_or_unknown(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(http(204, b""))
    assert isinstance(alpaca.cancel("v-1"), CancelTaken)
    assert (wire.requests[0].method, wire.requests[0].target) == ("DELETE", "/v2/orders/v-1")
    for status, body, code in (
        (422, error(42210000, 'order is already in "filled" state'), "VENUE_NOT_CANCELABLE"),
        (404, error(40410000, "order not found for v-1"), "VENUE_ORDER_UNKNOWN"),
    ):
        wire.reply(http(status, body))
        answer = alpaca.cancel("v-1")
        assert isinstance(answer, CancelRefused)
        assert answer.code == code
    for status, body in ((422, HTML), (404, HTML), (200, b"{}"), (500, b""), (429, HTML), (401, HTML), (408, b"")):
        wire.reply(http(status, body))
        assert isinstance(alpaca.cancel("v-1"), OutcomeUnknown), status


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Retry-After", "7")], 7.0),
        ([("Retry-After", "999999999")], 3600.0),
        ([("Retry-After", "Wed, 01 Jan 2020 00:00:00 GMT")], 0.0),
        ([("Retry-After", "soon")], None),
        ([("Retry-After", "-5")], None),
        ([("Retry-After", "nan")], None),
        ([("Retry-After", "9" * 400)], None),
        ([("X-RateLimit-Reset", "1000000000")], 0.0),
        ([], None),
    ],
)
def test_the_wait_that_a_venue_asks_for_is_passed_on(
    wire: ScriptedWire, alpaca: AlpacaVenue, headers: list[tuple[str, str]], expected: float | None
) -> None:
    wire.reply(http(429, HTML, headers=headers))
    answer = alpaca.submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.retry_after) == ("VENUE_RATE_LIMITED", expected)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_when_our_calls_are_counted_anew_is_no_wait_where_the_venue_has_a_problem_of_its_own(
    wire: ScriptedWire, status: int
) -> None:
    now = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    adapter = venue(wire.url, clock=lambda: now)
    counted = [
        ("X-RateLimit-Limit", "200"),
        ("X-RateLimit-Remaining", "150"),
        ("X-RateLimit-Reset", f"{now.timestamp() + 60:.0f}"),
    ]
    waits = []
    for headers in (counted, [*counted, ("Retry-After", "7")]):
        wire.reply(http(status, HTML, headers=headers))
        answer = adapter.submit(instruction())
        assert isinstance(answer, OutcomeUnknown)
        assert answer.code == "VENUE_ERROR"
        waits.append(answer.retry_after)
    assert waits == [None, 7.0]
    adapter.close()


def test_when_our_calls_are_counted_anew_is_the_wait_where_they_are_used_up(wire: ScriptedWire) -> None:
    now = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    adapter = venue(wire.url, clock=lambda: now)
    wire.reply(http(429, HTML, headers=[("X-RateLimit-Reset", f"{now.timestamp() + 42:.0f}")]))
    answer = adapter.submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert answer.retry_after == 42.0
    adapter.close()


@pytest.mark.parametrize("status", [200, 403, 422, 500])
def test_evidence_is_short_printable_and_never_holds_a_secret(
    wire: ScriptedWire, alpaca: AlpacaVenue, status: int
) -> None:
    echo = f"your request: {KEY_ID} {SECRET_KEY}\r\n\x00\x1b[31m".encode() * 100
    wire.reply(http(status, echo), http(status, error(status * 100_000 + 10000, echo.decode())))
    for answer in (alpaca.submit(instruction()), alpaca.submit(instruction())):
        assert not isinstance(answer, Accepted)
        assert len(answer.evidence) <= 500
        assert answer.evidence.startswith(f"HTTP {status}")
        assert answer.evidence.isprintable()
        for text in (answer.evidence, answer.message):
            assert SECRET_KEY not in text
            assert KEY_ID not in text
