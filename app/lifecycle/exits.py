"""Stop loss and take profit: what an entry has bought is given to exits, which stand at the venue until it is sold.

An exit is an order of ours with its entry as parent: it is written in the transaction that ends the entry, and from
then on goes the way of every order (attempt row before the wire, one client order id, the venue asked before anything
is repeated). Both exits together are one order: the venue gets them in one request, holds one cancelling the other, and
what either executes is the order's. So a pair reserves its shares once and can sell them once.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from app.domain.changes import Actor, LostRace, StoreRefused
from app.domain.order_events import Reason
from app.domain.order_states import ImpossibleChange
from app.domain.orders import POSITION_GONE
from app.lifecycle.cancel import request_cancel
from app.lifecycle.ports import Ports

log = logging.getLogger(__name__)

SWEEPER = Actor("sweeper")
WAITS = timedelta(seconds=2)
"""How soon an exit that may not be sent now (a halt, an instrument that does not trade) is looked at again."""
WAITS_FOR = frozenset({"HALT", "INSTRUMENT_NOT_TRADABLE"})
"""What keeps an exit back without ending it."""


def cancel_exits_without_position(ports: Ports) -> int:
    """Want exits cancelled that would sell more than is held; how many.

    An exit reserves what it sells, so this takes a position that changed by something else than an order: a trade that
    was taken back, a correction.
    """
    wanted = 0
    for order, held in ports.store.exits_beyond_position():
        if held <= 0:
            reason = Reason(POSITION_GONE, f"The position in {order.symbol} that it protected is gone.")
        else:
            reason = Reason(
                "POSITION_SHRANK", f"Only {held:f} {order.symbol} are left of the position that it protected."
            )
        try:
            request_cancel(ports, order.id, SWEEPER, reason=reason)
        except (LostRace, StoreRefused, ImpossibleChange):
            # one that is busy or cannot be changed must not hold the others up: it is found again at the next look
            log.exception("an exit could not be cancelled", extra={"order_id": str(order.id)})
        else:
            wanted += 1
    return wanted
