"""The safeguards of Surefill: how each is taken out of the source, and what must notice.

`make teeth` makes each change in a throw-away copy of the tree. Where the text is no longer there, it says so and
fails: a safeguard that was rewritten gets a new way of taking it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Safeguard:
    """One safeguard."""

    name: str
    keeps: str
    """What it keeps from happening."""
    file: str
    text: str
    without: str
    tests: tuple[str, ...] = ()
    """pytest's names of what must notice, besides or instead of the simulation."""
    seeds: int = 400
    """How many seeds of the simulation are tried; 0: the simulation cannot meet it, and `why` says why."""
    store: str = "memory"
    why: str = field(default="")


_WINDOWS = "tests/lifecycle/test_failure_windows.py"
_LOCKS = "tests/lifecycle/test_locks.py"
_CONTRADICTIONS = "tests/lifecycle/test_contradictions.py"
_EXITS = "tests/lifecycle/test_exits.py"
_COMPARING = "tests/lifecycle/test_comparing.py"

SAFEGUARDS: tuple[Safeguard, ...] = (
    Safeguard(
        "claim compare-and-set",
        "two workers working on one order at once (a message twice, early or late)",
        "app/lifecycle/advance.py",
        "    if (order.due_at is None or order.due_at > now + CLOCK_SLACK) and not sender_died(ports, order):",
        "    if False:",
        tests=("tests/lifecycle/test_failure_windows.py",),
        seeds=100,
        why="behind it stand the fence, the open attempts and the venue's own refusal",
    ),
    Safeguard(
        "fence on intents (I3)",
        "a worker that was overtaken acting on what it decided before",
        "app/lifecycle/reconcile.py",
        "        if held.order.fence != claimed.fence or held.order.is_closed:",
        "        if held.order.is_closed:",
        tests=(_CONTRADICTIONS, _WINDOWS),
    ),
    Safeguard(
        "a decision is dropped when more is known by then",
        "sending again, or alarming, when the venue's stream or a cancel came while the venue was asked",
        "app/lifecycle/reconcile.py",
        "        if _standing(held.order) != _standing(claimed):",
        "        if False:",
        tests=(_WINDOWS,),
    ),
    Safeguard(
        "attempt row before the send (I4)",
        "a request on the wire that nobody knows of after a crash",
        "app/lifecycle/send.py",
        """    record.attempt_started(
        AttemptStarted("SUBMIT", order.attempts, order.fence, order.client_order_id, ports.senders.me, record.now)
    )
""",
        "",
    ),
    Safeguard(
        "check at the send (I4)",
        "sending what was cancelled, halted or too late since it was accepted",
        "app/lifecycle/send.py",
        "    order = held.order\n    if order.cancel_requested_at is not None:",
        "    return None\n    order = held.order\n    if order.cancel_requested_at is not None:",
    ),
    Safeguard(
        "lease at the send",
        "a sender that was held up sending what others have decided about by now",
        "app/lifecycle/send.py",
        "        if order.due_at is not None and ports.clock.now() >= order.due_at:",
        "        if False:",
        tests=(_CONTRADICTIONS, _WINDOWS),
        seeds=100,
        why="it narrows a window that the open attempts close",
    ),
    Safeguard(
        "ask before sending again (FR-009, I5)",
        "sending again what the venue already has",
        "app/lifecycle/reconcile.py",
        "    answer = venue.find(claimed.client_order_id)",
        "    answer = __import__('app.domain.venue_answers', fromlist=['x']).NotFound()",
    ),
    Safeguard(
        "an error is not a miss (I5, I7)",
        "taking a failed look-up for the venue's word that it has no such order",
        "app/domain/reconciliation.py",
        "            return StillUnknown(Reason(code, message))",
        "            return _not_found(order, capabilities, now)",
    ),
    Safeguard(
        "in-flight bound (I5)",
        "sending again while the first request is still on its way",
        "app/domain/reconciliation.py",
        "        bound = order.send_ended_at + capabilities.max_in_flight",
        "        bound = order.send_ended_at",
    ),
    Safeguard(
        "sender proven ended (I5)",
        "sending again while an earlier sender may still wake up and send",
        "app/domain/reconciliation.py",
        "    elif not order.open_attempts and order.send_ended_at is not None:",
        "    elif order.send_ended_at is not None or (order := order.changed(send_ended_at=order.updated_at)):",
        seeds=1500,
    ),
    Safeguard(
        "misses in a row (I7)",
        "one wrong 'not found' ending or repeating an order",
        "app/domain/reconciliation.py",
        "    proven = not_founds >= capabilities.not_founds_needed",
        "    proven = out_of_flight",
        seeds=800,
    ),
    Safeguard(
        "uniqueness kinds (I5)",
        "trusting a venue to refuse what it would take as a new order",
        "app/domain/reconciliation.py",
        "    if capabilities.client_id_uniqueness is ClientIdUniqueness.PERMANENT or proven:",
        "    if True:",
    ),
    Safeguard(
        "a refused retry ends nothing yet",
        "ending an order whose first request is still in flight",
        "app/lifecycle/send.py",
        "            if number == order.attempts_before + 1:",
        "            if True:",
        seeds=800,
    ),
    Safeguard(
        "a known client id is known",
        "believing a venue's denial of an order that it has just said to have",
        "app/lifecycle/send.py",
        "                record.bookkeeping(client_id_known_at=record.now)",
        "                pass",
        tests=(_CONTRADICTIONS, _WINDOWS, "tests/domain/test_reconciliation.py"),
        seeds=200,
    ),
    Safeguard(
        "fill identity (I6)",
        "one execution booked twice",
        "app/domain/reconciliation.py",
        "    taken = dict(known)",
        "    taken: dict[tuple[str, Decimal], Decimal] = {}",
    ),
    Safeguard(
        "an end waits for its executions",
        "closing an order whose last fills are not booked",
        "app/domain/reconciliation.py",
        "    if recorded < report.total_filled or recorded",
        "    if recorded",
    ),
    Safeguard(
        "late fills are booked (I9)",
        "losing an execution that is reported after the end",
        "app/domain/reconciliation.py",
        "    if order.is_closed or is_part(order, report):",
        "    if order.is_closed:\n        return []\n    if is_part(order, report):",
        tests=(_CONTRADICTIONS, _WINDOWS),
        seeds=0,
        why="a venue that keeps its promises gives no cause for one",
    ),
    Safeguard(
        "old news of a rejected order",
        "an alarm, and a chase, when a rejection overtakes its acceptance",
        "app/lifecycle/send.py",
        "    if record.order.is_closed and record.order.venue_order_id is None:",
        "    if False:",
    ),
    Safeguard(
        "sweeper (I2)",
        "an order whose wake-up was lost staying where it is",
        "workers/sweeper.py",
        "        enqueued = sum(self._enqueue(order) for order in overdue + abandoned)",
        "        enqueued = len(overdue + abandoned) - len(overdue + abandoned)",
    ),
    Safeguard(
        "idempotent intake (I1)",
        "a repeated request becoming a second order, or no answer",
        "app/lifecycle/accept.py",
        "        if view.earlier is not None:",
        "        if view.earlier is not None and False:",
    ),
    Safeguard(
        "idempotency key in the database",
        "two requests with one key becoming two orders",
        "migrations/versions/0001_types_and_tables.sql",
        "  CONSTRAINT orders_idempotency UNIQUE (trader_id, idempotency_key),\n",
        "",
        tests=("tests/storage/test_table_rules.py",),
        seeds=0,
        why="the account's lock stands before it",
    ),
    Safeguard(
        "the order's row lock",
        "two decisions about one order at once",
        "app/storage/orders.py",
        "{SENDING_CHECKS} FROM orders o WHERE o.id = $1 FOR NO KEY UPDATE",
        "{SENDING_CHECKS} FROM orders o WHERE o.id = $1",
        tests=(_LOCKS,),
        seeds=0,
        why="the version stands behind it",
    ),
    Safeguard(
        "a stale write is refused",
        "a decision on an old reading overwriting a newer one",
        "migrations/versions/0001_triggers.sql",
        "  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN",
        "  IF false THEN",
        tests=("tests/storage/test_order_versions.py",),
        seeds=0,
        why="the row lock stands before it",
    ),
    Safeguard(
        "the account's lock (I11, I12)",
        "money moved on an old reading of the account",
        "app/storage/books.py",
        "WHERE id = $1 FOR NO KEY UPDATE)\n    FOR UPDATE",
        "WHERE id = $1 FOR NO KEY UPDATE)\n    ",
        tests=(_LOCKS,),
        seeds=0,
        why="the order's version stands behind it for one order, not for two of one trader",
    ),
    Safeguard(
        "the event counter's lock (I8)",
        "gaps, or numbers in another order than the commits",
        "app/storage/order_events.py",
        """UPDATE event_counters SET head_seq = head_seq + cardinality($3::text[]) WHERE trader_id = $1
        RETURNING head_seq""",
        """SELECT coalesce(max(seq), 0) + cardinality($3::text[]) AS head_seq FROM order_events
        WHERE trader_id = $1""",
        tests=(_LOCKS,),
        seeds=0,
        why="its statement is one message, which no schedule divides",
    ),
    Safeguard(
        "the halt gate",
        "an attempt that began unseen while trading was being halted",
        "app/storage/order_store.py",
        "[Call(halts.PASS_GATE)] if sending else []",
        "[]",
        tests=("tests/lifecycle/test_halts.py",),
        seeds=200,
    ),
    Safeguard(
        "replay on resume (I8)",
        "a client that comes back missing what happened meanwhile",
        "app/live/handshake.py",
        "    return credentials.last_seq",
        "    return head_seq",
        tests=("tests/live/test_connecting.py::test_a_connection_with_last_seq_begins_after_it",),
        seeds=0,
        why="the feed is outside the simulation",
    ),
    Safeguard(
        "the reservation is freed exactly (I11)",
        "money that stays reserved, or is spent twice",
        "app/lifecycle/record.py",
        "        self._changes.account, self._changes.position = booked.account, booked.position",
        "        self._changes.account, self._changes.position = "
        "__import__('dataclasses').replace(booked.account, reserved=account.reserved), booked.position",
    ),
    Safeguard(
        "other terms hold back the dearer (I11)",
        "money spent twice while the venue decides which terms an order has",
        "app/domain/orders.py",
        "        return max(held, self._amended_leaves * self.amend_reservation_price)",
        "        return held",
    ),
    Safeguard(
        "a replacement waits for the end of what it replaces",
        "two orders of one order's alive at the venue",
        "app/domain/reconciliation.py",
        " or not is_whole_end(order, report):",
        ":",
    ),
    Safeguard(
        "a replacement has a client order id of its own",
        "the venue refusing it, or answering about the one that it replaced",
        "app/domain/orders.py",
        """return f"{self.id}-{self.replacements}" if self.replacements else str(self.id)""",
        "return str(self.id)",
    ),
    Safeguard(
        "exits claim what they protect",
        "one purchase given to two exits",
        "app/lifecycle/record.py",
        "        self._changes.order = entry.watched(covered_quantity=entry.filled_quantity)\n",
        "",
        tests=(_EXITS,),
    ),
    Safeguard(
        "exits reserve what they sell (I11)",
        "the shares of an exit sold a second time",
        "app/lifecycle/record.py",
        "        self._changes.position = position.holding_back(quantity)",
        "        self._changes.position = position",
    ),
    Safeguard(
        "an exit needs its position at the send (I4)",
        "an exit that sells what is not held any more",
        "app/lifecycle/send.py",
        "    if order.is_exit and order.side is Side.SELL and (held.held_quantity or ZERO) < order.leaves_quantity:",
        "    if False:",
        tests=(_EXITS,),
        seeds=0,
        why="the reservation stands before it: only a correction of the position takes shares from an exit",
    ),
    Safeguard(
        "the stop loss of a pair is ours",
        "what a stop loss sells being nobody's",
        "app/lifecycle/listen.py",
        "            if ours is not None:",
        "            if False:",
        tests=(_EXITS,),
        seeds=0,
        why="who asks about the pair finds it too, seconds later",
    ),
    Safeguard(
        "an old attempt's refusal decides nothing",
        "the refusal of one request ending an order that another request has opened",
        "app/lifecycle/send.py",
        "            if not latest:\n                return Settled()\n            reason",
        "            reason",
        tests=(_CONTRADICTIONS,),
        seeds=800,
    ),
    Safeguard(
        "what cannot be true is alarmed",
        "a venue's nonsense that nobody hears of",
        "app/lifecycle/reconcile.py",
        "    record.alarm(nonsense.code, str(nonsense))\n    if nonsense.halts:",
        "    if nonsense.halts:",
        tests=(_COMPARING, _CONTRADICTIONS),
        seeds=0,
        why="a venue that keeps its promises gives no cause for one",
    ),
    Safeguard(
        "executed beyond its quantity: the trader is halted",
        "trading on while an order executes twice",
        "app/lifecycle/reconcile.py",
        "    if nonsense.halts:",
        "    if False:",
        tests=(_COMPARING, "tests/lifecycle/test_halts.py", _CONTRADICTIONS),
        seeds=0,
        why="a venue that keeps its promises gives no cause for it",
    ),
    Safeguard(
        "the comparison takes over what the lists say",
        "what the stream missed staying unknown until its order is due",
        "app/lifecycle/compare.py",
        "        for order_id, report in found.news:",
        "        for order_id, report in ():",
        tests=(_COMPARING,),
        seeds=0,
        why="each order is asked about by itself as well, later",
    ),
    Safeguard(
        "the comparison finds orphans",
        "an order of the venue's that nobody knows of",
        "app/lifecycle/compare.py",
        "        orphans = self._report_orphans(found.orphans, now)",
        "        orphans = 0",
        tests=(_COMPARING,),
        seeds=0,
        why="nobody else trades on the simulation's venue",
    ),
    Safeguard(
        "a comparison after each connect of the stream",
        "waiting for the timer with what was missed while the stream was away",
        "workers/listener.py",
        "            comparing.now()\n",
        "",
        tests=("tests/test_listener_process.py",),
        seeds=0,
        why="rounds belong to the listener's process",
    ),
    Safeguard(
        "comparisons on a timer",
        "trusting a stream that is silent",
        "workers/listener.py",
        "        if quiet > EVERY.total_seconds():\n            return True\n",
        "",
        tests=("tests/test_listener_process.py",),
        seeds=0,
        why="rounds belong to the listener's process",
    ),
    Safeguard(
        "a request under way is told from an outage",
        "500 for a request that met another of its account",
        "app/api/problems.py",
        "    app.register_error_handler(LostRace, _of_lost_race)\n",
        "",
        tests=("tests/api/test_outages.py::test_what_somebody_else_holds_is_told_and_nothing_is_stored",),
        seeds=0,
        why="HTTP is outside the simulation",
    ),
)
