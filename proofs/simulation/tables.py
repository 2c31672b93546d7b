"""The tables an order touches, in memory: each named statement of app/storage does here what it does to PostgreSQL.

With the PostgreSQL store this is the mirror that the oracle reads after every commit; with the memory store it is the
store. Both ways of running one seed must leave the same rows, here and there.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Protocol, cast
from uuid import UUID

from app.domain.changes import LostRace, StoreRefused
from app.domain.money import ZERO
from app.storage import orders
from app.storage.account_reads import LIMITS
from app.storage.transaction import Call, Row

Record = dict[str, Any]


class Take(Protocol):
    """Take a lock for the open transaction; raises where another has it, unless both only share it."""

    def __call__(self, lock: Hashable, *, shared: bool = False) -> None: ...


Undo = list[Callable[[], None]]

_UPDATE = re.compile(r"UPDATE orders SET (.+) WHERE id = \$1")
_INSERT = re.compile(r"INSERT INTO orders \((.+)\) VALUES")


_DEFAULTS = {
    "open_attempts": [], "other_venue_orders": [], "replacements": 0, "attempts_before": 0, "filled_before": ZERO,
    "covered_quantity": ZERO, "is_unprotected": False,
}  # fmt: skip
"""What the database gives a column of orders that an INSERT leaves out."""


class UnknownStatement(Exception):
    """app/storage has a statement that this double does not know: add it to proofs/simulation/tables.py."""


@cache
def _columns(sql: str) -> tuple[str, ...]:
    found = _UPDATE.match(sql) or _INSERT.match(sql)
    if found is None:
        raise UnknownStatement(sql)
    return tuple(part.split("=")[0].strip() for part in found[1].split(","))


class Tables:
    """Rows as dictionaries of columns."""

    def __init__(self) -> None:
        self.orders: dict[UUID, Record] = {}
        self.accounts: dict[UUID, Record] = {}
        self.traders: dict[UUID, Record] = {}
        self.instruments: dict[str, Record] = {}
        self.positions: dict[tuple[UUID, str], Record] = {}
        self.fills: dict[tuple[str, str, Decimal], Record] = {}
        self.attempts: dict[tuple[UUID, str, int], Record] = {}
        self.heads: dict[UUID, int] = {}
        self.events: defaultdict[UUID, list[Record]] = defaultdict(list)
        self.logs: defaultdict[UUID, list[Record]] = defaultdict(list)
        self.chains: dict[UUID, Record] = {}
        self.halts: dict[UUID, Record] = {}
        self.touched: set[UUID] = set()
        """Orders that the last commit changed."""
        self._undo: Undo = []
        self._setting = ""

    # -- for a transaction ---------------------------------------------------------------------------------------------

    def execute(self, call: Call, take: Take, undo: Undo) -> list[Row]:
        """One statement of an open transaction. Raises LostRace and StoreRefused as the database would.

        `undo` collects how to take it back.
        """
        self._undo = undo
        name = call.statement.name
        if name.startswith("update_order_"):
            return self._update_order(call, take)
        if name.startswith("insert_order_"):
            return self._insert_order(call)
        handler = getattr(self, f"_{name}", None)
        if handler is None:
            raise UnknownStatement(name)
        rows: list[Row] | None = handler(take, *call.values)
        return rows or []

    def setting(self) -> str:
        """The session setting that the last statement left."""
        return self._setting

    def _put(self, table: dict[Any, Any], key: Any, row: Any) -> None:
        missing = key not in table
        before = table.get(key)
        table[key] = row

        def undo() -> None:
            if missing:
                del table[key]
            else:
                table[key] = before

        self._undo.append(undo)

    def _append(self, rows: list[Record], row: Record) -> None:
        rows.append(row)
        self._undo.append(lambda: rows.remove(row))

    # -- orders --------------------------------------------------------------------------------------------------------

    def _row(self, order: Record) -> Row:
        return tuple(order[name] for name in orders.COLUMNS)

    def _checks(self, order: Record) -> Row:
        instrument = self.instruments.get(order["symbol"])
        return (
            instrument and instrument["status"],
            self.traders[order["trader_id"]]["trading_state"],
            self._held(order)["quantity"] if order["parent_id"] is not None or order["side"] == "BUY" else None,
            self.active_halt(order["trader_id"], order["symbol"]),
        )

    def _held(self, order: Record) -> Record:
        return self.positions.get((order["trader_id"], order["symbol"]), {"quantity": None, "reserved_quantity": ZERO})

    def _lock_order(self, take: Take, order_id: UUID) -> list[Row]:
        if order_id not in self.orders:
            return []
        take(("order", order_id))
        return [(1,)]

    def _read_order(self, _: Take, order_id: UUID) -> list[Row]:
        order = self.orders.get(order_id)
        return [] if order is None else [self._row(order)]

    def _lock_and_read_order(self, take: Take, order_id: UUID) -> list[Row]:
        if not self._lock_order(take, order_id):
            return []
        order = self.orders[order_id]
        return [self._row(order) + self._checks(order)]

    def _lock_order_and_account(self, take: Take, order_id: UUID) -> list[Row]:
        if not self._lock_order(take, order_id):
            return []
        take(("account", self.orders[order_id]["trader_id"]))
        return [(1,)]

    def _read_order_with_books(self, _: Take, order_id: UUID) -> list[Row]:
        order = self.orders.get(order_id)
        if order is None:
            return []
        account = self.accounts[order["trader_id"]]
        position = self.positions.get((order["trader_id"], order["symbol"]), {})
        fills = [
            [fill["venue_order_id"], str(fill["cumulative_quantity"]), str(fill["quantity_filled"])]
            for fill in self.fills.values()
            if fill["order_id"] == order_id
        ]
        return [
            (
                *self._row(order),
                *self._checks(order),
                account["currency"],
                account["cash"],
                account["reserved"],
                *(position.get(name) for name in ("quantity", "reserved_quantity", "cost_basis", "realized_pnl")),
                json.dumps(fills) if order["filled_quantity"] > 0 else None,
            )
        ]

    def _insert_order(self, call: Call) -> list[Row]:
        row: Record = dict.fromkeys(orders.COLUMNS)
        row.update(_DEFAULTS)
        row.update(zip(_columns(call.statement.sql), call.values, strict=True))
        key = (row["trader_id"], row["idempotency_key"])
        if any((other["trader_id"], other["idempotency_key"]) == key for other in self.orders.values()):
            raise LostRace("orders_idempotency")
        self._check(row)
        self._put(self.orders, row["id"], row)
        self.touched.add(row["id"])
        return []

    def _update_order(self, call: Call, take: Take) -> list[Row]:
        order_id, values = cast("UUID", call.values[0]), call.values[1:]
        before = self.orders.get(order_id)
        if before is None:
            return []
        take(("order", order_id))
        row = {**before, **dict(zip(_columns(call.statement.sql), values, strict=True))}
        if row["version"] != before["version"] + 1:
            raise LostRace(f"order {order_id} is at version {before['version']}")
        self._check(row)
        self._put(self.orders, order_id, row)
        self.touched.add(row["id"])
        return []

    def _check(self, row: Record) -> None:
        closed = row["execution_state"] == "CLOSED"
        filled, quantity, status = row["filled_quantity"], row["quantity"], row["status"]
        known = row["venue_order_id"]
        rules = {
            "orders_filled_within_quantity": 0 <= filled <= quantity,
            "orders_closed_iff_final": closed == (status in ("FILLED", "REJECTED", "CANCELLED")),
            "orders_closed_iff_closed_at": closed == (row["closed_at"] is not None),
            "orders_open_iff_due": closed == (row["due_at"] is None),
            "orders_filled_iff_complete": (status == "FILLED") == (filled == quantity),
            "orders_pending_unfilled": status != "PENDING" or filled == 0,
            "orders_partial_filled": status != "PARTIAL" or filled > 0,
            "orders_working_is_known": row["execution_state"] != "WORKING" or known is not None,
            "orders_queued_unsent": row["execution_state"] != "QUEUED" or row["attempts"] == row["attempts_before"],
            "orders_part_before_is_filled": 0 <= row["filled_before"] <= filled,
            "orders_part_covered_is_filled": 0 <= row["covered_quantity"] <= filled,
            "orders_closed_wants_nothing": not closed or row["amend_requested_at"] is None,
            "orders_venue_order": known is None
            or not any(
                other["venue_order_id"] == known and other["venue"] == row["venue"] and other["id"] != row["id"]
                for other in self.orders.values()
            ),
        }
        broken = [name for name, holds in rules.items() if not holds]
        if broken:
            raise StoreRefused(f"order {row['id']} violates {', '.join(broken)}")

    def _due_orders(self, _: Take, now: datetime, limit: int) -> list[Row]:
        due = [order for order in self.orders.values() if order["due_at"] is not None and order["due_at"] <= now]
        due.sort(key=lambda order: (_rests(order, now), order["due_at"], order["id"]))
        return [self._row(order) for order in due[:limit]]

    def _stray_orders(self, _: Take, now: datetime) -> list[Row]:
        return [self._row(order) for order in self.orders.values()
                if order["stray_due_at"] is not None and order["stray_due_at"] <= now]  # fmt: skip

    def _sending_orders(self, _: Take, now: datetime) -> list[Row]:
        return [self._row(order) for order in self.orders.values()
                if order["execution_state"] == "SENDING" and order["due_at"] > now]  # fmt: skip

    def _exits_beyond_position(self, _: Take) -> list[Row]:
        found = [
            (order["created_at"], (*self._row(order), self._held(order)["quantity"]))
            for order in self.orders.values()
            if order["parent_id"] is not None and order["side"] == "SELL" and order["due_at"] is not None
            and order["cancel_requested_at"] is None
            and self._held(order)["reserved_quantity"] > max(self._held(order)["quantity"] or ZERO, ZERO)
        ]  # fmt: skip
        return [row for _, row in sorted(found, key=lambda each: each[0])[:100]]

    def _order_at_venue(self, _: Take, venue_order_id: str) -> list[Row]:
        return [
            (order["id"],)
            for order in self.orders.values()
            if venue_order_id in order["other_venue_orders"] or venue_order_id == order["venue_order_id"]
        ][:1]

    def _look_at_live_orders(self, take: Take, now: datetime) -> list[Row]:
        live = [order for order in self.orders.values()
                if order["due_at"] is not None and order["due_at"] > now
                and order["execution_state"] in ("WORKING", "CANCELLING")]  # fmt: skip
        live.sort(key=lambda order: order["created_at"], reverse=True)
        for place, order in enumerate(live, start=1):
            take(("order", order["id"]))
            due_at = min(order["due_at"], now + place * timedelta(milliseconds=10))
            self._put(self.orders, order["id"], {**order, "due_at": due_at, "version": order["version"] + 1})
            self.touched.add(order["id"])
        self._setting = str(len(live))
        return []

    # -- acceptance ----------------------------------------------------------------------------------------------------

    def _lock_account(self, take: Take, trader_id: UUID) -> list[Row]:
        take(("account", trader_id))
        return []

    def _read_for_acceptance(
        self, _: Take, trader_id: UUID, symbol: str, key: str, side: str, quantity: Decimal,
        window: datetime | None, order_type: str, price: Decimal | None, today: date, _fresh_from: datetime,
        own_resting_orders_only: bool | None,
    ) -> list[Row]:  # fmt: skip
        account, trader = self.accounts[trader_id], self.traders[trader_id]
        if own_resting_orders_only is not None or any(trader.get(name) for name in LIMITS):
            raise NotImplementedError("the double knows neither limits nor an order book")
        instrument = self.instruments.get(symbol, {})
        position = self.positions.get((trader_id, symbol), {})
        chain = self.chains.get(trader_id, {})
        mine = [order for order in self.orders.values() if order["trader_id"] == trader_id]
        earlier = next((order for order in mine if order["idempotency_key"] == key), None)
        first = None if earlier is None else next(
            event["payload"] for event in self.events[trader_id] if event["order_id"] == earlier["id"]
        )  # fmt: skip
        terms = (symbol, side, quantity, order_type, price)
        repeats = None if window is None else next(
            (order["id"] for order in mine if order["created_at"] > window and terms ==
             tuple(order[name] for name in ("symbol", "side", "quantity", "order_type", "price"))),
            None,
        )  # fmt: skip
        buys = [order for order in mine if side == order["side"] == "BUY" and order["symbol"] == symbol
                and order["closed_at"] is None and position.get("quantity", 0) < 0]  # fmt: skip
        leaves = [order["quantity"] - order["filled_quantity"] for order in buys]
        costs = [left * order["reservation_price"] for left, order in zip(leaves, buys, strict=True)]
        begins = account["session_on"] is None or account["session_on"] < today
        return [
            (
                *(account[name] for name in ("currency", "cash", "reserved")),
                *(account[name] for name in ("rate_minute", "rate_count", "rate_previous")),
                *(account[name] for name in ("session_on", "session_equity", "session_notional")),
                trader["trading_state"], trader["limits_version"], *(trader.get(name) for name in LIMITS),
                *(instrument.get(name)
                  for name in ("venue", "status", "tick_size", "lot_size", "bid", "ask", "confirmed_at",
                               "always_open")),
                None, None, None,  # the venue's clock was never heard
                *(position.get(name) for name in ("quantity", "reserved_quantity", "cost_basis", "realized_pnl")),
                *(chain.get(name) for name in ("seq", "hash", "refusal_minute", "refusals")),
                None if earlier is None else earlier["id"],
                None if earlier is None else earlier["request_fingerprint"],
                first, repeats, self._equity(trader_id) if begins else None, None,
                sum(leaves) if leaves else None, sum(costs) if costs else None, None, None,
                self.active_halt(trader_id, symbol),
            )
        ]  # fmt: skip

    def _equity(self, trader_id: UUID) -> Decimal:
        worth = self.accounts[trader_id]["cash"]
        for (owner, symbol), position in self.positions.items():
            if owner == trader_id:
                mark = self.instruments[symbol]["ask" if position["quantity"] < 0 else "bid"]
                worth += position["quantity"] * mark
        return Decimal(worth)

    def _count_last_minute(self, _: Take, trader_id: UUID, since: datetime, limit: int) -> list[Row]:
        times = sorted(
            (order["created_at"] for order in self.orders.values()
             if order["trader_id"] == trader_id and order["created_at"] > since and order["parent_id"] is None),
            reverse=True,
        )[:limit]  # fmt: skip
        return [(len(times), min(times, default=None))]

    def _reserve(
        self, take: Take, trader_id: UUID, reserved: Decimal, minute: datetime, count: int, previous: int, at: datetime,
        session_on: date, session_equity: Decimal | None, session_notional: Decimal,
    ) -> None:  # fmt: skip
        take(("account", trader_id))
        account = self.accounts[trader_id]
        rate = {"rate_minute": minute, "rate_count": count, "rate_previous": previous}
        session = {
            "session_on": session_on, "session_equity": session_equity, "session_notional": session_notional,
        }  # fmt: skip
        self._put(self.accounts, trader_id, {**account, "reserved": reserved, **rate, **session, "updated_at": at})

    # -- books ---------------------------------------------------------------------------------------------------------

    def _update_account(self, take: Take, trader_id: UUID, cash: Decimal, reserved: Decimal, at: datetime) -> None:
        take(("account", trader_id))
        account = self.accounts[trader_id]
        self._put(self.accounts, trader_id, {**account, "cash": cash, "reserved": reserved, "updated_at": at})

    def _write_session(
        self, take: Take, trader_id: UUID, on: date, equity: Decimal | None, notional: Decimal
    ) -> None:  # fmt: skip
        take(("account", trader_id))
        day = {"session_on": on, "session_equity": equity, "session_notional": notional}
        self._put(self.accounts, trader_id, {**self.accounts[trader_id], **day})

    def _write_position(
        self, _: Take, trader_id: UUID, symbol: str, quantity: Decimal, reserved: Decimal, basis: Decimal,
        realized: Decimal, at: datetime,
    ) -> None:  # fmt: skip
        row = {
            "quantity": quantity, "reserved_quantity": reserved, "cost_basis": basis, "realized_pnl": realized,
            "updated_at": at,
        }  # fmt: skip
        self._put(self.positions, (trader_id, symbol), row)

    def _insert_fill(self, _: Take, *values: Any) -> None:
        names = (
            "id", "order_id", "trader_id", "symbol", "side", "timestamp", "quantity_filled", "price_at_fill", "venue",
            "commission", "venue_order_id", "cumulative_quantity", "execution_id", "realized_pnl", "is_late",
            "created_at", "commission_source",
        )  # fmt: skip
        row = dict(zip(names, values, strict=True))
        identity = (row["venue"], row["venue_order_id"], row["cumulative_quantity"])
        if identity in self.fills:
            raise LostRace("fills_identity")
        self._put(self.fills, identity, row)

    # -- attempts, log, feed -------------------------------------------------------------------------------------------

    def _insert_attempt(
        self, _: Take, order_id: UUID, kind: str, number: int, trader_id: UUID, fence: int, client_order_id: str,
        sender: str, sent_at: datetime,
    ) -> None:  # fmt: skip
        if (order_id, kind, number) in self.attempts:
            raise StoreRefused("order_attempts_pkey")
        row = {
            "trader_id": trader_id, "fence": fence, "client_order_id": client_order_id, "sender": sender,
            "sent_at": sent_at, "ended_at": None, "outcome": None, "error_code": None, "evidence": None,
        }  # fmt: skip
        self._put(self.attempts, (order_id, kind, number), row)

    def _end_attempt(
        self, _: Take, order_id: UUID, kind: str, number: int, at: datetime, outcome: str, code: str | None,
        evidence: str | None,
    ) -> None:  # fmt: skip
        row = self.attempts.get((order_id, kind, number))
        if row is not None and row["ended_at"] is None:
            ended = {"ended_at": at, "outcome": outcome, "error_code": code, "evidence": evidence}
            self._put(self.attempts, (order_id, kind, number), {**row, **ended})

    def _insert_log(self, _: Take, encoding: str, previous: bytes, hash_: bytes) -> None:
        fields = json.loads(encoding)
        chain = self.logs[UUID(fields["chain_id"])]
        if any(row["chain_seq"] == int(fields["chain_seq"]) for row in chain):
            raise LostRace("execution_logs_chain")
        row = {"chain_seq": int(fields["chain_seq"]), "encoding": encoding, "previous_hash": previous, "hash": hash_}
        self._append(chain, row)

    def _insert_logs(self, take: Take, encodings: str, previous: list[bytes], hashes: list[bytes]) -> None:
        whole = json.JSONDecoder()
        place = 1  # after the opening bracket: the rows' own text is what their hashes cover
        for before, hash_ in zip(previous, hashes, strict=True):
            _, end = whole.raw_decode(encodings, place)
            self._insert_log(take, encodings[place:end], before, hash_)
            place = end + 1

    def _lock_chain(self, take: Take, chain_id: UUID, trader_id: UUID, genesis: bytes) -> list[Row]:
        take(("chain", chain_id))
        if chain_id not in self.chains:
            row = {"trader_id": trader_id, "seq": 0, "hash": genesis, "refusal_minute": None, "refusals": 0}
            self._put(self.chains, chain_id, row)
        chain = self.chains[chain_id]
        return [tuple(chain[name] for name in ("seq", "hash", "refusal_minute", "refusals"))]

    def _count_refusal(self, take: Take, chain_id: UUID, minute: datetime, refusals: int) -> None:
        take(("chain", chain_id))
        self._put(self.chains, chain_id, {**self.chains[chain_id], "refusal_minute": minute, "refusals": refusals})

    def _counted_refusals(self, _: Take, more_than: int, before: datetime) -> list[Row]:
        return [
            (chain_id,) for chain_id, chain in self.chains.items()
            if chain["refusals"] > more_than and chain["refusal_minute"] < before
        ]  # fmt: skip

    # -- halts ---------------------------------------------------------------------------------------------------------

    def active_halt(self, trader_id: UUID, symbol: str) -> str | None:
        """The widest active halt of a trader's orders in a symbol, as the database tells it."""
        covering = [
            halt for halt in self.halts.values()
            if halt["lifted_at"] is None
            and (halt["scope"] == "GLOBAL" or halt["trader_id"] == trader_id or halt["symbol"] == symbol)
        ]  # fmt: skip
        return _as_json(min(covering, key=lambda halt: halt["scope"])) if covering else None

    def _pass_halt_gate(self, take: Take) -> None:
        take("gate", shared=True)

    def _pass_halt_gate_and_lock_account(self, take: Take, trader_id: UUID) -> None:
        take("gate", shared=True)
        take(("account", trader_id))

    def _close_halt_gate(self, take: Take) -> None:
        take("gate")

    def _target_of_halt_exists(self, _: Take, trader_id: UUID | None, symbol: str | None) -> list[Row]:
        return [((trader_id is None or trader_id in self.accounts) and (symbol is None or symbol in self.instruments),)]

    def _active_twin_of_halt(self, _: Take, scope: str, trader_id: UUID | None, symbol: str | None) -> list[Row]:
        return [
            tuple(halt.values()) for halt in self.halts.values()
            if halt["lifted_at"] is None
            and (halt["scope"], halt["trader_id"], halt["symbol"]) == (scope, trader_id, symbol)
        ]  # fmt: skip

    def _find_halt(self, _: Take, halt_id: UUID) -> list[Row]:
        return [tuple(self.halts[halt_id].values())] if halt_id in self.halts else []

    def _halts_of_trader(self, _: Take, trader_id: UUID) -> list[Row]:
        return [
            tuple(halt.values()) for halt in self.halts.values()
            if halt["scope"] == "TRADER" and halt["trader_id"] == trader_id
        ]  # fmt: skip

    def _lock_account_for_halt(self, take: Take, trader_id: UUID) -> None:
        take(("account", trader_id))

    def _insert_halt(self, take: Take, *values: Any) -> None:
        names = (
            "id", "scope", "trader_id", "symbol", "code", "reason", "cancel_exits", "halted_by", "created_at",
            "lifted_at", "lifted_by", "lift_reason",
        )  # fmt: skip
        row = dict(zip(names, (*values, None, None, None), strict=True))
        if not self._active_twin_of_halt(take, row["scope"], row["trader_id"], row["symbol"]):
            self._put(self.halts, row["id"], row)

    def _lift_halt(self, _: Take, halt_id: UUID, at: datetime, by: str, reason: str) -> None:
        halt = self.halts[halt_id]
        if halt["lifted_at"] is None:
            self._put(self.halts, halt_id, {**halt, "lifted_at": at, "lifted_by": by, "lift_reason": reason})

    def _halted_orders(self, _: Take, limit: int) -> list[Row]:
        found = [
            (order["created_at"], (*self._row(order), _as_json(halt)))
            for halt in self.halts.values()
            if halt["lifted_at"] is None
            for order in self.orders.values()
            if order["due_at"] is not None
            and order["cancel_requested_at"] is None
            and (halt["scope"] == "GLOBAL" or halt["trader_id"] == order["trader_id"]
                 or halt["symbol"] == order["symbol"])
            and (order["parent_id"] is None or halt["cancel_exits"])
        ]  # fmt: skip
        return [row for _, row in sorted(found, key=lambda each: each[0])[:limit]]

    def _move_chain(self, take: Take, chain_id: UUID, seq: int, hash_: bytes) -> None:
        take(("chain", chain_id))
        self._put(self.chains, chain_id, {**self.chains[chain_id], "seq": seq, "hash": hash_})

    def _append_events(
        self, take: Take, trader_id: UUID, order_id: UUID, names: list[str], payloads: list[str], at: datetime,
        children: list[str | None],
    ) -> None:  # fmt: skip
        take(("counter", trader_id))
        seq = self.heads[trader_id]
        for name, payload, child in zip(names, payloads, children or [None] * len(names), strict=True):
            seq += 1
            row = {
                "seq": seq,
                "order_id": UUID(child) if child else order_id,
                "event": name,
                "payload": payload,
                "recorded_at": at,
            }
            self._append(self.events[trader_id], row)
        self._put(self.heads, trader_id, seq)
        self._setting = str(seq)

    # -- before the run ------------------------------------------------------------------------------------------------

    def add_trader(self, trader_id: UUID, cash: Decimal, at: datetime) -> None:
        self.traders[trader_id] = {"trading_state": "ACTIVE", "orders_per_minute": None, "limits_version": 1}
        never = datetime.min.replace(tzinfo=UTC)
        self.accounts[trader_id] = {
            "currency": "USD", "cash": cash, "reserved": Decimal(0), "session_on": None,
            "session_equity": None, "session_notional": Decimal(0), "rate_minute": never, "rate_count": 0,
            "rate_previous": 0, "updated_at": at,
        }  # fmt: skip
        self.heads[trader_id] = 0


def _rests(order: Record, now: datetime) -> bool:
    expired = order["expires_at"] is not None and order["expires_at"] <= now
    return order["execution_state"] == "WORKING" and not expired and order["amend_requested_at"] is None


def _as_json(halt: Record) -> str:
    return json.dumps(
        [
            None if value is None else value if value is True or value is False else _text(value)
            for value in halt.values()
        ]
    )


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
