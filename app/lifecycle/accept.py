"""HTTP -> validate -> persist: a request becomes an order, or a refusal with every reason at once.

I1: when `accept` returns an order, one commit holds the order with its idempotency key, its reservation, its audit
rows, its first event and its due time. Redis, workers and venue may all be down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from time import perf_counter
from uuid import UUID

from app.domain.acceptance import AcceptanceView, OrderTerms, Quota, order_value, reservation_price
from app.domain.books import reserved_for
from app.domain.changes import Accepting, Actor, ChainHead, Changes, CountedRefusal, LogEntry
from app.domain.denials import Denial, DenialKind
from app.domain.documents import order_document
from app.domain.money import ZERO
from app.domain.orders import ExecutionPath, Order, OrderType, Side
from app.domain.risk_rules import denials
from app.domain.slippage import price_bound
from app.domain.trading_session import Session
from app.lifecycle.ports import Ports
from app.lifecycle.record import chained, feed_event
from app.lifecycle.refusals import counted


@dataclass(frozen=True, slots=True)
class AcceptedOrder:
    """The 201: the order's document as it was when accepted."""

    order_id: UUID
    document: dict[str, object] | None
    stored: bytes | None
    """The stored document of an earlier request with the same key; `document` is None then."""
    rules_seconds: float = 0.0
    """How long the rules took: a measurement, nothing depends on it."""
    quota: Quota | None = None
    """What is left of the trader's orders of this minute after this one."""

    @property
    def replayed(self) -> bool:
        return self.stored is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no order: every failed rule."""

    denials: tuple[Denial, ...]
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class AcceptancePolicy:
    """Settings that acceptance follows."""

    v2_percent: int = 100
    market_timeout_seconds: int = 120
    """0: never."""


def accept(
    ports: Ports, policy: AcceptancePolicy, trader_id: UUID, terms: OrderTerms, actor: Actor, received_at: datetime
) -> AcceptedOrder | Refusal:
    """Accept an order or refuse it, in one transaction; both are audited.

    Raises what the store raises when the database cannot be reached: then nobody knows whether the order exists, and
    repeating the request with the same idempotency key tells.
    """
    outcome: AcceptedOrder | Refusal | None = None
    accepted: Order | None = None

    def decide(view: AcceptanceView, chain: ChainHead) -> Accepting:
        nonlocal outcome, accepted
        accepted = None
        rules_seconds = 0.0
        if view.earlier is not None:
            if view.earlier.request_fingerprint == terms.request_fingerprint:
                outcome = AcceptedOrder(view.earlier.order_id, None, view.earlier.answer, quota=view.quota)
                return Accepting()
            failed = [_key_reused(terms)]
        else:
            began = perf_counter()
            failed = denials(terms, view)
            rules_seconds = perf_counter() - began
        if failed:
            outcome = Refusal(tuple(failed), view.quota)
            return Accepting(
                refusal=counted(
                    ports,
                    trader_id,
                    chain,
                    view.now,
                    lambda head: _refusal_entry(ports, trader_id, terms, failed, actor, received_at, head, view),
                ),
                quote_wanted=None if view.instrument is None or view.quote_is_fresh else terms.symbol,
            )
        changes = _new_order(ports, policy, trader_id, terms, actor, received_at, view)
        accepted = changes.order
        quota = _one_less(view.quota)
        outcome = AcceptedOrder(accepted.id, order_document(accepted), None, rules_seconds, quota)
        return Accepting(changes=changes, session=_session_with(terms, view))

    ports.store.accept(trader_id, terms, decide)
    if outcome is None:
        raise RuntimeError("the store accepted without deciding")
    if accepted is not None:
        ports.wakeups.work(accepted)
    return outcome


def refuse(
    ports: Ports,
    trader_id: UUID,
    failed: Sequence[Denial],
    actor: Actor,
    received_at: datetime,
    *,
    order_id: UUID | None = None,
) -> None:
    """Audit a request that was not well-formed enough to be an order, or that wanted what is not allowed.

    `order_id` is the trader's own order that it was about; the row is in the trader's chain all the same.
    """

    def decide(chain: ChainHead) -> CountedRefusal:
        return counted(
            ports,
            trader_id,
            chain,
            ports.clock.now(),
            lambda head: _refusal_entry(ports, trader_id, None, failed, actor, received_at, head, None, order_id),
        )

    ports.store.refuse(trader_id, decide)


def _one_less(quota: Quota | None) -> Quota | None:
    return None if quota is None else replace(quota, remaining=max(0, quota.remaining - 1))


def _new_order(
    ports: Ports,
    policy: AcceptancePolicy,
    trader_id: UUID,
    terms: OrderTerms,
    actor: Actor,
    received_at: datetime,
    view: AcceptanceView,
) -> Changes:
    now = view.now
    instrument = view.instrument
    if instrument is None:
        raise RuntimeError("an order without an instrument passed the rules")
    order = Order(
        id=ports.ids.new(),
        trader_id=trader_id,
        idempotency_key=terms.idempotency_key,
        request_fingerprint=terms.request_fingerprint,
        symbol=terms.symbol,
        side=terms.side,
        quantity=terms.quantity,
        order_type=terms.order_type,
        price=terms.price,
        stop_loss=terms.stop_loss,
        take_profit=terms.take_profit,
        time_in_force=terms.time_in_force,
        max_slippage_bps=terms.max_slippage_bps,
        price_bound=price_bound(terms, view),
        max_wait_seconds=terms.max_wait_seconds,
        venue=terms.venue or instrument.venue,
        parent_id=None,
        execution_path=execution_path(trader_id, policy.v2_percent),
        reservation_price=reservation_price(terms, view) or ZERO,
        due_at=ports.policy.first_due(now),
        created_at=now,
        updated_at=now,
        expires_at=_deadline(terms, policy, now),
    )
    log: list[LogEntry] = []
    for action in ("SUBMITTED", "APPROVED"):
        fields: dict[str, object] = {
            "id": ports.ids.new(),
            **_who(trader_id, actor, received_at, now, ports),
            "action": action,
            "order_id": order.id,
            "status": order.status,
            "execution_state": order.execution_state,
            **_terms_fields(terms),
            # what no later row of the order repeats
            **(_further_terms(terms) if action == "SUBMITTED" else {}),
            "venue": order.venue,
            "limits_version": view.limits.version,
        }
        entry = chained(ChainHead(order.id, order.log_seq, order.log_hash), fields)
        log.append(entry)
        order = order.changed(log_seq=entry.chain_seq, log_hash=entry.hash)
    account, position = reserved_for(view.account, view.position, order)
    return Changes(
        order=order,
        account=account,
        position=position if order.side is Side.SELL else None,
        log=log,
        feed=[feed_event("order.submitted", order, None, None, now)],
    )


def _session_with(terms: OrderTerms, view: AcceptanceView) -> Session:
    """The day's worth with this order. A SELL without any price counts at its cost."""
    value = order_value(terms, view)
    if value is None:
        value = terms.quantity * (view.position.average_cost or ZERO)
    return replace(view.session, notional=view.session.notional + value)


def execution_path(trader_id: UUID, v2_percent: int) -> ExecutionPath:
    """The trader's path under a gradual roll-out: the same trader always falls on the same side of a percentage."""
    return ExecutionPath.V2 if trader_id.int % 100 < v2_percent else ExecutionPath.PLAIN


def _deadline(terms: OrderTerms, policy: AcceptancePolicy, now: datetime) -> datetime | None:
    seconds = terms.max_wait_seconds
    if seconds is None and terms.order_type is OrderType.MARKET:
        seconds = policy.market_timeout_seconds
    return now + timedelta(seconds=seconds) if seconds else None


def _key_reused(terms: OrderTerms) -> Denial:
    return Denial(
        "IDEMPOTENCY_KEY_REUSED",
        f"The Idempotency-Key {terms.idempotency_key} was used before with another request.",
        "Use a new key for a new order; repeat the identical request to get the stored answer.",
        kind=DenialKind.RULE,
    )


def _refusal_entry(
    ports: Ports,
    trader_id: UUID,
    terms: OrderTerms | None,
    failed: Sequence[Denial],
    actor: Actor,
    received_at: datetime,
    chain: ChainHead,
    view: AcceptanceView | None,
    order_id: UUID | None = None,
) -> LogEntry:
    first = failed[0]
    fields: dict[str, object] = {
        "id": ports.ids.new(),
        **_who(trader_id, actor, received_at, view.now if view else ports.clock.now(), ports),
        "action": "REJECTED",
        "order_id": order_id,
        **({**_terms_fields(terms), **_further_terms(terms)} if terms else {}),
        "error_code": first.code,
        "rule": ",".join(denial.code for denial in failed),
        "reason": " ".join(denial.message for denial in failed)[:2000],
        "limits_version": view.limits.version if view else None,
    }
    return chained(chain, fields)


def _who(trader_id: UUID, actor: Actor, received_at: datetime, now: datetime, ports: Ports) -> dict[str, object]:
    return {
        "trader_id": trader_id,
        "actor": actor.name,
        "credential": actor.credential,
        "received_at": received_at,
        "timestamp": now,
        "software_version": ports.software_version,
    }


def _further_terms(terms: OrderTerms) -> dict[str, object]:
    return {
        "stop_loss": terms.stop_loss,
        "take_profit": terms.take_profit,
        "max_slippage_bps": terms.max_slippage_bps,
        "max_wait_seconds": terms.max_wait_seconds,
    }


def _terms_fields(terms: OrderTerms) -> dict[str, object]:
    price: Decimal | None = terms.price
    return {
        "symbol": terms.symbol[:64],
        "side": terms.side,
        "quantity": terms.quantity,
        "order_type": terms.order_type,
        "price": price,
        "time_in_force": terms.time_in_force,
    }
