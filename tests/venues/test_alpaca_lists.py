"""Executions, orders, quotes and instruments: complete and consistent, or not an answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.domain.venue_answers import (
    Executions,
    Found,
    OrderReport,
    OutcomeUnknown,
    PartOfList,
    Quote,
    VenueHoldings,
    VenueInstrument,
)
from app.venues.alpaca import AlpacaVenue
from app.venues.throttle import Urgency
from tests.venues.alpaca_samples import activity, order, order_json, venue
from tests.venues.scripted_wire import Reply, Request, ScriptedWire, http

SINCE = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
HTML = b"<html>gateway</html>"


@pytest.fixture
def wire() -> Iterator[ScriptedWire]:
    with ScriptedWire() as server:
        yield server


@pytest.fixture
def alpaca(wire: ScriptedWire) -> Iterator[AlpacaVenue]:
    """On the minute after the orders of `alpaca_samples` were last heard of."""
    adapter = venue(wire.url, clock=lambda: SINCE + timedelta(minutes=1))
    yield adapter
    adapter.close()


def report(wire: ScriptedWire, alpaca: AlpacaVenue, filled: str = "100") -> OrderReport:
    wire.reply(http(200, order_json(filled_qty=filled, filled_avg_price="190", status="partially_filled")))
    found = alpaca.find("ours-1")
    assert isinstance(found, Found)
    wire.requests.clear()
    return found.report


def listing(entries: list[dict[str, Any]]) -> bytes:
    return http(200, json.dumps(entries).encode())


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


# --- executions ------------------------------------------------------------------------------------------------------


def test_the_executions_of_one_order_come_oldest_first_whatever_their_order_on_the_wire(
    wire: ScriptedWire, alpaca: AlpacaVenue
) -> None:
    ours = report(wire, alpaca)
    other = activity("7", "7", order_id="another", symbol="MSFT", side="sell_short")
    wire.reply(listing([other, activity("100", "60"), activity("40", "40"), other]))
    answer = alpaca.executions(ours, SINCE)
    assert isinstance(answer, Executions)
    assert [(each.cumulative_quantity, each.quantity, each.price) for each in answer.executions] == [
        (Decimal(40), Decimal(40), Decimal("190.2")),
        (Decimal(100), Decimal(60), Decimal("190.2")),
    ]
    assert answer.executions[0].executed_at == datetime(2026, 3, 2, 14, 30, 2, 500_000, tzinfo=UTC)
    assert answer.executions[0].venue_order_id == ours.venue_order_id
    assert urlsplit(wire.requests[0].target).path == "/v2/account/activities/FILL"
    assert query(wire.requests[0])["after"] == "2026-03-02T14:29:59.999999Z", "`since` itself is included"
    assert query(wire.requests[0])["direction"] == "desc"


def test_executions_of_a_crypto_order_may_name_its_symbol_without_the_slash(
    wire: ScriptedWire, alpaca: AlpacaVenue
) -> None:
    ours = replace(report(wire, alpaca, filled="40"), symbol="BTC/USD", filled_quantity=Decimal(40))
    wire.reply(listing([activity("40", "40", symbol="BTCUSD")]))
    answer = alpaca.executions(ours, SINCE)
    assert isinstance(answer, Executions)
    assert [each.quantity for each in answer.executions] == [Decimal(40)]


def test_pages_are_read_until_the_order_is_complete(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    pages = [
        [activity("1", "1", id=f"a{number}", order_id="another") for number in range(99)] + [activity("40", "40")],
        [activity("1", "1", id=f"b{number}", order_id="another") for number in range(100)],
        [activity("100", "60")] + [activity("1", "1", id=f"c{number}", order_id="another") for number in range(99)],
    ]
    wire.reply(*(listing(page) for page in pages))
    answer = alpaca.executions(ours, SINCE)
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == [40, 100]
    assert [query(request).get("page_token") for request in wire.requests] == [None, pages[0][-1]["id"], "b99"]


def test_a_list_that_ends_early_is_what_the_venue_lists(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    wire.reply(listing([activity("40", "40")]), listing([]))
    first, second = alpaca.executions(ours, SINCE), alpaca.executions(ours, SINCE)
    assert isinstance(first, Executions)
    assert [each.cumulative_quantity for each in first.executions] == [40]
    assert second == Executions(())


def test_the_first_execution_since_a_moment_may_follow_earlier_ones(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    wire.reply(listing([activity("100", "60")]))
    answer = alpaca.executions(ours, SINCE + timedelta(minutes=1))
    assert isinstance(answer, Executions)


def test_the_same_execution_listed_twice_is_one(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    wire.reply(listing([activity("100", "100"), activity("100", "100.000", id="again")]))
    answer = alpaca.executions(ours, SINCE)
    assert isinstance(answer, Executions)
    assert len(answer.executions) == 1


@pytest.mark.parametrize(
    "entries",
    [
        [activity("100", "100"), activity("100", "60")],
        [activity("100", "100"), activity("100", "100", price="1")],
        [activity("40", "40"), activity("100", "50")],
        [activity("40", "40"), activity("80", "20"), activity("100", "20")],
        [activity("101", "101")],
        [activity("40", "41")],
        [activity("40", "-40")],
        [activity("40", "0")],
        [activity("0", "0")],
        [activity("-40", "40")],
        [activity("NaN", "40")],
        [activity("40", "Infinity")],
        [activity("40", "40", price="0")],
        [activity("40", "40", price="-1")],
        [activity("40", "40", price="NaN")],
        [activity("40", "40", price="1e999999")],
        [activity("40", "40", symbol="MSFT")],
        [activity("40", "40", side="sell")],
        [activity("40", "40", side="sideways")],
        [activity("40", "40", transaction_time="2026-03-02T14:30:02")],
        [activity("40", "40", id="")],
    ],
    ids=lambda entries: json.dumps(entries)[-60:],
)
def test_a_list_that_contradicts_itself_is_not_believed(
    wire: ScriptedWire, alpaca: AlpacaVenue, entries: list[dict[str, Any]]
) -> None:
    ours = report(wire, alpaca)
    wire.reply(listing(entries))
    answer = alpaca.executions(ours, SINCE)
    assert isinstance(answer, OutcomeUnknown)
    assert answer.code == "VENUE_ANSWER_NONSENSE"


def test_pages_that_go_round_in_circles_end(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    page = listing([activity("1", "1", id=f"a{number}", order_id="another") for number in range(100)])
    wire.reply(page, page, page)
    answer = alpaca.executions(ours, SINCE)
    assert isinstance(answer, OutcomeUnknown)
    assert len(wire.requests) == 2


@pytest.mark.parametrize("failing_page", [0, 1])
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (http(500, b""), "VENUE_ERROR"),
        (http(429, HTML), "VENUE_RATE_LIMITED"),
        (http(200, HTML), "VENUE_ANSWER_UNREADABLE"),
        (http(404, HTML), "VENUE_ANSWER_UNEXPECTED"),
        (http(200, b"{}"), "VENUE_ANSWER_UNREADABLE"),
    ],
)
def test_one_failing_page_fails_the_list(
    wire: ScriptedWire, alpaca: AlpacaVenue, failing_page: int, failure: bytes, code: str
) -> None:
    ours = report(wire, alpaca)
    fills = listing([activity("40", "40")] + [activity("1", "1", id=f"{n}", order_id="x") for n in range(99)])
    orders = listing([order(id=f"{number}") for number in range(500)])
    wire.reply(*[fills][:failing_page], failure)
    executions = alpaca.executions(ours, SINCE)
    wire.reply(*[orders][:failing_page], failure)
    listed = alpaca.orders(SINCE)
    for answer in (executions, listed.why if isinstance(listed, PartOfList) else listed):
        assert isinstance(answer, OutcomeUnknown)
        assert answer.code == code


def numbered(count: int, begin: int = 0) -> bytes:
    """A page of orders that the venue received one second after the other."""
    moments = [(number, (SINCE + timedelta(seconds=number)).isoformat()) for number in range(begin, begin + count)]
    return listing([order(id=f"{number}", client_order_id=f"c{number}", submitted_at=at) for number, at in moments])


@pytest.mark.parametrize(
    "failure", [http(500, b"{}"), http(429, b"{}"), http(200, HTML), listing([order(id="x", qty="NaN")])]
)
def test_of_a_list_that_breaks_off_there_is_what_was_read(
    wire: ScriptedWire, alpaca: AlpacaVenue, failure: bytes
) -> None:
    wire.reply(numbered(500), numbered(500, 499), failure)
    answer = alpaca.orders(SINCE)
    assert isinstance(answer, PartOfList)
    assert [each.venue_order_id for each in answer.reports] == [str(number) for number in range(999)]
    assert answer.until == SINCE + timedelta(seconds=998), "those received at that moment may be on the next page"
    assert answer.why.code.startswith("VENUE_")


def test_a_part_of_what_is_open_is_no_answer(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(numbered(500), http(500, b"{}"))
    assert isinstance(alpaca.open_orders(), OutcomeUnknown)


def test_all_pages_together_keep_to_the_timeout(wire: ScriptedWire) -> None:
    def slow_page(request: Request) -> list[bytes]:
        start = int(query(request).get("page_token", "0").lstrip("a") or 0)
        entries = [activity("1", "1", id=f"a{start + number + 1}", order_id="x") for number in range(100)]
        return [b"", listing(entries)]

    adapter = venue(wire.url, timeout=0.5)
    ours = report(wire, adapter)
    wire.reply(*[Reply(slow_page, pause=0.1)] * 20)
    answer = adapter.executions(ours, SINCE)
    assert isinstance(answer, OutcomeUnknown)
    assert answer.code == "VENUE_TIMEOUT"
    assert len(wire.requests) <= 6
    adapter.close()


def others(name: str, count: int) -> list[dict[str, Any]]:
    return [activity("1", "1", id=f"{name}{number}", order_id="another") for number in range(count)]


def test_what_is_older_than_what_is_known_is_not_read(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    wire.reply(listing([activity("100", "60"), *others("a", 99)]))
    known = {(ours.venue_order_id, Decimal(40)): Decimal(40), ("another", Decimal(60)): Decimal(60)}
    answer = alpaca.executions(ours, SINCE, known)
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == [100]
    assert len(wire.requests) == 1


def test_the_earliest_is_found_although_what_is_known_and_found_adds_up(
    wire: ScriptedWire, alpaca: AlpacaVenue
) -> None:
    ours = report(wire, alpaca)
    known = {(ours.venue_order_id, Decimal(80)): Decimal(40), (ours.venue_order_id, Decimal(100)): Decimal(20)}
    wire.reply(
        listing([activity("100", "20"), activity("80", "40"), *others("a", 98)]),
        listing([activity("40", "40"), *others("b", 99)]),
    )
    answer = alpaca.executions(ours, SINCE, known)
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == [40, 80, 100]


def test_fills_of_one_moment_may_be_parted_by_the_end_of_a_page(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    known = {(ours.venue_order_id, Decimal(80)): Decimal(20)}
    wire.reply(
        listing([activity("100", "20"), activity("60", "60"), *others("a", 98)]),
        listing([activity("80", "20")]),
    )
    answer = alpaca.executions(ours, SINCE, known)
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == [60, 80, 100]


def test_what_the_venue_has_last_said_of_an_order_tells_where_to_begin(wire: ScriptedWire) -> None:
    adapter = venue(wire.url, clock=lambda: SINCE + timedelta(days=3))
    ours = report(wire, adapter)
    wire.reply(listing([activity("100", "100"), *others("a", 99)]))
    assert isinstance(adapter.executions(ours, SINCE), Executions)
    assert query(wire.requests[0])["until"] == "2026-03-02T14:35:01.123457Z"
    wire.requests.clear()
    wire.reply(listing([activity("40", "40")]), listing([activity("100", "60")]))
    answer = adapter.executions(ours, SINCE)
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == [40, 100], (
        "a word that came too early hides none"
    )
    assert "until" not in query(wire.requests[1])
    assert query(wire.requests[1])["after"] == "2026-03-02T14:35:01.123456Z"
    adapter.close()


def test_an_order_that_cannot_be_found_soon_costs_others_nothing(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    old, partly = replace(ours, venue_order_id="old"), replace(ours, venue_order_id="partly")
    mine = [activity("100", "100"), activity("100", "60", id="p", order_id="partly")]
    wire.reply(listing([*mine, *others("0-", 98)]), *(listing(others(f"{page}-", 100)) for page in range(1, 30)))
    answer = alpaca.executions_of([ours, old, partly], SINCE)
    assert not isinstance(answer, OutcomeUnknown)
    assert {name: len(executions) for name, executions in answer.items()} == {ours.venue_order_id: 1}
    assert len(wire.requests) == 10


def test_what_a_failing_list_has_completed_is_kept(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    ours = report(wire, alpaca)
    old = replace(ours, venue_order_id="old")
    wire.reply(listing([activity("100", "100"), *others("a", 99)]), http(500, b""))
    answer = alpaca.executions_of([ours, old], SINCE)
    assert not isinstance(answer, OutcomeUnknown)
    assert list(answer) == [ours.venue_order_id]
    wire.reply(http(500, b""))
    assert isinstance(alpaca.executions_of([ours, old], SINCE), OutcomeUnknown)


def test_who_reads_on_for_long_leaves_what_is_kept_for_look_ups(wire: ScriptedWire) -> None:
    urgencies: list[Urgency] = []

    class Noting:
        def take(self, allowance: str, urgency: Urgency) -> float | None:
            urgencies.append(urgency)
            return None

    adapter = venue(wire.url, throttle=Noting(), clock=lambda: SINCE + timedelta(minutes=1))
    ours = report(wire, adapter)
    urgencies.clear()
    wire.reply(*(listing(others(f"{page}-", 100)) for page in range(14)), listing([]))
    assert adapter.executions(ours, SINCE) == Executions(())
    assert urgencies == [Urgency.FIRST] * 10 + [Urgency.LAST] * 5
    adapter.close()


# --- orders ----------------------------------------------------------------------------------------------------------


def test_orders_lists_every_order_in_every_state(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(
        listing(
            [
                order(id="1", client_order_id="a", status="filled", filled_qty="100"),
                order(id="2", client_order_id="b", status="replaced", replaced_by="3"),
                order(id="3", client_order_id="c"),
                order(id="4", client_order_id="d", qty=None, notional="500", filled_qty="2.5", status="new"),
                order(id="5", client_order_id="e", symbol="", side="", order_class="mleg"),
                order(id="6", client_order_id="f", symbol=None, side=None, order_class="mleg"),
            ]
        )
    )
    answer = alpaca.orders(SINCE)
    assert not isinstance(answer, (PartOfList, OutcomeUnknown))
    assert [each.client_order_id for each in answer] == ["a", "b", "c", "d"]
    assert answer[3].quantity == Decimal("2.5"), "an order for a sum of money has the units it has filled"
    asked = query(wire.requests[0])
    assert (asked["status"], asked["direction"], asked["limit"]) == ("all", "asc", "500")
    assert asked["after"] == "2026-03-02T14:29:59.999999Z"


def test_pages_of_orders_overlap_so_that_equal_times_hide_none(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    def at(number: int) -> dict[str, Any]:
        moment = (SINCE + timedelta(microseconds=number // 3)).isoformat()
        return order(id=f"{number}", client_order_id=f"c{number}", submitted_at=moment)

    everything = [at(number) for number in range(1200)]

    def page(request: Request) -> list[bytes]:
        after = datetime.fromisoformat(query(request)["after"])
        later = [each for each in everything if datetime.fromisoformat(each["submitted_at"]) > after]
        return [listing(later[:500])]

    wire.reply(*[Reply(page)] * 10)
    answer = alpaca.orders(SINCE)
    assert not isinstance(answer, (PartOfList, OutcomeUnknown))
    assert [each.venue_order_id for each in answer] == [str(number) for number in range(1200)]
    assert len(wire.requests) == 3


def test_pages_of_orders_that_go_round_in_circles_end(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    page = listing([order(id=f"{number}") for number in range(500)])
    wire.reply(page, page, page)
    answer = alpaca.orders(SINCE)
    assert isinstance(answer, PartOfList)
    assert answer.why.code == "VENUE_ANSWER_NONSENSE"
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    "different",
    [
        {"status": "liquidated"},
        {"filled_qty": "-1"},
        {"qty": "NaN"},
        {"qty": None},
        {"symbol": None},
        {"side": None},
    ],
)
def test_one_impossible_order_makes_the_list_no_answer(
    wire: ScriptedWire, alpaca: AlpacaVenue, different: dict[str, Any]
) -> None:
    wire.reply(listing([order(id="1"), order(id="2", **different)]))
    answer = alpaca.orders(SINCE)
    assert isinstance(answer, OutcomeUnknown)
    assert answer.code == "VENUE_ANSWER_NONSENSE"


# --- market data -----------------------------------------------------------------------------------------------------


def test_quotes_are_typed_and_one_sided_ones_left_out(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    def entry(bid: float, ask: float) -> dict[str, Any]:
        return {"t": "2026-03-02T14:30:01Z", "bp": bid, "ap": ask, "bs": 3, "as": 4, "c": ["R"], "z": "C"}

    body = {"quotes": {"AAPL": entry(190.1, 190.12), "F": entry(0, 11.2), "MSFT": entry(410, 410.1)}}
    wire.reply(http(200, json.dumps(body).encode()))
    quotes = alpaca.quotes(["AAPL", "F", "BRK.B"])
    assert not isinstance(quotes, OutcomeUnknown)
    assert wire.requests[0].target == "/v2/stocks/quotes/latest?symbols=AAPL,F,BRK.B"
    assert [quote.symbol for quote in quotes] == ["AAPL"]
    assert isinstance(quotes[0], Quote)
    assert [str(number) for number in (quotes[0].bid, quotes[0].ask, quotes[0].bid_size)] == ["190.1", "190.12", "3"]


@pytest.mark.parametrize("price", ['"NaN"', "-1", '"1e999999"', "1e400", "null", '"-0.01"'])
def test_an_impossible_price_makes_no_quote(wire: ScriptedWire, alpaca: AlpacaVenue, price: str) -> None:
    body = b'{"quotes": {"AAPL": {"t": "2026-03-02T14:30:01Z", "bp": PRICE, "ap": 2, "bs": 3, "as": 4}}}'
    wire.reply(http(200, body.replace(b"PRICE", price.encode())))
    assert isinstance(alpaca.quotes(["AAPL"]), OutcomeUnknown)


def test_pairs_are_asked_for_where_crypto_is_quoted(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    pair = {"t": "2026-03-02T14:30:01Z", "bp": 64000.5, "ap": 64001, "bs": 0.5, "as": 1}
    wire.reply(http(200, b'{"quotes": {}}'), http(200, json.dumps({"quotes": {"BTC/USD": pair}}).encode()))
    quotes = alpaca.quotes(["AAPL", "BTC/USD"])
    assert not isinstance(quotes, OutcomeUnknown)
    assert [(quote.symbol, str(quote.bid)) for quote in quotes] == [("BTC/USD", "64000.5")]
    assert wire.requests[1].target == "/v1beta3/crypto/us/latest/quotes?symbols=BTC%2FUSD"


def test_no_symbols_need_no_call(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    assert alpaca.quotes([]) == []
    assert wire.requests == []


def test_instruments_carry_ticks_lots_and_what_can_be_traded(wire: ScriptedWire) -> None:
    def asset(symbol: str, **different: Any) -> dict[str, Any]:
        fields = {"symbol": symbol, "name": symbol + " Inc.", "status": "active", "tradable": True}
        return fields | {"fractionable": False, "class": "us_equity"} | different

    assets = [
        asset("AAPL", fractionable=True),
        asset("BRK.A"),
        asset("BTC/USD", min_trade_increment="0.000000001", price_increment="0.5", fractionable=True),
        asset("HALT", tradable=False),
        asset("GONE", status="inactive"),
        asset("TWICE", status="inactive", tradable=False),
        asset("TWICE", name="The new one"),
        asset("TWICE", status="inactive", tradable=False),
        asset("BARE", name=None),
    ]
    body = gzip.compress(json.dumps(assets).encode())
    wire.reply(http(200, body, headers=[("Content-Encoding", "gzip")]))
    adapter = venue(wire.url, inactive=True)
    answer = adapter.instruments()
    assert not isinstance(answer, OutcomeUnknown)
    assert wire.requests[0].target == "/v2/assets"
    listed = {each.symbol: each for each in answer}
    assert isinstance(listed["AAPL"], VenueInstrument)
    assert len(answer) == len(listed) == 7
    assert [str(listed[symbol].lot_size) for symbol in ("AAPL", "BRK.A", "BTC/USD")] == ["1E-9", "1", "1E-9"]
    assert [str(listed[symbol].tick_size) for symbol in ("AAPL", "BTC/USD")] == ["0.01", "0.5"]
    assert {symbol for symbol, each in listed.items() if each.tradable} == {
        "AAPL",
        "BRK.A",
        "BTC/USD",
        "TWICE",
        "BARE",
    }
    assert (listed["GONE"].status, listed["TWICE"].name, listed["BARE"].name) == ("INACTIVE", "The new one", "BARE")
    adapter.close()


def test_thousands_of_instruments_fit(wire: ScriptedWire) -> None:
    assets = [
        {"symbol": f"S{number}", "name": "x" * 300, "status": "active", "tradable": True} for number in range(12_000)
    ]
    wire.reply(http(200, json.dumps(assets).encode()))
    adapter = venue(wire.url, timeout=5)
    answer = adapter.instruments()
    assert not isinstance(answer, OutcomeUnknown)
    assert len(answer) == 12_000
    assert wire.requests[0].target == "/v2/assets?status=active"
    adapter.close()


# --- the account -----------------------------------------------------------------------------------------------------

ACCOUNT = http(200, b'{"cash": "-12.5", "currency": "USD"}')


def position(symbol: str, quantity: str, asset_class: str = "us_equity") -> dict[str, Any]:
    side = "short" if quantity.startswith("-") else "long"
    return {"asset_id": "x", "symbol": symbol, "qty": quantity, "side": side, "asset_class": asset_class}


def pair(symbol: str, **different: Any) -> dict[str, Any]:
    return {"symbol": symbol, "name": symbol, "status": "active", "tradable": True, "class": "crypto"} | different


def test_holdings_are_cash_and_positions_by_symbol(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(ACCOUNT, listing([position("AAPL", "3"), position("F", "-2.5")]))
    assert alpaca.holdings() == VenueHoldings(Decimal("-12.5"), "USD", {"AAPL": Decimal(3), "F": Decimal("-2.5")})
    assert [request.target for request in wire.requests] == ["/v2/account", "/v2/positions"]


def test_a_crypto_position_has_the_symbol_that_its_orders_have(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(
        ACCOUNT,
        listing([position("AAPL", "3"), position("BTCUSD", "0.5", "crypto"), position("ETH/USD", "1", "crypto")]),
        listing([pair("BTC/USD"), pair("BTC/USD", status="inactive"), pair("BTC/USDC"), pair("ETH/USD")]),
    )
    holdings = alpaca.holdings()
    assert isinstance(holdings, VenueHoldings)
    assert holdings.positions == {"AAPL": Decimal(3), "BTC/USD": Decimal("0.5"), "ETH/USD": Decimal(1)}
    assert wire.requests[2].target == "/v2/assets?asset_class=crypto"


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([], "the venue lists no such pair"),
        ([pair("BTC/USDC")], "another pair"),
        ([pair("BTCUSD")], "not a pair"),
        ([pair("BTC/USD"), pair("BT/CUSD")], "either could be meant"),
        ([pair("BTC/USD", **{"class": "us_equity"})], "not crypto"),
    ],
)
def test_which_pair_a_position_is_of_is_never_guessed(
    wire: ScriptedWire, alpaca: AlpacaVenue, listed: list[dict[str, Any]], why: str
) -> None:
    wire.reply(ACCOUNT, listing([position("BTCUSD", "0.5", "crypto")]), listing(listed))
    holdings = alpaca.holdings()
    assert isinstance(holdings, VenueHoldings)
    assert holdings.positions == {"BTCUSD": Decimal("0.5")}, why


def test_a_share_whose_symbol_looks_like_a_pair_stays_what_it_is(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(
        ACCOUNT,
        listing([position("BTCUSD", "7"), position("BTCUSD", "0.5", "crypto")]),
        listing([pair("BTC/USD")]),
    )
    holdings = alpaca.holdings()
    assert isinstance(holdings, VenueHoldings)
    assert holdings.positions == {"BTCUSD": Decimal(7), "BTC/USD": Decimal("0.5")}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(500, b""), "VENUE_ERROR"),
        (http(200, HTML), "VENUE_ANSWER_UNREADABLE"),
        (listing([pair("")]), "VENUE_ANSWER_NONSENSE"),
    ],
)
def test_without_the_list_of_pairs_the_holdings_are_unknown(
    wire: ScriptedWire, alpaca: AlpacaVenue, answer: bytes, code: str
) -> None:
    wire.reply(ACCOUNT, listing([position("BTCUSD", "0.5", "crypto")]), answer)
    holdings = alpaca.holdings()
    assert isinstance(holdings, OutcomeUnknown)
    assert holdings.code == code


def test_a_pair_that_is_held_under_its_own_symbol_is_not_meant_by_another(
    wire: ScriptedWire, alpaca: AlpacaVenue
) -> None:
    both = [position("BTCUSD", "0.5", "crypto"), position("BTC/USD", "1", "crypto")]
    wire.reply(ACCOUNT, listing(both), listing([pair("BTC/USD")]))
    holdings = alpaca.holdings()
    assert isinstance(holdings, VenueHoldings)
    assert holdings.positions == {"BTCUSD": Decimal("0.5"), "BTC/USD": Decimal(1)}


def test_two_positions_of_one_symbol_are_not_believed(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    twice = [position("BTCUSD", "0.5", "crypto"), position("BTCUSD", "0.5", "crypto")]
    wire.reply(ACCOUNT, listing(twice), listing([pair("BTC/USD")]))
    holdings = alpaca.holdings()
    assert isinstance(holdings, OutcomeUnknown)
    assert holdings.code == "VENUE_ANSWER_NONSENSE"


IMPOSSIBLE = ["NaN", "-NaN", "sNaN", "-sNaN", "Infinity", "-Infinity", "1e999999", "1e12", "1e-30"]


@pytest.mark.parametrize("number", IMPOSSIBLE)
@pytest.mark.parametrize("of", ["cash", "position"])
def test_an_amount_that_cannot_be_makes_no_holdings(
    wire: ScriptedWire, alpaca: AlpacaVenue, of: str, number: str
) -> None:
    account = http(200, json.dumps({"cash": number, "currency": "USD"}).encode())
    wire.reply(*([account] if of == "cash" else [ACCOUNT, listing([position("AAPL", number)])]))
    holdings = alpaca.holdings()
    assert isinstance(holdings, OutcomeUnknown)
    assert holdings.code == "VENUE_ANSWER_NONSENSE"
