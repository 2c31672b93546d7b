"""The web process: intake API, live feed, health; and the commands of `flask --app app`.

What serves is imported where it begins to serve: a command needs a database and neither Redis nor a venue, and starts
in a third of the time without their libraries.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

import click
from flask import Flask

from app import cli
from app.settings import PROJECT_ROOT, Settings, load_settings_or_exit

if TYPE_CHECKING:
    from app.api.intake import Intake
    from app.observability.overview import Overview
    from app.sign_ins import SignIns
    from app.storage.transaction import Database
    from app.wiring import Process

SERVING = "surefill.serving"
_COMMANDS_THAT_SERVE = ("run", "routes", "shell")  # Flask's own


def create_web_app(settings: Settings | None = None) -> Flask:
    """The application. `settings` are those of the environment unless given.

    Prints one line and exits with status 2 when a setting is wrong.
    """
    settings = settings or load_settings_or_exit()
    app = Flask("app", static_folder=None)
    cli.register(app, settings, _start_worker)
    if _serves():
        _serve(app, settings)
    return app


def _serves() -> bool:
    """False while one of our commands runs, which answers on standard output and makes its own connection."""
    context = click.get_current_context(silent=True)
    return context is None or context.info_name in _COMMANDS_THAT_SERVE


def _start_worker(settings: Settings) -> Process:
    from app.wiring import worker_process

    return worker_process(settings)


def _serve(app: Flask, settings: Settings) -> None:
    from app import live
    from app.api import problems, request_log, transfer
    from app.api.groups import blueprint
    from app.api.health import health
    from app.api.intake import EXTENSION
    from app.api.metrics import metrics
    from app.api.operations import EXTENSION as OVERVIEW
    from app.browsers import BrowserRules
    from app.departed_clients import DepartedClients
    from app.observability.logs import configure_logging
    from app.page.routes import blueprint as page

    configure_logging("web", settings.log_level)
    serving = Serving(settings)
    app.extensions[SERVING] = serving
    app.extensions[EXTENSION] = lambda: serving.intake
    app.extensions[OVERVIEW] = lambda: serving.overview
    request_log.register(app)
    transfer.register(app)
    problems.register(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(health(lambda: serving.database, serving.redis_answers, newest_migration))
    app.register_blueprint(metrics(lambda: serving.overview))
    app.register_blueprint(page)
    live.attach(app, serving.process, serving.sign_ins)
    # outermost, so that they hold for what never reaches Flask as well
    ruled = DepartedClients(BrowserRules(app.wsgi_app, hsts_seconds=settings.hsts_seconds))
    app.wsgi_app = ruled  # type: ignore[assignment, method-assign] # how Flask is wrapped


class Serving:
    """The connections of one web process. gunicorn makes the application in its worker, so after the fork."""

    def __init__(self, settings: Settings) -> None:
        from app.wiring import web_process

        self._settings = settings
        self.process = web_process(settings)

    @cached_property
    def compliance(self) -> Database:
        """Made by the first request that needs it, and after the scope was checked."""
        from app.storage.transaction import Database

        return Database(
            self._settings.sqlalchemy_url("compliance"), pool_size=2, application_name="surefill-compliance"
        )

    @property
    def database(self) -> Database:
        return self.process.database

    @cached_property
    def sign_ins(self) -> SignIns:
        from app.sign_ins import SignIns
        from app.storage.api_keys import PostgresApiKeys

        return SignIns(PostgresApiKeys(self.database))

    @cached_property
    def intake(self) -> Intake:
        from app.api.intake import Intake
        from app.wiring import venue_name

        return Intake(
            ports=self.process.ports,
            database=self.database,
            sign_ins=self.sign_ins,
            acceptance=self.process.acceptance,
            venue=venue_name(self._settings),
            orders_per_minute=self._settings.order_rate_limit_per_minute,
            compliance=lambda: self.compliance,
        )

    @cached_property
    def overview(self) -> Overview:
        from app.observability.overview import Overview
        from app.wiring import broker_client

        return Overview(
            database=lambda: self.seeing_all,
            market=lambda: self.database,
            redis_client=self.process.redis,
            broker=broker_client(self._settings),
            now=self.process.ports.clock.now,
        )

    @cached_property
    def seeing_all(self) -> Database:
        """The compliance login: it reads what belongs to any trader, and can change nothing."""
        from app.storage.transaction import Database

        return Database(
            self._settings.sqlalchemy_url("compliance"), pool_size=2, application_name="surefill-web-compliance"
        )

    def redis_answers(self) -> bool:
        """Whether Redis can be reached at this moment."""
        import redis

        try:
            return bool(self.process.redis.ping())
        except redis.RedisError:
            return False


@cache
def newest_migration() -> str:
    """The revision that the database must have for this version of the software."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(PROJECT_ROOT / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise RuntimeError("there are no migrations")
    return head
