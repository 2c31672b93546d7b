"""The audit log: rows are only ever added, each linked to the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.domain.audit_chain import GENESIS
from app.domain.changes import ChainHead, CountedRefusal, LogEntry
from app.storage.transaction import Call, Statement

COLUMNS = (
    "id", "trader_id", "actor", "credential", "action", "order_id", "status", "status_before", "execution_state",
    "symbol", "side", "quantity", "order_type", "price", "time_in_force", "fill_quantity", "fill_price",
    "filled_quantity", "venue", "venue_order_id", "execution_id", "retry_attempt", "error_code", "reason", "rule",
    "limits_version", "details", "received_at", "sent_at", "venue_at", "timestamp", "software_version", "commission",
    "stop_loss", "take_profit", "max_slippage_bps", "max_wait_seconds", "parent_id",
)  # fmt: skip

_KNOWN = frozenset(COLUMNS)
_OTHERS = [name for name in COLUMNS if name != "details"]

_INSERT = f"""INSERT INTO execution_logs (chain_id, chain_seq, {", ".join(_OTHERS)}, details, created_at, previous_hash,
        hash)
    SELECT r.chain_id, r.chain_seq, {", ".join(f"r.{name}" for name in _OTHERS)}, (r.details #>> '{{}}')::json,
        r.timestamp, """
# The canonical encoding is a JSON object of texts, and becomes the row as it is: one value to parse instead of forty.
INSERT = Statement("insert_log", _INSERT + "$2, $3 FROM json_populate_record(NULL::execution_logs, $1::json) AS r")
# Two or more: a statement's own cost is more than a row's.
INSERT_MANY = Statement(
    "insert_logs",
    _INSERT
    + """($2::bytea[])[r.ordinality], ($3::bytea[])[r.ordinality]
    FROM json_populate_recordset(NULL::execution_logs, $1::json) WITH ORDINALITY AS r ORDER BY r.ordinality""",
)
LOCK_CHAIN = Statement(
    "lock_chain",
    """INSERT INTO audit_chains (chain_id, trader_id, seq, hash) VALUES ($1, $2, 0, $3)
    ON CONFLICT (chain_id) DO UPDATE SET seq = audit_chains.seq RETURNING seq, hash, refusal_minute, refusals""",
)
COUNT_REFUSAL = Statement(
    "count_refusal", "UPDATE audit_chains SET refusal_minute = $2, refusals = $3 WHERE chain_id = $1"
)
# A handful of rows for each trader: no index, so that counting stays an update in place.
COUNTED_AND_UNTOLD = Statement(
    "counted_refusals", "SELECT chain_id FROM audit_chains WHERE refusals > $1 AND refusal_minute < $2 LIMIT 100"
)
MOVE_CHAIN = Statement("move_chain", "UPDATE audit_chains SET seq = $2, hash = $3 WHERE chain_id = $1")


def insert(*entries: LogEntry) -> Call:
    """Rows for the log, one or more, in their order."""
    unknown = {name for entry in entries for name in entry.fields.keys() - _KNOWN}
    if unknown:
        raise ValueError(f"the audit log has no column for {sorted(unknown)}")
    if len(entries) == 1:
        return Call(INSERT, [entries[0].encoding.decode(), entries[0].previous_hash, entries[0].hash])
    encodings = b",".join([entry.encoding for entry in entries]).decode()
    return Call(
        INSERT_MANY, [f"[{encodings}]", [entry.previous_hash for entry in entries], [entry.hash for entry in entries]]
    )


def lock_chain(chain_id: UUID, trader_id: UUID | None) -> Call:
    """Lock the head of a chain that is not an order's, making it where it is new."""
    return Call(LOCK_CHAIN, [chain_id, trader_id, GENESIS])


def move_chain(entry: LogEntry) -> Call:
    return Call(MOVE_CHAIN, [entry.chain_id, entry.chain_seq, entry.hash])


def append(log: Sequence[LogEntry]) -> list[Call]:
    """Rows of a chain that is not an order's, and its new head."""
    return [insert(*log), move_chain(log[-1])] if log else []


def count_refusal(refusal: CountedRefusal) -> list[Call]:
    return [
        *append(refusal.log),
        Call(COUNT_REFUSAL, [refusal.chain_id, refusal.minute, refusal.refusals]),
    ]


def head(
    chain_id: UUID,
    seq: int | None,
    hash_: bytes | None,
    refusal_minute: datetime | None = None,
    refusals: int | None = 0,
) -> ChainHead:
    return ChainHead(chain_id, seq or 0, GENESIS if hash_ is None else bytes(hash_), refusal_minute, refusals or 0)
