"""Runs migrations as the database's owner: all of them in one transaction, one migrating process at a time."""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from app.settings import Settings, load_settings_or_exit
from app.storage.tables import TransactionId, metadata

# Any number will do, as long as nothing else in this database takes the same advisory lock.
MIGRATION_LOCK = 0x5355_5245_4649_4C4C

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

engine = create_engine(settings.sqlalchemy_url("owner"), poolclass=NullPool)
with engine.connect() as connection, connection.begin():
    # Taken before the current revision is read, so that a second migration waits here and then finds nothing to do.
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
