"""The other side of the books: what the simulated venue holds, through its control endpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import urllib3

_PATIENCE = urllib3.Retry(total=8, backoff_factor=0.2, status_forcelist=(), allowed_methods=None)
"""The simulator may just be starting again after a kill. Everything asked for here may be asked for twice."""

_ROWS_AT_ONCE = 5_000
"""Below the simulator's own limit, and so few that it goes on serving in between."""

VENUE_ENDS = {
    "filled": "FILLED",
    "canceled": "CANCELLED",
    "expired": "CANCELLED",
    "replaced": "CANCELLED",
    "rejected": "REJECTED",
}
"""The venue's final words and the status that ours must have then; every other word is not an end."""


@dataclass(frozen=True)
class VenueOrder:
    """An order as the venue holds it, words as we spell them. Prices in US dollars."""

    id: str
    client_order_id: str
    status: str
    quantity: Decimal
    filled_quantity: Decimal
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    parent_id: str | None = None
    """Of the other part of a pair: the venue's order that it came with."""


@dataclass(frozen=True)
class VenueExecution:
    """A fill as the venue made it. Price in US dollars."""

    order_id: str
    client_order_id: str
    cumulative_quantity: Decimal
    quantity: Decimal
    price: Decimal
    symbol: str
    side: str


@dataclass(frozen=True)
class VenueLedger:
    """Everything the venue has done."""

    orders: list[VenueOrder]
    executions: list[VenueExecution]


class SimulatorControl:
    """The simulator's control endpoint. Raises urllib3.exceptions.HTTPError when it does not answer in time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(retries=_PATIENCE, timeout=urllib3.Timeout(30.0))

    def ledger(self) -> VenueLedger:
        """All orders and executions. Nothing may happen at the venue meanwhile: it is told in pages."""
        pages = list(self._pages("ledger?", "orders"))
        return VenueLedger(
            orders=[
                VenueOrder(
                    entry["id"],
                    entry["client_order_id"],
                    entry["status"],
                    Decimal(entry["qty"]),
                    Decimal(entry["filled_qty"]),
                    entry["symbol"],
                    entry["side"].upper(),
                    entry["type"].upper(),
                    entry["time_in_force"].upper(),
                    _price(entry["limit_price"]),
                    _price(entry["stop_price"]),
                    entry["parent_id"],
                )
                for document in pages
                for entry in document["orders"]
            ],
            executions=[
                VenueExecution(
                    entry["order_id"],
                    entry["client_order_id"],
                    Decimal(entry["cum_qty"]),
                    Decimal(entry["qty"]),
                    Decimal(entry["price"]),
                    entry["symbol"],
                    entry["side"].upper(),
                )
                for document in pages
                for entry in document["executions"]
            ],
        )

    def requests(self, **where: str | int) -> list[dict[str, Any]]:
        """The request log, oldest first; `where` as in the simulator's README (method, operation, fault …)."""
        query = "".join(f"{name}={value}&" for name, value in where.items())
        return [entry for page in self._pages(f"requests?{query}", "requests") for entry in page["requests"]]

    def add_faults(self, *rules: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Script faults; returns them with their ids."""
        added: list[dict[str, Any]] = self._ask("POST", "faults", list(rules))
        return added

    def remove_faults(self, *ids: int) -> None:
        """Take back these scripted faults, without ids all of them; a profile of the start stays."""
        for path in [f"faults/{each}" for each in ids] or ["faults"]:
            self._ask("DELETE", path)

    def late_requests(self) -> int:
        """How many requests were swallowed and have not taken effect yet."""
        late: int = self._ask("GET", "health")["late_requests"]
        return late

    def stream_faults(self) -> Counter[str]:
        """How often each fault of the stream struck since the simulator's last start."""
        applied: dict[str, int] = self._ask("GET", "faults")["applied"]
        return Counter({kind: count for kind, count in applied.items() if kind.startswith("stream_")})

    def change_settings(self, **settings: str | int) -> None:
        """Change delays and rules of the running simulator."""
        self._ask("POST", "settings", settings)

    def set_quote(self, symbol: str, **quote: str | bool) -> None:
        """Set and freeze a quote: `bid`, `ask`, `bid_size`, `ask_size`, in US dollars and units."""
        self._ask("POST", "quotes", {"symbol": symbol, **quote})

    def _pages(self, query: str, rows: str) -> Iterator[Any]:
        """The documents of an answer that may be longer than one; their `rows` carry a `sequence`."""
        after = 0
        while True:
            document = self._ask("GET", f"{query}limit={_ROWS_AT_ONCE}&after={after}")
            yield document
            if len(document[rows]) < _ROWS_AT_ONCE:
                return
            after = document[rows][-1]["sequence"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._pool.request(
            method,
            f"{self._url}/simulator/{path}",
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        if answer.status != 200:
            raise RuntimeError(f"the simulator answered {answer.status} to {method} {path}: {answer.data[:300]!r}")
        return json.loads(answer.data)


def _price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
