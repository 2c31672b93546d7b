"""`key create`, `key list`, `key revoke`."""

from __future__ import annotations

import json
from datetime import datetime

import click
from flask.cli import AppGroup

from app.cli.amounts import Moment
from app.cli.surroundings import administration, command
from app.domain.documents import time_or_none
from app.lifecycle.traders import DEFAULT_SCOPES, SCOPES, create_key, revoke_key

key = AppGroup("key", help="API keys.")


@key.command("create")
@click.option("--trader", "id_or_name", required=True, help="The trader's id or name.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=DEFAULT_SCOPES, show_default=True,
    help="What the key may do; give it once for each scope.",
)  # fmt: skip
@click.option("--expires", "expires_at", type=Moment(), help="When it ends, such as 2027-01-31T00:00:00Z.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def create(id_or_name: str, scopes: tuple[str, ...], expires_at: datetime | None, as_json: bool) -> None:
    """Make one more key. It is shown this once."""
    with administration() as admin:
        trader = admin.store.find(id_or_name)
        issued = create_key(admin, trader.id, tuple(dict.fromkeys(scopes)), expires_at)
    stored = issued.stored
    answer = {
        "trader_id": str(trader.id),
        "key_id": str(stored.id),
        "api_key": issued.text,
        "scopes": list(stored.scopes),
        "expires_at": time_or_none(stored.expires_at),
    }
    if as_json:
        click.echo(json.dumps(answer))
        return
    for word, value in answer.items():
        click.echo(f"{word}: {', '.join(value) if isinstance(value, list) else value or 'never'}")
    click.echo("The key is stored hashed and is not shown again.", err=True)


@key.command("list")
@click.option("--trader", "id_or_name", required=True, help="The trader's id or name.")
@command
def list_keys(id_or_name: str) -> None:
    """Show a trader's keys, which are known by their beginnings."""
    with administration() as admin:
        keys = admin.store.keys(admin.store.find(id_or_name).id)
    for one in keys:
        ends = "no end"
        if one.revoked_at is not None:
            ends = f"revoked {time_or_none(one.revoked_at)}"
        elif one.expires_at is not None:
            ends = f"expires {time_or_none(one.expires_at)}"
        click.echo(f"{one.id}  {one.prefix}…  {','.join(one.scopes):<24}  {ends}")


@key.command("revoke")
@click.argument("id_or_prefix")
@command
def revoke(id_or_prefix: str) -> None:
    """End a key for good. Running processes refuse it within a second or two."""
    with administration() as admin:
        found = admin.store.find_key(id_or_prefix)
        revoked = revoke_key(admin, found)
    click.echo(f"{found.prefix}… {'is revoked' if revoked else 'was revoked before'}")
