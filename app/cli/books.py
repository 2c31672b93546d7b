"""`books compare`: our books against the venue account's, now."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.cli.surroundings import administrator, command, surroundings
from app.domain.money import plain
from app.domain.venue_answers import OutcomeUnknown

books = AppGroup("books", help="The traders' books and the venue account's.")


@books.command("compare")
@command
def compare() -> None:
    """Compare cash and positions with the venue account's; drift is alarmed and changes nothing."""
    settings = surroundings()
    worker = settings.start_worker(settings.settings)
    try:
        found = worker.book_comparison().run_once(administrator().name)
    finally:
        worker.close()
    if isinstance(found, OutcomeUnknown):
        raise click.ClickException(f"the venue did not say what the account holds: {found.message}")
    if found.agrees:
        click.echo(f"{found.venue}: cash and positions agree; {plain(found.house_cash)} is the house's own")
        return
    for symbol, drift in found.position_drifts.items():
        click.echo(f"{symbol}: the venue has {drift:+f} against our books")
    if found.cash_drift:
        click.echo(f"cash: the venue has {found.cash_drift:+f} against our books")
    raise click.ClickException("the books differ; nothing was changed: `audit` has the alarm")
