"""A simulator in a process of its own, and plain clients to talk to it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import urllib3
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[2]
KEY_ID, SECRET_KEY = "test-key", "test-secret"
KEYS = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET_KEY}
DEADLINE = 10.0
Found = TypeVar("Found")


class NoReply(Exception):
    """The connection ended without a usable reply."""


def eventually(find: Callable[[], Found], seconds: float = DEADLINE) -> Found:
    """The first true value of `find`, looked for until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"still {found!r} after {seconds} s")
        time.sleep(0.01)


class VenueProcess:
    """Starts `python -m simulator` on a free port; `kill` is a kill -9, `start` starts it on the same ledger."""

    def __init__(self, ledger: Path, *arguments: str) -> None:
        self.ledger = ledger
        self.arguments = arguments
        self._pool = urllib3.PoolManager(retries=False, timeout=DEADLINE)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--port", "0", "--ledger", str(self.ledger), *self.arguments],
            cwd=ROOT,
            env=os.environ | {"SIMULATOR_KEY_ID": KEY_ID, "SIMULATOR_SECRET_KEY": SECRET_KEY},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, f"the simulator did not start: {line!r}"
        self.url = found.group()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        self._pool.clear()

    def _end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.ended()

    def ended(self) -> int:
        """The exit code, once the process has ended."""
        code = self.process.wait(DEADLINE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    # HTTP.

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = DEADLINE,
    ) -> urllib3.BaseHTTPResponse:
        """One request, as it comes. Raises NoReply."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            return self._pool.request(
                method, self.url + path, body=data, headers=KEYS if headers is None else headers, timeout=timeout
            )
        except urllib3.exceptions.HTTPError as error:
            raise NoReply(str(error)) from error

    def call(self, method: str, path: str, body: Any = None, timeout: float = DEADLINE) -> tuple[int, Any]:
        """Status and decoded body."""
        answer = self.raw(method, path, body, timeout=timeout)
        return answer.status, json.loads(answer.data) if answer.data else None

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, body
        return body

    def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        status, answer = self.call(method, f"/simulator/{path}", body)
        assert status == 200, answer
        return answer

    # Orders.

    def submit(self, client_order_id: str = "", timeout: float = DEADLINE, **fields: Any) -> tuple[int, Any]:
        return self.call("POST", "/v2/orders", order_body(client_order_id, **fields), timeout)

    def place(self, client_order_id: str = "", **fields: Any) -> dict[str, Any]:
        """A submitted order that must be accepted."""
        status, order = self.submit(client_order_id, **fields)
        assert status == 200, order
        assert isinstance(order, dict)
        return order

    def order(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v2/orders/{order_id}")
        return found

    def by_client_order_id(self, client_order_id: str) -> tuple[int, Any]:
        return self.call("GET", f"/v2/orders:by_client_order_id?client_order_id={client_order_id}")

    def settled(self, order_id: str, status: str) -> dict[str, Any]:
        """The order once it has this status."""
        eventually(lambda: self.order(order_id)["status"] == status)
        return self.order(order_id)

    def in_ledger(self, client_order_id: str) -> list[dict[str, Any]]:
        answer = self.call("GET", f"/simulator/ledger?client_order_id={client_order_id}")[1]
        orders: list[dict[str, Any]] = answer["orders"]
        return orders

    def executions(self, client_order_id: str) -> list[dict[str, Any]]:
        answer = self.call("GET", f"/simulator/ledger?client_order_id={client_order_id}")[1]
        executions: list[dict[str, Any]] = answer["executions"]
        return executions

    def requests(self, **where: Any) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in where.items())
        rows: list[dict[str, Any]] = self.call("GET", f"/simulator/requests?{query}")[1]["requests"]
        return rows

    def quote(self, symbol: str, bid: str, ask: str, size: str = "100") -> None:
        self.control("quotes", {"symbol": symbol, "bid": bid, "ask": ask, "bid_size": size, "ask_size": size})

    def fault(self, kind: str, client_order_id: str | None = None, **parameters: Any) -> dict[str, Any]:
        rule = {"kind": kind} | parameters
        if client_order_id is not None:
            rule["client_order_id"] = client_order_id
        added: dict[str, Any] = self.control("faults", rule)
        return added

    # The stream.

    @contextmanager
    def stream(self) -> Iterator[Listener]:
        """A client that is authorised and listens."""
        with connect(self.url.replace("http", "ws") + "/stream", compression=None) as socket:
            listener = Listener(socket)
            listener.say({"action": "authenticate", "data": {"key_id": KEY_ID, "secret_key": SECRET_KEY}})
            assert listener.hear()["data"]["status"] == "authorized"
            listener.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
            assert listener.hear()["data"]["streams"] == ["trade_updates"]
            yield listener


class Listener:
    """One connection to the stream."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hear(self, timeout: float = DEADLINE) -> dict[str, Any]:
        frame = self.socket.recv(timeout)
        assert isinstance(frame, bytes), "the stream sends binary frames"
        message: dict[str, Any] = json.loads(frame)
        return message

    def updates(self, count: int, client_order_id: str | None = None) -> list[dict[str, Any]]:
        """The next so many updates (of one order)."""
        heard: list[dict[str, Any]] = []
        while len(heard) < count:
            data = self.hear()["data"]
            if client_order_id in (None, data["order"]["client_order_id"]):
                heard.append(data)
        return heard

    def events(self, count: int, client_order_id: str | None = None) -> list[str]:
        return [update["event"] for update in self.updates(count, client_order_id)]

    def events_before(self, sentinel: str) -> list[tuple[str, str]]:
        """What was told of other orders until the order `sentinel` is filled: (client order id, event)."""
        heard = []
        while True:
            data = self.hear()["data"]
            name = data["order"]["client_order_id"]
            if name != sentinel:
                heard.append((name, data["event"]))
            elif data["event"] == "fill":
                return heard


def order_body(client_order_id: str = "", **fields: Any) -> dict[str, Any]:
    """The body of a small market order, changed by `fields`."""
    body = {"symbol": "AAPL", "qty": "5", "side": "buy", "type": "market", "time_in_force": "day"}
    return body | {"client_order_id": client_order_id or f"order-{uuid4()}"} | fields
