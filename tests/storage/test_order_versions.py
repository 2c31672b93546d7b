"""An order's row changes one version at a time, and what it was accepted as never changes."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg2.errors
import pytest

from tests.storage.clusters import OWNER, Database
from tests.storage.rows import NOON
from tests.storage.sessions import ANN, ANNS_ORDER, BEN, Session

Begin = Callable[..., Session]
ROLES = ["surefill_api", "surefill_worker", "superuser"]


def _session(session: Begin, role: str) -> Session:
    return session(role, trader_id=ANN)


@pytest.mark.parametrize("role", ROLES)
def test_the_next_version_is_written(session: Begin, role: str) -> None:
    begun = _session(session, role)
    begun(
        "UPDATE orders SET version = version + 1, attempts = 1, execution_state = 'SENDING' WHERE id = %s", ANNS_ORDER
    )
    assert begun.rowcount == 1
    assert begun("SELECT version, attempts FROM orders WHERE id = %s", ANNS_ORDER) == [(2, 1)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "change", ["fence = 7", "version = 1", "version = 3", "version = 0", "due_at = now(), version = 1"]
)
def test_a_write_that_does_not_follow_the_stored_version_is_a_lost_race(session: Begin, role: str, change: str) -> None:
    begun = _session(session, role)
    with begun.refused(psycopg2.errors.SerializationFailure) as refusal:
        begun(f"UPDATE orders SET {change} WHERE id = %s", ANNS_ORDER)
    assert refusal.value.diag.constraint_name == "orders_version_rises"  # type: ignore[attr-defined]


def test_a_null_version_does_not_follow_either(session: Begin) -> None:
    begun = session("superuser")
    with begun.refused(psycopg2.errors.SerializationFailure):
        begun("UPDATE orders SET version = NULL WHERE id = %s", ANNS_ORDER)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", uuid4()),
        ("trader_id", BEN),
        ("idempotency_key", "another"),
        ("symbol", "MSFT"),
        ("side", "SELL"),
        ("created_at", NOON.replace(hour=13)),
    ],
)
def test_what_the_order_was_accepted_as_never_changes(session: Begin, column: str, value: object) -> None:
    begun = session("surefill_worker")
    with begun.refused(psycopg2.errors.CheckViolation) as refusal:
        begun(f"UPDATE orders SET version = version + 1, {column} = %s WHERE id = %s", value, ANNS_ORDER)
    assert refusal.value.diag.constraint_name == "orders_version_rises"  # type: ignore[attr-defined]


def test_of_two_writers_that_read_the_same_version_the_second_loses(own_database: Database) -> None:
    first, second = (own_database.connect("surefill_worker") for _ in range(2))
    for connection in (first, second):
        cursor = connection.cursor()
        cursor.execute("SELECT version FROM orders WHERE id = %s", (ANNS_ORDER,))
        assert cursor.fetchall() == [(1,)]
    write = "UPDATE orders SET version = 2, fence = %s WHERE id = %s"
    first.cursor().execute(write, (1, ANNS_ORDER))
    first.commit()
    with pytest.raises(psycopg2.errors.SerializationFailure):
        second.cursor().execute(write, (2, ANNS_ORDER))
    first.close()
    second.close()


def test_the_owner_sees_no_order_to_change(session: Begin) -> None:
    begun = session(OWNER)
    begun("UPDATE orders SET version = version + 1")
    assert begun.rowcount == 0
