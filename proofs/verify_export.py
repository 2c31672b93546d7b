#!/usr/bin/env python3
"""Checks an export of Surefill's audit log, or the proof of one order, without Surefill and without its database.

Needs Python 3.11 and the package `cryptography`; reads files and nothing else. It shares no code with what wrote them:
the encoding, the tree and the signatures are done again here from docs/audit.md.

    verify_export.py export.jsonl --keys verification-keys --checkpoints checkpoints/ [kept-earlier.txt …]
    verify_export.py --proof order.json --keys verification-keys [--checkpoints kept-earlier.txt …]

Exit status 0: it holds. 1: it does not, and every finding is a line. 2: it could not be checked.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GENESIS = bytes(32)
EXPORT_FORMAT = "surefill-audit-export/1"
PROOF_FORMAT = "surefill-audit-proof/1"
MOST_SHOWN = 20

LINE = re.compile(
    rb'\{"leaf":(0|[1-9][0-9]{0,17}),"previous_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})","row":(\{.*\})\}\n'
)
# Of a note: who signed, and four bytes of the key with the 64 of the signature.
SIGNATURE = re.compile("— [^ \n]+ [A-Za-z0-9+/]{91}=")
# Sound on the raw bytes: a row is a flat object of texts, and a quotation mark inside a text has a backslash before it.
CHAIN = re.compile(rb'[{,]"chain_id":"([0-9a-f-]{36})","chain_seq":"([1-9][0-9]{0,17})"[,}]')


class CannotCheck(Exception):
    """What was given is not what is needed. The message is one line."""


# -- the tree (RFC 9162, section 2.1) ---------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """Grows by one leaf at a time; keeps the roots of its complete subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self.subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        size = self.size
        while size % 2:
            leaf = sha256(b"\x01" + self.subtrees.pop() + leaf).digest()
            size //= 2
        self.subtrees.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        root = b""
        for subtree in reversed(self.subtrees):
            root = node_hash(subtree, root) if root else subtree
        return root or sha256().digest()


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """RFC 9162, 2.1.3.2: the root that this leaf at this place leads to; None when the proof has the wrong length."""
    if not 0 <= index < size:
        return None
    first, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if first % 2 or first == last:
            root = node_hash(sibling, root)
            while not first % 2 and first:
                first, last = first >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        first, last = first >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(earlier_size: int, earlier_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162, 2.1.4.2: the tree of `earlier_size` leaves is where the one of `size` leaves began."""
    if earlier_size == size:
        return not proof and earlier_root == root
    if earlier_size == 0:
        return not proof
    if not 0 < earlier_size < size or not proof:
        return False
    path = list(proof)
    if earlier_size & (earlier_size - 1) == 0:
        path.insert(0, earlier_root)
    first, last = earlier_size - 1, size - 1
    while first % 2:
        first, last = first >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if first % 2 or first == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not first % 2 and first:
                first, last = first >> 1, last >> 1
        else:
            new = node_hash(new, node)
        first, last = first >> 1, last >> 1
    return last == 0 and old == earlier_root and new == root


# -- checkpoints (C2SP signed-note and tlog-checkpoint) ---------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    name: str
    id: bytes
    public: Ed25519PublicKey


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    time: str
    source: str

    def __str__(self) -> str:
        return f"the checkpoint of {self.time} over {self.size} rows ({self.source})"


def keys_from(text: str) -> list[Key]:
    """Lines of `name+key id+base64 of 0x01 and the Ed25519 key`. Raises CannotCheck."""
    keys = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        try:
            name, key_id, encoded = line.split("+", 2)
            material = base64.b64decode(encoded, validate=True)
            expected = sha256(name.encode() + b"\n" + material).digest()[:4]
            if material[:1] != b"\x01" or expected.hex() != key_id:
                raise ValueError("its id does not belong to it")
            keys.append(Key(name, expected, Ed25519PublicKey.from_public_bytes(material[1:])))
        except ValueError as error:
            raise CannotCheck(f"not a verification key: {line[:60]!r} ({error})") from None
    if not keys:
        raise CannotCheck("no verification key was given")
    return keys


def checkpoint_from(note: str, keys: Sequence[Key], source: str) -> Checkpoint:
    """A signed note as a checkpoint. Raises ValueError when it is none, or not signed by one of the keys."""
    text, separator, signatures = note.partition("\n\n")
    text += "\n"
    lines = text.split("\n")
    if not separator or len(lines) < 5 or not re.fullmatch(r"0|[1-9][0-9]*", lines[1]):
        raise ValueError("it is no checkpoint")
    if not any(_has_signed(key, text, line) for key in keys for line in signatures.splitlines()):
        raise ValueError("no key that was given has signed it")
    times = [line.removeprefix("time ") for line in lines[3:] if line.startswith("time ")]
    root = base64.b64decode(lines[2], validate=True)
    return Checkpoint(lines[0], int(lines[1]), root, times[0] if times else "?", source)


def _has_signed(key: Key, text: str, line: str) -> bool:
    words = line.split(" ")
    if len(words) != 3 or words[0] != "\u2014" or words[1] != key.name or key.name != text.partition("\n")[0]:
        return False
    try:
        signature = base64.b64decode(words[2], validate=True)
        if signature[:4] != key.id:
            return False
        key.public.verify(signature[4:], text.encode())
    except (InvalidSignature, binascii.Error):
        return False
    return True


def notes_of(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Each signed note of these files and folders, with the file that it is from."""
    for path in paths:
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not files:
            raise CannotCheck(f"{path}: no checkpoints in it")
        for file in files:
            blocks = [block for block in _whole_lines(file).split("\n\n") if block.strip()]
            # A last one without signatures was copied while it was being written: it does not count, which takes
            # nothing from those before it. Cutting one off on purpose is no more than leaving it away.
            for place in range(0, len(blocks) - 1, 2):
                yield f"{blocks[place]}\n\n{blocks[place + 1]}", file.name


def _whole_lines(file: Path) -> str:
    """A line that was copied while it was being written may end anywhere, also within a character."""
    text = getincrementaldecoder("utf-8")().decode(file.read_bytes()).replace("\r\n", "\n")
    begins = text.rfind("\n") + 1
    return text if SIGNATURE.fullmatch(text, begins) else text[:begins]


def checkpoints_from(notes: Iterable[tuple[str, str]], keys: Sequence[Key], report: Report) -> list[Checkpoint]:
    """All of them by size, oldest first. What is none or contradicts another is a finding."""
    found: dict[int, Checkpoint] = {}
    origins: set[str] = set()
    sizes: dict[str, int] = {}
    for note, source in notes:
        try:
            checkpoint = checkpoint_from(note, keys, source)
        except ValueError as error:
            report.finds(f"{source}: {error}: {note[:60]!r}")
            continue
        report.checkpoints += 1
        origins.add(checkpoint.origin)
        known = found.setdefault(checkpoint.size, checkpoint)
        if known.root != checkpoint.root:
            report.finds(f"forked history: {known} and {checkpoint} have different roots")
        if checkpoint.size < sizes.get(source, 0):
            report.finds(f"{source}: the log became shorter: {checkpoint} follows one over {sizes[source]} rows")
        sizes[source] = checkpoint.size
    if len(origins) > 1:
        report.finds(f"checkpoints of several logs: {', '.join(sorted(origins))}")
    return [found[size] for size in sorted(found)]


# -- an export --------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What was found. Nothing found: it holds."""

    rows: int = 0
    chains: int = 0
    checkpoints: int = 0
    covered: int = 0
    newest: Checkpoint | None = None
    findings: list[str] = field(default_factory=list)
    more: int = 0

    def finds(self, what: str) -> None:
        if len(self.findings) < 1000:
            self.findings.append(what)
        else:
            self.more += 1

    @property
    def holds(self) -> bool:
        return not self.findings


def verify_export(lines: Iterable[bytes], notes: Iterable[tuple[str, str]], keys: Sequence[Key]) -> Report:
    """Check an export (lines with their line ends) against checkpoints. Memory: about 200 bytes for each chain."""
    report = Report()
    checkpoints = checkpoints_from(notes, keys, report)
    if not checkpoints:
        report.finds("no checkpoint: nothing says what the log was")
    following = iter(checkpoints)
    due = next(following, None)
    tree = Tree()
    chains: dict[bytes, tuple[int, bytes]] = {}
    while due is not None and due.size == 0:
        due = next(following, None)
    ended = False
    reader = iter(lines)
    _check_first(next(reader, b""), report)
    for line in reader:
        match = LINE.fullmatch(line)
        if match is None:
            if ended or not _is_end(line, tree.size, report):
                report.finds(f"after {tree.size} rows: a line that is no row: {line[:60]!r}")
            ended = True
            continue
        if ended:
            report.finds(f"row {tree.size}: it follows the end of the export")
        leaf, previous, hash_, row = match.groups()
        if int(leaf) != tree.size:
            report.finds(f"row {tree.size}: it says that it is row {int(leaf)}")
        previous, hash_ = bytes.fromhex(previous.decode()), bytes.fromhex(hash_.decode())
        if sha256(previous + row).digest() != hash_:
            report.finds(f"row {tree.size}: its content is not what its hash says")
        _check_chain(row, previous, hash_, chains, tree.size, report)
        tree.add(sha256(b"\x00" + hash_).digest())
        if due is not None and tree.size == due.size:
            if tree.root() != due.root:
                report.finds(f"the first {due.size} rows are not those that {due} has signed")
            due = next(following, None)
    if not ended:
        report.finds(f"the export breaks off after {tree.size} rows")
    if due is not None:
        report.finds(f"truncated: {checkpoints[-1]} was signed, the export has {tree.size} rows")
    report.rows, report.chains = tree.size, len(chains)
    report.newest = checkpoints[-1] if checkpoints else None
    report.covered = min(tree.size, report.newest.size) if report.newest else 0
    return report


def _check_first(line: bytes, report: Report) -> None:
    try:
        if json.loads(line).get("format") == EXPORT_FORMAT:
            return
    except (ValueError, AttributeError, RecursionError):
        pass
    report.finds(f"it does not begin as an export of the format {EXPORT_FORMAT}: {line[:60]!r}")


def _is_end(line: bytes, rows: int, report: Report) -> bool:
    match = re.fullmatch(rb'\{"end":true,"rows":([0-9]{1,18})\}\n', line)
    if match is None:
        return False
    if int(match[1]) != rows:
        report.finds(f"the export says that it has {int(match[1])} rows, there are {rows}")
    return True


def _check_chain(
    row: bytes, previous: bytes, hash_: bytes, chains: dict[bytes, tuple[int, bytes]], place: int, report: Report
) -> None:
    match = CHAIN.search(row)
    if match is None:
        report.finds(f"row {place}: it names no chain")
        return
    chain, seq = match[1], int(match[2])
    last, last_hash = chains.get(chain, (0, GENESIS))
    if seq != last + 1:
        report.finds(f"row {place}: it is number {seq} of chain {chain.decode()} and follows number {last}")
    elif previous != last_hash:
        report.finds(f"row {place}: it does not follow number {last} of chain {chain.decode()}")
    chains[chain] = (seq, hash_)


# -- the proof of one order -------------------------------------------------------------------------------------------


def verify_proof(text: str, kept: Iterable[tuple[str, str]], keys: Sequence[Key]) -> Report:
    """Check that an order's rows are in the log that was signed; with kept checkpoints, that it is still that log."""
    report = Report()
    try:
        proof = json.loads(text)
        if proof["format"] != PROOF_FORMAT:
            raise ValueError(f"its format is {proof['format']!r}")
        order_id, rows = str(proof["order_id"]), list(proof["rows"])
        note, consistency = str(proof["checkpoint"]), dict(proof["consistency"])
        report.newest = checkpoint_from(note, keys, "the proof")
        report.checkpoints += 1
        _check_rows(order_id, rows, report.newest, report)
        _check_kept(kept, consistency, report.newest, keys, report)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        report.finds(f"it is no proof of the format {PROOF_FORMAT}: {error}")
    return report


def _check_rows(order_id: str, rows: Sequence[dict[str, object]], newest: Checkpoint, report: Report) -> None:
    chains: dict[bytes, tuple[int, bytes]] = {}
    for place, row in enumerate(rows):
        encoding = str(row["row"]).encode()
        previous, hash_ = bytes.fromhex(str(row["previous_hash"])), bytes.fromhex(str(row["hash"]))
        if sha256(previous + encoding).digest() != hash_:
            report.finds(f"row {place}: its content is not what its hash says")
        _check_chain(encoding, previous, hash_, chains, place, report)
        nodes = row["inclusion"]
        path = [bytes.fromhex(str(node)) for node in nodes] if isinstance(nodes, list) else []
        leaf = row["leaf"]
        root = root_from_inclusion(leaf if isinstance(leaf, int) else -1, newest.size, leaf_hash(hash_), path)
        if root != newest.root:
            report.finds(f"row {place}: it is not row {str(leaf)[:20]!r} of {newest}")
    if not rows:
        report.finds("it holds no row")
    if any(chain.decode() != order_id for chain in chains):
        report.finds(
            f"it holds rows of {', '.join(chain.decode() for chain in chains)}, not of {order_id[:60]!r} alone"
        )
    report.rows, report.chains, report.covered = len(rows), len(chains), len(rows)


def _check_kept(
    kept: Iterable[tuple[str, str]],
    consistency: dict[str, object],
    newest: Checkpoint,
    keys: Sequence[Key],
    report: Report,
) -> None:
    for earlier in checkpoints_from(kept, keys, report):
        if earlier.size > newest.size:
            report.finds(f"the log became shorter: {earlier} was signed, the proof is about {newest.size} rows")
            continue
        nodes = consistency.get(str(earlier.size), [] if earlier.size in (0, newest.size) else None)
        if not isinstance(nodes, list):
            report.finds(f"nothing shows that the log still begins as {earlier} says: ask for a proof --since it")
            continue
        path = [bytes.fromhex(str(node)) for node in nodes]
        if not is_consistent(earlier.size, earlier.root, newest.size, newest.root, path):
            report.finds(f"forked history: {newest} does not begin as {earlier} says")


# -- the command ------------------------------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Checks an export of Surefill's audit log, or the proof of one order.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("export", nargs="?", type=Path, help="JSON lines, of `flask --app app audit export`")
    what.add_argument("--proof", type=Path, help="JSON, of `flask --app app audit prove ORDER`")
    parser.add_argument("--keys", type=Path, required=True, help="the verification keys, as you got them from us once")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[], help="files or folders; older copies, too")
    given = parser.parse_args(words)
    began = time.perf_counter()
    try:
        keys = keys_from(given.keys.read_text(encoding="utf-8"))
        notes = list(notes_of(given.checkpoints))
        if given.proof is not None:
            report = verify_proof(given.proof.read_text(encoding="utf-8"), notes, keys)
        else:
            with given.export.open("rb") as lines:
                report = verify_export(lines, notes, keys)
    except (OSError, UnicodeDecodeError, CannotCheck) as error:
        sys.stderr.write(f"cannot check: {error}\n")
        return 2
    seconds = time.perf_counter() - began
    for finding in report.findings[:MOST_SHOWN]:
        sys.stderr.write(f"{finding}\n")
    hidden = len(report.findings) - MOST_SHOWN + report.more
    if hidden > 0:
        sys.stderr.write(f"… and {hidden} more\n")
    sys.stdout.write(
        f"{report.rows} rows in {report.chains} chains, {report.checkpoints} checkpoints, {seconds:.1f} s\n"
    )
    if report.newest is not None:
        sys.stdout.write(f"signed: {report.newest}\n")
    if report.rows > report.covered:
        sys.stdout.write(f"{report.rows - report.covered} rows are newer than the newest checkpoint: not signed yet\n")
    if not report.holds:
        sys.stdout.write("IT DOES NOT HOLD\n")
        return 1
    sys.stdout.write(f"it holds: {report.covered} rows are as they were when {report.newest} was signed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
