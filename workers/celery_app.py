"""The Celery application of the worker processes."""

from __future__ import annotations

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.wiring import Process, worker_process

celery_app = Celery("surefill", include=["workers.order_tasks"])
celery_app.config_from_object("celeryconfig")

_made: list[Process] = []


def process() -> Process:
    """This child's database, venue and Redis connections; made after the fork, never shared across it."""
    if not _made:
        _made.append(worker_process(load_settings_or_exit()))
    return _made[0]


@setup_logging.connect
def _logging(**_: object) -> None:
    configure_logging("worker", load_settings_or_exit().log_level)


@worker_process_init.connect
def _connect(**_: object) -> None:
    process()


@worker_process_shutdown.connect
def _disconnect(**_: object) -> None:
    for made in _made:
        made.close()
