"""The Celery application of the worker processes."""

from __future__ import annotations

from celery import Celery
from celery.signals import (
    setup_logging,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)

from app.observability.context import begin
from app.observability.heartbeats import Heart
from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.wiring import Process, redis_client, worker_process

celery_app = Celery("surefill", amqp="app.broker_connection:Amqp", include=["workers.order_tasks"])
celery_app.config_from_object("celeryconfig")

_made: list[Process] = []
_hearts: list[Heart] = []


def process() -> Process:
    """This child's database, venue and Redis connections; made after the fork, never shared across it."""
    if not _made:
        _made.append(worker_process(load_settings_or_exit()))
    return _made[0]


@setup_logging.connect
def _logging(**_: object) -> None:
    configure_logging("worker", load_settings_or_exit().log_level)


@worker_ready.connect
def _begin_beating(**_: object) -> None:
    """The main process says that it lives. Its children work only through it, and end with it."""
    heart = Heart(redis_client(load_settings_or_exit()), "worker")
    _hearts.append(heart)
    heart.beat_in_background()


@worker_shutdown.connect
def _stop_beating(**_: object) -> None:
    for heart in _hearts:
        heart.leave()


@task_prerun.connect
def _working_on(task_id: str = "", args: object = (), **_: object) -> None:
    """Every line of the log says which order it is about."""
    order_id = args[0] if isinstance(args, (list, tuple)) and args else None
    begin(task_id=task_id, order_id=order_id)


@worker_process_init.connect
def _connect(**_: object) -> None:
    process()


@worker_process_shutdown.connect
def _disconnect(**_: object) -> None:
    for made in _made:
        made.close()
