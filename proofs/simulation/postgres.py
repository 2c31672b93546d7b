"""A throw-away PostgreSQL for runs on the real store: one server per process, emptied for each seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
from sqlalchemy import event

from app.settings import Settings
from app.storage import halts, orders
from app.storage.transaction import Database, Transaction
from local.databases import migrate
from local.postgresql import DATABASE
from local.services import LocalServices
from proofs.simulation.oracle import Violation
from proofs.simulation.stepped_database import Connections, PostgresTransaction
from proofs.simulation.tables import Tables
from proofs.simulation.world import Result, run

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # untyped in its stubs

_EMPTIED = (
    "halts", "execution_logs", "order_events", "fills", "order_attempts", "audit_chains", "orders", "positions",
    "accounts", "event_counters", "instruments", "traders",
)  # fmt: skip
_ACCOUNTS = ("cash", "reserved", "session_on", "session_equity", "session_notional")
_FILLS = (
    "id", "order_id", "trader_id", "symbol", "side", "timestamp", "quantity_filled", "price_at_fill", "venue",
    "commission", "venue_order_id", "cumulative_quantity", "execution_id", "realized_pnl", "is_late", "created_at",
    "commission_source",
)  # fmt: skip
_ATTEMPTS = (
    "trader_id",
    "fence",
    "client_order_id",
    "sender",
    "sent_at",
    "ended_at",
    "outcome",
    "error_code",
    "evidence",
)


class SteppedPostgres(Database):
    """The real pool of one login, its transactions stepped."""

    def __init__(self, url: str) -> None:
        # Requests pile up behind a web process that pauses. The one too many is told at once that there is no
        # connection: whoever waited here would stop everything else as well, and nobody could give one back.
        super().__init__(url, pool_size=60, patience_seconds=0)
        self.connections: Connections | None = None
        # a lock that is not free is reported at once; who waits for it is the scheduler's to say
        event.listen(self.engine, "connect", _never_wait)

    @contextlib.contextmanager
    def transaction(self, settings: Mapping[str, str] | None = None) -> Iterator[Transaction]:
        assert self.connections is not None
        stepped: PostgresTransaction | None = None
        try:
            # how long it would wait for a lock is the scheduler's to play, and not for the server to do
            others = {name: value for name, value in (settings or {}).items() if name != "lock_timeout"}
            with super().transaction(others) as transaction:
                stepped = PostgresTransaction(self.connections, transaction, settings)
                yield stepped  # type: ignore[misc] # the same methods
        finally:
            if stepped is not None and stepped.open:
                self.connections.scheduler.released()


def _never_wait(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1ms'; SET idle_in_transaction_session_timeout = 0")


class SimulationServer:
    """Runs seeds on PostgreSQL. Close it."""

    def __init__(self, folder: Path) -> None:
        self._services = LocalServices(folder, redis=False).start()
        postgres = self._services.postgres
        # nothing listens there: the venue and the broker of a run are its own
        settings = Settings.from_environment(
            {"DATABASE_URL": postgres.url, "REDIS_URL": "redis://127.0.0.1:9/0", "SIMULATOR_URL": "http://127.0.0.1:9"}
        )
        migrate(settings)
        self._owner = psycopg2.connect(postgres.test_superuser_url, dbname=DATABASE)
        self._owner.autocommit = True
        self._prepare()
        self._databases = {login: SteppedPostgres(settings.sqlalchemy_url(login)) for login in ("api", "worker")}

    def run(self, seed: int) -> Result:
        """Run one seed on the real store, then compare every row with the double's."""
        opened: list[Tables] = []

        def open_database(connections: Connections, login: str) -> Database:
            if not opened:
                opened.append(connections.tables)
                self._fill(connections.tables)
            database = self._databases["api" if login == "api" else "worker"]
            database.connections = connections
            return database

        result = run(seed, open_database)
        if not result.violations:
            result.violations.extend(
                Violation("the store equals its double", sentence) for sentence in self._differences(opened[0])
            )
        return result

    def close(self) -> None:
        for database in self._databases.values():
            database.close()
        self._owner.close()
        self._services.stop()

    # -- between the runs ----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        with self._owner.cursor() as cursor:
            for table in _EMPTIED:
                # emptied between seeds, so what keeps it from being emptied goes; nobody but us cleans up meanwhile
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_immutable ON {table}")
                cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        self._seeds = 0

    def _fill(self, tables: Tables) -> None:
        self._seeds += 1
        with self._owner.cursor() as cursor:
            if self._seeds % 50:
                cursor.execute(";".join(f"DELETE FROM {table}" for table in _EMPTIED))
            else:
                cursor.execute(f"TRUNCATE {', '.join(_EMPTIED)} CASCADE")
            for trader_id, account in tables.accounts.items():
                at = account["updated_at"]
                cursor.execute(
                    "INSERT INTO traders (id, name, created_at, updated_at) VALUES (%s, %s, %s, %s);"
                    "INSERT INTO accounts (trader_id, cash, updated_at) VALUES (%s, %s, %s);"
                    "INSERT INTO event_counters (trader_id) VALUES (%s)",
                    (trader_id, str(trader_id), at, at, trader_id, account["cash"], at, trader_id),
                )
            for symbol, instrument in tables.instruments.items():
                names = ("venue", "status", "tick_size", "lot_size", "bid", "ask", "confirmed_at", "always_open")
                at = instrument["confirmed_at"]
                cursor.execute(
                    f"INSERT INTO instruments (symbol, name, updated_at, {', '.join(names)}) "
                    f"VALUES ({', '.join(['%s'] * (3 + len(names)))})",
                    (symbol, symbol, at, *(instrument[name] for name in names)),
                )
            for (trader_id, symbol), position in tables.positions.items():
                cursor.execute(
                    f"INSERT INTO positions (trader_id, symbol, {', '.join(position)}) "
                    f"VALUES ({', '.join(['%s'] * (2 + len(position)))})",
                    (trader_id, symbol, *position.values()),
                )

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def _differences(self, tables: Tables) -> list[str]:
        """Where the database and the double do not have the same rows."""
        ours: dict[str, dict[Any, Any]] = {
            "orders": {key: tuple(row[name] for name in orders.COLUMNS) for key, row in tables.orders.items()},
            "accounts": {key: tuple(row[name] for name in _ACCOUNTS) for key, row in tables.accounts.items()},
            "positions": {
                key: tuple(row[name] for name in ("quantity", "reserved_quantity", "cost_basis", "realized_pnl"))
                for key, row in tables.positions.items()
            },
            "fills": {row["id"]: tuple(row[name] for name in _FILLS) for row in tables.fills.values()},
            "attempts": {key: tuple(row[name] for name in _ATTEMPTS) for key, row in tables.attempts.items()},
            "events": {
                (trader_id, row["seq"]): (row["order_id"], row["event"], row["payload"])
                for trader_id, rows in tables.events.items()
                for row in rows
            },
            "log": {
                (chain_id, row["chain_seq"]): (row["previous_hash"], row["hash"])
                for chain_id, rows in tables.logs.items()
                for row in rows
            },
            "chains": {key: (row["seq"], row["hash"], row["refusals"]) for key, row in tables.chains.items()},
            "halts": {key: tuple(row.values()) for key, row in tables.halts.items()},
            "heads": {key: (seq,) for key, seq in tables.heads.items()},
        }
        theirs = {
            "orders": self._rows(f"SELECT id, {', '.join(orders.COLUMNS)} FROM orders", 1),
            "accounts": self._rows(f"SELECT trader_id, {', '.join(_ACCOUNTS)} FROM accounts", 1),
            "positions": self._rows(
                "SELECT trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl FROM positions", 2
            ),
            "fills": self._rows(f"SELECT id, {', '.join(_FILLS)} FROM fills", 1),
            "attempts": self._rows(f"SELECT order_id, kind, number, {', '.join(_ATTEMPTS)} FROM order_attempts", 3),
            "events": self._rows("SELECT trader_id, seq, order_id, event, payload::text FROM order_events", 2),
            "log": self._rows("SELECT chain_id, chain_seq, previous_hash, hash FROM execution_logs", 2),
            "chains": self._rows("SELECT chain_id, seq, hash, refusals FROM audit_chains", 1),
            "halts": self._rows(f"SELECT id, {halts.SELECTED} FROM halts h", 1),
            "heads": self._rows("SELECT trader_id, head_seq FROM event_counters", 1),
        }
        return [
            f"{table} {key}: {theirs[table].get(key)} in PostgreSQL, {rows.get(key)} in memory"
            for table, rows in ours.items()
            for key in rows.keys() | theirs[table].keys()
            if rows.get(key) != theirs[table].get(key)
        ]

    def _rows(self, statement: str, key: int) -> dict[Any, Any]:
        with self._owner.cursor() as cursor:
            cursor.execute(statement)
            rows = [
                tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
                for row in cursor.fetchall()
            ]
        return {(row[0] if key == 1 else row[:key]): row[key:] for row in rows}
