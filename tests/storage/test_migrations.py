"""Up, down and up again, on two versions of PostgreSQL, as an owner that may create roles and is no superuser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.base import ischema_names

from app.settings import PROJECT_ROOT
from app.storage.tables import TransactionId, metadata
from tests.storage import rows
from tests.storage.clusters import LOGINS, OWNER, Cluster, Database, oldest_cluster
from tests.storage.sessions import ANN, ANNS_ORDER, BENS_ORDER, fill_for_two_traders

# Everything in the schema, by name. PUBLIC's rights are none of it: see the test on them.
_OBJECTS = """
  SELECT 'relation', relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT 'type', typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
  UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT 'policy', polname FROM pg_policy
  ORDER BY 1, 2
"""
_COLUMNS = """
  SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)
  FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND relname <> 'alembic_version'
  ORDER BY relname, attnum
"""
_CONSTRAINTS = """
  SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2
"""
_INDEXES = """
  SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1
"""
_ENUMS = """
  SELECT typname, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY typname, enumsortorder
"""


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    with cluster.database() as database:
        yield database


def _query(database: Database, statement: str) -> list[Any]:
    return database.cluster.execute(statement, database.name)


def _logins(cluster: Cluster) -> set[str]:
    return {
        name for (name,) in cluster.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'surefill\\_%'")
    } & set(LOGINS)


def _alembic(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "DATA_FOLDER": "/nonexistent"} | database.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_down_leaves_nothing_and_up_again_makes_the_same(empty: Database) -> None:
    empty.upgrade()
    first = _query(empty, _OBJECTS)
    empty.downgrade()
    assert _query(empty, _OBJECTS) == [
        ("relation", "alembic_version"),
        ("relation", "alembic_version_pkc"),
        ("type", "_alembic_version"),
        ("type", "alembic_version"),
    ]
    empty.upgrade()
    assert _query(empty, _OBJECTS) == first


def test_down_and_up_again_on_data(empty: Database) -> None:
    empty.upgrade()
    fill_for_two_traders(empty)
    empty.downgrade("erase-audit-log=yes")
    empty.upgrade()
    fill_for_two_traders(empty)
    assert _query(empty, "SELECT count(*) FROM execution_logs") == [(2,)]


def test_each_step_down_and_up_again_keeps_the_rows(empty: Database) -> None:
    empty.upgrade()
    fill_for_two_traders(empty)
    not_forced = "SELECT relname FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity"
    empty.downgrade("erase-audit-log=yes", revision="0001")
    assert _query(empty, not_forced) == []
    empty.upgrade()
    assert _query(empty, not_forced) == []
    assert _query(empty, "SELECT count(*) FROM execution_logs") == [(2,)]


def _with_rows_at(database: Database, revision: str) -> None:
    database.upgrade()
    fill_for_two_traders(database)
    if revision != "head":
        database.downgrade("erase-audit-log=yes", revision=revision)


# Below 0002 the log lacks columns that its hashes cover, below 0001 there is none: each of the two asks by itself.
_ERASING = [("head", "base"), ("head", "0001"), ("0001", "base")]


@pytest.mark.parametrize("options", [(), ("erase-audit-log=no",), ("erase-audit-log",)])
@pytest.mark.parametrize(("above", "below"), _ERASING)
def test_down_refuses_to_erase_audit_rows_unless_told_to(
    empty: Database, above: str, below: str, options: tuple[str, ...]
) -> None:
    _with_rows_at(empty, above)
    before = [_query(empty, catalogue) for catalogue in (_OBJECTS, _COLUMNS)]
    with pytest.raises(CommandError, match="execution_logs has rows"):
        empty.downgrade(*options, revision=below)
    assert [_query(empty, catalogue) for catalogue in (_OBJECTS, _COLUMNS)] == before
    assert _query(empty, "SELECT count(*) FROM execution_logs") == [(2,)]
    assert _query(empty, "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'execution_logs'") == [(True,)]


@pytest.mark.parametrize(("above", "below"), _ERASING)
def test_down_sees_audit_rows_that_no_policy_shows_the_owner(empty: Database, above: str, below: str) -> None:
    _with_rows_at(empty, above)
    _query(empty, "DROP POLICY execution_logs_owner_select ON execution_logs")
    with pytest.raises(CommandError, match="execution_logs has rows"):
        empty.downgrade(revision=below)


def test_down_needs_no_flag_as_long_as_all_that_the_hashes_cover_stays(empty: Database) -> None:
    empty.upgrade()
    fill_for_two_traders(empty)
    terms = {"commission": 1, "stop_loss": 2, "take_profit": 3, "max_slippage_bps": 4, "max_wait_seconds": 5}
    with closing(empty.connect("superuser")) as connection, connection, connection.cursor() as cursor:
        rows.insert(cursor, "execution_logs", rows.execution_log(ANN, ANNS_ORDER, **terms, parent_id=BENS_ORDER))
    log = "SELECT * FROM execution_logs ORDER BY position"
    before = _query(empty, log)
    empty.downgrade(revision="0002")
    empty.upgrade()
    assert _query(empty, log) == before


def test_the_refusal_on_the_command_line_is_one_line_that_says_what_to_do(empty: Database) -> None:
    assert _alembic(empty, "upgrade", "head").returncode == 0
    fill_for_two_traders(empty)
    refused = _alembic(empty, "downgrade", "base")
    assert refused.returncode != 0
    lines = [line for line in (refused.stdout + refused.stderr).splitlines() if not line.startswith("INFO")]
    assert len(lines) == 1
    assert "erase-audit-log=yes" in lines[0]
    assert _alembic(empty, "-x", "erase-audit-log=yes", "downgrade", "base").returncode == 0


def test_two_migrations_at_once_wait_for_each_other(empty: Database) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    environment = {"PATH": os.environ["PATH"], "DATA_FOLDER": "/nonexistent"} | empty.environment
    with closing(empty.connect(OWNER)) as holder:
        # Both are held at the lock, so that they leave it at the same time.
        holder.cursor().execute("SELECT pg_advisory_lock(x'5355524546494c4c'::bigint)")
        both = [
            subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while _query(empty, waiting) != [(2,)]:
            assert all(process.poll() is None for process in both)
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sorted("Running upgrade" in error for error in errors) == [False, True]


def test_a_migration_that_finds_a_table_in_use_changes_nothing_and_says_what_to_do(empty: Database) -> None:
    empty.upgrade("0011")
    before = _query(empty, _OBJECTS)
    config = empty.alembic()
    config.attributes["lock_tries"] = 1
    with closing(empty.connect("superuser")) as worker:
        worker.cursor().execute("LOCK TABLE fills IN ROW EXCLUSIVE MODE")  # as an execution that is being booked
        with pytest.raises(CommandError, match="names under Upgrade"):
            command.upgrade(config, "head")
        assert _query(empty, _OBJECTS) == before


def test_a_migration_tries_again_and_lets_go_of_everything_meanwhile(empty: Database) -> None:
    empty.upgrade("0011")
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted"
    with closing(empty.connect("superuser")) as worker, ThreadPoolExecutor(1) as beside:
        worker.cursor().execute("LOCK TABLE fills IN ROW EXCLUSIVE MODE")
        migration = beside.submit(empty.upgrade)
        for waits in (1, 0):
            while _query(empty, waiting) != [(waits,)]:
                assert not migration.done()
        worker.commit()
        migration.result(60)
    assert ("relation", "idx_fills_house_commission") in _query(empty, _OBJECTS)


def test_migrations_of_several_databases_at_once_share_the_logins(cluster: Cluster, empty: Database) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    with cluster.database() as other, cluster.database() as third:
        started = [
            subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env={"PATH": os.environ["PATH"], "DATA_FOLDER": "/nonexistent"} | database.environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for database in (empty, other, third)
        ]
        errors = [process.communicate(timeout=60)[1] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0], errors
        for database in (empty, other, third):
            for login in LOGINS:
                database.connect(login).close()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without the logins; its tests leave none."""
    with oldest_cluster(tmp_path_factory.mktemp("bare")) as cluster:
        yield cluster


def test_the_logins_go_with_the_last_database_that_uses_them(bare: Cluster) -> None:
    with bare.database() as first:
        assert _logins(bare) == set()
        first.upgrade()
        with bare.database(first) as copy:
            first.downgrade()
            assert _logins(bare) == set(LOGINS)
            for login in LOGINS:
                copy.connect(login).close()
            copy.downgrade()
        assert _logins(bare) == set()


def test_a_login_that_stands_in_for_another_role_stays(bare: Cluster) -> None:
    with bare.database() as database:
        database.upgrade()
        bare.execute("CREATE ROLE of_the_operator; GRANT surefill_api TO of_the_operator")
        database.downgrade()
        assert _logins(bare) == {"surefill_api"}
        bare.execute("DROP ROLE of_the_operator")
        database.upgrade()
        database.downgrade()
        assert _logins(bare) == set()


@pytest.mark.parametrize("meanwhile", ["CREATE ROLE surefill_api", "ALTER ROLE surefill_api PASSWORD 'another'"])
def test_a_migration_that_lost_the_race_for_a_login_looks_again(bare: Cluster, meanwhile: str) -> None:
    with bare.database() as database, bare.database() as other, closing(other.connect(OWNER)) as rival:
        if meanwhile.startswith("ALTER"):
            other.upgrade()
        rival.cursor().execute(meanwhile)
        with subprocess.Popen(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=PROJECT_ROOT,
            env={"PATH": os.environ["PATH"], "DATA_FOLDER": "/nonexistent"} | database.environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as migration:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
            while bare.execute(waiting) != [(1,)]:
                assert migration.poll() is None
            rival.commit()
            _, errors = migration.communicate(timeout=60)
        assert migration.returncode == 0, errors
        database.connect("surefill_api").close()
        database.downgrade()
        if meanwhile.startswith("ALTER"):
            other.downgrade()
        assert _logins(bare) == set()


def test_the_owner_is_no_superuser_and_the_logins_own_and_bypass_nothing(migrated: Database) -> None:
    roles = migrated.cluster.execute(
        f"""SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreatedb OR rolreplication, rolcreaterole
        FROM pg_roles WHERE rolname IN {(OWNER, *LOGINS)} ORDER BY rolname"""
    )
    assert roles == [(name, True, False, name == OWNER) for name in sorted([*LOGINS, OWNER])]
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert migrated.cluster.execute(owners, migrated.name) == [(OWNER,)]


def test_another_migration_sets_the_passwords_anew(empty: Database) -> None:
    empty.upgrade()
    empty.cluster.execute("ALTER ROLE surefill_api NOLOGIN PASSWORD 'lost'")
    empty.downgrade()
    empty.upgrade()
    empty.connect("surefill_api").close()


def test_the_server_stores_a_verifier_and_never_sees_a_password(migrated: Database) -> None:
    stored = migrated.cluster.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname IN {LOGINS}")
    assert len(stored) == 3
    assert all(verifier.startswith("SCRAM-SHA-256$") for (verifier,) in stored)


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS", "CREATEDB", "CREATEROLE", "REPLICATION"])
def test_a_login_that_is_too_mighty_stops_the_migration(migrated: Database, empty: Database, attribute: str) -> None:
    empty.cluster.execute(f"ALTER ROLE surefill_api {attribute}")
    try:
        with pytest.raises(CommandError, match="surefill_api exists and has the rights"):
            empty.upgrade()
    finally:
        empty.cluster.execute(f"ALTER ROLE surefill_api NO{attribute}")
    assert ("relation", "orders") not in _query(empty, _OBJECTS)


@pytest.fixture
def logins_of_somebody_else(migrated: Database) -> Iterator[None]:
    """The logins exist, and the owner has no say over them."""
    grantors = "SELECT DISTINCT grantor::regrole FROM pg_auth_members WHERE member = 'surefill_owner'::regrole"
    ((grantor,),) = migrated.cluster.execute(grantors)
    logins = ", ".join(LOGINS)
    migrated.cluster.execute(f"REVOKE {logins} FROM {OWNER} GRANTED BY {grantor}")
    yield
    migrated.cluster.execute(f"GRANT {logins} TO {OWNER} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")


@pytest.mark.usefixtures("logins_of_somebody_else")
def test_a_login_that_may_become_the_owner_stops_the_migration(empty: Database) -> None:
    empty.cluster.execute(f"GRANT {OWNER} TO surefill_api")
    try:
        with pytest.raises(CommandError, match=f"through {OWNER}"):
            empty.upgrade()
    finally:
        empty.cluster.execute(f"REVOKE {OWNER} FROM surefill_api")


@pytest.mark.usefixtures("logins_of_somebody_else")
def test_the_logins_of_somebody_else_stop_the_migration_with_a_line_that_says_what_to_grant(empty: Database) -> None:
    with pytest.raises(CommandError, match="GRANT surefill_api TO"):
        empty.upgrade()


def test_public_may_neither_enter_nor_make_anything(migrated: Database) -> None:
    cluster = migrated.cluster
    cluster.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    try:
        with pytest.raises(psycopg2.OperationalError, match="does not have CONNECT privilege"):
            psycopg2.connect(cluster.superuser_url, dbname=migrated.name, user="stranger", password="stranger")
        for right in ("USAGE", "CREATE"):
            assert cluster.execute(f"SELECT has_schema_privilege('stranger', 'public', '{right}')", migrated.name) == [
                (False,)
            ]
    finally:
        cluster.execute("DROP ROLE stranger")


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_may_make_nothing(migrated: Database, cluster: Cluster, login: str) -> None:
    with cluster.database(migrated) as copy:
        # What a copy of a database does not take over are the rights on the database itself.
        for statement in ("CREATE TABLE mine ()", "CREATE SCHEMA mine", "CREATE ROLE mine", "CREATE DATABASE mine"):
            with closing(copy.connect(login)) as connection:
                connection.autocommit = True
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    connection.cursor().execute(statement)


def test_an_owner_of_tables_that_does_not_own_the_database_can_migrate_too(cluster: Cluster, empty: Database) -> None:
    cluster.execute(f"ALTER DATABASE {empty.name} OWNER TO CURRENT_USER")
    _query(empty, f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}")
    empty.upgrade()
    for login in LOGINS:
        empty.connect(login).close()
    empty.downgrade()


def test_logins_that_cannot_enter_stop_the_migration_with_a_line_that_says_what_to_grant(
    cluster: Cluster, empty: Database
) -> None:
    cluster.execute(f"ALTER DATABASE {empty.name} OWNER TO CURRENT_USER")
    cluster.execute(f"REVOKE ALL ON DATABASE {empty.name} FROM PUBLIC")
    cluster.execute(f"GRANT CONNECT ON DATABASE {empty.name} TO {OWNER}")
    _query(empty, f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}")
    with pytest.raises(CommandError, match="GRANT CONNECT ON DATABASE"):
        empty.upgrade()


def test_the_tables_of_sqlalchemy_are_those_of_the_migration(
    migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ischema_names, "xid8", TransactionId)
    engine = create_engine(migrated.settings.sqlalchemy_url("owner"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = [
            difference for difference in compare_metadata(context, metadata) if "alembic_version" not in str(difference)
        ]
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize("catalogue", [_COLUMNS, _CONSTRAINTS, _INDEXES, _ENUMS])
def test_sqlalchemy_would_make_the_same_columns_constraints_indexes_and_enums(
    migrated: Database, empty: Database, catalogue: str
) -> None:
    engine = create_engine(empty.settings.sqlalchemy_url("owner"))
    metadata.create_all(engine)
    engine.dispose()
    assert _query(empty, catalogue) == _query(migrated, catalogue)
