"""The Alpaca adapter against the simulator, each in its own process, over real HTTP and a real WebSocket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain.venue_answers import (
    Accepted,
    ClientIdUniqueness,
    Executions,
    Found,
    NotFound,
    OrderInstruction,
    OutcomeUnknown,
    PartOfList,
    Refused,
    VenueCapabilities,
    VenueHoldings,
    VenueOrderStatus,
)
from app.venues.alpaca import AlpacaVenue
from app.venues.alpaca_stream import AlpacaTradeStream
from app.venues.port import StreamLost, TradeStream, Venue
from proofs.fake_venue import Fault
from tests.venues.conformance import (
    LIMIT,
    SLACK_SECONDS,
    SYMBOL,
    Scene,
    VenueConformance,
    found_status,
    report_of,
    resting_order,
    updates_until_end,
)
from tests.venues.simulator_process import SimulatorProcess

TIMEOUT = 2.0  # seconds; a busy machine's simulator must not be mistaken for a slow one

FAULTS: dict[Fault, dict[str, Any]] = {
    Fault.SUBMIT_REFUSED: {"kind": "refuse"},
    Fault.SUBMIT_LOST: {"kind": "connection_lost_before_accept"},
    Fault.SUBMIT_ERROR: {"kind": "error_503_before_accept"},
    Fault.SUBMIT_RATE_LIMITED: {"kind": "rate_limited_429"},
    Fault.SUBMIT_REPLY_LOST: {"kind": "reply_lost_after_accept"},
    Fault.SUBMIT_ERROR_AFTER_ACCEPT: {"kind": "error_504_after_accept"},
    Fault.SUBMIT_REPLY_UNREADABLE: {"kind": "html_instead_of_json", "status": 200},
    Fault.SUBMIT_ACCEPTED_LATE: {"kind": "late_accept"},
    Fault.SUBMIT_REJECTED_LATER: {"kind": "reject_later"},
    Fault.SUBMIT_FOUND_LATER: {"kind": "lookup_unknown_for"},
    Fault.FIND_ERROR: {"kind": "lookup_error"},
    Fault.EXECUTIONS_ERROR: {"kind": "error_500_before_accept", "on": "activities"},
    Fault.CANCEL_ERROR: {"kind": "error_503_before_accept", "on": "cancel"},
    Fault.CANCEL_REPLY_LOST: {"kind": "cancel_reply_lost"},
    Fault.ORDERS_ERROR: {"kind": "error_500_before_accept", "on": "list"},
    Fault.QUOTES_ERROR: {"kind": "error_500_before_accept", "on": "market_data"},
    Fault.INSTRUMENTS_ERROR: {"kind": "error_500_before_accept", "on": "market"},
}
ABOUT_NO_ORDER = ("activities", "list", "market_data", "market")


class SimulatorScene:
    timeout_seconds = TIMEOUT

    def __init__(self, simulator: SimulatorProcess, uniqueness: ClientIdUniqueness) -> None:
        self.simulator = simulator
        self.alpaca = AlpacaVenue(
            name="simulator",
            base_url=simulator.url,
            data_url=simulator.url,
            key_id=simulator.key_id,
            secret_key=simulator.secret_key,
            timeout_seconds=TIMEOUT,
            capabilities=VenueCapabilities(uniqueness, timedelta(seconds=30)),
            include_inactive_instruments=True,
        )
        self.venue: Venue = self.alpaca
        self.stream: TradeStream = AlpacaTradeStream(
            stream_url=simulator.url.replace("http:", "ws:") + "/stream",
            key_id=simulator.key_id,
            secret_key=simulator.secret_key,
            timeout_seconds=TIMEOUT,
        )
        simulator.control("POST", "settings", {"client_id_uniqueness": uniqueness.value})
        self._quote(Decimal("190.10"), Decimal("190.12"))

    def _quote(self, bid: Decimal, ask: Decimal, size: int = 1000) -> None:
        quote = {"symbol": SYMBOL, "bid": str(bid), "ask": str(ask), "bid_size": str(size), "ask_size": str(size)}
        self.simulator.control("POST", "quotes", quote | {"frozen": True})

    def rule(self, **fields: Any) -> None:
        self.simulator.control("POST", "faults", fields)

    def misbehave(self, fault: Fault, client_order_id: str, *, seconds: float = 1.0) -> None:
        rule = FAULTS[fault]
        about = {"times": 1} if rule.get("on") in ABOUT_NO_ORDER else {"client_order_id": client_order_id}
        self.rule(**rule, **about, seconds=seconds)

    def execute(self, client_order_id: str) -> None:
        self.simulator.control("POST", "settings", {"partial_fill_interval_ms": 20})
        self._quote(LIMIT - Decimal("0.05"), LIMIT, size=40)

    def execute_part(self, client_order_id: str) -> None:
        self.simulator.control("POST", "settings", {"partial_fill_interval_ms": 60_000})
        self._quote(LIMIT - Decimal("0.05"), LIMIT, size=40)

    def orders_at_venue(self, client_order_id: str) -> int:
        return len(self.simulator.control("GET", f"ledger?client_order_id={client_order_id}")["orders"])

    def submits_received(self, client_order_id: str) -> int:
        path = f"requests?operation=submit&client_order_id={client_order_id}"
        logged = self.simulator.control("GET", path)["requests"]
        return sum(entry["outcome"] != "took_effect_late" for entry in logged)  # that one was logged when it came

    def cut_stream(self) -> None:
        self.simulator.control("POST", "stream/cut", {})

    def until(self, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.01)
        return False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def close(self) -> None:
        self.stream.close()
        self.venue.close()
        self.simulator.control("POST", "reset", {})
        self.simulator.control("POST", "settings", {"client_id_uniqueness": "permanent"})
        self.simulator.cancel_everything()


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator")) as process:
        yield process


class TestAlpacaAgainstTheSimulator(VenueConformance):
    @pytest.fixture
    def scene(self, simulator: SimulatorProcess) -> Iterator[Scene]:
        scene = SimulatorScene(simulator, ClientIdUniqueness.PERMANENT)
        yield scene
        scene.close()

    @pytest.mark.parametrize("uniqueness", list(ClientIdUniqueness))
    def test_every_kind_of_uniqueness_is_what_the_adapter_reports(
        self, simulator: SimulatorProcess, uniqueness: ClientIdUniqueness
    ) -> None:
        scene = SimulatorScene(simulator, uniqueness)
        try:
            self.test_a_repeated_client_order_id_meets_what_the_venue_promises(scene)
        finally:
            scene.close()


@pytest.fixture
def scene(simulator: SimulatorProcess) -> Iterator[SimulatorScene]:
    scene = SimulatorScene(simulator, ClientIdUniqueness.PERMANENT)
    yield scene
    scene.close()


NONSENSE = [
    "nonsense_wrong_order",
    "nonsense_wrong_symbol",
    "nonsense_negative_fill",
    "nonsense_overfill",
    "nonsense_unknown_status",
    "nonsense_nan",
    "nonsense_missing_fields",
    "nonsense_wrong_types",
    "nonsense_huge_body",
]


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_in_the_answer_to_a_submit_leaves_its_outcome_unknown(scene: SimulatorScene, kind: str) -> None:
    order = resting_order()
    scene.rule(kind=kind, on="submit", client_order_id=order.client_order_id)
    start = time.monotonic()
    answer = scene.venue.submit(order)
    assert time.monotonic() - start < TIMEOUT + SLACK_SECONDS
    assert isinstance(answer, OutcomeUnknown)
    assert isinstance(scene.venue.find(order.client_order_id), Found)


@pytest.mark.parametrize("kind", [kind for kind in NONSENSE if kind != "nonsense_wrong_symbol"])
def test_nonsense_in_the_answer_to_a_look_up_is_no_answer(scene: SimulatorScene, kind: str) -> None:
    order = resting_order()
    scene.venue.submit(order)
    scene.rule(kind=kind, client_order_id=order.client_order_id)
    assert isinstance(scene.venue.find(order.client_order_id), OutcomeUnknown)
    assert isinstance(scene.venue.find(order.client_order_id), Found)


@pytest.mark.parametrize(
    "kind",
    # A list has no order that it must be about, so another one's id or symbol is no nonsense in it.
    [*NONSENSE[2:], "html_instead_of_json", "cut_json", "timeout_408", "rate_limited_429"],
)
def test_nonsense_in_a_list_of_orders_is_no_list(scene: SimulatorScene, kind: str) -> None:
    start = scene.now()
    scene.venue.submit(resting_order())
    scene.rule(kind=kind, on="list", times=1)
    assert isinstance(scene.venue.orders(start), OutcomeUnknown)


SUBMIT_FAULTS: list[tuple[dict[str, Any], bool]] = [
    ({"kind": "error_500_before_accept"}, False),
    ({"kind": "error_500_after_accept"}, True),
    ({"kind": "error_503_after_accept"}, True),
    ({"kind": "error_504_before_accept"}, False),
    ({"kind": "timeout_408"}, False),
    ({"kind": "timeout_408", "after_accept": True}, True),
    ({"kind": "html_instead_of_json", "status": 502}, True),
    ({"kind": "html_instead_of_json", "status": 403}, True),
    ({"kind": "html_instead_of_json", "status": 422, "after_accept": False}, False),
    ({"kind": "html_instead_of_json", "status": 401}, True),
    ({"kind": "html_instead_of_json", "status": 404}, True),
    ({"kind": "html_instead_of_json", "status": 200, "after_accept": False}, False),
    ({"kind": "cut_json"}, True),
    ({"kind": "cut_json", "connection": True}, True),
    ({"kind": "slow", "seconds": 3}, True),
    ({"kind": "late_accept", "seconds": 5, "hang_up_after": 0.2}, False),
]


@pytest.mark.parametrize(("rule", "takes_effect"), SUBMIT_FAULTS, ids=str)
def test_a_submit_that_fails_is_unknown_whether_or_not_it_took_effect(
    scene: SimulatorScene, rule: dict[str, Any], takes_effect: bool
) -> None:
    order = resting_order()
    scene.rule(**rule, client_order_id=order.client_order_id)
    start = time.monotonic()
    answer = scene.venue.submit(order)
    assert time.monotonic() - start < TIMEOUT + SLACK_SECONDS
    assert isinstance(answer, OutcomeUnknown)
    found = scene.venue.find(order.client_order_id)
    assert isinstance(found, Found if takes_effect else NotFound)
    assert scene.until(lambda: scene.submits_received(order.client_order_id) == 1), "logged when the request ends"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500, 502, 503])
def test_a_gateways_page_is_never_a_not_found(scene: SimulatorScene, status: int) -> None:
    order = resting_order()
    scene.rule(kind="html_instead_of_json", on="lookup", status=status, client_order_id=order.client_order_id)
    assert isinstance(scene.venue.find(order.client_order_id), OutcomeUnknown)
    assert isinstance(scene.venue.find(order.client_order_id), NotFound)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"symbol": "NOSUCH"}, "VENUE_INSTRUMENT_UNKNOWN"),
    ({"symbol": "GONE"}, "VENUE_INSTRUMENT_NOT_TRADABLE"),
    ({"symbol": "HALT"}, "VENUE_INSTRUMENT_NOT_TRADABLE"),
    ({"limit_price": Decimal("150.253")}, "VENUE_PRICE_INCREMENT"),
    ({"quantity": Decimal(900_000_000)}, "VENUE_INSUFFICIENT_FUNDS"),
    ({"symbol": "BTC/USD", "side": "SELL", "limit_price": Decimal(99_000)}, "VENUE_INSUFFICIENT_SHARES"),
    ({"quantity": Decimal("0.5"), "symbol": "BRK.A"}, "VENUE_FRACTION_REFUSED"),
]


@pytest.mark.parametrize(("different", "code"), REFUSED, ids=str)
def test_a_refusal_has_a_code_that_says_what_is_wrong(
    scene: SimulatorScene, different: dict[str, Any], code: str
) -> None:
    answer = scene.venue.submit(replace(resting_order(), **different))
    assert isinstance(answer, Refused), answer
    assert (answer.code, answer.message[-1]) == (code, ".")


def test_wrong_keys_are_no_refusal_of_the_order(scene: SimulatorScene) -> None:
    stranger = AlpacaVenue(
        name="simulator",
        base_url=scene.simulator.url,
        data_url=scene.simulator.url,
        key_id="stranger",
        secret_key="wrong",
        timeout_seconds=TIMEOUT,
        capabilities=scene.venue.capabilities,
    )
    for answer in (
        stranger.submit(resting_order()),
        stranger.find("x"),
        stranger.cancel("x"),
        stranger.orders(scene.now()),
    ):
        assert isinstance(answer, OutcomeUnknown)
        assert answer.code == "VENUE_UNAUTHORIZED"
    stranger.close()
    stream = AlpacaTradeStream(
        stream_url=scene.simulator.url.replace("http:", "ws:") + "/stream",
        key_id="stranger",
        secret_key="wrong",
        timeout_seconds=TIMEOUT,
    )
    with pytest.raises(StreamLost, match="VENUE_UNAUTHORIZED"):
        stream.connect()


def test_market_stop_and_every_time_in_force_are_understood(scene: SimulatorScene) -> None:
    def order(order_type: str, time_in_force: str, **prices: Decimal) -> OrderInstruction:
        base = resting_order()
        return OrderInstruction(base.client_order_id, SYMBOL, "BUY", Decimal(10), order_type, time_in_force, **prices)

    for instruction, status in (
        (order("MARKET", "DAY"), VenueOrderStatus.FILLED),
        (order("MARKET", "GTC"), VenueOrderStatus.FILLED),
        (order("LIMIT", "IOC", limit_price=LIMIT), VenueOrderStatus.CANCELLED),
        (order("LIMIT", "FOK", limit_price=Decimal("191")), VenueOrderStatus.FILLED),
        (order("STOP", "GTC", stop_price=Decimal("250.10")), VenueOrderStatus.WORKING),
    ):
        answer = scene.venue.submit(instruction)
        assert isinstance(answer, Accepted), answer

        def reached(wanted: OrderInstruction = instruction, status: VenueOrderStatus = status) -> bool:
            return report_of(scene.venue.find(wanted.client_order_id)).status is status

        assert scene.until(reached), instruction


def test_a_crypto_position_is_held_under_the_symbol_that_was_ordered(scene: SimulatorScene) -> None:
    name = resting_order().client_order_id
    order = OrderInstruction(name, "BTC/USD", "BUY", Decimal("0.5"), "MARKET", "GTC")
    assert isinstance(scene.venue.submit(order), Accepted)
    assert scene.until(lambda: report_of(scene.venue.find(name)).status is VenueOrderStatus.FILLED)
    holdings = scene.alpaca.holdings()
    assert isinstance(holdings, VenueHoldings), holdings
    assert holdings.positions["BTC/USD"] == Decimal("0.5")
    assert "BTCUSD" not in holdings.positions


def test_more_orders_than_a_page_are_all_listed(scene: SimulatorScene) -> None:
    start = scene.now()
    orders = [resting_order(Decimal(50)) for _ in range(620)]
    for order in orders:
        assert isinstance(scene.venue.submit(replace(order, quantity=Decimal(1))), Accepted)
    listed = scene.venue.orders(start)
    assert not isinstance(listed, (PartOfList, OutcomeUnknown))
    wanted = [each.client_order_id for each in orders]
    # An order of an earlier test that the venue accepts late may stand among them.
    assert [each.client_order_id for each in listed if each.client_order_id in set(wanted)] == wanted


def test_more_executions_than_a_page_are_all_listed(scene: SimulatorScene) -> None:
    start = scene.now()
    scene.simulator.control("POST", "settings", {"partial_fill_interval_ms": 0})
    order = replace(resting_order(), quantity=Decimal(230))
    scene.venue.submit(order)
    scene._quote(LIMIT - 1, LIMIT, size=1)
    assert scene.until(lambda: report_of(scene.venue.find(order.client_order_id)).status is VenueOrderStatus.FILLED)
    answer = scene.venue.executions(report_of(scene.venue.find(order.client_order_id)), start)
    assert isinstance(answer, Executions)
    assert [each.cumulative_quantity for each in answer.executions] == list(range(1, 231))


@pytest.mark.parametrize("moment", ["before its fill", "after its fill"])
def test_a_missed_fill_is_found_whatever_the_account_has_traded(
    scene: SimulatorScene, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Two hundred fills of others would be forty pages, six seconds; the adapter has two."""
    monkeypatch.setattr("app.venues.alpaca._ACTIVITIES_PAGE", 5)
    monkeypatch.setattr("app.venues.alpaca._AFTER_LAST_REPORT", timedelta(0), raising=False)
    scene.simulator.control("POST", "settings", {"partial_fill_interval_ms": 0})
    start = scene.now()
    ours = replace(resting_order(Decimal(170)), quantity=Decimal(2))
    scene.venue.submit(ours)

    def trade(order: OrderInstruction, size: int) -> None:
        assert order.limit_price is not None
        scene._quote(order.limit_price - 1, order.limit_price, size=size)
        assert scene.until(lambda: found_status(scene, order) is VenueOrderStatus.FILLED)
        scene._quote(Decimal("190.10"), Decimal("190.12"))

    def others_trade() -> None:
        others = replace(resting_order(Decimal(180)), quantity=Decimal(200))
        scene.venue.submit(others)
        trade(others, 1)

    if moment == "before its fill":
        others_trade()
    trade(ours, 1)
    if moment == "after its fill":
        others_trade()
    report = report_of(scene.venue.find(ours.client_order_id))
    scene.rule(kind="slow", on="activities", seconds=0.15, times=1000)
    answer = scene.venue.executions(report, start)
    assert isinstance(answer, Executions), answer
    assert [each.cumulative_quantity for each in answer.executions] == [1, 2]
    listed = scene.simulator.control("GET", "requests?operation=activities&limit=1000")["requests"]
    assert sum(datetime.fromisoformat(each["received_at"]) >= start for each in listed) <= 2


def test_the_adapter_goes_on_when_the_venue_was_killed_and_came_back(scene: SimulatorScene) -> None:
    order, later = resting_order(), resting_order()
    assert isinstance(scene.venue.submit(order), Accepted)
    scene.stream.connect()
    scene.simulator.kill()
    answer = scene.venue.submit(later)
    assert isinstance(answer, OutcomeUnknown)
    unreachable = scene.venue.submit(later)
    assert isinstance(unreachable, OutcomeUnknown)
    assert (unreachable.code, unreachable.nothing_sent) == ("VENUE_UNREACHABLE", True)
    with pytest.raises(StreamLost):
        scene.until(lambda: list(scene.stream.updates(0.1)) == [None])
    scene.simulator.start()
    assert isinstance(scene.venue.find(order.client_order_id), Found)
    assert isinstance(scene.venue.find(later.client_order_id), NotFound)
    scene.stream.connect()
    accepted = scene.venue.submit(later)
    assert isinstance(accepted, Accepted)
    scene.venue.cancel(accepted.report.venue_order_id)
    assert updates_until_end(scene, later)[-1].report.status is VenueOrderStatus.CANCELLED


def test_a_stream_that_repeats_or_loses_fills_still_tells_the_truth_about_each(scene: SimulatorScene) -> None:
    scene.stream.connect()
    order = resting_order()
    scene.rule(kind="stream_repeat", client_order_id=order.client_order_id)
    scene.venue.submit(order)
    scene.execute(order.client_order_id)
    updates = updates_until_end(scene, order)
    cumulative = [update.execution.cumulative_quantity for update in updates if update.execution is not None]
    assert set(cumulative) == {40, 80, 100}


@pytest.mark.parametrize("kind", ["nonsense_overfill", "nonsense_nan", "nonsense_wrong_types"])
def test_nonsense_on_the_stream_loses_it(scene: SimulatorScene, kind: str) -> None:
    scene.stream.connect()
    order = resting_order()
    scene.rule(kind=kind, on="stream", client_order_id=order.client_order_id)
    scene.venue.submit(order)
    with pytest.raises(StreamLost):
        scene.until(lambda: list(scene.stream.updates(0.1)) == [None])
