"""Each rule at, just below and just above its bound, and with its data missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from app.domain.acceptance import AcceptanceView, Instrument, Limits, OrderTerms, RestingOrder, RulePolicy
from app.domain.fees import FeeSchedule
from app.domain.halts import Halt, HaltScope
from app.domain.orders import OrderType, Side, TimeInForce
from app.domain.positions import Account, Position
from app.domain.risk_rules import RULES, denials
from app.domain.trading_session import MarketHours, Session
from tests.domain.orders import NOON, ORDER_ID, an_order

TERMS = OrderTerms(
    symbol="AAPL", side=Side.BUY, quantity=Decimal(10), order_type=OrderType.LIMIT, price=Decimal(100),
    time_in_force=TimeInForce.DAY, idempotency_key="k", request_fingerprint=b"",
)  # fmt: skip
AAPL = Instrument("AAPL", "fake", "ACTIVE", Decimal("0.01"), Decimal(1), Decimal("99.99"), Decimal("100.01"), NOON)
VIEW = AcceptanceView(
    account=Account(an_order().trader_id, "USD", Decimal(2000), Decimal(1000)),
    position=Position("AAPL", Decimal(10), Decimal(4)),
    instrument=AAPL, earlier=None, repeats=None, trading_state="ACTIVE", limits=Limits(3), orders_in_last_minute=0,
    oldest_in_window=None, now=NOON, session=Session(NOON.date(), Decimal(2000)), equity=Decimal(2000),
    market=MarketHours(True, None, None),
)  # fmt: skip
RICH = replace(VIEW, account=replace(VIEW.account, cash=Decimal(10**9)))
SELL = replace(TERMS, side=Side.SELL, quantity=Decimal(6))
MARKET = replace(TERMS, order_type=OrderType.MARKET, price=None, quantity=Decimal(9))
STOP = replace(TERMS, order_type=OrderType.STOP)
EXITS = replace(TERMS, stop_loss=Decimal(90), take_profit=Decimal(110))
DAY = timedelta(days=1)
HALT = Halt(uuid4(), HaltScope.SYMBOL, None, "AAPL", "OPERATOR", "odd quotes", False, "an operator", NOON)
CLOSED = MarketHours(False, NOON + timedelta(hours=2), NOON + timedelta(hours=8))


def quoted(**changes: object) -> Instrument:
    return replace(AAPL, **changes)  # type: ignore[arg-type] # named after the fields


def limited(view: AcceptanceView = RICH, **limits: object) -> AcceptanceView:
    return replace(view, limits=replace(VIEW.limits, **limits))  # type: ignore[arg-type] # named after the fields


@dataclass(frozen=True)
class Case:
    """What is asked for, what is known, and the codes of the answer."""

    says: str
    terms: OrderTerms
    view: AcceptanceView
    codes: tuple[str, ...] = ()


def case(says: str, terms: OrderTerms, view: AcceptanceView = VIEW, *codes: str) -> Case:
    return Case(says, terms, view, codes)


BOUNDS = [
    # trading state, halts
    case("halted: a buy", TERMS, replace(VIEW, trading_state="HALTED"), "TRADING_HALTED"),
    case("halted: a sell", SELL, replace(VIEW, trading_state="HALTED"), "TRADING_HALTED"),
    case("a halt that covers a buy", TERMS, replace(VIEW, halt=HALT), "TRADING_HALTED"),
    case("a halt that covers a sell", SELL, replace(VIEW, halt=HALT), "TRADING_HALTED"),
    case("reducing: a buy", TERMS, replace(VIEW, trading_state="REDUCING"), "TRADING_REDUCING"),
    case("reducing: a sell", SELL, replace(VIEW, trading_state="REDUCING")),
    case("reducing: buying back what was oversold", replace(TERMS, quantity=Decimal(5)),
         replace(VIEW, trading_state="REDUCING", position=Position("AAPL", Decimal(-5)))),
    case("reducing: buying back more than was oversold", replace(TERMS, quantity=Decimal(6)),
         replace(VIEW, trading_state="REDUCING", position=Position("AAPL", Decimal(-5))), "TRADING_REDUCING"),
    case("reducing: buying back what another order buys back already", replace(TERMS, quantity=Decimal(5)),
         replace(VIEW, trading_state="REDUCING", position=Position("AAPL", Decimal(-5)), pending_quantity=Decimal(1)),
         "TRADING_REDUCING"),
    # rate
    case("rate: the last order of the minute", TERMS, replace(VIEW, orders_in_last_minute=2)),
    case("rate: one more", TERMS, replace(VIEW, orders_in_last_minute=3), "ORDER_RATE_LIMIT"),
    case("rate: also for a sell", SELL, replace(VIEW, orders_in_last_minute=4), "ORDER_RATE_LIMIT"),
    # duplicates
    case("duplicate", TERMS, replace(VIEW, repeats=ORDER_ID), "DUPLICATE_SUSPECTED"),
    case("duplicate, confirmed", replace(TERMS, confirm_duplicate=True), replace(VIEW, repeats=ORDER_ID)),
    # symbol
    case("unknown symbol", TERMS, replace(VIEW, instrument=None), "UNKNOWN_SYMBOL"),
    case("unknown symbol, nothing else to go by", MARKET, replace(VIEW, instrument=None, market=None, resting=None),
         "UNKNOWN_SYMBOL"),
    *(case(f"symbol that is {status}", TERMS, replace(VIEW, instrument=quoted(status=status)),
           "INSTRUMENT_NOT_TRADABLE") for status in ("HALTED", "DELISTED", "RESTRICTED")),
    # lot and tick
    case("lot", replace(TERMS, quantity=Decimal(5)), replace(VIEW, instrument=quoted(lot_size=Decimal(5)))),
    case("below a lot", replace(TERMS, quantity=Decimal(4)), replace(VIEW, instrument=quoted(lot_size=Decimal(5))),
         "LOT_SIZE"),
    case("above a lot", replace(TERMS, quantity=Decimal(6)), replace(VIEW, instrument=quoted(lot_size=Decimal(5))),
         "LOT_SIZE"),
    case("tick", replace(TERMS, price=Decimal("99.99"))),
    case("below a tick", replace(TERMS, price=Decimal("99.989")), VIEW, "TICK_SIZE"),
    case("above a tick", replace(TERMS, price=Decimal("99.991")), VIEW, "TICK_SIZE"),
    case("tick below a dollar", replace(TERMS, price=Decimal("0.9999"))),
    case("too fine below a dollar", replace(TERMS, price=Decimal("0.99995")), VIEW, "TICK_SIZE"),
    case("tick at a dollar", replace(TERMS, price=Decimal("1.0001")), VIEW, "TICK_SIZE"),
    case("tick of the exits", replace(EXITS, stop_loss=Decimal("90.001"), take_profit=Decimal("110.001")), VIEW,
         "TICK_SIZE", "TICK_SIZE"),
    # opening hours
    case("closed: MARKET", MARKET, replace(VIEW, market=CLOSED), "MARKET_CLOSED"),
    case("closed: IOC", replace(TERMS, time_in_force=TimeInForce.IOC), replace(VIEW, market=CLOSED), "MARKET_CLOSED"),
    case("closed: FOK", replace(TERMS, time_in_force=TimeInForce.FOK), replace(VIEW, market=CLOSED), "MARKET_CLOSED"),
    case("closed: DAY waits", TERMS, replace(VIEW, market=CLOSED)),
    case("closed: GTC waits", replace(STOP, time_in_force=TimeInForce.GTC),
         replace(RICH, market=CLOSED)),
    case("closed, traded around the clock", MARKET,
         replace(VIEW, market=CLOSED, instrument=quoted(always_open=True))),
    case("closed until just now", MARKET, replace(VIEW, market=MarketHours(False, NOON, NOON + DAY))),
    case("closed for a moment more", MARKET,
         replace(VIEW, market=MarketHours(False, NOON + timedelta(microseconds=1), NOON + DAY)), "MARKET_CLOSED"),
    case("open until just now", MARKET, replace(VIEW, market=MarketHours(True, NOON + DAY, NOON)), "MARKET_CLOSED"),
    case("open for a moment more", MARKET,
         replace(VIEW, market=MarketHours(True, NOON + DAY, NOON + timedelta(microseconds=1)))),
    case("clock never heard", MARKET, replace(VIEW, market=None), "MARKET_HOURS_UNKNOWN"),
    case("clock never heard: a LIMIT waits", TERMS, replace(VIEW, market=None)),
    case("clock never heard: reducing", replace(MARKET, side=Side.SELL, quantity=Decimal(6)),
         replace(VIEW, market=None)),
    case("beyond what the clock foretold", MARKET, replace(VIEW, market=MarketHours(True, NOON - DAY, NOON - 2 * DAY)),
         "MARKET_HOURS_UNKNOWN"),
    # contradictions
    case("price on MARKET", replace(MARKET, price=Decimal(100)), VIEW, "PRICE_NOT_ALLOWED"),
    case("no price on LIMIT", replace(TERMS, price=None), VIEW, "REQUIRED"),
    case("no price on STOP", replace(STOP, price=None), VIEW, "REQUIRED"),
    case("FOK that waits", replace(TERMS, time_in_force=TimeInForce.FOK, max_wait_seconds=1), VIEW,
         "MAX_WAIT_NOT_ALLOWED"),
    case("IOC that waits", replace(TERMS, time_in_force=TimeInForce.IOC, max_wait_seconds=1), VIEW,
         "MAX_WAIT_NOT_ALLOWED"),
    case("DAY that waits", replace(TERMS, max_wait_seconds=1)),
    case("STOP at once", replace(STOP, time_in_force=TimeInForce.IOC), RICH, "TIME_IN_FORCE_NOT_ALLOWED"),
    case("LIMIT with slippage", replace(TERMS, max_slippage_bps=1), VIEW, "SLIPPAGE_NOT_ALLOWED"),
    # exits
    case("a stop loss of a SELL", replace(SELL, stop_loss=Decimal(110)), VIEW, "EXITS_NOT_ALLOWED"),
    case("exits of part of a share", replace(EXITS, quantity=Decimal("0.5")),
         replace(VIEW, instrument=replace(AAPL, lot_size=Decimal("0.5"))), "EXITS_NOT_SUPPORTED"),
    case("slippage without a quote to reckon from",
         replace(MARKET, side=Side.SELL, quantity=Decimal(6), max_slippage_bps=1),
         replace(VIEW, now=NOON + timedelta(seconds=61)), "SLIPPAGE_BOUND_UNKNOWN"),
    case("exits on their sides", EXITS),
    case("exits nearest to the entry", replace(EXITS, stop_loss=Decimal("99.99"), take_profit=Decimal("100.01"))),
    case("exits at the entry", replace(EXITS, stop_loss=Decimal(100), take_profit=Decimal(100)), VIEW,
         "STOP_LOSS_WRONG_SIDE", "TAKE_PROFIT_WRONG_SIDE"),
    case("exits of MARKET are judged by the ask", replace(MARKET, stop_loss=Decimal("100.01")), VIEW,
         "STOP_LOSS_WRONG_SIDE"),
    case("exits of MARKET without a quote", replace(MARKET, stop_loss=Decimal(999), take_profit=Decimal(1)),
         replace(VIEW, instrument=quoted(ask=None, confirmed_at=None)), "REFERENCE_PRICE_STALE"),
    # reference price and collar
    case("quote just fresh", MARKET, replace(VIEW, now=NOON + timedelta(seconds=60))),
    case("quote just stale", MARKET, replace(VIEW, now=NOON + timedelta(seconds=60.001)), "REFERENCE_PRICE_STALE"),
    case("no quote", MARKET, replace(VIEW, instrument=quoted(ask=None, confirmed_at=None)), "REFERENCE_PRICE_STALE"),
    case("an ask that nobody has confirmed", MARKET, replace(VIEW, instrument=quoted(confirmed_at=None)),
         "REFERENCE_PRICE_STALE"),
    case("a confirmed quote without an ask", MARKET, replace(VIEW, instrument=quoted(ask=None)),
         "REFERENCE_PRICE_STALE"),
    case("no ask: LIMIT on its own price", TERMS, replace(VIEW, instrument=quoted(ask=None))),
    case("stale quote: LIMIT on its own price", replace(TERMS, price=Decimal(10_000)),
         replace(RICH, now=NOON + DAY)),
    case("stale quote: reducing", replace(MARKET, side=Side.SELL, quantity=Decimal(6)), replace(VIEW, now=NOON + DAY)),
    case("no quote: reducing", replace(MARKET, side=Side.SELL, quantity=Decimal(6)),
         replace(VIEW, instrument=quoted(ask=None, bid=None, confirmed_at=None))),
    case("collar", replace(TERMS, price=Decimal("110.01")), RICH),  # 100.01 and ten per cent: 110.011
    case("beyond the collar", replace(TERMS, price=Decimal("110.02")), RICH, "PRICE_COLLAR"),
    case("collar that is on the tick", replace(TERMS, price=Decimal(110)),
         replace(RICH, instrument=quoted(ask=Decimal(100)))),
    case("beyond a collar that is on the tick", replace(TERMS, price=Decimal("110.01")),
         replace(RICH, instrument=quoted(ask=Decimal(100))), "PRICE_COLLAR"),
    case("collar: a STOP waits for its trigger", replace(STOP, price=Decimal(200)), RICH),
    case("collar: a SELL far above the market", replace(SELL, price=Decimal(200))),
    case("no collar", replace(TERMS, price=Decimal("110.02")), replace(RICH, policy=RulePolicy(price_collar_bps=0))),
    case("collar: reducing", replace(SELL, price=Decimal("0.01"))),
    # what can be booked
    case("just bookable", replace(TERMS, quantity=Decimal(10) ** 16 - 1),
         replace(VIEW, account=replace(VIEW.account, cash=Decimal(10) ** 19))),
    case("not bookable", replace(TERMS, quantity=Decimal(10) ** 16),
         replace(VIEW, account=replace(VIEW.account, cash=Decimal(10) ** 19)), "ORDER_VALUE_TOO_LARGE"),
    # funds
    case("all the funds", TERMS),
    case("a cent too much", replace(TERMS, quantity=Decimal(100), price=Decimal("10.01")), VIEW, "INSUFFICIENT_FUNDS"),
    case("a cent to spare", replace(TERMS, quantity=Decimal(100), price=Decimal("9.99"))),
    case("a MARKET order at the collar's bound", replace(MARKET, quantity=Decimal(10)), VIEW, "INSUFFICIENT_FUNDS"),
    case("a MARKET order at its own bound", replace(MARKET, quantity=Decimal(9), max_slippage_bps=1000)),
    case("a STOP at its trigger and the collar", STOP, VIEW, "INSUFFICIENT_FUNDS"),
    case("a STOP that just fits", replace(STOP, price=Decimal("90.90"))),
    case("a commission that does not fit", TERMS, replace(VIEW, policy=RulePolicy(fees=FeeSchedule(Decimal(1)))),
         "INSUFFICIENT_FUNDS"),
    case("funds are no matter of a SELL", SELL, replace(VIEW, account=replace(VIEW.account, cash=Decimal(0)))),
    # shares
    case("all the shares", SELL),
    case("one more", replace(SELL, quantity=Decimal(7)), VIEW, "INSUFFICIENT_SHARES"),
    case("never held", SELL, replace(VIEW, position=Position("AAPL")), "INSUFFICIENT_SHARES"),
    # limits of one order
    case("order quantity", TERMS, limited(max_order_quantity=Decimal(10))),
    case("order quantity, below", TERMS, limited(max_order_quantity=Decimal(11))),
    case("order quantity, above", TERMS, limited(max_order_quantity=Decimal("9.999")), "MAX_ORDER_QUANTITY"),
    case("order value", TERMS, limited(max_order_value=Decimal(1000))),
    case("order value, above", TERMS, limited(max_order_value=Decimal("999.99")), "MAX_ORDER_VALUE"),
    case("order value of a MARKET order", MARKET, limited(max_order_value=Decimal("990.09")), "MAX_ORDER_VALUE"),
    case("order value of a SELL", SELL, limited(max_order_value=Decimal("599.99")), "MAX_ORDER_VALUE"),
    case("order value without a price: reducing", replace(MARKET, side=Side.SELL, quantity=Decimal(6)),
         limited(replace(RICH, instrument=quoted(bid=None, ask=None, confirmed_at=None)), max_order_value=Decimal(1))),
    # positions
    case("position quantity", TERMS, limited(max_position_quantity=Decimal(20))),
    case("position quantity, above", TERMS, limited(max_position_quantity=Decimal("19.99")), "MAX_POSITION_QUANTITY"),
    case("position quantity with open orders", TERMS,
         limited(replace(RICH, pending_quantity=Decimal(1)), max_position_quantity=Decimal(20)),
         "MAX_POSITION_QUANTITY"),
    case("position quantity: reducing", SELL, limited(max_position_quantity=Decimal(1))),
    case("position value", TERMS, limited(max_position_value=Decimal("1999.9"))),
    case("position value, above", TERMS, limited(max_position_value=Decimal("1999.89")), "MAX_POSITION_VALUE"),
    case("position value with open orders", TERMS,
         limited(replace(RICH, pending_cost=Decimal("0.01")), max_position_value=Decimal("1999.9")),
         "MAX_POSITION_VALUE"),
    case("position value without a quote: at the order's price", TERMS,
         limited(replace(RICH, now=NOON + DAY), max_position_value=Decimal(2000))),
    case("position value without a quote, above", TERMS,
         limited(replace(RICH, now=NOON + DAY), max_position_value=Decimal("1999.99")), "MAX_POSITION_VALUE"),
    case("position value and daily notional without any price", MARKET,
         limited(replace(RICH, instrument=quoted(ask=None, bid=None)), max_position_value=Decimal(1),
                 max_daily_notional=Decimal(1), max_order_value=Decimal(1)), "REFERENCE_PRICE_STALE"),
    case("position value: reducing", SELL, limited(max_position_value=Decimal(1))),
    # open orders
    case("open orders", TERMS, limited(replace(RICH, open_orders=2), max_open_orders=3)),
    case("open orders, one too many", TERMS, limited(replace(RICH, open_orders=3), max_open_orders=3),
         "MAX_OPEN_ORDERS"),
    # the day
    case("daily notional", TERMS,
         limited(replace(RICH, session=Session(NOON.date(), None, Decimal(500))), max_daily_notional=Decimal(1500))),
    case("daily notional, above", TERMS,
         limited(replace(RICH, session=Session(NOON.date(), None, Decimal("500.01"))),
                 max_daily_notional=Decimal(1500)), "MAX_DAILY_NOTIONAL"),
    case("daily notional: reducing", SELL, limited(max_daily_notional=Decimal(1))),
    case("daily loss below the limit", TERMS,
         limited(replace(RICH, equity=Decimal("1900.01")), daily_loss_limit=Decimal(100))),
    case("daily loss at the limit", TERMS, limited(replace(RICH, equity=Decimal(1900)), daily_loss_limit=Decimal(100)),
         "DAILY_LOSS_LIMIT"),
    case("daily loss: reducing", SELL, limited(replace(RICH, equity=Decimal(0)), daily_loss_limit=Decimal(100))),
    case("daily loss without a price", TERMS, limited(replace(RICH, equity=None), daily_loss_limit=Decimal(100)),
         "DAILY_LOSS_UNKNOWN"),
    case("daily loss without a beginning", TERMS,
         limited(replace(RICH, session=Session(NOON.date(), None)), daily_loss_limit=Decimal(100)),
         "DAILY_LOSS_UNKNOWN"),
    case("daily loss without a price: reducing", SELL,
         limited(replace(RICH, equity=None), daily_loss_limit=Decimal(100))),
    # wash trades
    case("reaches one's own order", TERMS, replace(VIEW, resting=RestingOrder(Decimal(100), ORDER_ID)), "WASH_TRADE"),
    case("stays below it", TERMS, replace(VIEW, resting=RestingOrder(Decimal("100.01"), ORDER_ID))),
    case("reaches another's order", TERMS, replace(VIEW, resting=RestingOrder(Decimal(100), None)), "WASH_TRADE"),
    case("a SELL reaches it", SELL, replace(VIEW, resting=RestingOrder(Decimal(100), ORDER_ID)), "WASH_TRADE"),
    case("a SELL stays above it", SELL, replace(VIEW, resting=RestingOrder(Decimal("99.99"), ORDER_ID))),
    case("MARKET reaches the ask", MARKET, replace(VIEW, resting=RestingOrder(Decimal("100.01"), ORDER_ID)),
         "WASH_TRADE"),
    case("MARKET reaches no further", MARKET, replace(VIEW, resting=RestingOrder(Decimal("100.02"), ORDER_ID))),
    case("a STOP that waits reaches nothing", replace(STOP, price=Decimal("100.02")),
         replace(RICH, resting=RestingOrder(Decimal(1), ORDER_ID))),
    case("a STOP whose trigger is reached is a MARKET order", replace(STOP, price=Decimal("100.01")),
         replace(RICH, resting=RestingOrder(Decimal("100.01"), ORDER_ID)), "WASH_TRADE"),
    case("a STOP whose trigger is reached reaches no further", replace(STOP, price=Decimal("100.01")),
         replace(RICH, resting=RestingOrder(Decimal("100.02"), ORDER_ID))),
    case("a SELL STOP whose trigger is reached", replace(SELL, order_type=OrderType.STOP, price=Decimal("99.99")),
         replace(RICH, resting=RestingOrder(Decimal("99.99"), ORDER_ID)), "WASH_TRADE"),
    case("a SELL STOP by an old quote waits", replace(SELL, order_type=OrderType.STOP, price=Decimal("99.99")),
         replace(RICH, resting=RestingOrder(Decimal("99.99"), ORDER_ID), instrument=quoted(confirmed_at=None))),
    case("a SELL STOP that waits", replace(SELL, order_type=OrderType.STOP, price=Decimal("99.98")),
         replace(RICH, resting=RestingOrder(Decimal("99.99"), ORDER_ID))),
]  # fmt: skip


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.says)
def test_each_rule_holds_at_its_bound(bound: Case) -> None:
    assert tuple(denial.code for denial in denials(bound.terms, bound.view)) == bound.codes


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.says)
def test_every_denial_says_what_happened_and_what_to_do(bound: Case) -> None:
    for denial in denials(bound.terms, bound.view):
        assert denial.message.endswith(".") and denial.suggestion.endswith("."), denial
        assert len(denial.message) < 300


def test_every_code_of_the_table_was_met() -> None:
    met = {code for bound in BOUNDS for code in bound.codes}
    met |= {denial.code for denial in denials(TERMS, replace(VIEW, halt=HALT))}
    assert met == {code for rule in RULES for code in rule.codes}


def test_all_failures_are_answered_together() -> None:
    everything = replace(TERMS, quantity=Decimal("1000.5"), price=Decimal("150.251"))
    codes = [denial.code for denial in denials(everything, replace(VIEW, orders_in_last_minute=3))]
    assert codes == ["ORDER_RATE_LIMIT", "LOT_SIZE", "TICK_SIZE", "PRICE_COLLAR", "INSUFFICIENT_FUNDS"]


def test_the_refusal_names_the_numbers() -> None:
    short = replace(VIEW, account=Account(an_order().trader_id, "USD", Decimal(3200), Decimal(0)))
    (denial,) = denials(replace(TERMS, quantity=Decimal(50)), short)
    assert denial.message == "Insufficient funds for $5,000.00 order; available: $3,200.00."
    assert "at most 32 " in denial.suggestion


def test_cents_are_never_shown_in_the_traders_favour() -> None:
    short = replace(VIEW, account=Account(an_order().trader_id, "USD", Decimal("999.9999"), Decimal(0)))
    (denial,) = denials(TERMS, short)
    assert denial.message == "Insufficient funds for $1,000.00 order; available: $999.99."


def test_what_can_be_bought_is_told_in_whole_lots_and_nothing_is_no_negative_amount() -> None:
    broke = replace(VIEW, account=Account(an_order().trader_id, "USD", Decimal(0), Decimal(0)))
    (denial,) = denials(TERMS, broke)
    assert "available: $0.00." in denial.message
    overdrawn = replace(VIEW, account=Account(an_order().trader_id, "USD", Decimal(0), Decimal(5)))
    (denial,) = denials(TERMS, overdrawn)
    assert "available: -$5.00." in denial.message and "not enough for one lot" in denial.suggestion
    lots = replace(VIEW, account=Account(an_order().trader_id, "USD", Decimal(950), Decimal(0)))
    (denial,) = denials(TERMS, replace(lots, instrument=quoted(lot_size=Decimal(5))))
    assert "at most 5 " in denial.suggestion


@pytest.mark.parametrize(("terms", "meaning"), [(TERMS, "its limit"), (STOP, "the price that triggers it")])
def test_a_missing_price_is_explained(terms: OrderTerms, meaning: str) -> None:
    (denial,) = denials(replace(terms, price=None), VIEW)
    assert meaning in denial.message


def test_the_rate_limit_says_when_the_next_order_fits() -> None:
    full = replace(VIEW, orders_in_last_minute=3, oldest_in_window=NOON - timedelta(seconds=20.5))
    (denial,) = denials(TERMS, full)
    assert (denial.code, denial.retry_after) == ("ORDER_RATE_LIMIT", 40)


def test_nothing_is_told_of_another_traders_order() -> None:
    (denial,) = denials(TERMS, replace(VIEW, resting=RestingOrder(Decimal("99.5"), None)))
    assert "99.5" not in f"{denial.message}{denial.suggestion}{denial.numbers}"


def test_the_day_is_the_exchanges() -> None:
    from app.domain.trading_session import session_began, session_of

    late = datetime(2026, 1, 6, 4, 59, 59, tzinfo=UTC)  # one second before midnight in New York
    assert session_of(late).isoformat() == "2026-01-05"
    assert session_of(late + timedelta(seconds=1)).isoformat() == "2026-01-06"
    assert session_began(late).astimezone(UTC) == datetime(2026, 1, 5, 5, tzinfo=UTC)
