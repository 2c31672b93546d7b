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
    "upsert": (
        "INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table}"
        " ON CONFLICT ({key}) DO UPDATE SET {column} = 'changed'"
    ),
    "merge that updates": (
        "MERGE INTO {table} AS t USING orders AS o ON t.order_id = o.id"
        " WHEN MATCHED THEN UPDATE SET {column} = 'changed'"
    ),
    "merge that deletes": ("MERGE INTO {table} AS t USING orders AS o ON t.order_id = o.id WHEN MATCHED THEN DELETE"),
}

Contents = list[tuple[object, ...]]


def contents(superuser: Session) -> Contents:
    """Every row of every immutable table, as text."""
    return [(table, text) for table in IMMUTABLE for (text,) in superuser(f"SELECT t::text FROM {table} t ORDER BY 1")]


def attempt(session: Session, statement: str) -> psycopg2.Error | None:
    """Run a statement and commit whatever comes of it: what slips through is there for everybody to see."""
    connection = session.cursor.connection
    try:
        session(statement)
    except psycopg2.Error as error:
        connection.rollback()
        return error
    connection.commit()
    return None


@pytest.fixture
def superuser(session: Begin) -> Session:
    begun = session("superuser")
    begun.cursor.connection.autocommit = True
    return begun


@pytest.fixture(scope="module")
def before(schema: Database) -> Contents:
    """What the module's database holds before anybody tries anything."""
    connection = schema.connect("superuser")
    held = contents(Session(connection.cursor()))
    connection.close()
    assert len(held) == 6
    return held


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", IMMUTABLE)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused_for_every_role(
    session: Begin, superuser: Session, before: Contents, role: str, table: str, change: str
) -> None:
    statement = CHANGES[change].format(table=table, column=COLUMN[table], key=KEY[table])
    error = attempt(session(role, trader_id=ANN), statement)
    assert contents(superuser) == before
    if role in LOGINS:
        assert isinstance(error, InsufficientPrivilege)
    elif role == OWNER and change.startswith("merge"):
        assert isinstance(error, RestrictViolation | InsufficientPrivilege)
    else:
        assert isinstance(error, RestrictViolation)
        assert "append-only" in str(error)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", IMMUTABLE)
def test_copying_onto_the_rows_changes_none(
    session: Begin, superuser: Session, before: Contents, role: str, table: str
) -> None:
    saved = StringIO()
    superuser.cursor.copy_expert(f"COPY {table} TO STDOUT", saved)
    saved.seek(0)
    begun = session(role, trader_id=ANN)
    # Row security and COPY FROM exclude each other; a superuser, whom it does not bind, can add rows and no more.
    expected = psycopg2.errors.UniqueViolation if role == "superuser" else psycopg2.errors.FeatureNotSupported
    with begun.refused(expected, InsufficientPrivilege):
        begun.cursor.copy_expert(f"COPY {table} FROM STDIN", saved)
    begun.cursor.connection.commit()
    assert contents(superuser) == before


@pytest.mark.parametrize("table", IMMUTABLE)
def test_replication_mode_does_not_switch_the_guard_off(
    session: Begin, superuser: Session, before: Contents, table: str
) -> None:
    for change in ("update", "delete", "truncate"):
        statement = CHANGES[change].format(table=table, column=COLUMN[table])
        error = attempt(session("superuser"), f"SET LOCAL session_replication_role = 'replica'; {statement}")
        assert isinstance(error, RestrictViolation)
    assert contents(superuser) == before


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
    connections = {role: own_database.connect(role) for role in ("superuser", "surefill_worker", OWNER)}
    sessions = {role: Session(connection.cursor()) for role, connection in connections.items()}
    before = contents(sessions["superuser"])
    for statement in (
        f"ALTER TABLE {table} DISABLE TRIGGER {table}_immutable",
        f"CREATE POLICY careless ON {table} USING (true)",
        f"GRANT UPDATE, DELETE ON {table} TO surefill_worker",
    ):
        assert attempt(sessions["superuser"], statement) is None
    for role in ("surefill_worker", OWNER):
        for change in ("update", "delete"):
            statement = CHANGES[change].format(table=table, column=COLUMN[table])
            assert attempt(sessions[role], statement) is None  # it met no row, which is no error
        refused = attempt(sessions[role], CHANGES["merge that updates"].format(table=table, column=COLUMN[table]))
        # The owner sees no orders to merge with; the worker does, and is told.
        assert (refused is None) == (role == OWNER)
    assert contents(sessions["superuser"]) == before
    for connection in connections.values():
        connection.close()


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
    session: Begin, superuser: Session, before: Contents, role: str, statement: str
) -> None:
    error = attempt(session(role, trader_id=ANN), statement)
    # The owner sees no orders, so it deletes none and hears no word of it.
    assert error is not None or role == OWNER
    assert contents(superuser) == before


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
        worker.insert("execution_logs", rows.execution_log(ANN, ANNS_ORDER, chain_id=ANN, chain_seq=place + 100))
    numbered = worker(
        "SELECT position, recorded_xid = pg_current_xact_id() FROM execution_logs WHERE chain_id = %s"
        " ORDER BY chain_seq",
        ANN,
    )
    (first, own), (second, own_too) = numbered
    assert second > first
    assert own
    assert own_too


@pytest.mark.parametrize("table", ["execution_logs", "fills"])
def test_a_place_is_given_and_not_chosen(session: Begin, table: str) -> None:
    worker = session("surefill_worker")
    with worker.refused(psycopg2.errors.GeneratedAlways):
        worker.insert(table, {**rows.another(table, ANN, ANNS_ORDER), "position": 1})


GIVES_ITS_OWN = {
    "position": "INSERT INTO execution_logs ({names}, position) OVERRIDING SYSTEM VALUE VALUES ({marks}, 1)",
    "recorded_xid": "INSERT INTO execution_logs ({names}, recorded_xid) VALUES ({marks}, '3')",
}


@pytest.mark.parametrize("column", GIVES_ITS_OWN)
@pytest.mark.parametrize("role", [*LOGINS, OWNER])
def test_no_role_numbers_its_rows_itself(session: Begin, role: str, column: str) -> None:
    """The order of the log's tree rests on these two: a row may not slip in where the tree has been already."""
    begun = session(role, trader_id=ANN)
    row = rows.execution_log(ANN, None)
    statement = GIVES_ITS_OWN[column].format(names=", ".join(row), marks=", ".join(["%s"] * len(row)))
    if (role, column) == (OWNER, "position"):
        begun(statement, *row.values())  # it may, and gains nothing: the transaction comes first in the tree's order
        return
    with begun.refused(InsufficientPrivilege):
        begun(statement, *row.values())


def test_the_owner_cannot_write_a_row_as_an_earlier_transaction_though_it_has_every_right(session: Begin) -> None:
    owner = session(OWNER)
    owner.insert("execution_logs", rows.execution_log(ANN, None))
    with owner.refused(InsufficientPrivilege) as refusal:
        owner.insert("execution_logs", {**rows.execution_log(ANN, None), "recorded_xid": "3"})
    assert "row-level security" in str(refusal.value)
