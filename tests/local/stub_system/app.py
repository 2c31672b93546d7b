"""Stands in for the command line that makes traders and keys."""

import json

import click
from flask import Flask
from flask.cli import AppGroup

trader = AppGroup("trader")
key = AppGroup("key")


@trader.command()
@click.option("--name")
@click.option("--cash")
@click.option("--json", "as_json", is_flag=True)
def create(name: str, cash: str, as_json: bool) -> None:
    click.echo(json.dumps({"trader_id": f"id-of-{name}", "api_key": f"key-of-{name}", "cash": cash}))


@key.command("create")
@click.option("--trader", "trader_id")
@click.option("--scopes")
@click.option("--json", "as_json", is_flag=True)
def create_key(trader_id: str, scopes: str, as_json: bool) -> None:
    click.echo(json.dumps({"trader_id": trader_id, "api_key": f"{scopes}-key-of-{trader_id}"}))


def create_app() -> Flask:
    app = Flask(__name__)
    app.cli.add_command(trader)
    app.cli.add_command(key)
    return app
