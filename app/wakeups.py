"""After the commit: tell a worker that there is work, tell the feeds that there is news. Best effort by design.

The queue may lose every message: the sweeper finds the order by its due time. Pub/sub may lose every event: the feed
compares its cursor with the database. So a broker that is away costs time, never an order, and never an answer.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import kombu.exceptions
import redis
from amqp.exceptions import AMQPError, ChannelError  # type: ignore[import-untyped] # no types
from celery import Celery

from app.domain.order_states import ExecutionState
from app.domain.orders import ExecutionPath, Order

log = logging.getLogger(__name__)

EXECUTE, EXECUTE_PLAIN, RECONCILE, CANCEL = "execute_order", "execute_order_plain", "reconcile_order", "cancel_order"
ORDERS, CANCELS, RECONCILIATIONS = "orders", "cancels", "reconciliations"

BROKER_FAULTS = (
    redis.RedisError,
    AMQPError,
    kombu.exceptions.KombuError,
    kombu.exceptions.OperationalError,
    OSError,
)
REST_AFTER_FAILURE = 0.5
"""Seconds without trying after a failure, so that a broker that is away slows nothing down."""


def task_for(order: Order) -> tuple[str, str]:
    """The task that takes the order further, and its queue."""
    if order.is_leaving_venue or _is_due_at_deadline(order):
        return CANCEL, CANCELS
    match order.execution_state:
        case ExecutionState.QUEUED | ExecutionState.SENDING | ExecutionState.IN_DOUBT:
            return (EXECUTE if order.execution_path is ExecutionPath.V2 else EXECUTE_PLAIN), ORDERS
        case _:
            return RECONCILE, RECONCILIATIONS


def _is_due_at_deadline(order: Order) -> bool:
    """What stands at the venue and is looked at next because its time is up: it must not wait behind submits."""
    if order.execution_state is not ExecutionState.WORKING or order.expires_at is None or order.due_at is None:
        return False
    return order.due_at >= order.expires_at


def channel(trader_id: UUID) -> str:
    return f"orders:{trader_id}"


class _Guarded:
    """Calls that may fail because their service is away; counted, said once per outage, rested after a failure."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._rest_until = 0.0
        self._away = False
        self.failures = 0

    def __call__(self, attempt: Callable[[], object]) -> bool:
        """Whether it was done."""
        if time.monotonic() < self._rest_until:
            self.failures += 1
            return False
        try:
            attempt()
        except BROKER_FAULTS as error:
            self.failures += 1
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
            if not self._away:
                log.warning("%s is away (%s); orders go on through the sweeper", self._what, error)
            self._away = True
            return False
        if self._away:
            log.warning("%s is back", self._what)
            self._away = False
        return True


class TaskMessages:
    """Puts task messages on the broker's queues.

    The same message as `Celery.send_task` makes, published by a producer that is kept: looking routes up and taking a
    producer from the pool for each message costs twice as much as sending it.
    """

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._local = threading.local()

    def send(self, task: str, order_id: UUID, queue_name: str) -> None:
        """Raises what the broker's client raises when the broker is away."""
        producer = self._producer()
        message = self._celery.amqp.as_task_v2(
            uuid4().hex, task, (str(order_id),), {}, argsrepr=str(order_id), kwargsrepr="{}"
        )
        try:
            producer.publish(
                message.body,
                exchange="",
                routing_key=queue_name,
                serializer="json",
                headers=message.headers,
                delivery_mode=2,
                retry=False,
                **message.properties,
            )
        except BaseException:
            self._drop(producer)
            raise

    def waiting(self, queue_name: str) -> int:
        """How many messages wait in the queue. Raises what the broker's client raises when the broker is away."""
        producer = self._producer()
        try:
            return int(producer.channel.queue_declare(queue=queue_name, passive=True).message_count)
        except ChannelError:  # RabbitMQ closes the channel then
            self._drop(producer)
            return 0  # Redis has no empty queues
        except BaseException:
            self._drop(producer)
            raise

    def _producer(self) -> Any:
        producer = getattr(self._local, "producer", None)
        if producer is None:
            producer = self._local.producer = self._celery.amqp.Producer(self._celery.connection_for_write())
        return producer

    def _drop(self, producer: Any) -> None:
        self._local.producer = None
        producer.connection.release()


class BrokerWakeups:
    """Wake-ups over the Celery broker and Redis pub/sub, in the caller's own time."""

    def __init__(self, celery: Celery, pubsub: redis.Redis) -> None:
        self._tasks = TaskMessages(celery)
        self._pubsub = pubsub
        self._queue = _Guarded("the task broker")
        self._channels = _Guarded("Redis pub/sub")

    def work(self, order: Order) -> None:
        self.enqueue(order)

    def enqueue(self, order: Order) -> bool:
        """Whether the broker took the message."""
        name, queue_name = task_for(order)
        return self._queue(lambda: self._tasks.send(name, order.id, queue_name))

    def waiting(self, queue_name: str) -> int:
        """How many messages wait in the queue; 0 also when the broker does not say."""
        try:
            return self._tasks.waiting(queue_name)
        except BROKER_FAULTS:
            return 0

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        self._channels(lambda: self._publish(channel(trader_id), events))

    def _publish(self, name: str, events: Sequence[bytes]) -> None:
        if len(events) == 1:
            self._pubsub.publish(name, events[0])
            return
        with self._pubsub.pipeline(transaction=False) as pipeline:
            for event in events:
                pipeline.publish(name, event)
            pipeline.execute()


class LaterWakeups:
    """The same in a thread of its own, so that no request waits for a broker. What does not fit is the sweeper's."""

    def __init__(self, wakeups: BrokerWakeups, capacity: int = 10_000) -> None:
        self._wakeups = wakeups
        self._waiting: queue.Queue[Callable[[], object]] = queue.Queue(capacity)
        self.dropped = 0
        threading.Thread(target=self._run, name="wakeups", daemon=True).start()

    def work(self, order: Order) -> None:
        self._put(lambda: self._wakeups.work(order))

    def events(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        self._put(lambda: self._wakeups.events(trader_id, events))

    def _put(self, wakeup: Callable[[], object]) -> None:
        try:
            self._waiting.put_nowait(wakeup)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        while True:
            wakeup = self._waiting.get()
            try:
                wakeup()
            except Exception:
                log.exception("a wake-up failed; the order goes on through the sweeper")
