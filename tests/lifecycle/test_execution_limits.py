"""Slippage, time in force and deadlines: the worst price, the last moment, and the reason that is left behind."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain.orders import OrderType, Side, TimeInForce
from app.domain.venue_answers import OrderInstruction, VenueOrderStatus
from app.lifecycle.accept import Refusal
from app.wakeups import CANCELS, task_for
from tests.lifecycle.conftest import House

MARKET = {"order_type": OrderType.MARKET, "price": None}


def sent(house: House) -> OrderInstruction:
    return house.venue.ledger[-1].instruction


@pytest.mark.parametrize(
    ("bps", "bound"),
    [(0, "150.01"), (1, "150.02"), (50, "150.76"), (9_999, "300.00")],  # the ask is 150.01; rounded down to the cent
)
def test_a_market_buy_goes_out_as_a_limit_at_its_bound(house: House, bps: int, bound: str) -> None:
    order_id = house.submitted(**MARKET, max_slippage_bps=bps)
    house.advance(order_id)
    assert (sent(house).order_type, sent(house).limit_price) == ("LIMIT", Decimal(bound))
    order = house.order(order_id)
    assert order.order_type == "MARKET" and order.price is None
    assert order.reservation_price >= Decimal(bound), "what it can cost is held back"


@pytest.mark.parametrize("collar", [1000, 1, 0])
def test_a_plain_market_buy_goes_out_as_a_limit_at_the_collar_that_its_reservation_was_reckoned_with(
    house: House, collar: int
) -> None:
    house.collar(collar)
    order_id = house.submitted(**MARKET)
    house.advance(order_id)
    bound = {1000: Decimal("165.01"), 1: Decimal("150.02"), 0: None}[collar]  # the ask is 150.01; down to the cent
    assert (sent(house).order_type, sent(house).limit_price) == ("LIMIT" if collar else "MARKET", bound)
    order = house.order(order_id)
    assert (order.order_type, order.price, order.max_slippage_bps) == ("MARKET", None, None)
    assert bound is None or order.reservation_price >= bound


def test_a_plain_stop_to_buy_goes_out_as_a_stop_limit_at_its_trigger_and_the_collar(house: House) -> None:
    house.advance(house.submitted(order_type=OrderType.STOP, price=Decimal(155)))
    instruction = sent(house)
    assert (instruction.order_type, instruction.stop_price, instruction.limit_price) == (
        "STOP_LIMIT", Decimal(155), Decimal("170.5"),
    )  # fmt: skip


@pytest.mark.parametrize("terms", [MARKET, {"order_type": OrderType.STOP, "price": Decimal(140)}])
def test_a_plain_sell_is_not_bounded_since_it_gets_a_trader_out(house: House, terms: dict[str, object]) -> None:
    bought = house.submitted(**MARKET)
    house.advance(bought)
    house.venue.fill(str(bought), Decimal(100), Decimal(150))
    house.listen()
    house.advance(house.submitted(**terms, side=Side.SELL))
    assert (sent(house).order_type, sent(house).limit_price) == (terms["order_type"], None)


def test_a_buy_that_only_covers_what_was_oversold_is_not_held_up_by_an_old_quote(house: House) -> None:
    house.sql_as_worker(
        "INSERT INTO positions (trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl, updated_at)"
        " VALUES (%s, 'AAPL', -100, 0, -15000, 0, %s)", house.trader_id, house.clock.now(),
    )  # fmt: skip
    house.clock.pass_(61)
    house.advance(house.submitted(**MARKET))
    assert (sent(house).order_type, sent(house).limit_price) == ("MARKET", None)


def test_the_rest_of_a_plain_market_buy_ends_at_its_deadline_and_says_at_which_price_it_could_not_be_had(
    house: House,
) -> None:
    order_id = house.submitted(**MARKET, max_wait_seconds=5)
    house.advance(order_id)
    house.sweep(6.5)
    house.listen()
    reason = house.order(order_id).reason
    assert reason is not None and (reason.code, "165.01" in reason.message) == ("TIMEOUT", True)


def test_whatever_the_market_does_a_plain_market_buy_takes_no_more_cash_than_it_reserved(house: House) -> None:
    order_id = house.submitted(**MARKET)
    _, reserved = house.account()
    house.advance(order_id)
    limit = sent(house).limit_price
    assert limit is not None
    house.venue.fill(str(order_id), Decimal(100), limit)  # the worst that a venue which keeps to limits can do
    house.listen()
    cash, left = house.account()
    assert Decimal(100_000) - cash <= reserved and left == 0


def test_a_market_sell_is_bounded_below_and_rounded_up(house: House) -> None:
    bought = house.submitted(**MARKET)
    house.advance(bought)
    house.venue.fill(str(bought), Decimal(100), Decimal(150))
    house.listen()
    house.advance(house.submitted(**MARKET, side=Side.SELL, max_slippage_bps=7))
    assert sent(house).limit_price == Decimal("149.89")  # 149.99 less 0.105


def test_a_stop_is_bounded_from_its_trigger(house: House) -> None:
    house.advance(house.submitted(order_type=OrderType.STOP, price=Decimal(155), max_slippage_bps=100))
    assert (sent(house).order_type, sent(house).stop_price) == ("STOP_LIMIT", Decimal(155))
    assert sent(house).limit_price == Decimal("156.55")


def test_what_cannot_be_had_within_the_bound_is_cancelled_at_the_deadline_with_its_reason(house: House) -> None:
    order_id = house.submitted(**MARKET, max_slippage_bps=10, max_wait_seconds=5)
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(40), Decimal("150.16"))
    house.listen()
    house.sweep(6.5)
    house.listen()
    order = house.order(order_id)
    assert (order.status, order.filled_quantity, order.reason and order.reason.code) == (
        "CANCELLED", Decimal(40), "SLIPPAGE",
    )  # fmt: skip


@pytest.mark.parametrize(("bps", "code"), [(10, "SLIPPAGE"), (None, "EXPIRED")])
@pytest.mark.parametrize(
    ("term", "called"),
    [
        (TimeInForce.IOC, VenueOrderStatus.CANCELLED),
        (TimeInForce.FOK, VenueOrderStatus.EXPIRED),
        (TimeInForce.DAY, VenueOrderStatus.EXPIRED),
    ],
)
def test_what_its_time_in_force_has_ended_says_at_which_price_it_could_not_be_had(
    house: House, term: TimeInForce, called: VenueOrderStatus, bps: int | None, code: str
) -> None:
    order_id = house.submitted(**MARKET, max_slippage_bps=bps, time_in_force=term)
    house.advance(order_id)
    limit = sent(house).limit_price
    house.venue.end(str(order_id), called)
    house.listen()
    order = house.order(order_id)
    assert order.reason is not None and (order.status, order.reason.code) == ("CANCELLED", code)
    assert f"{limit:f} or better" in order.reason.message


def test_a_fill_beyond_the_bound_is_alarmed(house: House) -> None:
    order_id = house.submitted(**MARKET, max_slippage_bps=10)
    house.advance(order_id)
    house.venue.fill(str(order_id), Decimal(100), Decimal(151))
    house.listen()
    assert house.order(order_id).alarm_code == "PRICE_BEYOND_LIMIT"


def test_without_a_fresh_quote_there_is_no_bound(house: House) -> None:
    house.clock.pass_(61)
    refusal = house.submit(**MARKET, max_slippage_bps=10)
    assert isinstance(refusal, Refusal)
    assert "SLIPPAGE_BOUND_UNKNOWN" in [each.code for each in refusal.denials]


def test_an_order_whose_time_in_force_ends_says_expired(house: House) -> None:
    order_id = house.submitted(time_in_force=TimeInForce.DAY)
    house.advance(order_id)
    house.venue.end(str(order_id), VenueOrderStatus.EXPIRED)
    house.listen()
    order = house.order(order_id)
    assert (order.status, order.reason and order.reason.code) == ("CANCELLED", "EXPIRED")


def test_a_deadline_is_kept_within_a_second_and_ahead_of_submits(house: House) -> None:
    order_id = house.submitted(max_wait_seconds=7)
    house.advance(order_id)
    house.sweep(6.5, step=0.25)
    waiting = house.order(order_id)
    assert waiting.due_at == waiting.expires_at
    assert task_for(waiting)[1] == CANCELS
    house.sweep(0.75, step=0.25)
    house.listen()
    order = house.order(order_id)
    assert (order.status, order.reason and order.reason.code) == ("CANCELLED", "TIMEOUT")
    assert order.closed_at is not None and order.expires_at is not None
    assert order.closed_at - order.expires_at < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"side": Side.SELL, "stop_loss": Decimal(140)}, "EXITS_NOT_ALLOWED"),
        ({"quantity": Decimal("1.5"), "stop_loss": Decimal(140)}, "EXITS_NOT_SUPPORTED"),
        ({"stop_loss": Decimal(151)}, "STOP_LOSS_WRONG_SIDE"),
        ({"take_profit": Decimal(150)}, "TAKE_PROFIT_WRONG_SIDE"),
        ({"max_slippage_bps": 10}, "SLIPPAGE_NOT_ALLOWED"),
        ({"time_in_force": TimeInForce.FOK, "max_wait_seconds": 5}, "MAX_WAIT_NOT_ALLOWED"),
    ],
)
def test_contradictory_controls_say_which_and_why(house: House, terms: dict[str, object], code: str) -> None:
    refusal = house.submit(**terms)
    assert isinstance(refusal, Refusal)
    assert code in [each.code for each in refusal.denials]
