"""Halts: written once, lifted once, and looked at by every transaction that accepts or sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from app.domain.audit_chain import SYSTEM_CHAIN
from app.domain.changes import ChainHead, Imposing
from app.domain.halts import Halt, HaltScope
from app.storage import execution_logs
from app.storage.transaction import Call, Database, Row, Statement

GATE_KEY = 0x53464841  # "SFHA": the advisory lock that makes a halt and the sends around it come one after the other

# Taken shared, before anything is read, by whoever accepts or sends. It is the first lock of all (I12).
PASS_GATE = Statement("pass_halt_gate", f"SELECT pg_advisory_xact_lock_shared({GATE_KEY})")
CLOSE_GATE = Statement("close_halt_gate", f"SELECT pg_advisory_xact_lock({GATE_KEY})")

# How long a halt waits for each lock. Whoever holds the gate may wait for a row as long as it may, and then stand still
# until the server ends it: 4 + 5 seconds (SESSION_SETTINGS). The switch is pressed when something hangs, so it must
# outlast that; and it stays below the time-out of a statement and the patience of the page (15 seconds both).
PATIENCE = {"lock_timeout": "10s"}

_COLUMNS = (
    "id", "scope", "trader_id", "symbol", "code", "reason", "cancel_exits", "halted_by", "created_at", "lifted_at",
    "lifted_by", "lift_reason",
)  # fmt: skip
SELECTED = ", ".join(f"h.{name}" for name in _COLUMNS)


def active_for(trader_id: str, symbol: str) -> str:
    """SQL for the widest active halt of a trader's orders in a symbol: a JSON array as text, or null."""
    return f"""(SELECT json_build_array({SELECTED})::text FROM halts h WHERE h.lifted_at IS NULL
        AND (h.scope = 'GLOBAL' OR h.trader_id = {trader_id} OR h.symbol = {symbol}) ORDER BY h.scope LIMIT 1)"""


ACTIVE_TWIN = Statement(
    "active_twin_of_halt",
    f"""SELECT {SELECTED} FROM halts h WHERE h.lifted_at IS NULL AND h.scope = $1
    AND h.trader_id IS NOT DISTINCT FROM $2::uuid AND h.symbol IS NOT DISTINCT FROM $3""",
)
TARGET_EXISTS = Statement(
    "target_of_halt_exists",
    """SELECT ($1::uuid IS NULL OR EXISTS (SELECT 1 FROM accounts WHERE trader_id = $1))
    AND ($2::text IS NULL OR EXISTS (SELECT 1 FROM instruments WHERE symbol = $2))""",
)
OF_TRADER = Statement(
    "halts_of_trader", f"SELECT {SELECTED} FROM halts h WHERE h.scope = 'TRADER' AND h.trader_id = $1"
)
FIND = Statement("find_halt", f"SELECT {SELECTED} FROM halts h WHERE h.id = $1")
LIST = Statement(
    "list_halts", f"SELECT {SELECTED} FROM halts h ORDER BY h.lifted_at IS NOT NULL, h.created_at DESC, h.id LIMIT $1"
)
LOCK_ACCOUNT = Statement("lock_account_for_halt", "SELECT 1 FROM accounts WHERE trader_id = $1 FOR UPDATE")
INSERT = Statement(
    "insert_halt",
    """INSERT INTO halts (id, scope, trader_id, symbol, code, reason, cancel_exits, halted_by, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (scope, trader_id, symbol) WHERE lifted_at IS NULL DO NOTHING""",
)
LIFT = Statement(
    "lift_halt", "UPDATE halts SET lifted_at = $2, lifted_by = $3, lift_reason = $4 WHERE id = $1 AND lifted_at IS NULL"
)


class NoSuchHalt(Exception):
    """There is no such halt."""


class NoSuchTarget(Exception):
    """There is no such trader, or no such symbol."""


class PostgresHalts:
    """Halts as administrators impose and lift them. `settings` make row security let them."""

    def __init__(self, database: Database, *, administrator: bool = False) -> None:
        self._database = database
        self._settings = {"app.administrator": "yes"} if administrator else {}

    def impose(
        self,
        scope: HaltScope,
        trader_id: UUID | None,
        symbol: str | None,
        decide: Callable[[Halt | None, ChainHead], Imposing],
    ) -> Halt:
        """Close the gate, decide with the active halt of the same thing, write. Raises NoSuchTarget."""
        with self._database.transaction({**self._as(trader_id), **PATIENCE}) as transaction:
            rows = transaction.fetch(Call(CLOSE_GATE), Call(TARGET_EXISTS, [trader_id, symbol]))
            if not rows[0][0]:
                raise NoSuchTarget(symbol or str(trader_id))
            twins = transaction.fetch(Call(ACTIVE_TWIN, [scope, trader_id, symbol]))
            head = transaction.fetch(*_lock_chain(trader_id))
            chain = execution_logs.head(chain_of(trader_id), *head[0])
            imposing = decide(from_row(twins[0]) if twins else None, chain)
            if imposing.log is not None:
                transaction.finish(
                    insert(imposing.halt), execution_logs.insert(imposing.log), execution_logs.move_chain(imposing.log)
                )
        return imposing.halt

    def lift(self, halt_id: UUID, decide: Callable[[Halt, ChainHead], Imposing]) -> Halt:
        """The same for the end of a halt. Raises NoSuchHalt."""
        found = self.find(halt_id)
        with self._database.transaction({**self._as(found.trader_id), **PATIENCE}) as transaction:
            rows = transaction.fetch(Call(CLOSE_GATE), Call(FIND, [halt_id]))
            head = transaction.fetch(*_lock_chain(found.trader_id))
            lifting = decide(from_row(rows[0]), execution_logs.head(chain_of(found.trader_id), *head[0]))
            if lifting.log is not None:
                halt = lifting.halt
                transaction.finish(
                    Call(LIFT, [halt.id, halt.lifted_at, halt.lifted_by, halt.lift_reason]),
                    execution_logs.insert(lifting.log),
                    execution_logs.move_chain(lifting.log),
                )
        return lifting.halt

    def find(self, halt_id: UUID) -> Halt:
        """Raises NoSuchHalt."""
        rows = self._database.read(Call(FIND, [halt_id]), settings=self._settings)
        if not rows:
            raise NoSuchHalt(str(halt_id))
        return from_row(rows[0])

    def active(self, scope: HaltScope, trader_id: UUID | None, symbol: str | None) -> Halt | None:
        """The active halt of exactly this. Raises NoSuchTarget."""
        with self._database.transaction(self._as(trader_id)) as transaction:
            if not transaction.fetch(Call(TARGET_EXISTS, [trader_id, symbol]))[0][0]:
                raise NoSuchTarget(symbol or str(trader_id))
            rows = transaction.fetch(Call(ACTIVE_TWIN, [scope, trader_id, symbol]))
        return from_row(rows[0]) if rows else None

    def halts(self, limit: int) -> Sequence[Halt]:
        """Active ones first, then the newest."""
        return [from_row(row) for row in self._database.read(Call(LIST, [limit]), settings=self._settings)]

    def _as(self, trader_id: UUID | None) -> dict[str, str]:
        return self._settings if trader_id is None else {**self._settings, "app.trader_id": str(trader_id)}


def chain_of(trader_id: UUID | None) -> UUID:
    """The audit chain that a halt belongs to: its trader's, or the system's own."""
    return trader_id or SYSTEM_CHAIN


def _lock_chain(trader_id: UUID | None) -> list[Call]:
    # a trader's chain is guarded by the account's lock, like for every order
    account = [] if trader_id is None else [Call(LOCK_ACCOUNT, [trader_id])]
    return [*account, execution_logs.lock_chain(chain_of(trader_id), trader_id)]


def insert(halt: Halt) -> Call:
    return Call(
        INSERT,
        [
            halt.id, halt.scope, halt.trader_id, halt.symbol, halt.code, halt.reason, halt.cancel_exits,
            halt.halted_by, halt.created_at,
        ],
    )  # fmt: skip


def from_row(row: Row) -> Halt:
    id_, scope, *others = row
    return Halt(id_, HaltScope(scope), *others)


def from_text(text: str | None) -> Halt | None:
    """The halt that `active_for` found."""
    if text is None:
        return None
    id_, scope, trader_id, symbol, code, reason, cancel_exits, halted_by, created_at, *_ = json.loads(text)
    return Halt(
        UUID(id_), HaltScope(scope), None if trader_id is None else UUID(trader_id), symbol, code, reason,
        cancel_exits, halted_by, datetime.fromisoformat(created_at),
    )  # fmt: skip
