"""What happened -> what is written: the order, its books, its audit rows, its events, all for one transaction.

`Record` collects the changes of one held order. It is the only place where an order's event becomes an audit row
and an event of the trader's feed, so that none can be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from app.domain import order_events
from app.domain.audit_chain import canonical, link, time_text
from app.domain.books import Booked, book, moves_books
from app.domain.changes import (
    Actor,
    AttemptEnded,
    AttemptStarted,
    BooksNeeded,
    ChainHead,
    Changes,
    Child,
    FeedEvent,
    FillRow,
    GateNeeded,
    Held,
    Imposing,
    LogEntry,
)
from app.domain.documents import Json, order_document, reason_document
from app.domain.exits import exit_of
from app.domain.halts import Halt, HaltScope
from app.domain.money import ZERO, plain
from app.domain.order_events import OrderEvent, Reason
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import Order
from app.domain.venue_answers import Execution
from app.lifecycle.ports import Ports

FILL_IDS = UUID("6f1f0c0e-5d0f-5b5e-9d7b-3f1f5a4a7a51")
"""Namespace of fill ids: the same execution gets the same id whoever records it, and after whatever restart (I6)."""


_ATTEMPTS = {"SUBMIT": "EXECUTED", "CANCEL": "CANCELLED", "REPLACE": "AMENDED"}
"""The audit's action for what happens to an attempt of that kind."""


class Record:
    """Changes of one order under its lock. Call `happened` for each event, then take `changes`."""

    def __init__(self, ports: Ports, held: Held, actor: Actor, *, now: datetime | None = None) -> None:
        self.now = now or ports.clock.now()
        self._ports = ports
        self._actor = actor
        self._held = held
        self._changes = Changes(
            order=held.order.changed(version=held.order.version + 1),
            before=held.order,
            account=held.account,
            position=held.position,
        )
        self._began = self._changes.order
        self._books_changed = False
        self._events = 0
        self._untold: list[AttemptEnded] = []

    @property
    def order(self) -> Order:
        """The order as the changes so far leave it."""
        return self._changes.order

    def happened(
        self,
        event: OrderEvent,
        *,
        execution: Execution | None = None,
        error_code: str | None = None,
        sent_at: datetime | None = None,
        venue_at: datetime | None = None,
        actor: Actor | None = None,
        limits_version: int | None = None,
    ) -> None:
        """Apply the event, with everything that belongs to it. `venue_at` is the venue's own time of it.

        `limits_version` is of the trader's limits that allowed it, where rules were asked.
        """
        self._events += 1
        before = self._changes.order
        after = before.apply(event)
        self._changes.order = after
        fill = self._book(before, after, event, execution)
        if after.is_closed and after.is_unprotected and not after.is_exit:
            self._place_exits()
        name, action = _names(before, after, event)
        if fill is not None and before.is_closed:
            self.alarm("LATE_FILL", f"{plain(fill.quantity)} were filled after the order had ended")
        reason = getattr(event, "reason", None)
        self._log(
            action,
            before,
            actor=actor,
            error_code=error_code or (reason.code if reason else None),
            reason=reason.message if reason else None,
            sent_at=sent_at,
            venue_at=venue_at,
            fill=fill,
            limits_version=limits_version,
            details=_other_terms(before, event) if action == "AMENDED" else None,
        )
        self._feed(name, fill, reason)

    def bookkeeping(self, **schedule: object) -> None:
        """Change leases, due times, look-up counts: nothing that is part of the order's story."""
        self._changes.order = self._changes.order.watched(**schedule)

    def attempt_started(self, attempt: AttemptStarted) -> None:
        """An attempt is about to leave. That of a submit is told by its event; every other one is a row by itself."""
        self._changes.attempts_started.append(attempt)
        if attempt.kind != "SUBMIT":
            self._log(_ATTEMPTS[attempt.kind], self._changes.order, reason="It is sent.", sent_at=attempt.sent_at)

    def attempt_ended(self, attempt: AttemptEnded) -> None:
        """An attempt is over: its answer is here, or its sender is gone."""
        self._changes.attempts_ended.append(attempt)
        self._untold.append(attempt)
        if attempt.kind == "SUBMIT":
            self._changes.order = self._changes.order.attempt_ended(attempt.number, attempt.ended_at)

    def alarm(self, code: str, message: str) -> None:
        """Say once, in the audit log and on the order, that something must be looked at by a person."""
        raised = (self._changes.order.alarm_code or "").split(",")
        if code in raised:
            return
        self._changes.order = self._changes.order.watched(alarm_code=",".join(filter(None, [*raised, code])))
        self._log("ALARMED", self._changes.order, error_code=code, reason=message)

    def noted(self, action: str, *, error_code: str | None = None, reason: str | None = None) -> None:
        """An audit row for something that does not change the order."""
        self._log(action, self._changes.order, error_code=error_code, reason=reason)

    def halt_trader(self, code: str, reason: str) -> None:
        """Halt the order's trader in this transaction, unless it is halted. Raises GateNeeded where that cannot be.

        `reason` is the evidence with its numbers. What a person has seen and lifted does not halt again: the venue
        repeats it with every look.
        """
        held = self._held
        if held.halt is not None and held.halt.scope is HaltScope.TRADER:
            return
        if any(imposing.halt.scope is HaltScope.TRADER for imposing in self._changes.halts):
            return
        if held.trader_chain is None:
            raise GateNeeded
        reason = reason[:2000]
        if any(halt.is_active or (halt.code, halt.reason) == (code, reason) for halt in held.trader_halts):
            return
        order = self._changes.order
        halt = Halt(
            self._ports.ids.new(), HaltScope.TRADER, order.trader_id, None, code, reason, cancel_exits=False,
            halted_by="Surefill", created_at=self.now,
        )  # fmt: skip
        fields: dict[str, object] = {
            "id": self._ports.ids.new(),
            "trader_id": order.trader_id,
            "actor": self._actor.name,
            "credential": self._actor.credential,
            "received_at": self._actor.received_at,
            "action": "HALTED",
            "symbol": order.symbol,
            "error_code": code,
            "reason": halt.reason,
            "details": halt.details(),
            "timestamp": self.now,
            "software_version": self._ports.software_version,
        }
        self._changes.halts.append(Imposing(halt, chained(held.trader_chain, fields)))

    @property
    def is_empty(self) -> bool:
        """True while nothing has happened that would have to be written."""
        # the version apart, which rises with whatever is written
        return not self._changes.halts and self._changes.order == self._began

    @property
    def fills(self) -> Sequence[FillRow]:
        """The executions counted so far."""
        return self._changes.fills

    def changes(self) -> Changes:
        """Everything to write. The record is finished with it.

        An attempt's end that no event of the order tells (an old one's answer, a sender that is gone, a cancel that
        was taken) becomes a row by itself.
        """
        for attempt in self._untold:
            if not self._events or attempt.outcome == "SENDER_GONE":
                self._log(
                    _ATTEMPTS[attempt.kind],
                    self._changes.order,
                    error_code=attempt.error_code,
                    reason=f"Attempt {attempt.number} ended: {attempt.outcome}.",
                )
        self._untold.clear()
        if not self._books_changed:
            self._changes.account = self._changes.position = None
        return self._changes

    # -- books ---------------------------------------------------------------------------------------------------------

    def _book(self, before: Order, after: Order, event: OrderEvent, execution: Execution | None) -> FillRow | None:
        if not moves_books(before, after, event):
            return None
        account, position = self._changes.account, self._changes.position
        if account is None or position is None:
            raise BooksNeeded
        self._books_changed = True
        booked = book(account, position, before, after, event, self._ports.fees)
        self._changes.account, self._changes.position = booked.account, booked.position
        if not isinstance(event, order_events.Filled):
            return None
        fill = self._fill_row(before, event, execution, booked)
        self._changes.fills.append(fill)
        return fill

    def _fill_row(
        self, before: Order, event: order_events.Filled, execution: Execution | None, booked: Booked
    ) -> FillRow:
        venue_order_id = (execution.venue_order_id if execution else None) or before.venue_order_id or ""
        identity = f"{before.venue}|{venue_order_id}|{plain(event.cumulative_quantity)}"
        return FillRow(
            id=uuid5(FILL_IDS, identity),
            executed_at=execution.executed_at if execution else event.at,
            quantity=event.quantity,
            price=event.price,
            commission=booked.commission,
            commission_source=booked.commission_source,
            venue_order_id=venue_order_id,
            cumulative_quantity=event.cumulative_quantity,
            execution_id=execution.execution_id if execution else None,
            realized_pnl=booked.realized,
            is_late=before.is_closed,
        )

    # -- exits ---------------------------------------------------------------------------------------------------------

    def _place_exits(self) -> None:
        """An entry has ended, or was filled late: what it bought and no exit covers yet is given to one, in here.

        Venues take exits for whole units only; a fraction that was bought stays unprotected, and says so.
        """
        entry = self._changes.order
        account, position = self._changes.account, self._changes.position
        if account is None or position is None:
            raise BooksNeeded
        bought = entry.filled_quantity - entry.covered_quantity
        to_protect = max(min(bought, position.available_quantity), ZERO)
        quantity = to_protect // 1
        covered = entry.filled_quantity - (to_protect - quantity)
        self._changes.order = entry.watched(covered_quantity=covered)
        if not quantity:
            return  # what was bought has covered an oversold position: nothing is left to protect
        self._books_changed = True
        number = entry.log_seq + len(self._changes.children)
        order = exit_of(
            entry, quantity, self._ports.ids.new(), number, self.now, self._ports.policy.first_due(self.now)
        )
        self._changes.position = position.holding_back(quantity)
        log: list[LogEntry] = []
        for action in ("SUBMITTED", "APPROVED"):
            fields = {
                "id": self._ports.ids.new(),
                "trader_id": order.trader_id,
                "actor": self._actor.name,
                "credential": self._actor.credential,
                "received_at": self._actor.received_at,
                "action": action,
                "order_id": order.id,
                "parent_id": entry.id,
                "status": order.status,
                "execution_state": order.execution_state,
                "symbol": order.symbol,
                "side": order.side,
                "quantity": order.quantity,
                "order_type": order.order_type,
                "price": order.price,
                "time_in_force": order.time_in_force,
                "filled_quantity": order.filled_quantity,
                "stop_loss": order.stop_loss if action == "SUBMITTED" else None,
                "venue": order.venue,
                "reason": f"Exit of order {entry.id}.",
                "timestamp": self.now,
                "software_version": self._ports.software_version,
            }
            entry_row = chained(ChainHead(order.id, order.log_seq, order.log_hash), fields)
            log.append(entry_row)
            order = order.changed(log_seq=entry_row.chain_seq, log_hash=entry_row.hash)
        feed = [feed_event("order.submitted", order, None, None, self.now)]
        self._changes.children.append(Child(order, log, feed))

    # -- audit ---------------------------------------------------------------------------------------------------------

    def _log(
        self,
        action: str,
        before: Order,
        *,
        actor: Actor | None = None,
        error_code: str | None = None,
        reason: str | None = None,
        sent_at: datetime | None = None,
        venue_at: datetime | None = None,
        fill: FillRow | None = None,
        limits_version: int | None = None,
        details: str | None = None,
    ) -> None:
        order, who = self._changes.order, actor or self._actor
        fields: dict[str, object] = {
            "id": self._ports.ids.new(),
            "trader_id": order.trader_id,
            "actor": who.name,
            "credential": who.credential,
            "action": action,
            "order_id": order.id,
            "status": order.status,
            "status_before": before.status,
            "execution_state": order.execution_state,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": order.quantity,
            "order_type": order.order_type,
            "price": order.price,
            "time_in_force": order.time_in_force,
            "filled_quantity": order.filled_quantity,
            "venue": order.venue,
            "venue_order_id": order.venue_order_id,
            "retry_attempt": order.attempts - 1 if order.attempts else None,
            "error_code": error_code,
            "reason": reason,
            "limits_version": limits_version,
            "details": details,
            "parent_id": order.parent_id,
            "received_at": who.received_at,
            "sent_at": sent_at,
            "venue_at": venue_at,
            "timestamp": self.now,
            "software_version": self._ports.software_version,
        }
        if fill is not None:
            fields["fill_quantity"] = fill.quantity
            fields["fill_price"] = fill.price
            fields["commission"] = fill.commission
            fields["execution_id"] = fill.execution_id
            fields["venue_at"] = fill.executed_at
        entry = chained(ChainHead(order.id, order.log_seq, order.log_hash), fields)
        self._changes.log.append(entry)
        self._changes.order = order.changed(log_seq=entry.chain_seq, log_hash=entry.hash)

    # -- feed ----------------------------------------------------------------------------------------------------------

    def _feed(self, name: str, fill: FillRow | None, reason: Reason | None) -> None:
        order = self._changes.order
        self._changes.feed.append(feed_event(name, order, fill, reason, self.now))


def feed_event(name: str, order: Order, fill: FillRow | None, reason: Reason | None, at: datetime) -> FeedEvent:
    """The event as the trader receives it, but for its seq."""
    document = order_document(order)
    return FeedEvent(
        name,
        {
            "event": name,
            "order_id": document["id"],
            "status": document["status"],
            "execution_state": document["execution_state"],
            "filled_quantity": document["filled_quantity"],
            "average_fill_price": document["average_fill_price"],
            "fill": None if fill is None else _fill_document(fill, order.venue),
            "reason": reason_document(reason),
            "timestamp": time_text(at),
            "order": document,
        },
        at,
    )


def chained(head: ChainHead, fields: Mapping[str, object]) -> LogEntry:
    """The next row of a chain. Its hash covers the fields, the chain and the place in it."""
    seq = head.seq + 1
    encoding = canonical({**fields, "chain_id": head.chain_id, "chain_seq": seq})
    return LogEntry(head.chain_id, seq, head.hash, link(head.hash, encoding), encoding, fields)


def _fill_document(fill: FillRow, venue: str) -> Json:
    return {
        "id": str(fill.id),
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "venue": venue,
        "commission": plain(fill.commission),
        "timestamp": time_text(fill.executed_at),
    }


def _other_terms(before: Order, event: OrderEvent) -> str | None:
    """Of an order that changes: the terms it had, and those that are wanted or hold from now on."""
    if not isinstance(event, order_events.AmendWanted | order_events.Amended):
        return None
    terms = {
        "before": {"quantity": plain(before.quantity), "price": None if before.price is None else plain(before.price)},
        "after": {"quantity": plain(event.quantity), "price": None if event.price is None else plain(event.price)},
    }
    return json.dumps(terms, sort_keys=True, separators=(",", ":"))


def _names(before: Order, after: Order, event: OrderEvent) -> tuple[str, str]:
    """The feed's event and the audit's action for what happened: the contract's table of events."""
    match event:
        case order_events.SendStarted():
            return "order.sending", "EXECUTED"
        case order_events.VenueAccepted():
            doubted = event.found_by_asking or before.execution_state is not ExecutionState.SENDING
            return ("order.recovered", "RECOVERED") if doubted else ("order.executed", "EXECUTED")
        case order_events.OutcomeLost():
            return "order.in_doubt", "EXECUTED"
        case order_events.RetriesSpent():
            return "order.needs_attention", "EXECUTED"
        case order_events.RetryRequested():
            return "order.in_doubt", "RETRIED"
        case order_events.CancelWanted():
            return "order.cancelling", "CANCELLED"
        case order_events.AmendWanted():
            return "order.amending", "AMENDED"
        case order_events.Amended():
            return ("order.filled" if after.status is OrderStatus.FILLED else "order.amended"), "AMENDED"
        case order_events.Abandoned():
            return "order.cancelling", "ABANDONED"
        case order_events.Filled():
            if before.is_closed:
                return "order.late_fill", "FILLED"
            return ("order.filled" if after.status is OrderStatus.FILLED else "order.partial"), "FILLED"
        case order_events.Rejected():
            return "order.rejected", "REJECTED"
        case order_events.Cancelled():
            return "order.cancelled", "CANCELLED"
    raise TypeError(f"no event of the feed for {type(event).__name__}")
