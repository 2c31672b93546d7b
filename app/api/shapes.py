"""The documents of the API as types: what a request may hold and what an answer holds.

The OpenAPI document is generated from these (openapi.py). Requests are read field by field elsewhere, so that every
error is told at once; tests hold both to these types.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from app.domain.books import CommissionSource
from app.domain.halts import HaltScope
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import OrderType, Side, TimeInForce

T = TypeVar("T")

Amount = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]+(\.[0-9]+)?$",
        description="A decimal number in plain notation, without exponent and trailing zeros.",
        examples=["150.25"],
    ),
]
Time = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        description="RFC 3339 in UTC with microseconds.",
        examples=["2026-01-05T14:30:00.000000Z"],
    ),
]
Id = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="A UUID.",
        examples=["019b8f0e-7a10-7c39-8a55-1f2d3c4b5a69"],
    ),
]
GivenText = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?$")]
GivenAmount = Annotated[
    GivenText | Annotated[int, Meta(gt=0, lt=10**12)] | Annotated[float, Meta(gt=0, lt=10**12)],
    Meta(description="Greater than 0; at most 12 digits before and 9 after the decimal point; a string or a number."),
]
GivenTime = Annotated[
    str,
    Meta(
        pattern=r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$",
        description="RFC 3339 with an offset.",
        examples=["2026-01-05T14:30:00Z"],
    ),
]
Symbol = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9./_-]{0,31}$",
        description="What an instrument is called; upper case is made of lower case.",
        examples=["AAPL"],
    ),
]
Seq = Annotated[int, Meta(ge=0, lt=10**18)]


class OrderRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An order to be submitted. Prices in the account's currency per unit."""

    symbol: Symbol
    side: Side
    quantity: GivenAmount
    order_type: OrderType
    price: GivenAmount | None = None
    """The limit of a LIMIT order, the trigger of a STOP order; absent for MARKET."""
    stop_loss: GivenAmount | None = None
    take_profit: GivenAmount | None = None
    time_in_force: TimeInForce | None = TimeInForce.DAY
    max_slippage_bps: Annotated[int, Meta(ge=0, le=9_999)] | None = None
    max_wait_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    venue: str | None = None


class NoFields(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing; the body may be left out."""


class AmendRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change of an open order."""

    price: GivenAmount | None = None
    quantity: GivenAmount | None = None


Sentence = Annotated[str, Meta(min_length=1, max_length=500)]


class HaltRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to halt, and why: `trader_id` with the scope TRADER, `symbol` with the scope SYMBOL."""

    scope: HaltScope
    reason: Sentence
    trader_id: Id | None = None
    symbol: Symbol | None = None
    cancel_exits: bool = False
    """Protective exits are cancelled, too."""


class LiftRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Why a halt is lifted; may be left out."""

    reason: Sentence | None = None


class Reason(msgspec.Struct):
    """Why something happened."""

    code: str
    message: str


class Fill(msgspec.Struct):
    """One execution."""

    id: Id
    quantity: Amount
    price: Amount
    venue: str
    commission: Amount
    timestamp: Time


class RecordedFill(Fill):
    """One execution as it stands in the books."""

    commission_source: CommissionSource


class FillOfOrder(RecordedFill):
    """One execution, with the order it belongs to."""

    order_id: Id
    symbol: str
    side: Side


class Amendment(msgspec.Struct):
    """Terms that an order shall have instead of its own."""

    price: Amount | None
    quantity: Amount | None


class Order(msgspec.Struct, kw_only=True):
    """An order."""

    id: Id
    trader_id: Id
    symbol: str
    side: Side
    quantity: Amount
    order_type: OrderType
    price: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None
    time_in_force: TimeInForce
    max_slippage_bps: int | None
    max_wait_seconds: int | None
    status: OrderStatus
    execution_state: ExecutionState
    filled_quantity: Amount
    average_fill_price: Amount | None
    attempts: int
    reason: Reason | None
    venue: str
    venue_order_id: str | None
    parent_id: Id | None
    amendment: Amendment | None
    """Other terms that are wanted and that the venue has not decided about."""
    unprotected: bool
    """True while something was bought that the wanted stop loss and take profit do not protect (yet)."""
    version: int
    created_at: Time
    updated_at: Time
    expires_at: Time | None
    closed_at: Time | None


class OrderWithFills(Order, kw_only=True):
    """An order with its executions, oldest first; the first 1,000 of them."""

    fills: list[RecordedFill]


class Event(msgspec.Struct, kw_only=True):
    """Something that happened to one of the trader's orders."""

    seq: Annotated[int, Meta(ge=1)]
    event: str
    order_id: Id
    status: OrderStatus
    execution_state: ExecutionState
    filled_quantity: Amount
    average_fill_price: Amount | None
    fill: Fill | None
    reason: Reason | None
    timestamp: Time
    order: Order


class AuditEntry(msgspec.Struct, kw_only=True):
    """One row of the audit log; `hash` covers the row and `previous_hash`."""

    seq: int
    id: Id
    action: str
    actor: str
    credential: str | None
    trader_id: Id | None
    order_id: Id | None
    status: OrderStatus | None
    status_before: OrderStatus | None
    execution_state: ExecutionState | None
    symbol: str | None
    side: Side | None
    quantity: Amount | None
    order_type: OrderType | None
    price: Amount | None
    time_in_force: TimeInForce | None
    fill_quantity: Amount | None
    fill_price: Amount | None
    filled_quantity: Amount | None
    venue: str | None
    venue_order_id: str | None
    execution_id: str | None
    retry_attempt: int | None
    error_code: str | None
    reason: str | None
    rule: str | None
    limits_version: int | None
    details: msgspec.Raw | None
    received_at: Time | None
    sent_at: Time | None
    venue_at: Time | None
    timestamp: Time
    software_version: str
    commission: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None
    max_slippage_bps: int | None
    max_wait_seconds: int | None
    parent_id: Id | None
    previous_hash: str
    hash: str


class LoggedEntry(AuditEntry, kw_only=True):
    """One row of the audit log with the chain that it is `seq` of: an order's, a trader's, or the system's."""

    chain_id: Id


class ReportRow(msgspec.Struct, kw_only=True):
    """An execution with its own quantity and price, or something that was not executed with those asked for."""

    row: str
    timestamp: Time
    trader_id: Id
    order_id: Id | None
    symbol: str | None
    side: Side | None
    order_type: OrderType | None
    quantity: Amount | None
    price: Amount | None
    value: Amount | None
    commission: Amount | None
    realized_pnl: Amount | None
    filled_quantity: Amount | None
    venue: str | None
    venue_order_id: str | None
    execution_id: str | None
    code: str | None
    reason: str | None


class ReportTotal(msgspec.Struct, kw_only=True):
    """Executions of one symbol and side; `price` is their average."""

    row: str
    symbol: str
    side: Side
    quantity: Amount
    price: Amount | None
    value: Amount
    commission: Amount
    realized_pnl: Amount
    executions: int


class ReportEnd(msgspec.Struct, kw_only=True):
    """Everything together."""

    row: str
    value: Amount
    commission: Amount
    realized_pnl: Amount
    executions: int
    reason: str


class ExecutionReport(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """Executions of a period, and what was rejected, cancelled or refused in it."""

    from_: Time
    to: Time
    generated_at: Time
    data: list[ReportRow]
    totals: list[ReportTotal]
    end: ReportEnd


class LimitsUsed(msgspec.Struct, kw_only=True):
    """How much of each limit is used now: of positions the largest, open orders included; today's orders and loss.

    The day is the exchange's (America/New_York). Null where a price is missing, or where no order came today.
    """

    max_position_value: Amount | None
    max_position_quantity: Amount
    max_open_orders: int
    max_daily_notional: Amount
    daily_loss_limit: Amount | None
    orders_per_minute: int


class Limits(msgspec.Struct, kw_only=True):
    """What the trader may do; null is no limit. Currency, units, currency a day, orders a minute."""

    max_position_value: Amount | None
    max_position_quantity: Amount | None
    max_order_value: Amount | None
    max_order_quantity: Amount | None
    max_open_orders: int | None
    max_daily_notional: Amount | None
    daily_loss_limit: Amount | None
    orders_per_minute: int
    version: int
    used: LimitsUsed


class Unprotected(msgspec.Struct, kw_only=True):
    """Part of a holding that no exit protects (yet): of which entry, or of which exit that does not stand."""

    order_id: Id
    symbol: str
    quantity: Amount


class ActiveHalt(msgspec.Struct, kw_only=True):
    """A halt that stops all trading, this trader's, or everybody's in one symbol, and was not lifted yet."""

    id: Id
    scope: HaltScope
    symbol: str | None
    code: str
    """`OPERATOR` when a person halted; otherwise what Surefill found by itself."""
    reason: str
    created_at: Time


class Account(msgspec.Struct, kw_only=True):
    """The trader's money, in `currency`. `equity` and `unrealized_pnl` are null where a holding has no price."""

    trader_id: Id
    currency: str
    cash: Amount
    reserved: Amount
    buying_power: Amount
    equity: Amount | None
    realized_pnl_today: Amount
    unrealized_pnl: Amount | None
    trading_state: str
    halts: list[ActiveHalt]
    """The first 100 active halts that bear on the trader, the widest first."""
    unprotected: list[Unprotected]
    """What is held without the stop loss and take profit that were wanted for it."""
    limits: Limits


class Position(msgspec.Struct, kw_only=True):
    """A holding. `market_price` is the last known bid, null where there was none."""

    symbol: str
    quantity: Amount
    available_quantity: Amount
    average_cost: Amount | None
    market_price: Amount | None
    unrealized_pnl: Amount | None
    realized_pnl_today: Amount


class Instrument(msgspec.Struct, kw_only=True):
    """Something that can be traded."""

    symbol: str
    name: str
    status: str
    tick_size: Amount
    lot_size: Amount
    venue: str


class Quote(msgspec.Struct, kw_only=True):
    """The last known bid and ask."""

    symbol: str
    bid: Amount
    ask: Amount
    bid_size: Amount | None
    ask_size: Amount | None
    timestamp: Time


class Page(msgspec.Struct, Generic[T]):
    """Part of a list; `next_cursor` is null at its end."""

    data: list[T]
    next_cursor: str | None


class Orders(Page[Order]):
    """Orders, newest first."""


class Fills(Page[FillOfOrder]):
    """Executions, newest first."""


class Positions(Page[Position]):
    """Holdings by symbol."""


class Instruments(Page[Instrument]):
    """Instruments by symbol."""


class Halt(msgspec.Struct, kw_only=True):
    """A trading halt; `lifted_at` is null while it holds."""

    id: Id
    scope: HaltScope
    trader_id: Id | None
    symbol: str | None
    code: str
    reason: str
    cancel_exits: bool
    halted_by: str
    created_at: Time
    lifted_at: Time | None
    lifted_by: str | None
    lift_reason: str | None


class Halts(msgspec.Struct):
    """Halts: active ones first, then the newest."""

    data: list[Halt]


class Events(msgspec.Struct):
    """Events in order; `head_seq` is the number of the trader's last one."""

    data: list[Event]
    head_seq: int


class AuditEntries(msgspec.Struct):
    """Rows of the audit log, oldest first; `total` counts all of the order's."""

    data: list[AuditEntry]
    total: int


class LoggedEntries(Page[LoggedEntry]):
    """Rows of the audit log by the time they were recorded."""


class Requested(msgspec.Struct):
    """How many orders are to be cancelled."""

    requested: int


class FieldProblem(msgspec.Struct, omit_defaults=True):
    """One failed rule."""

    field: str | None
    code: str
    message: str
    suggestion: str
    numbers: dict[str, str] = {}


class ProblemDocument(msgspec.Struct):
    """Why a request was not carried out (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    suggestion: str
    errors: list[FieldProblem]
    request_id: str | None


class Alive(msgspec.Struct):
    """The process answers."""

    status: Literal["alive"]


class Checks(msgspec.Struct):
    """What was looked at."""

    database: Literal["ok"]
    migrations: Literal["ok"]
    redis: Literal["ok", "unavailable"]


class Readiness(msgspec.Struct):
    """Whether the process can serve; without Redis it does, with slower updates."""

    status: Literal["ready", "degraded"]
    checks: Checks
