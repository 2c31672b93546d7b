"""The stand-alone verifier finds whatever is done to a log. `python -m proofs.tamper` does it a thousand times."""

from __future__ import annotations

import ast
import json
import random
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.domain.checkpoints import Checkpoint, Place, SignedNote
from app.settings import PROJECT_ROOT
from proofs.tamper import KINDS, NAME, NOON, Signer, make_log, run, verified
from proofs.verify_export import Key, main, notes_of, verify_export, verify_proof

VERIFIER = PROJECT_ROOT / "proofs" / "verify_export.py"


def test_every_tampering_is_found() -> None:
    assert run(count=12, seed=7, rows=60) == dict.fromkeys(KINDS, 12)


def test_an_honest_log_holds_and_says_how_much_of_it_is_signed() -> None:
    signer = Signer()
    log = make_log(random.Random(3), signer, 50, every=20)
    report = verified(log, signer)
    assert (report.rows, report.covered, report.checkpoints, report.findings) == (50, 50, 3, [])


def test_rows_after_the_newest_checkpoint_are_counted_as_not_signed() -> None:
    signer = Signer()
    log = make_log(random.Random(3), signer, 50, every=20)
    log.notes.pop()
    report = verified(log, signer)
    assert report.holds
    assert (report.rows, report.covered) == (50, 40)


def test_without_a_checkpoint_nothing_holds() -> None:
    signer = Signer()
    log = make_log(random.Random(3), signer, 5, every=20)
    log.notes.clear()
    assert verified(log, signer).findings == ["no checkpoint: nothing says what the log was"]


MANY = b"9" * 5000


@pytest.mark.parametrize(
    ("place", "sought", "instead"),
    [
        (0, b'{"format"', b"[" * 100_000 + b'{"format"'),
        (3, b'"leaf":2', b'"leaf":' + MANY),
        (3, b'"chain_seq":"', b'"chain_seq":"' + MANY),
        (-1, b'"rows":', b'"rows":' + MANY),
    ],
    ids=["nested", "leaf", "chain_seq", "rows"],
)
def test_a_file_made_to_stop_the_verifier_is_a_finding(place: int, sought: bytes, instead: bytes) -> None:
    signer = Signer()
    log = make_log(random.Random(3), signer, 20, every=10)
    lines = log.lines()
    assert sought in lines[place]
    lines[place] = lines[place].replace(sought, instead)
    assert verify_export(lines, [(note, "notes") for note in log.notes], signer.keys).findings
    assert verify_proof("[" * 100_000, [], signer.keys).findings


def test_no_finding_carries_what_a_terminal_would_obey() -> None:
    signer = Signer()
    log = make_log(random.Random(3), signer, 5, every=5)
    row = {"row": "{}", "previous_hash": "", "hash": "", "leaf": "\x1b[2J", "inclusion": []}
    proof = {"format": "surefill-audit-proof/1", "order_id": "\x1b[2Jit holds", "rows": [row],
             "checkpoint": log.notes[-1], "consistency": {}}  # fmt: skip
    findings = verify_proof(json.dumps(proof), [], signer.keys).findings
    assert findings and all(finding.isprintable() for finding in findings), findings


def test_the_verifier_needs_the_standard_library_and_cryptography_alone() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(VERIFIER.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert imported - sys.stdlib_module_names == {"cryptography"}


@pytest.mark.parametrize("word", ["", "surefill", "surefill+00000000+AQ==", "surefill+zz+!"])
def test_a_key_that_is_none_is_said(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    keys, export = tmp_path / "keys", tmp_path / "export"
    keys.write_text(word)
    export.write_text("")
    assert main([str(export), "--keys", str(keys), "--checkpoints", str(export)]) == 2
    assert capsys.readouterr().err.startswith("cannot check: ")


def test_each_check_of_the_verifier_speaks_by_itself() -> None:
    """Each of these would be found by nothing else, or by something that says less."""
    signer, stranger = Signer(), Signer()
    log = make_log(random.Random(3), signer, 20, every=10)
    lines, notes = log.lines(), [(note, "kept") for note in log.notes]
    tree = Checkpoint(NAME, 20, bytes(32), NOON, Place(1, 20))

    def finds(what: str, tampered: list[bytes], kept: list[tuple[str, str]], *more: Key) -> None:
        findings = verify_export(tampered, kept, [*signer.keys, *more]).findings
        assert any(what in finding for finding in findings), (what, findings)

    assert verify_export(lines, notes, signer.keys).findings == []
    finds("it follows the end of the export", [*lines, lines[-2]], notes)
    finds("the export says that it has 19 rows, there are 20", [*lines[:-1], b'{"end":true,"rows":19}\n'], notes)
    finds("the export breaks off", lines[:-1], notes)
    finds("it says that it is row 7", [*lines[:3], lines[3].replace(b'"leaf":2,', b'"leaf":7,'), *lines[4:]], notes)
    finds("the log became shorter", lines, notes[::-1])
    finds("have different roots", lines, [*notes, (signer.note(tree), "other")])
    # a key signs for the log whose name it has, and for no other
    elsewhere = signer.note(replace(tree, origin="elsewhere"))
    finds("no key that was given has signed it", lines, [*notes, (elsewhere, "kept")])
    finds("no key that was given has signed it", lines, [*notes, (stranger.note(tree), "kept")])
    other = Key("elsewhere", sha256(b"elsewhere\n\x01" + _raw(stranger)).digest()[:4], stranger.private.public_key())
    text = replace(tree, origin="elsewhere").text()
    signed = SignedNote(text, (("elsewhere", other.id + stranger.private.sign(text.encode())),)).whole
    finds("checkpoints of several logs: elsewhere, tampered-log", lines, [*notes, (signed, "other")], other)


def test_the_links_of_a_chain_are_checked_without_any_checkpoint_over_them() -> None:
    """What is newer than the newest checkpoint is not vouched for, and yet it must hang together."""
    signer = Signer()
    log = make_log(random.Random(3), signer, 20, every=10)
    lines = log.lines()
    chains: dict[str, list[int]] = {}
    for place, entry in enumerate(log.entries):
        chains.setdefault(str(entry.fields["chain_id"]), []).append(place)
    last = next(places for places in chains.values() if len(places) > 1 and places[-1] > 10)[-1]
    entry = log.entries[last]
    first = [(note, "kept") for note in log.notes[:1]]

    def findings_of(forged: bytes) -> list[str]:
        return verify_export([*lines[: last + 1], forged, *lines[last + 2 :]], first, signer.keys).findings

    honest = lines[last + 1]
    other = sha256(bytes(32) + entry.encoding).hexdigest().encode()
    forged = honest.replace(entry.previous_hash.hex().encode(), b"0" * 64).replace(entry.hash.hex().encode(), other)
    assert any("it does not follow number" in finding for finding in findings_of(forged))
    seq = f'"chain_seq":"{entry.fields["chain_seq"]}"'.encode()
    skipped = entry.encoding.replace(seq, b'"chain_seq":"99"')
    hash_ = sha256(entry.previous_hash + skipped).hexdigest().encode()
    forged = honest.replace(entry.encoding, skipped).replace(entry.hash.hex().encode(), hash_)
    assert any("it is number 99 of chain" in finding for finding in findings_of(forged))


def _raw(signer: Signer) -> bytes:
    return signer.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def test_a_copy_that_was_taken_while_a_checkpoint_was_written_holds_wherever_it_ends(tmp_path: Path) -> None:
    signer = Signer()
    log = make_log(random.Random(3), signer, 50, every=20)
    whole = "\n".join(f"{note.strip()}\n" for note in log.notes).encode()
    before = len("\n".join(f"{note.strip()}\n" for note in log.notes[:-1]).encode())
    assert "—".encode() in whole[before:]
    copy = tmp_path / "2026-01-05.txt"
    for end in range(before, len(whole) + 1):
        copy.write_bytes(whole[:end])
        report = verify_export(log.lines(), list(notes_of([copy])), signer.keys)
        assert report.findings == [], end
        assert report.checkpoints == (3 if end >= len(whole) - 1 else 2)
