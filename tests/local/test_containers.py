"""docker-compose.yml runs the same system as `make run`: the same processes, the same settings, the same rights."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import Any

import pytest
import yaml

from app.settings import PROJECT_ROOT, VARIABLES, Settings
from local.procfile import read_procfile

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROCFILE = read_procfile(PROJECT_ROOT / "Procfile")

# Every key the file uses, as the Compose Specification spells it: a misspelt one is ignored without a word.
SERVICE_KEYS = {
    *("build", "cap_drop", "command", "configs", "depends_on", "environment", "healthcheck", "image", "init", "ports"),
    *("read_only", "restart", "security_opt", "shm_size", "stop_grace_period", "stop_signal", "tmpfs", "volumes"),
}


@pytest.mark.parametrize("name", SERVICES)
def test_no_key_is_misspelt(name: str) -> None:
    assert set(SERVICES[name]) <= SERVICE_KEYS
    assert set(SERVICES[name].get("healthcheck", {})) <= {"test", "interval", "timeout", "retries", "start_period"}
    assert set(COMPOSE) == {key for key in COMPOSE if key.startswith("x-")} | {"services", "configs", "volumes"}


@pytest.mark.parametrize("name", PROCFILE)
def test_every_process_of_the_procfile_is_a_service_with_the_same_command(name: str) -> None:
    # The image's own command is the web process; variables before a command stand under `environment`.
    expected = [word for word in PROCFILE[name] if word != "env" and "=" not in word]
    default = re.search(r"^CMD (\[.*\])$", (PROJECT_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert default is not None

    assert SERVICES[name].get("command", yaml.safe_load(default[1])) == expected
    assigned = dict(word.split("=", 1) for word in PROCFILE[name] if re.fullmatch(r"[A-Z_]+=\S*", word))
    assert assigned.items() <= SERVICES[name]["environment"].items()


@pytest.mark.parametrize("name", [*PROCFILE, "postgres", "redis"])
def test_every_long_running_service_is_watched_and_started_again(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["stop_grace_period"]


def test_a_worker_has_longer_to_stop_than_its_soft_shutdown_takes() -> None:
    lease = next(field.default for field in dataclasses.fields(Settings) if field.name == "lease_seconds")
    assert isinstance(lease, float)

    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > 2 * lease


def test_redis_keeps_its_queue_and_evicts_nothing() -> None:
    words = shlex.split(SERVICES["redis"]["command"][-1].replace("$$", "$"))

    assert words[words.index("--appendonly") + 1] == "yes"
    assert words[words.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize(
    ("name", "logins"),
    [
        ("migrate", {"DATABASE_URL", "DATABASE_URL_API", "DATABASE_URL_WORKER", "DATABASE_URL_COMPLIANCE"}),
        ("web", {"DATABASE_URL_API", "DATABASE_URL_COMPLIANCE"}),
        ("worker", {"DATABASE_URL_WORKER"}),
        ("listener", {"DATABASE_URL_WORKER"}),
        ("sweeper", {"DATABASE_URL_WORKER"}),
        ("quotes", {"DATABASE_URL_WORKER"}),
        ("sequencer", {"DATABASE_URL_COMPLIANCE"}),
        ("simulator", set()),
    ],
)
def test_each_service_has_the_logins_it_needs_and_no_more(name: str, logins: set[str]) -> None:
    assert {variable for variable in SERVICES[name]["environment"] if variable.startswith("DATABASE_URL")} == logins


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_the_settings_of_a_service_are_read_as_they_stand(name: str) -> None:
    passwords = {"DATABASE_OWNER_PASSWORD": "own", "DATABASE_WORKER_PASSWORD": "wrk", "REDIS_PASSWORD": "red"}
    environment = {
        variable: _interpolated(str(text), passwords) for variable, text in SERVICES[name]["environment"].items()
    }
    settings = Settings.from_environment(environment)

    assert settings.redis_url == "redis://:red@redis:6379/0"
    assert settings.apca_api_base_url == "http://simulator:8010"
    if name == "migrate":
        assert settings.logins()["surefill_worker"] == "wrk"
    assert {variable for variable in environment if variable != "REMAP_SIGTERM"} <= VARIABLES


def test_every_required_variable_is_in_the_example_file() -> None:
    text = (PROJECT_ROOT / "docker-compose.yml").read_text()
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))

    assert required
    assert required <= set(re.findall(r"^([A-Z_]+)=$", (PROJECT_ROOT / ".env.example").read_text(), re.MULTILINE))


def test_no_secret_and_no_data_gets_into_the_image() -> None:
    ignored = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()

    assert "*" in ignored
    assert not [line for line in ignored if line.startswith("!") and re.search(r"env|var|\.git", line)]


def _interpolated(text: str, values: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values.get(match[1], "secret" if match[2] == "?" else match[3])

    return re.sub(r"\$\{([A-Z0-9_]+):([?-])([^}]*)\}", value, text)
