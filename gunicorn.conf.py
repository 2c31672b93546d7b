"""How gunicorn serves the API, the page and Socket.IO on one port."""

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from psycogreen.gevent import patch_psycopg

from app.settings import load_settings_or_exit

_settings = load_settings_or_exit()


def _metrics_folder() -> Path:
    """An empty folder of this server's own: below the data folder, or a temporary one where that cannot be written."""
    folder = _settings.data_folder / f"metrics-{_settings.port}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="surefill-metrics-"))
    return folder


bind = f"{_settings.bind_address}:{_settings.port}"
# When the master is killed, its workers serve on for up to a second before they notice and end. Meanwhile the next
# master listens beside them, and intake has no gap; without this it would find the port taken and wait.
reuse_port = True

# gevent with the WebSocket transport only: any number of processes share the port without sticky sessions, and a
# socket that is open all day holds a greenlet, not a thread that intake would miss.
worker_class = "app.http_worker.HttpWorker"
workers = _settings.web_concurrency
worker_connections = 2000

# Connections that wait to be taken, of each worker. A client waits for seconds, not for minutes: in a longer queue
# everybody has left by the time their turn comes (app/departed_clients.py). Who finds it full tries again a second
# later, by TCP itself.
backlog = 256

# A request is one short transaction. A worker that is silent this long is stuck, and is replaced.
timeout = 30
# Answers in progress are finished; an open socket would hold its worker for ever, and its client comes back by itself.
graceful_timeout = 5
# Longer than what reverse proxies and client libraries keep idle connections for, so that it is they who close.
keepalive = 75

# Every instance would otherwise share one control socket in the home folder.
control_socket_disable = True

# Bad input ends here and not in a worker's memory.
limit_request_line = 8190
limit_request_fields = 64

accesslog = None  # the application writes its own line per request, without keys in it
errorlog = "-"
# At DEBUG it would log each path, and whoever mistypes puts a key there; the application logs routes.
loglevel = "info" if _settings.log_level == "DEBUG" else _settings.log_level.lower()


# The figures of all workers of this host, a file each, so that whichever is scraped answers for all (/metrics).
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics_folder())


def post_worker_init(_worker: object) -> None:
    """This worker serves, and says so."""
    from app.observability.heartbeats import Heart
    from app.wiring import redis_client

    # gunicorn's lines join the application's, in their form: its own one needs process numbers, which the application
    # has switched off (app/observability/logs.py), and each line of a worker would be an error of the logging itself.
    said_by_gunicorn = logging.getLogger("gunicorn.error")
    said_by_gunicorn.handlers.clear()
    said_by_gunicorn.propagate = True

    Heart(redis_client(_settings), "web").beat_in_background()


def child_exit(_server: object, worker: Any) -> None:
    """Open sockets of a worker that is gone are not open any more; what it has counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # it has no types


def post_fork(_server: object, _worker: object) -> None:
    """psycopg2 is C code that gevent cannot switch away from by itself: without this one query blocks all requests."""
    patch_psycopg()
