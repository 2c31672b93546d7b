"""Whether this process lives and can serve. No key is needed, and nothing is told that an outsider may not know."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from app.api import shapes
from app.api.answers import answer
from app.api.description import Operation, described
from app.api.problems import Problem
from app.storage.migrations import migrations
from app.storage.transaction import Database, DatabaseBusy, DatabaseUnavailable


def health(
    database: Callable[[], Database], redis_answers: Callable[[], bool], newest_migration: Callable[[], str]
) -> Blueprint:
    """`/healthz` and `/readyz`."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    @described(Operation(group="Health", answers={200: shapes.Alive}))
    def healthz() -> Response:
        """The process answers."""
        return answer({"status": "alive"})

    @blueprint.get("/readyz")
    @described(Operation(group="Health", answers={200: shapes.Readiness}, problems=(503,)))
    def readyz() -> Response:
        """The database answers and has the newest migration. Without Redis orders are slower, not lost."""
        try:
            found = migrations(database())
        except DatabaseBusy:
            raise _not_ready("OVERLOADED", "More is asked at once than can be done.", "Ask another process.") from None
        except DatabaseUnavailable:
            raise _not_ready("DATABASE_UNAVAILABLE", "The database cannot be reached.", "Start the database.") from None
        if found != [newest_migration()]:
            raise _not_ready(
                "MIGRATION_MISSING", "The database does not have the newest migration.", "Run alembic upgrade head."
            )
        redis = redis_answers()
        return answer(
            {
                "status": "ready" if redis else "degraded",
                "checks": {"database": "ok", "migrations": "ok", "redis": "ok" if redis else "unavailable"},
            }
        )

    return blueprint


def _not_ready(code: str, detail: str, suggestion: str) -> Problem:
    return Problem(503, code, detail, suggestion, headers={"Retry-After": "1"})
