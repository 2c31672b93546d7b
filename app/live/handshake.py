"""Who connects, and from which event on: the `auth` of a connection, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.storage.api_keys import Identity

_LONGEST_KEY = 200


class Refused(Exception):
    """The connection is refused for good: coming back with the same `auth` would be refused again.

    `code` is stable; `detail` is for people and says what to do; `data` are the numbers.
    """

    def __init__(self, code: str, detail: str, suggestion: str, **data: object) -> None:
        super().__init__(code, detail)
        self.code = code
        self.document: Mapping[str, object] = {"code": code, "detail": detail, "suggestion": suggestion, **data}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client sent: its API key, and the last event it has processed (None: only what is new)."""

    token: str = field(repr=False)
    last_seq: int | None


def credentials_from(auth: object) -> Credentials:
    """Read `auth`. Raises Refused."""
    token = auth.get("token") if isinstance(auth, dict) else None
    if not isinstance(token, str) or not token:
        raise Refused("API_KEY_MISSING", "The connection carries no API key.", "Connect with auth: {token: <API key>}.")
    last_seq = auth.get("last_seq") if isinstance(auth, dict) else None
    if last_seq is not None and (not isinstance(last_seq, int) or isinstance(last_seq, bool) or last_seq < 0):
        raise Refused(
            "LAST_SEQ_INVALID",
            "last_seq is not a whole number of 0 or more.",
            "Send the seq of the last event you have processed, 0 for all events, or leave it out for new ones only.",
        )
    return Credentials(token, last_seq)


def could_be_a_key(token: str) -> bool:
    """False for what no API key can look like; it need not be looked up."""
    return token.isascii() and len(token) <= _LONGEST_KEY


def check_identity(identity: Identity | None) -> Identity:
    """The caller, if its key is valid and may read. Raises Refused."""
    if identity is None:
        raise Refused(
            "API_KEY_INVALID",
            "The API key is unknown, revoked or expired.",
            "Connect with a valid key; an administrator can make a new one.",
        )
    if not identity.may("read"):
        raise Refused(
            "SCOPE_MISSING",
            "The API key has no read scope.",
            "Connect with a key that may read orders.",
        )
    return identity


def starting_point(credentials: Credentials, head_seq: int) -> int:
    """The seq after which the connection begins. Raises Refused: SEQ_AHEAD."""
    if credentials.last_seq is None:
        return head_seq
    if credentials.last_seq > head_seq:
        raise Refused(
            "SEQ_AHEAD",
            f"last_seq is {credentials.last_seq}, but there are only {head_seq} events.",
            "Forget what you stored for another account or database, and connect with last_seq 0 or without it.",
            head_seq=head_seq,
        )
    return credentials.last_seq
