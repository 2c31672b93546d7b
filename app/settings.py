"""Surefill's settings: read once from the environment, checked, frozen.

A wrong value is a :class:`SettingsError` whose text is one line that names the variable and says what is expected;
entry points call :func:`load_settings_or_exit`, which prints that line and leaves with status 2.

This module imports neither Flask nor Celery nor SQLAlchemy, so that every process can read its settings first.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, cast, get_args
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from dotenv import dotenv_values

from app.sealed import SecretsKeys, WrongKeys

ClientIdUniqueness = Literal["permanent", "open_orders", "none"]
"""What a venue does with a repeated client order id: refuses it for good, only while the first is open, or never."""

WashTradesOf = Literal["account", "trader", "off"]
"""Whose resting orders an order must not meet."""

DatabaseLogin = Literal["owner", "api", "worker", "compliance"]
"""Whose rights a database connection has. Processes use the last three; only the migration step is the owner."""

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent

# The three logins own nothing and bypass nothing; the migration step creates them.
LOGIN_NAMES: Final[Mapping[DatabaseLogin, str]] = {
    "api": "surefill_api",
    "worker": "surefill_worker",
    "compliance": "surefill_compliance",
}

# The simulator trades nothing of worth and listens on the loopback interface, so its credentials are no secret.
SIMULATOR_KEY_ID: Final = "SIMULATORKEY"
SIMULATOR_SECRET_KEY: Final = "simulator-secret"  # noqa: S105 - see the line above

# What `make run` writes into the data folder so that the command line finds the running system.
EMBEDDED_ENVIRONMENT_FILE: Final = "embedded.env"

_DATABASE_VARIABLES: Final = ("DATABASE_URL", "DATABASE_URL_API", "DATABASE_URL_WORKER", "DATABASE_URL_COMPLIANCE")
_DATABASE_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg2")
_REDIS_SCHEMES: Final = ("redis", "rediss")
_BROKER_SCHEMES: Final = ("redis", "rediss", "sentinel", "amqp", "amqps")
_ALPACA_DATA_URL: Final = "https://data.alpaca.markets"
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_RATE_UNITS: Final[Mapping[str, int]] = {"second": 1, "minute": 60, "hour": 3600}

# A lease outlives one venue call by this much: time to write down what the call said.
_LEASE_MARGIN_SECONDS: Final = 3.0


class SettingsError(ValueError):
    """A variable is missing or wrong. The message is one line: the variable and what is expected."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` calls in any `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every variable of the configuration table; a field is the lower-case name of its variable.

    URLs that carry passwords and the venue's credentials are kept out of `repr`.
    """

    port: int = 8000
    bind_address: str = "127.0.0.1"
    """The interface the web processes listen on; 0.0.0.0 inside a container."""
    hsts_seconds: int = 0
    """How long browsers shall insist on TLS for this host (Strict-Transport-Security). 0, without TLS: nothing said."""
    data_folder: Path = PROJECT_ROOT / "var"

    database_url: str = field(default="", repr=False)
    """The migrating owner. Empty in a process that was given its own login only."""
    database_url_api: str = field(default="", repr=False)
    database_url_worker: str = field(default="", repr=False)
    database_url_compliance: str = field(default="", repr=False)
    database_pool_size_api: int = 10
    """Connections each web process keeps."""
    database_pool_size_worker: int = 2
    """Connections each worker, listener, sweeper or quotes process keeps."""
    database_pool_timeout_seconds: float = 5.0
    """How long a request waits for a free connection before it is answered 503."""

    redis_url: str = field(repr=False)
    celery_broker_url: str = field(repr=False)

    apca_api_base_url: str
    apca_api_data_url: str
    apca_api_stream_url: str
    apca_api_key_id: str = field(repr=False)
    apca_api_secret_key: str = field(repr=False)
    surefill_secrets_key: str = field(default="", repr=False)
    surefill_secrets_key_file: Path | None = None
    secrets_keys: SecretsKeys | None = None
    """What opens the venue credentials that are sealed in the database, read from one of the two above."""
    uses_simulator: bool
    """True when the default venue is the simulator that comes with Surefill."""
    venue_client_id_uniqueness: ClientIdUniqueness
    venue_max_in_flight_seconds: float = 30.0
    """An unanswered request can no longer be executed by the venue this long after its sender has ended."""

    order_execution_v2_enabled: int = 100
    """Per cent of traders, 0 to 100, whose orders take the execution path with autoretry."""
    order_retry_max_attempts: int = 3
    """Retries after the first attempt."""
    order_retry_backoff_seconds: int = 1
    """The first delay; doubles each time."""
    order_timeout_seconds: float = 120.0
    """A MARKET order not filled by then is cancelled; 0 is never."""
    exchange_timeout_seconds: float = 5.0
    """The longest one call to the venue may take."""
    exchange_api_rate_limit: RateLimit | None = None
    """Our own throttle towards the venue; None is no throttle."""
    order_rate_limit_per_minute: int = 100
    duplicate_window_seconds: float = 5.0
    """A repeated order within this window needs the trader's confirmation; 0 switches the check off."""
    lease_seconds: float = 8.0
    """How long a worker owns an order it claimed. Longer than one venue call; and an order whose worker was
    killed is settled within ten seconds, so not much longer."""
    reference_price_max_age_seconds: float = 60.0
    """A stored quote older than this prices no MARKET order."""
    price_collar_bps: int = 1000
    """A LIMIT may be this many basis points beyond the market, and a MARKET BUY reserves so much above the ask: ten per
    cent, where an exchange's clearly erroneous range begins. 0 is no collar."""
    commission_bps: Decimal = Decimal(0)
    """The house's fee schedule, for executions whose commission the venue does not tell: of their worth."""
    commission_per_unit: Decimal = Decimal(0)
    """The same, for each unit, in the account's currency."""
    wash_trades_of: WashTradesOf = "account"
    """Whose resting orders an order must not meet: everybody's in the venue account, the trader's own, or nobody's. For
    the simulator the trader's own, unless it is set: there an account's orders never meet."""

    audit_folder: Path = PROJECT_ROOT / "var" / "audit"
    """Where the audit log's tree and its signed checkpoints are kept: not in the database."""
    audit_signing_key_file: Path = PROJECT_ROOT / "var" / "audit" / "signing-key.pem"
    audit_checkpoint_seconds: float = 2.0
    """How often the audit log's tree takes in what was committed, and is signed."""

    web_concurrency: int = 2
    worker_concurrency: int = 4
    log_level: str = "INFO"

    def sqlalchemy_url(self, login: DatabaseLogin) -> str:
        """The URL for SQLAlchemy's `create_engine`, with the psycopg2 driver named.

        Raises :class:`SettingsError` when this process was not given that login.
        """
        variable, url = {
            "owner": ("DATABASE_URL", self.database_url),
            "api": ("DATABASE_URL_API", self.database_url_api),
            "worker": ("DATABASE_URL_WORKER", self.database_url_worker),
            "compliance": ("DATABASE_URL_COMPLIANCE", self.database_url_compliance),
        }[login]
        if not url:
            raise SettingsError(
                f"{variable} is not set and this process needs it: expected postgresql://user:password@host/database"
            )
        return "postgresql+psycopg2" + url[url.index("://") :]

    def logins(self) -> dict[str, str]:
        """Login name to password, for each of the three least-privilege logins: what the migration step creates.

        Empty for a login whose URL names another user: that one is the operator's own to create.
        """
        made: dict[str, str] = {}
        for login, url in (
            ("api", self.database_url_api),
            ("worker", self.database_url_worker),
            ("compliance", self.database_url_compliance),
        ):
            parts = urlsplit(url)
            name = LOGIN_NAMES[cast(DatabaseLogin, login)]
            if unquote(parts.username or "") == name and parts.password:
                made[name] = unquote(parts.password)
        return made

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables in `environ`; an empty one counts as unset. Raises :class:`SettingsError`."""
        read = _Variables(environ)

        owner = read.database_url("DATABASE_URL")
        logins = {
            login: read.database_url(f"DATABASE_URL_{login.upper()}") or (_url_of_login(owner, name) if owner else "")
            for login, name in LOGIN_NAMES.items()
        }
        if not owner and not any(logins.values()):
            raise SettingsError(
                "DATABASE_URL is not set and no embedded database was found: start the system with `make run`, "
                "or set it to postgresql://user:password@host/database"
            )

        redis_url = read.url("REDIS_URL", _REDIS_SCHEMES, "redis://host:port/0", secret=True)
        if not redis_url:
            raise SettingsError(
                "REDIS_URL is not set and no embedded Redis was found: start the system with `make run`, "
                "or set it to redis://host:port/0"
            )
        broker_url = read.url("CELERY_BROKER_URL", _BROKER_SCHEMES, "redis://, sentinel:// or amqp://", secret=True)

        simulator_url = read.url("SIMULATOR_URL", ("http",), "http://host:port")
        base_url = read.url("APCA_API_BASE_URL", ("http", "https"), "https://host")
        uses_simulator = not base_url or base_url == simulator_url
        if not base_url:
            if not simulator_url:
                raise SettingsError(
                    "APCA_API_BASE_URL is not set and no simulator was found: start the system with `make run`, "
                    "or set it to the venue's address, e.g. https://paper-api.alpaca.markets"
                )
            base_url = simulator_url

        secrets_keys = read.secrets_keys()
        # A process with the API's login alone calls no venue, and one with a key finds its credentials in the database.
        needs_credentials = secrets_keys is None and bool(owner or logins["worker"])

        exchange_timeout = read.seconds("EXCHANGE_TIMEOUT_SECONDS", 5.0, positive=True)
        lease = read.seconds("LEASE_SECONDS", exchange_timeout + _LEASE_MARGIN_SECONDS, positive=True)
        if lease <= exchange_timeout:
            raise SettingsError(
                f"LEASE_SECONDS is {lease:g}: expected more than EXCHANGE_TIMEOUT_SECONDS ({exchange_timeout:g}), "
                "or a worker loses its order in the middle of a venue call"
            )

        data_folder = Path(read.text("DATA_FOLDER") or PROJECT_ROOT / "var").absolute()
        audit_folder = Path(read.text("AUDIT_FOLDER") or data_folder / "audit").absolute()
        return cls(
            port=read.integer("PORT", 8000, 1, 65535),
            bind_address=read.text("BIND_ADDRESS") or "127.0.0.1",
            hsts_seconds=read.integer("HSTS_SECONDS", 0, 0, 10**9 - 1),
            data_folder=data_folder,
            database_url=owner,
            database_url_api=logins["api"],
            database_url_worker=logins["worker"],
            database_url_compliance=logins["compliance"],
            database_pool_size_api=read.integer("DATABASE_POOL_SIZE_API", 10, 1, 1000),
            database_pool_size_worker=read.integer("DATABASE_POOL_SIZE_WORKER", 2, 1, 1000),
            database_pool_timeout_seconds=read.seconds("DATABASE_POOL_TIMEOUT_SECONDS", 5.0, positive=True),
            redis_url=redis_url,
            celery_broker_url=broker_url or redis_url,
            apca_api_base_url=base_url,
            apca_api_data_url=read.url("APCA_API_DATA_URL", ("http", "https"), "https://host") or _data_url(base_url),
            apca_api_stream_url=read.url("APCA_API_STREAM_URL", ("ws", "wss"), "wss://host/stream")
            or _stream_url(base_url),
            apca_api_key_id=read.credential(
                "APCA_API_KEY_ID", SIMULATOR_KEY_ID if uses_simulator else None, needed=needs_credentials
            ),
            apca_api_secret_key=read.credential(
                "APCA_API_SECRET_KEY", SIMULATOR_SECRET_KEY if uses_simulator else None, needed=needs_credentials
            ),
            secrets_keys=secrets_keys,
            uses_simulator=uses_simulator,
            venue_client_id_uniqueness=read.client_id_uniqueness(uses_simulator),
            venue_max_in_flight_seconds=read.seconds("VENUE_MAX_IN_FLIGHT_SECONDS", 30.0),
            order_execution_v2_enabled=read.percentage_of_traders("ORDER_EXECUTION_V2_ENABLED"),
            order_retry_max_attempts=read.integer("ORDER_RETRY_MAX_ATTEMPTS", 3, 0, 20),
            order_retry_backoff_seconds=read.integer("ORDER_RETRY_BACKOFF_SECONDS", 1, 1, 3600),
            order_timeout_seconds=read.seconds("ORDER_TIMEOUT_SECONDS", 120.0),
            exchange_timeout_seconds=exchange_timeout,
            exchange_api_rate_limit=read.rate_limit(
                "EXCHANGE_API_RATE_LIMIT", None if uses_simulator else RateLimit(count=200, seconds=60)
            ),
            order_rate_limit_per_minute=read.integer("ORDER_RATE_LIMIT_PER_MINUTE", 100, 1, 1_000_000),
            duplicate_window_seconds=read.seconds("DUPLICATE_WINDOW_SECONDS", 5.0),
            lease_seconds=lease,
            reference_price_max_age_seconds=read.seconds("REFERENCE_PRICE_MAX_AGE_SECONDS", 60.0, positive=True),
            price_collar_bps=read.integer("PRICE_COLLAR_BPS", 1000, 0, 10_000),
            commission_bps=read.amount("COMMISSION_BPS", Decimal(10_000)),
            commission_per_unit=read.amount("COMMISSION_PER_UNIT", Decimal(1_000_000)),
            wash_trades_of=read.wash_trades_of(uses_simulator),
            audit_folder=audit_folder,
            audit_signing_key_file=Path(
                read.text("AUDIT_SIGNING_KEY_FILE") or audit_folder / "signing-key.pem"
            ).absolute(),
            audit_checkpoint_seconds=read.seconds("AUDIT_CHECKPOINT_SECONDS", 2.0, positive=True),
            web_concurrency=read.integer("WEB_CONCURRENCY", 2, 1, 256),
            worker_concurrency=read.integer("WORKER_CONCURRENCY", 4, 1, 256),
            log_level=read.choice("LOG_LEVEL", "INFO", _LOG_LEVELS),
        )


def _variable_names() -> frozenset[str]:
    computed = {"uses_simulator", "secrets_keys"}
    names = {setting.name.upper() for setting in fields(Settings) if setting.name not in computed}
    return frozenset(names | {"SIMULATOR_URL", "ENV_FILE"})


VARIABLES: Final = _variable_names()
"""Every environment variable that is read here: what a throw-away system must not inherit."""


def load_settings(environ: Mapping[str, str] | None = None, root: Path = PROJECT_ROOT) -> Settings:
    """Settings of this process: the environment, then `.env`, then the system that `make run` embeds.

    The environment wins over `.env`. What `make run` wrote into the data folder fills in only the services that
    neither names, so a `DATABASE_URL` of your own is never mixed with the embedded database's logins.

    Raises :class:`SettingsError` when a variable is missing or wrong.
    """
    return Settings.from_environment(environment_of(os.environ if environ is None else environ, root))


def given_variables(environ: Mapping[str, str], root: Path = PROJECT_ROOT) -> dict[str, str]:
    """`environ` completed from `.env`, or from the file that ENV_FILE names. Nothing is checked here."""
    given = {name: value for name, value in environ.items() if value.strip()}
    for name, value in _variables_in(Path(given.get("ENV_FILE", root / ".env"))).items():
        given.setdefault(name, value)
    return given


def environment_of(environ: Mapping[str, str], root: Path = PROJECT_ROOT) -> dict[str, str]:
    """The given variables completed from the embedded system's file. Nothing is checked here."""
    given = given_variables(environ, root)
    embedded = _variables_in(Path(given.get("DATA_FOLDER", root / "var")) / EMBEDDED_ENVIRONMENT_FILE)
    if any(name in given for name in _DATABASE_VARIABLES):
        embedded.pop("DATABASE_URL", None)
    for name, value in embedded.items():
        given.setdefault(name, value)
    return given


def load_settings_or_exit() -> Settings:
    """`load_settings()` for entry points: a wrong value prints its one line and ends the process with status 2."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.stderr.write(f"surefill: {error}\n")
        raise SystemExit(2) from None


def login_password(owner_password: str, login_name: str) -> str:
    """The password of a least-privilege login, derived from the owner's: nothing more to store or to pass on."""
    return hmac.new(owner_password.encode(), login_name.encode(), hashlib.sha256).hexdigest()


def _variables_in(file: Path) -> dict[str, str]:
    # No interpolation: a generated password may contain a dollar sign.
    values = dotenv_values(file, interpolate=False) if file.is_file() else {}
    return {name: value for name, value in values.items() if value}


def _url_of_login(owner_url: str, login_name: str) -> str:
    parts = urlsplit(owner_url)
    if not parts.password:
        raise SettingsError(
            "DATABASE_URL has no password, so the logins cannot be derived from it: expected "
            "postgresql://user:password@host/database, or DATABASE_URL_API, _WORKER and _COMPLIANCE beside it"
        )
    hosts = parts.netloc.rpartition("@")[2]
    password = login_password(unquote(parts.password), login_name)
    return urlunsplit(parts._replace(netloc=f"{quote(login_name, safe='')}:{password}@{hosts}"))


def _data_url(base_url: str) -> str:
    host = urlsplit(base_url).hostname or ""
    return _ALPACA_DATA_URL if host.endswith(".alpaca.markets") else base_url


def _stream_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws", path=f"{parts.path}/stream"))


class _Variables:
    """Typed reading of one environment. Every error names the variable and what is expected of it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise _wrong(name, text, f"an integer from {low} to {high}")
        return int(text)

    def seconds(self, name: str, default: float, *, positive: bool = False) -> float:
        text = self.text(name)
        if not text:
            return default
        expected = "a number of seconds greater than 0" if positive else "a number of seconds, 0 or more"
        try:
            value = float(text)
        except ValueError:
            raise _wrong(name, text, expected) from None
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            raise _wrong(name, text, expected)
        return value

    def amount(self, name: str, most: Decimal) -> Decimal:
        text = self.text(name) or "0"
        if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII) or Decimal(text) > most:
            raise _wrong(name, text, f"a number from 0 to {most} with at most six decimal places")
        return Decimal(text)

    def wash_trades_of(self, uses_simulator: bool) -> WashTradesOf:
        text = self.text("WASH_TRADES_OF").lower() or ("trader" if uses_simulator else "account")
        if text not in get_args(WashTradesOf):
            raise _wrong("WASH_TRADES_OF", text, "account, trader or off")
        return cast(WashTradesOf, text)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        text = self.text(name).upper()
        if text and text not in choices:
            raise _wrong(name, text, "one of " + ", ".join(choices))
        return text or default

    def url(self, name: str, schemes: tuple[str, ...], example: str, *, secret: bool = False) -> str:
        """The URL without a trailing slash, or "" when unset. `secret` keeps its value out of the message."""
        text = self.text(name)
        if not text:
            return ""
        # A list is allowed where clients take one: sentinel://a;sentinel://b, postgresql://a:1,b:2/database.
        if any(character.isspace() for character in text) or not all(
            _is_address(part, schemes) for part in text.split(";")
        ):
            raise _wrong(name, None if secret else text, example)
        return text.rstrip("/")

    def database_url(self, name: str) -> str:
        return self.url(name, _DATABASE_SCHEMES, "postgresql://user:password@host/database", secret=True)

    def secrets_keys(self) -> SecretsKeys | None:
        text, file = self.text("SUREFILL_SECRETS_KEY"), self.text("SUREFILL_SECRETS_KEY_FILE")
        if text and file:
            raise SettingsError("SUREFILL_SECRETS_KEY and SUREFILL_SECRETS_KEY_FILE are both set: expected one of them")
        if not text and not file:
            return None
        try:
            return SecretsKeys.read(text) if text else SecretsKeys.read_file(Path(file))
        except WrongKeys as error:
            name = "SUREFILL_SECRETS_KEY" if text else "SUREFILL_SECRETS_KEY_FILE"
            raise _wrong(name, None, str(error)) from None

    def credential(self, name: str, default: str | None, *, needed: bool) -> str:
        text = self.text(name) or default
        if text is None and not needed:
            return ""
        if text is None:
            raise SettingsError(f"{name} must be set when APCA_API_BASE_URL is: expected the venue's credential")
        return text

    def client_id_uniqueness(self, uses_simulator: bool) -> ClientIdUniqueness:
        name = "VENUE_CLIENT_ID_UNIQUENESS"
        text = self.text(name).lower() or ("permanent" if uses_simulator else "")
        expected = "permanent, open_orders or none: what the venue does with a repeated client order id"
        if not text:
            # Guessing here is how an order is executed twice.
            raise SettingsError(f"{name} must be set when APCA_API_BASE_URL is: expected {expected}")
        if text not in get_args(ClientIdUniqueness):
            raise _wrong(name, text, expected)
        return cast(ClientIdUniqueness, text)

    def percentage_of_traders(self, name: str) -> int:
        text = self.text(name).lower()
        if text in {"", "true"}:
            return 100
        if text == "false":
            return 0
        if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > 100:
            raise _wrong(name, text, "true, false or a whole percentage of traders from 0 to 100")
        return int(text)

    def rate_limit(self, name: str, default: RateLimit | None) -> RateLimit | None:
        text = self.text(name).lower()
        if not text:
            return default
        if text == "off":
            return None
        match = re.fullmatch(r"([1-9]\d{0,6})\s*/\s*(second|minute|hour)", text, re.ASCII)
        if match is None:
            raise _wrong(name, text, "a rate such as 200/minute, or off")
        return RateLimit(count=int(match[1]), seconds=_RATE_UNITS[match[2]])


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        several_hosts = "," in parts.netloc
        port_is_good = several_hosts or parts.port is None or parts.port > 0
    except ValueError:
        return False
    # postgresql:///database?host=/folder has no host; every other address does.
    return parts.scheme in schemes and port_is_good and (bool(parts.hostname) or parts.scheme in _DATABASE_SCHEMES)


def _wrong(name: str, text: str | None, expected: str) -> SettingsError:
    if text is None:
        return SettingsError(f"{name} is not usable: expected {expected}")
    return SettingsError(f"{name} is {text[:80]!r}: expected {expected}")
