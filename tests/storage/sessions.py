"""One role's open transaction, and the two traders it meets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from tests.storage import rows
from tests.storage.clusters import Database

ANN = UUID(int=0xA)
BEN = UUID(int=0xB)
ANNS_ORDER = UUID(int=0xA0)
BENS_ORDER = UUID(int=0xB0)


def fill_for_two_traders(database: Database) -> None:
    """One row of Ann's and one of Ben's in every table."""
    with closing(database.connect("superuser")) as connection, connection, connection.cursor() as cursor:
        rows.insert(cursor, "instruments", rows.instrument())
        for trader_id, order_id in ((ANN, ANNS_ORDER), (BEN, BENS_ORDER)):
            for table, row in rows.rows_of(trader_id, order_id).items():
                rows.insert(cursor, table, row)


@dataclass(frozen=True)
class Session:
    """An open transaction of one role."""

    cursor: Any

    def __call__(self, statement: str, *values: object) -> list[Any]:
        self.cursor.execute(statement, values)
        return list(self.cursor.fetchall()) if self.cursor.description else []

    @property
    def rowcount(self) -> int:
        return int(self.cursor.rowcount)

    def insert(self, table: str, row: rows.Row) -> None:
        rows.insert(self.cursor, table, row)

    @contextmanager
    def refused(self, *errors: type[Exception]) -> Iterator[pytest.ExceptionInfo[Exception]]:
        """The block must raise one of `errors`; the transaction goes on as if the block had never been."""
        self.cursor.execute("SAVEPOINT before")
        with pytest.raises(errors) as refusal:
            yield refusal
        self.cursor.execute("ROLLBACK TO SAVEPOINT before")
