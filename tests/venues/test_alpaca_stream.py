"""The live stream: every update typed, and everything that could have cost one says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.domain.venue_answers import TradeUpdate, VenueOrderStatus
from app.venues.alpaca_stream import AlpacaTradeStream
from app.venues.port import StreamLost
from tests.venues.alpaca_samples import KEY_ID, SECRET_KEY, order, trade_update
from tests.venues.scripted_wire import End, Reply, Request, ScriptedWire, http, websocket_frame, websocket_handshake

TIMEOUT = 0.4  # seconds
SLACK = 1.2  # seconds that closing and a busy machine may add

AUTHORIZED = b'{"stream":"authorization","data":{"status":"authorized","action":"authenticate"}}'
UNAUTHORIZED = b'{"stream":"authorization","data":{"status":"unauthorized","action":"authenticate"}}'
LISTENING = b'{"stream":"listening","data":{"streams":["trade_updates"]}}'


@pytest.fixture
def wire() -> Iterator[ScriptedWire]:
    with ScriptedWire() as server:
        yield server


@pytest.fixture
def stream(wire: ScriptedWire) -> Iterator[AlpacaTradeStream]:
    adapter = AlpacaTradeStream(
        stream_url=wire.url.replace("http:", "ws:") + "/stream",
        key_id=KEY_ID,
        secret_key=SECRET_KEY,
        timeout_seconds=TIMEOUT,
        ping_seconds=0.2,
        pong_seconds=0.3,
    )
    yield adapter
    adapter.close()


def session(*frames: bytes, end: End = "hold", pause: float = 0.0, binary: bool = True) -> Reply:
    def chunks(request: Request) -> Iterator[bytes]:
        yield websocket_handshake(request)
        for frame in frames:
            yield websocket_frame(frame, binary=binary)

    return Reply(chunks, pause=pause, end=end)


def received(stream: AlpacaTradeStream, count: int, into: list[TradeUpdate] | None = None) -> list[TradeUpdate]:
    """`count` updates, waiting for them with a deadline; what came before a loss is in `into`."""
    updates = [] if into is None else into
    deadline = time.monotonic() + 5
    while len(updates) < count and time.monotonic() < deadline:
        for update in stream.updates(0.2):
            updates.append(update)
    return updates


def lost(stream: AlpacaTradeStream) -> StreamLost:
    """The loss that reading on ends in."""
    with pytest.raises(StreamLost) as caught:
        received(stream, 1_000_000)
    return caught.value


@pytest.mark.parametrize("binary", [True, False])
def test_a_fill_arrives_with_its_order_and_its_execution(
    wire: ScriptedWire, stream: AlpacaTradeStream, binary: bool
) -> None:
    fill = trade_update(
        "partial_fill",
        price="190.21",
        qty="15",
        position_qty="55",
        order_fields={"filled_qty": "40", "filled_avg_price": "190.2", "status": "partially_filled"},
    )
    wire.reply(session(AUTHORIZED, LISTENING, trade_update("new"), fill, binary=binary))
    stream.connect()
    new, partial = received(stream, 2)
    assert (new.event, new.execution) == ("new", None)
    assert partial.event == "partial_fill"
    assert (partial.report.filled_quantity, partial.report.status) == (Decimal(40), VenueOrderStatus.WORKING)
    assert partial.execution is not None
    assert partial.execution.cumulative_quantity == Decimal(40), "the identity that REST gives the same execution"
    assert (partial.execution.quantity, partial.execution.price) == (Decimal(15), Decimal("190.21"))
    assert partial.execution.executed_at == datetime(2026, 3, 2, 14, 30, 2, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        *("new", "canceled", "expired", "done_for_day", "replaced", "rejected", "pending_new", "stopped", "restated"),
        *("pending_cancel", "pending_replace", "calculated", "suspended", "accepted", "one_of_tomorrow"),
        *("order_replace_rejected", "order_cancel_rejected"),
    ],
)
def test_every_event_without_an_execution_carries_the_order(
    wire: ScriptedWire, stream: AlpacaTradeStream, event: str
) -> None:
    wire.reply(session(AUTHORIZED, LISTENING, trade_update(event)))
    stream.connect()
    (update,) = received(stream, 1)
    assert (update.event, update.execution, update.report.client_order_id) == (event, None, "ours-1")


def test_an_update_about_an_order_that_is_not_ours_is_passed_on(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    theirs = {"id": "theirs", "client_order_id": "by hand", "qty": None, "notional": "500", "filled_qty": "0"}
    wire.reply(session(AUTHORIZED, LISTENING, trade_update("new", order_fields=theirs), trade_update("new")))
    stream.connect()
    first, second = received(stream, 2)
    assert (first.report.venue_order_id, first.report.client_order_id) == ("theirs", "by hand")
    assert second.report.client_order_id == "ours-1"


@pytest.mark.parametrize("none", ["", None])
@pytest.mark.parametrize("event", ["new", "fill", "canceled"])
def test_an_option_strategy_of_several_legs_is_passed_over(
    wire: ScriptedWire, stream: AlpacaTradeStream, event: str, none: str | None
) -> None:
    legs = [
        order(id="leg-1", symbol="AAPL260117C00190000", order_class="mleg"),
        order(id="leg-2", symbol="AAPL260117C00200000", side="sell", order_class="mleg"),
    ]
    theirs = {"id": "strategy", "order_class": "mleg", "symbol": none, "side": none, "legs": legs}
    wire.reply(session(AUTHORIZED, LISTENING, trade_update(event, order_fields=theirs), trade_update("new")))
    stream.connect()
    (update,) = received(stream, 1)
    assert update.report.client_order_id == "ours-1"
    assert update.report.symbol == "AAPL"


def test_an_execution_without_an_id_is_one_all_the_same(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    fields = {"filled_qty": "100", "status": "filled", "filled_avg_price": "1"}
    wire.reply(
        session(
            AUTHORIZED, LISTENING, trade_update("fill", price="1", qty="100", execution_id=None, order_fields=fields)
        )
    )
    stream.connect()
    (update,) = received(stream, 1)
    assert update.execution is not None
    assert update.execution.execution_id is None


def test_waiting_in_vain_is_no_loss(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(session(AUTHORIZED, LISTENING))
    stream.connect()
    start = time.monotonic()
    assert list(stream.updates(0.1)) == []
    assert 0.05 < time.monotonic() - start < 0.1 + SLACK


def test_frames_of_streams_we_did_not_ask_for_are_passed_over(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    other = b'{"stream":"account_updates","data":{"id":1}}'
    wire.reply(session(other, AUTHORIZED, other, LISTENING, other, trade_update("new"), other))
    stream.connect()
    assert len(received(stream, 1)) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (session(UNAUTHORIZED), "VENUE_UNAUTHORIZED"),
        (session(AUTHORIZED, b'{"stream":"listening","data":{"streams":[]}}'), "does not send us"),
        (session(AUTHORIZED, b'{"stream":"listening","data":{"error":"no"}}'), "VENUE_ANSWER_UNREADABLE"),
        (session(b"garbage"), "VENUE_ANSWER_UNREADABLE"),
        (session(), "in time"),
        (session(AUTHORIZED), "in time"),
        (session(AUTHORIZED, end="close"), "broke"),
        (session(end="reset"), "broke"),
        (Reply([http(401, b"unauthorized")]), "401"),
        (Reply([http(200, b"<html>gateway</html>", content_type="text/html")]), "200"),
        (Reply([http(302, b"", headers=[("Location", "ws://127.0.0.1:1/")])]), "redirect"),
        (Reply([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], end="close"), "no stream"),
        (Reply([b"SSH-2.0-OpenSSH\r\n"], end="close"), "no stream"),
        (Reply([], end="close"), "no stream"),
        (Reply([], end="reset", reads_request=False), "no stream"),
        (Reply([], end="hold"), "no stream"),
        (Reply([bytes([letter]) for letter in b"HTTP/1.1 101 Switching Protocols\r\n"], pause=0.1), "no stream"),
    ],
)
def test_a_connection_that_does_not_come_about_says_why_in_time(
    wire: ScriptedWire, stream: AlpacaTradeStream, reply: Reply, said: str
) -> None:
    wire.reply(reply)
    start = time.monotonic()
    with pytest.raises(StreamLost) as caught:
        stream.connect()
    assert time.monotonic() - start < TIMEOUT + SLACK
    assert said in str(caught.value)
    assert SECRET_KEY not in str(caught.value)
    assert lost(stream).args == ("the stream is not connected",)


def test_frames_that_drip_in_do_not_lengthen_the_connecting(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    other = b'{"stream":"account_updates","data":{}}'
    wire.reply(session(*[other] * 100, pause=0.1))
    start = time.monotonic()
    with pytest.raises(StreamLost, match="in time"):
        stream.connect()
    assert time.monotonic() - start < TIMEOUT + SLACK


def test_nobody_listening_is_a_loss(wire: ScriptedWire) -> None:
    adapter = AlpacaTradeStream(stream_url="ws://127.0.0.1:1", key_id="k", secret_key="s", timeout_seconds=TIMEOUT)
    with pytest.raises(StreamLost, match="no stream"):
        adapter.connect()


@pytest.mark.parametrize("url", ["", "https://api.example/stream", "ws://"])
def test_a_stream_is_not_made_for_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="not a ws or wss URL"):
        AlpacaTradeStream(stream_url=url, key_id="k", secret_key="s", timeout_seconds=1)


def test_a_cut_loses_the_stream_after_what_came_before_it(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(session(AUTHORIZED, LISTENING, trade_update("new"), end="close", pause=0.05))
    stream.connect()
    got: list[TradeUpdate] = []
    with pytest.raises(StreamLost, match="broke"):
        received(stream, 1_000_000, got)
    assert [update.event for update in got] == ["new"]


def test_a_reset_loses_the_stream(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(session(AUTHORIZED, LISTENING, b'{"stream":"other","data":{}}', end="reset", pause=0.1))
    stream.connect()
    assert "broke" in str(lost(stream))


def test_silence_is_noticed_because_pings_stay_unanswered(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(session(AUTHORIZED, LISTENING))  # the server never answers a ping
    stream.connect()
    start = time.monotonic()
    assert "ping" in str(lost(stream))
    assert time.monotonic() - start < 0.5 + 2 * SLACK


@pytest.mark.parametrize(
    "frame",
    [
        b"not json",
        b"{}",
        b"[]",
        b"",
        b"\xff\xfe",
        b'{"stream": "trade_updates"}',
        b'{"stream": "trade_updates", "data": {}}',
        b'{"stream": "trade_updates", "data": [1]}',
        b'{"stream": 1, "data": {}}',
        b'{"action": "error", "data": {"error_message": "internal"}}',
        b'{"stream":"authorization","data":{"status":"unauthorized"}}',
        trade_update("new")[:-30],
        trade_update("fill"),
        trade_update("fill", price="1", qty="100", timestamp=None),
        trade_update("fill", price="1", qty="100"),
        trade_update("fill", price="0", qty="40", order_fields={"filled_qty": "40"}),
        trade_update("fill", price="NaN", qty="40", order_fields={"filled_qty": "40"}),
        trade_update("fill", price="1", qty="41", order_fields={"filled_qty": "40"}),
        trade_update("fill", price="1", qty="1e999999", order_fields={"filled_qty": "40"}),
        trade_update("new", order_fields={"status": "liquidated"}),
        trade_update("new", order_fields={"filled_qty": "101"}),
        trade_update("new", order_fields={"symbol": ""}),
        trade_update("new", order_fields={"symbol": None}),
        trade_update("new", order_fields={"side": None}),
        trade_update(""),
        b" " * 2_000_000,
        b'{"stream":' + b"[" * 200_000,
    ],
    ids=lambda frame: repr(frame[:40]),
)
def test_a_frame_that_cannot_be_believed_loses_the_stream(
    wire: ScriptedWire, stream: AlpacaTradeStream, frame: bytes
) -> None:
    wire.reply(session(AUTHORIZED, LISTENING, b'{"stream":"other","data":{}}', frame, trade_update("new"), pause=0.02))
    stream.connect()
    assert SECRET_KEY not in str(lost(stream))
    assert lost(stream).args == ("the stream is not connected",)


def test_after_a_loss_connecting_begins_anew(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(
        session(AUTHORIZED, LISTENING, b"garbage"),
        session(UNAUTHORIZED),
        session(AUTHORIZED, LISTENING, trade_update("new")),
    )
    stream.connect()
    lost(stream)
    with pytest.raises(StreamLost):
        stream.connect()
    stream.connect()
    assert len(received(stream, 1)) == 1
    assert wire.connections == 3


def test_connecting_again_ends_the_connection_before(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(session(AUTHORIZED, LISTENING), session(AUTHORIZED, LISTENING, trade_update("new")))
    stream.connect()
    stream.connect()
    assert len(received(stream, 1)) == 1


def test_a_flood_does_not_keep_the_caller_for_ever(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    many = [trade_update("new", order_fields={"id": f"{number}"}) for number in range(3000)]
    wire.reply(session(AUTHORIZED, LISTENING, *many))
    stream.connect()
    got: list[str] = []
    batches = 0
    deadline = time.monotonic() + 10
    while len(got) < 3000 and time.monotonic() < deadline:
        got += [update.report.venue_order_id for update in stream.updates(0.2)]
        batches += 1
    assert got == [str(number) for number in range(3000)]
    assert batches >= 3


def test_closing_twice_or_unconnected_is_harmless(stream: AlpacaTradeStream) -> None:
    stream.close()
    stream.close()


def test_the_credentials_go_where_they_belong(wire: ScriptedWire, stream: AlpacaTradeStream) -> None:
    wire.reply(session(AUTHORIZED, LISTENING))
    stream.connect()
    request = wire.requests[0]
    assert request.target == "/stream"
    assert SECRET_KEY not in json.dumps([request.target, request.headers]), "not in what a proxy logs"
