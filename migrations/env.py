"""Runs migrations as the database's owner: all of them in one transaction, one migrating process at a time."""

from __future__ import annotations

import logging
import time
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.exc import OperationalError

from app.settings import Settings, load_settings_or_exit
from app.storage.tables import TransactionId, metadata

# Any number will do, as long as nothing else in this database takes the same advisory lock.
MIGRATION_LOCK = 0x5355_5245_4649_4C4C
# Everybody who comes after a migration that waits for a table waits behind it: half as long as intake waits for a lock.
LOCK_TIMEOUT = "2s"
LOCK_TRIES = 5
PAUSE_SECONDS = 1.0
IN_USE = (
    "a table that this migration changes is in use, and nothing was changed: stop the processes that "
    "docs/operations.md names under Upgrade, migrate again, and start them"
)

log = logging.getLogger("alembic.env")
config = context.config

# A caller that runs migrations inside its own process passes its settings, and keeps its own logging.
given: Settings | None = config.attributes.get("settings")
if given is None and config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)

settings = given or load_settings_or_exit()
config.attributes["logins"] = settings.logins()

if context.is_offline_mode():
    raise CommandError("--sql is not supported: the migrations look at the server's roles and rows before they act")

# SQLAlchemy does not know this type of PostgreSQL's, and would warn instead of comparing it.
ischema_names["xid8"] = TransactionId


def migrate(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        # Taken before the current revision is read, so that a second migration waits here and then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text("SELECT set_config('lock_timeout', :longest, true)"), {"longest": LOCK_TIMEOUT})
        context.configure(
            connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True
        )
        with context.begin_transaction():
            context.run_migrations()


def migrate_between_transactions(engine: Engine, tries: int) -> None:
    """Wait for a table a little, let go of everything, and try again. Raises CommandError when it stays in use."""
    for left in reversed(range(tries)):
        try:
            migrate(engine)
            return
        except OperationalError as error:
            if not isinstance(error.orig, (LockNotAvailable, DeadlockDetected)):
                raise
            if not left:
                raise CommandError(IN_USE) from None
            log.info("a table is in use; nothing is changed yet, and it is tried again (%s times at most)", left)
            time.sleep(PAUSE_SECONDS)


main_engine = create_engine(settings.sqlalchemy_url("owner"), poolclass=NullPool)
migrate_between_transactions(main_engine, config.attributes.get("lock_tries", LOCK_TRIES))
main_engine.dispose()
