"""A checkpoint: what the audit log's tree was at a moment, in the form that is signed.

The text is a C2SP tlog-checkpoint: origin, number of leaves and base64 root hash, a line each, then two extension
lines: `time` (when it was made, RFC 3339 UTC) and, unless the tree is empty, `last` (transaction and position of the
last row in it, which is where the next rows follow). Signed, it is a C2SP signed note: the text, an empty line, and
signature lines that begin with an em dash.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.domain.audit_chain import time_text
from app.domain.merkle import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row stands in the order in which rows enter the tree: by transaction, then by position."""

    transaction: int
    position: int


BEFORE_ALL = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of the first `size` rows of the log that is called `origin`."""

    origin: str
    size: int
    root: bytes
    at: datetime
    last: Place = BEFORE_ALL

    def text(self) -> str:
        """What is signed."""
        lines = [self.origin, str(self.size), b64encode(self.root).decode(), f"time {time_text(self.at)}"]
        if self.size:
            lines.append(f"last {self.last.transaction} {self.last.position}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text and its signature lines, by the name of the signer: key id and signature, as they stand."""

    text: str
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def whole(self) -> str:
        lines = "".join(f"\u2014 {name} {b64encode(signature).decode()}\n" for name, signature in self.signatures)
        return f"{self.text}\n{lines}"


class MalformedCheckpoint(ValueError):
    """It is no checkpoint, or no signed note."""


def checkpoint_from(text: str) -> Checkpoint:
    """Raises MalformedCheckpoint."""
    lines = text.split("\n")
    try:
        origin, size, root = lines[:3]
        extensions = dict(line.split(" ", 1) for line in lines[3:-1])
        transaction, position = extensions.get("last", "0 0").split(" ")
        checkpoint = Checkpoint(
            origin,
            int(size) if _SIZE.fullmatch(size) else -1,
            b64decode(root, validate=True),
            datetime.fromisoformat(extensions["time"]),
            Place(int(transaction), int(position)),
        )
    except (ValueError, KeyError, NotBase64) as error:
        raise MalformedCheckpoint(f"not a checkpoint: {text[:80]!r} ({error})") from None
    if checkpoint.text() != text or len(checkpoint.root) != HASH_BYTES:
        raise MalformedCheckpoint(f"not a checkpoint: {text[:80]!r}")
    return checkpoint


def notes_in(file_text: str) -> tuple[list[SignedNote], str]:
    """The signed notes of a file, one after the other with an empty line between, and a tail that was cut off."""
    notes: list[SignedNote] = []
    blocks = file_text.split("\n\n")
    tail = blocks.pop()  # what follows the last empty line: nothing, or a note whose writing was cut short
    for text, signatures in _pairs(blocks):
        if signatures is None:
            tail = f"{text}\n\n{tail}"
            break
        notes.append(SignedNote(f"{text}\n", tuple(_signature(line) for line in signatures.split("\n"))))
    return notes, tail


def _pairs(blocks: list[str]) -> Iterator[tuple[str, str | None]]:
    for place in range(0, len(blocks), 2):
        yield blocks[place], blocks[place + 1] if place + 1 < len(blocks) else None


def _signature(line: str) -> tuple[str, bytes]:
    words = line.split(" ")
    if len(words) != 3 or words[0] != "\u2014":
        raise MalformedCheckpoint(f"not a signature line: {line[:80]!r}")
    try:
        return words[1], b64decode(words[2], validate=True)
    except (ValueError, NotBase64):
        raise MalformedCheckpoint(f"not a signature line: {line[:80]!r}") from None
