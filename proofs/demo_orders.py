"""The demonstration's orders: what each trader will try, fixed by a seed; prices come from the quotes on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import Enum
from random import Random
from typing import Any

SEED = 20240229


class Intent(Enum):
    """What the trader wants to come of an order (the venue may have other plans)."""

    FILL = "be filled at once"
    DROP = "be filled at once as far as possible, the rest dropped"
    CANCEL = "rest until the trader cancels it"
    TIME_OUT = "rest until its own time is up"


@dataclass(frozen=True)
class Plan:
    """One order to come."""

    symbol: str
    order_type: str
    intent: Intent
    time_in_force: str
    quantity: Decimal
    """Of a BUY."""
    sells: bool
    """Sell some of what is held instead, if anything is."""
    share: Decimal
    """How much of the holding a SELL sells."""
    pause_seconds: float
    """Before it is sent."""
    patience_seconds: float
    """From its acknowledgement to its cancel."""
    confirmed_first: bool
    """Whether the cancel waits until the venue has the order; others may meet it queued, on the wire or in doubt."""


# Symbol, and the usual size of an order; the displayed size is such that some of the larger ones fill in parts.
_SYMBOLS = (
    ("AAPL", 120), ("MSFT", 80), ("AMZN", 150), ("TSLA", 260), ("NVDA", 300), ("SPY", 90), ("KO", 400), ("F", 2000),
    ("SNDL", 2500), ("PENY", 4000), ("BRK.A", 1),
)  # fmt: skip
# Type, intent, time in force, and how often of a hundred.
_KINDS = (
    ("MARKET", Intent.FILL, "DAY", 32),
    ("LIMIT", Intent.FILL, "DAY", 22),
    ("LIMIT", Intent.FILL, "GTC", 8),
    ("STOP", Intent.FILL, "DAY", 8),
    ("LIMIT", Intent.DROP, "IOC", 5),
    ("LIMIT", Intent.DROP, "FOK", 3),
    ("LIMIT", Intent.CANCEL, "DAY", 9),
    ("STOP", Intent.CANCEL, "GTC", 6),
    ("LIMIT", Intent.TIME_OUT, "GTC", 7),
)
_SELL_SHARE = 0.35
TIME_OUT_SECONDS = 3
"""`max_wait_seconds` of the orders that are to time out."""


def plans(count: int, traders: int, seed: int = SEED) -> list[list[Plan]]:
    """`count` orders over `traders` traders, for each in the order in which it sends them."""
    draw = Random(seed)
    made: list[list[Plan]] = [[] for _ in range(traders)]
    for number in range(count):
        order_type, intent, time_in_force, _ = draw.choices(_KINDS, [kind[3] for kind in _KINDS])[0]
        symbol, usual = draw.choice(_SYMBOLS)
        made[number % traders].append(
            Plan(
                symbol=symbol,
                order_type=order_type,
                intent=intent,
                time_in_force=time_in_force,
                quantity=Decimal(max(1, round(usual * draw.uniform(0.2, 1.8)))),
                sells=draw.random() < _SELL_SHARE,
                share=Decimal(str(round(draw.uniform(0.2, 1), 2))),
                pause_seconds=draw.uniform(0.02, 0.3),
                patience_seconds=draw.uniform(0.1, 1.5),
                confirmed_first=draw.random() < 0.6,
            )
        )
    return made


@dataclass(frozen=True)
class Target:
    """What an order will be for, once the trader knows what it holds."""

    symbol: str
    side: str
    quantity: Decimal


def choose(plan: Plan, held: Sequence[Mapping[str, Any]]) -> Target:
    """What `plan` means for a trader with these positions."""
    sellable = [position for position in held if Decimal(position["available_quantity"]) >= 1]
    if not plan.sells or not sellable:
        return Target(plan.symbol, "BUY", plan.quantity)
    position = max(
        sellable, key=lambda position: (position["symbol"] == plan.symbol, Decimal(position["available_quantity"]))
    )
    quantity = _part(Decimal(position["available_quantity"]), plan.share)
    return Target(position["symbol"], "SELL", quantity)


def request_body(plan: Plan, target: Target, quote: Mapping[str, Any], tick: Decimal) -> dict[str, Any]:
    """The body of `POST /orders`, at prices that suit the plan's intent at this quote."""
    request: dict[str, Any] = {
        "symbol": target.symbol,
        "side": target.side,
        "quantity": format(target.quantity, "f"),
        "order_type": plan.order_type,
        "time_in_force": plan.time_in_force,
    }
    if plan.order_type != "MARKET":
        request["price"] = format(_price(plan, target.side, quote, tick), "f")
    if plan.intent is Intent.TIME_OUT:
        request["max_wait_seconds"] = TIME_OUT_SECONDS
    return request


def _part(available: Decimal, share: Decimal) -> Decimal:
    return max(Decimal(1), (available * share).to_integral_value(ROUND_DOWN))


def _price(plan: Plan, side: str, quote: Mapping[str, Any], tick: Decimal) -> Decimal:
    bid, ask = Decimal(quote["bid"]), Decimal(quote["ask"])
    at_once = plan.intent in (Intent.FILL, Intent.DROP)
    if plan.order_type == "LIMIT":
        factor = {("BUY", True): "1.02", ("BUY", False): "0.90", ("SELL", True): "0.98", ("SELL", False): "1.10"}
    else:
        # A stop triggers when the market has reached it: at once where it already has.
        factor = {("BUY", True): "0.98", ("BUY", False): "1.10", ("SELL", True): "1.02", ("SELL", False): "0.90"}
    price = (ask if side == "BUY" else bid) * Decimal(factor[side, at_once])
    return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick
