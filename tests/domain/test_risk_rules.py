"""Each rule at, just below and just above its bound."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain.orders import OrderType, Side, TimeInForce
from app.domain.positions import Account, Position
from app.domain.risk_rules import AcceptanceView, Instrument, Limits, OrderTerms, denials
from app.domain.trading_session import MarketHours, Session
from tests.domain.orders import NOON, ORDER_ID, an_order

TERMS = OrderTerms(
    symbol="AAPL", side=Side.BUY, quantity=Decimal(10), order_type=OrderType.LIMIT, price=Decimal(100),
    time_in_force=TimeInForce.DAY, idempotency_key="k", request_fingerprint=b"",
)  # fmt: skip
VIEW = AcceptanceView(
    account=Account(an_order().trader_id, "USD", Decimal(2000), Decimal(1000)),
    position=Position("AAPL", Decimal(10), Decimal(4)),
    instrument=Instrument(
        "AAPL", "fake", "ACTIVE", Decimal("0.01"), Decimal(1), Decimal("99.99"), Decimal("100.01"), NOON
    ),
    earlier=None, repeats=None, trading_state="ACTIVE", limits=Limits(3), orders_in_last_minute=0,
    oldest_in_window=None, now=NOON, session=Session(NOON.date(), Decimal(2000)), equity=Decimal(2000),
    market=MarketHours(True, None, None),
)  # fmt: skip


def codes(terms: OrderTerms, view: AcceptanceView = VIEW) -> list[str]:
    return [denial.code for denial in denials(terms, view)]


def test_exactly_what_is_available_can_be_bought() -> None:
    assert codes(TERMS) == []
    assert codes(replace(TERMS, price=Decimal("100.01"))) == ["INSUFFICIENT_FUNDS"]


def test_the_refusal_names_the_numbers() -> None:
    denial = denials(replace(TERMS, quantity=Decimal(50)), VIEW)[0]
    assert denial.message == "Insufficient funds for $5,000.00 order; available: $1,000.00."
    assert "at most 10" in denial.suggestion


def test_shares_in_open_sells_are_not_available() -> None:
    sell = replace(TERMS, side=Side.SELL, quantity=Decimal(6))
    assert codes(sell) == []
    assert codes(replace(sell, quantity=Decimal(7))) == ["INSUFFICIENT_SHARES"]


@pytest.mark.parametrize(("age", "expected"), [(60, []), (60.001, ["REFERENCE_PRICE_STALE"])])
def test_a_market_order_needs_a_fresh_quote(age: float, expected: list[str]) -> None:
    market = replace(TERMS, order_type=OrderType.MARKET, price=None, quantity=Decimal(9))
    assert codes(market, replace(VIEW, now=NOON + timedelta(seconds=age))) == expected


def test_a_limit_order_is_judged_on_its_own_price() -> None:
    assert codes(TERMS, replace(VIEW, now=NOON + timedelta(days=1))) == []


def test_a_market_order_without_any_quote_is_denied() -> None:
    assert VIEW.instrument is not None
    blind = replace(VIEW, instrument=replace(VIEW.instrument, ask=None, confirmed_at=None))
    assert codes(replace(TERMS, order_type=OrderType.MARKET, price=None), blind) == ["REFERENCE_PRICE_STALE"]


def test_the_last_order_of_the_minute_fits_and_the_next_does_not() -> None:
    assert codes(TERMS, replace(VIEW, orders_in_last_minute=2)) == []
    full = replace(VIEW, orders_in_last_minute=3, oldest_in_window=NOON - timedelta(seconds=20.5))
    (denial,) = denials(TERMS, full)
    assert (denial.code, denial.retry_after) == ("ORDER_RATE_LIMIT", 40)


def test_a_repetition_needs_to_be_confirmed() -> None:
    repeated = replace(VIEW, repeats=ORDER_ID)
    assert codes(TERMS, repeated) == ["DUPLICATE_SUSPECTED"]
    assert codes(replace(TERMS, confirm_duplicate=True), repeated) == []


@pytest.mark.parametrize(("state", "side", "expected"), [
    ("HALTED", Side.BUY, ["TRADING_HALTED"]), ("HALTED", Side.SELL, ["TRADING_HALTED"]),
    ("REDUCING", Side.BUY, ["TRADING_REDUCING"]), ("REDUCING", Side.SELL, []),
])  # fmt: skip
def test_a_halt_stops_what_it_should(state: str, side: Side, expected: list[str]) -> None:
    assert codes(replace(TERMS, side=side, quantity=Decimal(5)), replace(VIEW, trading_state=state)) == expected


def test_an_unknown_symbol_is_denied_whatever_else_is_missing() -> None:
    assert codes(replace(TERMS, order_type=OrderType.MARKET, price=None), replace(VIEW, instrument=None)) == [
        "UNKNOWN_SYMBOL"
    ]


@pytest.mark.parametrize(("price", "expected"), [
    ("0.9999", []), ("0.99995", ["TICK_SIZE"]), ("1", []), ("1.0001", ["TICK_SIZE"]), ("1.01", []),
])  # fmt: skip
def test_the_price_step_is_finer_below_a_dollar(price: str, expected: list[str]) -> None:
    assert codes(replace(TERMS, price=Decimal(price))) == expected
