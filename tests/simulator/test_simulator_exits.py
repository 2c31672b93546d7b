"""Bracket, OCO and OTO orders."""

from __future__ import annotations

from typing import Any

from tests.simulator.venue_process import VenueProcess, eventually


def _bracket(venue: VenueProcess, **fields: Any) -> dict[str, Any]:
    return venue.place(
        order_class="bracket", take_profit={"limit_price": "110"}, stop_loss={"stop_price": "90"}, **fields
    )


def _legs(venue: VenueProcess, order: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    profit, loss = venue.order(order["id"])["legs"]
    return profit, loss


def test_exits_start_when_the_entry_is_wholly_filled(venue: VenueProcess) -> None:
    venue.control("settings", {"partial_fill_interval_ms": 1500})
    entry = _bracket(venue, qty="150")
    assert [leg["status"] for leg in entry["legs"]] == ["held", "held"]
    assert [(leg["type"], leg["side"]) for leg in entry["legs"]] == [("limit", "sell"), ("stop", "sell")]
    venue.settled(entry["id"], "partially_filled")
    assert [leg["status"] for leg in _legs(venue, entry)] == ["held", "held"]
    venue.settled(entry["id"], "filled")
    assert [leg["status"] for leg in _legs(venue, entry)] == ["new", "held"]


def test_the_take_profit_cancels_the_stop_loss(venue: VenueProcess) -> None:
    entry = _bracket(venue)
    venue.settled(entry["id"], "filled")
    venue.quote("AAPL", "110.50", "110.52")
    profit, loss = entry["legs"]
    assert venue.settled(profit["id"], "filled")["filled_avg_price"] == "110"
    venue.settled(loss["id"], "canceled")


def test_the_stop_loss_cancels_the_take_profit(venue: VenueProcess) -> None:
    entry = _bracket(venue)
    venue.settled(entry["id"], "filled")
    profit, loss = entry["legs"]
    with venue.stream() as stream:
        venue.quote("AAPL", "89.50", "89.52")
        told = [(update["event"], update["order"]["id"]) for update in stream.updates(3)]
    assert told == [("new", loss["id"]), ("canceled", profit["id"]), ("fill", loss["id"])]
    assert venue.settled(loss["id"], "filled")["filled_avg_price"] == "89.5"


def test_both_exits_together_never_sell_more_than_the_entry(venue: VenueProcess) -> None:
    venue.control("settings", {"partial_fill_interval_ms": 60_000})
    venue.quote("AAPL", "100.00", "100.02", "300")
    entry = _bracket(venue, qty="250")
    venue.settled(entry["id"], "filled")
    profit, loss = entry["legs"]
    venue.quote("AAPL", "110.00", "110.02", "100")
    venue.settled(profit["id"], "partially_filled")
    venue.quote("AAPL", "89.00", "89.02", "300")
    stopped = venue.settled(loss["id"], "filled")
    assert (stopped["qty"], stopped["filled_qty"]) == ("150", "150")
    assert venue.settled(profit["id"], "canceled")["filled_qty"] == "100"


def test_cancelling_one_exit_cancels_the_other(venue: VenueProcess) -> None:
    entry = _bracket(venue)
    venue.settled(entry["id"], "filled")
    profit, loss = entry["legs"]
    venue.call("DELETE", f"/v2/orders/{loss['id']}")
    venue.settled(loss["id"], "canceled")
    venue.settled(profit["id"], "canceled")


def test_cancelling_a_partly_filled_entry_cancels_the_exits(venue: VenueProcess) -> None:
    venue.control("settings", {"partial_fill_interval_ms": 60_000})
    entry = _bracket(venue, qty="150")
    venue.settled(entry["id"], "partially_filled")
    venue.call("DELETE", f"/v2/orders/{entry['id']}")
    venue.settled(entry["id"], "canceled")
    assert [leg["status"] for leg in _legs(venue, entry)] == ["canceled", "canceled"]


def test_an_oco_is_a_take_profit_with_a_stop_loss_for_a_leg(venue: VenueProcess) -> None:
    oco = venue.place(
        side="sell",
        type="limit",
        order_class="oco",
        take_profit={"limit_price": "110"},
        stop_loss={"stop_price": "90", "limit_price": "89"},
    )
    assert oco["limit_price"] == "110"
    (loss,) = oco["legs"]
    assert (loss["type"], loss["status"]) == ("stop_limit", "held")
    venue.settled(oco["id"], "new")
    venue.quote("AAPL", "89.50", "89.52")
    venue.settled(loss["id"], "filled")
    venue.settled(oco["id"], "canceled")


def test_an_oto_has_one_exit(venue: VenueProcess) -> None:
    oto = venue.place(order_class="oto", stop_loss={"stop_price": "90"})
    venue.settled(oto["id"], "filled")
    (loss,) = oto["legs"]
    assert venue.settled(loss["id"], "new")["type"] == "stop"
    venue.quote("AAPL", "89.00", "89.02")
    venue.settled(loss["id"], "filled")


def test_a_replaced_exit_stays_tied_to_the_other(venue: VenueProcess) -> None:
    entry = _bracket(venue)
    venue.settled(entry["id"], "filled")
    profit, loss = entry["legs"]
    status, better = venue.call("PATCH", f"/v2/orders/{profit['id']}", {"limit_price": "105"})
    assert status == 200
    venue.settled(better["id"], "new")
    venue.quote("AAPL", "105.50", "105.52")
    venue.settled(better["id"], "filled")
    venue.settled(loss["id"], "canceled")


def test_a_nested_list_shows_exits_under_their_entry(venue: VenueProcess) -> None:
    entry = _bracket(venue, symbol="AAPL")
    venue.settled(entry["id"], "filled")
    nested = venue.get("/v2/orders?status=open&nested=true")
    assert [order["id"] for order in nested] == [entry["id"]]
    assert [leg["id"] for leg in nested[0]["legs"]] == [leg["id"] for leg in entry["legs"]]
    flat = venue.get("/v2/orders?status=open")
    assert {order["id"] for order in flat} == {leg["id"] for leg in entry["legs"]}


def test_contradictory_exits_are_refused(venue: VenueProcess) -> None:
    for fields, status in (
        ({"order_class": "bracket", "take_profit": {"limit_price": "110"}}, 422),
        ({"order_class": "bracket", "take_profit": {"limit_price": "80"}, "stop_loss": {"stop_price": "90"}}, 422),
        ({"order_class": "oto"}, 422),
        ({"order_class": "oco", "take_profit": {"limit_price": "110"}}, 422),
        ({"order_class": "bracket", "take_profit": 7, "stop_loss": 8}, 400),
        ({"order_class": "mleg"}, 422),
    ):
        assert venue.submit(**fields)[0] == status, fields


def test_exits_survive_a_kill(own_venue: VenueProcess) -> None:
    own_venue.quote("AAPL", "100.00", "100.02")
    entry = _bracket(own_venue)
    own_venue.settled(entry["id"], "filled")
    own_venue.kill()
    own_venue.start()
    own_venue.quote("AAPL", "89.50", "89.52")
    profit, loss = entry["legs"]
    own_venue.settled(loss["id"], "filled")
    eventually(lambda: own_venue.order(profit["id"])["status"] == "canceled")
