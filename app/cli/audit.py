"""`audit verify`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.cli.surroundings import command, database
from app.storage.audit_reads import Verification, verify

audit = AppGroup("audit", help="The audit log.")

MOST_SHOWN = 20


@audit.command("verify")
@command
def verify_log() -> None:
    """Recompute every hash of the audit log; exit with status 1 when one does not hold."""
    with database("compliance") as reader:
        found: Verification = verify(reader)
    for fault in found.breaks[:MOST_SHOWN]:
        click.echo(fault, err=True)
    if len(found.breaks) > MOST_SHOWN:
        click.echo(f"… and {len(found.breaks) - MOST_SHOWN} more", err=True)
    click.echo(f"{found.rows} rows in {found.chains} chains checked: {len(found.breaks) or 'no'} broken")
    if found.breaks:
        raise SystemExit(1)
