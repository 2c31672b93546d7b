"""`halt on`, `halt off`: the kill switch. Without --trader and --symbol it is everybody and everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup

from app.cli.surroundings import SystemClock, TimeOrderedIds, administration, administrator, command, database
from app.domain.halts import HaltScope
from app.lifecycle.halts import HaltDesk, impose, lift
from app.storage.halts import NoSuchTarget, PostgresHalts
from app.storage.traders import StoredTrader
from app.version import VERSION

halt = AppGroup("halt", help="Stop and resume trading.")


def _options(run: Callable[..., Any]) -> Callable[..., Any]:
    run = click.option("--reason", default="", help="Why; goes into the audit log.")(run)
    run = click.option("--symbol", type=str.upper, metavar="SYMBOL", help="This symbol only.")(run)
    return click.option("--trader", "id_or_name", help="This trader only: id or name.")(run)


@halt.command("on")
@_options
@click.option("--cancel-exits", is_flag=True, help="Cancel protective exits, too: positions are unprotected then.")
@command
def on(id_or_name: str | None, symbol: str | None, reason: str, cancel_exits: bool) -> None:
    """Refuse new orders, send nothing any more, cancel what is open."""
    scope, trader = _target(id_or_name, symbol)
    with _desk() as desk:
        try:
            made, new = impose(
                desk, scope, trader.id if trader else None, symbol, reason or "Halted by an administrator.",
                cancel_exits=cancel_exits,
            )  # fmt: skip
        except NoSuchTarget:
            raise click.ClickException(f"there is no symbol {symbol}; nothing was halted") from None
    click.echo(f"{_name(trader, symbol)} {'is now' if new else 'was already'} HALTED (halt {made.id})")


@halt.command("off")
@_options
@command
def off(id_or_name: str | None, symbol: str | None, reason: str) -> None:
    """Lift that halt. Others that cover the same orders stay."""
    scope, trader = _target(id_or_name, symbol)
    with _desk() as desk:
        try:
            active = desk.store.active(scope, trader.id if trader else None, symbol)
        except NoSuchTarget:
            raise click.ClickException(f"there is no symbol {symbol}; nothing was lifted") from None
        if active is not None:
            lift(desk, active.id, reason or "Resumed by an administrator.")
    click.echo(f"{_name(trader, symbol)} {'was not halted' if active is None else 'is now ACTIVE'}")


@contextmanager
def _desk() -> Iterator[HaltDesk]:
    with database("owner") as owner:
        yield HaltDesk(PostgresHalts(owner), SystemClock(), TimeOrderedIds(), administrator(), VERSION)


def _target(id_or_name: str | None, symbol: str | None) -> tuple[HaltScope, StoredTrader | None]:
    if id_or_name is not None and symbol is not None:
        raise click.UsageError("give --trader or --symbol, not both: a halt stops one or the other")
    if id_or_name is None:
        return (HaltScope.GLOBAL if symbol is None else HaltScope.SYMBOL), None
    with administration() as admin:
        return HaltScope.TRADER, admin.store.find(id_or_name)


def _name(trader: StoredTrader | None, symbol: str | None) -> str:
    return trader.name if trader else symbol or "everything"
