"""The store of orders: each method one transaction, most of them two messages to the database."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeVar, cast
from uuid import UUID

from app.domain.acceptance import (
    AcceptanceView,
    EarlierOrder,
    Instrument,
    Limits,
    OrderTerms,
    Quota,
    RestingOrder,
    RulePolicy,
    session_at,
)
from app.domain.changes import (
    Accepting,
    BooksNeeded,
    ChainHead,
    Changes,
    CountedRefusal,
    FeedEvent,
    GateNeeded,
    Held,
    LostRace,
    NoSuchOrder,
    RowBusy,
    StoreRefused,
    Verdict,
)
from app.domain.conduct_rules import RATE_WINDOW
from app.domain.halts import Halt
from app.domain.money import ZERO
from app.domain.order_states import ImpossibleChange
from app.domain.orders import Order
from app.domain.positions import Account
from app.domain.surroundings import Clock, Wakeups
from app.domain.trading_session import MarketHours, Session, session_of
from app.storage import attempts, books, execution_logs, halts, order_events, orders, quote_requests
from app.storage.account_reads import EQUITY, LIMITS
from app.storage.transaction import Call, Database, Row, Statement, Transaction

T = TypeVar("T")

WashTradesOf = Literal["account", "trader", "off"]
"""Whose resting orders an order must not meet: everybody's in the venue account, the trader's own, nobody's."""

LOCK_ACCOUNT = Statement("lock_account", "SELECT 1 FROM accounts WHERE trader_id = $1 FOR UPDATE")
# Gate and account in one statement: the row is locked above the join, so after the gate was passed.
PASS_GATE_AND_LOCK_ACCOUNT = Statement(
    "pass_halt_gate_and_lock_account",
    f"""WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({halts.GATE_KEY}))
    SELECT 1 FROM gate, accounts WHERE trader_id = $1 FOR UPDATE OF accounts""",
)

# Equity is worked out only where a rule asks for it: with a loss limit, or when a new session begins.
READ_FOR_ACCEPTANCE = Statement(
    "read_for_acceptance",
    f"""SELECT a.currency, a.cash, a.reserved, a.rate_minute, a.rate_count, a.rate_previous,
        a.session_on, a.session_equity, a.session_notional,
        t.trading_state, t.limits_version, {", ".join(f"t.{name}" for name in LIMITS)},
        i.venue, i.status, i.tick_size, i.lot_size, i.bid, i.ask, i.confirmed_at, i.always_open,
        m.is_open, m.next_open, m.next_close,
        p.quantity, p.reserved_quantity, p.cost_basis, p.realized_pnl,
        c.seq, c.hash, c.refusal_minute, c.refusals,
        e.id, e.request_fingerprint,
        CASE WHEN e.id IS NOT NULL THEN (
            SELECT v.payload::text FROM order_events v WHERE v.order_id = e.id ORDER BY v.seq LIMIT 1) END,
        CASE WHEN $6::timestamptz IS NOT NULL THEN (
            SELECT d.id FROM orders d WHERE d.trader_id = $1 AND d.created_at > $6 AND d.symbol = $2 AND d.side = $4
            AND d.quantity = $5 AND d.order_type = $7::order_type_enum AND d.price IS NOT DISTINCT FROM $8::numeric
            AND d.parent_id IS NULL LIMIT 1) END,
        CASE WHEN t.daily_loss_limit IS NOT NULL OR a.session_on IS NULL OR a.session_on < $9::date THEN
            {EQUITY} END,
        CASE WHEN t.max_open_orders IS NOT NULL THEN (
            SELECT count(*) FROM (SELECT 1 FROM orders o WHERE o.trader_id = $1 AND o.closed_at IS NULL
            LIMIT t.max_open_orders) counted) END,
        b.quantity, b.cost, r.price, r.order_id,
        {halts.active_for("$1", "$2")}
    FROM accounts a JOIN traders t ON t.id = a.trader_id
    LEFT JOIN instruments i ON i.symbol = $2
    LEFT JOIN market_hours m ON m.venue = i.venue
    LEFT JOIN positions p ON p.trader_id = $1 AND p.symbol = $2
    LEFT JOIN audit_chains c ON c.chain_id = $1
    LEFT JOIN orders e ON e.trader_id = $1 AND e.idempotency_key = $3
    CROSS JOIN LATERAL (
        SELECT sum(greatest(o.quantity, o.amend_quantity) - o.filled_quantity) AS quantity,
            sum(greatest((o.quantity - o.filled_quantity) * o.reservation_price,
                (o.amend_quantity - o.filled_quantity) * o.amend_reservation_price)) AS cost
        FROM orders o WHERE o.trader_id = $1 AND o.symbol = $2 AND o.side = 'BUY' AND o.closed_at IS NULL
            AND $4 = 'BUY'
            AND (t.max_position_value IS NOT NULL OR t.max_position_quantity IS NOT NULL OR p.quantity < 0)) b
    LEFT JOIN LATERAL resting_against(
        $2, CASE $4 WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END,
        CASE WHEN i.confirmed_at >= $10::timestamptz THEN CASE $4 WHEN 'BUY' THEN i.bid ELSE i.ask END END,
        $1, $11::boolean) r ON true
    WHERE a.trader_id = $1""",
)
# Exact, but as long as the limit: asked only when the two minute counters cannot exclude that the limit is reached.
COUNT_LAST_MINUTE = Statement(
    "count_last_minute",
    """SELECT count(*), min(created_at) FROM (
        SELECT created_at FROM orders WHERE trader_id = $1 AND created_at > $2 AND parent_id IS NULL
        ORDER BY created_at DESC LIMIT $3) last""",
)
RESERVE = Statement(
    "reserve",
    """UPDATE accounts SET reserved = $2, rate_minute = $3, rate_count = $4, rate_previous = $5, updated_at = $6,
    session_on = $7, session_equity = $8, session_notional = $9 WHERE trader_id = $1""",
)


class PostgresOrders:
    """OrderStore over PostgreSQL with one login's rights."""

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        clock: Clock,
        *,
        orders_per_minute: int = 100,
        duplicate_window_seconds: float = 5,
        rule_policy: RulePolicy | None = None,
        wash_trades_of: WashTradesOf = "account",
    ) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._orders_per_minute = orders_per_minute
        self._duplicate_window = timedelta(seconds=duplicate_window_seconds)
        self._rule_policy = rule_policy or RulePolicy()
        self._own_resting_orders_only = {"account": False, "trader": True, "off": None}[wash_trades_of]

    # -- one order -----------------------------------------------------------------------------------------------------

    def change(
        self,
        order_id: UUID,
        decide: Callable[[Held], Verdict[T]],
        *,
        books: bool = False,
        trader_id: UUID | None = None,
        sending: bool = False,
        as_left: Order | None = None,
    ) -> T:
        """See OrderStore.change. A race lost to another writer is decided again, from what that writer left."""
        if as_left is not None:
            try:
                return self._change_as_left(as_left, decide)
            except RowBusy:
                raise
            except (LostRace, BooksNeeded, GateNeeded, StoreRefused, ImpossibleChange):
                pass  # what was decided rests on an order that may not be so any more: under its lock, once more
        races = 0
        halting = False
        while True:
            try:
                return self._change(order_id, decide, books, trader_id, sending, halting)
            except BooksNeeded:
                if books:
                    raise
                books = True
            except GateNeeded:
                if halting:
                    raise
                books = halting = True
            except RowBusy:
                raise
            except LostRace:
                races += 1
                if races > 2:
                    raise

    def _change_as_left(self, order: Order, decide: Callable[[Held], Verdict[T]]) -> T:
        """One message instead of two: the update itself proves, by its version, that nobody changed the order since.

        Raises LostRace where somebody did, or where there is nothing to write that could prove it.
        """
        verdict = decide(Held(order))
        changes = verdict.changes
        if changes is None:
            raise LostRace(f"nothing was written that proves order {order.id} to be as it was left")
        with self._database.transaction() as transaction:
            last_seq, payloads = self._write(transaction, changes)
        self._wake(changes, payloads, last_seq)
        return verdict.result

    def _write(self, transaction: Transaction, changes: Changes) -> tuple[str | None, list[bytes]]:
        payloads = [order_events.encode(event.document) for event in _events(changes)]
        last_seq = transaction.finish(
            *_writes(changes, payloads), returning=order_events.LAST_SEQ if payloads else None
        )
        return last_seq, payloads

    def _change(
        self,
        order_id: UUID,
        decide: Callable[[Held], Verdict[T]],
        with_books: bool,
        trader_id: UUID | None,
        sending: bool,
        halting: bool,
    ) -> T:
        with self._database.transaction(_as_trader(trader_id)) as transaction:
            gate = [Call(halts.CLOSE_GATE)] if halting else [Call(halts.PASS_GATE)] if sending else []
            if with_books:
                rows = transaction.fetch(*gate, *books.lock_and_read(order_id))
            else:
                rows = transaction.fetch(*gate, Call(orders.LOCK_AND_READ, [order_id]))
            if not rows:
                raise NoSuchOrder(str(order_id))
            held = _held(rows[0], with_books)
            if halting:
                chain = held.order.trader_id
                head = transaction.fetch(execution_logs.lock_chain(chain, chain))[0]
                told = [halts.from_row(row) for row in transaction.fetch(Call(halts.OF_TRADER, [chain]))]
                held = replace(held, trader_chain=execution_logs.head(chain, *head), trader_halts=told)
            verdict = decide(held)
            changes = verdict.changes
            if changes is None:
                return verdict.result
            last_seq, payloads = self._write(transaction, changes)
        self._wake(changes, payloads, last_seq)
        return verdict.result

    def _wake(self, changes: Changes, payloads: Sequence[bytes], last_seq: str | None) -> None:
        for child in changes.children:
            self._wakeups.work(child.order)
        if not payloads or last_seq is None:
            return
        first = int(last_seq) - len(payloads) + 1
        self._wakeups.events(
            changes.order.trader_id,
            [order_events.numbered(first + place, payload) for place, payload in enumerate(payloads)],
        )

    # -- acceptance ----------------------------------------------------------------------------------------------------

    def accept(
        self, trader_id: UUID, terms: OrderTerms, decide: Callable[[AcceptanceView, ChainHead], Accepting]
    ) -> None:
        """See OrderStore.accept."""
        now = self._clock.now()
        today = session_of(now)
        payloads: list[bytes] = []
        last_seq: str | None = None
        with self._database.transaction(_as_trader(trader_id)) as transaction:
            window = None
            if self._duplicate_window and not terms.confirm_duplicate:
                window = now - self._duplicate_window
            rows = transaction.fetch(
                Call(PASS_GATE_AND_LOCK_ACCOUNT, [trader_id]),
                Call(READ_FOR_ACCEPTANCE, self._to_accept(trader_id, terms, window, today, now)),
            )
            if not rows:
                raise NoSuchOrder(f"trader {trader_id} has no account")
            now = self._clock.now()  # under the lock: the order of acceptance is the order of these times
            rate = _Rate.of(rows[0][3:6], now, rows[0][_ORDERS_PER_MINUTE] or self._orders_per_minute)
            if rate.may_be_reached:
                rate.count(transaction.fetch(Call(COUNT_LAST_MINUTE, [trader_id, now - RATE_WINDOW, rate.limit])))
            view, chain = self._view(trader_id, terms, rows[0], rate, today, now)
            accepting = decide(view, chain)
            if accepting.changes is not None:
                changes = accepting.changes
                payloads = [order_events.encode(event.document) for event in changes.feed]
                reserve = rate.reserve(changes.account or view.account, accepting.session or view.session, now)
                last_seq = transaction.finish(*_writes(changes, payloads, reserve), returning=order_events.LAST_SEQ)
            elif accepting.refusal is not None:
                transaction.fetch(execution_logs.lock_chain(chain.chain_id, trader_id))
                wanted = [] if accepting.quote_wanted is None else [quote_requests.ask(accepting.quote_wanted, now)]
                transaction.finish(*execution_logs.count_refusal(accepting.refusal), *wanted)
        if accepting.changes is not None:
            self._wake(accepting.changes, payloads, last_seq)

    def amend(
        self,
        order_id: UUID,
        trader_id: UUID,
        terms_of: Callable[[Order], OrderTerms],
        decide: Callable[[Held, AcceptanceView], Verdict[T]],
    ) -> T:
        """See OrderStore.amend."""
        today = session_of(self._clock.now())
        with self._database.transaction(_as_trader(trader_id)) as transaction:
            rows = transaction.fetch(Call(halts.PASS_GATE), *books.lock_and_read(order_id))
            if not rows:
                raise NoSuchOrder(str(order_id))
            held = _held(rows[0], with_books=True)
            terms = terms_of(held.order)
            now = self._clock.now()
            read = transaction.fetch(Call(READ_FOR_ACCEPTANCE, self._to_accept(trader_id, terms, None, today, now)))[0]
            rate = _Rate.of(read[3:6], now, read[_ORDERS_PER_MINUTE] or self._orders_per_minute)
            view, _ = self._view(trader_id, terms, read, rate, today, now)
            verdict = decide(held, view)
            changes = verdict.changes
            if changes is None:
                return verdict.result
            last_seq, payloads = self._write(transaction, changes)
        self._wake(changes, payloads, last_seq)
        return verdict.result

    def _to_accept(
        self, trader_id: UUID, terms: OrderTerms, window: datetime | None, today: date, now: datetime
    ) -> list[object]:
        """The values of READ_FOR_ACCEPTANCE."""
        return [
            trader_id, terms.symbol, terms.idempotency_key, terms.side, terms.quantity, window, terms.order_type,
            terms.price, today, now - self._rule_policy.reference_max_age, self._own_resting_orders_only,
        ]  # fmt: skip

    def _view(
        self, trader_id: UUID, terms: OrderTerms, row: Row, rate: _Rate, today: date, now: datetime
    ) -> tuple[AcceptanceView, ChainHead]:
        (
            currency, cash, reserved, _, _, _, session_on, session_equity, session_notional, trading_state, version,
        ) = row[:_LIMITS_FROM]  # fmt: skip
        limits = dict(zip(LIMITS, row[_LIMITS_FROM:_LIMITS_TO], strict=True))
        (
            venue, status, tick, lot, bid, ask, confirmed_at, always_open, is_open, next_open, next_close, quantity,
            reserved_quantity, basis, realized, chain_seq, chain_hash, refusal_minute, refusals, earlier_id,
            earlier_fingerprint, earlier_event, repeats, equity, open_orders, pending_quantity, pending_cost,
            resting_price, resting_id, halt,
        ) = row[_LIMITS_TO:]  # fmt: skip
        stored = None if session_on is None else Session(session_on, session_equity, session_notional)
        view = AcceptanceView(
            account=Account(trader_id, currency, cash, reserved),
            position=books.position_from(terms.symbol, quantity, reserved_quantity, basis, realized),
            instrument=None
            if venue is None
            else Instrument(terms.symbol, venue, status, tick, lot, bid, ask, confirmed_at, always_open),
            earlier=None
            if earlier_id is None
            else EarlierOrder(earlier_id, bytes(earlier_fingerprint), earlier_event.encode()),
            repeats=repeats,
            trading_state=trading_state,
            halt=halts.from_text(halt),
            limits=Limits(version=version, **{**limits, "orders_per_minute": rate.limit}),
            orders_in_last_minute=rate.in_last_minute,
            oldest_in_window=rate.oldest,
            quota=rate.quota(now),
            now=now,
            session=session_at(today, stored, equity),
            policy=self._rule_policy,
            equity=equity,
            pending_quantity=pending_quantity or ZERO,
            pending_cost=pending_cost or ZERO,
            open_orders=open_orders or 0,
            market=None if is_open is None else MarketHours(is_open, next_open, next_close),
            resting=None if resting_price is None else RestingOrder(resting_price, resting_id),
        )
        return view, execution_logs.head(trader_id, chain_seq, chain_hash, refusal_minute, refusals)

    def refuse(self, trader_id: UUID, decide: Callable[[ChainHead], CountedRefusal | None]) -> None:
        """See OrderStore.refuse."""
        with self._database.transaction(_as_trader(trader_id)) as transaction:
            rows = transaction.fetch(Call(LOCK_ACCOUNT, [trader_id]), execution_logs.lock_chain(trader_id, trader_id))
            refusal = decide(execution_logs.head(trader_id, *rows[0]))
            if refusal is not None:
                transaction.finish(*execution_logs.count_refusal(refusal))

    def with_counted_refusals(self, more_than: int, before: datetime) -> Sequence[UUID]:
        """See OrderStore.with_counted_refusals."""
        rows = self._database.read(Call(execution_logs.COUNTED_AND_UNTOLD, [more_than, before]))
        return [chain_id for (chain_id,) in rows]

    # -- reads ---------------------------------------------------------------------------------------------------------

    def order(self, order_id: UUID) -> Order | None:
        rows = self._database.read(Call(orders.READ, [order_id]))
        return orders.from_row(rows[0]) if rows else None

    def due(self, now: datetime, limit: int) -> Sequence[Order]:
        rows = self._database.read(Call(orders.DUE, [now, limit])) + self._database.read(Call(orders.STRAYS, [now]))
        return [orders.from_row(row) for row in rows]

    def halted(self, limit: int) -> Sequence[tuple[Order, Halt]]:
        """See OrderStore.halted."""
        found = []
        for row in self._database.read(Call(orders.HALTED, [limit])):
            halt = halts.from_text(row[len(orders.COLUMNS)])
            if halt is not None:
                found.append((orders.from_row(row), halt))
        return found

    def exits_beyond_position(self) -> Sequence[tuple[Order, Decimal]]:
        """See OrderStore.exits_beyond_position."""
        rows = self._database.read(Call(orders.EXITS_BEYOND_POSITION))
        return [(orders.from_row(row), row[len(orders.COLUMNS)]) for row in rows]

    def order_at_venue(self, venue_order_id: str) -> UUID | None:
        """See OrderStore.order_at_venue."""
        rows = self._database.read(Call(orders.AT_VENUE, [venue_order_id]))
        return cast("UUID", rows[0][0]) if rows else None

    def sending(self, now: datetime) -> Sequence[Order]:
        rows = self._database.read(Call(orders.SENDING, [now]))
        return [orders.from_row(row) for row in rows]

    def look_at_live_orders(self, now: datetime) -> int:
        with self._database.transaction() as transaction:
            return int(transaction.finish(Call(orders.LOOK_AT_LIVE, [now]), returning="surefill.marked") or 0)


_MINUTE = timedelta(minutes=1)
_LIMITS_FROM = 11
_LIMITS_TO = _LIMITS_FROM + len(LIMITS)
_ORDERS_PER_MINUTE = _LIMITS_FROM + LIMITS.index("orders_per_minute")


def _seconds(distance: timedelta) -> int:
    """Whole seconds, at least one."""
    return max(1, math.ceil(distance.total_seconds()))


class _Rate:
    """A trader's accepted orders of the last minute.

    Any minute overlaps at most two calendar minutes, so their two counters are an upper bound; only when that bound
    reaches the limit are the orders themselves counted.
    """

    def __init__(self, minute: datetime, count: int, previous: int, limit: int) -> None:
        self.minute, self._count, self._previous, self.limit = minute, count, previous, limit
        self.in_last_minute = 0
        self.oldest: datetime | None = None

    @classmethod
    def of(cls, counters: Row, now: datetime, limit: int) -> _Rate:
        minute, count, previous = counters
        this_minute = now.replace(second=0, microsecond=0)
        if isinstance(minute, datetime) and minute > this_minute:
            this_minute = minute  # another process is ahead by a little: never give its counter back
        if minute == this_minute:
            return cls(this_minute, count, previous, limit)
        return cls(this_minute, 0, count if minute == this_minute - _MINUTE else 0, limit)

    @property
    def may_be_reached(self) -> bool:
        return self._count + self._previous >= self.limit

    def count(self, rows: Sequence[Row]) -> None:
        self.in_last_minute, self.oldest = rows[0]

    def quota(self, now: datetime) -> Quota:
        """Before this order. Counted exactly only where the limit may be reached: until then never too much is left."""
        if self.may_be_reached:
            free_at = (self.oldest or now) + _MINUTE
            return Quota(self.limit, max(0, self.limit - self.in_last_minute), _seconds(free_at - now))
        return Quota(self.limit, self.limit - self._count - self._previous, _seconds(self.minute + _MINUTE - now))

    def reserve(self, account: Account, session: Session, now: datetime) -> Call:
        return Call(
            RESERVE,
            [
                account.trader_id, account.reserved, self.minute, self._count + 1, self._previous, now,
                session.on, session.start_equity, session.notional,
            ],
        )  # fmt: skip


def _as_trader(trader_id: UUID | None) -> Mapping[str, str]:
    return {} if trader_id is None else {"app.trader_id": str(trader_id)}


def _held(row: Row, with_books: bool) -> Held:
    order = orders.from_row(row)
    checks = row[len(orders.COLUMNS) : len(orders.COLUMNS) + orders.SENDING_CHECK_COLUMNS]
    instrument_status, trading_state, held_quantity, halt = checks
    account, position, known = books.from_row(row, order) if with_books else (None, None, {})
    return Held(order, account, position, known, instrument_status, trading_state, held_quantity, halts.from_text(halt))


def _events(changes: Changes) -> list[FeedEvent]:
    """The order's events, then those of its new children."""
    return [*changes.feed, *(event for child in changes.children for event in child.feed)]


def _writes(changes: Changes, payloads: Sequence[bytes], account_call: Call | None = None) -> list[Call]:
    """All writes of a transaction in the order of locks: order, account, position, and the event counter last."""
    order, at = changes.order, changes.order.updated_at
    calls = [orders.insert(order) if changes.before is None else orders.update(changes.before, order)]
    if account_call is not None:
        calls.append(account_call)
    elif changes.account is not None:
        calls.append(books.update_account(changes.account, at))
    if changes.position is not None:
        calls.append(books.write_position(order.trader_id, changes.position, at))
    calls.extend(books.insert_fill(order, fill, at) for fill in changes.fills)
    if changes.session is not None:
        calls.append(books.write_session(order.trader_id, changes.session))
    calls.extend(attempts.insert(order, attempt) for attempt in changes.attempts_started)
    calls.extend(attempts.end(order, attempt) for attempt in changes.attempts_ended)
    calls.extend(orders.insert(child.order) for child in changes.children)
    log = [*changes.log, *(entry for child in changes.children for entry in child.log)]
    if log:
        calls.append(execution_logs.insert(*log))
    for imposing in changes.halts:
        calls.append(halts.insert(imposing.halt))
        if imposing.log is not None:
            calls.extend((execution_logs.insert(imposing.log), execution_logs.move_chain(imposing.log)))
    if payloads:
        children = [child.order.id for child in changes.children for _ in child.feed]
        calls.append(order_events.append(order, _events(changes), [payload.decode() for payload in payloads], children))
    return calls
