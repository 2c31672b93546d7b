"""The operations page: who may see it, what waits, the charts, and the kill switch."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from proofs.venue_ledger import SimulatorControl
from tests.browser.trader import Office, Trader
from tests.browser.trader_page import AXE, TraderPage

NewPage = Callable[..., TraderPage]


@pytest.fixture
def operations(new_page: NewPage, office: Office) -> TraderPage:
    """The operations page, signed in with an operator's key."""
    page = new_page()
    _sign_in(page, office.operator_key)
    expect(page.page.get_by_role("region", name="Now", exact=True)).to_be_visible()
    return page


def _sign_in(page: TraderPage, key: str) -> None:
    page.page.goto(f"{page.url}/ops")
    page.page.get_by_label("API key").fill(key)
    page.page.get_by_role("button", name="Sign in").click()


def test_a_trader_s_key_is_refused_with_what_is_missing(new_page: NewPage, trader: Trader, office: Office) -> None:
    page = new_page()
    _sign_in(page, trader.key)
    expect(page.page.locator("#key-problem")).to_contain_text("admin")
    assert page.page.evaluate("() => Object.keys(sessionStorage).length") == 0
    page.page.get_by_label("API key").fill(office.operator_key)
    page.page.get_by_role("button", name="Sign in").click()
    expect(page.page.get_by_role("region", name="Waiting orders")).to_be_visible()
    expect(page.page.get_by_role("status").filter(has_text="Current")).to_be_visible()


def test_an_operator_s_key_that_is_revoked_signs_out(new_page: NewPage, office: Office) -> None:
    page = new_page()
    key = office.new_operator_key()
    _sign_in(page, key)
    expect(page.page.get_by_role("region", name="Waiting orders")).to_be_visible()
    office.revoke(key)
    expect(page.page.get_by_text("You were signed out: your key was revoked or has expired.")).to_be_visible()
    assert page.evaluate("() => sessionStorage.length") == 0


def test_an_order_that_waits_is_tried_again_after_a_question(
    operations: TraderPage, trader: Trader, venue: SimulatorControl
) -> None:
    venue.add_faults({"kind": "error_503_before_accept", "symbol": "TSLA"}, {"kind": "lookup_error", "symbol": "TSLA"})
    order_id = trader.submit(symbol="TSLA", quantity="3")
    row = operations.page.get_by_role("row").filter(has_text=order_id)
    expect(row).to_contain_text("Needs attention")
    expect(row).to_contain_text(trader.name)
    venue.remove_faults()
    row.get_by_role("button", name="Retry").click()
    asked = operations.page.get_by_role("dialog", name="Try this order again?")
    expect(asked).to_contain_text("BUY 3 TSLA")
    asked.get_by_role("button", name="Try again").click()
    assert trader.until(order_id, "CLOSED")["status"] == "FILLED"
    expect(row).to_have_count(0)


def test_the_last_hour_is_drawn(operations: TraderPage) -> None:
    def an_hour_ago(route: Route) -> None:
        answer = route.fetch()
        seen = answer.json()
        for minute in seen["minutes"]:  # what other tests have done in this hour; it may have been yesterday
            minute |= {"submitted": 0, "filled": 0, "filled_p50_ms": None, "filled_p95_ms": None}
            minute["minute"] = f"2026-01-05{minute['minute'][10:]}"
        for number in (10, 11, 40):
            seen["minutes"][number] |= {
                "submitted": number,
                "filled": number - 5,
                "filled_p50_ms": 40.0,
                "filled_p95_ms": 90.0,
            }
        route.fulfill(response=answer, json=seen)

    operations.page.route("**/api/v1/admin/operations", an_hour_ago)
    charts = operations.page.get_by_role("region", name="The last hour").get_by_role("img")
    expect(charts.nth(0)).to_have_attribute("aria-label", re.compile("Accepted, at most 40"))
    expect(charts.nth(1)).to_have_attribute("aria-label", re.compile("95 %, at most 90 ms"))
    heights = charts.nth(0).locator("path.bars").evaluate_all("bars => bars.map(bar => bar.getBBox().height)")
    assert max(heights) == 120  # the highest bar is as high as its chart
    expect(operations.page.locator(".axis span").first).to_have_text(re.compile(r"^\d\d:\d\d$"))
    charts.nth(0).hover(position={"x": 5, "y": 20})
    expect(operations.page.locator(".legend").nth(0)).to_contain_text("Filled 0")
    operations.page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_contrast_labels_and_roles_are_right(new_page: NewPage, trader: Trader, office: Office, colours: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: sh local/node_clients.sh installs it with npm")
    page = new_page(color_scheme=colours, reduced_motion="reduce")
    _sign_in(page, office.operator_key)
    expect(page.page.get_by_role("region", name="Waiting orders")).to_be_visible()
    page.is_accessible()
    halt = office.halt(trader, "A pause")
    page.page.get_by_role("button", name="Halt …").click()
    page.is_accessible()
    page.page.keyboard.press("Escape")
    lifting = page.page.get_by_role("button", name="Lift …")
    expect(lifting).to_be_visible()
    page.is_accessible()
    office.lift(halt)


def test_the_kill_switch_stops_a_symbol_and_is_lifted(operations: TraderPage, trader: Trader) -> None:
    page = operations.page
    page.get_by_role("button", name="Halt …").click()
    form = page.get_by_role("dialog", name="Halt trading")
    form.get_by_role("button", name="A symbol").click()
    form.get_by_role("button", name="Halt", exact=True).click()
    expect(form.locator(".problem").first).to_be_visible()
    form.get_by_label("Symbol").fill("MSFT")
    form.get_by_label("Reason (traders see it)").fill("Earnings <b>leaked</b>")
    form.get_by_role("button", name="Halt", exact=True).click()
    halts = page.get_by_role("region", name="Halts")
    expect(halts).to_contain_text("Symbol MSFT")
    expect(halts).to_contain_text("Earnings <b>leaked</b>")
    status, problem = trader.call(
        "POST", "orders", {"symbol": "MSFT", "side": "BUY", "quantity": "1", "order_type": "MARKET"},
        **{"Idempotency-Key": "while-halted"},
    )  # fmt: skip
    assert (status, problem["code"]) == (422, "TRADING_HALTED")
    halts.get_by_role("button", name="Lift …").click()
    lifting = page.get_by_role("dialog", name="Lift the halt of symbol MSFT?")
    lifting.get_by_label("Why it is lifted").fill("all is well")
    lifting.get_by_role("button", name="Lift it").click()
    expect(halts).to_contain_text("Nothing is halted.")
