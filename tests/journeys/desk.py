"""Traders of the journeys: what they submit, what their feeds tell them, and how long they wait for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import pytest

from local.stack import LocalStack
from proofs.ledgers import Comparison, compare
from proofs.our_ledger import OurLedger, read_our_ledger
from proofs.trader_client import Json, Refused, TraderClient
from proofs.venue_ledger import SimulatorControl

T = TypeVar("T")

CASH = Decimal(1_000_000)
"""Of each trader, in US dollars."""
_PATIENCE_SECONDS = 30.0
"""For what no requirement bounds: a busy machine may be slow, a journey that hangs must end."""


class Desk:
    """Several traders' clients on an event loop of their own, asked from the test's thread."""

    def __init__(self, system: LocalStack) -> None:
        self._system = system
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="desk", daemon=True)
        self._clients: dict[str, TraderClient] = {}
        self._told = threading.Condition()
        self._events: dict[UUID, list[Json]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            self._do(client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open_account(self, name: str, cash: Decimal) -> str:
        """A new trader whose feed is open; returns its name."""
        client = TraderClient(self._system.url, self._system.create_trader(name, str(cash)), self._take)
        self._clients[name] = client
        self._do(client.__aenter__())
        self._do(client.until_connected())
        return name

    def submit(self, trader: str, **terms: object) -> UUID:
        """Submit an order, repeated with its key until it is acknowledged. 1 AAPL at the market unless told so."""
        body = {"symbol": "AAPL", "side": "BUY", "quantity": 1, "order_type": "MARKET"} | terms
        return self._do(self._clients[trader].submit(body)).order_id

    def act(self, trader: str, order_id: UUID, action: str) -> int:
        """Cancel, retry or acknowledge; the status of the answer."""
        return self._do(self._clients[trader].act(order_id, action))

    def amend(self, trader: str, order_id: UUID, **terms: object) -> int:
        """Want other terms for an order; the status of the answer."""
        return self._do(self._clients[trader].amend(order_id, terms))

    def refused(self, trader: str, **terms: object) -> str:
        """Submit an order that is refused; the code of the refusal."""
        with pytest.raises(Refused) as refusal:
            self.submit(trader, **terms)
        return refusal.value.code

    def get(self, trader: str, path: str) -> Json:
        """A document below `/api/v1/`."""
        return self._do(self._clients[trader].get(path))

    def events(self, order_id: UUID) -> list[str]:
        """What the feed has told about the order so far, by name."""
        with self._told:
            return [event["event"] for event in self._events.get(order_id, [])]

    def until(self, order_id: UUID, wanted: str, within: float = _PATIENCE_SECONDS) -> Json:
        """Wait for an event of the order by its name, or `CLOSED`; returns it. Fails after `within` seconds."""
        deadline = time.monotonic() + within
        with self._told:
            while True:
                for event in self._events.get(order_id, []):
                    if wanted in (event["event"], event["execution_state"]):
                        return event
                if not self._told.wait(deadline - time.monotonic()):
                    told = [event["event"] for event in self._events.get(order_id, [])]
                    raise AssertionError(f"{order_id} was not {wanted} within {within:g} s; the feed told {told}")

    def until_closed(self, order_ids: list[UUID], within: float = _PATIENCE_SECONDS) -> list[str]:
        """Wait until all of them have ended; returns how, in their order."""
        deadline = time.monotonic() + within
        return [
            self.until(order_id, "CLOSED", max(0.0, deadline - time.monotonic()))["status"] for order_id in order_ids
        ]

    def ours(self) -> OurLedger:
        """What PostgreSQL holds now."""
        return read_our_ledger(self._system.settings.database_url_worker)

    def ledgers_agree(self, within: float = _PATIENCE_SECONDS) -> None:
        """Both ledgers and all feeds say the same, once nothing is under way any more. Fails with what differs."""
        control = SimulatorControl(self._system.simulator_url)
        deadline = time.monotonic() + within
        while True:
            pending = control.late_requests()
            comparison = self._compared(control)
            if comparison.holds and not pending:
                return
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(comparison.differences) or f"{pending} requests are still to come")
            time.sleep(0.25)

    def _compared(self, control: SimulatorControl) -> Comparison:
        clients = list(self._clients.values())
        return compare(
            self.ours(),
            control.ledger(),
            acknowledged=[promise for client in clients for promise in client.acknowledged],
            submissions={client.trader_id: client.submissions for client in clients},
            deposits={client.trader_id: CASH for client in clients},
            feeds=[client.feed for client in clients],
        )

    def _take(self, _: TraderClient, event: Json) -> None:
        with self._told:
            self._events.setdefault(UUID(event["order_id"]), []).append(event)
            self._told.notify_all()

    def _do(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(_PATIENCE_SECONDS)
