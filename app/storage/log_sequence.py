"""The audit log in the order in which its rows enter the tree: a total order that late commits do not disturb.

A row's place is (transaction, position). Rows of transactions below the oldest one still running are all there is of
those transactions: they have committed, or they never will. So nothing that is read here gets a row before it later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.domain.audit_chain import canonical
from app.domain.checkpoints import BEFORE_ALL, Place
from app.storage import execution_logs
from app.storage.transaction import Call, Database, Row, Statement

PAGE_ROWS = 5000

_AFTER = "(l.recorded_xid, l.position) > ($1::text::xid8, $2)"
_SETTLED = "l.recorded_xid < pg_snapshot_xmin(pg_current_snapshot())"
_LOGGED = ", ".join("l.details::text" if name == "details" else f"l.{name}" for name in execution_logs.COLUMNS)

HASHES = Statement(
    "log_hashes",
    f"""SELECT l.recorded_xid::text::bigint, l.position, l.hash FROM execution_logs l
    WHERE {_AFTER} AND {_SETTLED} ORDER BY l.recorded_xid, l.position LIMIT $3""",
)
ROWS = Statement(
    "log_rows",
    f"""SELECT l.recorded_xid::text::bigint, l.position, l.previous_hash, l.hash, l.chain_id, l.chain_seq, {_LOGGED}
    FROM execution_logs l WHERE {_AFTER} AND {_SETTLED} ORDER BY l.recorded_xid, l.position LIMIT $3""",
)
ROWS_OF_CHAIN = Statement(
    "log_rows_of_chain",
    f"""SELECT l.recorded_xid::text::bigint, l.position, l.previous_hash, l.hash, l.chain_id, l.chain_seq, {_LOGGED}
    FROM execution_logs l WHERE l.chain_id = $1 ORDER BY l.chain_seq""",
)
# The last row of the tree as it is now, how far the order is settled, and the oldest row that waits for that.
STANDING = Statement(
    "log_standing",
    """SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        (SELECT l.hash FROM execution_logs l WHERE l.recorded_xid = $1::text::xid8 AND l.position = $2),
        (SELECT min(l.timestamp) FROM execution_logs l
            WHERE l.recorded_xid >= pg_snapshot_xmin(pg_current_snapshot()))""",
)

FIRST_AT = Statement("log_first_at", "SELECT min(l.timestamp) FROM execution_logs l")


class SequencedHash(NamedTuple):
    place: Place
    hash: bytes


@dataclass(frozen=True, slots=True)
class SequencedRow:
    """A row with the bytes that its hash covers."""

    place: Place
    previous_hash: bytes
    hash: bytes
    encoding: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """`horizon`: every transaction below it has ended. `waiting_since`: the time of the oldest row not yet below it."""

    horizon: int
    hash_at: bytes | None
    waiting_since: datetime | None


class LogSequence:
    """Reads with the compliance login's rights. Each call is one short transaction. Raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hashes(self, after: Place, limit: int = PAGE_ROWS) -> Sequence[SequencedHash]:
        rows = self._database.read(Call(HASHES, [str(after.transaction), after.position, limit]))
        return [SequencedHash(Place(transaction, position), bytes(hash_)) for transaction, position, hash_ in rows]

    def all_hashes(self) -> Iterator[SequencedHash]:
        after = BEFORE_ALL
        while page := self.hashes(after):
            yield from page
            after = page[-1].place

    def all_rows(self) -> Iterator[SequencedRow]:
        after = BEFORE_ALL
        while page := self._database.read(Call(ROWS, [str(after.transaction), after.position, PAGE_ROWS])):
            yield from map(_row, page)
            after = Place(page[-1][0], page[-1][1])

    def of_chain(self, chain_id: object) -> Sequence[SequencedRow]:
        """All rows of an order, or of a trader, that are committed."""
        return [_row(row) for row in self._database.read(Call(ROWS_OF_CHAIN, [chain_id]))]

    def begun_at(self) -> datetime | None:
        """When the oldest row was recorded; None in an empty log."""
        ((first_at,),) = self._database.read(Call(FIRST_AT, []))
        return first_at if isinstance(first_at, datetime) else None

    def standing(self, last: Place) -> Standing:
        ((horizon, hash_, waiting_since),) = self._database.read(Call(STANDING, [str(last.transaction), last.position]))
        return Standing(horizon, None if hash_ is None else bytes(hash_), waiting_since)


def _row(row: Row) -> SequencedRow:
    transaction, position, previous_hash, hash_, chain_id, chain_seq = row[:6]
    covered = dict(zip(execution_logs.COLUMNS, row[6:], strict=True))
    covered.update(chain_id=chain_id, chain_seq=chain_seq)
    return SequencedRow(Place(transaction, position), bytes(previous_hash), bytes(hash_), canonical(covered))
