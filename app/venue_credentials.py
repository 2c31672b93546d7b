"""A venue's credentials: those of the environment, or else those that are sealed in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from app.sealed import CannotOpen, SecretsKeys
from app.storage.venue_credentials import PostgresVenueCredentials, SealedCredentials


class NoCredentials(Exception):
    """There are none, or they cannot be opened. The message says what to do."""


@dataclass(frozen=True, slots=True)
class VenueCredentials:
    """What a venue asks for."""

    key_id: str = field(repr=False)
    secret_key: str = field(repr=False)


def sealed(venue: str, credentials: VenueCredentials, keys: SecretsKeys, now: datetime) -> SealedCredentials:
    """The credentials as they are stored."""
    text = json.dumps({"key_id": credentials.key_id, "secret_key": credentials.secret_key})
    name, content = keys.seal(text.encode(), _purpose(venue))
    return SealedCredentials(venue, name, content, now)


def opened(found: SealedCredentials, keys: SecretsKeys) -> VenueCredentials:
    """Raises NoCredentials."""
    try:
        content = json.loads(keys.open(found.sealed_with, found.sealed, _purpose(found.venue)))
    except CannotOpen as error:
        raise NoCredentials(f"the credentials of {found.venue} cannot be opened: {error}") from None
    return VenueCredentials(content["key_id"], content["secret_key"])


def credentials_of(
    venue: str, given: VenueCredentials | None, keys: SecretsKeys | None, store: PostgresVenueCredentials
) -> VenueCredentials:
    """Those that are given, or those that are stored. Raises NoCredentials, DatabaseUnavailable."""
    if given is not None:
        return given
    if keys is None:
        raise NoCredentials(f"{venue} has no credentials: set APCA_API_KEY_ID and APCA_API_SECRET_KEY")
    found = store.find(venue)
    if found is None:
        raise NoCredentials(f"{venue} has no credentials: run `flask --app app venue-credentials set {venue}`")
    return opened(found, keys)


def _purpose(venue: str) -> str:
    return f"credentials of the venue {venue}"
