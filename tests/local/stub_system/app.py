"""Stands in for the command line that makes traders and keys. It keeps their names in the data folder."""

import json
import os
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup

TRADERS = Path(os.environ["DATA_FOLDER"]) / "traders"

trader = AppGroup("trader")
key = AppGroup("key")


@trader.command()
@click.option("--name")
@click.option("--cash")
@click.option("--json", "as_json", is_flag=True)
def create(name: str, cash: str, as_json: bool) -> None:
    TRADERS.mkdir(exist_ok=True)
    try:
        (TRADERS / name).touch(exist_ok=False)
    except FileExistsError:
        raise click.ClickException(f"there is a trader named {name} already: choose another name") from None
    click.echo(json.dumps({"trader_id": f"id-of-{name}", "api_key": f"key-of-{name}", "cash": cash}))


@trader.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_traders(as_json: bool) -> None:
    names = sorted(file.name for file in TRADERS.iterdir()) if TRADERS.exists() else []
    click.echo(json.dumps([{"trader_id": f"id-of-{name}", "name": name} for name in names]))


@key.command("create")
@click.option("--trader", "trader_id")
@click.option("--scopes", default="more")
@click.option("--json", "as_json", is_flag=True)
def create_key(trader_id: str, scopes: str, as_json: bool) -> None:
    click.echo(json.dumps({"trader_id": trader_id, "api_key": f"{scopes}-key-of-{trader_id}"}))


def create_app() -> Flask:
    app = Flask(__name__)
    app.cli.add_command(trader)
    app.cli.add_command(key)
    return app
