"""Celery's settings, each with its reason. The database is the truth; a message is only a wake-up that may be lost,
late or doubled, so these settings aim at speed and at never standing still, not at keeping messages."""

from kombu.entity import Queue

from app.redis_transport import tls_of, transport_of
from app.settings import load_settings_or_exit

_settings = load_settings_or_exit()

broker_url = _settings.celery_broker_url
broker_transport = transport_of(broker_url)  # Redis: cheaper, and it drops whatever is no message of ours
broker_use_ssl = tls_of(broker_url)  # a rediss:// without further words would take any certificate
broker_connection_retry_on_startup = True  # a worker that starts before its broker waits instead of ending
broker_connection_max_retries = None  # … for as long as it takes: Redis may be away for minutes
broker_transport_options = {
    "socket_timeout": 2,  # a broker that accepts TCP and stays silent must not hold a process
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
    # One attempt to connect per message: kombu would go on for 6 s, and hold the sweeper and all its other work.
    # A worker's own connection is tried for ever, each second: app/broker_connection.py
    "max_retries": 0,
    "priority_steps": [0],  # messages of one queue have none: one key a queue, not four to look at and to allow
    "queue_order_strategy": "priority",  # queues in the order in which the worker names them: cancels first
}
broker_pool_limit = 4
task_publish_retry = False  # a message that cannot be sent now is the sweeper's; intake never waits for the broker

task_queues = tuple(  # in the order in which a worker takes from them: a cancel never waits behind submits
    # the nameless exchange hands a message to the queue of that name without asking the broker for bindings first
    Queue(name, exchange="", routing_key=name)  # type: ignore[no-untyped-call] # kombu has no types
    for name in ("cancels", "orders", "reconciliations")
)
task_default_queue = "orders"
task_default_exchange = ""  # or Celery gives the queues above an exchange with a name after all, and binds them to it
task_default_queue_type = "quorum" if broker_url.startswith("amqp") else "classic"  # RabbitMQ: replicated queues
task_create_missing_queues = True

task_serializer = "json"  # nothing else is read: a forged pickle would run code
accept_content = ["json"]
task_ignore_result = True  # the order's row says how it ended
result_backend = None
task_store_errors_even_if_ignored = False

task_acks_late = True  # acknowledged after the step, so that a lost worker's message is delivered again
task_reject_on_worker_lost = True  # … at once when only the child was lost
worker_prefetch_multiplier = 1  # a message waits in the queue, where any free worker takes it
worker_cancel_long_running_tasks_on_connection_loss = False  # never kill a task in the middle of a submit
worker_soft_shutdown_timeout = _settings.lease_seconds  # a step that has begun is finished
worker_enable_soft_shutdown_on_idle = False  # retries that wait in memory are lost: their due time is in the database
worker_concurrency = _settings.worker_concurrency
worker_enable_remote_control = False  # or whoever reaches the broker could stop workers and revoke tasks with a word
worker_send_task_events = False  # nobody listens; they cost a round trip a task
task_send_sent_event = False
worker_hijack_root_logger = False
worker_redirect_stdouts = False
task_time_limit = None  # every call inside has its own time-out; a hard kill would leave a request on the wire
timezone = "UTC"
