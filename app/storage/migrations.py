"""Which migrations the database has."""

from __future__ import annotations

import psycopg2.errors

from app.storage.transaction import Call, Database, Statement

READ_MIGRATION = Statement("read_migration", "SELECT version_num FROM alembic_version")


def migrations(database: Database) -> list[str]:
    """The revisions the database says it has: none where it was never migrated, or does not let this login see.

    Raises DatabaseBusy, DatabaseUnavailable.
    """
    try:
        return [revision for (revision,) in database.read(Call(READ_MIGRATION))]
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.InsufficientPrivilege):
        return []
