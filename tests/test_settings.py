"""The configuration table: defaults, types, and one clear line for every wrong value."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import PROJECT_ROOT, RateLimit, Settings, SettingsError, load_settings

EMBEDDED = {
    "DATABASE_URL": "postgresql://surefill_owner:s3cret%40@127.0.0.1:5433/surefill",
    "REDIS_URL": "redis://:hush@127.0.0.1:6380/0",
    "SIMULATOR_URL": "http://127.0.0.1:8010",
}
OWN_VENUE = EMBEDDED | {
    "APCA_API_BASE_URL": "https://paper-api.alpaca.markets",
    "APCA_API_KEY_ID": "key",
    "APCA_API_SECRET_KEY": "venue-secret",
    "VENUE_CLIENT_ID_UNIQUENESS": "open_orders",
}


def test_unset_variables_take_the_documented_defaults() -> None:
    settings = Settings.from_environment(EMBEDDED)

    assert settings.port == 8000
    assert settings.celery_broker_url == settings.redis_url
    assert settings.apca_api_base_url == settings.apca_api_data_url == "http://127.0.0.1:8010"
    assert settings.apca_api_stream_url == "ws://127.0.0.1:8010/stream"
    assert settings.venue_client_id_uniqueness == "permanent"
    assert settings.venue_max_in_flight_seconds == 30
    assert settings.order_execution_v2_enabled == 100
    assert settings.order_retry_max_attempts == 3
    assert settings.order_retry_backoff_seconds == 1
    assert settings.order_timeout_seconds == 120
    assert settings.exchange_timeout_seconds == 5
    assert settings.exchange_api_rate_limit is None
    assert settings.order_rate_limit_per_minute == 100
    assert settings.duplicate_window_seconds == 5
    assert settings.lease_seconds == 8


def test_a_venue_of_ones_own_has_its_throttle_and_its_derived_addresses() -> None:
    settings = Settings.from_environment(OWN_VENUE)

    assert not settings.uses_simulator
    assert settings.apca_api_data_url == "https://data.alpaca.markets"
    assert settings.apca_api_stream_url == "wss://paper-api.alpaca.markets/stream"
    assert settings.exchange_api_rate_limit == RateLimit(count=200, seconds=60)


@pytest.mark.parametrize("missing", ["APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "VENUE_CLIENT_ID_UNIQUENESS"])
def test_what_a_venue_of_ones_own_needs_is_never_guessed(missing: str) -> None:
    environ = {name: value for name, value in OWN_VENUE.items() if name != missing}

    with pytest.raises(SettingsError, match=f"^{missing} must be set"):
        Settings.from_environment(environ)


@pytest.mark.parametrize(
    ("text", "percentage"), [("true", 100), ("FALSE", 0), ("0", 0), ("1", 1), ("25", 25), ("100", 100)]
)
def test_the_execution_flag_is_a_percentage_of_traders(text: str, percentage: int) -> None:
    settings = Settings.from_environment(EMBEDDED | {"ORDER_EXECUTION_V2_ENABLED": text})

    assert settings.order_execution_v2_enabled == percentage


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("PORT", "\uff18\uff10"),
        ("DATABASE_URL", "mysql://u:p@h/db"),
        ("DATABASE_URL_WORKER", "h/db"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("CELERY_BROKER_URL", "kafka://h"),
        ("APCA_API_BASE_URL", "paper-api.alpaca.markets"),
        ("APCA_API_STREAM_URL", "https://h/stream"),
        ("VENUE_CLIENT_ID_UNIQUENESS", "always"),
        ("VENUE_MAX_IN_FLIGHT_SECONDS", "-1"),
        ("ORDER_EXECUTION_V2_ENABLED", "101"),
        ("ORDER_EXECUTION_V2_ENABLED", "0.5"),
        ("ORDER_RETRY_MAX_ATTEMPTS", "three"),
        ("ORDER_RETRY_BACKOFF_SECONDS", "0"),
        ("ORDER_RETRY_BACKOFF_SECONDS", "0.5"),
        ("ORDER_TIMEOUT_SECONDS", "nan"),
        ("EXCHANGE_TIMEOUT_SECONDS", "0"),
        ("EXCHANGE_TIMEOUT_SECONDS", "1e999"),
        ("EXCHANGE_API_RATE_LIMIT", "200"),
        ("ORDER_RATE_LIMIT_PER_MINUTE", "0"),
        ("DUPLICATE_WINDOW_SECONDS", "soon"),
        ("LEASE_SECONDS", "5"),
        ("LOG_LEVEL", "chatty"),
        ("WEB_CONCURRENCY", "-2"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable_and_what_is_expected(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(OWN_VENUE | {name: value})

    message = str(caught.value)
    assert message.startswith(name)
    assert "expected" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:p@a:5432,b:5432/surefill"),
        ("DATABASE_URL_API", "postgresql:///surefill?host=/run/postgresql"),
        ("CELERY_BROKER_URL", "sentinel://a:26379;sentinel://b:26379"),
        ("CELERY_BROKER_URL", "amqp://guest:guest@rabbit//"),
    ],
)
def test_addresses_with_several_hosts_or_with_a_socket_are_taken(name: str, value: str) -> None:
    assert getattr(Settings.from_environment(EMBEDDED | {name: value}), name.lower()) == value.rstrip("/")


def test_a_secret_is_neither_in_the_message_of_a_wrong_url_nor_in_repr() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(EMBEDDED | {"REDIS_URL": "http://:hush@h"})
    assert "hush" not in str(caught.value)

    shown = repr(Settings.from_environment(OWN_VENUE))
    assert not any(secret in shown for secret in ("s3cret", "hush", "venue-secret"))


def test_the_logins_are_derived_from_the_owners_password() -> None:
    settings = Settings.from_environment(EMBEDDED)

    expected = hmac.new(b"s3cret@", b"surefill_api", hashlib.sha256).hexdigest()
    assert settings.logins()["surefill_api"] == expected
    assert set(settings.logins()) == {"surefill_api", "surefill_worker", "surefill_compliance"}
    assert settings.sqlalchemy_url("api") == f"postgresql+psycopg2://surefill_api:{expected}@127.0.0.1:5433/surefill"
    assert settings.sqlalchemy_url("owner").startswith("postgresql+psycopg2://surefill_owner:")


def test_a_process_that_got_its_own_login_only_does_not_have_the_owners() -> None:
    settings = Settings.from_environment(
        {
            "DATABASE_URL_WORKER": "postgresql://surefill_worker:w@h/surefill",
            "REDIS_URL": "redis://h/0",
            "SIMULATOR_URL": "http://h:1",
        }
    )

    assert settings.sqlalchemy_url("worker") == "postgresql+psycopg2://surefill_worker:w@h/surefill"
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        settings.sqlalchemy_url("owner")


def test_an_owner_without_a_password_cannot_lend_logins() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL has no password"):
        Settings.from_environment(EMBEDDED | {"DATABASE_URL": "postgresql://owner@h/surefill"})


def test_the_environment_wins_over_the_env_file_and_both_over_the_embedded_system(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nLOG_LEVEL=DEBUG\n")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "embedded.env").write_text("".join(f"{name}={value}\n" for name, value in EMBEDDED.items()))

    settings = load_settings({"PORT": "9002", "LOG_LEVEL": ""}, tmp_path)

    assert (settings.port, settings.log_level) == (9002, "DEBUG")
    assert settings.redis_url == EMBEDDED["REDIS_URL"]


def test_a_database_of_ones_own_is_never_mixed_with_the_embedded_one(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "embedded.env").write_text("".join(f"{name}={value}\n" for name, value in EMBEDDED.items()))

    settings = load_settings({"DATABASE_URL_API": "postgresql://mine:p@elsewhere/surefill"}, tmp_path)

    assert settings.database_url == settings.database_url_worker == ""
    assert settings.logins() == {}


def test_an_entry_point_prints_the_line_and_leaves_with_status_2() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from app.settings import load_settings_or_exit; load_settings_or_exit()"],
        cwd=PROJECT_ROOT,
        env=os.environ | EMBEDDED | {"PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr == "surefill: PORT is 'eighty': expected an integer from 1 to 65535\n"


def test_reading_the_settings_loads_no_framework() -> None:
    heavy = "{'flask', 'celery', 'sqlalchemy', 'redis'}"
    subprocess.run(
        [sys.executable, "-c", f"import sys, app.settings; assert not {heavy} & set(sys.modules)"],
        cwd=PROJECT_ROOT,
        check=True,
    )
