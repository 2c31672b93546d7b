"""How gunicorn serves the API, the page and Socket.IO on one port."""

from psycogreen.gevent import patch_psycopg

from app.settings import load_settings_or_exit

_settings = load_settings_or_exit()

bind = f"{_settings.bind_address}:{_settings.port}"
# When the master is killed, its workers serve on for up to a second before they notice and end. Meanwhile the next
# master listens beside them, and intake has no gap; without this it would find the port taken and wait.
reuse_port = True

# gevent with the WebSocket transport only: any number of processes share the port without sticky sessions, and a
# socket that is open all day holds a greenlet, not a thread that intake would miss.
worker_class = "gevent"
workers = _settings.web_concurrency
worker_connections = 2000

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
loglevel = _settings.log_level.lower()


def post_fork(_server: object, _worker: object) -> None:
    """psycopg2 is C code that gevent cannot switch away from by itself: without this one query blocks all requests."""
    patch_psycopg()
