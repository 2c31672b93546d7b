"""The trade updates stream and the faults that strike it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.simulator.venue_process import Listener, VenueProcess, eventually


def _name() -> str:
    return f"order-{uuid4()}"


def test_an_order_is_told_step_by_step(venue: VenueProcess) -> None:
    with venue.stream() as stream:
        name = _name()
        order = venue.place(name, qty="150")
        new, partial, fill = stream.updates(3, name)
    assert [update["event"] for update in (new, partial, fill)] == ["new", "partial_fill", "fill"]
    assert new["order"]["id"] == order["id"]
    assert new["order"]["status"] == "new"
    assert (partial["qty"], partial["price"], partial["order"]["filled_qty"]) == ("100", "100.02", "100")
    assert (fill["qty"], fill["order"]["status"], fill["order"]["filled_qty"]) == ("50", "filled", "150")
    assert fill["execution_id"] != partial["execution_id"]
    assert fill["position_qty"]
    assert fill["timestamp"]


def test_cancel_and_replacement_are_told(venue: VenueProcess) -> None:
    with venue.stream() as stream:
        first = venue.place(_name(), type="limit", limit_price="90")
        assert stream.events(1) == ["new"]
        successor = venue.call("PATCH", f"/v2/orders/{first['id']}", {"limit_price": "91"})[1]
        replaced, new = stream.updates(2)
        assert (replaced["event"], replaced["order"]["id"]) == ("replaced", first["id"])
        assert (new["event"], new["order"]["id"]) == ("new", successor["id"])
        venue.call("DELETE", f"/v2/orders/{successor['id']}")
        assert stream.events(1) == ["canceled"]


def test_a_replacement_beaten_by_a_fill_is_told(venue: VenueProcess) -> None:
    venue.control("settings", {"replace_delay_ms": 1500})
    with venue.stream() as stream:
        order = venue.place(_name(), type="limit", limit_price="90")
        assert stream.events(1) == ["new"]
        venue.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91"})
        venue.quote("AAPL", "89.00", "89.02")
        assert stream.events(4) == ["pending_replace", "fill", "order_replace_rejected", "rejected"]


def test_wrong_keys_hear_nothing(venue: VenueProcess) -> None:
    with connect(venue.url.replace("http", "ws") + "/stream") as socket:
        listener = Listener(socket)
        listener.say({"action": "authenticate", "data": {"key_id": "test-key", "secret_key": "wrong"}})
        assert listener.hear()["data"]["status"] == "unauthorized"
        listener.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
        assert listener.hear()["data"]["streams"] == []
        venue.settled(venue.place()["id"], "filled")
        listener.say({"action": "authenticate", "data": {"key_id": "test-key", "secret_key": "wrong"}})
        assert listener.hear()["stream"] == "authorization", "nothing was told in between"


@pytest.mark.parametrize("frame", ["no json", "[]", '{"action": "dance"}', '{"action": "listen", "data": 7}', "null"])
def test_a_message_that_makes_no_sense_is_answered_and_survived(venue: VenueProcess, frame: str) -> None:
    with connect(venue.url.replace("http", "ws") + "/stream") as socket:
        socket.send(frame)
        assert Listener(socket).hear()["stream"] == "error"


def test_stream_silent_hides_an_order_that_trades_all_the_same(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("stream_silent", name)
    with venue.stream() as stream:
        venue.settled(venue.place(name)["id"], "filled")
        other = _name()
        venue.place(other)
        assert name not in [told for told, _ in stream.events_before(other)]


def test_stream_silent_for_seconds_hides_everything_and_ends(venue: VenueProcess) -> None:
    with venue.stream() as stream:
        venue.fault("stream_silent", seconds=2)
        hidden = _name()
        venue.settled(venue.place(hidden)["id"], "filled")

        def heard() -> dict[str, Any] | None:
            venue.place(_name())
            with suppress(TimeoutError):
                return stream.hear(0.2)
            return None

        first = eventually(heard)
        assert first is not None
        assert first["data"]["order"]["client_order_id"] != hidden


def test_stream_repeat_tells_each_event_twice_with_the_same_execution(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("stream_repeat", name)
    with venue.stream() as stream:
        venue.place(name)
        updates = stream.updates(4, name)
    fills = [update for update in updates if update["event"] == "fill"]
    assert sorted(update["event"] for update in updates) == ["fill", "fill", "new", "new"]
    assert fills[0] == fills[1]


def test_stream_reorder_tells_the_fill_before_the_news(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("stream_reorder", name)
    with venue.stream() as stream:
        venue.place(name)
        assert stream.events(2, name) == ["fill", "new"]


def test_stream_reorder_lets_a_lone_event_go_in_the_end(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("stream_reorder", name, seconds=0.3)
    with venue.stream() as stream:
        venue.place(name, type="limit", limit_price="90")
        assert stream.events(1, name) == ["new"]


def test_stream_drop_fill_leaves_out_the_fills(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("stream_drop_fill", name)
    with venue.stream() as stream:
        venue.settled(venue.place(name)["id"], "filled")
        other = _name()
        venue.place(other)
        assert [event for told, event in stream.events_before(other) if told == name] == ["new"]


def test_stream_cut_ends_the_connections_and_the_event_is_lost(venue: VenueProcess) -> None:
    name = _name()
    venue.fault("stream_cut", name, times=1)
    with venue.stream() as stream:
        order = venue.place(name)
        with pytest.raises(ConnectionClosed):
            stream.hear()
    venue.settled(order["id"], "filled")
    with venue.stream() as stream:
        other = _name()
        venue.place(other)
        assert name not in [told for told, _ in stream.events_before(other)], "there is no replay"


def test_the_stream_can_be_cut_and_refused_for_a_while(venue: VenueProcess) -> None:
    with venue.stream() as stream:
        assert venue.control("stream/cut", {"refuse_for": 600}) == {"cut": 1}
        with pytest.raises(ConnectionClosed):
            stream.hear()
    assert venue.raw("GET", "/stream").status == 503
    venue.control("stream/cut", {})
    with venue.stream() as stream:
        venue.place()
        assert stream.events(2) == ["new", "fill"]


def test_a_client_that_left_is_forgotten(venue: VenueProcess) -> None:
    with venue.stream():
        eventually(lambda: venue.get("/simulator/health")["stream_clients"] == 1)
    eventually(lambda: venue.get("/simulator/health")["stream_clients"] == 0)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nonsense_negative_fill", b'"qty": "-5"'),
        ("nonsense_unknown_status", b'"event": "transmogrified"'),
        ("nonsense_nan", b'"price": Infinity'),
        ("nonsense_wrong_order", b"somebody-elses-order"),
    ],
)
def test_the_stream_can_talk_nonsense(venue: VenueProcess, kind: str, told: bytes) -> None:
    name = _name()
    venue.fault(kind, name, on="stream", times=5)
    with venue.stream() as stream:
        venue.place(name)
        stream.socket.recv(5)
        frame = stream.socket.recv(5)
    assert isinstance(frame, bytes)
    assert told in frame
