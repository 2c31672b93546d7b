"""`make screenshots`: a picture of every state of the pages, in var/screenshots, to be looked at.

Desktop and phone, light and dark, on a throw-away system of its own; ARGS="phone-dark" takes only those.
"""

from __future__ import annotations

import itertools
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Route, expect, sync_playwright

from app.settings import PROJECT_ROOT
from local.stack import LocalStack
from proofs.venue_ledger import SimulatorControl
from tests.browser.conftest import HOW_TO_GET_ONE, find_chromium, flags
from tests.browser.trader import Office, Trader
from tests.browser.trader_page import TraderPage

FOLDER = PROJECT_ROOT / "var" / "screenshots"
FORMS = {"desktop": (1440, 900), "phone": (390, 844)}
COLOURS = ("light", "dark")
ORDERS = 240
SYMBOLS = ("AAPL", "MSFT", "AMZN", "NVDA", "SPY", "KO", "F")


class Studio:
    """Takes the pictures of one form and colour."""

    def __init__(self, browser: Browser, url: str, form: str, colour: str) -> None:
        self._browser, self._url, self.form, self.colour = browser, url, form, colour
        self.is_phone = form == "phone"

    @contextmanager
    def page(self) -> Iterator[TraderPage]:
        width, height = FORMS[self.form]
        page = TraderPage(
            self._browser,
            self._url,
            viewport={"width": width, "height": height},
            color_scheme=self.colour,
            device_scale_factor=2 if self.is_phone else 1.5,
            has_touch=self.is_phone,
            is_mobile=self.is_phone,
        )
        yield page
        page.close()

    def take(self, page: TraderPage, name: str) -> None:
        page.page.wait_for_timeout(400)  # what moves comes to rest
        page.page.screenshot(path=FOLDER / f"{name}-{self.form}-{self.colour}.png")

    def go(self, page: TraderPage, place: str) -> None:
        if self.is_phone:
            page.page.get_by_role("button", name=place, exact=True).tap()


def entrance(studio: Studio, _busy: Trader, _fresh: Trader) -> None:
    with studio.page() as page:
        page.open()
        page.page.get_by_label("API key").fill("sk_wrong")
        page.page.get_by_role("button", name="Sign in").click()
        expect(page.page.locator("#key-problem")).to_contain_text("unknown")
        studio.take(page, "sign-in-refused")


def empty(studio: Studio, _busy: Trader, fresh: Trader) -> None:
    with studio.page() as page:
        page.sign_in(fresh)
        studio.take(page, "empty")
        studio.go(page, "Trade")
        page.fill_ticket(order_type="Limit", symbol="AAPPL", quantity="-5", price="abc")
        page.send()
        expect(page.errors("price")).to_be_visible()
        studio.take(page, "ticket-refused")


def full(studio: Studio, busy: Trader, _fresh: Trader) -> None:
    with studio.page() as page:
        page.sign_in(busy)
        expect(page.rows.nth(5)).to_be_visible()
        page.page.wait_for_timeout(4000)  # prices for the chart
        studio.go(page, "Trade")
        page.fill_ticket(order_type="Limit", symbol="NVDA", quantity="25", price="131.20")
        page.page.wait_for_timeout(6000)
        studio.take(page, "ticket")
        studio.go(page, "Account")
        if studio.is_phone:
            studio.take(page, "account")
        studio.go(page, "Orders")
        studio.take(page, "orders")
        page.page.screenshot(path=FOLDER / f"orders-{studio.form}-{studio.colour}-small.png", scale="css")
        page.page.get_by_role("button", name="Needs attention").click()
        row = page.page.locator('.order[data-state="NEEDS_ATTENTION"]').first
        row.locator(".symbol").click()
        expect(page.page.locator(".story li").first).to_be_visible()
        studio.take(page, "needs-attention")
        page.page.locator(".drawer").get_by_role("button", name="Venue", exact=True).click()
        studio.take(page, "venue")
        page.page.keyboard.press("Escape")
        page.page.get_by_role("button", name="Filled", exact=True).click()
        page.page.locator('.order[data-status="FILLED"]').first.locator(".symbol").click()
        page.page.locator(".drawer").get_by_role("button", name="Fills").click()
        studio.take(page, "fills")
        page.page.locator(".drawer").get_by_role("button", name="Audit", exact=True).click()
        studio.take(page, "audit")
        page.page.keyboard.press("Escape")
        page.page.get_by_role("button", name="All", exact=True).click()
        page.page.get_by_role("button", name="Cancel all", exact=True).click()
        studio.take(page, "cancel-all")
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("?")
        studio.take(page, "keyboard")
        page.page.keyboard.press("Escape")


def controlled(studio: Studio, busy: Trader, _fresh: Trader) -> None:
    with studio.page() as page:
        page.sign_in(busy)
        exits = page.page.locator(".order", has=page.page.locator(".notes", has_text="Exit")).first
        expect(exits).to_be_visible()
        studio.take(page, "exits")
        exits.locator(".symbol").click()
        page.page.locator(".drawer .link-text").click()
        expect(page.page.locator(".exit").first).to_be_visible()
        studio.take(page, "exits-of-an-order")
        page.page.keyboard.press("Escape")
        page.page.get_by_role("button", name="Open", exact=True).click()
        page.page.locator('[data-action="amend"]').first.click()
        page.page.locator("#amend-price").fill("1.001")
        page.page.get_by_role("button", name="Amend order").click()
        expect(page.page.locator(".amend .problem").first).to_be_visible()
        studio.take(page, "amend-refused")


def operated(studio: Studio, operator_key: str) -> None:
    with studio.page() as page:
        page.page.goto(f"{page.url}/ops")
        page.page.get_by_label("API key").fill(operator_key)
        page.page.get_by_role("button", name="Sign in").click()
        expect(page.page.get_by_role("region", name="Waiting orders").locator("tbody tr").first).to_be_visible()
        page.page.wait_for_timeout(400)
        page.page.screenshot(path=FOLDER / f"operations-{studio.form}-{studio.colour}.png", full_page=True)
        page.page.get_by_role("button", name="Halt …").click()
        page.page.get_by_role("button", name="A symbol").click()
        page.page.get_by_role("button", name="Halt", exact=True).click()
        expect(page.page.locator(".problem").first).to_be_visible()
        studio.take(page, "halt")
        page.page.goto(f"{page.url}/api/v1/docs")
        page.page.wait_for_timeout(2500)
        studio.take(page, "docs")


def loading(studio: Studio, busy: Trader, _fresh: Trader) -> None:
    with studio.page() as page:
        page.sign_in(busy)
        page.page.route("**/api/v1/orders?*", lambda route: None)  # an answer that does not come
        page.page.reload()
        expect(page.page.locator(".loading")).to_be_visible()
        studio.take(page, "loading")
        page.page.unroute_all(behavior="ignoreErrors")


def troubled(studio: Studio, busy: Trader, _fresh: Trader) -> None:
    with studio.page() as page:
        page.sign_in(busy)
        halt = {"id": busy.trader_id, "scope": "TRADER", "symbol": None, "code": "OPERATOR"}
        halt |= {"reason": "An order was executed beyond its quantity", "created_at": "2026-01-05T14:30:00Z"}
        account = busy.get("account") | {"trading_state": "HALTED", "halts": [halt]}
        page.page.route("**/api/v1/account", lambda route: route.fulfill(json=account))
        page.page.reload()
        expect(page.page.get_by_text("Trading is halted.")).to_be_visible()
        studio.take(page, "halted")
        page.page.route("**/api/v1/**", _refuse)
        page.page.route_web_socket("**/socket.io/**", lambda route: route.close())
        page.page.get_by_role("button", name="Rejected", exact=True).click()
        page.context.set_offline(True)
        expect(page.page.get_by_text("The orders could not be loaded")).to_be_visible()
        studio.take(page, "list-failed")
    with studio.page() as page:
        page.page.route_web_socket("**/socket.io/**", lambda route: route.close())
        page.sign_in_without_waiting(busy)
        expect(page.rows.first).to_be_visible()
        page.page.route("**/api/v1/**", _refuse)
        expect(page.pill).to_have_attribute("data-state", "offline")
        page.pill.click()
        studio.take(page, "offline")
        page.page.route("**/api/v1/account", _refuse)
        page.page.reload()
        expect(page.page.get_by_text("The server cannot be reached.")).to_be_visible()
        studio.take(page, "unreachable")


def _refuse(route: Route) -> None:
    route.abort("connectionrefused")


SCENES: tuple[Callable[[Studio, Trader, Trader], None], ...] = (
    entrance, empty, full, controlled, loading, troubled,
)  # fmt: skip


def trade(trader: Trader, venue: SimulatorControl) -> None:
    """A busy morning: orders of every kind and end."""
    dice = random.Random(7)
    quotes = {symbol: trader.get(f"quotes/{symbol}") for symbol in SYMBOLS}
    for number in range(ORDERS):
        symbol = dice.choice(SYMBOLS)
        bid = float(quotes[symbol]["bid"])
        terms: dict[str, object] = {"symbol": symbol, "quantity": str(dice.choice((5, 10, 25, 40, 120)))}
        if number % 7 == 3:
            terms |= {"order_type": "LIMIT", "price": f"{bid * 0.9:.2f}", "time_in_force": dice.choice(("DAY", "GTC"))}
        elif number % 9 == 4:
            terms |= {"order_type": "LIMIT", "price": f"{bid * 1.02:.2f}"}
        if number % 31 == 30:
            venue.add_faults({"kind": "refuse", "times": 1, "symbol": symbol})
        if number > 40 and number % 6 == 5:  # some of what has been bought by then
            terms = {"symbol": symbol, "quantity": "5", "side": "SELL"}
        order_id = trader.submit(**terms)
        if number % 14 == 3:
            trader.call("POST", f"orders/{order_id}/cancel")
    for symbol, number in (("AAPL", 40), ("MSFT", 10)):
        ask = float(quotes[symbol]["ask"])
        exits = {"stop_loss": f"{ask * 0.95:.2f}", "take_profit": f"{ask * 1.05:.2f}"}
        trader.submit(symbol=symbol, quantity=str(number), order_type="LIMIT", price=f"{ask * 1.02:.2f}", **exits)
    venue.add_faults({"kind": "error_503_before_accept", "symbol": "TSLA"}, {"kind": "lookup_error", "symbol": "TSLA"})
    stuck = [trader.submit(symbol="TSLA", quantity=quantity) for quantity in ("4", "12")]
    venue.set_quote("KO", bid="62.5", ask="62.51", bid_size="40", ask_size="40")
    venue.change_settings(partial_fill_interval_ms=600_000)
    trader.submit(symbol="KO", quantity="150", order_type="LIMIT", price="62.60")
    trader.submit(symbol="KO", quantity="120", order_type="LIMIT", price="62.61", stop_loss="60")
    venue.change_settings(cancel_delay_ms=3_600_000)
    changing = trader.submit(symbol="SPY", quantity="20", order_type="LIMIT", price="500")
    trader.until(changing, "WORKING")
    trader.call("PATCH", f"orders/{changing}", {"price": "501.5"})
    for order_id in stuck:
        trader.until(order_id, "NEEDS_ATTENTION")


def main() -> None:
    path = find_chromium()
    if path is None:
        raise SystemExit(HOW_TO_GET_ONE)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    environment = {"VENUE_MAX_IN_FLIGHT_SECONDS": "6", "ORDER_TIMEOUT_SECONDS": "3600"}
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder), environment, durable=False) as system:
        office = Office(system)
        busy, fresh = (
            office.open_account("busy", max_open_orders=90, daily_loss_limit=50_000),
            office.open_account("fresh"),
        )
        trade(busy, SimulatorControl(system.simulator_url))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=flags())
            wanted = sys.argv[1:]
            for form, colour in itertools.product(FORMS, COLOURS):
                if wanted and f"{form}-{colour}" not in wanted:
                    continue
                for scene in SCENES:
                    scene(Studio(browser, system.url, form, colour), busy, fresh)
                operated(Studio(browser, system.url, form, colour), office.operator_key)
            browser.close()
        office.close()
    print(f"{len(list(FOLDER.iterdir()))} pictures in {FOLDER}")


if __name__ == "__main__":
    main()
