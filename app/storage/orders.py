"""The orders table: how an order is read, locked and written. The only place that writes one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from zlib import crc32

from app.domain.order_events import Reason
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import ExecutionPath, OpenAttempt, Order, OrderType, Side, TimeInForce
from app.storage import halts
from app.storage.transaction import Call, Row, Statement

COLUMNS = (
    "id", "trader_id", "idempotency_key", "request_fingerprint", "symbol", "side", "quantity", "order_type", "price",
    "stop_loss", "take_profit", "time_in_force", "max_slippage_bps", "max_wait_seconds", "venue", "parent_id",
    "execution_path", "reservation_price", "status", "execution_state", "filled_quantity", "filled_notional",
    "average_fill_price", "attempts", "retries_used", "fence", "due_at", "not_founds", "open_attempts", "refused_at",
    "send_ended_at", "client_id_known_at", "cancel_sent_at", "stray_due_at",
    "venue_order_id", "cancel_requested_at", "cancel_reason_code", "cancel_reason_message",
    "abandoned_at", "reason_code", "reason_message", "alarm_code", "log_seq", "log_hash", "version", "created_at",
    "updated_at", "expires_at", "closed_at", "price_bound", "other_venue_orders", "replacements", "attempts_before",
    "filled_before", "amend_requested_at", "amend_quantity", "amend_price", "amend_reservation_price",
    "amend_price_bound", "covered_quantity", "is_unprotected",
)  # fmt: skip
_ZERO_BY_DEFAULT = frozenset(
    {"other_venue_orders", "replacements", "attempts_before", "filled_before", "covered_quantity", "is_unprotected"}
)
"""Left out of an INSERT while they are what the database gives them by itself."""

SELECTED = ", ".join(f"o.{name}" for name in COLUMNS)

READ = Statement("read_order", f"SELECT {SELECTED} FROM orders o WHERE o.id = $1")
# What may forbid a send is read beside the order, so that checking it again costs no message (I4).
SENDING_CHECKS = """(SELECT i.status FROM instruments i WHERE i.symbol = o.symbol),
    (SELECT t.trading_state FROM traders t WHERE t.id = o.trader_id),
    CASE WHEN o.parent_id IS NOT NULL OR o.side = 'BUY' THEN (
        SELECT p.quantity FROM positions p WHERE p.trader_id = o.trader_id AND p.symbol = o.symbol) END,
    """ + halts.active_for("o.trader_id", "o.symbol")
SENDING_CHECK_COLUMNS = 4
LOCK_AND_READ = Statement(
    "lock_and_read_order", f"SELECT {SELECTED}, {SENDING_CHECKS} FROM orders o WHERE o.id = $1 FOR NO KEY UPDATE"
)
# Resting orders come last: after a reconnect there may be thousands of them, and they can wait.
DUE = Statement(
    "due_orders",
    f"""SELECT {SELECTED} FROM orders o WHERE o.due_at <= $1
    ORDER BY o.execution_state = 'WORKING' AND coalesce(o.expires_at > $1, true) AND o.amend_requested_at IS NULL,
        o.due_at LIMIT $2""",
)
SENDING = Statement(
    "sending_orders",
    f"SELECT {SELECTED} FROM orders o WHERE o.due_at > $1 AND o.execution_state = 'SENDING' LIMIT 500",
)
# What a halt found open; protective exits stay unless it says otherwise. Without a halt it reads an empty index.
HALTED = Statement(
    "halted_orders",
    f"""SELECT {SELECTED}, json_build_array({halts.SELECTED})::text FROM halts h JOIN orders o
        ON o.due_at IS NOT NULL AND o.cancel_requested_at IS NULL
        AND (h.scope = 'GLOBAL' OR h.trader_id = o.trader_id OR h.symbol = o.symbol)
        AND (o.parent_id IS NULL OR h.cancel_exits)
    WHERE h.lifted_at IS NULL ORDER BY o.created_at LIMIT $1""",
)
# Sells reserve what they sell, so this finds nothing unless a position changed by something else than an order.
EXITS_BEYOND_POSITION = Statement(
    "exits_beyond_position",
    f"""SELECT {SELECTED}, p.quantity FROM positions p JOIN orders o USING (trader_id, symbol)
    WHERE p.reserved_quantity > p.quantity AND p.reserved_quantity > 0 AND o.parent_id IS NOT NULL AND o.side = 'SELL'
    AND o.due_at IS NOT NULL AND o.cancel_requested_at IS NULL ORDER BY o.created_at LIMIT 100""",
)
# By the id that stands for an order, too: that may be the stop of a pair, which bears a client id of the venue's. The
# unique key begins with the venue.
AT_VENUE = Statement(
    "order_at_venue",
    """SELECT id FROM orders WHERE other_venue_orders <> '{}' AND other_venue_orders @> ARRAY[$1::text]
    UNION ALL
    SELECT o.id FROM (SELECT DISTINCT venue FROM instruments) v
        CROSS JOIN LATERAL (SELECT id FROM orders WHERE venue = v.venue AND venue_order_id = $1::text LIMIT 1) o
    LIMIT 1""",
)
# In order, or a LIMIT makes a scan of all orders look cheap to the planner, who takes a third of them for strays.
STRAYS = Statement(
    "stray_orders",
    f"SELECT {SELECTED} FROM orders o WHERE o.stray_due_at <= $1 ORDER BY o.stray_due_at LIMIT 100",
)
# Spread out, the newest first: what the stream may have missed is most likely about them.
LOOK_AT_LIVE = Statement(
    "look_at_live_orders",
    """WITH marked AS (
        UPDATE orders SET due_at = LEAST(due_at, $1 + place * interval '10 milliseconds'), version = version + 1
        FROM (SELECT id, row_number() OVER (ORDER BY created_at DESC) AS place FROM orders
            WHERE due_at > $1 AND execution_state IN ('WORKING', 'CANCELLING')) live
        WHERE orders.id = live.id RETURNING 1
    ) SELECT set_config('surefill.marked', count(*)::text, false) FROM marked""",
)


@cache
def _insert(columns: tuple[str, ...]) -> Statement:
    marks = ", ".join(f"${place + 1}" for place in range(len(columns)))
    return Statement(_named("insert_order", columns), f"INSERT INTO orders ({', '.join(columns)}) VALUES ({marks})")


@cache
def _update(columns: tuple[str, ...]) -> Statement:
    # The trigger orders_version_rises refuses a version that is not the stored one plus one: a compare-and-set.
    changes = ", ".join(f"{name} = ${place + 2}" for place, name in enumerate(columns))
    return Statement(_named("update_order", columns), f"UPDATE orders SET {changes} WHERE id = $1")


def _named(prefix: str, columns: tuple[str, ...]) -> str:
    return f"{prefix}_{crc32(','.join(columns).encode()):08x}"


def insert(order: Order) -> Call:
    """Every value costs as much as a small statement, so only what is not null is sent."""
    given = [
        (name, value)
        for name, value in zip(COLUMNS, _values(order), strict=True)
        if value is not None and (value or name not in _ZERO_BY_DEFAULT)
    ]
    return Call(_insert(tuple(name for name, _ in given)), [value for _, value in given])


def update(before: Order, after: Order) -> Call:
    """Only what has changed is sent; there are a few dozen ways in which an order changes."""
    changed = [
        (name, new)
        for name, old, new in zip(COLUMNS, _values(before), _values(after), strict=True)
        if old is not new and old != new
    ]
    return Call(_update(tuple(name for name, _ in changed)), [after.id, *(value for _, value in changed)])


def from_row(row: Row) -> Order:
    """An order from a row whose first columns are SELECTED."""
    (
        id_, trader_id, idempotency_key, fingerprint, symbol, side, quantity, order_type, price, stop_loss, take_profit,
        time_in_force, max_slippage_bps, max_wait_seconds, venue, parent_id, execution_path, reservation_price, status,
        execution_state, filled_quantity, filled_notional, average_fill_price, attempts, retries_used, fence, due_at,
        not_founds, open_attempts, refused_at, send_ended_at, client_id_known_at, cancel_sent_at, stray_due_at,
        venue_order_id, cancel_requested_at, cancel_code, cancel_message,
        abandoned_at, reason_code, reason_message, alarm_code, log_seq, log_hash, version, created_at, updated_at,
        expires_at, closed_at, price_bound, other_venue_orders, replacements, attempts_before, filled_before,
        amend_requested_at, amend_quantity, amend_price, amend_reservation_price, amend_price_bound,
        covered_quantity, _,
    ) = row[: len(COLUMNS)]  # fmt: skip
    order = object.__new__(Order)  # the constructor would set fifty frozen fields one by one
    order.__dict__.update(
        id=id_,
        trader_id=trader_id,
        idempotency_key=idempotency_key,
        request_fingerprint=bytes(fingerprint),
        symbol=symbol,
        side=Side(side),
        quantity=quantity,
        order_type=OrderType(order_type),
        price=price,
        stop_loss=stop_loss,
        take_profit=take_profit,
        time_in_force=TimeInForce(time_in_force),
        max_slippage_bps=max_slippage_bps,
        max_wait_seconds=max_wait_seconds,
        venue=venue,
        parent_id=parent_id,
        execution_path=ExecutionPath(execution_path),
        reservation_price=reservation_price,
        status=OrderStatus(status),
        execution_state=ExecutionState(execution_state),
        filled_quantity=filled_quantity,
        filled_notional=filled_notional,
        average_fill_price=average_fill_price,
        attempts=attempts,
        retries_used=retries_used,
        fence=fence,
        due_at=due_at,
        not_founds=not_founds,
        open_attempts=tuple(OpenAttempt(int(n), who) for n, _, who in (each.partition(" ") for each in open_attempts)),
        refused_at=refused_at,
        send_ended_at=send_ended_at,
        client_id_known_at=client_id_known_at,
        cancel_sent_at=cancel_sent_at,
        stray_due_at=stray_due_at,
        venue_order_id=venue_order_id,
        cancel_requested_at=cancel_requested_at,
        cancel_reason=None if cancel_code is None else Reason(cancel_code, cancel_message),
        abandoned_at=abandoned_at,
        reason=None if reason_code is None else Reason(reason_code, reason_message),
        alarm_code=alarm_code,
        log_seq=log_seq,
        log_hash=bytes(log_hash),
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
        closed_at=closed_at,
        price_bound=price_bound,
        other_venue_orders=tuple(other_venue_orders),
        replacements=replacements,
        attempts_before=attempts_before,
        filled_before=filled_before,
        amend_requested_at=amend_requested_at,
        amend_quantity=amend_quantity,
        amend_price=amend_price,
        amend_reservation_price=amend_reservation_price,
        amend_price_bound=amend_price_bound,
        covered_quantity=covered_quantity,
    )
    return order


def _values(order: Order) -> Sequence[object]:
    cancel, reason = order.cancel_reason, order.reason
    return (
        order.id, order.trader_id, order.idempotency_key, order.request_fingerprint, order.symbol, order.side,
        order.quantity, order.order_type, order.price, order.stop_loss, order.take_profit, order.time_in_force,
        order.max_slippage_bps, order.max_wait_seconds, order.venue, order.parent_id, order.execution_path,
        order.reservation_price, order.status, order.execution_state, order.filled_quantity, order.filled_notional,
        order.average_fill_price, order.attempts, order.retries_used, order.fence, order.due_at, order.not_founds,
        [f"{attempt.number} {attempt.sender}" for attempt in order.open_attempts], order.refused_at,
        order.send_ended_at, order.client_id_known_at, order.cancel_sent_at, order.stray_due_at, order.venue_order_id,
        order.cancel_requested_at,
        cancel.code if cancel else None, cancel.message if cancel else None, order.abandoned_at,
        reason.code if reason else None, reason.message if reason else None, order.alarm_code, order.log_seq,
        order.log_hash, order.version, order.created_at, order.updated_at, order.expires_at, order.closed_at,
        order.price_bound, list(order.other_venue_orders), order.replacements, order.attempts_before,
        order.filled_before, order.amend_requested_at, order.amend_quantity, order.amend_price,
        order.amend_reservation_price, order.amend_price_bound, order.covered_quantity, order.is_unprotected,
    )  # fmt: skip
