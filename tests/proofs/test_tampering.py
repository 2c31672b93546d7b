"""The stand-alone verifier finds whatever is done to a log. `python -m proofs.tamper` does it a thousand times."""

from __future__ import annotations

import ast
import json
import random
import sys
from pathlib import Path

import pytest

from app.settings import PROJECT_ROOT
from proofs.tamper import KINDS, Signer, make_log, run, verified
from proofs.verify_export import main, verify_export, verify_proof

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
