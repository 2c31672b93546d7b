"""The audit log, the fills and the events only grow: every way to change or delete a row, as every role there is."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from uuid import uuid4

import psycopg2.errors
import pytest
from psycopg2.errors import InsufficientPrivilege, RestrictViolation

from tests.storage import rows
from tests.storage.clusters import LOGINS, OWNER, Database
from tests.storage.sessions import ANN, ANNS_ORDER, BEN, BENS_ORDER, Session

Begin = Callable[..., Session]

IMMUTABLE = ["execution_logs", "fills", "order_events"]
# A superuser is bound by neither rights nor policies: only the triggers stop it, so it shows that they do.
ROLES = [*LOGINS, OWNER, "superuser"]

# A column that may be set, the primary key, and a join of the table with itself on that key.
COLUMN = {"execution_logs": "reason", "fills": "execution_id", "order_events": "event"}
KEY = {"execution_logs": "id", "fills": "id", "order_events": "trader_id, seq"}

CHANGES = {
    "update": "UPDATE {table} SET {column} = 'changed'",
    "update of no row": "UPDATE {table} SET {column} = 'changed' WHERE false",
    "update of one row by its order": f"UPDATE {{table}} SET {{column}} = 'changed' WHERE order_id = '{ANNS_ORDER}'",
    "update in a CTE": "WITH changed AS (UPDATE {table} SET {column} = 'changed' RETURNING 1) SELECT * FROM changed",
    "delete": "DELETE FROM {table}",
    "delete of no row": "DELETE FROM {table} WHERE false",
    "delete by a join": "DELETE FROM {table} USING orders WHERE order_id = orders.id",
    "delete in a CTE": "WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT * FROM gone",
    "truncate": "TRUNCATE {table}",
    "truncate and restart": "TRUNCATE {table} RESTART IDENTITY CASCADE",
    "truncate of orders": "TRUNCATE orders CASCADE",
    "truncate of traders": "TRUNCATE traders CASCADE",
    "upsert": "INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ({key}) DO UPDATE SET {column} = 'changed'",
    "merge that updates": (
        "MERGE INTO {table} AS t USING orders AS o ON t.order_id = o.id"
        " WHEN MATCHED THEN UPDATE SET {column} = 'changed'"
    ),
    "merge that deletes": (
        "MERGE INTO {table} AS t USING orders AS o ON t.order_id = o.id WHEN MATCHED THEN DELETE"
    ),
}

Contents = list[tuple[object, ...]]


def contents(database: Database) -> Contents:
    """Every row of every immutable table, as text."""
    return [
        (table, *row)
        for table in IMMUTABLE
        for row in database.cluster.execute(f"SELECT t::text FROM {table} t ORDER BY 1", database.name)
    ]


def try_it(database: Database, role: str, statement: str, *, trader: bool = True) -> psycopg2.Error | None:
    """Run a statement as that role, and commit whatever came of it."""
    connection = database.connect(role)
    try:
        with connection, connection.cursor() as cursor:
            if trader:
                cursor.execute("SELECT set_config('app.trader_id', %s, true)", (str(ANN),))
            cursor.execute(statement)
    except psycopg2.Error as error:
        return error
    finally:
        connection.close()
    return None


@pytest.fixture(scope="module")
def before(schema: Database) -> Contents:
    rows_before = contents(schema)
    assert len(rows_before) == 6
    return rows_before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", IMMUTABLE)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused_for_every_role(
    schema: Database, before: Contents, role: str, table: str, change: str
) -> None:
    statement = CHANGES[change].format(table=table, column=COLUMN[table], key=KEY[table])
    if change == "upsert":
        # Identity columns and all, so that the rows really are in conflict.
        statement = statement.replace(" SELECT", " OVERRIDING SYSTEM VALUE SELECT") if table != "order_events" else statement
    error = try_it(schema, role, statement)
    assert contents(schema) == before
    if role in LOGINS:
        assert isinstance(error, InsufficientPrivilege)
    elif role == OWNER and change.startswith("merge"):
        assert isinstance(error, RestrictViolation | InsufficientPrivilege)
    else:
        assert isinstance(error, RestrictViolation)
        assert "append-only" in str(error)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", IMMUTABLE)
def test_copying_onto_the_rows_changes_none(schema: Database, before: Contents, role: str, table: str) -> None:
    connection = schema.connect("superuser")
    with connection.cursor() as cursor:
        saved = StringIO()
        cursor.copy_expert(f"COPY {table} TO STDOUT", saved)
    connection.close()

    connection = schema.connect(role)
    with pytest.raises(psycopg2.Error) as refusal, connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.trader_id', %s, true)", (str(ANN),))
        cursor.copy_expert(f"COPY {table} FROM STDIN", StringIO(saved.getvalue()))
    connection.close()
    expected = psycopg2.errors.UniqueViolation if role == "superuser" else psycopg2.errors.lookup("0A000")
    assert isinstance(refusal.value, expected | InsufficientPrivilege)
    assert contents(schema) == before


@pytest.mark.parametrize("table", IMMUTABLE)
def test_replication_mode_does_not_switch_the_guard_off(schema: Database, before: Contents, table: str) -> None:
    for change in ("update", "delete", "truncate"):
        statement = CHANGES[change].format(table=table, column=COLUMN[table])
        error = try_it(schema, "superuser", f"SET LOCAL session_replication_role = 'replica'; {statement}")
        assert isinstance(error, RestrictViolation)
    assert contents(schema) == before


@pytest.mark.parametrize("role", ["surefill_worker", "surefill_compliance", OWNER])
def test_rows_cannot_even_be_locked(session: Begin, role: str) -> None:
    begun = session(role)
    if role == OWNER:
        assert begun("SELECT * FROM execution_logs FOR UPDATE") == []
        return
    with begun.refused(InsufficientPrivilege):
        begun("SELECT * FROM execution_logs FOR UPDATE")


# -- without the triggers, row security still stands ------------------------------------------------------------------


@pytest.mark.parametrize("table", IMMUTABLE)
def test_a_later_policy_that_permits_everything_opens_nothing(own_database: Database, table: str) -> None:
    before = contents(own_database)
    for statement in (
        f"ALTER TABLE {table} DISABLE TRIGGER {table}_immutable",
        f"CREATE POLICY careless ON {table} USING (true)",
        f"GRANT UPDATE, DELETE ON {table} TO surefill_worker",
    ):
        own_database.cluster.execute(statement, own_database.name)
    for role in ("surefill_worker", OWNER):
        for change in ("update", "delete"):
            assert try_it(own_database, role, CHANGES[change].format(table=table, column=COLUMN[table])) is None
        refused = try_it(own_database, role, CHANGES["merge that updates"].format(table=table, column=COLUMN[table]))
        # The owner sees no orders to merge with; the worker does, and is told.
        assert (refused is None) == (role == OWNER)
    assert contents(own_database) == before


# -- an order does not take its log along -----------------------------------------------------------------------------


def _an_order_with_a_log_row_and_nothing_else(superuser: Session) -> str:
    row = rows.order(ANN)
    superuser.insert("orders", row)
    superuser.insert("execution_logs", rows.execution_log(ANN, row["id"]))
    return str(row["id"])


def test_an_order_with_log_rows_cannot_be_deleted(session: Begin) -> None:
    superuser = session("superuser")
    order_id = _an_order_with_a_log_row_and_nothing_else(superuser)
    # Until PostgreSQL 17 RESTRICT reports a foreign key violation, since 18 a restrict violation.
    with superuser.refused(psycopg2.errors.ForeignKeyViolation, RestrictViolation) as refusal:
        superuser("DELETE FROM orders WHERE id = %s", order_id)
    assert refusal.value.diag.constraint_name == "execution_logs_order_id_fkey"  # type: ignore[attr-defined]
    assert superuser("SELECT count(*) FROM execution_logs WHERE order_id = %s", order_id) == [(1,)]


def test_an_order_with_log_rows_cannot_change_its_id_beneath_them(session: Begin) -> None:
    superuser = session("superuser")
    order_id = _an_order_with_a_log_row_and_nothing_else(superuser)
    with superuser.refused(psycopg2.errors.CheckViolation):
        superuser("UPDATE orders SET version = version + 1, id = %s WHERE id = %s", uuid4(), order_id)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "DELETE FROM traders",
        f"DELETE FROM orders WHERE id = '{BENS_ORDER}'",
        f"DELETE FROM traders WHERE id = '{BEN}'",
        "MERGE INTO orders AS o USING traders AS t ON o.trader_id = t.id WHEN MATCHED THEN DELETE",
    ],
)
def test_deleting_orders_and_traders_never_reaches_the_log(
    schema: Database, before: Contents, role: str, statement: str
) -> None:
    error = try_it(schema, role, statement)
    # The owner sees no orders, so it deletes none and hears no word of it.
    assert error is not None or role == OWNER
    assert contents(schema) == before


def test_the_log_outlives_a_trader(session: Begin) -> None:
    superuser = session("superuser")
    gone = uuid4()
    superuser.insert("traders", rows.trader(gone))
    superuser.insert("execution_logs", rows.execution_log(gone, None))
    superuser("DELETE FROM traders WHERE id = %s", gone)
    assert superuser("SELECT count(*) FROM execution_logs WHERE trader_id = %s", gone) == [(1,)]


# -- what is filled in by the database --------------------------------------------------------------------------------


def test_rows_are_numbered_and_know_their_transaction(session: Begin) -> None:
    worker = session("surefill_worker")
    for place in (1, 2):
        worker.insert("execution_logs", rows.execution_log(ANN, ANNS_ORDER, chain_id=ANN, chain_seq=place))
    numbered = worker(
        "SELECT position, recorded_xid = pg_current_xact_id() FROM execution_logs WHERE chain_id = %s ORDER BY chain_seq",
        ANN,
    )
    (first, own), (second, own_too) = numbered
    assert second > first
    assert own and own_too


@pytest.mark.parametrize("table", ["execution_logs", "fills"])
def test_a_place_is_given_and_not_chosen(session: Begin, table: str) -> None:
    worker = session("surefill_worker")
    with worker.refused(psycopg2.errors.GeneratedAlways):
        worker.insert(table, {**rows.another(table, ANN, ANNS_ORDER), "position": 1})
