"""Stop loss and take profit: from the entry's fill to the end of the position, through faults and crashes."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from app.domain.orders import Order, Side
from app.domain.venue_answers import TradeUpdate, VenueOrderStatus
from app.lifecycle.accept import Refusal
from app.lifecycle.advance import _claim
from app.lifecycle.cancel import request_cancel
from app.lifecycle.halts import lift
from app.lifecycle.reconcile import take_report, take_updates
from app.lifecycle.send import Leaving, instruction, record_answer
from proofs.fake_venue import Fault
from tests.lifecycle.conftest import TRADER, House

HUNDRED = Decimal(100)
BOTH = {"stop_loss": Decimal(140), "take_profit": Decimal(160)}


def children(house: House, entry_id: UUID) -> list[Order]:
    ids = house.as_worker("SELECT id FROM orders WHERE parent_id = %s ORDER BY created_at", entry_id)
    return [house.order(id_) for (id_,) in ids]  # type: ignore[arg-type]


def entered(house: House, filled: int = 100, terms: dict[str, Decimal] | None = None) -> tuple[UUID, list[Order]]:
    """An entry for a hundred that is filled so far, and its exits."""
    entry_id = house.submitted(**(terms or BOTH))
    house.advance(entry_id)
    house.venue.fill(str(entry_id), Decimal(filled), Decimal(150))
    house.listen()
    return entry_id, children(house, entry_id)


def standing(house: House) -> tuple[UUID, Order]:
    """An entry whose pair of exits stands at the venue, and the pair."""
    entry_id, (pair,) = entered(house)
    house.advance(pair.id)
    return entry_id, house.order(pair.id)


def position(house: House) -> tuple[object, ...]:
    """Held and reserved."""
    ((held, reserved),) = house.sql_as_worker("SELECT quantity, reserved_quantity FROM positions")
    return held, reserved


def sold(house: House) -> Decimal:
    """By the venue's own ledger, over all orders."""
    orders = [order for order in house.venue.ledger if order.instruction.side == "SELL"]
    return sum((order.filled for order in orders), Decimal(0))


def test_a_filled_entry_gets_a_pair_of_exits_of_which_one_cancels_the_other(house: House) -> None:
    entry_id, (pair,) = entered(house)
    assert (pair.side, pair.quantity, pair.price, pair.stop_loss) == (Side.SELL, HUNDRED, Decimal(160), Decimal(140))
    assert pair.is_unprotected and not house.order(entry_id).is_unprotected
    assert position(house) == (HUNDRED, HUNDRED), "a pair reserves its shares once"
    house.advance(pair.id)
    pair = house.order(pair.id)
    assert pair.execution_state == "WORKING" and not pair.is_unprotected
    profit = house.venue.with_client_id(str(pair.id))[-1]
    assert profit.leg is not None
    assert pair.venue_ids == {profit.venue_order_id, profit.leg.venue_order_id}, "both are recorded as ours"
    assert pair.expires_at is None and pair.time_in_force == "GTC"


@pytest.mark.parametrize(
    ("terms", "order_type"), [({"stop_loss": Decimal(140)}, "STOP"), ({"take_profit": Decimal(160)}, "LIMIT")]
)
def test_one_exit_alone_is_a_plain_order(house: House, terms: dict[str, Decimal], order_type: str) -> None:
    _, (only,) = entered(house, terms=terms)
    house.advance(only.id)
    only = house.order(only.id)
    assert (only.order_type, only.price, only.stop_loss) == (order_type, next(iter(terms.values())), None)
    assert only.execution_state == "WORKING" and not only.other_venue_orders


def test_exits_are_for_whole_units_and_the_fraction_says_that_it_is_unprotected(house: House) -> None:
    entry_id = house.submitted(**BOTH)
    house.advance(entry_id)
    house.venue.fill(str(entry_id), Decimal("9.3"), Decimal(150))
    house.listen()
    request_cancel(house.api, entry_id, TRADER, trader_id=house.trader_id)
    house.advance(entry_id)
    house.listen()
    (pair,) = children(house, entry_id)
    assert pair.quantity == 9
    entry = house.order(entry_id)
    assert entry.covered_quantity == 9 and entry.is_unprotected
    assert position(house) == (Decimal("9.3"), 9)
    at_venue = house.venue.with_client_id(str(entry_id))[-1]
    at_venue.status = VenueOrderStatus.WORKING
    house.venue._execute(at_venue, Decimal("0.7"), Decimal(150))  # after its end
    at_venue.status = VenueOrderStatus.CANCELLED
    house.listen()
    assert [each.quantity for each in children(house, entry_id)] == [9, 1]
    assert not house.order(entry_id).is_unprotected


def test_the_take_profit_sells_the_position_and_the_stop_is_gone(house: House) -> None:
    _, pair = standing(house)
    house.venue.fill(str(pair.id), HUNDRED, Decimal(160))
    house.listen()
    assert house.state(pair.id) == ("FILLED", "CLOSED")
    assert position(house) == (0, 0)
    assert sold(house) == HUNDRED


@pytest.mark.parametrize("profit_taken", [0, 30])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_triggered_stop_sells_what_the_take_profit_has_left(house: House, profit_taken: int, streamed: bool) -> None:
    _, pair = standing(house)
    if profit_taken:
        house.venue.fill(str(pair.id), Decimal(profit_taken), Decimal(160))
    house.venue.trigger(str(pair.id))
    if streamed:
        house.listen()
    house.venue.fill_stop(str(pair.id), HUNDRED - profit_taken, Decimal("139.5"))
    if streamed:
        house.listen()
    house.sweep(3)
    pair = house.order(pair.id)
    assert (pair.status, pair.alarm_code) == ("FILLED", None)
    assert position(house) == (0, 0)
    assert sold(house) == HUNDRED


def test_what_the_stop_sells_is_heard_from_the_stream_alone(house: House) -> None:
    _, pair = standing(house)
    house.venue.trigger(str(pair.id))
    house.venue.fill_stop(str(pair.id), Decimal(60), Decimal("139.5"))
    house.listen()
    assert house.order(pair.id).filled_quantity == 60


@pytest.mark.parametrize("streamed", [True, False])
def test_a_stop_that_was_asked_about_before_it_filled_has_no_limit(house: House, streamed: bool) -> None:
    """It stands for the pair by then, but the limit is the take profit's alone."""
    _, pair = standing(house)
    house.venue.trigger(str(pair.id))
    house.listen()
    house.sweep(2)
    house.venue.fill_stop(str(pair.id), HUNDRED, Decimal("139.5"))
    if streamed:
        house.listen()
    house.sweep(3)
    pair = house.order(pair.id)
    assert (pair.status, pair.alarm_code) == ("FILLED", None)


@pytest.mark.parametrize("profit_taken", [0, 30])
def test_a_stop_is_heard_by_its_own_name_when_it_has_just_come_to_stand_for_the_pair(
    house: House, profit_taken: int
) -> None:
    """Whose it is was looked up before; meanwhile somebody asked, and now it stands for what is left of the pair."""
    _, pair = standing(house)
    if profit_taken:
        house.venue.fill(str(pair.id), Decimal(profit_taken), Decimal(160))
    stop = house.venue.trigger(str(pair.id))
    house.sweep(16)
    assert house.order(pair.id).venue_order_id == stop.venue_order_id
    execution = house.venue.fill_stop(str(pair.id), Decimal(40), Decimal("139.5"))
    take_updates(house.worker, pair.id, [TradeUpdate("partial_fill", stop.report(), execution)])
    heard = house.order(pair.id)
    assert (heard.filled_quantity, heard.alarm_code) == (Decimal(40 + profit_taken), None)


def test_what_a_stop_sells_that_stands_for_the_pair_is_heard_from_the_stream(house: House) -> None:
    _, pair = standing(house)
    stop = house.venue.trigger(str(pair.id))
    house.listen()
    house.sweep(16)
    assert house.order(pair.id).venue_order_id == stop.venue_order_id
    house.venue.fill_stop(str(pair.id), Decimal(60), Decimal("139.5"))
    house.listen()
    assert house.order(pair.id).filled_quantity == 60


def test_a_pair_that_has_ended_before_anybody_asked_for_its_stop_knows_it(house: House) -> None:
    """Whatever the venue says of the stop later is about an order of ours."""
    _, (pair,) = entered(house)
    house.advance(pair.id)
    # as where the stream told of the acceptance, and the answer was lost
    house.sql_as_worker(
        "UPDATE orders SET other_venue_orders = '{}', version = version + 1 WHERE id = %s RETURNING 1", pair.id
    )
    stop = house.venue.trigger(str(pair.id))
    house.venue.fill_stop(str(pair.id), HUNDRED, Decimal("139.5"))
    house.sweep(40)
    ended = house.order(pair.id)
    assert (ended.status, ended.alarm_code) == ("FILLED", None)
    assert stop.venue_order_id in ended.venue_ids


def test_a_stop_for_more_than_the_pair_is_alarmed(house: House) -> None:
    _, pair = standing(house)
    stop = house.venue.trigger(str(pair.id))
    house.sweep(16)
    stop.quantity += 1
    take_updates(house.worker, pair.id, [TradeUpdate("new", stop.report(), None)])
    assert house.order(pair.id).alarm_code == "TERMS_DIFFER"


def test_a_take_profit_below_its_limit_is_alarmed(house: House) -> None:
    _, pair = standing(house)
    house.venue.fill(str(pair.id), HUNDRED, Decimal("159.99"))
    house.listen()
    assert house.order(pair.id).alarm_code == "PRICE_BEYOND_LIMIT"


def test_a_pair_whose_take_profit_ended_goes_on_with_its_stop_and_is_cancelled_there(house: House) -> None:
    _, pair = standing(house)
    house.venue.trigger(str(pair.id))
    house.listen()
    house.sweep(2)
    assert house.state(pair.id) == ("PENDING", "WORKING"), "one of two has ended: that is no end"
    request_cancel(house.api, pair.id, TRADER, trader_id=house.trader_id)
    house.sweep(3)
    house.listen()
    assert house.state(pair.id) == ("CANCELLED", "CLOSED")
    assert {order.status for order in house.venue.ledger if order.instruction.side == "SELL"} == {
        VenueOrderStatus.CANCELLED
    }
    assert house.order(pair.id).is_unprotected, "the trader is told that nothing protects the position"


def test_a_partly_filled_entry_that_stalls_is_cancelled_and_what_it_bought_is_protected(house: House) -> None:
    entry_id, none = entered(house, filled=40)
    assert none == [] and house.order(entry_id).is_unprotected
    house.sweep(9)
    assert house.state(entry_id) == ("PARTIAL", "WORKING")
    house.sweep(3)
    house.listen()
    entry = house.order(entry_id)
    assert (entry.status, entry.reason and entry.reason.code) == ("CANCELLED", "ENTRY_STALLED")
    (pair,) = children(house, entry_id)
    assert pair.quantity == 40
    house.sweep(3)
    assert house.state(pair.id) == ("PENDING", "WORKING")
    assert not house.order(entry_id).is_unprotected and not house.order(pair.id).is_unprotected
    assert position(house) == (40, 40)


def test_a_fill_after_the_end_of_the_entry_is_protected_too(house: House) -> None:
    entry_id, _ = entered(house, filled=40)
    request_cancel(house.api, entry_id, TRADER, trader_id=house.trader_id)
    house.advance(entry_id)
    house.listen()
    assert [each.quantity for each in children(house, entry_id)] == [40]
    order = house.venue.with_client_id(str(entry_id))[-1]
    order.status, order.cancelled_at = VenueOrderStatus.WORKING, None  # it had been executed after all
    house.venue.fill(str(entry_id), Decimal(10), Decimal(150))
    house.listen()
    assert [each.quantity for each in children(house, entry_id)] == [40, 10]
    assert position(house) == (50, 50)


def test_an_entry_that_bought_nothing_gets_no_exits(house: House) -> None:
    entry_id = house.submitted(**BOTH)
    request_cancel(house.api, entry_id, TRADER, trader_id=house.trader_id)
    assert children(house, entry_id) == [] and not house.order(entry_id).is_unprotected


@pytest.mark.parametrize("fault", [Fault.SUBMIT_REPLY_LOST, Fault.SUBMIT_LOST, Fault.SUBMIT_UNREACHABLE])
def test_a_pair_stands_once_whatever_becomes_of_its_request(house: House, fault: Fault) -> None:
    _, (pair,) = entered(house)
    house.venue.plan(fault)
    house.advance(pair.id)
    assert house.order(pair.id).is_unprotected
    house.sweep(3)
    pair = house.order(pair.id)
    assert pair.execution_state == "WORKING" and not pair.is_unprotected and len(pair.venue_ids) == 2
    assert len(house.venue.with_client_id(str(pair.id))) == 1


def test_an_exit_is_never_given_up(house: House) -> None:
    _, (pair,) = entered(house)
    house.venue.plan(Fault.SUBMIT_LOST, times=8)
    house.advance(pair.id)
    house.sweep(90)
    assert house.state(pair.id) == ("PENDING", "WORKING")
    assert len(house.venue.with_client_id(str(pair.id))) == 1


def test_a_worker_that_dies_with_the_pair_in_hand_leaves_one_pair(house: House) -> None:
    _, (pair,) = entered(house)
    house.worker.store.change(pair.id, lambda held: _claim(house.worker, held), sending=True)  # … and is killed
    house.sweep(10)
    assert house.state(pair.id) == ("PENDING", "WORKING")
    assert len(house.venue.with_client_id(str(pair.id))) == 1


def test_a_refused_exit_says_that_the_position_is_unprotected(house: House) -> None:
    _, (pair,) = entered(house)
    house.venue.plan(Fault.SUBMIT_REFUSED)
    house.advance(pair.id)
    assert house.state(pair.id) == ("REJECTED", "CLOSED")
    assert house.order(pair.id).is_unprotected
    assert position(house) == (HUNDRED, 0), "the shares can be sold by hand"


def test_a_halt_holds_exits_back_says_so_and_lets_them_go_when_it_is_lifted(house: House) -> None:
    _, (pair,) = entered(house)
    halt = house.halt()
    house.sweep(5)
    assert house.state(pair.id) == ("PENDING", "QUEUED") and house.order(pair.id).is_unprotected
    lift(house.halts, halt.id, "over")
    house.sweep(3)
    assert house.state(pair.id) == ("PENDING", "WORKING")


def test_a_halt_leaves_standing_exits_unless_told_otherwise(house: House) -> None:
    _, pair = standing(house)
    halt = house.halt()
    house.sweep(3)
    assert house.state(pair.id) == ("PENDING", "WORKING")
    lift(house.halts, halt.id, "over")
    house.halt(cancel_exits=True)
    house.sweep(3)
    house.listen()
    assert house.state(pair.id) == ("CANCELLED", "CLOSED")
    assert house.order(pair.id).is_unprotected


def test_an_exit_never_sells_beyond_the_position(house: House) -> None:
    _, (queued,) = entered(house)
    house.sql_as_worker("UPDATE positions SET quantity = 60")  # a trade was taken back
    house.advance(queued.id)
    assert house.state(queued.id) == ("CANCELLED", "CLOSED")
    assert not house.venue.with_client_id(str(queued.id))


def test_an_exit_is_cancelled_when_its_position_is_gone(house: House) -> None:
    _, pair = standing(house)
    house.sql_as_worker("UPDATE positions SET quantity = 0")
    house.sweep(2)
    house.listen()
    order = house.order(pair.id)
    assert (order.status, order.reason and order.reason.code) == ("CANCELLED", "POSITION_GONE")
    assert not order.is_unprotected


def test_the_shares_of_an_exit_cannot_be_sold_a_second_time(house: House) -> None:
    standing(house)
    refusal = house.submit(side=Side.SELL, quantity=Decimal(1), price=Decimal(151))
    assert [denial.code for denial in refusal.denials] == ["INSUFFICIENT_SHARES"]  # type: ignore[union-attr]


def test_exits_outlive_their_entries_deadline(house: House) -> None:
    entry_id = house.submitted(max_wait_seconds=5, **BOTH)
    house.advance(entry_id)
    house.venue.fill(str(entry_id), HUNDRED, Decimal(150))
    house.listen()
    (pair,) = children(house, entry_id)
    house.sweep(200, step=5)
    assert house.state(pair.id) == ("PENDING", "WORKING")


def test_a_pair_whose_acceptance_was_streamed_first_knows_both_its_orders(house: House) -> None:
    _, (pair,) = entered(house)
    leaving = house.worker.store.change(pair.id, lambda held: _claim(house.worker, held), sending=True)
    assert isinstance(leaving, Leaving)
    answer = house.venue.submit(instruction(leaving.order))
    house.listen()  # the stream names one of the two
    assert house.order(pair.id).other_venue_orders == ()
    record_answer(house.worker, pair.id, leaving.number, answer)
    assert len(house.order(pair.id).venue_ids) == 2


def test_a_pair_that_was_executed_before_its_answer_came_knows_both_its_orders(house: House) -> None:
    _, (pair,) = entered(house)
    leaving = house.worker.store.change(pair.id, lambda held: _claim(house.worker, held), sending=True)
    assert isinstance(leaving, Leaving)
    answer = house.venue.submit(instruction(leaving.order))
    house.venue.fill(str(pair.id), HUNDRED, Decimal(160))
    house.listen()
    assert house.state(pair.id) == ("FILLED", "CLOSED")
    record_answer(house.worker, pair.id, leaving.number, answer, as_left=leaving.order)
    pair = house.order(pair.id)
    assert (len(pair.venue_ids), pair.alarm_code) == (2, None)


def test_what_a_stop_sold_counts_though_only_asking_ever_named_it(house: House) -> None:
    _, (pair,) = entered(house)
    leaving = house.worker.store.change(pair.id, lambda held: _claim(house.worker, held), sending=True)
    assert isinstance(leaving, Leaving)
    house.venue.submit(instruction(leaving.order))  # the reply is lost with its sender
    house.listen()
    house.venue.trigger(str(pair.id))
    house.venue.fill_stop(str(pair.id), HUNDRED, Decimal("139.5"))
    house.listen()
    house.sweep(12)
    pair = house.order(pair.id)
    assert (pair.status, pair.alarm_code) == ("FILLED", None)
    assert position(house) == (0, 0)


def test_exits_are_no_orders_of_the_traders_own_to_the_rate_limit(house: House) -> None:
    house.sql("UPDATE traders SET orders_per_minute = 4 WHERE id = %s", house.trader_id)
    for _ in range(3):
        entered(house, filled=100, terms={"stop_loss": Decimal(100)})
    house.clock.pass_(80)
    house.sql("UPDATE instruments SET confirmed_at = %s", house.clock.now())
    for number in range(4):  # three in the minute before: only an exact count tells that this is within the limit
        terms = {"stop_loss": Decimal(100), "quantity": Decimal(10 + number)}
        entry_id = house.submitted(**terms)
        house.advance(entry_id)
        house.venue.fill(str(entry_id), terms["quantity"], Decimal(150))
        house.listen()
    assert isinstance(house.submit(), Refusal)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_stop_that_takes_over_while_its_ended_pair_is_gone_after_is_cancelled_too(
    house: House, streamed: bool
) -> None:
    _, pair = standing(house)
    request_cancel(house.api, pair.id, TRADER, trader_id=house.trader_id)
    house.sweep(3)
    house.listen()
    assert house.state(pair.id) == ("CANCELLED", "CLOSED")
    profit = house.venue.with_client_id(str(pair.id))[-1]
    assert profit.leg is not None
    for each in (profit, profit.leg):  # the cancel was taken, and is undone
        each.status, each.cancelled_at = VenueOrderStatus.WORKING, None
    house.clock.pass_(15)
    take_report(house.worker, pair.id, profit.report(with_legs=False), (), house.clock.now())
    stop = house.venue.trigger(str(pair.id))
    if streamed:
        house.listen()
    house.sweep(10)
    assert stop.status is VenueOrderStatus.CANCELLED
    assert (house.order(pair.id).alarm_code, house.order(pair.id).stray_due_at) == ("LIVE_AFTER_END", None)
