"""Orders, fills and an immutable log, apart for each trader.

The tables, the guards around them, and three logins with the least rights: the web processes', the workers' and
compliance's. The SQL lies beside this file, in the order in which it runs.

Downgrading erases everything, the audit log included. It refuses while that log has rows, unless it is told to with
`alembic -x erase-audit-log=yes downgrade base`. It does not give PUBLIC its rights on the database and the schema back:
whether it had them before is not known.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import time
from pathlib import Path

from alembic import context, op
from alembic.util import CommandError
from psycopg2.errors import InternalError_, UniqueViolation
from psycopg2.extensions import encrypt_password
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LOGINS = ("surefill_api", "surefill_worker", "surefill_compliance")

# Children before their parents.
TABLES = (
    "audit_chains",
    "execution_logs",
    "order_events",
    "fills",
    "order_attempts",
    "orders",
    "instruments",
    "positions",
    "event_counters",
    "accounts",
    "api_keys",
    "traders",
)


def upgrade() -> None:
    """Create everything. Raises CommandError for a login that exists with more rights than Surefill's may have."""
    passwords: dict[str, str] = context.config.attributes["logins"]
    for login in LOGINS:
        _make_login(login, passwords.get(login))
    _run("0001_types_and_tables.sql")
    _run("0001_triggers.sql")
    _let_the_logins_in()
    _run("0001_rights.sql")
    _run("0001_row_security.sql")


def downgrade() -> None:
    """Drop everything. Raises CommandError when that would erase audit rows and nobody asked for it."""
    _refuse_to_erase_the_audit_log()
    op.execute(f"DROP TABLE {', '.join(TABLES)}")
    op.execute("DROP FUNCTION orders_version_rises(), rows_are_immutable()")
    op.execute("DROP TYPE action_enum, order_status_enum, order_type_enum")
    _drop_the_logins()


def _run(file_name: str) -> None:
    _execute_as_written(Path(__file__).with_name(file_name).read_text(encoding="utf-8"))


def _execute_as_written(statements: str) -> None:
    # A colon or a percent sign in a function's body is no parameter.
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def _make_login(login: str, password: str | None) -> None:
    """Create the login if the cluster lacks it, refuse one that is too mighty, set its password.

    Without a password the processes connect as a role of the operator's, who grants it this one.
    """
    _settle_with_other_databases(
        f"""
        DO $body$ BEGIN
          IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}') THEN
            CREATE ROLE {login} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
          END IF;
        END $body$
        """
    )
    # CREATEROLE may not even spell NOSUPERUSER or NOBYPASSRLS in ALTER ROLE, so a mighty role stops the migration.
    mighty = op.get_bind().scalar(
        text(
            """
            SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles
            WHERE pg_has_role(:login, oid, 'MEMBER')
              AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication OR rolname = current_user)
            """
        ),
        {"login": login},
    )
    if mighty:
        raise CommandError(
            f"{login} exists and has the rights of a superuser, an administrator or the owner (through {mighty}): "
            f"take them from it, or drop it"
        )
    if password is None:
        return
    if not op.get_bind().scalar(text("SELECT pg_has_role(:login, 'MEMBER WITH ADMIN OPTION')"), {"login": login}):
        raise CommandError(
            f"{login} was created by another role, so its password cannot be set: as a superuser, "
            f"GRANT {login} TO the owner in DATABASE_URL WITH ADMIN OPTION"
        )
    # Only the verifier travels: a password in an ALTER ROLE may end up in the server's log.
    driver = op.get_bind().connection.driver_connection
    verifier = encrypt_password(password, login, scope=driver)
    quoted = verifier.replace("'", "''")
    _settle_with_other_databases(f"ALTER ROLE {login} LOGIN PASSWORD '{quoted}'")


def _settle_with_other_databases(statement: str) -> None:
    """Run a statement on a role. A migration of another database of this cluster may be busy with the same role.

    The advisory lock is one database's own and roles are the cluster's, so whoever loses the race looks again.
    """
    deadline = time.monotonic() + 30
    while True:
        try:
            with op.get_bind().begin_nested():
                _execute_as_written(statement)
            return
        except DBAPIError as error:
            lost_the_race = isinstance(error.orig, UniqueViolation) or (
                # PostgreSQL has no code of its own for this: XX000, "tuple concurrently updated".
                isinstance(error.orig, InternalError_) and "tuple concurrently" in str(error.orig)
            )
            if not lost_the_race or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _let_the_logins_in() -> None:
    """CONNECT and USAGE for the logins, and from now on only for those who were granted them.

    A role that does not own the database cannot say who may enter: then its owner has to have let the logins in.
    """
    logins = ", ".join(LOGINS)
    connection = op.get_bind()
    database, schema, owns_database, owns_schema = connection.execute(
        text(
            """
            SELECT quote_ident(datname), quote_ident(nspname),
              pg_has_role(datdba, 'USAGE'), pg_has_role(nspowner, 'USAGE')
            FROM pg_database, pg_namespace WHERE datname = current_database() AND nspname = current_schema()
            """
        )
    ).one()
    if owns_database:
        op.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        op.execute(f"GRANT CONNECT ON DATABASE {database} TO {logins}")
    if owns_schema:
        op.execute(f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC")
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {logins}")
    for login in LOGINS:
        may_enter = connection.scalar(
            text(
                "SELECT has_database_privilege(:login, current_database(), 'CONNECT')"
                " AND has_schema_privilege(:login, current_schema(), 'USAGE')"
            ),
            {"login": login},
        )
        if not may_enter:
            raise CommandError(
                f"{login} may not enter: as the database's owner, GRANT CONNECT ON DATABASE {database} and USAGE ON "
                f"SCHEMA {schema} TO {logins}"
            )


def _refuse_to_erase_the_audit_log() -> None:
    # The lock keeps the answer true until the log is gone. row_security = off: were any row hidden from this role, the
    # question would be an error and not a no.
    op.execute("LOCK TABLE execution_logs IN ACCESS EXCLUSIVE MODE")
    op.execute("ALTER TABLE execution_logs NO FORCE ROW LEVEL SECURITY")
    op.execute("SET LOCAL row_security = off")
    has_rows = op.get_bind().scalar(text("SELECT EXISTS (SELECT FROM execution_logs)"))
    op.execute("SET LOCAL row_security = on")
    if has_rows and context.get_x_argument(as_dictionary=True).get("erase-audit-log") != "yes":
        raise CommandError(
            "execution_logs has rows and this downgrade would erase them for good: "
            "alembic -x erase-audit-log=yes downgrade does that"
        )


def _drop_the_logins() -> None:
    logins = ", ".join(LOGINS)
    database, schema = (
        op.get_bind().execute(text("SELECT quote_ident(current_database()), quote_ident(current_schema())")).one()
    )
    op.execute(f"REVOKE ALL ON alembic_version FROM {logins}")
    op.execute(f"REVOKE ALL ON SCHEMA {schema} FROM {logins}")
    op.execute(f"REVOKE ALL ON DATABASE {database} FROM {logins}")
    for login in LOGINS:
        # Another database of the cluster may use the same login, or an operator's role stand in for it: then it stays.
        op.execute(
            f"""
            DO $body$ BEGIN
              IF NOT EXISTS (
                SELECT FROM pg_auth_members
                -- A creator's own membership has neither option: it administers, and uses nothing.
                WHERE roleid = '{login}'::regrole AND (inherit_option OR set_option)
              ) THEN
                DROP ROLE {login};
              END IF;
            EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
              RAISE NOTICE '{login} stays: something else in this cluster depends on it';
            END $body$
            """
        )
