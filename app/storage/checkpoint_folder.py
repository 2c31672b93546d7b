"""The folder outside the database where the audit log's tree is kept: leaf hashes, signed checkpoints, keys.

signing-key.pem       Ed25519, mode 0600; may lie elsewhere
verification-keys     a line for each key that ever signed here: name+key id+base64 key (C2SP signed note)
leaves                the hash of every leaf, 32 bytes each, in order
checkpoints/DAY.txt   signed notes, only ever appended; a file a day (UTC)
lock                  held by the one process that writes
"""

from __future__ import annotations

import fcntl
import os
from base64 import b64decode, b64encode
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from app.domain.checkpoints import Checkpoint, MalformedCheckpoint, SignedNote, checkpoint_from, notes_in
from app.domain.merkle import HASH_BYTES

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4


class FolderUnusable(Exception):
    """The folder cannot be used, or what is in it contradicts itself. The message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key under the name of its log."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def from_text(cls, text: str) -> VerificationKey:
        """Raises FolderUnusable."""
        try:
            name, key_id, encoded = text.strip().split("+", 2)
            key = cls(name, b64decode(encoded, validate=True)[1:])
            if key.text == text.strip() and key.id.hex() == key_id:
                return key
        except ValueError:
            pass
        raise FolderUnusable(f"{text.strip()[:80]!r} is no verification key")

    def has_signed(self, note: SignedNote) -> bool:
        for name, signature in note.signatures:
            if name == self.name and signature[:_KEY_ID_BYTES] == self.id:
                try:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(
                        signature[_KEY_ID_BYTES:], note.text.encode()
                    )
                except InvalidSignature:
                    return False
                return True
        return False


class CheckpointFolder:
    """Reads what is there; nothing is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.leaves_file = folder / "leaves"
        self._days = folder / "checkpoints"
        self._keys = folder / "verification-keys"

    def exists(self) -> bool:
        return bool(self.days())

    def days(self) -> list[Path]:
        return sorted(self._days.glob("*.txt"))

    def verification_keys(self) -> list[VerificationKey]:
        """Raises FolderUnusable."""
        if not self._keys.is_file():
            return []
        return [VerificationKey.from_text(line) for line in self._keys.read_text(encoding="utf-8").splitlines() if line]

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Every checkpoint, oldest first, its signature checked. Raises FolderUnusable."""
        keys = self.verification_keys()
        for day in self.days():
            for note in notes_of(day)[0]:
                yield _verified(note, keys, day)

    def newest(self) -> tuple[Checkpoint, SignedNote] | None:
        """Raises FolderUnusable."""
        keys = self.verification_keys()
        for day in reversed(self.days()):
            notes = notes_of(day)[0]
            if notes:
                return _verified(notes[-1], keys, day), notes[-1]
        return None

    def leaves(self, size: int | None = None) -> Sequence[bytes]:
        """The first `size` leaf hashes, or all. Raises FolderUnusable when there are fewer."""
        content = self.leaves_file.read_bytes() if self.leaves_file.is_file() else b""
        held = len(content) // HASH_BYTES
        wanted = held if size is None else size
        if held < wanted:
            raise FolderUnusable(f"{self.leaves_file} holds {held} leaves, the newest checkpoint is about {wanted}")
        return [content[at : at + HASH_BYTES] for at in range(0, wanted * HASH_BYTES, HASH_BYTES)]


class CheckpointWriter(CheckpointFolder):
    """The one process that adds to the folder. Close it."""

    def __init__(self, folder: Path, key_file: Path, *, name: str) -> None:
        """`name` calls the log where it begins anew; one that goes on keeps its own. Raises FolderUnusable."""
        super().__init__(folder)
        try:
            self._days.mkdir(mode=0o700, parents=True, exist_ok=True)
            with ExitStack() as unless_it_is_usable:
                self._lock = unless_it_is_usable.enter_context(_locked(folder / "lock"))
                self._signer = _signing_key(key_file)
                keys = self.verification_keys()
                public = self._signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
                self.key = VerificationKey(keys[0].name if keys else name, public)
                if self.key not in keys:
                    _append(self._keys, f"{self.key.text}\n".encode())
                self._cut_what_was_not_finished()
                unless_it_is_usable.pop_all()
        except OSError as error:
            raise FolderUnusable(f"the audit folder cannot be used: {error}") from error

    @property
    def origin(self) -> str:
        return self.key.name

    def keep_leaves(self, size: int) -> None:
        """Forget leaves beyond `size`: they were written and never signed."""
        with self.leaves_file.open("ab") as file:
            if file.tell() < size * HASH_BYTES:
                raise FolderUnusable(f"{self.leaves_file} holds fewer leaves than the {size} of the newest checkpoint")
            file.truncate(size * HASH_BYTES)

    def add_leaves(self, leaves: Sequence[bytes]) -> None:
        """On the disk when it returns."""
        _append(self.leaves_file, b"".join(leaves))

    def add_checkpoint(self, checkpoint: Checkpoint) -> SignedNote:
        """Sign and append; on the disk when it returns."""
        text = checkpoint.text()
        note = SignedNote(text, ((self.key.name, self.key.id + self._signer.sign(text.encode())),))
        _append(self._days / f"{checkpoint.at:%Y-%m-%d}.txt", f"{note.whole}\n".encode())
        return note

    def _cut_what_was_not_finished(self) -> None:
        for day in self.days()[-1:]:
            _, unfinished = notes_of(day)
            if unfinished:
                with day.open("ab") as file:
                    file.truncate(file.tell() - unfinished)
                    os.fsync(file.fileno())

    def close(self) -> None:
        self._lock.close()


def notes_of(day: Path) -> tuple[list[SignedNote], int]:
    """A file's signed notes, and how many bytes at its end are of one whose writing was cut short.

    Raises FolderUnusable for anything else that is no note.
    """
    # A full disk or a power loss cuts between bytes, also within an em dash: the decoder keeps the beginning of a
    # character at the very end to itself, and takes it for an error anywhere else.
    decoder = getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(day.read_bytes())
        # None of ours has CR LF. Were they left, the whole file would pass for one note that was cut short.
        notes, tail = notes_in(text.replace("\r\n", "\n"))
    except (MalformedCheckpoint, UnicodeDecodeError) as error:
        raise FolderUnusable(f"{day}: {error}") from None
    begun_character, _ = decoder.getstate()
    return notes, len(tail.encode()) + len(begun_character)


def _verified(note: SignedNote, keys: Sequence[VerificationKey], day: Path) -> Checkpoint:
    try:
        checkpoint = checkpoint_from(note.text)
    except MalformedCheckpoint as error:
        raise FolderUnusable(f"{day}: {error}") from None
    if not any(key.has_signed(note) for key in keys):
        raise FolderUnusable(f"{day}: the checkpoint of {checkpoint.size} rows is not signed by a key of this log")
    return checkpoint


def _locked(file: Path) -> IO[str]:
    lock = file.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise FolderUnusable(f"another sequencer writes to {file.parent}") from None
    return lock


def _signing_key(file: Path) -> Ed25519PrivateKey:
    if not file.exists():
        made = Ed25519PrivateKey.generate()
        text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        _sync_folder(file.parent)
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except ValueError as error:
        raise FolderUnusable(f"{file} holds no private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise FolderUnusable(f"{file} holds no Ed25519 key")
    return key


def _append(file: Path, content: bytes) -> None:
    is_new = not file.exists()
    with file.open("ab") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    if is_new:
        _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def by_size(checkpoints: Iterator[Checkpoint]) -> Mapping[int, Checkpoint]:
    """One checkpoint for each size. Raises FolderUnusable when two of one size disagree: somebody forked the log."""
    found: dict[int, Checkpoint] = {}
    for checkpoint in checkpoints:
        known = found.setdefault(checkpoint.size, checkpoint)
        if known.root != checkpoint.root:
            raise FolderUnusable(f"two checkpoints of {checkpoint.size} rows disagree: the log was forked")
    return found
