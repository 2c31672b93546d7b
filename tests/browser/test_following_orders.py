"""What happens to orders is on the screen as it happens, without a gap, and can be acted on."""

from __future__ import annotations

import re
from collections.abc import Callable

import psutil
from playwright.sync_api import WebSocketRoute, expect

from local.stack import LocalStack
from proofs.venue_ledger import SimulatorControl
from tests.browser.trader import Trader
from tests.browser.trader_page import TraderPage

NewPage = Callable[..., TraderPage]


def test_an_order_sent_elsewhere_appears_and_its_cancel_is_one_press(page: TraderPage, trader: Trader) -> None:
    order_id = trader.submit(order_type="LIMIT", price="100")
    page.shows(order_id, "WORKING")
    page.press(order_id, "cancel")
    row = page.shows(order_id, "CLOSED", "CANCELLED")
    expect(row.locator(".reason")).to_have_text("Cancelled on the trader's request.")
    expect(row.locator("button")).to_have_count(0)


def test_cancel_all_asks_first_and_then_cancels_every_open_order(page: TraderPage, trader: Trader) -> None:
    ids = [trader.submit(order_type="LIMIT", price=price) for price in ("100", "101", "102")]
    for order_id in ids:
        page.shows(order_id, "WORKING")
    page.page.get_by_role("button", name="Cancel all", exact=True).click()
    asked = page.page.get_by_role("dialog", name="Cancel 3 open orders?")
    asked.get_by_role("button", name="Go back").click()
    page.page.get_by_role("button", name="Cancel all", exact=True).click()
    asked.get_by_role("button", name="Cancel all open orders").click()
    for order_id in ids:
        page.shows(order_id, "CLOSED", "CANCELLED")


def test_an_order_that_needs_attention_says_why_and_is_retried(
    page: TraderPage, trader: Trader, venue: SimulatorControl
) -> None:
    venue.add_faults({"kind": "error_503_before_accept", "symbol": "TSLA"}, {"kind": "lookup_error", "symbol": "TSLA"})
    order_id = trader.submit(symbol="TSLA")
    page.shows(order_id, "NEEDS_ATTENTION")
    expect(page.page.locator(".tabs .count")).to_have_text("1")
    drawer = page.open_order(order_id)
    why = drawer.get_by_role("region", name="Why is it in this state?")
    expect(why).to_contain_text("All retries are spent without a definite answer.")
    expect(why).to_contain_text("2 attempts so far")
    expect(drawer.locator(".story li").last).to_contain_text("Retries spent")
    expect(drawer.locator(".story")).to_contain_text("Attempt 2")
    drawer.get_by_role("button", name="Venue").click()
    expect(drawer.locator(".conversation .ours").first).to_contain_text("BUY 1 TSLA")
    drawer.get_by_role("button", name="Audit").click()
    expect(drawer.locator(".audit tbody tr").first).to_contain_text("SUBMITTED")
    venue.remove_faults()
    drawer.locator('[data-action="retry"]').click()
    page.shows(order_id, "CLOSED", "FILLED")
    drawer.get_by_role("button", name="Fills").click()
    expect(drawer.locator("tbody tr")).to_have_count(1)
    page.page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(page.page.locator(".tabs .count")).to_have_count(0)


def test_parts_that_are_filled_move_the_bar(page: TraderPage, trader: Trader, venue: SimulatorControl) -> None:
    venue.set_quote("KO", bid="62.5", ask="62.51", bid_size="100", ask_size="100")
    venue.change_settings(partial_fill_interval_ms=600)
    try:
        order_id = trader.submit(symbol="KO", quantity="250")
        row = page.row(order_id)
        expect(row).to_have_attribute("data-status", "PARTIAL")
        expect(row.locator(".state")).to_have_text("Part filled")
        expect(row.locator(".filled")).to_contain_text("/ 250")
        page.shows(order_id, "CLOSED", "FILLED")
        expect(row.get_by_role("img")).to_have_attribute("aria-label", "100 percent filled")
    finally:
        venue.change_settings(partial_fill_interval_ms=50)


def test_two_traders_side_by_side_see_only_their_own(new_page: NewPage, new_trader: Callable[[], Trader]) -> None:
    ann, ben = new_trader(), new_trader()
    anns, bens = new_page(), new_page()
    anns.sign_in(ann)
    bens.sign_in(ben)
    of_ann = [ann.submit(symbol="AAPL"), ann.submit(symbol="MSFT")]
    of_ben = [ben.submit(symbol="KO")]
    for page, own in ((anns, of_ann), (bens, of_ben)):
        for order_id in own:
            page.shows(order_id, "CLOSED", "FILLED")
        assert set(page.rows.evaluate_all("rows => rows.map(row => row.dataset.id)")) == set(own)


class Wire:
    """The page's WebSocket to the real server, which a test may cut, and keep down for a while."""

    def __init__(self, page: TraderPage) -> None:
        self.is_down = False
        self.connections = 0
        self._open: list[WebSocketRoute] = []
        page.page.route_web_socket("**/socket.io/**", self._connect)

    def _connect(self, route: WebSocketRoute) -> None:
        if self.is_down:
            route.close()
            return
        self.connections += 1
        route.connect_to_server()
        self._open.append(route)

    def cut(self) -> None:
        self.is_down = True
        for route in self._open:
            route.close()
        self._open.clear()


def test_what_happens_while_the_page_is_cut_off_is_there_after_it_reconnects(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    wire = Wire(page)
    page.sign_in(trader)
    before = trader.submit(order_type="LIMIT", price="100")
    page.shows(before, "WORKING")

    page.page.route("**/api/v1/events**", lambda route: route.abort("internetdisconnected"))
    wire.cut()
    expect(page.pill).to_have_attribute("data-state", "offline")
    missed = [trader.submit(symbol=symbol) for symbol in ("AAPL", "MSFT", "KO")]
    trader.call("POST", f"orders/{before}/cancel")
    for order_id in [*missed, before]:
        trader.until(order_id, "CLOSED")
    assert page.rows.count() == 1

    wire.is_down = False
    page.is_live()
    assert wire.connections == 2
    page.shows(before, "CLOSED", "CANCELLED")
    for order_id in missed:
        page.shows(order_id, "CLOSED", "FILLED")
    head = trader.get("events?since=0&limit=1")["head_seq"]
    page.pill.click()
    expect(page.page.locator("#connection")).to_contain_text(f"Last event here{head}")


def test_while_the_live_connection_is_down_the_server_is_asked_instead(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    wire = Wire(page)
    page.sign_in(trader)
    wire.cut()
    expect(page.pill).to_have_attribute("data-state", "polling")
    page.shows(trader.submit(), "CLOSED", "FILLED")


def test_a_page_that_was_closed_tells_what_happened_meanwhile(page: TraderPage, trader: Trader) -> None:
    page.shows(trader.submit(), "CLOSED")
    page.page.goto("about:blank")
    for symbol in ("AAPL", "MSFT", "KO"):
        trader.until(trader.submit(symbol=symbol), "CLOSED")
    page.open()
    expect(page.page.get_by_text("While you were away: 3 filled")).to_be_visible()
    expect(page.rows).to_have_count(4)


def test_a_server_that_knows_less_than_the_page_makes_it_start_over(new_page: NewPage, trader: Trader) -> None:
    order_id = trader.submit()
    trader.until(order_id, "CLOSED")
    page = new_page()
    refusals = 0

    def refuse_once(route: WebSocketRoute) -> None:
        nonlocal refusals
        server = route.connect_to_server()
        if refusals:
            return
        refusals += 1
        route.on_message(
            lambda message: (
                server.send(message)
                if not str(message).startswith("40")
                else route.send('44{"message":"SEQ_AHEAD","data":{"code":"SEQ_AHEAD"}}')
            )
        )

    page.page.route_web_socket("**/socket.io/**", refuse_once)
    page.sign_in(trader)
    expect(page.page.get_by_text("The server's history began anew")).to_be_visible()
    page.shows(order_id, "CLOSED", "FILLED")
    page.shows(trader.submit(symbol="KO"), "CLOSED", "FILLED")


def test_a_place_that_lies_ahead_of_the_server_is_forgotten(page: TraderPage, trader: Trader) -> None:
    page.shows(trader.submit(), "CLOSED")
    page.page.goto("about:blank")
    page.page.add_init_script(f"sessionStorage.setItem('surefill.trader.seq.{trader.trader_id}', '999999')")
    page.open()
    page.is_live()
    page.shows(trader.submit(symbol="KO"), "CLOSED", "FILLED")


def test_a_server_that_is_started_again_is_found_by_itself(
    page: TraderPage, trader: Trader, system: LocalStack
) -> None:
    page.shows(trader.submit(), "CLOSED", "FILLED")
    workers = [psutil.Process(each) for each in system.pids("web")[1:]]
    pid = system.kill("web")
    system.wait_until_restarted("web", pid)
    psutil.wait_procs(workers, timeout=10)  # they serve on for a moment and would reset the next test's connections
    page.is_live()
    page.shows(trader.submit(symbol="KO"), "CLOSED", "FILLED")


def test_what_is_open_is_asked_again_until_it_is_known(new_page: NewPage, trader: Trader) -> None:
    trader.submit(order_type="LIMIT", price="100")
    page = new_page()
    lists = re.compile(r"/api/v1/orders\?")
    page.page.route(lists, lambda route: route.abort("connectionreset"))
    page.sign_in(trader)
    cancel_all = page.page.get_by_role("button", name="Cancel all", exact=True)
    expect(page.page.get_by_role("button", name="Try again")).to_be_visible()
    expect(cancel_all).to_be_enabled()  # nobody knows that there is nothing to cancel
    cancel_all.click()
    expect(page.page.get_by_role("dialog", name="Cancel all open orders?")).to_be_visible()
    page.page.keyboard.press("Escape")
    page.page.unroute(lists)
    page.page.wait_for_timeout(11_000)  # it is asked for every ten seconds
    cancel_all.click()
    expect(page.page.get_by_role("dialog", name="Cancel 1 open order?")).to_be_visible()
