"""A broker that is away: how often it is tried, and how long whoever has a message for it is held."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import redis

from local.memory import free_port
from local.redis_server import EmbeddedRedis

_THE_WORKER_TRIES = """
import json
import kombu.utils.functional as clock
from workers.celery_app import celery_app

pauses = []
class Enough(Exception): pass
def failed(error, seconds):
    pauses.append(seconds)
    if sum(pauses) > 120: raise Enough
clock.sleep = lambda seconds: None
try:
    # as celery.worker.consumer does it
    celery_app.connection_for_read().ensure_connection(
        failed, celery_app.conf.broker_connection_max_retries, callback=lambda: None)
except Enough:
    print(json.dumps(pauses))
"""
_A_SENDER_TRIES = """
import json, time, uuid
from app.wakeups import BROKER_FAULTS, TaskMessages
from app.wiring import task_producer

messages, took = TaskMessages(task_producer()), []
for _ in range(3):
    begun = time.monotonic()
    try:
        messages.send("execute_order", uuid.uuid4(), "orders")
    except BROKER_FAULTS:
        took.append(time.monotonic() - begun)
print(json.dumps(took))
"""
_A_SENDER_COUNTS = """
import json, uuid
from app.wakeups import BrokerWakeups, TaskMessages
from app.wiring import task_producer

messages, wakeups = TaskMessages(task_producer()), BrokerWakeups(task_producer(), None)
counted = [wakeups.waiting("orders")]
for _ in range(3):
    messages.send("execute_order", uuid.uuid4(), "orders")
print(json.dumps(counted + [wakeups.waiting("orders"), wakeups.waiting("cancels")]))
"""


def _printed(program: str, broker: str) -> list[float]:
    """What `program` prints, in a process whose settings name that broker."""
    surroundings = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "DATABASE_URL": "postgresql://owner:password@127.0.0.1:1/nothing",
        "REDIS_URL": broker,
        "SIMULATOR_URL": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=surroundings, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.fail(done.stderr)
    numbers: list[float] = json.loads(done.stdout)
    return numbers


def _nobody() -> str:
    return f"redis://127.0.0.1:{free_port()}/0"


def test_a_worker_tries_its_broker_every_second_for_as_long_as_it_is_away() -> None:
    pauses = _printed(_THE_WORKER_TRIES, _nobody())
    assert max(pauses) <= 1.0
    assert sum(pauses) > 120


def test_a_message_for_a_broker_that_is_away_holds_its_sender_for_less_than_a_second() -> None:
    took = _printed(_A_SENDER_TRIES, _nobody())
    assert len(took) == 3
    assert max(took) < 1.0


def test_waiting_messages_are_counted_by_queue_and_a_broker_that_is_away_counts_none(
    redis_server: EmbeddedRedis,
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        assert _printed(_A_SENDER_COUNTS, redis_server.url) == [0, 3, 0]
        client.flushall()
    assert _printed(_A_SENDER_COUNTS.replace("range(3)", "range(0)"), _nobody()) == [0, 0, 0]
