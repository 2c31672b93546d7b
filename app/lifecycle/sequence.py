"""The sequencer: committed rows of the audit log enter the tree, and what the tree is then gets signed.

It only reads the database, so it takes no lock and nothing waits for it. What it writes lies outside the database:
leaves first, then the checkpoint that speaks of them, each on the disk before the next. A crash between the two leaves
leaves that no checkpoint covers; they are cut off at the next start and read again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from app.domain.checkpoints import BEFORE_ALL, Checkpoint, Place
from app.domain.merkle import GrowingTree, leaf_hash
from app.domain.surroundings import Clock
from app.storage.checkpoint_folder import CheckpointWriter, FolderUnusable
from app.storage.log_sequence import SequencedHash, Standing

log = logging.getLogger(__name__)

HEARTBEAT = timedelta(seconds=60)
"""An idle log is signed again this often: that nothing was added until then is a statement, too."""
HELD_BACK = timedelta(seconds=30)
"""A row that waits longer is held back by a transaction that somebody keeps open."""
PAGES_A_CHECKPOINT = 20


class Reader(Protocol):
    """The log in the order of the tree."""

    def hashes(self, after: Place, limit: int = ...) -> Sequence[SequencedHash]: ...
    def standing(self, last: Place) -> Standing: ...


class LogContradicts(Exception):
    """The database's log is not the one that was signed. Nothing is signed over it. One line for the operator."""


class Sequencer:
    """Adds what was committed and signs. One at a time: the folder's writer holds a lock."""

    def __init__(self, reader: Reader, folder: CheckpointWriter, clock: Clock) -> None:
        self._reader = reader
        self._folder = folder
        self._clock = clock
        self._tree = GrowingTree()
        self._last = BEFORE_ALL
        self._last_hash: bytes | None = None
        self._signed: Checkpoint | None = None
        self._resumed = False

    def run_once(self) -> Checkpoint | None:
        """Take in what is settled; the new checkpoint if there is one.

        Raises LogContradicts, FolderUnusable, DatabaseUnavailable.
        """
        if not self._resumed:
            self._resume()
            self._resumed = True
        self._check()
        for _ in range(PAGES_A_CHECKPOINT):
            page = self._reader.hashes(self._last)
            if not page:
                break
            self._add(page)
        return self._sign()

    def _add(self, page: Sequence[SequencedHash]) -> None:
        leaves = [leaf_hash(row.hash) for row in page]
        self._folder.add_leaves(leaves)
        for leaf in leaves:
            self._tree.add(leaf)
        self._last, self._last_hash = page[-1].place, leaves[-1]

    def _sign(self) -> Checkpoint | None:
        now, signed = self._clock.now(), self._signed
        if signed is not None and signed.size == self._tree.size and now - signed.at < HEARTBEAT:
            return None
        checkpoint = Checkpoint(self._folder.origin, self._tree.size, self._tree.root(), now, self._last)
        self._folder.add_checkpoint(checkpoint)
        self._signed = checkpoint
        return checkpoint

    def _check(self) -> None:
        """The last row that was signed is still there, and the order of transactions has not begun anew."""
        standing = self._reader.standing(self._last)
        if self._tree.size:
            if standing.horizon <= self._last.transaction:
                raise LogContradicts(
                    f"the database counts transactions from {standing.horizon}, the tree's last row is of "
                    f"{self._last.transaction}: was it restored from a dump? See docs/audit.md, After a restore"
                )
            if standing.hash_at is None or leaf_hash(standing.hash_at) != self._last_hash:
                raise LogContradicts(
                    f"row {self._tree.size} of the tree (transaction {self._last.transaction}, position "
                    f"{self._last.position}) is gone from the database or was changed"
                )
        waiting = standing.waiting_since
        if waiting is not None and self._clock.now() - waiting > HELD_BACK:
            log.warning(
                "rows of the audit log wait to be signed: somebody keeps a transaction open",
                extra={"waiting_since": waiting.isoformat(), "transaction": standing.horizon},
            )

    def _resume(self) -> None:
        """Go on where the newest checkpoint ended; its own root must come out of the leaves that are kept."""
        newest = self._folder.newest()
        if newest is None:
            self._folder.keep_leaves(0)
            return
        checkpoint, _ = newest
        if not self._folder.leaves_file.is_file():
            self._read_again(checkpoint)
        self._folder.keep_leaves(checkpoint.size)
        leaves = self._folder.leaves(checkpoint.size)
        tree = GrowingTree()
        for leaf in leaves:
            tree.add(leaf)
        if tree.root() != checkpoint.root:
            raise FolderUnusable(f"{self._folder.leaves_file} is not what the newest checkpoint has signed")
        self._tree, self._signed, self._last = tree, checkpoint, checkpoint.last
        self._last_hash = leaves[-1] if leaves else None

    def _read_again(self, checkpoint: Checkpoint) -> None:
        """The file of leaves is gone; the database has them all. The root shows whether they are the same."""
        last, missing = BEFORE_ALL, checkpoint.size
        while missing and (page := self._reader.hashes(last)):
            page = page[:missing]
            self._folder.add_leaves([leaf_hash(row.hash) for row in page])
            last, missing = page[-1].place, missing - len(page)
        if missing:
            raise LogContradicts(f"the newest checkpoint is about {checkpoint.size} rows, {missing} are gone")
