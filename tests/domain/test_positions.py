"""The books after any sequence of fills."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.domain.positions import Account, Position, after_fill
from tests.domain.orders import an_order

TRADER = an_order().trader_id
PRICES = st.decimals("0.0001", "99999", places=4)
SIZES = st.decimals("0.001", "1000", places=3)
FILLS = st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), SIZES, PRICES), max_size=30)


@given(FILLS)
def test_cash_and_quantity_are_the_sums_of_the_fills(fills: list[tuple[str, Decimal, Decimal]]) -> None:
    account, position = Account(TRADER, "USD", Decimal(0), Decimal(0)), Position("AAPL")
    cash = quantity = realized = Decimal(0)
    for side, size, price in fills:
        account, position, profit = after_fill(account, position, side, size, price, Decimal("0.01"))
        sign = 1 if side == "BUY" else -1
        quantity += sign * size
        cash -= sign * size * price + Decimal("0.01")
        realized += profit
    assert (account.cash, position.quantity, position.realized_pnl) == (cash, quantity, realized)
    # what was spent is either still in the position or was realized
    assert abs(account.cash + position.cost_basis - position.realized_pnl) == 0
    if not quantity:
        assert position.cost_basis == 0


def test_selling_realizes_the_difference_to_the_average_cost() -> None:
    account, position = Account(TRADER, "USD", Decimal(10000), Decimal(0)), Position("AAPL")
    account, position, _ = after_fill(account, position, "BUY", Decimal(10), Decimal(100), Decimal(1))
    account, position, _ = after_fill(account, position, "BUY", Decimal(10), Decimal(120), Decimal(1))
    assert position.average_cost == Decimal(110)
    account, position, profit = after_fill(account, position, "SELL", Decimal(5), Decimal(130), Decimal(1))
    assert profit == Decimal(99)
    assert position.average_cost == Decimal(110)
