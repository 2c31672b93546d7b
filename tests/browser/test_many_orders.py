"""The page stays fluid: hundreds of orders as they happen, ten thousand events at once, tens of thousands of orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Route, expect

from tests.browser.trader import Trader
from tests.browser.trader_page import TraderPage

NewPage = Callable[..., TraderPage]

LONGEST_TASK_MILLISECONDS = 400
"""Where a person begins to notice hanging, on two processors that run the whole system and the senders beside it."""
SCREEN_P99_MILLISECONDS = 500
"""From an event's recorded time to its paint, everything on one machine that may be busy. Alone, 200 are kept."""
FIRST_VIEW_MILLISECONDS = 1000

WATCH_TASKS = """() => {
    window.longTasks = [];
    new PerformanceObserver((list) => list.getEntries().forEach((each) => window.longTasks.push(each.duration)))
        .observe({ type: "longtask" });
}"""

# When each version of each order was painted: the task that follows a frame's paint reads what that frame shows.
WATCH_PAINTS = """() => {
    window.painted = new Map();
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
        const now = Date.now();
        for (const { dataset } of document.querySelectorAll(".order")) {
            const each = `${dataset.id} ${dataset.version}`;
            if (!window.painted.has(each)) window.painted.set(each, now);
        }
    };
    const look = () => {
        channel.port2.postMessage(null);
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""

# When each event reached the page: what lies before it is the server's and the wire's, what follows is the page's.
WATCH_ARRIVALS = """() => {
    window.arrived = {};
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            this.addEventListener("message", ({ data }) => {
                const now = Date.now();
                if (String(data).startsWith('42["order"')) window.arrived[JSON.parse(data.slice(2))[1].seq] = now;
            });
        }
    };
}"""


def _longest_task(page: TraderPage) -> float:
    longest = float(page.evaluate("() => Math.max(0, ...window.longTasks)"))
    print(f"longest task: {longest:.0f} ms")
    return longest


def test_five_hundred_orders_stay_fluid(page: TraderPage, trader: Trader) -> None:
    page.evaluate(WATCH_TASKS)
    with ThreadPoolExecutor(4) as senders:
        ids = list(senders.map(lambda number: trader.submit(quantity=str(number % 9 + 1)), range(500)))
    for order_id in reversed(ids):  # each of them: until the last has closed, the head moves on
        trader.until(order_id, "CLOSED")
    head = trader.get("events?since=0&limit=1")["head_seq"]
    page.pill.click()
    expect(page.page.locator("#connection")).to_contain_text(f"Last event here{head}", timeout=60_000)
    assert page.rows.count() < 80
    page.page.wait_for_function("() => document.querySelector('.rows [role=row].order')?.dataset.state === 'CLOSED'")
    assert _longest_task(page) <= LONGEST_TASK_MILLISECONDS


def test_an_event_is_painted_soon_after_it_happened(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    page.page.add_init_script(f"({WATCH_ARRIVALS})()")
    page.sign_in(trader)
    page.evaluate(WATCH_PAINTS)
    for number in range(60):
        trader.until(trader.submit(quantity=str(number % 30 + 1)), "CLOSED")
    page.page.wait_for_function("() => document.querySelector('.order')?.dataset.state === 'CLOSED'")
    painted: dict[str, int] = page.evaluate("() => Object.fromEntries(window.painted)")
    arrived: dict[str, int] = page.evaluate("() => window.arrived")
    delays = []
    for event in trader.get("events?since=0&limit=1000")["data"]:
        drawn = painted.get(f"{event['order_id']} {event['order']['version']}")
        if drawn is not None:  # one that was overtaken before the next frame was never to be seen
            recorded, heard = _milliseconds(event["timestamp"]), arrived[str(event["seq"])]
            delays.append((drawn - recorded, heard - recorded, drawn - heard, event["seq"], event["event"]))
    delays.sort()
    print("slowest:", *(f"{name} ({seq}) {delay:.0f} ms," for delay, _, _, seq, name in reversed(delays[-6:])))
    assert len(delays) >= 120
    for number, words in enumerate(("event to painted", "of it until it reached the page", "and from there")):
        ranked = sorted(each[number] for each in delays)
        p50, p99 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.99)]
        print(f"{words}: p50 {p50:.0f} ms, p99 {p99:.0f} ms of {len(ranked)}")
    assert delays[int(len(delays) * 0.99)][0] <= SCREEN_P99_MILLISECONDS


def _milliseconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def test_the_first_view_is_there_within_a_second(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    page.sign_in(trader)
    times = []
    for _ in range(3):  # the best of three: what else the machine does is not the page's doing
        page.page.reload()
        page.page.locator(".blotter").wait_for()
        times.append(page.evaluate("() => performance.now()"))
    print(f"first view of the desk: {min(times):.0f} ms")
    assert min(times) <= FIRST_VIEW_MILLISECONDS


def an_order(number: int, at: datetime, **other: Any) -> dict[str, Any]:
    """An order document as the API gives it."""
    when = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "id": f"00000000-0000-7000-8000-{number:012x}", "trader_id": "00000000-0000-7000-8000-000000000000",
        "symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "LIMIT", "price": "150.25", "stop_loss": None,
        "take_profit": None, "time_in_force": "DAY", "max_slippage_bps": None, "max_wait_seconds": None,
        "status": "PENDING", "execution_state": "WORKING", "filled_quantity": "0", "average_fill_price": None,
        "attempts": 1, "reason": None, "venue": "simulator", "venue_order_id": None, "parent_id": None, "version": 2,
        "created_at": when, "updated_at": when, "expires_at": None, "closed_at": None,
        "unprotected": False, "amendment": None, **other,
    }  # fmt: skip


def test_tens_of_thousands_of_orders_are_scrolled_through(page: TraderPage) -> None:
    begun = datetime.now(UTC)
    all_orders = [an_order(30_000 - number, begun - timedelta(seconds=number)) for number in range(30_000)]

    def list_orders(route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        after, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        data = all_orders[after : after + limit]
        route.fulfill(json={"data": data, "next_cursor": str(after + limit) if after + limit < 30_000 else None})

    page.page.route("**/api/v1/orders?**", list_orders)
    page.page.reload()
    expect(page.rows.first).to_be_visible()
    page.evaluate(WATCH_TASKS)
    seen = 0
    for _ in range(20):
        page.evaluate("() => { const box = document.querySelector('.rows'); box.scrollTop = box.scrollHeight; }")
        page.page.wait_for_function(
            "(seen) => Number(document.querySelector('.order:last-child')?.ariaRowIndex ?? 0) > seen", arg=seen
        )
        seen = page.evaluate("() => Number(document.querySelector('.order:last-child').getAttribute('aria-rowindex'))")
        assert page.rows.count() < 80
    assert seen > 1000
    assert _longest_task(page) <= LONGEST_TASK_MILLISECONDS


# A WebSocket that speaks to the page as the server does, and says a great deal at once.
FLOOD = """({ orders, events }) => {
    window.WebSocket = class extends EventTarget {
        static OPEN = 1;
        readyState = 1;
        bufferedAmount = 0;
        constructor() {
            super();
            setTimeout(() => {
                this.onopen?.();
                this.say('0{"sid":"a","upgrades":[],"pingInterval":10000,"pingTimeout":15000,"maxPayload":4096}');
            });
        }
        say(data) { this.onmessage?.({ data }); }
        send(message) {
            if (!String(message).startsWith("40")) return;
            const from = JSON.parse(message.slice(2)).last_seq;
            setTimeout(() => {
                this.say('40{"sid":"b"}');
                this.say(`42["ready",{"head_seq":${from}}]`);
            });
            window.flood = () => {
                for (let number = 1; number <= events; number += 1) {
                    const version = 2 + Math.ceil(number / orders.length);
                    const order = { ...orders[number % orders.length], version };
                    const { id, status, execution_state, created_at } = order;
                    const event = { seq: from + number, event: "order.partial", order_id: id, status, execution_state,
                        filled_quantity: "0", average_fill_price: null, fill: null, reason: null, timestamp: created_at,
                        order };
                    this.say(`42["order",${JSON.stringify(event)}]`);
                }
            };
        }
        close() {}
    };
}"""


def test_ten_thousand_events_at_once_do_not_freeze_the_page(new_page: NewPage, trader: Trader) -> None:
    page = new_page()
    at = datetime.now(UTC)
    orders = [an_order(number, at - timedelta(seconds=number)) for number in range(2000)]
    page.page.add_init_script(f"({FLOOD})({json.dumps({'orders': orders, 'events': 10_000})})")
    page.sign_in(trader)
    # in pages of 200, each a message of its own, as the feed sends them; the first events make 2,000 orders
    took = page.evaluate(
        """() => new Promise((resolve) => {
            const began = performance.now();
            window.flood();
            requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - began)));
        })"""
    )
    expect(page.rows.first).to_be_visible()
    print(f"10,000 events in one task: on the screen after {took:.0f} ms")
    assert took <= 3000
    assert page.rows.count() < 80
    expect(page.rows.first).to_have_attribute("data-version", "7")
