"""Stands in for the command line that makes traders."""

import json

import click
from flask import Flask
from flask.cli import AppGroup

trader = AppGroup("trader")


@trader.command()
@click.option("--name")
@click.option("--cash")
@click.option("--json", "as_json", is_flag=True)
def create(name: str, cash: str, as_json: bool) -> None:
    click.echo(json.dumps({"trader_id": f"id-of-{name}", "api_key": f"key-of-{name}", "cash": cash}))


def create_app() -> Flask:
    app = Flask(__name__)
    app.cli.add_command(trader)
    return app
