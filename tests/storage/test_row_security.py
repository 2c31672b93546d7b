"""Who may do what on whose rows: every table, every command, every login, and the owner."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg2.errors
import pytest
from psycopg2.errors import InsufficientPrivilege

from app.storage.tables import execution_logs
from tests.storage import rows
from tests.storage.clusters import LOGINS, OWNER, Database
from tests.storage.sessions import ANN, ANNS_ORDER, BEN, BENS_ORDER, Session

Begin = Callable[..., Session]
HOUR = timedelta(hours=1)

TABLES = list(rows.rows_of(ANN, ANNS_ORDER))
ORDERS = {ANN: ANNS_ORDER, BEN: BENS_ORDER}

# S, I, U, D: SELECT, INSERT, UPDATE, DELETE. What a login lacks here it has no right to at all.
API = {
    "traders": "S",
    "api_keys": "S",
    "api_key_uses": "SIU",
    "request_nonces": "SID",
    "accounts": "SIU",
    "event_counters": "SU",
    "positions": "SIU",
    "orders": "SIU",
    "order_attempts": "S",
    "fills": "S",
    "order_events": "SI",
    "execution_logs": "SI",
    "audit_chains": "SIU",
}
WORKER = {
    "traders": "S",
    "accounts": "SIU",
    "event_counters": "SIU",
    "positions": "SIU",
    "orders": "SIU",
    "order_attempts": "SIU",
    "fills": "SI",
    "order_events": "SI",
    "execution_logs": "SI",
    "audit_chains": "SIU",
}
COMPLIANCE = dict.fromkeys(
    ("execution_logs", "orders", "fills", "order_attempts", "order_events", "traders", "audit_chains"), "S"
)
RIGHTS = {"surefill_api": API, "surefill_worker": WORKER, "surefill_compliance": COMPLIANCE}
# No trader owns these; halts have row security of their own kind, see test_halt_security.py.
UNOWNED = {
    "surefill_api": {
        "halts": "SI",
        "instruments": "S",
        "market_hours": "S",
        "quote_requests": "SIU",
        "alembic_version": "S",
    },
    "surefill_worker": {
        "halts": "SI",
        "instruments": "SIU",
        "market_hours": "SIU",
        "quote_requests": "SIU",
        "venue_comparisons": "SI",
        "alembic_version": "S",
        "venue_credentials": "S",
        "operation_totals": "SIU",
        "operation_mark": "SU",
    },
    "surefill_compliance": {
        "halts": "S",
        "venue_comparisons": "S",
        "alembic_version": "S",
        "operation_totals": "S",
        "operation_mark": "S",
    },
}
# What the owner's policies let it do; as the owner it has every right.
OWNERS = {
    **dict.fromkeys(("traders", "api_keys", "api_key_uses", "accounts", "event_counters", "audit_chains"), "SIUD"),
    "execution_logs": "SI",
}

# An UPDATE that changes nothing, and is the next version where versions rise.
TOUCH = {
    "traders": "trading_state = trading_state",
    "api_keys": "prefix = prefix",
    "api_key_uses": "last_used_at = last_used_at",
    "request_nonces": "expires_at = expires_at",
    "accounts": "cash = cash",
    "event_counters": "head_seq = head_seq",
    "positions": "quantity = quantity",
    "orders": "version = version + 1",
    "order_attempts": "evidence = evidence",
    "fills": "symbol = symbol",
    "order_events": "event = event",
    "execution_logs": "actor = actor",
    "audit_chains": "seq = seq",
}

# An UPDATE that reads no column: only then is the policy on UPDATE alone, without the one on SELECT beside it.
BLIND = {
    "api_key_uses": "last_used_at = now()",
    "accounts": "cash = 7",
    "event_counters": "head_seq = 7",
    "positions": "quantity = 7",
    "orders": "version = 2",
    "audit_chains": "seq = 7",
}


# There can be only one for each trader, or its key.
ONE_EACH = ("accounts", "event_counters", "audit_chains", "api_key_uses")
# Read and written for the traders that are named, not for the one whose request it is.
NAMED = ("api_keys", "event_counters", "api_key_uses")


def _key(table: str) -> str:
    return "id" if table == "traders" else "trader_id"


def _seen(session: Session, table: str) -> set[UUID]:
    return {trader_id for (trader_id,) in session(f"SELECT {_key(table)} FROM {table}")}


def _as(session: Begin, trader_id: UUID) -> Session:
    """The API on behalf of one trader."""
    return session("surefill_api", trader_id=trader_id, key_owners=f"{{{trader_id}}}")


def _new_row(session: Session, table: str, trader_id: UUID) -> rows.Row:
    """A row of that trader's which only row security or a missing right can refuse: not a key that is there."""
    if table == "traders":
        return rows.trader(uuid4())
    return rows.another(table, trader_id, ORDERS[trader_id])


def _of(rights: dict[str, str], command: str) -> list[str]:
    return [table for table in TABLES if command in rights.get(table, "")]


def _lacking(rights: dict[str, str], command: str) -> list[str]:
    return [table for table in TABLES if command not in rights.get(table, "")]


# -- what the catalogue says ----------------------------------------------------------------------------------------


def test_every_table_with_a_trader_has_row_security_that_binds_its_owner_too(schema: Database) -> None:
    secured = schema.cluster.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND relrowsecurity AND relforcerowsecurity",
        schema.name,
    )
    assert {name for (name,) in secured} == {*TABLES, "halts"}
    everything = schema.cluster.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", schema.name)
    unowned = {table for rights in UNOWNED.values() for table in rights}
    assert {name for (name,) in everything} - set(TABLES) == unowned


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_has_the_rights_written_here_and_no_others(schema: Database, login: str) -> None:
    words = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}
    expected = {
        (table, words[letter])
        for table, letters in (RIGHTS[login] | UNOWNED[login]).items()
        for letter in letters
        if (table, letter) != ("execution_logs", "I")  # column by column
    }
    granted = schema.cluster.execute(
        "SELECT table_name, privilege_type FROM information_schema.table_privileges"
        f" WHERE grantee IN ('{login}', 'PUBLIC') AND table_schema = 'public'",
        schema.name,
    )
    views = schema.cluster.execute("SELECT viewname FROM pg_views WHERE schemaname = 'public'", schema.name)
    assert set(granted) == expected | {(name, "SELECT") for (name,) in views}
    columns = schema.cluster.execute(
        "SELECT relname, attname, privilege_type FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid,"
        f" aclexplode(attacl) WHERE grantee = '{login}'::regrole",
        schema.name,
    )
    halts = {("traders", "trading_state", "UPDATE"), ("traders", "updated_at", "UPDATE")}
    # A row's number and transaction are the database's to give.
    logged = {
        ("execution_logs", column.name, "INSERT")
        for column in execution_logs.c
        if column.name not in ("position", "recorded_xid")
    }
    expected_columns = {
        "surefill_api": logged | {("halts", name, "UPDATE") for name in ("lifted_at", "lifted_by", "lift_reason")},
        "surefill_worker": logged | halts,
        "surefill_compliance": set(),
    }
    assert set(columns) == expected_columns[login]
    functions = schema.cluster.execute(
        f"SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        f" AND has_function_privilege('{login}', oid, 'EXECUTE')",
        schema.name,
    )
    # it tells the best price that rests in a symbol, and nothing about whose it is
    assert functions == ([("resting_against",)] if login == "surefill_api" else [])


def test_the_names_that_others_rely_on_are_there(schema: Database) -> None:
    policies = schema.cluster.execute("SELECT polname, polpermissive FROM pg_policy", schema.name)
    assert {
        ("orders_trader_isolation", True),
        ("fills_trader_isolation", True),
        ("execution_logs_trader_isolation", True),
        ("execution_logs_immutable", False),
        ("execution_logs_immutable_delete", False),
    } <= set(policies)
    indexes = schema.cluster.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'", schema.name)
    assert {
        "idx_orders_trader_created",
        "idx_orders_status",
        "idx_orders_trader_status",
        "idx_fills_order",
        "idx_fills_timestamp",
        "idx_execution_logs_trader_timestamp",
        "idx_execution_logs_order",
        "idx_execution_logs_action",
    } <= {name for (name,) in indexes}


# -- the API, as one trader -----------------------------------------------------------------------------------------

SHOWN_TO_ITS_TRADER = [table for table in _of(API, "S") if table not in NAMED]


@pytest.mark.parametrize("table", SHOWN_TO_ITS_TRADER)
@pytest.mark.parametrize(("me", "other"), [(ANN, BEN), (BEN, ANN)], ids=["ann", "ben"])
def test_a_trader_sees_their_own_rows_only(session: Begin, table: str, me: UUID, other: UUID) -> None:
    api = _as(session, me)
    assert _seen(api, table) == {me}
    assert api(f"SELECT 1 FROM {table} WHERE {_key(table)} = %s", other) == []


@pytest.mark.parametrize("table", _of(API, "I"))
def test_a_trader_writes_rows_of_their_own_and_of_nobody_else(session: Begin, table: str) -> None:
    api = _as(session, ANN)
    with api.refused(InsufficientPrivilege) as refusal:
        api.insert(table, _new_row(api, table, BEN))
    assert "row-level security" in str(refusal.value)
    if table in ONE_EACH:  # Ann has hers, so a second one gets as far as the key
        with api.refused(psycopg2.errors.UniqueViolation):
            api.insert(table, _new_row(api, table, ANN))
    else:
        api.insert(table, _new_row(api, table, ANN))


@pytest.mark.parametrize("table", _of(API, "U"))
def test_a_trader_changes_rows_of_their_own_and_of_nobody_else(session: Begin, table: str) -> None:
    api = _as(session, ANN)
    api(f"UPDATE {table} SET {TOUCH[table]} WHERE trader_id = %s", BEN)
    assert api.rowcount == 0
    api(f"UPDATE {table} SET {TOUCH[table]}")
    assert api.rowcount == 1


@pytest.mark.parametrize("table", _of(API, "U"))
def test_not_even_a_change_that_reads_nothing_reaches_the_rows_of_another(session: Begin, table: str) -> None:
    for settings, touched in (({"trader_id": ANN, "key_owners": f"{{{ANN}}}"}, 1), ({}, 0)):
        api = session("surefill_api", **settings)
        api(f"UPDATE {table} SET {BLIND[table]}")
        assert api.rowcount == touched


@pytest.mark.parametrize("table", _of(API, "U"))
def test_a_trader_gives_no_row_away(session: Begin, table: str) -> None:
    api = _as(session, ANN)
    # The order's own trigger would refuse first, with its own words.
    refusal = psycopg2.errors.CheckViolation if table == "orders" else InsufficientPrivilege
    for change in (TOUCH[table], BLIND[table]):
        with api.refused(refusal):
            api(f"UPDATE {table} SET {change}, trader_id = %s", BEN)


def test_not_even_without_the_trigger_does_a_trader_give_an_order_away(own_database: Database) -> None:
    own_database.cluster.execute("ALTER TABLE orders DISABLE TRIGGER orders_version_rises", own_database.name)
    connection = own_database.connect("surefill_api")
    cursor = connection.cursor()
    cursor.execute("SELECT set_config('app.trader_id', %s, true)", (str(ANN),))
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        cursor.execute("UPDATE orders SET trader_id = %s", (BEN,))
    connection.close()


@pytest.mark.parametrize("table", _of(API, "U"))
def test_a_trader_locks_no_row_of_another(session: Begin, table: str) -> None:
    api = _as(session, ANN)
    assert api(f"SELECT trader_id FROM {table} FOR UPDATE") == [(ANN,)]


@pytest.mark.parametrize("table", [table for table in _of(API, "U") if "I" in API[table]])
def test_an_upsert_does_not_reach_the_row_of_another(session: Begin, table: str) -> None:
    api = _as(session, ANN)
    key = {
        "api_key_uses": "key_id",
        "accounts": "trader_id",
        "positions": "trader_id, symbol",
        "orders": "id",
        "audit_chains": "chain_id",
    }[table]
    row = dict(rows.rows_of(BEN, BENS_ORDER)[table])
    names = ", ".join(row)
    with api.refused(InsufficientPrivilege):
        api(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(row))})"
            f" ON CONFLICT ({key}) DO UPDATE SET {TOUCH[table].replace('= ', f'= {table}.')}",
            *row.values(),
        )


# -- failing closed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"trader_id": ""}, {"trader_id": uuid4()}], ids=["unset", "empty", "unknown"])
@pytest.mark.parametrize("table", [table for table in _of(API, "S") if table != "event_counters"])
def test_without_a_trader_nothing_is_seen(session: Begin, settings: dict[str, object], table: str) -> None:
    assert session("surefill_api", **settings)(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("settings", [{}, {"trader_id": ""}], ids=["unset", "empty"])
@pytest.mark.parametrize("table", _of(API, "I"))
def test_without_a_trader_nothing_is_written(session: Begin, settings: dict[str, object], table: str) -> None:
    api = session("surefill_api", **settings)
    with api.refused(InsufficientPrivilege):
        api.insert(table, _new_row(api, table, ANN))


@pytest.mark.parametrize("table", ["execution_logs", "audit_chains"])
def test_a_row_without_a_trader_is_written_by_no_trader(session: Begin, table: str) -> None:
    make = {"execution_logs": rows.execution_log(None, None), "audit_chains": rows.audit_chain(None)}
    for settings in ({}, {"trader_id": ANN}):
        api = session("surefill_api", **settings)
        with api.refused(InsufficientPrivilege):
            api.insert(table, make[table])


@pytest.mark.parametrize("settings", [{}, {"trader_id": ""}], ids=["unset", "empty"])
@pytest.mark.parametrize("table", _of(API, "U"))
def test_without_a_trader_nothing_is_changed(session: Begin, settings: dict[str, object], table: str) -> None:
    api = session("surefill_api", **settings)
    api(f"UPDATE {table} SET {TOUCH[table]}")
    assert api.rowcount == 0


def test_the_trader_is_forgotten_when_the_transaction_ends(own_database: Database) -> None:
    connection = own_database.connect("surefill_api")
    cursor = connection.cursor()
    cursor.execute("SELECT set_config('app.trader_id', %s, true)", (str(ANN),))
    cursor.execute("SELECT trader_id FROM orders")
    assert cursor.fetchall() == [(ANN,)]
    connection.commit()
    cursor.execute("SELECT current_setting('app.trader_id', true), (SELECT count(*) FROM orders)")
    assert cursor.fetchall() == [("", 0)]
    connection.close()


def test_a_trader_that_is_no_identifier_is_an_error_and_not_an_answer(session: Begin) -> None:
    api = session("surefill_api", trader_id="' OR true --")
    with api.refused(psycopg2.errors.InvalidTextRepresentation):
        api("SELECT * FROM orders")


# -- the API beyond its trader --------------------------------------------------------------------------------------


def test_the_heads_of_all_traders_are_seen_together(session: Begin) -> None:
    assert _seen(session("surefill_api"), "event_counters") == {ANN, BEN}


def test_the_feed_reads_the_events_of_the_traders_it_names(session: Begin) -> None:
    for named, expected in (
        (f"{{{ANN}}}", {ANN}),
        (f"{{{ANN},{BEN}}}", {ANN, BEN}),
        ("{}", set()),
        ("", set()),
        (f"{{{uuid4()}}}", set()),
    ):
        assert _seen(session("surefill_api", trader_ids=named), "order_events") == expected
    assert _seen(session("surefill_api", trader_ids=f"{{{BEN}}}", trader_id=ANN), "order_events") == {ANN, BEN}


@pytest.mark.parametrize("table", [table for table in SHOWN_TO_ITS_TRADER if table != "order_events"])
def test_naming_traders_for_the_feed_shows_nothing_but_events(session: Begin, table: str) -> None:
    assert session("surefill_api", trader_ids=f"{{{ANN},{BEN}}}")(f"SELECT * FROM {table}") == []


def test_naming_traders_for_the_feed_lets_it_write_no_event(session: Begin) -> None:
    api = session("surefill_api", trader_ids=f"{{{ANN},{BEN}}}")
    with api.refused(InsufficientPrivilege):
        api.insert("order_events", rows.another("order_events", ANN, ANNS_ORDER))


def test_a_key_is_found_by_its_hash_and_no_other_way(session: Begin) -> None:
    looked_up = session("surefill_api", key_hash=rows.key_hash(ANN).hex())
    assert looked_up("SELECT trader_id FROM api_keys") == [(ANN,)]
    assert looked_up("SELECT trader_id FROM api_keys WHERE trader_id = %s", BEN) == []
    both = session("surefill_api", key_hash=f"{rows.key_hash(ANN).hex()},{rows.key_hash(BEN).hex()}")
    assert sorted(both("SELECT trader_id FROM api_keys")) == sorted([(ANN,), (BEN,)])
    for settings in (
        {},
        {"key_hash": ""},
        {"key_hash": "00" * 32},
        {"key_hash": rows.key_hash(ANN).hex()[:-2]},
        {"trader_id": ANN},
        {"trader_ids": f"{{{ANN}}}"},
    ):
        assert session("surefill_api", **settings)("SELECT * FROM api_keys") == []


# -- workers, compliance, the owner ---------------------------------------------------------------------------------


@pytest.mark.parametrize("table", _of(WORKER, "S"))
def test_a_worker_sees_all_traders(session: Begin, table: str) -> None:
    assert _seen(session("surefill_worker"), table) == {ANN, BEN}


@pytest.mark.parametrize("table", _of(WORKER, "I"))
def test_a_worker_writes_for_all_traders(session: Begin, table: str) -> None:
    worker = session("surefill_worker")
    for trader_id in (ANN, BEN):
        if table in ONE_EACH:
            with worker.refused(psycopg2.errors.UniqueViolation):
                worker.insert(table, _new_row(worker, table, trader_id))
        else:
            worker.insert(table, _new_row(worker, table, trader_id))


@pytest.mark.parametrize("table", _of(WORKER, "U"))
def test_a_worker_changes_rows_of_all_traders(session: Begin, table: str) -> None:
    worker = session("surefill_worker")
    worker(f"UPDATE {table} SET {TOUCH[table]}")
    assert worker.rowcount == 2


def test_a_worker_halts_a_trader_and_leaves_the_limits_alone(session: Begin) -> None:
    worker = session("surefill_worker")
    worker("UPDATE traders SET trading_state = 'HALTED', updated_at = now() WHERE id = %s", ANN)
    assert worker.rowcount == 1
    for change in ("max_order_value = null", "limits_version = 2", "name = 'x'"):
        with worker.refused(InsufficientPrivilege):
            worker(f"UPDATE traders SET {change}")


@pytest.mark.parametrize("table", _of(COMPLIANCE, "S"))
def test_compliance_reads_all_traders(session: Begin, table: str) -> None:
    assert _seen(session("surefill_compliance"), table) == {ANN, BEN}


@pytest.mark.parametrize("table", TABLES)
def test_the_owner_sees_what_it_administers_and_nothing_else(session: Begin, table: str) -> None:
    assert _seen(session(OWNER), table) == ({ANN, BEN} if "S" in OWNERS.get(table, "") else set())
    assert _seen(session(OWNER, trader_id=ANN), table) == ({ANN, BEN} if "S" in OWNERS.get(table, "") else set())


@pytest.mark.parametrize("table", TABLES)
def test_the_owner_writes_what_it_administers_and_nothing_else(session: Begin, table: str) -> None:
    owner = session(OWNER)
    row = _new_row(owner, table, ANN)
    if "I" not in OWNERS.get(table, ""):
        with owner.refused(InsufficientPrivilege) as refusal:
            owner.insert(table, row)
        assert "row-level security" in str(refusal.value)
        return
    if table in ONE_EACH:
        owner(f"DELETE FROM {table} WHERE trader_id = %s", ANN)
    owner.insert(table, row)


@pytest.mark.parametrize(
    "table", [table for table in TABLES if table not in ("fills", "order_events", "execution_logs")]
)
def test_the_owner_changes_and_deletes_what_it_administers_and_nothing_else(session: Begin, table: str) -> None:
    administers = "U" in OWNERS.get(table, "")
    owner = session(OWNER)
    owner(f"UPDATE {table} SET {TOUCH[table]}")
    assert owner.rowcount == (2 if administers else 0)
    if table in ("traders", "api_keys"):
        return  # each has rows that refer to it: see the tests on references
    owner(f"DELETE FROM {table}")
    assert owner.rowcount == (2 if administers else 0)


# -- what nobody has a right to -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "table"), [(login, table) for login in LOGINS for table in _lacking(RIGHTS[login], "S")]
)
def test_a_login_without_the_right_to_it_reads_nothing(session: Begin, login: str, table: str) -> None:
    begun = session(login, trader_id=ANN)
    with begun.refused(InsufficientPrivilege):
        begun(f"SELECT * FROM {table}")


@pytest.mark.parametrize(
    ("login", "table"), [(login, table) for login in LOGINS for table in _lacking(RIGHTS[login], "I")]
)
def test_a_login_without_the_right_to_it_inserts_nothing(session: Begin, login: str, table: str) -> None:
    begun = session(login, trader_id=ANN)
    with begun.refused(InsufficientPrivilege) as refusal:
        begun.insert(table, _new_row(begun, table, ANN))
    assert "permission denied" in str(refusal.value)


@pytest.mark.parametrize(
    ("login", "table"),
    [
        (login, table)
        for login in LOGINS
        for table in _lacking(RIGHTS[login], "U")
        if (login, table) != ("surefill_worker", "traders")
    ],
)
def test_a_login_without_the_right_to_it_changes_nothing(session: Begin, login: str, table: str) -> None:
    begun = session(login, trader_id=ANN)
    with begun.refused(InsufficientPrivilege) as refusal:
        begun(f"UPDATE {table} SET {TOUCH[table]}")
    assert "permission denied" in str(refusal.value)


@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "table",
    [
        *TABLES,
        "instruments",
        "market_hours",
        "quote_requests",
        "venue_comparisons",
        "alembic_version",
        "venue_credentials",
    ],
)
def test_no_login_deletes_anything(session: Begin, login: str, table: str, statement: str) -> None:
    if "D" in RIGHTS[login].get(table, "") and statement.startswith("DELETE"):
        return  # see the test on nonces
    begun = session(login, trader_id=ANN)
    with begun.refused(InsufficientPrivilege) as refusal:
        begun(statement.format(table))
    assert "permission denied" in str(refusal.value)


def test_a_trader_forgets_nonces_of_their_own_that_have_expired_and_no_others(session: Begin) -> None:
    api = _as(session, ANN)
    api.insert("request_nonces", rows.request_nonce(ANN, nonce="1" * 16, expires_at=datetime.now(UTC) + HOUR))
    api("DELETE FROM request_nonces")
    assert api.rowcount == 1
    assert api("SELECT nonce FROM request_nonces") == [("1" * 16,)]
    assert _as(session, BEN)("SELECT nonce FROM request_nonces") == [("0" * 16,)]
    stranger = session("surefill_api")
    stranger("DELETE FROM request_nonces")
    assert stranger.rowcount == 0


def test_uses_of_keys_are_those_of_the_traders_that_are_named(session: Begin) -> None:
    for named, expected in ((f"{{{ANN}}}", {ANN}), (f"{{{ANN},{BEN}}}", {ANN, BEN}), ("{}", set()), ("", set())):
        assert _seen(session("surefill_api", key_owners=named), "api_key_uses") == expected
    for settings in ({}, {"trader_id": ANN}, {"trader_ids": f"{{{ANN}}}"}):
        assert _seen(session("surefill_api", **settings), "api_key_uses") == set()


def test_the_web_processes_see_no_credentials_of_venues(session: Begin) -> None:
    for login in ("surefill_api", "surefill_compliance"):
        begun = session(login, trader_id=ANN)
        with begun.refused(InsufficientPrivilege):
            begun("SELECT * FROM venue_credentials")


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE execution_logs DISABLE TRIGGER ALL",
        "CREATE POLICY mine ON orders USING (true)",
        "DROP POLICY orders_trader_isolation ON orders",
        "DROP TABLE execution_logs",
        "SET ROLE surefill_owner",
        "SET session_replication_role = 'replica'",
        "CREATE FUNCTION rows_are_immutable() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TABLE public.mine ()",
        "CREATE TEMPORARY TABLE orders ()",
    ],
)
def test_no_login_takes_a_guard_away(session: Begin, schema: Database, login: str, statement: str) -> None:
    # A copied database starts with everybody's right to temporary tables; the migration takes it from the original.
    schema.cluster.execute(f"REVOKE TEMPORARY ON DATABASE {schema.name} FROM PUBLIC")
    begun = session(login)
    with begun.refused(InsufficientPrivilege):
        begun(statement)


@pytest.mark.parametrize("role", [*LOGINS, OWNER])
def test_switching_row_security_off_is_an_error_and_no_way_around_it(session: Begin, role: str) -> None:
    begun = session(role, trader_id=ANN)
    begun("SET LOCAL row_security = off")
    with begun.refused(InsufficientPrivilege):
        begun("SELECT * FROM orders")


# -- what references and chains would let through --------------------------------------------------------------------

OF_ORDERS = ["order_events", "execution_logs", "fills", "order_attempts"]


@pytest.mark.parametrize("table", OF_ORDERS)
@pytest.mark.parametrize("login", ["surefill_api", "surefill_worker"])
def test_a_row_of_one_trader_cannot_point_at_the_order_of_another(session: Begin, login: str, table: str) -> None:
    """A foreign key looks past row security: with one column it would tell Ann that Ben's order exists."""
    begun = session(login, trader_id=ANN)
    row = {**rows.another(table, ANN, BENS_ORDER)}
    with begun.refused(psycopg2.errors.ForeignKeyViolation, InsufficientPrivilege) as refusal:
        begun.insert(table, row)
    assert isinstance(refusal.value, InsufficientPrivilege) == ("I" not in RIGHTS[login].get(table, ""))
    if table == "execution_logs":  # of a reference of two columns, a null would leave nothing to check
        with begun.refused(psycopg2.errors.CheckViolation, InsufficientPrivilege):
            begun.insert(table, {**row, "trader_id": None})


@pytest.mark.parametrize("login", ["surefill_api", "surefill_worker"])
def test_an_order_cannot_have_the_order_of_another_trader_as_its_parent(session: Begin, login: str) -> None:
    begun = session(login, trader_id=ANN)
    with begun.refused(psycopg2.errors.ForeignKeyViolation):
        begun.insert("orders", rows.order(ANN, parent_id=BENS_ORDER))
    begun.insert("orders", rows.order(ANN, parent_id=ANNS_ORDER))


@pytest.mark.parametrize("login", ["surefill_api", "surefill_worker"])
@pytest.mark.parametrize("chain", [BEN, BENS_ORDER, uuid4()], ids=["trader", "order", "nobody"])
def test_nobody_takes_a_place_in_a_chain_that_is_not_the_row_s_own(session: Begin, login: str, chain: UUID) -> None:
    begun = session(login, trader_id=ANN)
    for order_id in (ANNS_ORDER, None):
        with begun.refused(psycopg2.errors.CheckViolation):
            begun.insert("execution_logs", rows.execution_log(ANN, order_id, chain_id=chain))
    with begun.refused(psycopg2.errors.CheckViolation):
        begun.insert("audit_chains", rows.audit_chain(ANN, chain_id=chain))


def test_compliance_reads_the_heads_of_all_chains(session: Begin) -> None:
    assert _seen(session("surefill_compliance"), "audit_chains") == {ANN, BEN}


def test_every_view_reads_with_the_rights_of_whoever_asks(schema: Database) -> None:
    careless = schema.cluster.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'"
        " AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'",
        schema.name,
    )
    assert careless == []
