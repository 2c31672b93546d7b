"""`orphans`: orders at the venue that are not ours, as the comparison found them."""

from __future__ import annotations

import json

import click

from app.cli.surroundings import command, database
from app.domain.money import plain
from app.storage.transaction import Call
from app.storage.venue_books import ORPHANS


@click.command("orphans")
@command
def orphans() -> None:
    """List orders that the venue has and that are not ours. They are never touched: end them at the venue itself."""
    with database("owner") as owner:
        rows = owner.read(Call(ORPHANS))
    for at, venue, venue_order_id, symbol, side, quantity, filled, details in rows:
        known = details if isinstance(details, dict) else json.loads(details or "{}")
        click.echo(
            f"{at.isoformat()} {venue} {venue_order_id} ({known.get('client_order_id')}): {side} {plain(quantity)} "
            f"{symbol}, {plain(filled)} filled, {known.get('status')} when it was found"
        )
    if not rows:
        click.echo("none: every order that the venue has listed is one of ours")
