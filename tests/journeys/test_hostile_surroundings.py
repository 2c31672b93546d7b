"""The whole system among people who mean no good: forged messages in Redis, ended keys, canary secrets everywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import psutil
import psycopg2
import pytest
import redis
import urllib3
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from app.sealed import new_key
from local.stack import CreatedTrader, LocalStack
from tests.live.raw_client import next_message, raw_client, sign_in

VENUE_KEY, VENUE_SECRET = "CANARYVENUEKEYID", "canary-venue-secret-1f2e3d4c5b6a"
SECRETS_KEY = new_key("canary")
PATIENCE = 20.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Its venue asks for canaries, so that every process that should know them does."""
    environment = {
        "APCA_API_KEY_ID": VENUE_KEY,
        "APCA_API_SECRET_KEY": VENUE_SECRET,
        "SUREFILL_SECRETS_KEY": SECRETS_KEY,
        "LOG_LEVEL": "DEBUG",
    }
    with LocalStack(tmp_path_factory.mktemp("hostile"), environment, durable=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def ann(system: LocalStack) -> CreatedTrader:
    return system.create_trader("Ann", "1000000")


@pytest.fixture(scope="module")
def broker(system: LocalStack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(system.settings.redis_url) as client:
        yield client


def _call(
    system: LocalStack, method: str, path: str, key: str, body: Any = None, **headers: str
) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        method,
        f"{system.url}{path}",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers},
        body=None if body is None else json.dumps(body),
        retries=False,
        timeout=10.0,
    )


def _submit(system: LocalStack, trader: CreatedTrader) -> dict[str, Any]:
    body = {"symbol": "AAPL", "side": "BUY", "quantity": "1", "order_type": "MARKET"}
    deadline = time.monotonic() + PATIENCE
    while True:  # the first quote takes a moment
        headers = {"Idempotency-Key": str(uuid4()), "Confirm-Duplicate": "true"}
        answer = _call(system, "POST", "/api/v1/orders", trader.api_key, body, **headers)
        if answer.status == 201:
            return dict(answer.json())
        assert time.monotonic() < deadline, answer.data
        time.sleep(0.1)


def _until_filled(system: LocalStack, trader: CreatedTrader, order: dict[str, Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = _call(system, "GET", f"/api/v1/orders/{order['id']}", trader.api_key).json()
        if answer["status"] == "FILLED":
            return
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def _state(system: LocalStack) -> list[Any]:
    """All that orders are made of."""
    with closing(psycopg2.connect(system.settings.database_url_worker)) as connection, connection.cursor() as cursor:
        found = []
        for table in ("orders", "order_attempts", "fills", "order_events", "execution_logs", "accounts", "positions"):
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found.append(cursor.fetchall())
        return found


# -- forged messages -------------------------------------------------------------------------------------------------


def _message(task: object, args: object, *, body: bytes | None = None, **changes: Any) -> bytes:
    """A message as kombu puts it into a list, with whatever is wrong about it."""
    content = body if body is not None else json.dumps([args, {}, {"callbacks": None, "errbacks": None}]).encode()
    properties = {
        "correlation_id": str(uuid4()), "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "orders"},
        "priority": 0, "body_encoding": "base64", "delivery_tag": str(uuid4()),
    }  # fmt: skip
    headers = {"lang": "py", "task": task, "id": str(uuid4()), "retries": 0, "eta": None, "timelimit": [None, None]}
    more = changes.pop("headers", {})
    headers = {**headers, **more} if isinstance(more, dict) else more
    document = {
        "body": base64.b64encode(content).decode(), "content-encoding": "utf-8", "content-type": "application/json",
        "headers": headers, "properties": properties, **changes,
    }  # fmt: skip
    return json.dumps(document).encode()


class _Evil:
    def __reduce__(self) -> Any:
        return (print, ("a forged pickle ran",))


def _forged(order_id: str) -> list[bytes]:
    import pickle

    stranger = str(uuid4())
    bomb = zlib.compress(b"[" + b" " * 50_000_000 + b"]", 9)
    arguments: list[object] = [[], [order_id, order_id], None, {}, "x", 7]
    names: list[object] = [
        "os.system",
        "workers.order_tasks.process",
        "celery.backend_cleanup",
        "",
        None,
        7,
        {},
        [],
        "x" * 10_000,
    ]
    foreign = {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
    return [
        *(_message(task, [stranger]) for task in ("execute_order", "execute_order_plain", "cancel_order")),
        *(_message("execute_order", [argument]) for argument in (
            None, 7, 1.5, True, [], {}, [order_id], {"id": order_id}, "", "x", "' OR '1'='1", "\x00", "../etc/passwd",
            "x" * 5_000_000, "\u202e", "NaN",
        )),
        *(_message("execute_order", each) for each in arguments),
        *(_message(task, [order_id]) for task in names),
        _message("celery.map", ["os.system", ["true"]]), _message("celery.starmap", [{"task": "x"}, [[1]]]),
        _message("celery.chord_unlock", [stranger, None]), _message("celery.group", [[], stranger, stranger]),
        _message("execute_order", [order_id], headers={"timelimit": ["x", {}], "eta": "never", "expires": "yesterday"}),
        _message("execute_order", [order_id], headers={"timelimit": [0.001, 0.001]}),
        _message("execute_order", [stranger], headers={"retries": "many", "origin": None, "chain": [{"task": "x"}]}),
        _message("execute_order", [stranger], **foreign, body=pickle.dumps(_Evil())),
        _message("execute_order", [stranger], **{"content-type": "application/x-yaml"}, body=b"!!python/name:x"),
        _message("execute_order", [stranger], **{"content-type": "text/plain"}, body=b"hello"),
        _message("execute_order", [stranger], headers={"compression": "application/x-gzip"}, body=bomb),
        _message("execute_order", [stranger], headers=7), _message("execute_order", [stranger], properties=7),
        *(_message("execute_order", [], body=body) for body in (
            b"{not json", b"\xff\xfe", b"[]", b"{}", b"null", b"[[],{}]", b"[" * 100_000,
        )),
        b"", b"no json", b"{}", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 100_000, b'{"body": "%%%", "headers": {}}',
    ]  # fmt: skip


def test_forged_tasks_change_nothing_and_the_worker_goes_on(
    system: LocalStack, ann: CreatedTrader, broker: redis.Redis
) -> None:
    order = _submit(system, ann)
    _until_filled(system, ann, order)
    before, workers = _state(system), system.pids("worker")
    for queue in ("orders", "cancels", "reconciliations"):
        for forged in _forged(order["id"]):
            broker.lpush(queue, forged)
    # behind all of them, one that is real: when it is filled, they have been read
    after = _submit(system, ann)
    _until_filled(system, ann, after)
    deadline = time.monotonic() + PATIENCE
    while any(broker.llen(queue) for queue in ("orders", "cancels", "reconciliations")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert system.deaths("worker") == 0
    assert set(system.pids("worker")) == set(workers)
    said = system.log_file("worker").read_text(errors="replace")
    assert "a forged pickle ran" not in said
    unchanged = [[row for row in now if row in then] for then, now in zip(before, _state(system), strict=True)]
    for then, same in zip(before[:5], unchanged[:5], strict=True):  # accounts and positions: the second order's
        assert same == then


def test_a_worker_obeys_no_word_from_redis(system: LocalStack, broker: redis.Redis) -> None:
    """Celery's remote control would let whoever writes to Redis stop workers and change what they take."""
    workers = system.pids("worker")
    command = json.dumps({"method": "shutdown", "arguments": {}, "destination": None, "pattern": None, "matcher": None})
    message = json.loads(_message("x", []))
    message["body"] = base64.b64encode(command.encode()).decode()
    heard = [
        broker.publish(f"/0.{exchange}", json.dumps(message)) for exchange in ("celery.pidbox", "reply.celery.pidbox")
    ]
    assert heard == [0, 0]  # nobody listens
    assert system.pids("worker") == workers


def test_a_forged_event_reaches_nobody(system: LocalStack, ann: CreatedTrader, broker: redis.Redis) -> None:
    before = _state(system)
    with raw_client(system.url) as client:
        head = sign_in(client, token=ann.api_key)
        forged = {"seq": head + 1, "event": "order.filled", "order_id": str(uuid4()), "status": "FILLED", "canary": "x"}
        channel = f"orders:{ann.trader_id}"
        for text in (
            json.dumps(forged), "", "null", "[]", "{", "\x00", "x" * 1_000_000, json.dumps({**forged, "seq": -1}),
            json.dumps({**forged, "seq": 10**30}), f"\r\n{channel}\r\n" * 1000,
        ):  # fmt: skip
            broker.publish(channel, text)
            broker.publish("orders:not-a-trader", text)
        order = _submit(system, ann)
        received: list[dict[str, Any]] = []
        while not received or received[-1]["event"] != "order.filled":
            received.append(json.loads(next_message(client, PATIENCE).removeprefix("42"))[1])
        assert [event["seq"] for event in received] == list(range(head + 1, head + 1 + len(received)))
        assert {event["order_id"] for event in received} == {order["id"]}
        assert "canary" not in str(received)
    assert all(set(then) <= set(now) for then, now in zip(before[2:5], _state(system)[2:5], strict=True))


# -- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [("key", "revoke"), ("key", "rotate", "--overlap", "0s")])
def test_an_ended_key_is_refused_and_its_connections_are_closed_within_two_seconds(
    system: LocalStack, way: tuple[str, ...]
) -> None:
    ben = system.create_trader(f"Ben {way[1]}", "1000")
    assert _call(system, "GET", "/api/v1/account", ben.api_key).status == 200
    with raw_client(system.url) as client:
        sign_in(client, token=ben.api_key)
        system._run_tool(["flask", "--app", "app", *way, ben.api_key[:11]], "the key could not be ended")
        ended = time.monotonic()
        _until_dismissed(client)
        assert time.monotonic() - ended < 2.5  # two seconds, and what the test's own machine takes to tell
        while _call(system, "GET", "/api/v1/account", ben.api_key).status != 401:
            assert time.monotonic() - ended < 2
    # both web processes: each may have remembered it for a second
    assert {_call(system, "GET", "/api/v1/account", ben.api_key).status for _ in range(20)} <= {401, 429}


def _until_dismissed(client: ClientConnection) -> None:
    """Until Socket.IO says that it is over, or the connection is closed."""
    with contextlib.suppress(ConnectionClosed):
        while next_message(client) != "41":
            pass


# -- canaries --------------------------------------------------------------------------------------------------------


def _passwords(system: LocalStack) -> dict[str, str]:
    settings = system.settings
    urls = {
        "the owner's password": settings.database_url,
        "the API's password": settings.database_url_api,
        "the workers' password": settings.database_url_worker,
        "compliance's password": settings.database_url_compliance,
        "Redis' password": settings.redis_url,
    }
    found = {name: urllib3.util.parse_url(url).auth or "" for name, url in urls.items()}
    return {name: auth.rpartition(":")[2] for name, auth in found.items()}


def test_no_secret_is_in_a_log_an_argument_a_foreign_environment_or_the_database(
    system: LocalStack, ann: CreatedTrader
) -> None:
    # what people do by mistake: a key in the query, in the path, in another header, in the body; a wrong one
    for path, headers in (
        (f"/api/v1/account?api_key={ann.api_key}", {}),
        (f"/api/v1/orders/{ann.api_key}", {}),
        (f"/{ann.api_key}", {}),
        ("/api/v1/account", {"X-Api-Key": ann.api_key, "X-Request-Id": "x", "Cookie": f"key={ann.api_key}"}),
    ):
        _call(system, "GET", path, ann.api_key, **headers)
    _call(system, "POST", "/api/v1/orders", ann.api_key, {"symbol": ann.api_key, "api_key": ann.api_key})
    _call(system, "POST", "/api/v1/orders", ann.api_key + "x")
    _until_filled(system, ann, _submit(system, ann))

    passwords = _passwords(system)
    assert all(len(password) > 16 for password in passwords.values())
    secrets = {
        "more of an API key than its beginning": ann.api_key[:20],
        "the venue's key id": VENUE_KEY,
        "the venue's secret": VENUE_SECRET,
        "the key of secrets": SECRETS_KEY.partition(":")[2],
        **passwords,
    }
    logs = list((system.folder / "log").iterdir())
    assert {"web.log", "worker.log", "listener.log", "postgres.log"} <= {log.name for log in logs}
    for log in logs:
        said = log.read_text(errors="replace")
        assert not [name for name, secret in secrets.items() if secret in said], log.name

    assert system.supervisor.pid is not None
    everybody = [system.supervisor.pid, *(pid for name in _programs(system) for pid in system.pids(name))]
    for pid in everybody:
        words = " ".join(_of_process(pid, "cmdline") or ())
        assert not [name for name, secret in secrets.items() if secret in words], words

    allowed: dict[str, set[str]] = {
        "postgres": set(), "redis": set(), "simulator": {"the venue's key id", "the venue's secret"},
        "web": {"the API's password", "compliance's password", "Redis' password"},
        "sequencer": {"compliance's password", "Redis' password"},
    }  # fmt: skip
    workers = {
        "the workers' password",
        "Redis' password",
        "the venue's key id",
        "the venue's secret",
        "the key of secrets",
    }
    for name in _programs(system):
        for pid in system.pids(name):
            environment = "\n".join(f"{key}={value}" for key, value in (_of_process(pid, "environ") or {}).items())
            held = {what for what, secret in secrets.items() if secret in environment}
            assert held <= allowed.get(name, workers), name
    environment = str(psutil.Process(system.supervisor.pid).environ())
    assert not [what for what, secret in secrets.items() if secret in environment]

    dump = _dump(system)
    assert "Canary" not in dump
    assert not [name for name, secret in secrets.items() if secret in dump]

    for answer in (
        _call(system, "GET", "/nope", "x"), _call(system, "POST", "/api/v1/orders", ann.api_key, []),
        _call(system, "GET", "/readyz", "x"), _call(system, "GET", "/metrics", "x"),
    ):  # fmt: skip
        assert not [name for name, secret in secrets.items() if secret.encode() in answer.data]

    assert system.folder.stat().st_mode & 0o066 == 0  # where root runs it, the database's user may pass through
    for file in system.folder.rglob("*"):
        if file.is_file() and file.stat().st_mode & 0o077:
            content = file.read_bytes()
            assert not [name for name, secret in secrets.items() if secret.encode() in content], file


def _programs(system: LocalStack) -> list[str]:
    return list(system.supervisor._groups)


def _of_process(pid: int, what: str) -> Any:
    """None for one that has ended meanwhile: PostgreSQL's come and go."""
    try:
        return psutil.Process(pid).as_dict([what])[what]
    except psutil.NoSuchProcess:
        return None


def _dump(system: LocalStack) -> str:
    """Every row of every table, as each login sees it."""
    rows: list[str] = []
    settings = system.settings
    for url in (settings.database_url, settings.database_url_worker, settings.database_url_compliance):
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in cursor.fetchall():
                try:
                    cursor.execute(f"SELECT t::text FROM {table} t")
                except psycopg2.errors.InsufficientPrivilege:
                    continue
                rows += [text for (text,) in cursor.fetchall()]
    assert len(rows) > 20
    return "\n".join(rows)
