"""`venue-credentials`: from standard input into the database, sealed, and out again for a worker."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import click.testing
import pytest
from flask import Flask

from app import cli
from app.sealed import SecretsKeys, new_key
from app.settings import Settings, SettingsError
from app.wiring import worker_process
from tests.cli.conftest import Console

SECRET = "canary-venue-secret"
GIVEN = f"canary-key-id\n{SECRET}\n"


def _with_keys(settings: Settings, *keys: str) -> Settings:
    return dataclasses.replace(settings, secrets_keys=SecretsKeys.read("\n".join(keys)) if keys else None)


def _run(settings: Settings, *words: str, given: str = "") -> click.testing.Result:
    app = Flask("app", static_folder=None)
    cli.register(app, settings, worker_process)
    return app.test_cli_runner().invoke(args=["venue-credentials", *words], input=given)


def test_credentials_are_sealed_and_a_worker_opens_them(console: Console) -> None:
    key = new_key("first")
    settings = _with_keys(console.settings, key)
    said = _run(settings, "set", "simulator", given=GIVEN)
    assert said.exit_code == 0, said.output
    assert "canary" not in said.output
    ((content,),) = console.sql("owner", "SELECT v::text FROM venue_credentials v")
    assert "canary" not in content
    ((sealed,),) = console.sql("worker", "SELECT sealed FROM venue_credentials")
    assert b"canary" not in bytes(sealed)
    without = dataclasses.replace(settings, apca_api_key_id="", apca_api_secret_key="")
    with closing(worker_process(without)) as process:
        assert (process.credentials.key_id, process.credentials.secret_key) == ("canary-key-id", SECRET)
        assert "canary" not in repr(process.credentials)
    # what the environment says comes first
    with closing(worker_process(settings)) as process:
        assert process.credentials.secret_key == settings.apca_api_secret_key
    for keys in ([], [new_key("second")], [new_key("first")]):
        with pytest.raises(SettingsError, match="simulator"):
            worker_process(_with_keys(without, *keys))


def test_keys_rotate_and_credentials_are_sealed_anew(console: Console) -> None:
    old, new = new_key("old"), new_key("new")
    assert _run(_with_keys(console.settings, old), "set", "alpaca", given=GIVEN).exit_code == 0
    assert "sealed with old" in _run(console.settings, "list").output
    assert _run(_with_keys(console.settings, new, old), "reseal").exit_code == 0
    assert "sealed with new" in _run(console.settings, "list").output
    assert "cannot be opened" in _run(_with_keys(console.settings, old), "reseal").output
    assert "any more" in _run(console.settings, "remove", "alpaca").output
    assert "had no" in _run(console.settings, "remove", "alpaca").output


@pytest.mark.parametrize("given", ["", "only-a-key-id\n", "\n\n", "key\n\x00\n"])
def test_half_a_credential_is_refused(console: Console, given: str) -> None:
    said = _run(_with_keys(console.settings, new_key("x")), "set", "alpaca", given=given)
    assert said.exit_code == 1
    assert "is missing" in said.output
    assert console.sql("owner", "SELECT count(*) FROM venue_credentials") == [(0,)]


def test_without_a_key_nothing_is_stored(console: Console) -> None:
    said = _run(console.settings, "set", "alpaca", given=GIVEN)
    assert said.exit_code == 2
    assert "SUREFILL_SECRETS_KEY_FILE" in said.output
    made = _run(console.settings, "new-key", "--name", "k").output
    assert SecretsKeys.read(made).seal(b"", "")[0] == "k"
