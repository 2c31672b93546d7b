"""The states of an order and the one table that says how they change.

`status` is what the trader owns (how much of the order happened), `execution_state` is where the order is on its way.

| execution_state | meaning | who moves it on | what a crash leaves behind |
|---|---|---|---|
| QUEUED | accepted, nothing was sent | a worker that claims it | a due time; the sweeper enqueues it again |
| SENDING | a request may be on the wire | its sender, or the venue's stream | a lease that runs out; then it is asked |
| IN_DOUBT | an attempt ended without a definite answer | a worker that asks the venue | a due time |
| WORKING | live at the venue | the venue's stream, or a look-up on a timer | a due time |
| CANCELLING | a cancel is wanted, the venue has not decided | a worker that cancels or asks | a due time |
| NEEDS_ATTENTION | retries are spent; the venue is still asked | a person, or the venue's word | a due time |
| CLOSED | ended: FILLED, REJECTED or CANCELLED | nobody; a late fill is recorded | nothing to do |
"""

from __future__ import annotations

from enum import StrEnum

from app.domain import order_events as happened
from app.domain.order_events import OrderEvent


class OrderStatus(StrEnum):
    """How much of the order has happened."""

    PENDING = "PENDING"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


class ExecutionState(StrEnum):
    """Where the order is on its way; see the table in this module's docstring."""

    QUEUED = "QUEUED"
    SENDING = "SENDING"
    IN_DOUBT = "IN_DOUBT"
    WORKING = "WORKING"
    CANCELLING = "CANCELLING"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    CLOSED = "CLOSED"


S = ExecutionState


class ImpossibleChange(Exception):
    """An event that cannot happen to an order in this state: our fault, never the venue's."""


TRANSITIONS: dict[tuple[ExecutionState, type[OrderEvent]], ExecutionState] = {
    # -- our own intents ---------------------------------------------------------------------------------------------
    (S.QUEUED, happened.SendStarted): S.SENDING,
    (S.IN_DOUBT, happened.SendStarted): S.SENDING,
    # the sender died, its lease ran out, the venue was asked and does not know the order
    (S.SENDING, happened.SendStarted): S.SENDING,
    (S.SENDING, happened.OutcomeLost): S.IN_DOUBT,
    # asking failed once more: the doubt stays, one retry is spent
    (S.IN_DOUBT, happened.OutcomeLost): S.IN_DOUBT,
    (S.IN_DOUBT, happened.RetriesSpent): S.NEEDS_ATTENTION,
    (S.NEEDS_ATTENTION, happened.RetryRequested): S.IN_DOUBT,
    (S.NEEDS_ATTENTION, happened.Abandoned): S.CANCELLING,
    (S.SENDING, happened.CancelWanted): S.CANCELLING,
    (S.IN_DOUBT, happened.CancelWanted): S.CANCELLING,
    (S.WORKING, happened.CancelWanted): S.CANCELLING,
    (S.NEEDS_ATTENTION, happened.CancelWanted): S.CANCELLING,
    # -- the venue has the order ---------------------------------------------------------------------------------------
    (S.SENDING, happened.VenueAccepted): S.WORKING,
    (S.IN_DOUBT, happened.VenueAccepted): S.WORKING,
    (S.NEEDS_ATTENTION, happened.VenueAccepted): S.WORKING,
    # a cancel was wanted while nobody knew whether the venue had it; the wish is repeated right after
    (S.CANCELLING, happened.VenueAccepted): S.WORKING,
    # our database was restored from a backup older than the send
    (S.QUEUED, happened.VenueAccepted): S.WORKING,
    # -- other terms: the wish changes no state, its carrying out makes an order that has not been sent ----------------
    (S.SENDING, happened.AmendWanted): S.SENDING,
    (S.IN_DOUBT, happened.AmendWanted): S.IN_DOUBT,
    (S.WORKING, happened.AmendWanted): S.WORKING,
    # nobody asks for it; what was replaced was executed after its end, so what may stand is for too much
    (S.NEEDS_ATTENTION, happened.AmendWanted): S.NEEDS_ATTENTION,
    # nothing was sent yet
    (S.QUEUED, happened.Amended): S.QUEUED,
    # the venue has cancelled what stood there; `Order.apply` closes the order when nothing is left
    (S.WORKING, happened.Amended): S.QUEUED,
    # the venue is proven not to have it: what goes out instead has the new terms
    (S.SENDING, happened.Amended): S.QUEUED,
    (S.IN_DOUBT, happened.Amended): S.QUEUED,
    # -- executions: `Order.apply` closes the order when it is complete ------------------------------------------------
    (S.WORKING, happened.Filled): S.WORKING,
    (S.CANCELLING, happened.Filled): S.CANCELLING,
    # a venue order that was replaced away had executed more than it said when it ended
    (S.QUEUED, happened.Filled): S.QUEUED,
    (S.SENDING, happened.Filled): S.SENDING,
    (S.IN_DOUBT, happened.Filled): S.IN_DOUBT,
    (S.NEEDS_ATTENTION, happened.Filled): S.NEEDS_ATTENTION,
    # a fill that overtook the cancel or rejection, or was reported after the end
    (S.CLOSED, happened.Filled): S.CLOSED,
    # -- ends ----------------------------------------------------------------------------------------------------------
    # never sent: cancelled by the trader, past its deadline, halted
    (S.QUEUED, happened.Cancelled): S.CLOSED,
    (S.WORKING, happened.Cancelled): S.CLOSED,
    # also the proven absence of an order that the trader wanted cancelled
    (S.CANCELLING, happened.Cancelled): S.CLOSED,
    (S.SENDING, happened.Rejected): S.CLOSED,
    # the answer to an earlier attempt, found by asking
    (S.IN_DOUBT, happened.Rejected): S.CLOSED,
    (S.NEEDS_ATTENTION, happened.Rejected): S.CLOSED,
    # venues may reject after they accepted
    (S.WORKING, happened.Rejected): S.CLOSED,
    (S.CANCELLING, happened.Rejected): S.CLOSED,
}


def next_state(state: ExecutionState, event: OrderEvent) -> ExecutionState:
    """The state after `event`. Raises ImpossibleChange when the table has no such row."""
    try:
        return TRANSITIONS[state, type(event)]
    except KeyError:
        raise ImpossibleChange(f"{type(event).__name__} cannot happen to an order that is {state}") from None
