"""Traders whose every trace can be recognised, wherever it may turn up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.api.house import Client, House

SHORTEST = 6
"""A text that is shorter may turn up by chance."""


@dataclass(frozen=True)
class Marked:
    """A trader with orders in several states, fills, events, audit rows and refusals."""

    client: Client
    order_ids: tuple[str, ...]
    """Of one that is part filled, one that needs attention and one that is queued."""
    texts: frozenset[str]
    """Every text and id in any of its rows, its key, and what only its figures are made of."""

    def traces_beside(self, other: Marked) -> list[bytes]:
        """What is this trader's and not the other's: words that the system itself uses are in both."""
        return [text.encode() for text in sorted(self.texts - other.texts) if len(text) >= SHORTEST]


def marked_trader(house: House, name: str, cash: str) -> Marked:
    """`name` is in every text that a trader, its venue or somebody for it may choose; `cash` is nobody else's."""
    word = f"canary-{name.lower()}"
    client = house.trader(f"Canary-{name}", cash)
    filled = client.order(key=f"{word}-idempotency", quantity="7")
    with house.working() as worker:
        worker.send(filled)
        worker.fill(filled, "3", "150.07")
        failed = client.order(key=f"{word}-second", quantity="9")
        worker.fail(failed)
    queued = client.order(key=f"{word}-third", quantity="11")
    assert client.submit(symbol="AAPL", quantity="99999999").status_code == 422
    assert client.submit(symbol=f"{word}-symbol").status_code == 422
    order_ids = tuple(each["id"] for each in (filled, failed, queued))
    own = {
        client.key,
        client.key[:11],
        str(client.trader_id),
        cash.split(".", maxsplit=1)[0],
        cash,
        f"Canary-{name}",
        word,
    }
    return Marked(client, order_ids, frozenset(_texts_of(house, client.trader_id) | own))


def rows_of(house: House, trader_id: UUID) -> list[Any]:
    """Everything that is this trader's."""
    return [
        house.rows(f"SELECT t::text FROM {table} t WHERE {key} = %s ORDER BY 1", trader_id)
        for table, key in (
            ("traders", "id"), ("accounts", "trader_id"), ("orders", "trader_id"), ("fills", "trader_id"),
            ("positions", "trader_id"), ("order_events", "trader_id"), ("execution_logs", "trader_id"),
            ("order_attempts", "trader_id"), ("event_counters", "trader_id"),
        )
    ]  # fmt: skip


def _texts_of(house: House, trader_id: UUID) -> set[str]:
    """The values of every column of texts or ids in the rows that are this trader's, of whatever table."""
    columns = house.rows(
        """SELECT c.table_name, c.column_name FROM information_schema.columns c
        JOIN information_schema.columns t ON t.table_name = c.table_name AND t.column_name = 'trader_id'
        JOIN information_schema.tables b ON b.table_name = c.table_name AND b.table_type = 'BASE TABLE'
        WHERE c.table_schema = 'public' AND c.data_type IN ('text', 'uuid')"""
    )
    assert len(columns) > 30
    texts: set[str] = set()
    for table, column in columns:
        found = house.rows(f"SELECT DISTINCT {column}::text FROM {table} WHERE trader_id = %s", trader_id)
        texts |= {text for (text,) in found if text is not None}
    return texts
