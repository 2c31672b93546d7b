"""The ticket: refusals and their fix, one order whatever goes wrong on the way, and the answer on the screen."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Route, expect

from tests.browser.trader import Trader
from tests.browser.trader_page import TraderPage


def test_a_refused_order_says_everything_that_is_wrong_at_once_and_its_fix_is_filled_live(
    page: TraderPage, trader: Trader
) -> None:
    page.fill_ticket(order_type="Limit", symbol="AAPPL", quantity="-3", price="abc")
    page.send()
    expect(page.errors("quantity")).to_contain_text("must be greater than 0")
    expect(page.errors("price")).to_contain_text("which is no number")
    expect(page.ticket.locator("#quantity")).to_be_focused()
    page.fill_ticket(order_type="Limit", quantity="3", price="1000.001")
    expect(page.errors("quantity")).to_have_count(0)
    page.send()
    expect(page.errors("symbol")).to_contain_text("AAPPL is not a symbol that can be traded here.")
    assert trader.orders() == []

    page.fill_ticket(order_type="Market", symbol="AAPL")
    expect(page.ticket.locator(".estimate strong")).to_contain_text("$")
    page.send()
    expect(page.rows).to_have_count(1)
    [order] = trader.orders()
    row = page.shows(order["id"], "CLOSED", "FILLED")
    filled = trader.until(order["id"], "CLOSED")
    expect(row.locator(".average")).to_have_text(re.compile(re.escape(filled["average_fill_price"])))
    expect(page.page.get_by_role("region", name="Positions").get_by_role("button", name="AAPL")).to_be_visible()


def test_funds_that_do_not_suffice_are_told_with_the_numbers(page: TraderPage) -> None:
    page.fill_ticket(order_type="Limit", symbol="AAPL", quantity="1000000", price="180")
    page.send()
    expect(page.errors("quantity")).to_contain_text(
        "Insufficient funds for $180,000,000.00 order; available: $10,000,000.00."
    )
    expect(page.errors("quantity").locator(".advice")).to_contain_text("Buy at most 55555.")


def test_an_error_of_a_folded_field_unfolds_it(page: TraderPage) -> None:
    advice = "Send it without."
    errors = [
        {"field": "stop_loss", "code": "NOT_SUPPORTED_YET", "message": "stop_loss is not built.", "suggestion": advice},
        {"field": None, "code": "TRADING_HALTED", "message": "Trading is halted.", "suggestion": "Ask the operator."},
    ]
    problem = {"status": 422, "code": "NOT_SUPPORTED_YET", "detail": "no", "suggestion": advice, "errors": errors}
    page.page.route(
        "**/api/v1/orders",
        lambda route: route.fulfill(status=422, json=problem, content_type="application/problem+json"),
    )
    page.fill_ticket(quantity="1")
    expect(page.ticket.locator("#stop_loss")).to_have_count(0)
    page.send()
    expect(page.errors("stop_loss")).to_have_text("stop_loss is not built. Send it without.")
    expect(page.ticket.locator(".problem.whole")).to_have_text(re.compile("Trading is halted. Ask the operator."))


def test_an_order_whose_answer_is_lost_is_sent_again_with_its_key_and_exists_once(
    page: TraderPage, trader: Trader
) -> None:
    keys: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            assert route.fetch().status == 201
            route.abort("connectionreset")
        else:
            route.continue_()

    page.page.route("**/api/v1/orders", lose_the_first_answer)
    page.fill_ticket(quantity="2")
    page.send()
    expect(page.ticket.locator("#quantity")).to_have_value("")
    assert len(keys) == 2 and len(set(keys)) == 1
    assert len(trader.orders()) == 1


def test_an_order_without_an_answer_survives_a_reload_and_is_not_doubled(page: TraderPage, trader: Trader) -> None:
    def lose_every_answer(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    page.page.route("**/api/v1/orders", lose_every_answer)
    page.fill_ticket(quantity="2")
    page.send()
    expect(page.rows).to_have_count(1)
    page.page.unroute("**/api/v1/orders")
    page.page.reload()
    expect(page.ticket.get_by_text("Nobody knows yet whether")).to_be_visible()
    page.ticket.get_by_role("button", name="Send it again").click()
    expect(page.ticket.locator("#quantity")).to_have_value("")
    assert len(trader.orders()) == 1


def _refusal(route: Route, code: str) -> None:
    problem = {"status": 422, "code": code, "detail": f"told {code}", "suggestion": "", "errors": []}
    route.fulfill(status=422, json=problem, content_type="application/problem+json")


def test_a_refusal_after_an_attempt_without_an_answer_is_no_proof_and_the_key_stays(
    page: TraderPage, trader: Trader
) -> None:
    """What the lost attempt did is not known by what a later one is told: limits and halts change in between."""
    keys: list[str] = []

    def lose_one_and_refuse_others(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            assert route.fetch().status == 201
            route.fulfill(status=503, json={"status": 503, "code": "DATABASE_UNAVAILABLE", "detail": "away"})
        else:
            _refusal(route, "TRADING_HALTED")

    page.page.route("**/api/v1/orders", lose_one_and_refuse_others)
    page.fill_ticket(quantity="2")
    page.send()
    unanswered = page.ticket.locator(".unanswered")
    expect(unanswered).to_contain_text("Nobody knows yet whether")
    expect(unanswered).to_contain_text("may still be accepted. This time it was refused: told TRADING_HALTED")
    page.page.reload()
    page.is_live()
    page.ticket.get_by_role("button", name="Send it again").click()
    expect(unanswered).to_contain_text("This time it was refused")
    page.page.unroute("**/api/v1/orders")
    with page.page.expect_request("**/api/v1/orders") as again:
        page.ticket.get_by_role("button", name="Send it again").click()
    expect(page.ticket.locator("#quantity")).to_have_value("")
    assert {*keys, again.value.headers["idempotency-key"]} == {keys[0]}
    assert len(trader.orders()) == 1


def test_going_back_from_the_same_order_keeps_an_attempt_without_an_answer(page: TraderPage) -> None:
    sent: list[str] = []

    def lose_one_and_ask_about_the_other(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        if len(sent) == 1:
            route.abort("connectionreset")
        else:
            _refusal(route, "DUPLICATE_SUSPECTED")

    page.page.route("**/api/v1/orders", lose_one_and_ask_about_the_other)
    page.fill_ticket(quantity="2")
    page.send()
    asked = page.page.get_by_role("dialog", name="The same order again?")
    expect(asked).not_to_contain_text("nothing was stored")
    asked.get_by_role("button", name="Go back").click()
    expect(page.ticket.locator(".unanswered")).to_contain_text("may still be accepted")


def test_two_quick_presses_send_one_order(page: TraderPage, trader: Trader) -> None:
    sent: list[str] = []
    page.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.fill_ticket(order_type="Limit", quantity="2", price="100")
    page.evaluate(
        """() => {
            const button = document.querySelector('.ticket button.wide');
            button.click(); button.click(); button.form.requestSubmit();
        }"""
    )
    expect(page.ticket.locator("#quantity")).to_have_value("")
    assert len(sent) == 1  # the second one was not left to the server to refuse
    assert len(trader.orders()) == 1


def test_the_same_order_again_is_asked_about_first(page: TraderPage, trader: Trader) -> None:
    terms = {"order_type": "Limit", "quantity": "2", "price": "100"}
    page.fill_ticket(**terms)
    page.send()
    expect(page.rows).to_have_count(1)
    page.fill_ticket(**terms)
    page.send()
    asked = page.page.get_by_role("dialog", name="The same order again?")
    asked.get_by_role("button", name="Go back").click()
    expect(asked).to_have_count(0)
    page.send()
    asked.get_by_role("button", name="Yes, send it again").click()
    expect(page.rows).to_have_count(2)
    assert len(trader.orders()) == 2


def test_orders_go_out_as_they_were_typed(page: TraderPage) -> None:
    bodies: list[str] = []

    def refuse(route: Route) -> None:
        bodies.append(route.request.post_data or "")
        route.fulfill(status=422, json={"detail": "no", "errors": []})

    page.page.route("**/api/v1/orders", refuse)
    page.fill_ticket(side="Sell", order_type="Limit", symbol="btc/usd", quantity="0.123456789", price="64000.10")
    page.ticket.get_by_role("button", name="More").click()
    page.ticket.locator("#max_wait_seconds").fill("60")
    page.ticket.locator("#max_slippage_bps").fill("1.5")
    page.send()
    expect(page.ticket.locator(".problem.whole")).to_have_text("no")
    assert json.loads(bodies[0]) == {
        "symbol": "btc/usd", "side": "SELL", "quantity": "0.123456789", "order_type": "LIMIT", "price": "64000.10",
        "time_in_force": "DAY", "max_wait_seconds": 60, "max_slippage_bps": "1.5",
    }  # fmt: skip


def test_a_halt_is_told_across_the_page(page: TraderPage, trader: Trader) -> None:
    account = trader.get("account")
    page.page.route("**/api/v1/account", lambda route: route.fulfill(json={**account, "trading_state": "HALTED"}))
    page.page.reload()
    expect(page.page.get_by_text("Trading is halted.")).to_be_visible()
