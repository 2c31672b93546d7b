"""Other terms for an open order: what stands at the venue is cancelled, and what is left goes out anew.

The venue's own replacement is not used: it opens a second order for a quantity that we name before we know what the
first one executes meanwhile, so both together could execute more than was wanted. Here the second order leaves only
when the venue has said that the first has ended, with every execution of it in our books; it has a client order id of
its own and is sent, asked for and repeated like any other.

The wish is stored first. Until the venue has decided the order holds back the dearer of both terms, and a fill may win.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from app.domain import order_events as happened
from app.domain.acceptance import AcceptanceView, OrderTerms, order_value, reservation_price
from app.domain.changes import Actor, Held, Verdict
from app.domain.denials import Denial, DenialKind
from app.domain.money import ZERO, plain
from app.domain.order_states import ExecutionState
from app.domain.orders import Order, OrderType, TimeInForce
from app.domain.risk_rules import denials
from app.domain.slippage import price_bound
from app.lifecycle.ports import Ports
from app.lifecycle.record import Record

ONLY_FOR_NEW = frozenset({"ORDER_RATE_LIMIT", "DUPLICATE_SUSPECTED", "MAX_OPEN_ORDERS"})
"""Rules about one order more; an order that changes is none."""
ONLY_FOR_MORE = frozenset({"MAX_DAILY_NOTIONAL"})
"""Rules about what is added to the day; terms that are worth no more add nothing."""
AMENDABLE = (ExecutionState.QUEUED, ExecutionState.SENDING, ExecutionState.IN_DOUBT, ExecutionState.WORKING)


@dataclass(frozen=True, slots=True)
class NewTerms:
    """What is wanted instead; None leaves a thing as it is, or as it was wanted before."""

    price: Decimal | None
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class Amended:
    """It has these terms: nothing of it was at the venue, or nothing was to be changed."""

    order: Order


@dataclass(frozen=True, slots=True)
class AmendStored:
    """The wish is stored; the venue decides."""

    order: Order


@dataclass(frozen=True, slots=True)
class NotOpen:
    """It has ended, is being cancelled or waits for a person."""

    order: Order


@dataclass(frozen=True, slots=True)
class Denied:
    """Why it cannot have these terms: every failed rule."""

    denials: tuple[Denial, ...]


AmendOutcome = Amended | AmendStored | NotOpen | Denied


def amend(ports: Ports, order_id: UUID, actor: Actor, wanted: NewTerms, *, trader_id: UUID) -> AmendOutcome:
    """Want other terms for an open order. Raises NoSuchOrder."""
    to_wake: Order | None = None

    def decide(held: Held, view: AcceptanceView) -> Verdict[AmendOutcome]:
        nonlocal to_wake
        to_wake = None
        order = held.order
        if order.execution_state not in AMENDABLE:
            return Verdict(NotOpen(order))
        price, quantity = _with_what_is_wanted_already(order, wanted)
        failed = _forbidden(order, quantity)
        if not failed and (price, quantity) == (order.price, order.quantity) and order.amend_requested_at is None:
            return Verdict(Amended(order))
        if order.amend_requested_at is not None and (price, quantity) == (order.amend_price, order.amend_quantity):
            return Verdict(AmendStored(order))  # the same wish again
        terms, worth = terms_of(order, wanted), _worth(order, view)
        more = (order_value(terms, view) or ZERO) - worth
        if not failed:
            passes = ONLY_FOR_NEW if more > 0 else ONLY_FOR_NEW | ONLY_FOR_MORE
            failed = [each for each in denials(terms, _without(order, worth, view)) if each.code not in passes]
        if failed:
            return Verdict(Denied(tuple(failed)))
        record = Record(ports, held, actor)
        reserved, bound = reservation_price(terms, view) or ZERO, price_bound(terms, view)
        version, done = view.limits.version, order.execution_state is ExecutionState.QUEUED
        if done:
            record.happened(happened.Amended(record.now, quantity, price, reserved, bound), limits_version=version)
        else:
            record.happened(happened.AmendWanted(record.now, quantity, price, reserved, bound), limits_version=version)
        to_wake, changes = record.order, record.changes()
        if more > 0:
            changes.session = replace(view.session, notional=view.session.notional + more)
        return Verdict(Amended(to_wake) if done else AmendStored(to_wake), changes)

    outcome = ports.store.amend(order_id, trader_id, lambda order: terms_of(order, wanted), decide)
    if to_wake is not None and not to_wake.is_closed:
        ports.wakeups.work(to_wake)
    return outcome


def terms_of(order: Order, wanted: NewTerms) -> OrderTerms:
    """What the rules judge: what is left of the order, on the terms that are wanted."""
    price, quantity = _with_what_is_wanted_already(order, wanted)
    return OrderTerms(
        symbol=order.symbol,
        side=order.side,
        quantity=max(quantity - order.filled_quantity, ZERO),
        order_type=order.order_type,
        price=price,
        time_in_force=order.time_in_force,
        idempotency_key=order.idempotency_key,
        request_fingerprint=order.request_fingerprint,
        confirm_duplicate=True,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        max_slippage_bps=order.max_slippage_bps,
        max_wait_seconds=order.max_wait_seconds,
        venue=order.venue,
    )


def _with_what_is_wanted_already(order: Order, wanted: NewTerms) -> tuple[Decimal | None, Decimal]:
    """Price and quantity: what is wanted now, else what was wanted before and is not decided, else what it has."""
    price = order.price if order.amend_price is None else order.amend_price
    quantity = order.quantity if order.amend_quantity is None else order.amend_quantity
    return (
        price if wanted.price is None else wanted.price,
        quantity if wanted.quantity is None else wanted.quantity,
    )


def _worth(order: Order, view: AcceptanceView) -> Decimal:
    """What the day's worth has of what is left of the order: on the terms it has, or the dearer ones it may get yet."""
    now = order_value(terms_of(order, NewTerms(order.price, order.quantity)), view) or ZERO
    if order.amend_requested_at is None:
        return now
    return max(now, order_value(terms_of(order, NewTerms(order.amend_price, order.amend_quantity)), view) or ZERO)


def _without(order: Order, worth: Decimal, view: AcceptanceView) -> AcceptanceView:
    """What the rules look at, as if the order were not there: its own reservation is not against it."""
    return replace(
        view,
        account=view.account.holding_back(-order.reserved_cash),
        position=view.position.holding_back(-order.reserved_quantity),
        pending_quantity=max(view.pending_quantity - order.pending_quantity, ZERO),
        pending_cost=max(view.pending_cost - order.reserved_cash, ZERO),
        session=replace(view.session, notional=view.session.notional - worth),
        earlier=None,
        repeats=None,
    )


def _forbidden(order: Order, quantity: Decimal) -> Sequence[Denial]:
    if order.is_exit:
        return [_not_amendable("An exit follows its position and cannot be changed.", "Cancel it, and sell by hand.")]
    if order.order_type is OrderType.MARKET:
        return [_not_amendable("A MARKET order is executed at once and cannot be changed.", "Cancel it.")]
    if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        return [_not_amendable(f"A {order.time_in_force} order never rests, so it cannot be changed.", "Cancel it.")]
    if quantity <= order.filled_quantity:
        filled = plain(order.filled_quantity)
        return [
            Denial(
                "ALREADY_FILLED",
                f"{filled} are filled already, so the quantity cannot become {plain(quantity)}.",
                f"Use a quantity above {filled}; to stop the rest, cancel the order.",
                "quantity",
                numbers={"filled_quantity": filled, "quantity": plain(quantity)},
            )
        ]
    return []


def _not_amendable(message: str, suggestion: str) -> Denial:
    return Denial("NOT_AMENDABLE", message, suggestion, kind=DenialKind.RULE)
