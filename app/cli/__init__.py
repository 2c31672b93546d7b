"""The command line: `flask --app app …`. Each command finds the running system's database by the same settings."""

from __future__ import annotations

from flask import Flask

from app.cli import (
    audit,
    books,
    halts,
    keys,
    orphans,
    reconcile,
    reports,
    rules,
    senders,
    traders,
    venue_credentials,
)
from app.cli.surroundings import EXTENSION, StartWorker, Surroundings
from app.settings import Settings

__all__ = ["register"]


def register(app: Flask, settings: Settings, start_worker: StartWorker) -> None:
    """Add the commands. `start_worker` makes what `reconcile` works with."""
    app.extensions[EXTENSION] = Surroundings(settings, start_worker)
    for command in (
        traders.trader,
        keys.key,
        halts.halt,
        audit.audit,
        reports.report,
        reconcile.reconcile,
        orphans.orphans,
        senders.sender,
        venue_credentials.venue_credentials,
        books.books,
        rules.rules,
    ):
        app.cli.add_command(command)
