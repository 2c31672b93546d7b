"""`sender list`, `sender ended`: senders that nobody here can prove to have ended."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.cli.surroundings import administrator, command, database, surroundings
from app.lifecycle.sender_ended import names, sender_ended
from app.senders import ProcessSenders
from app.storage.open_senders import OpenSender, open_senders

sender = AppGroup("sender", help="Processes that may still have an order on the wire.")


@sender.command("list")
@command
def list_senders() -> None:
    """Show senders that are not proven to have ended, and what can be told about them from this host."""
    here = ProcessSenders()
    with database("worker") as worker:
        found = open_senders(worker)
    for each in found:
        if here.lives(each.name):
            verdict = "runs on this host"
        elif here.has_ended(each.name, ""):
            verdict = "has ended: found at the next look"
        else:
            verdict = "cannot be told from here: see `sender ended`"
        click.echo(f"{each.name}: {len(each.order_ids)} orders, silent since {each.since.isoformat()}; {verdict}")
    if not found:
        click.echo("none: every submit's sender is proven to have ended")


@sender.command("ended")
@click.argument("name")
@click.option("--because", required=True, help="How you know: goes into the audit log with your name.")
@command
def ended(name: str, because: str) -> None:
    """Say that a sender has ended for good. NAME is a whole name of `sender list`, or its beginning up to a slash.

    Say it only when you know: its process was seen to be gone, its container was removed, its host was switched off. A
    silence proves nothing, because a paused process wakes up; then an order could be executed twice.
    """
    with database("worker") as worker:
        named = [each for each in open_senders(worker) if names(name, each.name)]
    _refuse_the_living(named)
    settings = surroundings()
    process = settings.start_worker(settings.settings)
    try:
        order_ids = sorted({order_id for each in named for order_id in each.order_ids})
        count = sender_ended(process.ports, name, order_ids, administrator(), because)
    finally:
        process.close()
    if not count:
        raise click.ClickException(f"no open order waits for a sender named {name}: `sender list` shows them")
    click.echo(
        f"{name} has ended, on your word: {count} submits of {len(order_ids)} orders; the venue is asked about them"
    )


def _refuse_the_living(named: list[OpenSender]) -> None:
    here = ProcessSenders()
    for each in named:
        if here.lives(each.name):
            pid = each.name.split("/")[-2]
            raise click.ClickException(f"{each.name} runs on this host (pid {pid}): end that process first")
