"""The whole audit log, read and recomputed row by row."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from app.domain.audit_chain import GENESIS, canonical, link
from app.domain.documents import Json
from app.storage import execution_logs
from app.storage.order_reads import plain_value
from app.storage.transaction import Call, Database, Row, Statement, Transaction

PAGE_ROWS = 5000
PAGE_ORDERS = 1000
FIRST = UUID(int=0)

_LOGGED = ", ".join("l.details::text" if name == "details" else f"l.{name}" for name in execution_logs.COLUMNS)

# The head of each chain, an order's on the order, shows when the last rows of a chain are gone.
PAGE = Statement(
    "audit_page",
    f"""SELECT l.chain_id, l.chain_seq, l.previous_hash, l.hash,
        coalesce(o.log_seq, c.seq), coalesce(o.log_hash, c.hash), {_LOGGED}
    FROM execution_logs l LEFT JOIN orders o ON o.id = l.chain_id LEFT JOIN audit_chains c ON c.chain_id = l.chain_id
    WHERE (l.chain_id, l.chain_seq) > ($1, $2) ORDER BY l.chain_id, l.chain_seq LIMIT $3""",
)
# Orders a page at a time: over all of them, a statement would end at the session's time limit once there are millions.
ORDERS = Statement("audited_orders", "SELECT o.id FROM orders o WHERE o.id > $1 ORDER BY o.id LIMIT $2")
WITHOUT_LOG = Statement(
    "orders_without_log",
    """SELECT asked.id FROM unnest($1::uuid[]) AS asked (id)
    WHERE NOT EXISTS (SELECT 1 FROM execution_logs l WHERE l.chain_id = asked.id)""",
)
# Heads that speak of rows where there are none: a whole chain is gone.
HEADS_WITHOUT_LOG = Statement(
    "heads_without_log",
    """SELECT c.chain_id, c.seq FROM audit_chains c
    WHERE c.seq > 0 AND NOT EXISTS (SELECT 1 FROM execution_logs l WHERE l.chain_id = c.chain_id) LIMIT 100""",
)
# Reports are made of fills, so a fill that the log does not tell (or tells otherwise) is as bad as a changed row.
FILLS_UNLIKE_LOG = Statement(
    "fills_unlike_log",
    """WITH kept AS (SELECT order_id, trader_id, symbol, side, timestamp, quantity_filled, price_at_fill, commission
        FROM fills WHERE order_id = ANY ($1::uuid[])),
      told AS (SELECT order_id, trader_id, symbol, side, venue_at, fill_quantity, fill_price, commission
        FROM execution_logs WHERE order_id = ANY ($1::uuid[]) AND fill_quantity IS NOT NULL)
    SELECT DISTINCT order_id, in_fills FROM (
      (SELECT *, true AS in_fills FROM (SELECT * FROM kept EXCEPT ALL SELECT * FROM told) only_kept)
      UNION ALL (SELECT *, false FROM (SELECT * FROM told EXCEPT ALL SELECT * FROM kept) only_told)
    ) one_sided""",
)
# What an order is now is what its last row says that it became.
ORDERS_UNLIKE_LOG = Statement(
    "orders_unlike_log",
    """SELECT o.id FROM orders o JOIN execution_logs l ON l.chain_id = o.id AND l.chain_seq = o.log_seq
    WHERE o.id = ANY ($1::uuid[]) AND (o.trader_id, o.symbol, o.side, o.status, o.filled_quantity)
      IS DISTINCT FROM (l.trader_id, l.symbol, l.side, l.status, coalesce(l.filled_quantity, 0))""",
)

# Such a row would never enter the tree, nor an export: no transaction of that number has begun.
OF_THE_FUTURE = Statement(
    "log_rows_of_the_future",
    """SELECT l.chain_id, l.chain_seq FROM execution_logs l
    WHERE l.recorded_xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT 100""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows of the log; None is all. `since` is included, `until` is not."""

    since: datetime | None = None
    until: datetime | None = None
    trader_id: UUID | None = None
    order_id: UUID | None = None


_CONDITIONS = {
    "since": "l.timestamp >= {}",
    "until": "l.timestamp < {}",
    "trader_id": "l.trader_id = {}",
    "order_id": "l.order_id = {}",
}
_ENTRY = tuple(name for name in execution_logs.COLUMNS if name != "details")


def log_page(wanted: Wanted, after: tuple[datetime, int] | None, limit: int) -> Call:
    """Rows by the time they were recorded, oldest first."""
    given = {name: value for name in _CONDITIONS if (value := getattr(wanted, name)) is not None}
    values: list[object] = [*given.values(), *(after or ()), limit]
    return Call(_log_page(tuple(given), after is not None), values)


@cache
def _log_page(given: tuple[str, ...], continued: bool) -> Statement:
    conditions = [_CONDITIONS[name].format(f"${place}") for place, name in enumerate(given, start=1)]
    used = len(given)
    if continued:
        # the time by itself, too: the index of one trader's rows knows no position
        conditions.append(f"l.timestamp >= ${used + 1} AND (l.timestamp, l.position) > (${used + 1}, ${used + 2})")
        used += 2
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return Statement(
        "_".join(["log_page", *given, *(["continued"] if continued else [])]),
        f"""SELECT l.timestamp, l.position, l.chain_id, l.chain_seq, l.previous_hash, l.hash, l.details::text,
            {", ".join(f"l.{name}" for name in _ENTRY)}
        FROM execution_logs l {where} ORDER BY l.timestamp, l.position LIMIT ${used + 1}""",
    )


def place_of(row: Row) -> tuple[datetime, int]:
    return row[0], row[1]


def logged_entry(row: Row) -> Json:
    """The document of a row of a page; `details` is JSON already."""
    _, _, chain_id, seq, previous_hash, hash_, details, *values = row
    return {
        "seq": seq,
        "chain_id": str(chain_id),
        **{name: plain_value(value) for name, value in zip(_ENTRY, values, strict=True)},
        "details": None if details is None else json.loads(details),
        "previous_hash": bytes(previous_hash).hex(),
        "hash": bytes(hash_).hex(),
    }


@dataclass(slots=True)
class Verification:
    """What a walk through the log found."""

    rows: int = 0
    chains: int = 0
    breaks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Chain:
    """The chain that is being walked."""

    id: UUID
    seq: int = 0
    hash: bytes = GENESIS
    head: tuple[int, bytes] | None = None


def verify(database: Database) -> Verification:
    """Walk all chains in bounded memory. Raises DatabaseUnavailable."""
    found = Verification()
    chain: _Chain | None = None
    after: tuple[UUID, int] = (FIRST, 0)
    with database.transaction() as transaction:
        while True:
            rows = transaction.fetch(Call(PAGE, [*after, PAGE_ROWS]))
            for row in rows:
                if chain is None or chain.id != row[0]:
                    _end(chain, found)
                    chain = _Chain(row[0])
                    found.chains += 1
                _check(chain, row, found)
            if len(rows) < PAGE_ROWS:
                break
            after = (rows[-1][0], rows[-1][1])
        _end(chain, found)
        _compare_orders(transaction, found)
        for chain_id, seq in transaction.fetch(Call(HEADS_WITHOUT_LOG)):
            found.breaks.append(f"chain {chain_id}: it has no row in the log, its head says {seq}")
        for chain_id, seq in transaction.fetch(Call(OF_THE_FUTURE)):
            found.breaks.append(f"chain {chain_id}, row {seq}: it claims a transaction that has not begun")
    return found


def _compare_orders(transaction: Transaction, found: Verification) -> None:
    """Orders and their fills are what the log says of them."""
    last = FIRST
    while ids := [order_id for (order_id,) in transaction.fetch(Call(ORDERS, [last, PAGE_ORDERS]))]:
        for (order_id,) in transaction.fetch(Call(WITHOUT_LOG, [ids])):
            found.breaks.append(f"order {order_id}: it has no row in the log")
        for order_id, in_fills in transaction.fetch(Call(FILLS_UNLIKE_LOG, [ids])):
            which = "a fill that the log does not tell" if in_fills else "a fill in the log that is not among the fills"
            found.breaks.append(f"order {order_id}: it has {which}")
        for (order_id,) in transaction.fetch(Call(ORDERS_UNLIKE_LOG, [ids])):
            found.breaks.append(f"order {order_id}: it is not what its last row in the log says")
        last = ids[-1]


def _check(chain: _Chain, row: Row, found: Verification) -> None:
    chain_id, seq, previous, hash_, head_seq, head_hash = row[:6]
    found.rows += 1
    where = f"chain {chain_id}, row {seq}"
    if seq != chain.seq + 1:
        found.breaks.append(f"{where}: row {chain.seq + 1} is missing before it")
    elif bytes(previous) != chain.hash:
        found.breaks.append(f"{where}: it does not follow the row before it")
    covered = dict(zip(execution_logs.COLUMNS, row[6:], strict=True))
    covered.update(chain_id=chain_id, chain_seq=seq)
    if link(bytes(previous), canonical(covered)) != bytes(hash_):
        found.breaks.append(f"{where}: its content is not what its hash says")
    chain.seq, chain.hash = seq, bytes(hash_)
    chain.head = None if head_seq is None else (head_seq, bytes(head_hash))


def _end(chain: _Chain | None, found: Verification) -> None:
    if chain is None:
        return
    if chain.head is None:
        found.breaks.append(f"chain {chain.id}: it belongs to no order, trader or other head")
    elif chain.head != (chain.seq, chain.hash):
        found.breaks.append(f"chain {chain.id}: its last row is {chain.seq}, its head says {chain.head[0]}")
