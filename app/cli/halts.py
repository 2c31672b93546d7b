"""`halt on`, `halt off`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from flask.cli import AppGroup

from app.cli.surroundings import NotYet, administration, command
from app.lifecycle.traders import set_trading_state

halt = AppGroup("halt", help="Stop and resume trading.")


def _options(run: Callable[..., Any]) -> Callable[..., Any]:
    run = click.option("--reason", default="", help="Why; goes into the audit log.")(run)
    run = click.option("--symbol", help="This symbol only.")(run)
    return click.option("--trader", "id_or_name", help="This trader only: id or name.")(run)


@halt.command("on")
@_options
@command
def on(id_or_name: str | None, symbol: str | None, reason: str) -> None:
    """Refuse new orders, and cancel what has not been sent."""
    _set("HALTED", id_or_name, symbol, reason or "Halted by an administrator.")


@halt.command("off")
@_options
@command
def off(id_or_name: str | None, symbol: str | None, reason: str) -> None:
    """Take orders again."""
    _set("ACTIVE", id_or_name, symbol, reason or "Resumed by an administrator.")


def _set(state: str, id_or_name: str | None, symbol: str | None, reason: str) -> None:
    if symbol is not None:
        raise NotYet("a halt of one symbol is not there yet: halt traders with --trader")
    if id_or_name is None:
        raise NotYet("a halt of everybody is not there yet: halt traders with --trader")
    with administration() as admin:
        trader = admin.store.find(id_or_name)
        changed = set_trading_state(admin, trader.id, state, reason)
    click.echo(f"{trader.name} {'is now' if changed else 'was already'} {state}")
