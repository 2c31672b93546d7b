"""What a signed request has to cover, how old it may be, and that it counts once.

The signature is RFC 9421's. It covers at least the method, the path and the query, the body by its Content-Digest, and
each header that changes what the request does; `created` and `nonce` are parameters and so are covered as well. It is
checked before its nonce is stored, so nobody but the holder of the signing key fills that table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from app.message_signatures import BadSignature, Message, NotSigned, check_digest, read_input, verify
from app.storage.api_keys import Identity

ALWAYS_COVERED = ("@method", "@path", "@query")
COVERED_WHERE_PRESENT = ("idempotency-key", "confirm-duplicate")
"""Headers without which the same body would do something else."""
WINDOW = timedelta(seconds=60)
"""`created` may lie this far before or after our clock."""
NONCE_KEPT = timedelta(minutes=10)
"""Longer than both sides of the window, so that clocks of web processes and database may differ by minutes."""
SHORTEST_NONCE, LONGEST_NONCE = 16, 128


class Nonces(Protocol):
    """Where used nonces are kept."""

    def take_nonce(self, identity: Identity, nonce: str, expires_at: datetime) -> bool:
        """False when the key had used it before. Raises DatabaseUnavailable."""
        ...


class SignatureRefused(Exception):
    """`code` is stable; `detail` and `suggestion` are sentences."""

    def __init__(self, code: str, detail: str, suggestion: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.suggestion = suggestion


def check_signature(environ: Mapping[str, Any], body: bytes, identity: Identity, now: datetime, nonces: Nonces) -> None:
    """Nothing for a key that needs no signature. Raises SignatureRefused; DatabaseUnavailable."""
    if identity.signing_key is None:
        return
    try:
        message = Message.of(environ)
        given, signature = read_input(message)
        missing = [name for name in _must_cover(message, body) if name not in given.covered]
        if missing:
            raise BadSignature(f"it does not cover {', '.join(missing)}")
        if given.key_id not in (None, identity.key_prefix):
            raise BadSignature(f"keyid is not {identity.key_prefix}, the beginning of the API key")
        if given.created is None or given.nonce is None:
            raise BadSignature("the parameters created and nonce are needed")
        if not SHORTEST_NONCE <= len(given.nonce) <= LONGEST_NONCE:
            raise BadSignature(f"nonce must have {SHORTEST_NONCE} to {LONGEST_NONCE} characters")
        verify(message, given, signature, identity.signing_key)
        if body:
            check_digest(message, body)
    except NotSigned:
        raise SignatureRefused(
            "SIGNATURE_REQUIRED",
            "This API key signs its requests, and this request carries no signature.",
            "Send Signature-Input and Signature (RFC 9421, Ed25519), or use a key without a signing key.",
        ) from None
    except BadSignature as error:
        raise SignatureRefused(
            "SIGNATURE_INVALID",
            f"The signature cannot be accepted: {error}.",
            "Sign the method, path, query, Content-Digest and Idempotency-Key exactly as they are sent.",
        ) from None
    _check_time(given.created, given.expires, now)
    if not nonces.take_nonce(identity, given.nonce, now + NONCE_KEPT):
        raise SignatureRefused(
            "SIGNATURE_REPLAYED",
            "A request with this nonce has been received before; this one has done nothing.",
            "Sign every request anew, with a nonce of its own; a repeated order keeps its Idempotency-Key.",
        )


def _must_cover(message: Message, body: bytes) -> list[str]:
    needed = [*ALWAYS_COVERED, *(name for name in COVERED_WHERE_PRESENT if name in message.fields)]
    return [*needed, "content-digest"] if body else needed


def _check_time(created: int, expires: int | None, now: datetime) -> None:
    seconds = now.timestamp() - created
    if abs(seconds) > WINDOW.total_seconds() or (expires is not None and expires <= now.timestamp()):
        clock = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise SignatureRefused(
            "SIGNATURE_EXPIRED",
            f"The signature was made {abs(seconds):.0f} s {'ago' if seconds >= 0 else 'in the future'}, or has "
            f"expired; {WINDOW.total_seconds():.0f} s are accepted. The clock here says {clock}.",
            "Sign the request just before it is sent, and set this computer's clock.",
        )
