"""Task messages over any Redis: only ours are read, and with TLS the server has to prove who it is."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from app.redis_transport import SentinelTransport, Transport, tls_of, transport_of
from local.redis_server import EmbeddedRedis


def _connection(url: str) -> Any:
    connect: Any = Connection  # kombu has no types
    return connect(
        url,
        transport=transport_of(url),
        ssl=tls_of(url),
        transport_options={
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
            "max_retries": 1,
            "interval_start": 0,
            "master_name": "m",
        },
    )


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("redis://u:p@h:6379/0", Transport),
        ("rediss://u:p@h:6379/0", Transport),
        ("sentinel://a:26379;sentinel://b:26379", SentinelTransport),
    ],
)
def test_only_our_messages_are_read_from_any_redis(url: str, transport: type) -> None:
    connection = _connection(url)
    assert type(connection.transport) is transport
    if ";" in url:
        connection.maybe_switch_next()
        assert type(connection.transport) is transport, "as well from the next one, when the first is away"


def test_what_is_no_redis_keeps_its_own_transport() -> None:
    assert transport_of("amqp://h") is None and tls_of("amqp://h") is None and tls_of("redis://h") is None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key, signed by itself."""
    key, name = Ed25519PrivateKey.generate(), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, None)
    )
    path = tmp_path_factory.mktemp("tls") / "redis.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return path


@contextmanager
def _tls_before(server: EmbeddedRedis, certificate: Path) -> Iterator[int]:
    """A port where TLS 1.3 ends in front of Redis."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate)

    def serve(client: socket.socket) -> None:
        with suppress(OSError), closing(context.wrap_socket(client, server_side=True)) as inside:
            with closing(socket.create_connection(("127.0.0.1", server.port))) as outside:
                threading.Thread(target=_copy, args=(outside, inside), daemon=True).start()
                _copy(inside, outside)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)


def test_a_message_passes_over_tls_and_no_other_certificate_is_taken(
    redis_server: EmbeddedRedis, certificate: Path
) -> None:
    with _tls_before(redis_server, certificate) as port:
        url = f"rediss://:{redis_server.password}@127.0.0.1:{port}/0"
        with _connection(f"{url}?ssl_ca_certs={certificate}") as connection:
            connection.Producer().publish({}, exchange="", routing_key="over-tls")
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.llen("over-tls") == 1
            client.delete("over-tls")
        with pytest.raises(OperationalError, match="certificate"), _connection(url) as connection:
            connection.Producer().publish({}, exchange="", routing_key="over-tls")
