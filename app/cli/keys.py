"""`key create`, `key list`, `key rotate`, `key revoke`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flask.cli import AppGroup

from app.cli.amounts import Duration, Moment
from app.cli.surroundings import administration, command
from app.domain.documents import time_or_none
from app.lifecycle.traders import DEFAULT_SCOPES, SCOPES, SHOWN_OF_KEY, IssuedKey, create_key, revoke_key, rotate_key
from app.storage.api_keys import KEY_PREFIX
from app.storage.traders import StoredKey

key = AppGroup("key", help="API keys.")

_KEPT = "The key is stored hashed and is not shown again."


class Scopes(click.ParamType[tuple[str, ...]]):
    """Scopes, separated by commas."""

    name = "scopes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        scopes = tuple(dict.fromkeys(word.strip().lower() for word in str(value).split(",") if word.strip()))
        unknown = [word for word in scopes if word not in SCOPES]
        if unknown or not scopes:
            self.fail(f"{', '.join(unknown) or 'nothing'} is no scope: expected some of {','.join(SCOPES)}", param, ctx)
        return scopes


class SigningKey(click.ParamType[bytes]):
    """A file with an Ed25519 public key in PEM, as `openssl pkey -pubout` writes it; the 32 bytes of the key."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            loaded = load_pem_public_key(Path(str(value)).read_bytes())
        except OSError as error:
            self.fail(f"{value} cannot be read: {error.strerror}", param, ctx)
        except (ValueError, UnsupportedAlgorithm):
            loaded = None
        if not isinstance(loaded, Ed25519PublicKey):
            self.fail(f"{value} holds no Ed25519 public key in PEM: see `openssl pkey -pubout`", param, ctx)
        return loaded.public_bytes_raw()


@key.command("create")
@click.option("--trader", "id_or_name", required=True, help="The trader's id or name.")
@click.option("--scopes", type=Scopes(), default=None, help="What the key may do, such as trade,read (the default).")
@click.option(
    "--scope", "single", multiple=True, type=click.Choice(SCOPES), help="The same, once for each scope."
)  # fmt: skip
@click.option("--expires", "expires_at", type=Moment(), help="When it ends, such as 2027-01-31T00:00:00Z.")
@click.option(
    "--signing-key", type=SigningKey(), help="An Ed25519 public key: requests under the API key have to be signed."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def create(
    id_or_name: str,
    scopes: tuple[str, ...] | None,
    single: tuple[str, ...],
    expires_at: datetime | None,
    signing_key: bytes | None,
    as_json: bool,
) -> None:
    """Make one more key. It is shown this once."""
    wanted = tuple(dict.fromkeys((*(scopes or ()), *single))) or DEFAULT_SCOPES
    with administration() as admin:
        trader = admin.store.find(id_or_name)
        issued = create_key(admin, trader.id, wanted, expires_at, signing_key)
    _show(issued, as_json)


@key.command("rotate")
@click.argument("id_or_prefix")
@click.option(
    "--overlap", type=Duration(), default="24h", show_default=True, help="The old key works this long; 0s ends it now."
)
@click.option("--expires", "expires_at", type=Moment(), help="When the new key ends.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def rotate(id_or_prefix: str, overlap: timedelta, expires_at: datetime | None, as_json: bool) -> None:
    """Make a new key with the scopes of an old one, which ends after the overlap."""
    with administration() as admin:
        old = admin.store.find_key(_named(id_or_prefix))
        issued = rotate_key(admin, old, overlap, expires_at)
        ends_at = admin.store.find_key(str(old.id)).expires_at
    _show(issued, as_json, {"replaces": old.prefix, "replaced_key_expires_at": time_or_none(ends_at)})


@key.command("list")
@click.option("--trader", "id_or_name", required=True, help="The trader's id or name.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@command
def list_keys(id_or_name: str, as_json: bool) -> None:
    """Show a trader's keys, which are known by their beginnings. Last uses are known to the minute or so."""
    with administration() as admin:
        keys = admin.store.keys(admin.store.find(id_or_name).id)
    if as_json:
        click.echo(json.dumps([_described(one) for one in keys]))
        return
    for one in keys:
        ends = "no end"
        if one.revoked_at is not None:
            ends = f"revoked {time_or_none(one.revoked_at)}"
        elif one.expires_at is not None:
            ends = f"expires {time_or_none(one.expires_at)}"
        used = f"last used {time_or_none(one.last_used_at)}" if one.last_used_at else "not used"
        signs = "  signs" if one.signing_key else ""
        click.echo(f"{one.id}  {one.prefix}…  {','.join(one.scopes):<24}  {ends}  {used}{signs}")


@key.command("revoke")
@click.argument("id_or_prefix")
@command
def revoke(id_or_prefix: str) -> None:
    """End a key for good. Running processes refuse it within a second or two."""
    with administration() as admin:
        found = admin.store.find_key(_named(id_or_prefix))
        revoked = revoke_key(admin, found)
    click.echo(f"{found.prefix}… {'is revoked' if revoked else 'was revoked before'}")


def _named(id_or_prefix: str) -> str:
    """Whoever holds the key may give the whole of it; only its beginning is known here, and none of it is repeated."""
    return id_or_prefix[:SHOWN_OF_KEY] if id_or_prefix.startswith(KEY_PREFIX) else id_or_prefix


def _show(issued: IssuedKey, as_json: bool, more: dict[str, str | None] | None = None) -> None:
    stored = issued.stored
    answer = {
        "trader_id": str(stored.trader_id),
        "key_id": str(stored.id),
        "api_key": issued.text,
        "scopes": list(stored.scopes),
        "expires_at": time_or_none(stored.expires_at),
        "signature_required": stored.signing_key is not None,
        **(more or {}),
    }
    if as_json:
        click.echo(json.dumps(answer))
        return
    for word, value in answer.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        click.echo(f"{word}: {', '.join(value) if isinstance(value, list) else value or 'never'}")
    click.echo(_KEPT, err=True)


def _described(one: StoredKey) -> dict[str, object]:
    return {
        "key_id": str(one.id),
        "prefix": one.prefix,
        "scopes": list(one.scopes),
        "created_at": time_or_none(one.created_at),
        "expires_at": time_or_none(one.expires_at),
        "revoked_at": time_or_none(one.revoked_at),
        "last_used_at": time_or_none(one.last_used_at),
        "signature_required": one.signing_key is not None,
    }
