"""What becomes of a call when the connection fails at any stage, and how long that may take."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.domain.venue_answers import Accepted, CancelTaken, NotFound, OutcomeUnknown
from app.venues.alpaca import AlpacaVenue
from tests.venues.alpaca_samples import NOT_FOUND, instruction, order_json, venue
from tests.venues.scripted_wire import Reply, ScriptedWire, http

_LOOPBACK = ipaddress.ip_address("127.0.0.1")
TIMEOUT = 0.4  # seconds; short, because these tests wait for it
SLACK = 1.0  # seconds that a busy machine may add


@pytest.fixture
def wire() -> Iterator[ScriptedWire]:
    with ScriptedWire() as server:
        yield server


@pytest.fixture
def alpaca(wire: ScriptedWire) -> Iterator[AlpacaVenue]:
    adapter = venue(wire.url, timeout=TIMEOUT)
    yield adapter
    adapter.close()


def drip(content: bytes) -> list[bytes]:
    return [content[position : position + 1] for position in range(len(content))]


def endless(start: bytes, more: bytes) -> Iterable[bytes]:
    yield start
    while True:
        yield more


FULL = http(200, order_json())
HEAD, _, BODY = FULL.partition(b"\r\n\r\n")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

STAGES: dict[str, tuple[Reply, str]] = {
    "closed as soon as connected": (Reply([], end="close", reads_request=False), "VENUE_CONNECTION_LOST"),
    "reset as soon as connected": (Reply([], end="reset", reads_request=False), "VENUE_CONNECTION_LOST"),
    "closed after the request": (Reply([], end="close"), "VENUE_CONNECTION_LOST"),
    "reset after the request": (Reply([], end="reset"), "VENUE_CONNECTION_LOST"),
    "silent after the request": (Reply([], end="hold"), "VENUE_TIMEOUT"),
    "silent without reading": (Reply([], end="hold", reads_request=False), "VENUE_TIMEOUT"),
    "closed in the status line": (Reply([b"HTTP/1.1 2"], end="close"), "VENUE_CONNECTION_LOST"),
    "closed in the headers": (Reply([HEAD[:60]], end="close"), "VENUE_ANSWER_UNREADABLE"),
    "silent in the headers": (Reply([HEAD[:60]], end="hold"), "VENUE_TIMEOUT"),
    "closed before the body": (Reply([HEAD + b"\r\n\r\n"], end="close"), "VENUE_CONNECTION_LOST"),
    "closed in the body": (Reply([FULL[:-20]], end="close"), "VENUE_CONNECTION_LOST"),
    "reset in the body": (Reply([FULL[:-20]], end="reset"), "VENUE_CONNECTION_LOST"),
    "silent in the body": (Reply([FULL[:-20]], end="hold"), "VENUE_TIMEOUT"),
    "a chunked body that is cut": (Reply([CHUNKED + b'5\r\n{"id"'], end="close"), "VENUE_CONNECTION_LOST"),
    "a chunk length that is none": (Reply([CHUNKED + b"zz\r\n{}"], end="close"), "VENUE_CONNECTION_LOST"),
    "a body without a length that is cut": (
        Reply([b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:-20]], end="close"),
        "VENUE_ANSWER_UNREADABLE",
    ),
    "a status line that is none": (Reply([b"SSH-2.0-OpenSSH_9.7\r\n"], end="close"), "VENUE_CONNECTION_LOST"),
    "a status that is no number": (Reply([b"HTTP/1.1 abc OK\r\n\r\n"], end="close"), "VENUE_CONNECTION_LOST"),
    "a length that is no number": (
        Reply([b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + BODY[:-9]], end="close"),
        "VENUE_ANSWER_UNREADABLE",
    ),
    "a header without an end": (
        Reply(lambda _: endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 5000), end="close"),
        "VENUE_CONNECTION_LOST",
    ),
    "headers without an end": (
        Reply(lambda _: endless(b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n"), end="close"),
        "VENUE_CONNECTION_LOST",
    ),
    "a body that claims to be compressed": (
        Reply([http(200, order_json(), headers=[("Content-Encoding", "gzip")])]),
        "VENUE_CONNECTION_LOST",
    ),
    "an answer dripping faster than any read times out": (Reply(drip(FULL), pause=0.05), "VENUE_TIMEOUT"),
    "a body dripping": (Reply([HEAD + b"\r\n\r\n", *drip(BODY)], pause=0.05), "VENUE_TIMEOUT"),
    "interim answers without an end": (
        Reply(lambda _: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), pause=0.05),
        "VENUE_TIMEOUT",
    ),
    "ten megabytes": (Reply([http(200, b" " * 10_000_000)]), "VENUE_ANSWER_UNREADABLE"),
    "a body without an end": (
        Reply(lambda _: endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 100_000), end="close"),
        "VENUE_ANSWER_UNREADABLE",
    ),
    "a small body that grows to a gigabyte": (
        Reply([http(200, gzip.compress(b" " * 50_000_000), headers=[("Content-Encoding", "gzip")])]),
        "VENUE_ANSWER_UNREADABLE",
    ),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("call", ["submit", "find", "cancel", "instruments"])
def test_a_broken_exchange_leaves_the_outcome_unknown_within_the_timeout(
    wire: ScriptedWire, alpaca: AlpacaVenue, stage: str, call: str
) -> None:
    reply, code = STAGES[stage]
    if callable(reply.chunks) or call == "submit":
        wire.reply(reply)
    else:
        wire.reply(Reply(list(reply.chunks), reply.pause, reply.end, reply.reads_request))
    calls: dict[str, Callable[[], object]] = {
        "submit": lambda: alpaca.submit(instruction()),
        "find": lambda: alpaca.find("ours-1"),
        "cancel": lambda: alpaca.cancel("v-1"),
        "instruments": alpaca.instruments,
    }
    start = time.monotonic()
    answer = calls[call]()
    assert time.monotonic() - start < TIMEOUT + SLACK
    assert isinstance(answer, OutcomeUnknown)
    assert len(answer.evidence) <= 500
    if answer.code == "VENUE_UNREACHABLE":
        assert stage == "reset as soon as connected", "only a reset can be faster than our connecting"
    elif call == "submit":
        assert answer.code == code
    assert answer.nothing_sent == (answer.code == "VENUE_UNREACHABLE")
    assert wire.connections == 1, "nothing is sent again on another connection"


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_to_an_answer_makes_a_call_raise_or_turns_it_into_another_order(seed: int) -> None:
    random = Random(seed)
    with ScriptedWire() as wire:
        adapter = venue(wire.url, timeout=TIMEOUT)
        for _ in range(100):
            damaged = bytearray(http(200, order_json(), headers=[("Date", "Mon, 02 Mar 2026 14:30:01 GMT")]))
            for _ in range(random.randint(1, 6)):
                position = random.randrange(len(damaged))
                match random.randrange(3):
                    case 0:
                        damaged[position] = random.randrange(256)
                    case 1:
                        del damaged[position : position + random.randint(1, 40)]
                    case 2:
                        damaged[position:position] = random.randbytes(random.randint(1, 10))
            wire.script.clear()
            wire.reply(Reply([bytes(damaged)], end="close"))
            answer = adapter.submit(instruction())
            assert isinstance(answer, (Accepted, OutcomeUnknown)), bytes(damaged)
            if isinstance(answer, Accepted):
                assert answer.report.client_order_id == "ours-1"
                assert (answer.report.symbol, answer.report.quantity) == ("AAPL", Decimal(100))
        adapter.close()


def test_the_next_call_after_a_broken_one_is_not_confused_by_its_rest(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    for reply, _ in STAGES.values():
        wire.script.clear()
        wire.reply(reply)
        assert isinstance(alpaca.submit(instruction()), OutcomeUnknown)
        wire.reply(http(404, NOT_FOUND), http(204, b""))
        assert isinstance(alpaca.find("ours-1"), NotFound)
        assert isinstance(alpaca.cancel("v-1"), CancelTaken)


def test_a_late_answer_is_never_taken_for_the_next_calls(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    wire.reply(Reply([b"", http(404, NOT_FOUND)], pause=TIMEOUT + 0.2))
    assert isinstance(alpaca.find("ours-1"), OutcomeUnknown)
    wire.reply(http(200, order_json(client_order_id="ours-2")))
    assert isinstance(alpaca.submit(instruction("ours-2")), Accepted)


def test_one_connection_serves_many_calls(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    for _ in range(5):
        wire.reply(http(200, order_json()), http(204, b""), http(404, NOT_FOUND), http(503, b"later"))
        alpaca.submit(instruction())
        alpaca.cancel("v-1")
        alpaca.find("ours-1")
        alpaca.find("ours-1")
    assert (len(wire.requests), wire.connections) == (20, 1)


def test_a_connection_that_the_venue_closed_while_idle_is_replaced(wire: ScriptedWire, alpaca: AlpacaVenue) -> None:
    for _ in range(3):
        wire.reply(Reply([http(404, NOT_FOUND)], end="close"))
        assert isinstance(alpaca.find("ours-1"), NotFound)
        assert _until(lambda: _was_closed(alpaca))
    assert wire.connections == 3


def test_a_venue_that_refuses_connections_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = venue(f"http://127.0.0.1:{port}").submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == ("VENUE_UNREACHABLE", True)


def test_a_venue_that_does_not_accept_connections_was_sent_nothing() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(("127.0.0.1", port))  # the backlog is full now
            start = time.monotonic()
            answer = venue(f"http://127.0.0.1:{port}", timeout=TIMEOUT).submit(instruction())
            assert time.monotonic() - start < TIMEOUT + SLACK
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == ("VENUE_UNREACHABLE", True)


def test_a_name_that_does_not_resolve_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    answer = venue("http://venue.example").submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == ("VENUE_UNREACHABLE", True)
    assert "Temporary failure in name resolution" in answer.evidence


def test_a_name_server_that_is_silent_costs_no_more_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: Any) -> list[Any]:
        released.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    answer = venue("http://venue.example", timeout=TIMEOUT).submit(instruction())
    assert time.monotonic() - start < TIMEOUT + SLACK
    released.set()
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == ("VENUE_UNREACHABLE", True)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "..", "nowhere.invalid"])
def test_a_name_that_can_be_none_is_unreachable_too(host: str) -> None:
    answer = venue(f"http://{host}").find("ours-1")
    assert isinstance(answer, OutcomeUnknown)


@pytest.mark.parametrize(
    "url", ["", "api.example", "ftp://api.example", "http://", "wss://a.example", "http://with space"]
)
def test_an_adapter_is_not_made_for_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|parse"):
        venue(url)


def test_a_path_in_the_base_url_is_kept(wire: ScriptedWire) -> None:
    wire.reply(http(404, NOT_FOUND))
    venue(wire.url + "/proxy/").find("ours-1")
    assert wire.requests[0].target.startswith("/proxy/v2/orders:by_client_order_id?")


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that signed itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "scripted venue")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(_LOOPBACK)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "venue.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_wire(certificate: Path) -> Iterator[ScriptedWire]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedWire(context) as server:
        yield server


def test_tls_with_a_trusted_certificate_works_and_keeps_its_connection(
    tls_wire: ScriptedWire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    adapter = venue(tls_wire.url)
    for _ in range(3):
        tls_wire.reply(http(200, order_json()))
        assert isinstance(adapter.submit(instruction()), Accepted)
    assert tls_wire.connections == 1
    adapter.close()


def test_tls_changes_nothing_about_the_time_an_answer_may_take(
    tls_wire: ScriptedWire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    adapter = venue(tls_wire.url, timeout=TIMEOUT)
    for reply in (Reply(drip(FULL), pause=0.05), Reply([], end="hold"), Reply([HEAD[:60]], end="hold")):
        tls_wire.reply(reply)
        start = time.monotonic()
        answer = adapter.submit(instruction())
        assert time.monotonic() - start < TIMEOUT + SLACK
        assert isinstance(answer, OutcomeUnknown)
        assert (answer.code, answer.nothing_sent) == ("VENUE_TIMEOUT", False)
    adapter.close()


def test_a_certificate_that_nobody_trusts_gets_nothing_from_us(tls_wire: ScriptedWire) -> None:
    answer = venue(tls_wire.url).submit(instruction())
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == ("VENUE_UNREACHABLE", True)
    assert tls_wire.requests == []


@pytest.mark.parametrize("end", ["hold", "close"])
def test_a_tls_handshake_that_never_ends_or_breaks_sent_nothing(wire: ScriptedWire, end: Any) -> None:
    wire.reply(Reply([], end=end, reads_request=False))
    start = time.monotonic()
    answer = venue(wire.url.replace("http:", "https:"), timeout=TIMEOUT).submit(instruction())
    assert time.monotonic() - start < TIMEOUT + SLACK
    assert isinstance(answer, OutcomeUnknown)
    assert (answer.code, answer.nothing_sent) == ("VENUE_UNREACHABLE", True)


# --- waiting ---------------------------------------------------------------------------------------------------------


def _was_closed(alpaca: AlpacaVenue) -> bool:
    """True when the far end's close has reached the kept connection."""
    connection = alpaca._trading._pool.pool.queue[-1]  # type: ignore[union-attr]
    return connection is None or not connection.is_connected


def _until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return False
