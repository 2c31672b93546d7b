"""What must hold before an order is accepted: one function per rule, all failures answered together.

A rule looks at the order's terms and at what was read under the account's lock, and returns a Denial or None. Missing
data denies what adds risk; an order that reduces a position always passes the rules about price and loss. Denied is
ours, rejected is the venue's.

RULES is the table; `docs/risk-rules.md` is written from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.domain import account_rules, conduct_rules, exit_rules, instrument_rules, price_rules
from app.domain.acceptance import (
    AcceptanceView,
    EarlierOrder,
    Instrument,
    Limits,
    OrderTerms,
    RestingOrder,
    RulePolicy,
    reservation_price,
)
from app.domain.denials import Denial, DenialKind

__all__ = [
    "RULES", "AcceptanceView", "Denial", "DenialKind", "EarlierOrder", "Instrument", "Limits", "OrderTerms",
    "RestingOrder", "Rule", "RulePolicy", "denials", "reservation_price",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it is run and as it is documented. The check's docstring says what must hold."""

    check: Callable[[OrderTerms, AcceptanceView], Denial | None]
    codes: tuple[str, ...]
    judged_by: str
    without_it: str
    """What happens when the data it judges by is missing or stale."""
    limits: tuple[str, ...] = ()
    """The limits of a trader that it enforces."""
    reducing_passes: bool = False
    """Whether an order that reduces a position passes whatever the rule's numbers say."""


_NOTHING = "needs no data"
_BY_SYMBOL = "passes here: the symbol's own rule denies"

RULES: tuple[Rule, ...] = (
    Rule(
        conduct_rules.nothing_is_halted, ("TRADING_HALTED",), "the halts that are stored and not lifted",
        "always stored",
    ),
    Rule(
        conduct_rules.trading_is_allowed, ("TRADING_HALTED", "TRADING_REDUCING"), "the trader's trading state",
        "always stored",
    ),
    Rule(
        conduct_rules.order_rate_is_kept, ("ORDER_RATE_LIMIT",), "accepted orders of the last 60 seconds, counted",
        "always counted, in PostgreSQL: Redis is not asked", ("orders_per_minute",),
    ),
    Rule(
        conduct_rules.is_no_duplicate, ("DUPLICATE_SUSPECTED",),
        "the trader's orders of the last DUPLICATE_WINDOW_SECONDS", "passes: no such order is found",
    ),
    Rule(instrument_rules.symbol_is_known, ("UNKNOWN_SYMBOL",), "the stored list of instruments", "denies"),
    Rule(
        instrument_rules.symbol_is_tradable, ("INSTRUMENT_NOT_TRADABLE",), "the instrument's stored status", _BY_SYMBOL
    ),
    Rule(
        instrument_rules.market_is_open, ("MARKET_CLOSED", "MARKET_HOURS_UNKNOWN"),
        "the venue's clock as last stored, with the opening and closing it foretold",
        "denies MARKET, IOC and FOK orders that add risk",
    ),
    Rule(instrument_rules.quantity_fits_lot, ("LOT_SIZE",), "the instrument's stored lot size", _BY_SYMBOL),
    Rule(instrument_rules.price_fits_tick, ("TICK_SIZE",), "the instrument's stored tick size", _BY_SYMBOL),
    Rule(instrument_rules.stop_loss_fits_tick, ("TICK_SIZE",), "the instrument's stored tick size", _BY_SYMBOL),
    Rule(instrument_rules.take_profit_fits_tick, ("TICK_SIZE",), "the instrument's stored tick size", _BY_SYMBOL),
    Rule(price_rules.price_fits_type, ("PRICE_NOT_ALLOWED", "REQUIRED"), "the order's fields", _NOTHING),
    Rule(price_rules.waiting_fits_time_in_force, ("MAX_WAIT_NOT_ALLOWED",), "the order's fields", _NOTHING),
    Rule(price_rules.trigger_fits_time_in_force, ("TIME_IN_FORCE_NOT_ALLOWED",), "the order's fields", _NOTHING),
    Rule(price_rules.slippage_fits_type, ("SLIPPAGE_NOT_ALLOWED",), "the order's fields", _NOTHING),
    Rule(
        price_rules.stop_loss_is_on_its_side, ("STOP_LOSS_WRONG_SIDE",),
        "the order's price, or the last quote for a MARKET order", "passes here: the reference price's rule denies",
    ),
    Rule(
        price_rules.take_profit_is_on_its_side, ("TAKE_PROFIT_WRONG_SIDE",),
        "the order's price, or the last quote for a MARKET order", "passes here: the reference price's rule denies",
    ),
    Rule(exit_rules.exits_fit_side, ("EXITS_NOT_ALLOWED",), "the order's fields", _NOTHING),
    Rule(exit_rules.exits_fit_quantity, ("EXITS_NOT_SUPPORTED",), "the order's fields", _NOTHING),
    Rule(
        exit_rules.slippage_bound_is_known, ("SLIPPAGE_BOUND_UNKNOWN",),
        "the last quote, at most REFERENCE_PRICE_MAX_AGE_SECONDS old", "denies",
    ),
    Rule(
        price_rules.reference_price_is_fresh, ("REFERENCE_PRICE_STALE",),
        "the age of the last quote, at most REFERENCE_PRICE_MAX_AGE_SECONDS", "denies", reducing_passes=True,
    ),
    Rule(
        price_rules.price_is_within_collar, ("PRICE_COLLAR",),
        "the last ask and PRICE_COLLAR_BPS", "passes: a LIMIT is judged on its own price", reducing_passes=True,
    ),
    Rule(
        price_rules.value_is_representable, ("ORDER_VALUE_TOO_LARGE",), "quantity times worst price",
        "passes here: the reference price's rule denies",
    ),
    Rule(
        account_rules.cash_is_enough, ("INSUFFICIENT_FUNDS",),
        "cash less what open BUY orders reserve, against quantity times worst price with commission",
        "passes here: the reference price's rule denies", reducing_passes=False,
    ),
    Rule(
        account_rules.shares_are_enough, ("INSUFFICIENT_SHARES",), "the position less what open SELL orders reserve",
        "denies: no position is a position of 0",
    ),
    Rule(
        account_rules.order_quantity_is_within_limit, ("MAX_ORDER_QUANTITY",), "the order's quantity", _NOTHING,
        ("max_order_quantity",),
    ),
    Rule(
        account_rules.order_value_is_within_limit, ("MAX_ORDER_VALUE",), "quantity times worst price (SELL: its price)",
        "passes here: the reference price's rule denies what adds risk", ("max_order_value",),
    ),
    Rule(
        account_rules.position_quantity_is_within_limit, ("MAX_POSITION_QUANTITY",),
        "the position, open BUY orders of the symbol and this order", "no position is a position of 0",
        ("max_position_quantity",), reducing_passes=True,
    ),
    Rule(
        account_rules.position_value_is_within_limit, ("MAX_POSITION_VALUE",),
        "the position at the bid, open BUY orders and this order at their worst prices",
        "without a fresh quote the position is valued at the order's own price", ("max_position_value",),
        reducing_passes=True,
    ),
    Rule(
        account_rules.open_orders_are_within_limit, ("MAX_OPEN_ORDERS",), "the trader's open orders, counted",
        "always counted", ("max_open_orders",),
    ),
    Rule(
        account_rules.daily_notional_is_within_limit, ("MAX_DAILY_NOTIONAL",),
        "the worth of all orders accepted since midnight in America/New_York", "always stored",
        ("max_daily_notional",), reducing_passes=True,
    ),
    Rule(
        account_rules.daily_loss_is_within_limit, ("DAILY_LOSS_LIMIT", "DAILY_LOSS_UNKNOWN"),
        "equity at the last known quotes against equity when the exchange's day began (America/New_York)", "denies",
        ("daily_loss_limit",), reducing_passes=True,
    ),
    Rule(
        conduct_rules.is_no_wash_trade, ("WASH_TRADE",),
        "the best-priced LIMIT order that rests on the other side in the same venue account",
        "without a quote every open LIMIT order counts as resting; a MARKET order then reaches nothing",
    ),
)  # fmt: skip


def denials(terms: OrderTerms, view: AcceptanceView) -> list[Denial]:
    """Every rule that the order breaks."""
    return [denial for rule in RULES if (denial := rule.check(terms, view)) is not None]
