"""`audit verify`: it holds on an honest log and finds what was done to another one."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest

from app.settings import PROJECT_ROOT, Settings
from app.storage.checkpoint_folder import CheckpointFolder
from app.wiring import sequencer_process
from local.postgresql import EmbeddedPostgres
from tests.api.house import Client, House, running
from tests.cli.conftest import Console

NOT_SIGNED = "no checkpoints in /nonexistent/audit: only the chains were checked\n"


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with running(settings) as house:
        yield house


@pytest.fixture
def ann(house: House) -> Client:
    ann = house.trader("Ann")
    order = ann.order(max_wait_seconds=60)
    with house.working() as worker:
        worker.send(order)
        worker.fill(order, "4", "149.123456789")
        worker.fill(order, "6", "150")
        failed = ann.order(quantity="1", price="1e2")
        worker.fail(failed)
    ann.post("/orders/cancel-all")
    ann.submit(quantity="100000")
    ann.submit_body(b'{"\\u0000":"\\ud800"}')
    house.limit(ann, max_order_value=Decimal("2500.50"), orders_per_minute=7)
    return ann


def test_an_honest_log_holds(house: House, ann: Client, console: Console) -> None:
    rows = house.rows("SELECT count(*), count(DISTINCT chain_id) FROM execution_logs")[0]
    assert rows[0] > 12
    said = console.ok("audit", "verify")
    assert said.out == f"{rows[0]} rows in {rows[1]} chains checked: no broken\n{NOT_SIGNED}"


def test_an_empty_log_holds(console: Console) -> None:
    assert console.ok("audit", "verify").out == f"0 rows in 0 chains checked: no broken\n{NOT_SIGNED}"


def test_a_log_that_should_have_been_signed_long_ago_and_was_not_is_a_finding(
    ann: Client, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.audit.UNSIGNED_AT_MOST", timedelta(0))
    said = console.run("audit", "verify")
    assert said.status == 1
    assert said.err.startswith("nothing was ever signed of a log that began at 20")
    assert "/nonexistent/audit its AUDIT_FOLDER?" in said.err


_ONE = "(SELECT id FROM execution_logs WHERE action = 'FILLED' ORDER BY position LIMIT 1)"


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        (f"UPDATE execution_logs SET fill_price = fill_price + 0.01 WHERE id = {_ONE}", "not what its hash says"),
        (f"UPDATE execution_logs SET actor = 'somebody' WHERE id = {_ONE}", "not what its hash says"),
        (f"UPDATE execution_logs SET reason = NULL, venue = NULL WHERE id = {_ONE}", "not what its hash says"),
        (f"UPDATE execution_logs SET timestamp = timestamp + interval '1 us' WHERE id = {_ONE}", "not what its hash"),
        ("UPDATE execution_logs SET details = '{}' WHERE action = 'LIMITS_CHANGED'", "not what its hash says"),
        (f"DELETE FROM execution_logs WHERE id = {_ONE}", "is missing before it"),
        ("DELETE FROM execution_logs WHERE action = 'LIMITS_CHANGED'", "its last row is"),
        ("DELETE FROM execution_logs WHERE action = 'TRADER_CREATED'", "row 1 is missing before it"),
        (
            """DELETE FROM execution_logs l USING orders o WHERE o.id = l.chain_id AND l.chain_seq = o.log_seq""",
            "its last row is",
        ),
        ("DELETE FROM execution_logs WHERE order_id IS NOT NULL", "it has no row in the log"),
    ],
)
def test_a_log_that_was_tampered_with_does_not_hold(
    ann: Client, console: Console, postgres_server: EmbeddedPostgres, tampering: str, says: str
) -> None:
    tamper(console, postgres_server, tampering)
    said = console.run("audit", "verify")
    assert said.status == 1
    assert says in said.err


def tamper(console: Console, server: EmbeddedPostgres, *statements: str) -> None:
    """As a superuser who switches the guards off and on again."""
    name = console.settings.database_url.rpartition("/")[2]
    with closing(psycopg2.connect(server.test_superuser_url, dbname=name)) as connection, connection:
        with connection.cursor() as cursor:
            for table in ("execution_logs", "fills"):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for statement in statements:
                cursor.execute(statement)
                assert cursor.rowcount > 0
            for table in ("execution_logs", "fills"):
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_immutable")


def test_what_is_beside_the_log_and_contradicts_it_is_found(
    ann: Client, console: Console, postgres_server: EmbeddedPostgres
) -> None:
    """Whole chains without their head and heads without their chain; fills and orders, which reports are made of."""
    tamper(
        console,
        postgres_server,
        "DELETE FROM execution_logs WHERE order_id IS NULL",
        """WITH made AS (SELECT gen_random_uuid() AS chain) INSERT INTO execution_logs (id, chain_id, chain_seq,
           previous_hash, hash, actor, action, timestamp, software_version, created_at)
           SELECT chain, chain, 1, '', '', 'x', 'CORRECTED', now(), '1', now() FROM made""",
        "UPDATE fills SET price_at_fill = price_at_fill + 0.01 WHERE quantity_filled = 4",
        "ALTER TABLE orders DROP CONSTRAINT orders_filled_iff_complete;"
        "UPDATE orders SET status = 'CANCELLED', version = version + 1 WHERE status = 'FILLED'",
    )
    said = console.run("audit", "verify")
    assert said.status == 1
    for what in (
        "it has no row in the log, its head says",
        "it belongs to no order, trader or other head",
        "it has a fill that the log does not tell",
        "it has a fill in the log that is not among the fills",
        "it is not what its last row in the log says",
    ):
        assert what in said.err, what


# -- signed -----------------------------------------------------------------------------------------------------------


class Signed:
    """A console whose system has a sequencer, and a folder like an auditor's."""

    def __init__(self, console: Console, house: House, folder: Path, server: EmbeddedPostgres) -> None:
        settings = replace(
            console.settings, audit_folder=folder / "audit", audit_signing_key_file=folder / "signing-key.pem"
        )
        self.console, self.house, self.server = Console(settings), house, server
        self.stick = folder / "stick"
        self.stick.mkdir()
        self.folder = CheckpointFolder(settings.audit_folder)

    def sign(self) -> None:
        with sequencer_process(self.console.settings) as sequencer:
            sequencer.run_once()

    def export(self) -> None:
        """What the auditor is given: the export and the checkpoints; the keys and the verifier they have."""
        self.console.ok("audit", "export", "--output", str(self.stick / "export.jsonl"))
        shutil.copytree(self.folder.folder / "checkpoints", self.stick / "checkpoints", dirs_exist_ok=True)
        shutil.copy(self.folder.folder / "verification-keys", self.stick)
        shutil.copy(PROJECT_ROOT / "proofs" / "verify_export.py", self.stick)

    def verifier(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The stand-alone verifier, alone: -I keeps this project out of its sight."""
        return subprocess.run(
            [sys.executable, "-I", "verify_export.py", *words], cwd=self.stick, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def verify(self) -> subprocess.CompletedProcess[str]:
        return self.verifier("export.jsonl", "--keys", "verification-keys", "--checkpoints", "checkpoints")

    def tamper(self, *statements: str) -> None:
        tamper(self.console, self.server, *statements)


@pytest.fixture
def signed(ann: Client, house: House, console: Console, tmp_path: Path, postgres_server: EmbeddedPostgres) -> Signed:
    signed = Signed(console, house, tmp_path, postgres_server)
    signed.sign()
    return signed


def test_what_was_signed_holds_here_and_at_a_stranger_s(signed: Signed, ann: Client) -> None:
    rows = signed.house.rows("SELECT count(*) FROM execution_logs")[0][0]
    said = signed.console.ok("audit", "verify")
    assert "1 checkpoints of surefill-" in said.out and "; 0 rows are newer" in said.out
    signed.export()
    verified = signed.verify()
    assert (verified.returncode, verified.stderr) == (0, "")
    assert f"it holds: {rows} rows are as they were" in verified.stdout
    ann.order()
    signed.export()
    assert "2 rows are newer than the newest checkpoint: not signed yet" in signed.verify().stdout
    assert "; 2 rows are newer" in signed.console.ok("audit", "verify").out


REWRITE = """UPDATE execution_logs SET {column} = {value} WHERE id =
    (SELECT id FROM execution_logs WHERE action = 'FILLED' ORDER BY position LIMIT 1)"""


@pytest.mark.parametrize(
    "statement",
    [
        REWRITE.format(column="fill_price", value="fill_price + 1"),
        REWRITE.format(column="hash", value="sha256(hash)"),
        f"DELETE FROM execution_logs WHERE id = {_ONE}",
        # the order's last rows with the head that the order holds: the chains alone would not tell
        """WITH last AS (SELECT DISTINCT ON (chain_id) id, chain_id, chain_seq, previous_hash FROM execution_logs
             WHERE order_id IS NOT NULL ORDER BY chain_id, chain_seq DESC),
           heads AS (UPDATE orders SET log_seq = chain_seq - 1, log_hash = previous_hash, version = version + 1
             FROM last WHERE chain_id = orders.id)
           DELETE FROM execution_logs WHERE id IN (SELECT id FROM last)""",
        """INSERT INTO execution_logs (id, recorded_xid, chain_id, chain_seq, previous_hash, hash, actor, action,
             timestamp, software_version, created_at)
           VALUES (gen_random_uuid(), '3', gen_random_uuid(), 1, decode(repeat('00', 32), 'hex'), sha256('x'), 'x',
             'CORRECTED', now(), '1', now())""",
    ],
    ids=["edited", "hash edited", "deleted", "truncated with its head", "inserted in the past"],
)
def test_whoever_owns_the_database_cannot_change_what_was_signed_unseen(signed: Signed, statement: str) -> None:
    signed.tamper(statement)
    assert signed.console.run("audit", "verify").status == 1
    signed.export()
    verified = signed.verify()
    assert verified.returncode == 1
    assert "IT DOES NOT HOLD" in verified.stdout and verified.stderr


def test_a_row_that_claims_a_transaction_of_the_future_is_found(signed: Signed) -> None:
    """It would be below no horizon for ever: in no tree, in no export, and yet in the database."""
    signed.tamper(
        """INSERT INTO execution_logs (id, recorded_xid, chain_id, chain_seq, previous_hash, hash, actor, action,
             timestamp, software_version, created_at)
           VALUES (gen_random_uuid(), '999999999999', gen_random_uuid(), 1, '', '', 'x', 'CORRECTED', now(), '1',
             now())"""
    )
    said = signed.console.run("audit", "verify")
    assert said.status == 1 and "a transaction that has not begun" in said.err


def test_checkpoints_that_are_gone_are_missed(signed: Signed) -> None:
    shutil.rmtree(signed.folder.folder / "checkpoints")
    said = signed.console.run("audit", "verify")
    assert said.status == 1 and "none of its checkpoints: they are gone" in said.err


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\n\nsurefill-cut\n7\n"])
def test_a_copied_checkpoint_may_end_anyhow(signed: Signed, ending: str) -> None:
    signed.export()
    note = signed.folder.days()[-1].read_text(encoding="utf-8").rstrip("\n")
    (signed.stick / "kept.txt").write_text(note + ending, encoding="utf-8")
    verified = signed.verifier("export.jsonl", "--keys", "verification-keys", "--checkpoints", "kept.txt")
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_proof_of_one_order_holds_offline_and_shows_that_the_log_is_still_the_same(
    signed: Signed, ann: Client
) -> None:
    signed.export()
    kept = signed.stick / "kept.txt"
    copied = signed.folder.days()[-1].read_bytes()
    kept.write_bytes(copied + copied[:-1].rpartition("—".encode())[0] + "—".encode()[:2])  # as the next one was written
    order = ann.order()
    signed.sign()
    proof = signed.stick / "order.json"
    signed.console.ok("audit", "prove", order["id"], "--since", str(kept), "--output", str(proof))
    verify = ("--proof", "order.json", "--keys", "verification-keys", "--checkpoints", "kept.txt")
    verified = signed.verifier(*verify)
    assert (verified.returncode, verified.stderr) == (0, "")
    document = json.loads(proof.read_text())
    assert len(document["rows"]) == 2
    for forged in (
        {**document, "rows": [{**document["rows"][0], "row": document["rows"][0]["row"].replace("BUY", "SELL")}]},
        {**document, "rows": document["rows"][1:]},
        {**document, "rows": [{**document["rows"][0], "leaf": 0}]},
        {**document, "order_id": str(ann.trader_id)},
        {**document, "consistency": {}},
        {**document, "consistency": {name: path[1:] for name, path in document["consistency"].items()}},
        {**document, "checkpoint": document["checkpoint"].replace("\n", "\n1", 1)},
        {**document, "rows": []},
        {},
    ):
        proof.write_text(json.dumps(forged))
        assert signed.verifier(*verify).returncode == 1, forged


def test_a_proof_of_a_log_that_became_shorter_is_told_by_a_kept_checkpoint(signed: Signed, ann: Client) -> None:
    signed.export()
    order = ann.order()
    signed.sign()
    proof = signed.stick / "order.json"
    signed.console.ok("audit", "prove", order["id"], "--output", str(proof))
    ann.order()
    signed.sign()
    shutil.copy(signed.folder.days()[-1], signed.stick / "kept.txt")
    verified = signed.verifier("--proof", "order.json", "--keys", "verification-keys", "--checkpoints", "kept.txt")
    assert verified.returncode == 1
    assert "the log became shorter" in verified.stderr


def test_an_order_that_is_not_signed_yet_is_not_proved(signed: Signed, ann: Client) -> None:
    order = ann.order()
    said = signed.console.run("audit", "prove", order["id"])
    assert said.status == 1 and "is in the log that was signed" in said.err


def test_a_stranger_can_follow_the_steps_of_the_documentation(signed: Signed) -> None:
    """Every command between the two marks of docs/audit.md, as it stands there."""
    signed.export()
    order_id = signed.house.rows("SELECT id FROM orders ORDER BY created_at LIMIT 1")[0][0]
    signed.console.ok("audit", "prove", str(order_id), "--output", str(signed.stick / "order.json"))
    text = (PROJECT_ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    steps = text.partition("<!-- steps -->")[2].partition("<!-- end of steps -->")[0]
    commands = [line for line in steps.splitlines() if line.startswith("python3 ")]
    assert len(commands) >= 2
    for line in commands:
        done = signed.verifier(*shlex.split(line)[2:])
        assert done.returncode == 0, done
        assert "it holds" in done.stdout
    assert "sed 5d export.jsonl > tampered.jsonl" in text
    lines = (signed.stick / "export.jsonl").read_bytes().splitlines(keepends=True)
    (signed.stick / "tampered.jsonl").write_bytes(b"".join(lines[:4] + lines[5:]))
    tampered = signed.verifier("tampered.jsonl", *shlex.split(commands[0])[3:])
    assert tampered.returncode == 1 and tampered.stdout.rstrip().endswith("IT DOES NOT HOLD")
    for said in ("row 3: it says that it is row 4", "was signed, the export has"):
        assert said in tampered.stderr, said
    assert f"over {len(lines) - 2} rows" in tampered.stdout, (
        "how many were signed is told however many findings there are"
    )
