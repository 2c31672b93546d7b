"""Hostile text is text, wrong clocks change nothing, and everybody can use the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Route, WebSocketRoute, expect

from proofs.venue_ledger import SimulatorControl
from tests.browser.test_many_orders import an_order
from tests.browser.trader import Trader
from tests.browser.trader_page import AXE, TraderPage

NewPage = Callable[..., TraderPage]

HOSTILE = '"><img src=x onerror=window.broken=1><script>window.broken=1</script>{{7*7}}${7*7}javascript:alert(1)\u202e'


def _hostile(document: Any, keep: tuple[str, ...]) -> Any:
    """The document with every text replaced, but those that name states and amounts."""
    match document:
        case dict():
            return {name: value if name in keep else _hostile(value, keep) for name, value in document.items()}
        case list():
            return [_hostile(value, keep) for value in document]
        case str():
            return HOSTILE
        case _:
            return document


def test_hostile_text_in_every_field_is_only_ever_text(page: TraderPage, trader: Trader) -> None:
    """Twice: with amounts and times as they are, so that everything is shown, and with all of them hostile too."""
    order_id = trader.submit(symbol="KO")
    trader.until(order_id, "CLOSED")
    kept = (
        "id",
        "created_at",
        "quantity",
        "execution_state",
        "action",
        "timestamp",
        "version",
        "filled_quantity",
        "price",
    )

    def twisted(keep: tuple[str, ...]) -> Callable[[Route], None]:
        def answer(route: Route) -> None:
            document = _hostile(route.fetch().json(), keep)
            if "/instruments" not in route.request.url and isinstance(document, dict):
                document |= {"next_cursor": None} if "next_cursor" in document else {}
            for each in document["data"] if isinstance(document.get("data"), list) else [document]:
                if "reason" in each and "symbol" in each and not isinstance(each["reason"], str):
                    each["reason"] = {
                        "code": HOSTILE,
                        "message": HOSTILE,
                        "constructor": None,
                        "type": "script",
                        "props": {},
                    }
            route.fulfill(json=document)

        return answer

    for keep in (kept, ("id", "version")):
        page.page.unroute("**/api/v1/**")
        page.page.route("**/api/v1/**", twisted(keep))
        page.page.reload()
        expect(page.rows.first.locator(".symbol")).to_have_text(HOSTILE)
        drawer = page.open_order(order_id)
        for tab in ("Fills", "Venue", "Audit", "Timeline"):
            drawer.get_by_role("button", name=tab, exact=tab != "Fills").click()
        expect(drawer.locator(".story li").first).to_be_visible()
        assert page.evaluate("() => window.broken") is None
        assert page.page.locator("img, script:not([src]), iframe, object").count() == 0
        page.page.keyboard.press("Escape")


def test_hostile_events_are_only_ever_text(new_page: NewPage, trader: Trader) -> None:
    """Between real ones, over the page's own WebSocket."""
    page = new_page()
    wire: list[WebSocketRoute] = []

    def connect(route: WebSocketRoute) -> None:
        route.connect_to_server()
        wire.append(route)

    page.page.route_web_socket("**/socket.io/**", connect)
    page.sign_in(trader)
    texts = dict.fromkeys(("symbol", "side", "order_type", "venue", "venue_order_id", "time_in_force"), HOSTILE)
    reason = {"code": HOSTILE, "message": HOSTILE}
    at = datetime.now(UTC)
    for seq, name in enumerate(("order.rejected", "constructor", HOSTILE), 1):
        order = an_order(seq, at, status="REJECTED", execution_state="CLOSED", reason=reason, **texts)
        event = {"seq": seq, "event": name, "order_id": order["id"], "timestamp": order["created_at"], "order": order}
        wire[0].send(f'42["order",{json.dumps(event | {"fill": None, "reason": reason})}]')
    expect(page.rows).to_have_count(3)
    expect(page.rows.first.locator(".reason")).to_have_text(HOSTILE)
    expect(page.page.locator(".toast")).to_contain_text(HOSTILE)
    page.is_live()
    assert page.evaluate("() => window.broken") is None
    assert page.page.locator("img, script:not([src]), iframe, object").count() == 0


def test_hostile_errors_are_only_ever_text(page: TraderPage) -> None:
    errors = [
        {"field": field, "code": HOSTILE, "message": HOSTILE, "suggestion": HOSTILE}
        for field in ("quantity", HOSTILE, None)
    ]
    problem = {"code": HOSTILE, "detail": HOSTILE, "suggestion": HOSTILE, "errors": errors}
    page.page.route("**/api/v1/orders", lambda route: route.fulfill(status=422, json=problem))
    page.fill_ticket(quantity=HOSTILE[:80])
    page.send()
    expect(page.errors("quantity")).to_contain_text(HOSTILE)
    assert page.evaluate("() => window.broken") is None


def test_a_state_that_is_no_state_is_shown_as_it_is(page: TraderPage) -> None:
    """Words are looked up by what the server says; what every object of JavaScript has is no word of ours."""
    named = {"status": "constructor", "execution_state": "toString", "side": "valueOf", "order_type": "constructor"}
    order = an_order(1, datetime.now(UTC), **named)
    page.page.route("**/api/v1/orders?**", lambda route: route.fulfill(json={"data": [order], "next_cursor": None}))
    page.page.reload()
    expect(page.rows.locator(".status")).to_contain_text("toString")
    expect(page.rows.locator(".side")).to_have_text("valueOf")
    expect(page.rows.locator(".type")).to_contain_text("constructor")


def test_the_browser_itself_refuses_to_make_html_or_to_run_what_is_not_ours(page: TraderPage) -> None:
    assert (
        page.evaluate(
            "() => { try { document.body.innerHTML = '<p>'; return 'done' } catch (error) { return error.name } }"
        )
        == "TypeError"
    )
    assert page.evaluate("() => fetch('https://example.com/').catch((error) => error.name)") == "TypeError"
    assert all("Content Security Policy" in each or "TrustedHTML" in each for each in page.complaints)
    page.complaints.clear()


@pytest.mark.parametrize("minutes", [-90, 90], ids=["slow", "fast"])
def test_a_wrong_clock_makes_no_age_negative_and_none_long(new_page: NewPage, trader: Trader, minutes: int) -> None:
    page = new_page()
    page.page.add_init_script(f"{{ const now = Date.now.bind(Date); Date.now = () => now() + {minutes * 60_000}; }}")
    page.sign_in(trader)
    order_id = trader.submit(order_type="LIMIT", price="100")
    row = page.shows(order_id, "WORKING")
    assert int(row.locator(".age").inner_text().removesuffix(" s")) in range(30)
    page.pill.click()
    word = "slow" if minutes < 0 else "fast"
    expect(page.page.locator("#connection")).to_contain_text(re.compile(rf"Your clock is1 h (29|30) m {word}"))
    trader.call("POST", f"orders/{order_id}/cancel")


def test_a_version_that_is_older_than_what_is_shown_is_not_applied(page: TraderPage, trader: Trader) -> None:
    """A list that was read before an event arrives after it: the newer version stays."""
    order_id = trader.submit(order_type="LIMIT", price="100")
    trader.until(order_id, "WORKING")
    page.shows(order_id, "WORKING")
    old = trader.get("orders?limit=100")
    trader.call("POST", f"orders/{order_id}/cancel")
    page.shows(order_id, "CLOSED", "CANCELLED")
    page.page.route("**/api/v1/orders?**", lambda route: route.fulfill(json=old))
    page.page.get_by_role("button", name="Cancelled", exact=True).click()
    page.page.get_by_role("button", name="Open", exact=True).click()
    page.page.get_by_role("button", name="All", exact=True).click()
    page.shows(order_id, "CLOSED", "CANCELLED")


def test_lists_that_cannot_be_loaded_say_so_and_are_tried_again(page: TraderPage, trader: Trader) -> None:
    page.page.route("**/api/v1/orders?**", lambda route: route.abort("connectionrefused"))
    page.page.get_by_role("button", name="Filled", exact=True).click()
    expect(page.page.get_by_text("The orders could not be loaded")).to_be_visible()
    page.page.unroute("**/api/v1/orders?**")
    page.page.get_by_role("button", name="Try again").click()
    expect(page.page.get_by_text("No order fits")).to_be_visible()


def test_filters_and_search_find_orders(page: TraderPage, trader: Trader) -> None:
    filled = trader.submit(symbol="KO")
    resting = trader.submit(symbol="AAPL", order_type="LIMIT", price="100")
    page.shows(filled, "CLOSED")
    page.shows(resting, "WORKING")
    search = page.page.get_by_label("Search orders by symbol, id or reason")
    for text, found in (("ko", filled), ("Apple", resting), (resting, resting), (filled[-12:], filled)):
        page.page.keyboard.press("/")
        search.fill(text)
        expect(page.rows).to_have_count(1)
        expect(page.rows.first).to_have_attribute("data-id", found)
        search.fill("")
        expect(page.rows).to_have_count(2)
        page.page.keyboard.press("Escape")
    page.page.get_by_role("button", name="Open", exact=True).click()
    expect(page.rows).to_have_count(1)
    page.press(resting, "cancel")
    expect(page.page.get_by_text("No order fits")).to_be_visible()


def test_the_keyboard_is_enough(page: TraderPage, trader: Trader) -> None:
    ids = [trader.submit(order_type="LIMIT", price=price) for price in ("100", "101")]
    for order_id in ids:
        page.shows(order_id, "WORKING")
    keyboard = page.page.keyboard
    keyboard.press("?")
    expect(page.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    keyboard.press("Escape")
    keyboard.press("s")
    expect(page.ticket.locator("#quantity")).to_be_focused()
    keyboard.press("Escape")
    keyboard.press("j")
    expect(page.row(ids[1])).to_be_focused()
    keyboard.press("j")
    expect(page.row(ids[0])).to_be_focused()
    keyboard.press("Enter")
    expect(page.page.locator(".drawer")).to_be_visible()
    keyboard.press("Escape")
    expect(page.page.locator(".drawer")).to_have_count(0)
    expect(page.row(ids[0])).to_be_focused()
    keyboard.press("c")
    page.shows(ids[0], "CLOSED", "CANCELLED")


def test_a_phone_shows_everything_without_scrolling_sideways(new_page: NewPage, trader: Trader) -> None:
    page = new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.sign_in(trader)
    page.page.get_by_role("button", name="Trade", exact=True).tap()
    page.fill_ticket(quantity="2")
    page.send()
    expect(page.rows).to_have_count(1)
    for place in ("Trade", "Account", "Orders"):
        page.page.get_by_role("button", name=place, exact=True).tap()
        assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    page.rows.first.locator(".symbol").tap()
    expect(page.page.locator(".drawer")).to_be_visible()
    assert page.evaluate("() => document.querySelector('.drawer-body').scrollWidth") <= 360


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_contrast_labels_and_roles_are_right(
    new_page: NewPage, trader: Trader, venue: SimulatorControl, colours: str
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: sh local/node_clients.sh installs it with npm")
    page = new_page(color_scheme=colours, reduced_motion="reduce")
    is_right = page.is_accessible
    page.open()
    expect(page.page.get_by_label("API key")).to_be_visible()
    is_right()
    page.sign_in(trader)
    is_right()
    filled, resting = trader.submit(), trader.submit(order_type="LIMIT", price="100")
    page.shows(filled, "CLOSED")
    page.shows(resting, "WORKING")
    broken = an_order(
        1,
        datetime.now(UTC),
        execution_state="NEEDS_ATTENTION",
        reason={"code": "VENUE_ERROR", "message": "It has a problem."},
    )
    page.page.route("**/api/v1/orders?*cursor*", lambda route: route.continue_())
    page.page.route(
        "**/api/v1/orders?**",
        lambda route: route.fulfill(json={"data": [broken, *trader.orders()], "next_cursor": None}),
    )
    page.page.reload()
    expect(page.rows).to_have_count(3)
    page.ticket.get_by_role("button", name="More").click()
    page.send()
    expect(page.errors("quantity")).to_be_visible()
    page.pill.click()
    is_right()
    page.pill.click()
    page.open_order(filled)
    expect(page.page.locator(".story li").first).to_be_visible()
    is_right()
    for tab in ("Fills", "Venue", "Audit"):
        page.page.locator(".drawer").get_by_role("button", name=tab, exact=tab != "Fills").click()
        is_right()
    page.page.keyboard.press("Escape")
    page.page.get_by_role("button", name="Cancel all", exact=True).click()
    is_right()
    page.page.keyboard.press("Escape")
    page.press(resting, "amend")
    is_right()
    page.page.keyboard.press("Escape")
    trader.call("POST", f"orders/{resting}/cancel")


def test_the_documents_of_these_tests_are_those_of_the_api(trader: Trader) -> None:
    order_id = trader.submit()
    assert set(an_order(1, datetime.now(UTC))) == set(trader.get("orders")["data"][0])
    assert json.dumps(trader.until(order_id, "CLOSED"))
