"""The web process: intake API, live feed, health; and the commands of `flask --app app`."""

from __future__ import annotations

import threading
from functools import cache, cached_property

import click
import redis
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Flask

from app import cli, live
from app.api import account, events, health, market, not_yet, orders, problems, request_log
from app.api.bodies import LARGEST_BODY
from app.api.intake import EXTENSION, Intake
from app.api.routes import blueprint
from app.observability.logs import configure_logging
from app.settings import PROJECT_ROOT, Settings, load_settings_or_exit
from app.storage.api_keys import PostgresApiKeys
from app.storage.transaction import Database
from app.wiring import Process, venue_name, web_process, worker_process

# Importing a group of routes hangs it on the blueprint.
ROUTES = (account, events, market, not_yet, orders)


class Serving:
    """The connections of one web process: made after the fork, and not at all for a command that serves nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._intake: Intake | None = None
        self._process: Process | None = None

    @cached_property
    def api_keys(self) -> PostgresApiKeys:
        return PostgresApiKeys(self.process().database)

    def process(self) -> Process:
        with self._lock:
            if self._process is None:
                self._process = web_process(self._settings)
            return self._process

    def intake(self) -> Intake:
        if self._intake is None:
            process = self.process()
            self._intake = Intake(
                ports=process.ports,
                database=process.database,
                api_keys=self.api_keys,
                acceptance=process.acceptance,
                venue=venue_name(self._settings),
                orders_per_minute=self._settings.order_rate_limit_per_minute,
            )
        return self._intake

    def database(self) -> Database:
        return self.process().database

    def redis_answers(self) -> bool:
        try:
            return bool(self.process().redis.ping())
        except redis.RedisError:
            return False


def create_web_app(settings: Settings | None = None) -> Flask:
    """The application. `settings` are those of the environment unless given.

    Prints one line and exits with status 2 when a setting is wrong.
    """
    settings = settings or load_settings_or_exit()
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.url_map.strict_slashes = True
    serving = Serving(settings)
    app.extensions[EXTENSION] = serving.intake
    app.extensions["surefill.serving"] = serving
    request_log.register(app)
    problems.register(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(health.health(serving.database, serving.redis_answers, newest_migration))
    cli.register(app, settings, worker_process)
    if _serves():
        configure_logging("web", settings.log_level)
        live.attach(app, serving.process(), serving.api_keys)
    return app


def _serves() -> bool:
    """False while a command of ours runs, which answers on standard output and needs no connections to serve."""
    context = click.get_current_context(silent=True)
    return context is None or context.info_name == "run"


@cache
def newest_migration() -> str:
    """The revision that the database must have for this version of the software."""
    config = Config()
    config.set_main_option("script_location", str(PROJECT_ROOT / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise RuntimeError("there are no migrations")
    return head
