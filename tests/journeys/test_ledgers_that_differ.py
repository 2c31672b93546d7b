"""The comparison of both ledgers sees each thing that can go wrong: nothing here runs, so everything can be broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from proofs.ledgers import Acknowledged, Comparison, ReceivedFeed, Submission, compare
from proofs.our_ledger import (
    OurAccount,
    OurAttempt,
    OurEvent,
    OurFill,
    OurLedger,
    OurLogEntry,
    OurOrder,
    OurPosition,
)
from proofs.venue_ledger import VenueExecution, VenueLedger, VenueOrder

TRADER, ORDER, OTHER, EXIT = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
NOW = datetime.now(UTC)
CASH = Decimal(1000)
TWO, THREE, TEN, NINE = map(Decimal, (2, 3, 10, 9))
HASHES = [f"{number:064x}" for number in range(6)]
STEPS = [
    ("SUBMITTED", "QUEUED"),
    ("APPROVED", "QUEUED"),
    ("EXECUTED", "SENDING"),
    ("EXECUTED", "WORKING"),
    ("FILLED", "CLOSED"),
]
EVENTS = [("order.submitted", "PENDING", "QUEUED"), ("order.filled", "FILLED", "CLOSED")]


class Books:
    """Two ledgers that agree about one filled order of 2 at 10 dollars. A test breaks what it likes."""

    def __init__(self) -> None:
        two, ten = Decimal(2), Decimal(10)
        self.promise = Acknowledged(ORDER, TRADER, "AAPL", "BUY", two, "LIMIT", ten)
        self.order = OurOrder(
            id=ORDER, trader_id=TRADER, symbol="AAPL", side="BUY", quantity=two, order_type="LIMIT", price=ten,
            status="FILLED", execution_state="CLOSED", filled_quantity=two, reservation_price=ten, attempts=1,
            venue_order_id="V1", reason_code=None, alarm_code=None, log_seq=5, log_hash=HASHES[5],
            idempotency_key="K",
        )  # fmt: skip
        self.submissions = [Submission("K", ORDER, is_over=True)]
        self.others: list[OurOrder] = []
        self.fills = [OurFill(OTHER, ORDER, TRADER, "AAPL", "BUY", two, ten, Decimal(0), "V1", two, Decimal(0))]
        self.attempts = [OurAttempt(ORDER, "SUBMIT", 1, "ACCEPTED")]
        self.log = [
            OurLogEntry(ORDER, ORDER, number, HASHES[number - 1], HASHES[number], action, state)
            for number, (action, state) in enumerate(STEPS, start=1)
        ]
        self.events = [
            OurEvent(
                number, ORDER, name, datetime.now(UTC), {"event": name, "status": status, "execution_state": state}
            )
            for number, (name, status, state) in enumerate(EVENTS, start=1)
        ]
        self.account = OurAccount(TRADER, CASH - 20, Decimal(0), 2)
        self.position = OurPosition(TRADER, "AAPL", two, Decimal(0), Decimal(20), Decimal(0))
        self.received: list[dict[str, Any]] = [{"seq": event.seq, **event.document} for event in self.events]
        self.venue_orders = [
            VenueOrder("V1", str(ORDER), "filled", two, two, "AAPL", "BUY", "LIMIT", "DAY", limit_price=ten)
        ]
        self.venue_executions = [VenueExecution("V1", str(ORDER), two, two, ten, "AAPL", "BUY")]

    def compared(self) -> Comparison:
        ours = OurLedger(
            {order.id: order for order in (self.order, *self.others)}, self.fills, self.attempts, self.log,
            {TRADER: self.events}, {TRADER: self.account}, [self.position],
        )  # fmt: skip
        return compare(
            ours,
            VenueLedger(self.venue_orders, self.venue_executions),
            acknowledged=[self.promise],
            submissions={TRADER: self.submissions},
            deposits={TRADER: CASH},
            feeds=[ReceivedFeed(TRADER, 0, list(self.received))],
        )


def _at_venue(books: Books, venue_id: str, client_order_id: str, status: str, filled: int = 0) -> VenueOrder:
    """One more at the venue, with the terms of the first."""
    return replace(
        books.venue_orders[0], id=venue_id, client_order_id=client_order_id, status=status,
        filled_quantity=Decimal(filled),
    )  # fmt: skip


def _venue_order(books: Books, **other: Any) -> None:
    books.venue_orders = [replace(books.venue_orders[0], **other)]


def _twice_at_the_venue(books: Books) -> None:
    books.venue_orders.append(replace(books.venue_orders[0], id="V2", filled_quantity=Decimal(0)))


def _order(**other: Any) -> Callable[[Books], None]:
    def break_it(books: Books) -> None:
        books.order = replace(books.order, **other)

    return break_it


def _still_open(books: Books) -> None:
    books.order = replace(books.order, status="PARTIAL", execution_state="NEEDS_ATTENTION")


def _another_price(books: Books) -> None:
    books.venue_executions = [replace(books.venue_executions[0], price=Decimal("10.01"))]


def _gap_in_the_log(books: Books) -> None:
    del books.log[3]


def _gap_in_the_events(books: Books) -> None:
    books.account = replace(books.account, head_seq=3)


def _event_not_received(books: Books) -> None:
    del books.received[1]


def _event_received_twice(books: Books) -> None:
    books.received.append(books.received[1])


def _event_altered(books: Books) -> None:
    books.received[1] = books.received[1] | {"status": "REJECTED"}


def _cash_gone(books: Books) -> None:
    books.account = replace(books.account, cash=books.account.cash - Decimal("0.01"))


def _money_still_reserved(books: Books) -> None:
    books.account = replace(books.account, reserved=Decimal("0.01"))


def _shares_still_reserved(books: Books) -> None:
    books.position = replace(books.position, reserved_quantity=Decimal(1))


def _cost_basis_wrong(books: Books) -> None:
    books.position = replace(books.position, cost_basis=Decimal(19))


def _other_part(filled: int) -> Callable[[Books], None]:
    def break_it(books: Books) -> None:
        books.order = replace(books.order, other_venue_orders=["V2"])
        status = "filled" if filled else "canceled"
        books.venue_orders.append(_at_venue(books, "V2", "made by the venue", status, filled))

    return break_it


def _part_that_we_do_not_know(books: Books) -> None:
    books.venue_orders.append(_at_venue(books, "V2", f"{ORDER}-1", "canceled"))


def _between_terms(end: str, known: str = "V1") -> Callable[[Books], None]:
    """Cancelled at the venue so that it could get other terms, and ended here before it stood there with them."""

    def break_it(books: Books) -> None:
        books.order = replace(
            books.order, status=end, filled_quantity=Decimal(0), venue_order_id=None, other_venue_orders=[known]
        )
        books.venue_orders = [_at_venue(books, "V1", str(ORDER), "canceled")]
        books.fills.clear()
        books.venue_executions.clear()
        books.account = replace(books.account, cash=CASH)
        books.position = replace(books.position, quantity=Decimal(0), cost_basis=Decimal(0))

    return break_it


def _execution(**other: Any) -> Callable[[Books], None]:
    def break_it(books: Books) -> None:
        books.venue_executions = [replace(books.venue_executions[0], **other)]

    return break_it


def _pair(**other: Any) -> Callable[[Books], None]:
    """Both exits as one order of ours; of the stop at the venue this is other."""

    def make_it(books: Books) -> None:
        books.order = replace(books.order, parent_id=OTHER, stop_loss=NINE, other_venue_orders=["V2"])
        stop = _at_venue(books, "V2", "made by the venue", "canceled")
        stop = replace(stop, order_type="STOP", limit_price=None, stop_price=NINE, parent_id="V1")
        books.venue_orders.append(replace(stop, **other))

    return make_it


def _pair_without_its_stop(books: Books) -> None:
    books.order = replace(books.order, parent_id=OTHER, stop_loss=NINE)


def _submissions(*submissions: Submission) -> Callable[[Books], None]:
    """The client asked like this, and was told nothing but this."""

    def make_it(books: Books) -> None:
        books.submissions = list(submissions)

    return make_it


SILENT = Submission("K", silences=1)
REFUSED = Submission("K", is_over=True)


def _second(*submissions: Submission, **other: Any) -> Callable[[Books], None]:
    """The first answer was lost, and the request sent again has made a second order."""

    def make_it(books: Books) -> None:
        books.submissions = list(submissions)
        books.others = [replace(books.order, id=OTHER, **other)]

    return make_it


def _entry(bought: str = "2", given: str = "2", **exit_of_it: Any) -> Callable[[Books], None]:
    """Our order wanted both exits and got one for what it bought; of that one this is other. `given`: as we say it."""

    def make_it(books: Books) -> None:
        books.order = replace(
            books.order, stop_loss=NINE, take_profit=Decimal(11), created_at=NOW, closed_at=NOW,
            filled_quantity=Decimal(bought), covered_quantity=Decimal(given),
        )  # fmt: skip
        pair = replace(
            books.order, id=EXIT, parent_id=ORDER, side="SELL", order_type="LIMIT", price=Decimal(11),
            take_profit=None, time_in_force="GTC", status="CANCELLED", filled_quantity=Decimal(0), venue_order_id=None,
            covered_quantity=Decimal(0),
        )  # fmt: skip
        books.others = [replace(pair, **exit_of_it)]

    return make_it


def _without_exit(books: Books) -> None:
    _entry()(books)
    books.others.clear()


def _exits_of_no_entry(books: Books) -> None:
    _entry()(books)
    books.order = replace(books.order, stop_loss=None, take_profit=None)


def _sale(at: datetime = NOW, **other: Any) -> Callable[[Books], None]:
    """The entry's exit is for one share less, because the trader was selling one by hand."""

    def make_it(books: Books) -> None:
        _entry(quantity=Decimal(1))(books)
        sale = replace(books.others[0], id=UUID(int=5), parent_id=None, stop_loss=None, created_at=at, closed_at=at)
        books.others.append(replace(sale, **other))

    return make_it


def _replaced(quantity: Decimal = Decimal(1), **first: Any) -> Callable[[Books], None]:
    """One was executed for 11 dollars before it got other terms; `quantity` is what the second was opened for."""

    def make_it(books: Books) -> None:
        one = Decimal(1)
        books.order = replace(
            books.order, replacements=1, filled_before=one, venue_order_id="V2", other_venue_orders=["V1"]
        )
        books.promise = replace(books.promise, wanted=((TWO, TEN),))
        second = replace(_at_venue(books, "V2", f"{ORDER}-1", "filled", 1), quantity=quantity)
        before = replace(books.venue_orders[0], status="canceled", filled_quantity=one, limit_price=Decimal(11))
        books.venue_orders = [replace(before, **first), second]

    return make_it


BREAKS: dict[str, Callable[[Books], None]] = {
    "lost": _order(id=OTHER),
    "lost, other terms": _order(quantity=Decimal(3)),
    "duplicated": _twice_at_the_venue,
    "lost, its stop loss": lambda books: setattr(books, "promise", replace(books.promise, stop_loss=NINE)),
    "lost, another time in force": _order(time_in_force="GTC"),
    "unasked": _submissions(),
    "unasked, of another key": _order(idempotency_key="L"),
    "unasked, refused by an answer": _submissions(REFUSED),
    "unasked, told another order": _submissions(Submission("K", OTHER, silences=1, is_over=True)),
    "unasked, a second of the key": _second(Submission("K", ORDER, silences=1, is_over=True)),
    "unasked, a second of a key that was sent twice at once": _second(Submission("K", ORDER, is_over=True), SILENT),
    "unasked, a second of a key without an answer": _second(SILENT),
    "unasked, a second of a key of its own": _second(
        Submission("K", ORDER, silences=1, is_over=True), idempotency_key="K again"
    ),
    "unknown": _still_open,
    "orphans": lambda books: _venue_order(books, client_order_id=str(OTHER)),
    "ghosts": lambda books: books.venue_orders.clear(),
    "overfilled, both parts of a pair": _other_part(2),
    "orphans, a replacement that we do not know": _part_that_we_do_not_know,
    "orphans, one between two terms that we do not know": _between_terms("CANCELLED", known="V7"),
    "overfilled": _order(filled_quantity=Decimal(3)),
    "wrong_ends": lambda books: _venue_order(books, status="canceled"),
    "wrong_ends, still open at the venue": lambda books: _venue_order(books, status="new"),
    "wrong_terms, symbol": lambda books: _venue_order(books, symbol="KO"),
    "wrong_terms, side": lambda books: _venue_order(books, side="SELL"),
    "wrong_terms, type": lambda books: _venue_order(books, order_type="STOP"),
    "wrong_terms, quantity": lambda books: _venue_order(books, quantity=THREE),
    "wrong_terms, limit": lambda books: _venue_order(books, limit_price=Decimal("10.01")),
    "wrong_terms, trigger": lambda books: _venue_order(books, stop_price=TEN),
    "wrong_terms, time in force": lambda books: _venue_order(books, time_in_force="GTC"),
    "wrong_terms, a market order without its bound": _order(order_type="MARKET", price=None),
    "wrong_terms, a replacement for the whole": _replaced(quantity=TWO),
    "wrong_terms, another side before it was replaced": _replaced(side="SELL"),
    "wrong_terms, a stop loss elsewhere": _pair(stop_price=Decimal(8)),
    "wrong_terms, a stop loss for less": _pair(quantity=Decimal(1)),
    "wrong_terms, no stop loss": _pair_without_its_stop,
    "unprotected": _without_exit,
    "unprotected, exits for less": _entry(quantity=Decimal(1)),
    "unprotected, exits for more": _entry(quantity=THREE),
    "unprotected, not given to exits": _entry(given="1"),
    "unprotected, not a whole unit is left out": _entry(bought="1.5", given="0.5", quantity=Decimal("0.5")),
    "unprotected, the other way": _entry(side="BUY"),
    "unprotected, another take profit": _entry(price=Decimal(12)),
    "unprotected, another stop loss": _entry(stop_loss=Decimal(8)),
    "unprotected, for the day only": _entry(time_in_force="DAY"),
    "unprotected, exits that nobody asked for": _exits_of_no_entry,
    "unprotected, a sale of another symbol took none of it": _sale(symbol="KO"),
    "unprotected, a sale of long before took none of it": _sale(at=NOW - timedelta(minutes=1)),
    "missing_fills, another symbol": _execution(symbol="KO"),
    "invented_fills, ours of another symbol": lambda books: books.fills.append(replace(books.fills.pop(), symbol="KO")),
    "invented_fills, another side": _execution(side="SELL"),
    "missing_fills": lambda books: books.fills.clear(),
    "invented_fills": lambda books: books.venue_executions.clear(),
    "missing_fills, another price": _another_price,
    "wrong_books": _cash_gone,
    "wrong_books, money reserved": _money_still_reserved,
    "wrong_books, shares reserved": _shares_still_reserved,
    "wrong_books, cost basis": _cost_basis_wrong,
    "audit_gaps": _gap_in_the_log,
    "audit_gaps, attempt": lambda books: books.attempts.clear(),
    "audit_gaps, last hash": _order(log_hash=HASHES[4]),
    "event_gaps": _gap_in_the_events,
    "missing_events": _event_not_received,
    "missing_events, altered": _event_altered,
    "repeated_events": _event_received_twice,
    "alarms": _order(alarm_code="OVERFILL"),
}


def test_ledgers_that_agree_are_found_to_agree() -> None:
    comparison = Books().compared()
    assert comparison.differences == []
    assert comparison.holds
    assert (comparison.orders, comparison.filled, comparison.fills, comparison.events) == (1, 1, 1, 2)


def test_a_pair_of_which_one_part_was_filled_and_the_other_cancelled_agrees() -> None:
    books = Books()
    _other_part(0)(books)
    assert books.compared().differences == []


def test_a_pair_whose_second_part_stands_for_it_agrees() -> None:
    """The venue named that part; the order is tied to it, and names the first one, which bears the order's name."""
    books = Books()
    named_by_us = books.order.venue_order_id
    assert named_by_us is not None
    books.order = replace(books.order, venue_order_id="V2", other_venue_orders=[named_by_us])
    books.venue_orders.append(_at_venue(books, "V2", "made by the venue", "canceled"))
    assert not {"orphans", "wrong_ends", "missing_fills", "invented_fills"} & set(books.compared().counters())


@pytest.mark.parametrize(
    ("order_type", "price", "bound", "sent"),
    [("MARKET", None, None, ("MARKET", None, None)), ("MARKET", None, TEN, ("LIMIT", TEN, None)),
     ("STOP", NINE, None, ("STOP", None, NINE)), ("STOP", NINE, TEN, ("STOP_LIMIT", TEN, NINE))],
)  # fmt: skip
def test_an_order_with_a_bound_stands_at_the_venue_as_a_limit_at_it(
    order_type: str, price: Decimal | None, bound: Decimal | None, sent: tuple[str, Decimal | None, Decimal | None]
) -> None:
    books = Books()
    _order(order_type=order_type, price=price, price_bound=bound)(books)
    _venue_order(books, order_type=sent[0], limit_price=sent[1], stop_price=sent[2])
    assert "wrong_terms" not in books.compared().counters()


@pytest.mark.parametrize("make", [_pair(), _pair(quantity=Decimal(0)), _replaced()])
def test_a_pair_or_a_replacement_with_our_terms_agrees(make: Callable[[Books], None]) -> None:
    """A stop that was triggered takes over what the take profit has left; the second order is for what is left."""
    books = Books()
    make(books)
    assert "wrong_terms" not in books.compared().counters()


@pytest.mark.parametrize("make", [_entry(), _entry(bought="2.5", given="2"), _sale()])
def test_exits_for_all_whole_units_that_were_still_there_agree(make: Callable[[Books], None]) -> None:
    """A fraction stays unprotected; what was sold by hand, or held back for it, before the entry ended needs none."""
    books = Books()
    make(books)
    assert "unprotected" not in books.compared().counters(), books.compared().differences


@pytest.mark.parametrize(
    ("submissions", "unheard"),
    [((SILENT,), 1), ((replace(SILENT, is_over=True),), 1), ((Submission("K"),), 1), ((REFUSED, SILENT), 1),
     ((Submission("K", ORDER, is_over=True), REFUSED), 0)],
)  # fmt: skip
def test_an_order_whose_client_heard_no_answer_or_a_refusal_after_none_is_counted_and_no_difference(
    submissions: tuple[Submission, ...], unheard: int
) -> None:
    """As is one that was sent twice at once, where one of both was refused."""
    books = Books()
    _submissions(*submissions)(books)
    comparison = books.compared()
    assert comparison.differences == []
    assert comparison.unheard == unheard


@pytest.mark.parametrize("end", ["CANCELLED", "REJECTED"])
def test_an_order_that_ended_between_its_old_terms_and_its_new_ones_agrees(end: str) -> None:
    books = Books()
    _between_terms(end)(books)
    assert set(books.compared().counters()) <= {"audit_gaps", "event_gaps"}, "those of the order that these books had"


@pytest.mark.parametrize(
    ("quantity", "price", "filled", "agrees"),
    [(TWO, TEN, 2, True), (THREE, NINE, 0, True), (THREE, TEN, 0, False), (TWO, Decimal(8), 0, False),
     (Decimal("2.5"), TEN, Decimal("2.5"), True), (Decimal(4), TEN, 4, False)],
)  # fmt: skip
def test_of_an_order_that_was_to_have_other_terms_either_may_have_won(
    quantity: Decimal, price: Decimal, filled: Decimal, agrees: bool
) -> None:
    books = Books()
    books.promise = replace(books.promise, wanted=((THREE, NINE),))
    books.order = replace(books.order, quantity=quantity, price=price, filled_quantity=Decimal(filled))
    assert ("lost" not in books.compared().counters()) == agrees


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_counted_and_said(broken: str) -> None:
    books = Books()
    BREAKS[broken](books)
    comparison = books.compared()
    assert not comparison.holds
    assert comparison.counters().get(broken.partition(",")[0], 0) >= 1, comparison.differences
    assert comparison.differences
