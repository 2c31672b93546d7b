"""Reads of one trader's account, limits and positions, valued at the last known quotes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.domain.conduct_rules import RATE_WINDOW
from app.domain.documents import Json, decimal_or_none
from app.domain.money import ZERO, plain
from app.domain.positions import Account, Position
from app.domain.trading_session import session_began, session_of
from app.storage.transaction import Call, Row, Statement

LIMITS: Final = (
    "max_position_value", "max_position_quantity", "max_order_value", "max_order_quantity", "max_open_orders",
    "max_daily_notional", "daily_loss_limit", "orders_per_minute",
)  # fmt: skip
"""Columns of `traders`; null is no limit."""
MOST_HALTS: Final = 100
"""Active halts that an account shows, the widest first; a symbol is halted once at most."""

# What a holding would bring: the bid; what an oversold one would cost to buy back: the ask.
_MARK = "CASE WHEN p.quantity < 0 THEN i.ask ELSE i.bid END"

# Cash and all holdings at the last known quotes, of the account `a`; null where a holding never had one, because a sum
# over the others would be a guess.
EQUITY: Final = """(SELECT CASE WHEN bool_or(h.mark IS NULL) THEN NULL ELSE a.cash + coalesce(sum(h.worth), 0) END
    FROM (SELECT p.quantity * m.mark AS worth, m.mark FROM positions p
        LEFT JOIN LATERAL (SELECT CASE WHEN p.quantity < 0 THEN i.ask ELSE i.bid END AS mark
            FROM instruments i WHERE i.symbol = p.symbol) m ON true
        WHERE p.trader_id = a.trader_id AND p.quantity <> 0) h)"""

# What a symbol could come to: the holding, and open BUY orders at their worst, on the terms that are wanted too.
_EXPOSURE = """SELECT sum(e.quantity) AS quantity, sum(e.worth) AS worth FROM (
        SELECT p.symbol, p.quantity, p.quantity * i.bid AS worth
        FROM positions p LEFT JOIN instruments i USING (symbol) WHERE p.trader_id = $1
        UNION ALL SELECT o.symbol, greatest(o.quantity, o.amend_quantity) - o.filled_quantity,
            greatest((o.quantity - o.filled_quantity) * o.reservation_price,
                (o.amend_quantity - o.filled_quantity) * o.amend_reservation_price)
        FROM orders o WHERE o.trader_id = $1 AND o.side = 'BUY' AND o.closed_at IS NULL) e GROUP BY e.symbol"""

# What of a halt a trader needs: what it stops, since when and why. Who halted is in the sentence of a refusal.
_HALT = """json_build_object('id', h.id, 'scope', h.scope, 'symbol', h.symbol, 'code', h.code, 'reason', h.reason,
        'created_at', to_char(h.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))"""

ACCOUNT = Statement(
    "read_account",
    f"""SELECT a.currency, a.cash, a.reserved,
        CASE WHEN EXISTS (SELECT 1 FROM halts h WHERE h.lifted_at IS NULL
            AND (h.scope = 'GLOBAL' OR h.trader_id = $1)) THEN 'HALTED' ELSE t.trading_state END,
        t.limits_version, {", ".join(f"t.{n}" for n in LIMITS)},
        (SELECT coalesce(sum(f.realized_pnl), 0) FROM fills f WHERE f.trader_id = $1 AND f.timestamp >= $2),
        (SELECT count(*) FROM positions p LEFT JOIN instruments i USING (symbol)
            WHERE p.trader_id = $1 AND p.quantity <> 0 AND {_MARK} IS NULL),
        (SELECT coalesce(sum(p.quantity * {_MARK}), 0) FROM positions p JOIN instruments i USING (symbol)
            WHERE p.trader_id = $1 AND p.quantity <> 0),
        (SELECT coalesce(sum(p.cost_basis), 0) FROM positions p WHERE p.trader_id = $1 AND p.quantity <> 0),
        (SELECT json_agg(json_build_array(o.id, o.symbol, trim_scale(
                CASE WHEN o.parent_id IS NULL THEN o.filled_quantity - o.covered_quantity
                ELSE o.quantity - o.filled_quantity END)::text) ORDER BY o.created_at)
            FROM orders o JOIN positions p USING (trader_id, symbol)
            WHERE o.trader_id = $1 AND o.is_unprotected AND p.quantity > 0),
        (SELECT json_agg({_HALT} ORDER BY h.scope, h.created_at, h.id) FROM (SELECT * FROM halts
            WHERE lifted_at IS NULL AND (trader_id IS NULL OR trader_id = $1)
            ORDER BY scope, created_at, id LIMIT {MOST_HALTS}) h),
        (SELECT max(s.quantity) FROM ({_EXPOSURE}) s), (SELECT max(s.worth) FROM ({_EXPOSURE}) s),
        (SELECT count(*) FROM orders o WHERE o.trader_id = $1 AND o.closed_at IS NULL),
        (SELECT count(*) FROM orders o WHERE o.trader_id = $1 AND o.created_at > $3 AND o.parent_id IS NULL),
        CASE WHEN a.session_on >= $4::date THEN a.session_notional ELSE 0 END,
        CASE WHEN a.session_on >= $4::date THEN a.session_equity END
    FROM accounts a JOIN traders t ON t.id = a.trader_id WHERE a.trader_id = $1""",
)
POSITIONS = Statement(
    "list_positions",
    f"""SELECT p.symbol, p.quantity, p.reserved_quantity, p.cost_basis, p.realized_pnl, {_MARK}, coalesce(f.realized, 0)
    FROM positions p LEFT JOIN instruments i USING (symbol)
    LEFT JOIN (SELECT symbol, sum(realized_pnl) AS realized FROM fills
        WHERE trader_id = $1 AND timestamp >= $2 GROUP BY symbol) f USING (symbol)
    WHERE p.trader_id = $1 AND p.symbol > $3 AND (p.quantity <> 0 OR p.reserved_quantity <> 0 OR f.symbol IS NOT NULL)
    ORDER BY p.symbol LIMIT $4""",
)
# A lock, to see whether it can be had; it ends with the statement.
UNHELD = Statement("unheld_account", "SELECT 1 FROM accounts WHERE trader_id = $1 FOR UPDATE SKIP LOCKED")


def unheld(trader_id: UUID) -> Call:
    """A row if nobody holds the account at this moment."""
    return Call(UNHELD, [trader_id])


def account(trader_id: UUID, now: datetime) -> Call:
    """The account at `now`; its day is the exchange's."""
    return Call(ACCOUNT, [trader_id, session_began(now), now - RATE_WINDOW, session_of(now)])


def account_from(row: Row, trader_id: UUID, orders_per_minute: int) -> Json:
    """The document of a row of ACCOUNT. `orders_per_minute` is for traders without a limit of their own."""
    currency, cash, reserved, trading_state, version = row[:5]
    limits = dict(zip(LIMITS, row[5 : 5 + len(LIMITS)], strict=True))
    realized, without_price, worth, cost, unprotected, halts, *used = row[5 + len(LIMITS) :]
    books = Account(trader_id, currency, cash, reserved)
    # a sum over what has a price only would be a guess at the rest
    value: Decimal | None = None if without_price else worth
    return {
        "trader_id": str(trader_id),
        "currency": currency,
        "cash": plain(cash),
        "reserved": plain(reserved),
        "buying_power": plain(books.buying_power),
        "equity": None if value is None else plain(cash + value),
        "realized_pnl_today": plain(realized),
        "unrealized_pnl": None if value is None else plain(value - cost),
        "trading_state": trading_state,
        "halts": halts or [],
        "unprotected": [
            {"order_id": order_id, "symbol": symbol, "quantity": quantity}
            for order_id, symbol, quantity in unprotected or ()
        ],
        "limits": {
            **limits_document(limits),
            "orders_per_minute": limits["orders_per_minute"] or orders_per_minute,
            "version": version,
            "used": _used(used, None if value is None else cash + value),
        },
    }


def _used(row: Sequence[Any], equity: Decimal | None) -> Json:
    """How much of each limit is used; null where a price is missing, or where the day has not begun."""
    quantity, worth, open_orders, last_minute, notional, start = row
    loss = None if equity is None or start is None else max(start - equity, ZERO)
    return {
        "max_position_value": decimal_or_none(worth) if quantity is not None else "0",
        "max_position_quantity": plain(quantity or ZERO),
        "max_open_orders": open_orders,
        "max_daily_notional": plain(notional),
        "daily_loss_limit": decimal_or_none(loss),
        "orders_per_minute": last_minute,
    }


def limits_document(limits: dict[str, Decimal | int | None]) -> Json:
    """Limits as programs see them: counts as integers, amounts as strings, null for none."""
    return {name: value if isinstance(value, int) else decimal_or_none(value) for name, value in limits.items()}


def positions(trader_id: UUID, day_began: datetime, after: str, limit: int) -> Call:
    """Holdings with a symbol after that one, and those that were closed today."""
    return Call(POSITIONS, [trader_id, day_began, after, limit])


def position_from(row: Row) -> Json:
    symbol, quantity, reserved, basis, realized, mark, realized_today = row
    held = Position(symbol, quantity, reserved, basis, realized)
    return {
        "symbol": symbol,
        "quantity": plain(quantity),
        "available_quantity": plain(held.available_quantity),
        "average_cost": decimal_or_none(held.average_cost),
        "market_price": decimal_or_none(mark),
        "unrealized_pnl": None if mark is None else plain(quantity * mark - basis),
        "realized_pnl_today": plain(realized_today),
    }
