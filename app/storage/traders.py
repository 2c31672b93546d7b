"""Traders, their accounts and keys, as the database's owner administers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from app.domain.audit_chain import GENESIS
from app.domain.changes import ChainHead, LogEntry
from app.storage import execution_logs
from app.storage.account_reads import LIMITS
from app.storage.order_store import LOCK_ACCOUNT
from app.storage.transaction import Call, Database, Row, Statement

Limits = Mapping[str, Decimal | int | None]
"""Limits by their names; None is no limit."""


class NoSuchTrader(Exception):
    """There is no trader with that id or name."""


class NoSuchKey(Exception):
    """There is no API key with that id or beginning, or more than one begins like that."""


class NameTaken(Exception):
    """Another trader has that name."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of an API key."""

    id: UUID
    trader_id: UUID
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    signing_key: bytes | None = None
    """The public half of an Ed25519 pair, 32 bytes: requests under the key have to be signed."""
    last_used_at: datetime | None = None
    """To the minute or so; None when it has not been used."""
    key_hash: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class StoredTrader:
    """A trader; `cash` in `currency`."""

    id: UUID
    name: str
    trading_state: str
    limits: Limits
    limits_version: int
    currency: str
    cash: Decimal
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TraderChanges:
    """What one transaction writes about a trader; None leaves a thing as it is."""

    log: Sequence[LogEntry]
    trading_state: str | None = None
    loss_limit_hit_on: date | None = None
    """With `trading_state`: the day whose loss limit is the reason, if one is."""
    limits: Limits | None = None
    new_key: StoredKey | None = None
    revoked_key: UUID | None = None
    ending_key: tuple[UUID, datetime] | None = None
    """A key, and when it ends, if it does not end before."""
    at: datetime


_TRADER = f"""SELECT t.id, t.name, t.trading_state, t.limits_version, t.created_at, a.currency, a.cash,
    {", ".join(f"t.{name}" for name in LIMITS)} FROM traders t JOIN accounts a ON a.trader_id = t.id"""
_KEY = """SELECT k.id, k.trader_id, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.signing_key,
    u.last_used_at FROM api_keys k LEFT JOIN api_key_uses u ON u.key_id = k.id"""

LOCK_TRADER = Statement("lock_trader", f"{_TRADER} WHERE t.id = $1 FOR UPDATE OF t")
FIND_TRADER = Statement("find_trader", f"{_TRADER} WHERE t.id::text = lower($1) OR t.name = $1")
LIST_TRADERS = Statement("list_traders", f"{_TRADER} ORDER BY t.created_at, t.id")
FIND_KEY = Statement("find_key", f"{_KEY} WHERE k.id::text = lower($1) OR k.prefix = $1")
LIST_KEYS = Statement("list_keys", f"{_KEY} WHERE k.trader_id = $1 ORDER BY k.created_at, k.id")
INSERT_TRADER = Statement(
    "insert_trader", "INSERT INTO traders (id, name, trading_state, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)"
)
INSERT_ACCOUNT = Statement(
    "insert_account",
    "INSERT INTO accounts (trader_id, currency, cash, opening_cash, updated_at) VALUES ($1, $2, $3, $3, $4)",
)
INSERT_COUNTER = Statement("insert_event_counter", "INSERT INTO event_counters (trader_id) VALUES ($1)")
INSERT_KEY = Statement(
    "insert_key",
    """INSERT INTO api_keys (id, trader_id, prefix, key_hash, scopes, created_at, expires_at, signing_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
)
REVOKE_KEY = Statement("revoke_key", "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
END_KEY = Statement("end_key", "UPDATE api_keys SET expires_at = least(expires_at, $2) WHERE id = $1")
SET_TRADING_STATE = Statement(
    "set_trading_state", "UPDATE traders SET trading_state = $2, updated_at = $3 WHERE id = $1"
)
SET_LOSS_LIMIT_HIT = Statement(
    "set_loss_limit_hit",
    "UPDATE accounts SET loss_limit_hit_on = $2, loss_limit_hit_version = $3 WHERE trader_id = $1",
)
SET_LIMITS = Statement(
    "set_limits",
    f"""UPDATE traders SET {", ".join(f"{name} = ${place}" for place, name in enumerate(LIMITS, 3))},
    limits_version = limits_version + 1, updated_at = $2 WHERE id = $1""",
)


class PostgresTraders:
    """TraderStore with the owner's login."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, trader: StoredTrader, key: StoredKey, entries: Callable[[ChainHead], Sequence[LogEntry]]) -> None:
        """See TraderStore.create."""
        log = entries(ChainHead(trader.id, 0, GENESIS))
        with self._database.transaction() as transaction:
            if transaction.fetch(Call(FIND_TRADER, [trader.name])):
                raise NameTaken(trader.name)
            transaction.finish(
                Call(INSERT_TRADER, [trader.id, trader.name, trader.trading_state, trader.created_at]),
                Call(INSERT_ACCOUNT, [trader.id, trader.currency, trader.cash, trader.created_at]),
                Call(INSERT_COUNTER, [trader.id]),
                _insert_key(key),
                execution_logs.lock_chain(trader.id, trader.id),
                *execution_logs.append(log),
            )

    def change(self, trader_id: UUID, decide: Callable[[StoredTrader, ChainHead], TraderChanges | None]) -> None:
        """See TraderStore.change."""
        with self._database.transaction() as transaction:
            # the account first, like every order of the trader does: it guards the chain, too
            rows = transaction.fetch(Call(LOCK_ACCOUNT, [trader_id]), Call(LOCK_TRADER, [trader_id]))
            if not rows:
                raise NoSuchTrader(str(trader_id))
            trader = _trader_from(rows[0])
            head = transaction.fetch(execution_logs.lock_chain(trader_id, trader_id))[0]
            changes = decide(trader, execution_logs.head(trader_id, *head))
            if changes is None:
                return
            calls: list[Call] = []
            if changes.trading_state is not None:
                calls.append(Call(SET_TRADING_STATE, [trader_id, changes.trading_state, changes.at]))
                version = None if changes.loss_limit_hit_on is None else trader.limits_version
                calls.append(Call(SET_LOSS_LIMIT_HIT, [trader_id, changes.loss_limit_hit_on, version]))
            if changes.limits is not None:
                limits = {**trader.limits, **changes.limits}
                calls.append(Call(SET_LIMITS, [trader_id, changes.at, *(limits[name] for name in LIMITS)]))
            if changes.new_key is not None:
                calls.append(_insert_key(changes.new_key))
            if changes.revoked_key is not None:
                calls.append(Call(REVOKE_KEY, [changes.revoked_key, changes.at]))
            if changes.ending_key is not None:
                calls.append(Call(END_KEY, changes.ending_key))
            transaction.finish(*calls, *execution_logs.append(changes.log))

    def find(self, id_or_name: str) -> StoredTrader:
        """See TraderStore.find."""
        with self._database.transaction() as transaction:
            rows = transaction.fetch(Call(FIND_TRADER, [id_or_name]))
        if not rows:
            raise NoSuchTrader(id_or_name)
        return _trader_from(rows[0])

    def find_key(self, id_or_prefix: str) -> StoredKey:
        """See TraderStore.find_key."""
        with self._database.transaction() as transaction:
            rows = transaction.fetch(Call(FIND_KEY, [id_or_prefix]))
        if len(rows) != 1:
            raise NoSuchKey(id_or_prefix)
        return _key_from(rows[0])

    def traders(self) -> Sequence[StoredTrader]:
        """See TraderStore.traders."""
        with self._database.transaction() as transaction:
            return [_trader_from(row) for row in transaction.fetch(Call(LIST_TRADERS))]

    def keys(self, trader_id: UUID) -> Sequence[StoredKey]:
        """See TraderStore.keys."""
        with self._database.transaction() as transaction:
            return [_key_from(row) for row in transaction.fetch(Call(LIST_KEYS, [trader_id]))]


def _insert_key(key: StoredKey) -> Call:
    return Call(
        INSERT_KEY,
        [
            key.id,
            key.trader_id,
            key.prefix,
            key.key_hash,
            list(key.scopes),
            key.created_at,
            key.expires_at,
            key.signing_key,
        ],
    )


def _trader_from(row: Row) -> StoredTrader:
    id_, name, trading_state, limits_version, created_at, currency, cash, *limits = row
    return StoredTrader(
        id_, name, trading_state, dict(zip(LIMITS, limits, strict=True)), limits_version, currency, cash, created_at
    )


def _key_from(row: Row) -> StoredKey:
    id_, trader_id, prefix, scopes, created_at, expires_at, revoked_at, signing_key, last_used_at = row
    signing_key = None if signing_key is None else bytes(signing_key)
    return StoredKey(
        id_, trader_id, prefix, tuple(scopes), created_at, expires_at, revoked_at, signing_key, last_used_at
    )
