"""Terms that are wanted for an open order meet every rule at the same bound as those of a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.domain.acceptance import AcceptanceView, OrderTerms, order_value, reservation_price
from app.domain.changes import Held, Verdict
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.orders import Order, OrderType, Side, TimeInForce
from app.lifecycle.amend import ONLY_FOR_NEW, AmendStored, Denied, NewTerms, amend
from app.lifecycle.ports import Ports
from tests.domain.orders import NOON, an_order
from tests.domain.test_risk_rules import BOUNDS, RICH, TERMS, Case, limited
from tests.lifecycle.conftest import TRADER, House
from tests.lifecycle.test_amending import carried_out, want, working

AMENDABLE = [
    bound
    for bound in BOUNDS
    if bound.terms.order_type is not OrderType.MARKET
    and bound.terms.time_in_force in (TimeInForce.DAY, TimeInForce.GTC)
    and bound.terms.price is not None
]


class OneOrder:
    """A store with one order in it, and what the rules of a new one would look at if it were not there."""

    def __init__(self, order: Order, view: AcceptanceView) -> None:
        self.order, self._view = order, view
        self.verdict: Verdict[Any] | None = None

    def amend(
        self,
        order_id: object,
        trader_id: object,
        terms_of: Callable[[Order], OrderTerms],
        decide: Callable[[Held, AcceptanceView], Verdict[Any]],
    ) -> object:
        order, view = self.order, self._view
        buys = order.side is Side.BUY
        beside = replace(
            view,
            account=view.account.holding_back(order.reserved_cash),
            position=view.position.holding_back(order.reserved_quantity),
            pending_quantity=view.pending_quantity + (order.leaves_quantity if buys else 0),
            pending_cost=view.pending_cost + order.reserved_cash,
        )
        self.verdict = decide(Held(order, beside.account, beside.position), beside)
        return self.verdict.result


def wanting(bound: Case, filled: int) -> tuple[OneOrder, Ports, NewTerms]:
    """An order of one unit, half a dollar away from where it is wanted, of which so much is filled."""
    terms, view = bound.terms, bound.view
    assert terms.price is not None
    before = replace(terms, price=terms.price / 2, quantity=Decimal(1))
    order = an_order(
        **{name: getattr(before, name) for name in (
            "symbol", "side", "order_type", "price", "stop_loss", "take_profit", "time_in_force", "max_slippage_bps",
            "max_wait_seconds",
        )},
        quantity=Decimal(1 + filled), filled_quantity=Decimal(filled), filled_notional=Decimal(filled),
        status=OrderStatus.PARTIAL if filled else OrderStatus.PENDING, execution_state=ExecutionState.WORKING,
        venue_order_id="v-1", attempts=1, reservation_price=reservation_price(before, view) or Decimal(0),
    )  # fmt: skip
    # the day's worth has the order in it already
    worth = order_value(before, view) or Decimal(0)
    session = replace(view.session, notional=view.session.notional + worth)
    store = OneOrder(order, replace(view, session=session))
    ports = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: NOON), ids=SimpleNamespace(new=lambda: order.id), store=store,
        wakeups=SimpleNamespace(work=lambda order: None), software_version="test", fees=view.policy.fees,
    )  # fmt: skip
    return store, cast("Ports", ports), NewTerms(terms.price, terms.quantity + filled)


@pytest.mark.parametrize("filled", [0, 3])
@pytest.mark.parametrize("bound", AMENDABLE, ids=lambda bound: bound.says)
def test_wanted_terms_meet_each_rule_at_its_bound(bound: Case, filled: int) -> None:
    store, ports, wanted = wanting(bound, filled)
    outcome = amend(ports, store.order.id, TRADER, wanted, trader_id=store.order.trader_id)
    denied = tuple(each.code for each in outcome.denials) if isinstance(outcome, Denied) else ()
    assert denied == tuple(code for code in bound.codes if code not in ONLY_FOR_NEW)
    assert isinstance(outcome, Denied if denied else AmendStored)


@pytest.mark.parametrize(
    ("price", "quantity", "counted"),
    [
        (100, 9, "DENIED"),
        (100, 8, 1500),
        (50, 1, None),
        (40, 1, None),
    ],
)
def test_what_an_order_is_worth_more_counts_for_the_day_and_what_it_is_worth_less_never_does(
    price: int, quantity: int, counted: int | str | None
) -> None:
    day = replace(RICH.session, notional=Decimal(700))
    store, ports, _ = wanting(Case("", TERMS, limited(replace(RICH, session=day), max_daily_notional=Decimal(1500))), 0)
    wanted = NewTerms(Decimal(price), Decimal(quantity))
    outcome = amend(ports, store.order.id, TRADER, wanted, trader_id=store.order.trader_id)
    if isinstance(outcome, Denied):
        assert (counted, [each.code for each in outcome.denials]) == ("DENIED", ["MAX_DAILY_NOTIONAL"])
        return
    changes = store.verdict and store.verdict.changes
    assert (changes.session.notional if changes and changes.session else None) == counted


def test_a_larger_quantity_that_is_wanted_counts_against_the_next_order(house: House) -> None:
    house.sql("UPDATE traders SET max_position_quantity = 150")
    order_id = working(house)  # 100
    want(house, order_id, quantity=140)
    refused = house.submit(quantity=Decimal(11))
    assert [denial.code for denial in refused.denials] == ["MAX_POSITION_QUANTITY"]  # type: ignore[union-attr]
    house.submitted(quantity=Decimal(10))
    house.sql("UPDATE traders SET max_position_quantity = NULL, max_position_value = 40000")
    want(house, order_id, "160")  # 140 at 160 and 10 at 150.25 are 23,902.50; 107 more at 150.25 come to 39,979.25
    refused = house.submit(quantity=Decimal(108))
    assert [denial.code for denial in refused.denials] == ["MAX_POSITION_VALUE"]  # type: ignore[union-attr]
    house.submitted(quantity=Decimal(107))


def test_what_is_changed_again_and_again_is_counted_for_the_day_each_time_it_grows(house: House) -> None:
    house.sql("UPDATE traders SET max_daily_notional = 30000")
    first, second = (house.submitted(quantity=Decimal(10), price=Decimal(150)) for _ in range(2))  # 3,000
    want(house, first, quantity=100)  # 16,500
    want(house, second, quantity=100)  # 30,000
    want(house, second, quantity=50)
    ((notional,),) = house.sql("SELECT session_notional FROM accounts WHERE trader_id = %s", house.trader_id)
    assert notional == 30_000
    refused = house.submit(quantity=Decimal(1))
    assert [denial.code for denial in refused.denials] == ["MAX_DAILY_NOTIONAL"]  # type: ignore[union-attr]


def test_a_second_wish_leaves_standing_what_the_first_wanted(house: House) -> None:
    order_id = working(house)
    want(house, order_id, quantity=140)
    want(house, order_id, "151")
    order = house.order(order_id)
    assert (order.amend_price, order.amend_quantity, order.reserved_cash) == tuple(map(Decimal, (151, 140, 140 * 151)))
    carried_out(house, order_id)
    assert (house.order(order_id).price, house.order(order_id).quantity) == (Decimal(151), Decimal(140))
