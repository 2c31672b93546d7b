"""What a trader controls on the page: other terms, exits, and what limits and halts say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from proofs.venue_ledger import SimulatorControl
from tests.browser.trader import Office, Trader
from tests.browser.trader_page import TraderPage


@pytest.fixture
def thin_market(venue: SimulatorControl) -> Iterator[None]:
    """An order for KO is filled 100 at a time, with a pause."""
    venue.set_quote("KO", bid="62.5", ask="62.51", bid_size="100", ask_size="100")
    venue.change_settings(partial_fill_interval_ms=900)
    yield
    venue.change_settings(partial_fill_interval_ms=50)


def test_an_order_is_amended_and_a_refused_change_says_why(page: TraderPage, trader: Trader) -> None:
    order_id = trader.submit(order_type="LIMIT", price="100", quantity="10")
    page.shows(order_id, "WORKING")
    page.press(order_id, "amend")
    form = page.page.get_by_role("dialog", name="Amend: Buy 10 AAPL")
    form.get_by_label("Limit price").fill("101.001")
    form.get_by_role("button", name="Amend order").click()
    expect(form.locator("#amend-price-problem")).to_contain_text("0.01")
    form.get_by_label("Limit price").fill("101")
    form.get_by_label("Quantity").fill("12")
    form.get_by_role("button", name="Amend order").click()
    expect(form).to_have_count(0)
    row = page.row(order_id)
    expect(row.locator(".price")).to_have_text("101.00")
    expect(row.locator(".quantity")).to_contain_text("12")
    page.shows(order_id, "WORKING")
    drawer = page.open_order(order_id)
    expect(drawer.locator(".story")).to_contain_text("Change wanted")
    expect(drawer.locator(".story")).to_contain_text("Terms changed")
    assert trader.get(f"orders/{order_id}")["venue_order_id"] is not None


def test_a_change_that_waits_for_the_venue_is_shown(page: TraderPage, trader: Trader, venue: SimulatorControl) -> None:
    order_id = trader.submit(order_type="LIMIT", price="100", quantity="10")
    page.shows(order_id, "WORKING")
    venue.change_settings(cancel_delay_ms=60_000)
    page.press(order_id, "amend")
    form = page.page.get_by_role("dialog", name="Amend: Buy 10 AAPL")
    form.get_by_label("Limit price").fill("99.5")
    form.get_by_role("button", name="Amend order").click()
    row = page.row(order_id)
    expect(row.locator(".state")).to_have_text("Changing")
    expect(row.locator(".notes")).to_have_text("Wanted: 10 at 99.50")
    why = page.open_order(order_id).get_by_role("region", name="Why is it in this state?")
    expect(why).to_contain_text("10 at 99.50 instead of 10 at 100.00")


@pytest.mark.usefixtures("thin_market")
def test_what_is_bought_without_its_exits_says_unprotected_until_they_stand(page: TraderPage, trader: Trader) -> None:
    entry = trader.submit(symbol="KO", quantity="200", order_type="LIMIT", price="63", stop_loss="60", take_profit="66")
    row = page.row(entry)
    expect(row).to_have_attribute("data-unprotected", "yes")
    expect(row.locator(".notes")).to_have_text("Unprotected")
    drawer = page.open_order(entry)
    expect(drawer.get_by_role("region", name="Why is it in this state?")).to_contain_text("Unprotected:")
    exits = drawer.get_by_role("region", name="Exits")
    expect(exits.get_by_role("button")).to_contain_text("Sell 200 KO Limit at 66.00 or stop at 60.00")
    expect(exits.get_by_role("button")).to_contain_text("Working")
    expect(exits).not_to_contain_text("Unprotected")
    expect(row).not_to_have_attribute("data-unprotected", "yes")
    exits.get_by_role("button").click()
    expect(drawer.get_by_role("heading", name="Sell 200 KO")).to_be_visible()
    assert drawer.locator('[data-action="amend"]').count() == 0
    drawer.get_by_role("button", name="Buy 200 KO").click()
    expect(drawer.get_by_role("heading", name="Buy 200 KO")).to_be_visible()


def test_limits_say_how_much_of_them_is_used(new_page: Callable[..., TraderPage], office: Office) -> None:
    trader = office.open_account("limited", max_open_orders=4, daily_loss_limit=5000)
    page = new_page()
    page.sign_in(trader)
    ids = [trader.submit(order_type="LIMIT", price=price) for price in ("100", "101", "102", "103")]
    limits = page.page.get_by_role("list", name="Limits")
    expect(limits.get_by_text("Open orders")).to_be_visible()
    expect(limits.locator("li", has_text="Open orders")).to_contain_text("4 of 4")
    expect(limits.locator("li", has_text="Lost today")).to_contain_text("of $5,000.00")
    expect(page.page.locator(".bar .figures")).to_contain_text("Open orders 100 %")
    page.shows(ids[0], "WORKING")
    page.fill_ticket(order_type="Limit", quantity="1", price="104")
    page.send()
    expect(page.ticket.get_by_role("alert")).to_contain_text("4 orders are open; the limit is 4.")


def test_a_halt_says_what_is_stopped_and_why(page: TraderPage, trader: Trader, office: Office) -> None:
    halt = office.halt(trader, "The auditor asked for a pause")
    page.fill_ticket(quantity="1")
    page.send()
    expect(page.ticket.get_by_role("alert")).to_contain_text("The auditor asked for a pause")
    alert = page.page.locator(".desk > .notice")  # at once: a refusal makes the page read the account again
    expect(alert).to_contain_text("Trading is halted.")
    expect(alert).to_contain_text("The auditor asked for a pause.")
    account = page.page.get_by_role("region", name="Account", exact=True)
    expect(account).to_contain_text("Halted")
    expect(account.get_by_role("list", name="Halts")).to_contain_text("The auditor asked for a pause")
    office.lift(halt)
    trader.submit()
    expect(alert).to_have_count(0)


def test_a_report_of_executions_is_downloaded(page: TraderPage, trader: Trader) -> None:
    page.shows(trader.submit(), "CLOSED", "FILLED")
    report = page.page.get_by_role("region", name="Executions report")
    for kind, holds in (("CSV", trader.trader_id.encode()), ("PDF", b"%PDF-")):
        with page.page.expect_download() as download:
            report.get_by_role("button", name=kind).click()
        assert re.fullmatch(rf"executions-[\dTZ-]+\.{kind.lower()}", download.value.suggested_filename)
        assert holds in download.value.path().read_bytes()


# Fifteen seconds are a third of one once the page is `hasty`; a report takes a whole one, from headers to end.
_A_LONG_REPORT = """{
    const [wait, ask, ends] = [window.setTimeout, window.fetch, AbortSignal.timeout.bind(AbortSignal)];
    const hastened = (milliseconds) => (window.hasty && milliseconds === 15000 ? 333 : milliseconds);
    window.setTimeout = (run, milliseconds, ...rest) => wait(run, hastened(milliseconds), ...rest);
    AbortSignal.timeout = (milliseconds) => ends(hastened(milliseconds));
    window.fetch = async (path, options) => {
        if (!String(path).includes("/reports/")) return ask(path, options);
        const body = new ReadableStream({start(stream) {
            options.signal.addEventListener("abort", () => stream.error(options.signal.reason));
            wait(() => { stream.enqueue(new TextEncoder().encode("the end")); stream.close(); }, 1000);
        }});
        return new Response(body, {headers: {"Content-Disposition": 'attachment; filename="long.csv"'}});
    };
}"""


def test_a_report_that_takes_long_is_not_cut_off(new_page: Callable[..., TraderPage], trader: Trader) -> None:
    page = new_page()
    page.page.add_init_script(_A_LONG_REPORT)
    page.sign_in(trader)
    report = page.page.get_by_role("region", name="Executions report")
    page.evaluate("() => { window.hasty = true; }")
    with page.page.expect_download() as download:
        report.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "long.csv"
    assert download.value.path().read_bytes() == b"the end"
