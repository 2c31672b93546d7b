"""The composition root: the only place where adapters are chosen. Imported by entry points, never by rooms."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import redis
from celery import Celery

from app.domain.acceptance import RulePolicy
from app.domain.changes import Actor
from app.domain.fees import FeeSchedule
from app.domain.retry_policy import RetryPolicy
from app.domain.surroundings import Wakeups
from app.domain.time_ordered_ids import RANDOM_BITS, time_ordered_uuid
from app.domain.venue_answers import ClientIdUniqueness, VenueCapabilities
from app.lifecycle.accept import AcceptancePolicy
from app.lifecycle.compare import Comparison
from app.lifecycle.compare_books import BookComparison
from app.lifecycle.ports import Ports, UnknownVenue
from app.lifecycle.sequence import Sequencer
from app.lifecycle.traders import Administration
from app.observability.order_log import LoggedWakeups
from app.senders import ProcessSenders
from app.settings import Settings, SettingsError
from app.storage.book_totals import PostgresBookTotals
from app.storage.checkpoint_folder import CheckpointWriter
from app.storage.log_sequence import LogSequence
from app.storage.order_store import PostgresOrders
from app.storage.traders import PostgresTraders
from app.storage.transaction import Database
from app.storage.venue_books import PostgresVenueBooks
from app.storage.venue_credentials import PostgresVenueCredentials
from app.venue_credentials import NoCredentials, VenueCredentials, credentials_of
from app.venues.alpaca import AlpacaVenue
from app.venues.alpaca_stream import AlpacaTradeStream
from app.venues.port import TradeStream, Venue
from app.venues.throttle import MovingWindowThrottle
from app.version import VERSION
from app.wakeups import BrokerWakeups, LaterWakeups


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class TimeOrderedIds:
    """UUIDs of version 7 with randomness of the operating system."""

    def new(self) -> UUID:
        return time_ordered_uuid(datetime.now(UTC), secrets.randbits(RANDOM_BITS))


@dataclass(frozen=True, slots=True)
class Process:
    """What one process of Surefill works with."""

    settings: Settings
    database: Database
    redis: redis.Redis
    wakeups: BrokerWakeups
    ports: Ports
    venue: AlpacaVenue
    credentials: VenueCredentials
    """The venue's; empty in a web process, which calls no venue."""

    @property
    def acceptance(self) -> AcceptancePolicy:
        return AcceptancePolicy(
            v2_percent=self.settings.order_execution_v2_enabled,
            market_timeout_seconds=int(self.settings.order_timeout_seconds),
        )

    def book_comparison(self) -> BookComparison:
        """Compares the default venue's books with ours."""
        ports = self.ports
        return BookComparison(
            self.venue, PostgresBookTotals(self.database), ports.clock, ports.ids, ports.wait, ports.software_version
        )

    def administration(self, actor: Actor) -> Administration:
        """Traders' states with this process's login."""
        ports = self.ports
        return Administration(PostgresTraders(self.database), ports.clock, ports.ids, actor, ports.software_version)

    def close(self) -> None:
        self.venue.close()
        self.redis.close()
        self.database.close()


WAITING_PER_CONNECTION = 4
"""So many requests may wait for each connection of a web process: about a second's work."""
CLOCKS_APART = timedelta(seconds=2)
"""How far the clocks of two hosts may differ: the end of a sender may be stamped by one and judged by another, and the
bound after which a request cannot execute any more must have passed by both."""


def web_process(settings: Settings) -> Process:
    """Intake and feed: the API's login, wake-ups in a thread of their own."""
    return _process(settings, login="api", pool_size=settings.database_pool_size_api, later=True)


def worker_process(settings: Settings) -> Process:
    """Execution, listening, sweeping, quotes: the worker's login."""
    return _process(settings, login="worker", pool_size=settings.database_pool_size_worker, later=False)


@contextmanager
def sequencer_process(settings: Settings) -> Iterator[Sequencer]:
    """The audit log's sequencer: the compliance login, which can read and nothing else, and the signing key.

    Raises FolderUnusable.
    """
    database = Database(settings.sqlalchemy_url("compliance"), pool_size=1, application_name="surefill-sequencer")
    try:
        name = f"surefill-{secrets.token_hex(8)}"
        with closing(CheckpointWriter(settings.audit_folder, settings.audit_signing_key_file, name=name)) as folder:
            yield Sequencer(LogSequence(database), folder, SystemClock())
    finally:
        database.close()


def _process(settings: Settings, *, login: str, pool_size: int, later: bool) -> Process:
    _collect_garbage_rarely()
    database = Database(
        settings.sqlalchemy_url("api" if login == "api" else "worker"),
        pool_size=pool_size,
        application_name=f"surefill-{login}",
        patience_seconds=settings.database_pool_timeout_seconds,
        most_waiting=WAITING_PER_CONNECTION * pool_size if login == "api" else None,
    )
    pubsub = redis_client(settings)
    broker = BrokerWakeups(task_producer(), pubsub)
    wakeups: Wakeups = LoggedWakeups(LaterWakeups(broker) if later else broker)
    clock = SystemClock()
    credentials = VenueCredentials("", "") if login == "api" else _credentials(settings, database)
    venue = default_venue(settings, credentials)
    ports = Ports(
        clock=clock,
        ids=TimeOrderedIds(),
        store=PostgresOrders(
            database,
            wakeups,
            clock,
            orders_per_minute=settings.order_rate_limit_per_minute,
            duplicate_window_seconds=settings.duplicate_window_seconds,
            rule_policy=rule_policy(settings),
            wash_trades_of=settings.wash_trades_of,
        ),
        senders=ProcessSenders(),
        wakeups=wakeups,
        policy=retry_policy(settings),
        venue_of=lambda name: _the_venue(name, venue),
        software_version=VERSION,
        wait=time.sleep,
        fees=fee_schedule(settings),
    )
    return Process(settings, database, pubsub, broker, ports, venue, credentials)


def _collect_garbage_rarely() -> None:
    """Almost everything we make dies by its reference count; looking for cycles every 700 objects is wasted work."""
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(20_000, 20, 50)


def _the_venue(name: str, venue: Venue) -> Venue:
    if name != venue.name:
        raise UnknownVenue(f"no adapter for the venue {name!r} is configured (there is {venue.name!r})")
    return venue


def task_producer() -> Celery:
    """A Celery application that only sends; tasks are named, not imported."""
    celery = Celery("surefill", set_as_current=False)
    celery.config_from_object("celeryconfig")
    return celery


def redis_client(settings: Settings) -> redis.Redis:
    """Short time-outs: what goes over this client is best effort."""
    return redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=1.0,
        socket_connect_timeout=0.5,
        health_check_interval=10,
        retry_on_timeout=False,
    )


def rule_policy(settings: Settings) -> RulePolicy:
    return RulePolicy(
        reference_max_age=timedelta(seconds=settings.reference_price_max_age_seconds),
        price_collar_bps=settings.price_collar_bps,
        fees=fee_schedule(settings),
    )


def fee_schedule(settings: Settings) -> FeeSchedule:
    return FeeSchedule(settings.commission_bps, settings.commission_per_unit)


def broker_client(settings: Settings) -> redis.Redis | None:
    """A client of the task broker where that is a Redis, to see how long its queues are."""
    if not settings.celery_broker_url.startswith(("redis://", "rediss://")):
        return None
    return redis.Redis.from_url(settings.celery_broker_url, socket_timeout=1.0, socket_connect_timeout=0.5)


def retry_policy(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=settings.order_retry_max_attempts,
        backoff_seconds=settings.order_retry_backoff_seconds,
        lease_seconds=settings.lease_seconds,
    )


def comparison(process: Process) -> Comparison:
    """Compares the default venue's lists with our books; the process is its own, one thread uses it."""
    return Comparison(process.ports, process.venue, PostgresVenueBooks(process.database))


def _credentials(settings: Settings, database: Database) -> VenueCredentials:
    given = None
    if settings.apca_api_key_id and settings.apca_api_secret_key:
        given = VenueCredentials(settings.apca_api_key_id, settings.apca_api_secret_key)
    store = PostgresVenueCredentials(database)
    try:
        return credentials_of(venue_name(settings), given, settings.secrets_keys, store)
    except NoCredentials as error:
        raise SettingsError(str(error)) from None


def default_venue(settings: Settings, credentials: VenueCredentials | None = None) -> AlpacaVenue:
    """The venue that APCA_API_BASE_URL names, with those credentials or the settings' own."""
    credentials = credentials or VenueCredentials(settings.apca_api_key_id, settings.apca_api_secret_key)
    limit = settings.exchange_api_rate_limit
    return AlpacaVenue(
        name=venue_name(settings),
        base_url=settings.apca_api_base_url,
        data_url=settings.apca_api_data_url,
        key_id=credentials.key_id,
        secret_key=credentials.secret_key,
        timeout_seconds=settings.exchange_timeout_seconds,
        capabilities=VenueCapabilities(
            client_id_uniqueness=ClientIdUniqueness(settings.venue_client_id_uniqueness),
            max_in_flight=timedelta(seconds=settings.venue_max_in_flight_seconds) + CLOCKS_APART,
        ),
        throttle=None
        if limit is None
        else MovingWindowThrottle(limit.count, limit.seconds, name=venue_name(settings), redis_url=settings.redis_url),
        include_inactive_instruments=settings.uses_simulator,
    )


def venue_name(settings: Settings) -> str:
    return "simulator" if settings.uses_simulator else "alpaca"


def trade_stream(settings: Settings, credentials: VenueCredentials) -> TradeStream:
    return AlpacaTradeStream(
        stream_url=settings.apca_api_stream_url,
        key_id=credentials.key_id,
        secret_key=credentials.secret_key,
        timeout_seconds=settings.exchange_timeout_seconds,
    )
