"""The page as a person uses it, and everything it complains about on the way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.browser.trader import Trader

AXE = Path(__file__).parent / "js" / "node_modules" / "axe-core" / "axe.min.js"

PATIENCE_MILLISECONDS = 20_000
"""For what no requirement bounds: a busy machine may be slow."""
# A refusal is an answer, and a server that is away is what some tests are about: the browser notes both by itself.
_EXPECTED = re.compile(r"Failed to load resource|WebSocket connection to")

expect.set_options(timeout=PATIENCE_MILLISECONDS)


class TraderPage:
    """One page in a browser of its own."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.url = url
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context})
        self.context.set_default_timeout(PATIENCE_MILLISECONDS)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        """What a developer would see in the console, and uncaught errors. Each is a defect."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"a dialog of the browser: {dialog.message}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.search(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    def close(self) -> None:
        self.context.close()

    # -- signing in ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.page.goto(self.url)

    def sign_in(self, trader: Trader) -> None:
        """Open the page, sign in, and wait until it is live."""
        self.sign_in_without_waiting(trader)
        self.is_live()

    def sign_in_without_waiting(self, trader: Trader) -> None:
        self.open()
        self.page.get_by_label("API key").fill(trader.key)
        self.page.get_by_role("button", name="Sign in").click()

    def is_live(self) -> None:
        expect(self.pill).to_have_attribute("data-state", "live")

    @property
    def pill(self) -> Locator:
        return self.page.locator(".connection .pill")

    # -- the ticket ----------------------------------------------------------------------------------------------------

    @property
    def ticket(self) -> Locator:
        return self.page.get_by_role("region", name="Order ticket")

    def fill_ticket(self, side: str = "Buy", order_type: str = "Market", **fields: str) -> None:
        self.ticket.get_by_role("group", name="Side").get_by_role("button", name=side, exact=True).click()
        self.ticket.get_by_role("group", name="Type").get_by_role("button", name=order_type, exact=True).click()
        for name, value in fields.items():
            self.ticket.locator(f"#{name}").fill(value)

    def send(self) -> None:
        self.ticket.locator("button.wide").click()

    def errors(self, field: str) -> Locator:
        return self.ticket.locator(f"#{field}-problem .problem")

    # -- the orders ----------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> Locator:
        return self.page.locator(".order")

    def row(self, order_id: str) -> Locator:
        return self.page.locator(f'.order[data-id="{order_id}"]')

    def shows(self, order_id: str, state: str, status: str | None = None) -> Locator:
        """Wait until the order's row has this execution_state, and status if given; the row."""
        row = self.row(order_id)
        expect(row).to_have_attribute("data-state", state)
        if status is not None:
            expect(row).to_have_attribute("data-status", status)
        return row

    def press(self, order_id: str, action: str) -> None:
        self.row(order_id).locator(f'[data-action="{action}"]').click()

    def open_order(self, order_id: str) -> Locator:
        """Open the order's drawer; the drawer."""
        self.row(order_id).locator(".cell.symbol").click()
        drawer = self.page.locator(".drawer")
        expect(drawer).to_be_visible()
        return drawer

    # -- what happens inside -------------------------------------------------------------------------------------------

    def is_accessible(self) -> None:
        """Contrast, labels and roles of what is on the page now are right."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
        wrong = [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
        assert not wrong, "\n".join(wrong)

    def evaluate(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)
