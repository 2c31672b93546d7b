"""Traders whose events a test commits: through the storage's own statement, with the worker's login."""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import redis

from app.settings import Settings
from app.storage.order_events import APPEND, LAST_SEQ
from app.storage.transaction import Call, Database
from app.wakeups import channel
from tests.storage import rows


@dataclass(frozen=True)
class Listened:
    """A trader, an order of its, and a key to listen with."""

    trader_id: UUID
    order_id: UUID
    key: str


class Desk:
    """Writes what traders' clients are to be told."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._owner = psycopg2.connect(settings.database_url)
        self._owner.autocommit = True
        self._worker = Database(settings.sqlalchemy_url("worker"), pool_size=8, application_name="tests")
        self._redis = redis.Redis.from_url(settings.redis_url)
        self._numbers = threading.Lock()

    def close(self) -> None:
        self._redis.close()
        self._worker.close()
        self._owner.close()

    def trader(self, **key: Any) -> Listened:
        """A trader without events, with one key."""
        trader_id, order_id = uuid4(), uuid4()
        with self._owner.cursor() as cursor:
            rows.insert(cursor, "traders", rows.trader(trader_id))
            rows.insert(cursor, "accounts", rows.account(trader_id))
            rows.insert(cursor, "event_counters", rows.event_counter(trader_id))
        listened = Listened(trader_id, order_id, self.another_key(trader_id, **key))
        with psycopg2.connect(self.settings.database_url_worker) as connection, connection.cursor() as cursor:
            rows.insert(cursor, "orders", rows.order(trader_id, id=order_id))
        connection.close()
        return listened

    def another_key(self, trader_id: UUID, **changes: Any) -> str:
        """One more key of that trader."""
        key = f"sk_{secrets.token_urlsafe(32)}"
        with self._owner.cursor() as cursor:
            rows.insert(
                cursor,
                "api_keys",
                rows.api_key(trader_id, id=uuid4(), key_hash=sha256(key.encode()).digest(), **changes),
            )
        return key

    def revoke(self, key: str) -> None:
        with self._owner.cursor() as cursor:
            cursor.execute(
                "UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", [sha256(key.encode()).digest()]
            )

    def commit(self, of: Listened, count: int = 1, *, wakes: bool = True, **fields: object) -> int:
        """Commit events in one transaction; publish them as the system does. Returns the last one's seq."""
        at = datetime.now(UTC)
        event = {"event": "order.partial", "order_id": str(of.order_id), "timestamp": at.isoformat(), **fields}
        payload = json.dumps(event, ensure_ascii=False)
        with self._worker.transaction() as transaction:
            last = transaction.finish(
                Call(APPEND, [of.trader_id, of.order_id, ["order.partial"] * count, [payload] * count, at, []]),
                returning=LAST_SEQ,
            )
        assert last is not None
        if wakes:
            for seq in range(int(last) - count + 1, int(last) + 1):
                self._redis.publish(channel(of.trader_id), f'{{"seq":{seq},{payload[1:]}')
        return int(last)

    def publish(self, name: str, text: str) -> None:
        """Say anything on any channel."""
        self._redis.publish(name, text)
