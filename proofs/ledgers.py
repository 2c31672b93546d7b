"""Both ledgers compared: ours in PostgreSQL, the venue's in the simulator, and what the clients were told.

`compare` knows nothing of how the orders came about, so it serves the demonstration, the chaos run and the tests
alike. It wants a moment of rest: nothing may be in flight between the two ledgers while they are read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from proofs.our_ledger import OurEvent, OurFill, OurLedger, OurLogEntry, OurOrder
from proofs.terms import as_sent
from proofs.venue_ledger import VENUE_ENDS, VenueLedger, VenueOrder

_GENESIS = bytes(32).hex()
_CLOCKS = timedelta(seconds=1)
"""Times are taken before a transaction has its locks: so much later it may come to its end."""
_MOST_SENTENCES = 12
"""Of one kind; the counters are complete all the same."""
_ENDS = {"FILLED": "FILLED", "REJECTED": "REJECTED", "CANCELLED": "CANCELLED"}
"""Status of a closed order -> action of the audit row that ended it."""


@dataclass(frozen=True)
class Acknowledged:
    """An order that a client holds a 201 for, with what it asked for. Price in US dollars."""

    order_id: UUID
    trader_id: UUID
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    price: Decimal | None
    wanted: tuple[tuple[Decimal, Decimal | None], ...] = ()
    """Other quantities and prices that it has asked for since; each of them may have won."""
    time_in_force: str = "DAY"
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass
class Submission:
    """What one call of a client for a new order has come to. The same key may be sent by several at once."""

    key: str
    order_id: UUID | None = None
    """What a 201 has named."""
    silences: int = 0
    """Requests that ended without an answer, or with a 503: each may have been carried out all the same."""
    is_over: bool = False
    """It was answered for good. If not, its last request may yet be carried out."""

    @property
    def may_be_kept(self) -> bool:
        """Whether there may be an order that its client was never told of."""
        return self.order_id is None and (self.silences > 0 or not self.is_over)


@dataclass
class ReceivedFeed:
    """What one socket client was told, in the order of arrival, over all its reconnects."""

    trader_id: UUID
    after_seq: int = 0
    """The last event before it began to listen."""
    events: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass
class Comparison:
    """What differs. Every counter but the first group must be zero."""

    orders: int = 0
    filled: int = 0
    rejected: int = 0
    cancelled: int = 0
    fills: int = 0
    events: int = 0
    unheard: int = 0
    """Orders that exist rightly though their client never heard so: no request of theirs was answered, or the one that
    was refused came after one that was not answered."""

    lost: int = 0
    """Acknowledged orders that we do not have, or have with other terms."""
    duplicated: int = 0
    """Orders beyond the first that the venue holds under one client order id."""
    unasked: int = 0
    """Orders that no client has asked for, or more than one for one key."""
    unknown: int = 0
    """Orders without an end."""
    orphans: int = 0
    """Orders at the venue that we do not have, or that we tie to another of its orders."""
    ghosts: int = 0
    """Orders that we believe to be at the venue, and that it does not have."""
    overfilled: int = 0
    wrong_ends: int = 0
    """Orders whose end, or whose executed quantity, is not what the venue says."""
    wrong_terms: int = 0
    """Orders that stand, or stood, at the venue with other terms than ours."""
    unprotected: int = 0
    """Entries whose exits are not for what they bought, or not at the prices that were asked for."""
    missing_fills: int = 0
    """Executions of the venue that we do not have."""
    invented_fills: int = 0
    """Fills of ours that the venue does not have."""
    wrong_books: int = 0
    """Accounts and positions that do not follow from fills and open orders."""
    audit_gaps: int = 0
    event_gaps: int = 0
    """Traders' events that are not numbered without gaps, or do not end as the order did."""
    missing_events: int = 0
    """Events of ours that a socket client never received, or received altered."""
    repeated_events: int = 0
    """Events that a socket client received twice or out of order."""
    alarms: int = 0
    """Orders that carry an alarm: something that must be looked at by a person."""
    unfinished: int = 0
    """What had not come to its end when the ledgers were read: a client's request, one that the venue has swallowed."""
    unexpected_answers: int = 0
    """Answers to clients that are neither a success nor a refusal by the rules."""
    differences: list[str] = field(default_factory=list)
    """One sentence for each, at most a dozen of a kind."""

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.counters()

    def counters(self) -> dict[str, int]:
        """What is not zero and ought to be."""
        return {name: count for name in MUST_BE_ZERO if (count := getattr(self, name))}

    def note(self, counter: str, sentence: str, count: int = 1) -> None:
        """Count a difference, and keep its sentence unless there are many of its kind."""
        total = getattr(self, counter) + count
        setattr(self, counter, total)
        if total <= _MOST_SENTENCES:
            self.differences.append(f"{counter}: {sentence}")


MUST_BE_ZERO = (
    "lost", "duplicated", "unasked", "unknown", "orphans", "ghosts", "overfilled", "wrong_ends", "wrong_terms",
    "unprotected", "missing_fills", "invented_fills", "wrong_books", "audit_gaps", "event_gaps", "missing_events",
    "repeated_events", "alarms", "unfinished", "unexpected_answers",
)  # fmt: skip


def compare(
    ours: OurLedger,
    venue: VenueLedger,
    *,
    acknowledged: Iterable[Acknowledged] = (),
    submissions: Mapping[UUID, Iterable[Submission]] | None = None,
    deposits: Mapping[UUID, Decimal] | None = None,
    feeds: Sequence[ReceivedFeed] = (),
) -> Comparison:
    """Compare everything with everything.

    `acknowledged`: what clients hold a 201 for. `submissions`: all that these traders have asked for;
    of another trader's orders nobody can say whether they were asked for. `deposits`: each trader's cash before its
    first order, in US dollars; accounts of other traders are not recomputed. `feeds`: what socket clients received.
    """
    found = Comparison(orders=len(ours.orders), fills=len(ours.fills), events=sum(map(len, ours.events.values())))
    _count_ends(found, ours)
    _compare_acknowledged(found, ours, acknowledged)
    _compare_submissions(found, ours, submissions or {})
    _compare_orders(found, ours, venue)
    _compare_executions(found, ours, venue)
    _check_exits(found, ours)
    _recompute_books(found, ours, deposits or {})
    _check_audit(found, ours)
    _check_events(found, ours)
    for feed in feeds:
        _compare_feed(found, ours.events.get(feed.trader_id, []), feed)
    return found


def _count_ends(found: Comparison, ours: OurLedger) -> None:
    statuses = Counter(order.status for order in ours.orders.values())
    found.filled, found.rejected, found.cancelled = (statuses[status] for status in ("FILLED", "REJECTED", "CANCELLED"))
    for order in ours.open_orders:
        found.note("unknown", f"order {order.id} has not ended: {order.status}, {order.execution_state}")
    for order in ours.orders.values():
        if order.alarm_code is not None:
            found.note("alarms", f"order {order.id} carries the alarm {order.alarm_code}")


def _compare_acknowledged(found: Comparison, ours: OurLedger, acknowledged: Iterable[Acknowledged]) -> None:
    for promise in acknowledged:
        order = ours.orders.get(promise.order_id)
        if order is None:
            found.note("lost", f"order {promise.order_id} was acknowledged and does not exist")
        elif not _is_as_promised(order, promise):
            found.note("lost", f"order {promise.order_id} is not the one that was acknowledged: {promise}")


def _compare_submissions(found: Comparison, ours: OurLedger, submissions: Mapping[UUID, Iterable[Submission]]) -> None:
    """The other way round: every order is one that its trader has asked for, and of one key there is one at most."""
    asked: dict[tuple[UUID, str], list[Submission]] = defaultdict(list)
    for trader_id, sent in submissions.items():
        for submission in sent:
            asked[trader_id, submission.key].append(submission)
    kept: set[tuple[UUID, str]] = set()
    for order in ours.orders.values():
        if order.parent_id is not None or order.trader_id not in submissions:
            continue  # an exit is its entry's
        key = order.trader_id, order.idempotency_key
        told = {submission.order_id for submission in asked[key]} - {None}
        if order.id in told:
            continue
        if told:
            found.note("unasked", f"order {order.id} is the second of key {key[1]}: its client was told {told}")
        elif key in kept:
            found.note("unasked", f"order {order.id} is the second of key {key[1]}, which was never acknowledged")
        elif any(submission.may_be_kept for submission in asked[key]):
            found.unheard += 1
            kept.add(key)
        else:
            what = "was refused" if asked[key] else "no client has sent"
            found.note("unasked", f"order {order.id} has the key {key[1]}, which {what}")


def _is_as_promised(order: OurOrder, promise: Acknowledged) -> bool:
    if (
        promise.trader_id, promise.symbol, promise.side, promise.order_type, promise.time_in_force, promise.stop_loss,
        promise.take_profit,
    ) != (
        order.trader_id, order.symbol, order.side, order.order_type, order.time_in_force, order.stop_loss,
        order.take_profit,
    ):  # fmt: skip
        return False
    asked_for = {(promise.quantity, promise.price), *promise.wanted}
    if promise.wanted and order.quantity == order.filled_quantity:
        # Whoever wants less than is executed meanwhile has an order for what was executed.
        return order.price in {price for _, price in asked_for} and order.quantity <= max(
            quantity for quantity, _ in asked_for
        )
    return (order.quantity, order.price) in asked_for


# -- orders and executions against the venue's ---------------------------------------------------------------------


def _compare_orders(found: Comparison, ours: OurLedger, venue: VenueLedger) -> None:
    for client_order_id, count in Counter(one.client_order_id for one in venue.orders).items():
        if count > 1:
            found.note(
                "duplicated", f"the venue has {count} orders with the client order id {client_order_id}", count - 1
            )
    legs = {one.parent_id: one for one in venue.orders if one.parent_id is not None}
    owners = _owners(ours, venue)
    at_venue: dict[UUID, list[VenueOrder]] = defaultdict(list)
    for theirs in venue.orders:
        owner = owners.get(theirs.id)
        if owner is None:
            found.note("orphans", f"the venue's order {theirs.id} ({theirs.client_order_id}) is not ours")
        else:
            at_venue[owner].append(theirs)
    for order in ours.orders.values():
        _compare_order(found, order, at_venue[order.id])
        for complaint in _terms_that_differ(order, at_venue[order.id], legs):
            found.note("wrong_terms", f"order {order.id}: {complaint}")


def _owners(ours: OurLedger, venue: VenueLedger) -> Mapping[str, UUID]:
    """Venue order id -> our order: by the client order id, which other terms give a number behind it, or because our
    order names it (the other part of a pair has an id that the venue has made).
    """
    named = {venue_id: order.id for order in ours.orders.values() for venue_id in order.other_venue_orders}
    # The part that the venue named may have come to stand for the pair; then the other one is the order's by its name.
    named |= {
        order.venue_order_id: order.id
        for order in ours.orders.values()
        if order.venue_order_id is not None and order.other_venue_orders
    }
    by_client_id = {one.id: _uuid(one.client_order_id[:36]) for one in venue.orders}
    return named | {venue_id: owner for venue_id, owner in by_client_id.items() if owner in ours.orders}


def _compare_order(found: Comparison, order: OurOrder, at_venue: Sequence[VenueOrder]) -> None:
    if order.filled_quantity > order.quantity:
        found.note("overfilled", f"order {order.id} filled {order.filled_quantity} of {order.quantity}")
    if not at_venue:
        if order.venue_order_id is not None:
            found.note("ghosts", f"order {order.id} is {order.venue_order_id} for us, and the venue does not have it")
        elif order.filled_quantity or order.status == "FILLED":
            found.note("wrong_ends", f"order {order.id} is {order.status}, and the venue never had it")
        return
    theirs = next((one for one in at_venue if one.id == order.venue_order_id), at_venue[-1])
    executed = sum(one.filled_quantity for one in at_venue)
    if executed > order.quantity:
        found.note("overfilled", f"the venue executed {executed} of order {order.id} for {order.quantity}")
    moving = _ended_between_terms(order, at_venue)
    if order.venue_order_id != theirs.id and not moving and not _refused_outright(order, theirs):
        found.note("orphans", f"order {order.id} is tied to {order.venue_order_id}, the venue calls it {theirs.id}")
    for one in at_venue:
        if one is not theirs and one.id not in order.other_venue_orders:
            found.note("orphans", f"order {order.id} does not know the venue's order {one.id} ({one.client_order_id})")
    their_end = order.status if moving else _their_end(order, theirs, at_venue)
    our_end = order.status if order.is_closed else None
    if their_end != our_end or executed != order.filled_quantity:
        found.note(
            "wrong_ends",
            f"order {order.id} is {order.status} with {order.filled_quantity} filled, "
            f"the venue says {theirs.status} with {executed}",
        )


def _terms_that_differ(
    order: OurOrder, at_venue: Sequence[VenueOrder], legs: Mapping[str, VenueOrder]
) -> Iterator[str]:
    """The venue order that bears our row's name of now has our row's terms; of what was replaced away the row still
    has what no replacement changes. Where nothing bears that name, the terms of now were never sent.
    """
    order_type, limit, stop = as_sent(order.order_type, order.price, order.price_bound)
    for one in at_venue:
        if not one.client_order_id.startswith(str(order.id)):
            continue  # the other part of a pair: it is looked at with the one that it came with
        ours: tuple[object, ...] = (order.symbol, order.side, order_type, order.time_in_force)
        theirs: tuple[object, ...] = (one.symbol, one.side, one.order_type, one.time_in_force)
        if one.client_order_id == order.client_order_id:
            ours += (order.quantity - order.filled_before, limit, stop)
            theirs += (one.quantity, one.limit_price, one.stop_price)
        if ours != theirs:
            yield f"{_listed(ours)} here, {_listed(theirs)} at the venue ({one.id})"
        loss = order.stop_loss if order.parent_id is not None else None
        leg = legs.get(one.id)
        if (leg is None) != (loss is None):
            yield f"its other exit is {loss} here, {leg} at the venue ({one.id})"
        elif leg is not None:
            # it takes over what the take profit has left
            quantity = leg.quantity if leg.quantity == one.quantity - one.filled_quantity else one.quantity
            ours = (order.symbol, order.side, "STOP", order.time_in_force, quantity, None, loss)
            theirs = (
                leg.symbol, leg.side, leg.order_type, leg.time_in_force, leg.quantity, leg.limit_price, leg.stop_price
            )  # fmt: skip
            if ours != theirs:
                yield f"its stop loss is {_listed(ours)} here, {_listed(theirs)} at the venue ({leg.id})"


def _listed(terms: Sequence[object]) -> str:
    return " ".join(f"{term.normalize():f}" if isinstance(term, Decimal) else str(term) for term in terms)


def _their_end(order: OurOrder, current: VenueOrder, at_venue: Sequence[VenueOrder]) -> str | None:
    """How all of the venue's orders for one of ours have ended together; None while one of them is open."""
    if any(one.status not in VENUE_ENDS for one in at_venue):
        return None
    if len(at_venue) > 1 and sum(one.filled_quantity for one in at_venue) == order.quantity:
        return "FILLED"  # whichever part of a pair it was
    return VENUE_ENDS[current.status]


def _ended_between_terms(order: OurOrder, at_venue: Sequence[VenueOrder]) -> bool:
    """With its old terms it stands there no more, with its new ones it never did: cancelled or refused in between."""
    return (
        order.is_closed
        and order.status in ("CANCELLED", "REJECTED")
        and order.venue_order_id is None
        and all(one.id in order.other_venue_orders and one.status in VENUE_ENDS for one in at_venue)
    )


def _refused_outright(order: OurOrder, theirs: VenueOrder) -> bool:
    """A venue may enter an order only to reject it; we then keep its refusal and not its number."""
    return order.venue_order_id is None and theirs.status == "rejected" and not theirs.filled_quantity


@dataclass(frozen=True)
class _Executed:
    """An execution as both ledgers have to tell it."""

    order_id: str
    venue_order_id: str
    symbol: str
    side: str
    cumulative: Decimal
    quantity: Decimal
    price: Decimal

    def __str__(self) -> str:
        what = _listed((self.side, self.quantity, self.symbol, "at", self.price))
        return f"{what} (up to {self.cumulative.normalize():f} of {self.venue_order_id})"


def _compare_executions(found: Comparison, ours: OurLedger, venue: VenueLedger) -> None:
    our_fills = Counter(
        _Executed(
            str(fill.order_id), fill.venue_order_id, fill.symbol, fill.side, fill.cumulative_quantity, fill.quantity,
            fill.price,
        )
        for fill in ours.fills
    )  # fmt: skip
    owners = _owners(ours, venue)
    their_fills = Counter(
        _Executed(
            str(owners.get(one.order_id, one.client_order_id)), one.order_id, one.symbol, one.side,
            one.cumulative_quantity, one.quantity, one.price,
        )
        for one in venue.executions
    )  # fmt: skip
    for missing, count in (their_fills - our_fills).items():
        found.note("missing_fills", f"order {missing.order_id}: {missing} is the venue's and not ours", count)
    for invented, count in (our_fills - their_fills).items():
        found.note("invented_fills", f"order {invented.order_id}: {invented} is ours and not the venue's", count)
    filled: dict[UUID, Decimal] = defaultdict(Decimal)
    for fill in ours.fills:
        filled[fill.order_id] += fill.quantity
    for order in ours.orders.values():
        if filled[order.id] != order.filled_quantity:
            found.note(
                "wrong_ends", f"order {order.id} says {order.filled_quantity} filled, its fills say {filled[order.id]}"
            )


# -- exits ----------------------------------------------------------------------------------------------------------


def _check_exits(found: Comparison, ours: OurLedger) -> None:
    exits: dict[UUID, list[OurOrder]] = defaultdict(list)
    selling: dict[tuple[UUID, str], list[OurOrder]] = defaultdict(list)
    largest = _largest_quantities(ours)
    booked: dict[UUID, list[OurFill]] = defaultdict(list)
    sold_late: dict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
    for order in ours.orders.values():
        if order.parent_id is not None:
            exits[order.parent_id].append(order)
        elif order.side == "SELL":
            selling[order.trader_id, order.symbol].append(replace(order, quantity=largest[order.id]))
    for fill in ours.fills:
        booked[fill.order_id].append(fill)
        if fill.is_late and fill.side == "SELL":
            sold_late[fill.trader_id, fill.symbol] += fill.quantity
    for order in ours.orders.values():
        whose = order.trader_id, order.symbol
        if order.wants_exits:
            sold = _sold_meanwhile(order, booked[order.id], selling[whose]) + sold_late[whose]
            for complaint in _exits_that_differ(order, exits[order.id], sold):
                found.note("unprotected", f"order {order.id}: {complaint}")
        elif exits[order.id]:
            found.note("unprotected", f"order {order.id} has exits that nobody asked for")


def _largest_quantities(ours: OurLedger) -> Mapping[UUID, Decimal]:
    """What each order was for at most: other terms may have made it smaller since."""
    largest = {order.id: order.quantity for order in ours.orders.values()}
    for event in (event for events in ours.events.values() for event in events):
        told = event.document.get("order", {}).get("quantity")
        if told is not None and event.order_id in largest:
            largest[event.order_id] = max(largest[event.order_id], Decimal(told))
    return largest


def _exits_that_differ(entry: OurOrder, exits: Sequence[OurOrder], sold: Decimal) -> Iterator[str]:
    """Its exits are for every whole unit that it bought and that was still there: `sold` is what may be missing."""
    pair = entry.stop_loss is not None and entry.take_profit is not None
    price = entry.stop_loss if entry.take_profit is None else entry.take_profit
    asked = (
        entry.trader_id, entry.symbol, "SELL" if entry.side == "BUY" else "BUY",
        "STOP" if entry.take_profit is None else "LIMIT", price, entry.stop_loss if pair else None, "GTC",
    )  # fmt: skip
    for order in exits:
        made = (
            order.trader_id, order.symbol, order.side, order.order_type, order.price, order.stop_loss,
            order.time_in_force,
        )  # fmt: skip
        if made != asked:
            yield f"its exit {order.id} is {_listed(made)} and not {_listed(asked)}"
    bought, protected = entry.filled_quantity, sum((order.quantity for order in exits), Decimal(0))
    if not entry.is_closed:
        bought = Decimal(0)  # an entry gets its exits when it ends
    elif bought - entry.covered_quantity >= 1:
        yield f"it bought {bought}, and only {entry.covered_quantity} were given to exits"
    if protected > bought:
        yield f"its exits are for {protected}, and it bought {bought}"
    if protected < (bought - sold) // 1:
        yield f"its exits are for {protected}, it bought {bought}, and at most {sold} of them were sold meanwhile"


def _sold_meanwhile(entry: OurOrder, booked: Sequence[OurFill], selling: Sequence[OurOrder]) -> Decimal:
    """What the trader was selling by hand between the entry's acceptance and its last fill or end: shares that were
    bought in parts may be sold, or held back for a sale, before the entry ends and the rest is given to exits.
    """
    times = [entry.closed_at, *(fill.booked_at for fill in booked)]
    until = max((time for time in times if time is not None), default=None)
    if entry.created_at is None or until is None:
        return Decimal(0)
    since, until = entry.created_at - _CLOCKS, until + _CLOCKS
    return sum(
        (
            order.quantity for order in selling
            if order.created_at is not None and order.created_at <= until
            and (order.closed_at is None or order.closed_at >= since)
        ),
        Decimal(0),
    )  # fmt: skip


# -- money ----------------------------------------------------------------------------------------------------------


def _recompute_books(found: Comparison, ours: OurLedger, deposits: Mapping[UUID, Decimal]) -> None:
    cash = {trader_id: deposits[trader_id] for trader_id in ours.accounts if trader_id in deposits}
    bought: dict[tuple[UUID, str], _Holding] = defaultdict(_Holding)
    reserved: dict[UUID, Decimal] = defaultdict(Decimal)
    for fill in ours.fills:
        bought[fill.trader_id, fill.symbol].take(fill)
        if fill.trader_id in cash:
            paid = fill.quantity * fill.price
            cash[fill.trader_id] -= (paid if fill.side == "BUY" else -paid) + fill.commission
    for order in ours.orders.values():
        if order.side == "BUY":
            reserved[order.trader_id] += order.leaves_quantity * order.reservation_price
        else:
            bought[order.trader_id, order.symbol].reserved += order.leaves_quantity
    for account in ours.accounts.values():
        if account.reserved != reserved[account.trader_id]:
            found.note(
                "wrong_books",
                f"trader {account.trader_id} has {account.reserved} reserved, its open orders need "
                f"{reserved[account.trader_id]}",
            )
        if account.trader_id in cash and account.cash != cash[account.trader_id]:
            found.note(
                "wrong_books",
                f"trader {account.trader_id} has {account.cash} in cash, its fills say {cash[account.trader_id]}",
            )
    stored = {(position.trader_id, position.symbol): position for position in ours.positions}
    for (trader_id, symbol), holding in bought.items():
        position = stored.get((trader_id, symbol))
        if position is None:
            if holding != _Holding():
                found.note("wrong_books", f"trader {trader_id} has no position in {symbol}, its fills say otherwise")
        elif holding != _Holding(
            position.quantity, position.reserved_quantity, position.cost_basis, position.realized_pnl
        ):
            found.note("wrong_books", f"trader {trader_id}, {symbol}: {position} does not follow from fills: {holding}")
    for position in ours.positions:
        if (position.trader_id, position.symbol) not in bought and (position.quantity or position.reserved_quantity):
            found.note("wrong_books", f"trader {position.trader_id} holds {position.symbol} without ever trading it")


@dataclass
class _Holding:
    """A position as fills and open orders make it. Money in US dollars.

    The cost basis follows from conservation alone: what was paid, less what was received, plus what was realized.
    """

    quantity: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    cost_basis: Decimal = Decimal(0)
    realized_pnl: Decimal = Decimal(0)

    def take(self, fill: OurFill) -> None:
        sign = 1 if fill.side == "BUY" else -1
        self.quantity += sign * fill.quantity
        self.cost_basis += sign * fill.quantity * fill.price + fill.realized_pnl + fill.commission
        self.realized_pnl += fill.realized_pnl


# -- audit and events -----------------------------------------------------------------------------------------------


def _check_audit(found: Comparison, ours: OurLedger) -> None:
    log: dict[UUID, list[OurLogEntry]] = defaultdict(list)
    for entry in ours.log:
        log[entry.order_id].append(entry)
    fills = Counter(fill.order_id for fill in ours.fills)
    submits = Counter(attempt.order_id for attempt in ours.attempts if attempt.kind == "SUBMIT")
    for order in ours.orders.values():
        for complaint in _audit_complaints(order, log[order.id], fills[order.id], submits[order.id]):
            found.note("audit_gaps", f"order {order.id}: {complaint}")


def _audit_complaints(order: OurOrder, log: Sequence[OurLogEntry], fills: int, submits: int) -> Iterator[str]:
    if [entry.action for entry in log[:2]] != ["SUBMITTED", "APPROVED"]:
        yield f"its log begins with {[entry.action for entry in log[:2]]}"
    if [entry.chain_seq for entry in log] != list(range(1, order.log_seq + 1)):
        yield f"its log has the numbers {[entry.chain_seq for entry in log]} and not 1 to {order.log_seq}"
    previous = _GENESIS
    for entry in log:
        if entry.previous_hash != previous or entry.chain_id != order.id:
            yield f"row {entry.chain_seq} does not continue the row before it"
        previous = entry.hash
    if previous != order.log_hash:
        yield "its log does not end with the hash that the order holds"
    actions = Counter(entry.action for entry in log)
    if actions["FILLED"] != fills:
        yield f"{fills} fills and {actions['FILLED']} rows that say FILLED"
    sends = sum(entry.action == "EXECUTED" and entry.execution_state == "SENDING" and entry.is_sent for entry in log)
    if sends != submits or submits != order.attempts:
        yield f"{order.attempts} attempts, {submits} attempt rows, {sends} audit rows of an attempt that leaves"
    if order.is_closed and not any(
        entry.action == _ENDS[order.status] and entry.execution_state == "CLOSED" for entry in log
    ):
        yield f"it is {order.status}, and no row says how that came about"


def _check_events(found: Comparison, ours: OurLedger) -> None:
    last: dict[UUID, OurEvent] = {}
    for trader_id, events in ours.events.items():
        account = ours.accounts.get(trader_id)
        head = account.head_seq if account is not None else len(events)
        numbers = [event.seq for event in events]
        if numbers != list(range(1, head + 1)):
            gaps = sorted(set(range(1, head + 1)) - set(numbers))
            found.note("event_gaps", f"trader {trader_id} has {len(numbers)} events up to {head}, without {gaps[:5]}")
        last.update({event.order_id: event for event in events})
    for order in ours.orders.values():
        event = last.get(order.id)
        told = None if event is None else (event.document["status"], event.document["execution_state"])
        if told != (order.status, order.execution_state):
            found.note(
                "event_gaps", f"order {order.id} is {order.status}, {order.execution_state}; its last event said {told}"
            )


def _compare_feed(found: Comparison, events: Sequence[OurEvent], feed: ReceivedFeed) -> None:
    expected = {event.seq: event for event in events if event.seq > feed.after_seq}
    next_seq = feed.after_seq + 1
    received: set[int] = set()
    for document in feed.events:
        seq = int(document["seq"])
        if seq < next_seq:
            found.note("repeated_events", f"a client of trader {feed.trader_id} received event {seq} for {next_seq}")
        next_seq = max(next_seq, seq + 1)
        event = expected.get(seq)
        if event is None or {name: value for name, value in document.items() if name != "seq"} != event.document:
            found.note("missing_events", f"trader {feed.trader_id}: event {seq} reached the client altered")
        else:
            received.add(seq)
    for seq in sorted(expected.keys() - received):
        found.note("missing_events", f"event {seq} of trader {feed.trader_id} never reached its client")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)  # no order has it
