"""What a signed request has to cover, and when its signature counts; every request here is signed properly."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.signed_requests import NONCE_KEPT, WINDOW, SignatureRefused, check_signature
from app.storage.api_keys import Identity

PRIVATE = Ed25519PrivateKey.generate()
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
BODY = b'{"symbol":"AAPL"}'
SIGNER = Identity(
    UUID(int=1), UUID(int=2), "sk_12345678", frozenset({"trade"}), None, PRIVATE.public_key().public_bytes_raw()
)
VALUES = {
    "@method": "POST",
    "@path": "/api/v1/orders",
    "@query": "?a=1",
    "content-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(BODY).digest()).decode()}:",
    "idempotency-key": "one",
    "confirm-duplicate": "true",
}
COVERED = tuple(VALUES)


class Remembered:
    """Nonces in memory."""

    def __init__(self) -> None:
        self.taken: dict[str, datetime] = {}

    def take_nonce(self, identity: Identity, nonce: str, expires_at: datetime) -> bool:
        return self.taken.setdefault(nonce, expires_at) is expires_at


def _signed(
    covered: tuple[str, ...] = COVERED, *, created: str = "", parameters: str = "", nonce: str = "n" * 16
) -> Any:
    """The request, properly signed over what is covered and no more."""
    created = created or f";created={int(NOW.timestamp())}"
    names = " ".join([f'"{name}"' for name in covered])
    said = f'({names}){created};nonce="{nonce}"{parameters}'
    base = "\n".join([f'"{name}": {VALUES[name]}' for name in covered] + [f'"@signature-params": {said}'])
    return {
        "REQUEST_METHOD": "POST",
        "RAW_URI": "/api/v1/orders?a=1",
        **{f"HTTP_{name.upper().replace('-', '_')}": VALUES[name] for name in VALUES if not name.startswith("@")},
        "HTTP_SIGNATURE_INPUT": f"sig={said}",
        "HTTP_SIGNATURE": f"sig=:{base64.b64encode(PRIVATE.sign(base.encode())).decode()}:",
    }


def _refusal(environ: Any, *, now: datetime = NOW, body: bytes = BODY, nonces: Remembered | None = None) -> str:
    kept = nonces or Remembered()
    with pytest.raises(SignatureRefused) as refused:
        check_signature(environ, body, SIGNER, now, kept)
    assert nonces is not None or not kept.taken, "what is refused uses up no nonce"
    return f"{refused.value.code}: {refused.value.detail}"


def test_what_covers_everything_is_accepted_once() -> None:
    nonces = Remembered()
    check_signature(_signed(), BODY, SIGNER, NOW, nonces)
    assert _refusal(_signed(), nonces=nonces).startswith("SIGNATURE_REPLAYED")


@pytest.mark.parametrize("left_out", COVERED)
def test_nothing_that_a_request_does_may_stand_outside_of_its_signature(left_out: str) -> None:
    covered = tuple(name for name in COVERED if name != left_out)
    assert f"does not cover {left_out}" in _refusal(_signed(covered))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"parameters": ';keyid="sk_87654321"'}, "keyid is not sk_12345678"),
        ({"parameters": ';alg="hmac-sha256"'}, "alg is not ed25519"),
        ({"nonce": "n" * 15}, "nonce must have 16 to 128"),
        ({"nonce": "n" * 129}, "nonce must have 16 to 128"),
        ({"created": ";tag=1"}, "created and nonce are needed"),
        ({"parameters": f";expires={int(NOW.timestamp())}"}, "SIGNATURE_EXPIRED"),
    ],
)
def test_a_signature_says_for_whom_and_for_how_long_it_is(changes: dict[str, Any], why: str) -> None:
    assert why in _refusal(_signed(**changes))


@pytest.mark.parametrize("away", [-WINDOW - timedelta(seconds=1), WINDOW + timedelta(seconds=1)])
def test_a_signature_counts_for_a_minute_on_either_side(away: timedelta) -> None:
    assert _refusal(_signed(), now=NOW + away).startswith("SIGNATURE_EXPIRED")
    check_signature(_signed(), BODY, SIGNER, NOW + away * (59 / 61), Remembered())


def test_a_nonce_is_remembered_longer_than_its_signature_could_be_accepted() -> None:
    """Also where the signer's clock is a minute ahead, and the database's a few minutes before ours."""
    nonces = Remembered()
    check_signature(_signed(), BODY, SIGNER, NOW - WINDOW, nonces)
    (kept_until,) = nonces.taken.values()
    assert kept_until == NOW - WINDOW + NONCE_KEPT and kept_until > NOW + WINDOW + timedelta(minutes=5)


def test_a_body_that_is_not_the_one_of_the_digest_is_refused() -> None:
    assert "not that of the body" in _refusal(_signed(), body=BODY + b" ")
