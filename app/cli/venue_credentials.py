"""`venue-credentials set`, `list`, `remove`, `reseal`, `new-key`: secrets come in on standard input, never as words."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from app.cli.surroundings import administration, command, database, surroundings
from app.domain.documents import time_or_none
from app.lifecycle.venue_keys import keep_credentials, remove_credentials
from app.sealed import SecretsKeys, new_key
from app.settings import SettingsError
from app.storage.venue_credentials import PostgresVenueCredentials
from app.venue_credentials import NoCredentials, VenueCredentials, opened, sealed

venue_credentials = AppGroup("venue-credentials", help="Venues' credentials, sealed in the database.")

_LONGEST = 1000


@venue_credentials.command("set")
@click.argument("venue")
@command
def set_credentials(venue: str) -> None:
    """Seal a venue's credentials: on standard input, two lines, the key id and the secret key."""
    keys = _keys()
    given = VenueCredentials(_line("key id"), _line("secret key"))
    with database("owner") as owner, administration() as admin:
        store = PostgresVenueCredentials(owner)
        keep_credentials(admin, store, sealed(venue, given, keys, datetime.now(UTC)), "They were set.")
    click.echo(f"the credentials of {venue} are sealed; processes that start from now on use them")


@venue_credentials.command("list")
@command
def list_credentials() -> None:
    """Show which venues have credentials here, and the names of the keys that sealed them."""
    with database("owner") as owner:
        for one in PostgresVenueCredentials(owner).all():
            click.echo(f"{one.venue}  sealed with {one.sealed_with}  {time_or_none(one.updated_at)}")


@venue_credentials.command("remove")
@click.argument("venue")
@command
def remove(venue: str) -> None:
    """Forget a venue's credentials."""
    with database("owner") as owner, administration() as admin:
        removed = remove_credentials(admin, PostgresVenueCredentials(owner), venue)
    click.echo(f"{venue} {'has no credentials here any more' if removed else 'had no credentials here'}")


@venue_credentials.command("reseal")
@command
def reseal() -> None:
    """Seal all of them anew with the first key that is set: the last step before an old key is thrown away."""
    keys, count = _keys(), 0
    with database("owner") as owner, administration() as admin:
        store = PostgresVenueCredentials(owner)
        for one in store.all():
            try:
                anew = sealed(one.venue, opened(one, keys), keys, datetime.now(UTC))
            except NoCredentials as error:
                raise click.ClickException(str(error)) from None
            keep_credentials(admin, store, anew, "The same ones were sealed with another key.")
            count += 1
    click.echo(f"{count} sealed anew")


@venue_credentials.command("new-key")
@click.option("--name", help="The key's name; this month unless given.")
def make_key(name: str | None) -> None:
    """Print a new key for SUREFILL_SECRETS_KEY or its file. It is stored nowhere."""
    click.echo(new_key(name or f"{datetime.now(UTC):%Y-%m}"))


def _keys() -> SecretsKeys:
    keys = surroundings().settings.secrets_keys
    if keys is None:
        raise SettingsError(
            "SUREFILL_SECRETS_KEY_FILE is not set: expected a file with a key that `venue-credentials new-key` makes"
        )
    return keys


def _line(what: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"The venue's {what}: ")
    text = sys.stdin.readline(_LONGEST).strip()
    if not text or not text.isascii() or not text.isprintable():
        raise click.ClickException(f"the {what} is missing: two lines are expected, the key id and the secret key")
    return text
