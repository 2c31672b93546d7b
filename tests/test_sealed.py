"""Secrets at rest: what is sealed opens with its key and for its purpose, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sealed import CannotOpen, SecretsKeys, WrongKeys, new_key
from app.settings import Settings, SettingsError


def test_what_is_sealed_opens_for_its_purpose_only() -> None:
    keys = SecretsKeys.read(new_key("first"))
    name, sealed = keys.seal(b"secret", "a")
    assert (name, b"secret" in sealed) == ("first", False)
    assert keys.open(name, sealed, "a") == b"secret"
    assert keys.seal(b"secret", "a")[1] != sealed
    for stored, purpose in (
        (sealed, "b"),
        (sealed[:-1], "a"),
        (b"", "a"),
        (sealed[:12], "a"),
        (b"x" + sealed[1:], "a"),
    ):
        with pytest.raises(CannotOpen):
            keys.open(name, stored, purpose)


def test_keys_change_one_after_the_other() -> None:
    old, new = new_key("2026-01"), new_key("2026-02")
    name, sealed = SecretsKeys.read(old).seal(b"secret", "a")
    both = SecretsKeys.read(f"{new}\n{old}\n")
    assert both.open(name, sealed, "a") == b"secret"
    name, sealed = both.seal(b"secret", "a")
    assert SecretsKeys.read(new).open(name, sealed, "a") == b"secret"
    with pytest.raises(CannotOpen, match="2026-02"):
        SecretsKeys.read(old).open(name, sealed, "a")
    with pytest.raises(CannotOpen):  # another key under the same name
        SecretsKeys.read(new_key("2026-02")).open(name, sealed, "a")


@pytest.mark.parametrize(
    "text",
    ["", "x", "a:AAAA", f"{new_key('a')},{new_key('a')}", f"a b:{'A' * 44}", "a:" + "A" * 43],
    ids=["empty", "no name", "short", "one name twice", "a space", "cut"],
)
def test_a_key_that_is_none_is_refused_without_being_shown(text: str) -> None:
    if text == "a:" + "A" * 43:
        SecretsKeys.read(text)  # padding may be missing
        return
    with pytest.raises(WrongKeys) as refusal:
        SecretsKeys.read(text)
    assert "AAAA" not in str(refusal.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secrets-key"
    file.write_text(new_key("first"))
    environment = {
        "DATABASE_URL": "postgresql://o:p@127.0.0.1/d",
        "REDIS_URL": "redis://127.0.0.1",
        "SIMULATOR_URL": "http://127.0.0.1:9",
        "SUREFILL_SECRETS_KEY_FILE": str(file),
    }
    for mode, works in ((0o600, True), (0o400, True), (0o640, False), (0o604, False)):
        file.chmod(mode)
        if works:
            settings = Settings.from_environment(environment)
            assert settings.secrets_keys is not None
            assert new_key("first")[:10] not in repr(settings)
            assert file.read_text().partition(":")[2] not in repr(settings)
        else:
            with pytest.raises(SettingsError, match="SUREFILL_SECRETS_KEY_FILE"):
                Settings.from_environment(environment)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="both set"):
        Settings.from_environment({**environment, "SUREFILL_SECRETS_KEY": new_key("x")})


def test_only_a_process_that_calls_the_venue_needs_its_credentials() -> None:
    venue = {"APCA_API_BASE_URL": "https://venue.example", "VENUE_CLIENT_ID_UNIQUENESS": "none"}
    common = {"REDIS_URL": "redis://127.0.0.1", **venue}
    web = Settings.from_environment({"DATABASE_URL_API": "postgresql://a:p@127.0.0.1/d", **common})
    assert web.apca_api_secret_key == ""
    worker = {"DATABASE_URL_WORKER": "postgresql://a:p@127.0.0.1/d", **common}
    with pytest.raises(SettingsError, match="APCA_API_KEY_ID"):
        Settings.from_environment(worker)
    Settings.from_environment({**worker, "SUREFILL_SECRETS_KEY": new_key("x")})
