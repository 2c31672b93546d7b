"""Does the stand-alone verifier find every tampering? Builds a log, tampers at random, counts what is found.

    python -m proofs.tamper --count 1000

Each kind is tried in two ways: clumsily (the bytes alone) and cleverly (whoever does it recomputes every hash of the
chain and of the tree, and lacks only the signing key). Writes var/tamper.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.domain.audit_chain import GENESIS, canonical, link
from app.domain.checkpoints import Checkpoint, Place, SignedNote
from app.domain.merkle import GrowingTree, leaf_hash
from app.settings import PROJECT_ROOT
from proofs.verify_export import Key, Report, keys_from, verify_export

NAME = "tampered-log"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """One row of the log: what is encoded, and its links."""

    fields: dict[str, object]
    previous_hash: bytes
    hash: bytes
    encoding: bytes


@dataclass
class Log:
    """A log as it is exported, with what was signed of it."""

    entries: list[Entry]
    notes: list[str]
    size: int
    leaves: list[int] | None = None
    """The numbers that the rows claim, where they are not simply counted."""

    def lines(self) -> list[bytes]:
        numbers = self.leaves or range(len(self.entries))
        rows = [
            b'{"leaf":%d,"previous_hash":"%s","hash":"%s","row":%s}\n'
            % (leaf, entry.previous_hash.hex().encode(), entry.hash.hex().encode(), entry.encoding)
            for leaf, entry in zip(numbers, self.entries, strict=True)
        ]
        return [
            b'{"format":"surefill-audit-export/1","exported_at":"2026-01-05T12:00:00.000000Z"}\n',
            *rows,
            b'{"end":true,"rows":%d}\n' % len(rows),
        ]


@dataclass(frozen=True)
class Signer:
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def line(self) -> str:
        """The verification key as it is handed out."""
        material = b"\x01" + self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key_id = sha256(NAME.encode() + b"\n" + material).digest()[:4]
        return f"{NAME}+{key_id.hex()}+{b64encode(material).decode()}"

    @property
    def keys(self) -> list[Key]:
        return keys_from(self.line)

    def note(self, checkpoint: Checkpoint) -> str:
        text = checkpoint.text()
        signature = self.keys[0].id + self.private.sign(text.encode())
        return SignedNote(text, ((NAME, signature),)).whole


@dataclass(frozen=True)
class Forger(Signer):
    """Has a key of its own, and says that it is the one that was handed out."""

    of: Signer = field(default_factory=Signer)

    def note(self, checkpoint: Checkpoint) -> str:
        text = checkpoint.text()
        signature = self.of.keys[0].id + self.private.sign(text.encode())
        return SignedNote(text, ((NAME, signature),)).whole


def make_log(random_: random.Random, signer: Signer, rows: int, every: int) -> Log:
    """A log of `rows` rows in chains that interleave, signed after each `every` rows and at its end."""
    chains = [UUID(int=random_.getrandbits(128)) for _ in range(max(2, rows // 6))]
    fields: list[dict[str, object]] = [
        {
            "id": UUID(int=random_.getrandbits(128)),
            "chain_id": random_.choice(chains),
            "action": random_.choice(("SUBMITTED", "APPROVED", "EXECUTED", "FILLED")),
            "actor": random_.choice(("worker", "listener", "trader:a")),
            "symbol": random_.choice(("AAPL", "MSFT", 'Ä "q" \\')),
            "quantity": random_.randint(1, 1000),
            "reason": "It was filled at 150.25, as was asked for." * random_.randint(0, 3) or None,
            "timestamp": NOON + timedelta(milliseconds=7 * number),
            "software_version": "1",
        }
        for number in range(rows)
    ]
    entries = chain_up(fields)
    return Log(entries, sign(entries, signer, every), rows)


def chain_up(fields: Sequence[dict[str, object]]) -> list[Entry]:
    """Every hash, as an honest writer or a clever forger computes it."""
    heads: dict[object, tuple[int, bytes]] = {}
    entries = []
    for given in fields:
        seq, previous = heads.get(given["chain_id"], (0, GENESIS))
        whole = {**given, "chain_seq": seq + 1}
        encoding = canonical(whole)
        entry = Entry(whole, previous, link(previous, encoding), encoding)
        heads[given["chain_id"]] = (seq + 1, entry.hash)
        entries.append(entry)
    return entries


def sign(entries: Sequence[Entry], signer: Signer, every: int) -> list[str]:
    tree, notes = GrowingTree(), []
    for number, entry in enumerate(entries, start=1):
        tree.add(leaf_hash(entry.hash))
        if number % every == 0 or number == len(entries):
            at = NOON + timedelta(seconds=number)
            notes.append(signer.note(Checkpoint(NAME, number, tree.root(), at, Place(number, number))))
    return notes


# -- what is done to it -----------------------------------------------------------------------------------------------

Tampering = Callable[[Log, random.Random, Signer], Log]


def _altered(entry: Entry, random_: random.Random) -> Entry:
    """One byte of the row is another one."""
    at = random_.randrange(1, len(entry.encoding) - 1)
    byte = random_.choice([byte for byte in range(32, 127) if byte != entry.encoding[at]])
    encoding = entry.encoding[:at] + bytes([byte]) + entry.encoding[at + 1 :]
    return replace(entry, encoding=encoding)


def _rechained(log: Log, fields: list[dict[str, object]]) -> Log:
    return Log(chain_up(fields), log.notes, log.size)


def _fields(log: Log) -> list[dict[str, object]]:
    return [dict(entry.fields) for entry in log.entries]


def edit(log: Log, random_: random.Random, _: Signer) -> Log:
    at = random_.randrange(len(log.entries))
    entries = list(log.entries)
    entries[at] = _altered(entries[at], random_)
    return Log(entries, log.notes, log.size)


def edit_cleverly(log: Log, random_: random.Random, _: Signer) -> Log:
    fields = _fields(log)
    at = random_.randrange(len(fields))
    name = random_.choice(["actor", "quantity", "symbol", "software_version"])
    fields[at][name] = f"{fields[at][name]}1"
    return _rechained(log, fields)


def delete(log: Log, random_: random.Random, _: Signer) -> Log:
    at = random_.randrange(len(log.entries))
    return Log(log.entries[:at] + log.entries[at + 1 :], log.notes, log.size)


def delete_cleverly(log: Log, random_: random.Random, _: Signer) -> Log:
    fields = _fields(log)
    del fields[random_.randrange(len(fields))]
    return _rechained(log, fields)


def insert(log: Log, random_: random.Random, _: Signer) -> Log:
    at = random_.randrange(len(log.entries))  # before the last row that was signed: what comes later is a later row
    return Log([*log.entries[:at], random_.choice(log.entries), *log.entries[at:]], log.notes, log.size)


def insert_cleverly(log: Log, random_: random.Random, _: Signer) -> Log:
    fields = _fields(log)
    added = {**random_.choice(fields), "id": UUID(int=random_.getrandbits(128))}
    fields.insert(random_.randrange(len(fields)), added)
    return _rechained(log, fields)


def reorder(log: Log, random_: random.Random, _: Signer) -> Log:
    entries = list(log.entries)
    first, second = random_.sample(range(len(entries)), 2)
    entries[first], entries[second] = entries[second], entries[first]
    return Log(entries, log.notes, log.size)


def reorder_cleverly(log: Log, random_: random.Random, _: Signer) -> Log:
    fields = _fields(log)
    first, second = random_.sample(range(len(fields)), 2)
    fields[first], fields[second] = fields[second], fields[first]
    return _rechained(log, fields)


def truncate(log: Log, random_: random.Random, _: Signer) -> Log:
    return Log(log.entries[: random_.randrange(len(log.entries))], log.notes, log.size)


def truncate_cleverly(log: Log, random_: random.Random, signer: Signer) -> Log:
    """The newest checkpoints go, too, but for one that somebody has kept."""
    kept = log.notes[-1]
    shorter = truncate(log, random_, signer)
    fitting = [note for note in log.notes if int(note.split("\n")[1]) <= len(shorter.entries)]
    return Log(shorter.entries, [*fitting, kept], log.size)


def fork(log: Log, random_: random.Random, _: Signer) -> Log:
    """Another history under checkpoints that nobody with the key has signed."""
    other = edit_cleverly(log, random_, _)
    return Log(other.entries, sign(other.entries, Signer(), 50), log.size)


def forge(log: Log, random_: random.Random, signer: Signer) -> Log:
    """Another history, its checkpoints signed with another key under the right key's name and number."""
    other = edit_cleverly(log, random_, signer)
    return Log(other.entries, sign(other.entries, Forger(of=signer), 50), log.size)


def fork_cleverly(log: Log, random_: random.Random, signer: Signer) -> Log:
    """Whoever holds the key signs another history; one older checkpoint of the first one was kept."""
    at = random_.randrange(len(log.notes))
    kept = log.notes[at]
    covered = int(kept.split("\n")[1])
    fields = _fields(log)
    changed = random_.randrange(covered)
    fields[changed]["actor"] = "somebody else"
    other = chain_up(fields)
    return Log(other, [*sign(other, signer, 37), kept], log.size)


KINDS: dict[str, Tampering] = {
    kind.__name__.replace("_", " "): kind
    for kind in (
        edit, edit_cleverly, delete, delete_cleverly, insert, insert_cleverly, reorder, reorder_cleverly, truncate,
        truncate_cleverly, fork, fork_cleverly, forge,
    )
}  # fmt: skip


def verified(log: Log, signer: Signer) -> Report:
    """What the stand-alone verifier says about it."""
    return verify_export(log.lines(), [(note, f"note {number}") for number, note in enumerate(log.notes)], signer.keys)


def run(count: int, seed: int, rows: int = 60) -> dict[str, int]:
    """How many of `count` tamperings of each kind are found. Raises RuntimeError when an honest log does not hold."""
    random_, signer = random.Random(seed), Signer()
    found = dict.fromkeys(KINDS, 0)
    log = Log([], [], 0)
    for number in range(count):
        if number % 50 == 0:
            log = make_log(random_, signer, rows + random_.randrange(rows), every=random_.randint(20, 60))
            report = verified(log, signer)
            if not report.holds:
                raise RuntimeError(f"an honest log does not hold: {report.findings}")
        for kind, tamper in KINDS.items():
            tampered = tamper(log, random_, signer)
            if tampered.lines() == log.lines() and tampered.notes == log.notes:
                raise RuntimeError(f"{kind} changed nothing")
            found[kind] += not verified(tampered, signer).holds
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Counts which tamperings the stand-alone verifier finds.")
    parser.add_argument("--count", type=int, default=1000, help="tamperings of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.perf_counter()
    found = run(given.count, given.seed)
    for kind, number in found.items():
        print(f"{kind:<20} {number} of {given.count} found")
    target = Path(PROJECT_ROOT) / "var" / "tamper.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"seed": given.seed, "count": given.count, "found": found}, indent=1) + "\n")
    print(f"{time.perf_counter() - began:.0f} s")
    return 0 if all(number == given.count for number in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
