"""`trader create`, `trader list`, `trader limits`."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import click
from flask.cli import AppGroup

from app.cli.amounts import NONE, Amount, Count, OrNone
from app.cli.surroundings import administration, command
from app.domain.money import plain
from app.lifecycle.traders import change_limits, create_trader
from app.storage.account_reads import LIMITS, limits_document
from app.storage.traders import StoredTrader

LONGEST_NAME = 100
_COUNTS = ("max_open_orders", "orders_per_minute")
_MEANING = {
    "max_position_value": "Largest worth of one holding.",
    "max_position_quantity": "Largest quantity of one holding.",
    "max_order_value": "Largest worth of one order.",
    "max_order_quantity": "Largest quantity of one order.",
    "max_open_orders": "Most orders open at once.",
    "max_daily_notional": "Largest worth of all orders of a day.",
    "daily_loss_limit": "Largest loss in a day.",
    "orders_per_minute": "Most orders in any minute; none: the system's own limit.",
}

trader = AppGroup("trader", help="Traders, their accounts and limits.")


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    name = value.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise click.BadParameter(f"expected 1 to {LONGEST_NAME} printable characters")
    return name


@trader.command("create")
@click.option("--name", required=True, callback=_name, help="The trader's name; no other trader has it.")
@click.option("--cash", required=True, type=Amount(zero=True), help="What the account begins with, in US dollars.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def create(name: str, cash: Decimal, as_json: bool) -> None:
    """Make a trader with an account and a key. The key is shown this once."""
    with administration() as admin:
        created = create_trader(admin, name, cash)
    answer = {"trader_id": str(created.trader_id), "api_key": created.key.text}
    if as_json:
        click.echo(json.dumps({**answer, "name": name, "cash": plain(cash)}))
        return
    for word, value in answer.items():
        click.echo(f"{word}: {value}")
    click.echo("The key is stored hashed and is not shown again.", err=True)


@trader.command("list")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def list_traders(as_json: bool) -> None:
    """Show all traders."""
    with administration() as admin:
        traders = admin.store.traders()
    if as_json:
        click.echo(json.dumps([_document(one) for one in traders]))
        return
    for one in traders:
        click.echo(f"{one.id}  {one.trading_state:<8}  {plain(one.cash):>16} {one.currency}  {one.name}")
    if not traders:
        click.echo("There are no traders yet: `trader create` makes one.", err=True)


def _limit_options(run: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(LIMITS):
        kind = OrNone(Count() if name in _COUNTS else Amount())
        run = click.option(f"--{name.replace('_', '-')}", name, type=kind, help=_MEANING[name])(run)
    return run


@trader.command("limits")
@click.argument("id_or_name")
@_limit_options
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def limits(id_or_name: str, as_json: bool, **given: Any) -> None:
    """Change a trader's limits, or show them. The word `none` takes a limit away."""
    wanted = {name: None if value is NONE else value for name, value in given.items() if value is not None}
    with administration() as admin:
        found = admin.store.find(id_or_name)
        changed = change_limits(admin, found.id, wanted) if wanted else None
    shown = changed or found
    if as_json:
        click.echo(json.dumps(_document(shown)))
        return
    if wanted:
        click.echo("changed" if changed else "nothing to change", err=True)
    click.echo(f"{shown.id}  {shown.name}: limits, version {shown.limits_version}")
    for name, value in limits_document(dict(shown.limits)).items():
        click.echo(f"  {name:<22} {'none' if value is None else value}")


def _document(one: StoredTrader) -> dict[str, object]:
    return {
        "trader_id": str(one.id),
        "name": one.name,
        "trading_state": one.trading_state,
        "currency": one.currency,
        "cash": plain(one.cash),
        "limits": {**limits_document(dict(one.limits)), "version": one.limits_version},
    }
