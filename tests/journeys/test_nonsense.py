"""A venue that talks nonsense, whole system: nothing is booked, it is alarmed, the order held, the truth wins."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from proofs.venue_ledger import SimulatorControl
from tests.journeys.desk import CASH, Desk

pytestmark = pytest.mark.journey

KINDS = (
    "nonsense_wrong_order", "nonsense_wrong_symbol", "nonsense_negative_fill", "nonsense_overfill",
    "nonsense_unknown_status", "nonsense_nan", "nonsense_missing_fields", "nonsense_wrong_types", "nonsense_huge_body",
)  # fmt: skip
ALARMS = {"VENUE_ANSWER_NONSENSE", "VENUE_ANSWER_UNREADABLE", "TERMS_DIFFER"}


def alarms(desk: Desk, order_id: UUID) -> set[str]:
    return set((desk.ours().orders[order_id].alarm_code or "").split(","))


def test_nonsense_about_an_order_is_alarmed_and_not_booked_and_the_truth_is_taken_over_afterwards(
    desk: Desk, venue: SimulatorControl
) -> None:
    """All kinds at once, each on the look-up of an order whose fate only a look-up tells."""
    trader = desk.open_account("nonsense", CASH)
    # the reply is lost, the stream is silent and the lists are nonsense as well: only the truth is missing
    venue.add_faults(
        *({"kind": "reply_lost_after_accept", "symbol": "AAPL", "times": 1} for _ in KINDS),
        {"kind": "stream_silent", "symbol": "AAPL"},
        {"kind": "nonsense_missing_fields", "on": "list"},
    )
    orders = {}
    for kind in KINDS:
        orders[kind] = desk.submit(trader, symbol="AAPL", quantity=2)
        desk.until(orders[kind], "order.in_doubt", within=20)
        venue.add_faults({"kind": kind, "client_order_id": str(orders[kind]), "times": 2, "megabytes": 10})
    deadline = time.monotonic() + 30
    while missing := [kind for kind, order_id in orders.items() if not alarms(desk, order_id) & ALARMS]:
        assert time.monotonic() < deadline, f"no alarm after {missing}"
        time.sleep(0.2)
    for kind, order_id in orders.items():
        if "order.filled" not in desk.events(order_id):
            assert desk.get(trader, f"orders/{order_id}")["filled_quantity"] == "0", kind
    venue.remove_faults()
    for order_id in orders.values():
        if "order.needs_attention" in desk.events(order_id):
            desk.act(trader, order_id, "retry")
    assert desk.until_closed(list(orders.values())) == ["FILLED"] * len(KINDS)
    held = desk.get(trader, "positions")["data"]
    assert [(position["symbol"], position["quantity"]) for position in held] == [("AAPL", str(2 * len(KINDS)))]
