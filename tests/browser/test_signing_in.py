"""Signing in, staying in, and being sent out."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.browser.trader import Office, Trader
from tests.browser.trader_page import TraderPage

NewPage = Callable[..., TraderPage]


def test_a_wrong_key_is_told_and_a_right_one_opens_the_page(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    page.open()
    field = page.page.get_by_label("API key")
    for wrong, answer in (
        ("", "Enter your API key."),
        ("ключ", "This is not an API key"),
        ("sk_no_such_key", "unknown, revoked or expired"),
    ):
        field.fill(wrong)
        page.page.get_by_role("button", name="Sign in").click()
        expect(page.page.locator("#key-problem")).to_contain_text(answer)
    field.fill(trader.key)
    page.page.keyboard.press("Enter")
    page.is_live()
    expect(page.page.get_by_text("No orders yet")).to_be_visible()
    expect(page.page.get_by_text("Nothing held.")).to_be_visible()


def test_the_key_stays_in_the_tab_and_nowhere_else(page: TraderPage, trader: Trader) -> None:
    kept = page.evaluate(
        """() => [
            JSON.stringify({...sessionStorage}), JSON.stringify({...localStorage}) + document.cookie + location.href]"""
    )
    assert trader.key in kept[0]
    assert trader.key not in kept[1]
    assert trader.key not in page.page.content()
    page.page.reload()
    page.is_live()
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_label("API key")).to_be_visible()
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.get_by_label("API key")).to_have_value("")
    assert page.evaluate("() => sessionStorage.length") == 0


def test_a_look_at_the_operations_page_leaves_the_trader_and_an_unanswered_order_where_they_are(
    page: TraderPage, trader: Trader
) -> None:
    page.page.route(re.compile("/api/v1/orders$"), lambda route: route.abort("connectionreset"))
    page.fill_ticket(quantity="3")
    page.send()
    page.page.wait_for_function("() => document.querySelector('.ticket button.wide').disabled")
    page.page.goto(f"{page.url}/ops")
    field = page.page.get_by_label("API key")
    expect(field).to_have_value("")
    field.fill(trader.key)
    page.page.get_by_role("button", name="Sign in").click()
    expect(page.page.locator("#key-problem")).to_contain_text("admin")
    page.page.unroute(re.compile("/api/v1/orders$"))
    page.open()
    page.is_live()
    expect(page.page.get_by_text("Nobody knows yet")).to_be_visible()


def test_a_key_that_is_revoked_while_connected_signs_out_with_a_sentence(
    page: TraderPage, trader: Trader, office: Office
) -> None:
    office.revoke(trader.key)
    expect(page.page.get_by_text("You were signed out: your key was revoked or has expired.")).to_be_visible()
    expect(page.page.get_by_label("API key")).to_have_value("")
    assert page.evaluate("() => sessionStorage.length") == 0


def test_an_order_without_an_answer_is_never_sent_with_the_next_trader_s_key(
    page: TraderPage, trader: Trader, new_trader: Callable[[], Trader]
) -> None:
    """One tab, two people: what the first one's ticket still repeats is not the second one's order."""
    sent: list[str] = []

    def lose(route: Route) -> None:
        sent.append(route.request.headers["authorization"])
        route.abort("connectionreset")

    page.page.route(re.compile("/api/v1/orders$"), lose)
    page.fill_ticket(quantity="3")
    page.send()
    page.page.wait_for_function("() => document.querySelector('.ticket button.wide').disabled")
    page.page.get_by_role("button", name="Sign out").click()
    other = new_trader()
    page.page.get_by_label("API key").fill(other.key)
    page.page.get_by_role("button", name="Sign in").click()
    page.is_live()
    page.page.wait_for_timeout(2500)  # the ticket's first three pauses
    assert set(sent) == {f"Bearer {trader.key}"}
    expect(page.page.get_by_text("Nobody knows yet")).to_have_count(0)
    page.page.unroute(re.compile("/api/v1/orders$"))
    assert other.orders() == []


def test_trying_now_does_not_begin_the_page_twice(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    sockets: list[str] = []
    page.page.on("websocket", lambda socket: sockets.append(socket.url))
    page.page.route("**/api/v1/instruments**", lambda route: route.abort("connectionrefused"))
    page.sign_in_without_waiting(trader)
    now = page.page.get_by_role("button", name="Try now")
    now.click()
    expect(now).to_be_visible()
    page.page.unroute("**/api/v1/instruments**")
    now.click()
    page.is_live()
    page.page.wait_for_timeout(2300)  # when it would have tried again by itself
    assert len(sockets) == 1
