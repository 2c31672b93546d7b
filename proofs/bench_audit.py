"""What auditing costs and how fast it is checked: `python -m proofs.bench_audit`. Writes var/bench_audit.json.

On throw-away servers: the processor time of an order's log rows (making them, storing them, taking them into the
tree), rows a second of the stand-alone verifier, and a CSV of 100,000 executions (seconds, peak memory). With `--large`
instead a CSV of a million executions and the largest PDF; writes var/bench_audit_large.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import psycopg2

from app.domain.audit_chain import GENESIS
from app.domain.changes import ChainHead, LogEntry
from app.domain.checkpoints import Checkpoint, Place
from app.domain.merkle import GrowingTree, leaf_hash
from app.lifecycle.record import chained
from app.settings import PROJECT_ROOT, Settings
from app.storage import execution_logs
from app.storage.transaction import Call, Database, Statement
from app.wiring import sequencer_process
from local.databases import create_database, migrate, url_of
from local.services import LocalServices
from proofs.tamper import NAME, Signer
from proofs.verify_export import verify_export

ROWS_AN_ORDER = 5
"""Submitted, approved, sent, accepted, filled: docs/performance.md."""
ORDERS = 2000
VERIFIED_ROWS = 200_000
REPORTED = 100_000


def row(chain: ChainHead, trader_id: UUID) -> LogEntry:
    """One row as the order path makes it: a fill, which is the longest."""
    now = datetime.now(UTC)
    fields: dict[str, object] = {
        "id": uuid4(),
        "trader_id": trader_id,
        "actor": "listener",
        "action": "FILLED",
        "order_id": chain.chain_id,
        "status": "FILLED",
        "status_before": "PENDING",
        "execution_state": "CLOSED",
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": Decimal("100"),
        "order_type": "LIMIT",
        "price": Decimal("150.25"),
        "time_in_force": "DAY",
        "filled_quantity": Decimal("100"),
        "venue": "simulator",
        "venue_order_id": str(chain.chain_id),
        "retry_attempt": 0,
        "received_at": now,
        "venue_at": now,
        "timestamp": now,
        "software_version": "0.1.0",
        "fill_quantity": Decimal("100"),
        "fill_price": Decimal("150.21"),
        "commission": Decimal("0"),
        "execution_id": str(chain.chain_id),
    }
    return chained(chain, fields)


def rows_of_an_order(order_id: UUID, trader_id: UUID, count: int = ROWS_AN_ORDER) -> list[LogEntry]:
    head, rows = ChainHead(order_id, 0, GENESIS), []
    for _ in range(count):
        entry = row(head, trader_id)
        rows.append(entry)
        head = ChainHead(order_id, entry.chain_seq, entry.hash)
    return rows


def cost_of_rows(settings: Settings) -> dict[str, float]:
    """Processor milliseconds an order: our own process, PostgreSQL's backend, the sequencer (its backend included)."""
    trader_id, ids = uuid4(), [uuid4() for _ in range(ORDERS)]
    with closing(psycopg2.connect(settings.database_url)) as owner, owner, owner.cursor() as cursor:
        cursor.execute(
            "INSERT INTO traders (id, name, created_at, updated_at) VALUES (%s, 'bench', now(), now())",
            [str(trader_id)],
        )
    with closing(psycopg2.connect(settings.database_url_worker)) as worker, worker, worker.cursor() as cursor:
        for order_id in ids:
            _insert_order(cursor, order_id, trader_id)
    database = Database(settings.sqlalchemy_url("worker"), pool_size=1)
    with database.transaction() as transaction:
        (pid,) = transaction.fetch(Call(Statement("pid", "SELECT pg_backend_pid()")))[0]
    backend = psutil.Process(pid)
    made, own, stored = 0.0, time.process_time(), _seconds(backend)
    for order_id in ids:
        began = time.process_time()
        rows = rows_of_an_order(order_id, trader_id)
        made += time.process_time() - began
        with database.transaction() as transaction:
            transaction.finish(*(execution_logs.insert(entry) for entry in rows))
    own, stored = time.process_time() - own, _seconds(backend) - stored
    own_empty, empty = time.process_time(), _seconds(backend)
    nothing = Call(Statement("nothing", "SELECT 1"))
    for _ in ids:
        with database.transaction() as transaction:
            transaction.finish(nothing)
    own_empty, empty = time.process_time() - own_empty, _seconds(backend) - empty
    database.close()

    before = time.process_time()
    with sequencer_process(settings) as sequencer:
        checkpoint = sequencer.run_once()
    sequenced = time.process_time() - before
    if checkpoint is None or checkpoint.size != ORDERS * ROWS_AN_ORDER:
        raise RuntimeError(f"the sequencer signed {checkpoint}")
    each = 1000 / ORDERS
    return {
        "making_and_sending_ms": round((own - own_empty) * each, 3),
        "of_that_encoding_and_hashing_ms": round(made * each, 3),
        "postgresql_ms": round((stored - empty) * each, 3),
        "sequencer_ms": round(sequenced * each, 3),
    }


def _insert_order(cursor: psycopg2.extensions.cursor, order_id: UUID, trader_id: UUID) -> None:
    cursor.execute(
        """INSERT INTO orders (id, trader_id, idempotency_key, request_fingerprint, symbol, side, quantity, order_type,
            price, time_in_force, venue, execution_path, reservation_price, status, execution_state, due_at, log_seq,
            log_hash, version, created_at, updated_at)
        VALUES (%s, %s, %s, '', 'AAPL', 'BUY', 10, 'LIMIT', 150.25, 'DAY', 'simulator', 'V2', 150.25, 'PENDING',
            'QUEUED', now(), 1, '', 1, now(), now())""",
        [str(order_id), str(trader_id), str(order_id)],
    )


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def verifier_rate() -> float:
    """Rows a second of an export of orders with five rows each, a checkpoint each thousand rows."""
    signer, tree, notes, lines = Signer(), GrowingTree(), [], []
    for _ in range(VERIFIED_ROWS // ROWS_AN_ORDER):
        for entry in rows_of_an_order(uuid4(), UUID(int=1)):
            lines.append(
                b'{"leaf":%d,"previous_hash":"%s","hash":"%s","row":%s}\n'
                % (tree.size, entry.previous_hash.hex().encode(), entry.hash.hex().encode(), entry.encoding)
            )
            tree.add(leaf_hash(entry.hash))
            if tree.size % 1000 == 0:
                checkpoint = Checkpoint(NAME, tree.size, tree.root(), datetime.now(UTC), Place(1, tree.size))
                notes.append((signer.note(checkpoint), "bench"))
    export = [b'{"format":"surefill-audit-export/1"}\n', *lines, b'{"end":true,"rows":%d}\n' % tree.size]
    began = time.process_time()
    report = verify_export(export, notes, signer.keys)
    seconds = time.process_time() - began
    if not report.holds:
        raise RuntimeError(f"an honest log does not hold: {report.findings[:3]}")
    return round(VERIFIED_ROWS / seconds)


def report_cost(settings: Settings, executions: int, kind: str = "csv") -> dict[str, object]:
    """A report of so many executions through the API, in a process of its own: seconds and peak memory."""
    trader_id = str(uuid4())
    key = f"sk_{trader_id}"
    with closing(psycopg2.connect(settings.database_url)) as owner, owner, owner.cursor() as cursor:
        cursor.execute(
            """INSERT INTO traders (id, name, created_at, updated_at) VALUES (%(t)s, %(t)s, now(), now());
            INSERT INTO api_keys (id, trader_id, prefix, key_hash, created_at)
              VALUES (%(t)s, %(t)s, 'sk_bench', sha256(%(k)s), now())""",
            {"t": trader_id, "k": key.encode()},
        )
    with closing(psycopg2.connect(settings.database_url_worker)) as worker, worker, worker.cursor() as cursor:
        _insert_order(cursor, UUID(trader_id), UUID(trader_id))
        cursor.execute(
            """INSERT INTO fills (id, order_id, trader_id, symbol, side, timestamp, quantity_filled, price_at_fill,
                venue, venue_order_id, cumulative_quantity, realized_pnl, created_at)
            SELECT gen_random_uuid(), %(t)s, %(t)s, 'AAPL', 'BUY', now() - n * interval '1 second', 1, 150.25,
                'simulator', %(t)s || n, n, 0, now() FROM generate_series(1, %(n)s) n""",
            {"t": trader_id, "n": executions},
        )
    with closing(psycopg2.connect(settings.database_url)) as owner:
        owner.autocommit = True
        with owner.cursor() as cursor:
            cursor.execute("ANALYZE fills")
    environment = {
        "DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "SIMULATOR_URL": "http://127.0.0.1:9",
        "LOG_LEVEL": "ERROR", "REPORT_KEY": key, "REPORT_FORMAT": kind, "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "proofs.bench_audit", "--report"], cwd=PROJECT_ROOT, env=environment,
        capture_output=True, text=True, check=True, timeout=280,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def download() -> None:
    """In a process of its own: ask for the report, throw it away piece by piece, say what that took."""
    from app.web import create_web_app

    client = create_web_app().test_client()
    headers = {"Authorization": f"Bearer {os.environ['REPORT_KEY']}"}
    client.get("/api/v1/fills?limit=1", headers=headers)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    path = f"/api/v1/reports/executions?from=2000-01-01&format={os.environ['REPORT_FORMAT']}"
    answer = client.get(path, headers=headers, buffered=False)
    lines = size = 0
    first = b""
    for piece in answer.iter_encoded():
        first = first or piece
        lines += piece.count(b"\n")
        size += len(piece)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = {
        "status": answer.status_code,
        "lines": lines,
        "bytes": size,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak / 1024, 1),
        "of_that_the_report_mb": round((peak - before) / 1024, 1),
    }
    print(json.dumps(said if answer.status_code == 200 else {**said, "said": first.decode()}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="a CSV of a million executions and the largest PDF alone")
    parser.add_argument("--report", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report:
        download()
        return 0
    result: dict[str, object]
    with tempfile.TemporaryDirectory(prefix="surefill-bench-audit-") as folder:
        with LocalServices(Path(folder) / "servers") as services:
            create_database(services.postgres, "bench_audit")
            settings = Settings.from_environment(
                {
                    "DATABASE_URL": url_of(services.postgres, "bench_audit"),
                    "REDIS_URL": services.redis.url,
                    "SIMULATOR_URL": "http://127.0.0.1:9",
                    "AUDIT_FOLDER": str(Path(folder) / "audit"),
                }
            )
            migrate(settings)
            if given.large:
                result = {
                    "pdf_of_10000": report_cost(settings, 10_000, "pdf"),
                    "pdf_of_10001": report_cost(settings, 10_001, "pdf"),
                    "csv_of_1000000": report_cost(settings, 1_000_000),
                }
            else:
                result = {
                    "cpu_ms_per_order": cost_of_rows(settings),
                    "csv_of_100000": report_cost(settings, REPORTED),
                    "verified_rows_per_second": verifier_rate(),
                }
    target = PROJECT_ROOT / "var" / ("bench_audit_large.json" if given.large else "bench_audit.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
