"""What must hold: safety after every step that changed a ledger, equality of both ledgers in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from app.domain.audit_chain import GENESIS, link
from app.domain.money import ZERO
from app.domain.venue_answers import VenueOrderStatus
from app.storage.order_events import numbered
from proofs.fake_venue import FakeOrder, FakeVenue
from proofs.simulation.clients import Acknowledged
from proofs.simulation.history import short
from proofs.simulation.processes import Clock
from proofs.simulation.tables import Record, Tables
from proofs.terms import as_sent

UUID_LENGTH = 36
"""Of a client order id, so much is our order's id; a replacement's goes on with its number."""
HORIZON = timedelta(minutes=2)
"""An open order is looked at again within this time: leases, retries and looks are all shorter."""
ALARMS = frozenset({
    "OVERFILL", "NOT_BOOKABLE", "FILL_CONTRADICTS", "TERMS_DIFFER", "FOREIGN_REPORT", "FOREIGN_FILL",
    "SECOND_VENUE_ORDER", "LIVE_AFTER_END", "LATE_FILL", "MISSING_AT_VENUE", "PRICE_BEYOND_LIMIT",
})  # fmt: skip
"""Alarms that a venue which keeps its promises never gives cause for."""


@dataclass(frozen=True)
class Violation:
    """A rule that did not hold, with the numbers."""

    rule: str
    sentence: str


class Broken(Exception):
    """Ends the run: what follows a violation proves nothing."""


class Oracle:
    """Reads the tables and the venue's ledger; writes nothing."""

    def __init__(self, tables: Tables, venue: FakeVenue, acknowledged: Acknowledged, clock: Clock) -> None:
        self.violations: list[Violation] = []
        self._tables, self._venue, self._acknowledged, self._clock = tables, venue, acknowledged, clock
        self._cash = {trader_id: account["cash"] for trader_id, account in tables.accounts.items()}
        self._held = {key: position["quantity"] for key, position in tables.positions.items()}
        self._attempted: dict[UUID, int] = {}
        self._verified: dict[UUID, int] = {}
        self._published: dict[UUID, set[int]] = {}
        self._seen = 0
        self._theirs: defaultdict[str, list[FakeOrder]] = defaultdict(list)

    def broken(self, rule: str, sentence: str) -> None:
        self.violations.append(Violation(rule, sentence))

    # -- after every step ----------------------------------------------------------------------------------------------

    def look_at_commit(self) -> None:
        """What the last commit changed."""
        traders = set()
        for order_id in sorted(self._tables.touched):
            self.look_at_order(order_id)
            traders.add(self._tables.orders[order_id]["trader_id"])
        self._tables.touched.clear()
        for trader_id in sorted(traders):
            self._books(trader_id)

    def look_at_order(self, order_id: UUID) -> None:
        """Our row against the venue's ledger."""
        order = self._tables.orders.get(order_id)
        theirs = self._at_venue(order_id)
        if order is None:
            self.broken("attempt row before send", f"the venue has {short(order_id)}, which we do not know")
            return
        self._once(order_id, theirs)
        self._terms(order, theirs)
        filled = sum((each.filled for each in theirs), ZERO)
        if filled > order["quantity"]:
            self.broken("executed <= ordered", f"{filled} executed of {order['quantity']} ({short(order_id)})")
        if order["filled_quantity"] > filled:
            self.broken("no invented fill", f"{order['filled_quantity']} booked, {filled} executed ({short(order_id)})")
        if order["execution_state"] == "CLOSED":
            self._ended(order, theirs)
        elif order["due_at"] is None or order["due_at"] > self._clock.now() + HORIZON:
            self.broken("I2", f"order {short(order_id)} is {order['execution_state']} and due {order['due_at']}")
        self._attempts(order)
        if order["side"] == "SELL":
            self._never_oversold(order)
        for code in ALARMS.intersection((order["alarm_code"] or "").split(",")):
            self.broken(f"alarm {code}", f"order {short(order_id)} carries {code}, though the venue kept its word")
        self._chain(order)

    def _at_venue(self, order_id: UUID) -> Sequence[FakeOrder]:
        """The venue's orders that belong to one of ours: replacements and both exits of a pair included."""
        for order in self._venue.ledger[self._seen :]:
            self._theirs[order.ordered_as[:UUID_LENGTH]].append(order)
        self._seen = len(self._venue.ledger)
        return self._theirs[str(order_id)]

    def _once(self, order_id: UUID, theirs: Sequence[FakeOrder]) -> None:
        """One request of a client order id executes, and one of all replacements is alive; a pair of exits is one."""
        executed = [
            each for each in theirs
            if each.profit is None and (_lives(each) or each.executions or (each.leg is not None and _lives(each.leg)))
        ]  # fmt: skip
        alive = {each.ordered_as for each in theirs if _lives(each)}
        if len(executed) > len({each.ordered_as for each in executed}) or len(alive) > 1:
            names = ", ".join(f"{each.venue_order_id} ({each.status}, {each.filled} filled)" for each in executed)
            self.broken("never twice", f"order {short(order_id)} is at the venue as {names}")

    def _terms(self, order: Record, theirs: Sequence[FakeOrder]) -> None:
        """What stands at the venue is what was ordered; what was replaced away was looked at while it stood there."""
        number = order["replacements"]
        client_order_id = f"{order['id']}-{number}" if number else str(order["id"])
        kind, limit, stop = as_sent(order["order_type"], order["price"], order["price_bound"])
        # both exits of a pair: the venue gets the stop loss along with the take profit
        or_stop = order["stop_loss"] if order["parent_id"] is not None else None
        ours = (
            order["symbol"], order["side"], kind, order["quantity"] - order["filled_before"], limit, stop, or_stop,
            order["time_in_force"],
        )  # fmt: skip
        for each in theirs:
            sent = each.instruction
            if each.profit is not None or sent.client_order_id != client_order_id:
                continue
            said = (
                sent.symbol, sent.side, sent.order_type, sent.quantity, sent.limit_price, sent.stop_price,
                sent.or_stop_price, sent.time_in_force,
            )  # fmt: skip
            if said != ours:
                self.broken("terms", f"{short(order['id'])} is {ours} and {each.venue_order_id} was sent as {said}")

    def _never_oversold(self, order: Record) -> None:
        """What stands at the venue to be sold is held: an exit never sells beyond the position."""
        trader_id, symbol = order["trader_id"], order["symbol"]
        held, selling = self._held[trader_id, symbol], ZERO
        for other in self._tables.orders.values():
            if (other["trader_id"], other["symbol"]) != (trader_id, symbol):
                continue
            for each in self._at_venue(other["id"]):
                held += each.filled if other["side"] == "BUY" else -each.filled
                if other["side"] == "SELL" and _lives(each) and not (each.profit and _lives(each.profit)):
                    selling += each.leaves
        if held < selling:
            self.broken("never oversold", f"{selling} {symbol} stand at the venue to be sold, {held} are held")
        if order["parent_id"] is not None:
            entry = self._tables.orders[order["parent_id"]]
            exits = sum(each["quantity"] for each in self._tables.orders.values() if each["parent_id"] == entry["id"])
            if exits > entry["filled_quantity"]:
                self.broken(
                    "never oversold", f"exits for {exits} of {short(entry['id'])}, {entry['filled_quantity']} bought"
                )

    def _attempts(self, order: Record) -> None:
        """I4: when an attempt was committed, nothing forbade it."""
        number = order["attempts"]
        if number == self._attempted.get(order["id"], 0):
            return
        self._attempted[order["id"]] = number
        if order["cancel_requested_at"] is not None:
            self.broken("I4", f"attempt {number} of {short(order['id'])} began although a cancel was wanted")
        if order["amend_requested_at"] is not None:
            self.broken("I4", f"attempt {number} of {short(order['id'])} began on terms that were wanted no more")
        if self._tables.active_halt(order["trader_id"], order["symbol"]) is not None:
            self.broken("I4", f"attempt {number} of {short(order['id'])} began although trading is halted")
        if (order["id"], "SUBMIT", number) not in self._tables.attempts:
            self.broken("I4", f"attempt {number} of {short(order['id'])} has no row")

    def _ended(self, order: Record, theirs: Sequence[FakeOrder]) -> None:
        name = short(order["id"])
        alive = [each for each in theirs if each.status is VenueOrderStatus.WORKING]
        if alive:
            self.broken("I7", f"{name} has ended ({order['status']}), {alive[0].venue_order_id} lives at the venue")
        executed = sum((each.filled for each in theirs), ZERO)
        if executed != order["filled_quantity"]:
            self.broken("I7", f"{name} has ended with {order['filled_quantity']} filled, the venue says {executed}")
        is_entry = order["parent_id"] is None and (order["stop_loss"] or order["take_profit"])
        if is_entry and order["covered_quantity"] != order["filled_quantity"]:
            self.broken("exits", f"{name} bought {order['filled_quantity']}, exits got {order['covered_quantity']}")
        before = order["attempts_before"]
        if order["venue_order_id"] is not None or order["attempts"] == before:
            return
        if any(each.status is VenueOrderStatus.REJECTED for each in theirs):
            return
        outcomes = {
            row["outcome"] for (owner, kind, number), row in self._tables.attempts.items()
            if owner == order["id"] and kind == "SUBMIT" and number > before
        }  # fmt: skip
        if outcomes == {"REFUSED"}:
            return
        if None in outcomes:
            self.broken("I7", f"{name} has ended, but one of its senders may still send")
        needed = self._venue.capabilities.not_founds_needed
        if order["not_founds"] < needed:
            self.broken("I7", f"{name} has ended without evidence: {order['not_founds']} misses of {needed}")

    def _chain(self, order: Record) -> None:
        chain = self._tables.logs[order["id"]]
        place = self._verified.get(order["id"], 0)
        head = chain[place - 1]["hash"] if place else GENESIS
        for row in chain[place:]:
            encoding = row["encoding"].encode()
            if row["chain_seq"] != place + 1 or row["previous_hash"] != head or link(head, encoding) != row["hash"]:
                self.broken("audit chain", f"row {row['chain_seq']} of {short(order['id'])} does not follow")
            head, place = row["hash"], place + 1
        self._verified[order["id"]] = place
        if (order["log_seq"], order["log_hash"]) != (place, head):
            self.broken("audit chain", f"{short(order['id'])} says {order['log_seq']} rows, there are {place}")

    def _books(self, trader_id: UUID) -> None:
        """I11: money and positions are what fills and open orders say."""
        mine = [order for order in self._tables.orders.values() if order["trader_id"] == trader_id]
        fills = [fill for fill in self._tables.fills.values() if fill["trader_id"] == trader_id]
        cash = self._cash[trader_id]
        held = {symbol: size for (who, symbol), size in self._held.items() if who == trader_id}
        filled: dict[UUID, Decimal] = {}
        for fill in fills:
            quantity = fill["quantity_filled"] if fill["side"] == "BUY" else -fill["quantity_filled"]
            cash -= quantity * fill["price_at_fill"] + fill["commission"]
            held[fill["symbol"]] = held.get(fill["symbol"], ZERO) + quantity
            filled[fill["order_id"]] = filled.get(fill["order_id"], ZERO) + fill["quantity_filled"]
        reserved, selling = ZERO, dict.fromkeys(held, ZERO)
        for order in mine:
            if order["filled_quantity"] != filled.get(order["id"], ZERO):
                sentence = f"{order['filled_quantity']} filled, its fills say {filled.get(order['id'])}"
                self.broken("I6", f"{short(order['id'])}: {sentence}")
            leaves = order["quantity"] - order["filled_quantity"]
            if order["execution_state"] == "CLOSED":
                continue
            # with other terms wanted, the dearer of both is held back
            wanted = order["amend_requested_at"] is not None
            then = max((order["amend_quantity"] or order["quantity"]) - order["filled_quantity"], ZERO)
            if order["side"] == "BUY":
                now = leaves * order["reservation_price"]
                reserved += max(now, then * order["amend_reservation_price"]) if wanted else now
            else:
                selling[order["symbol"]] += max(leaves, then) if wanted else leaves
        account = self._tables.accounts[trader_id]
        if (account["cash"], account["reserved"]) != (cash, reserved):
            self.broken("I11", f"cash {account['cash']} and reserved {account['reserved']}, not {cash} and {reserved}")
        for (who, symbol), position in self._tables.positions.items():
            if who != trader_id:
                continue
            quantity, kept = position["quantity"], position["reserved_quantity"]
            if (quantity, kept) != (held[symbol], selling[symbol]):
                should = f"not {held[symbol]} ({selling[symbol]})"
                self.broken("I11", f"{quantity} {symbol} ({kept} reserved), {should}")

    def published(self, trader_id: UUID, events: Sequence[bytes]) -> None:
        """What was told to the feeds after a commit is what was committed, each once."""
        stored = self._tables.events[trader_id]
        seen = self._published.setdefault(trader_id, set())
        for event in events:
            seq = json.loads(event)["seq"]
            payload = stored[seq - 1]["payload"].encode() if seq <= len(stored) else b""
            if seq in seen or event != numbered(seq, payload):
                self.broken("I8", f"event {seq} was published, but is not what was committed under that number")
            seen.add(seq)

    # -- in the end ----------------------------------------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Whether every order has ended, here and there."""
        return all(order["execution_state"] == "CLOSED" for order in self._tables.orders.values()) and not any(
            order.status is VenueOrderStatus.WORKING for order in self._venue.ledger
        )

    def look_at_everything(self) -> None:
        """Both ledgers, execution by execution; every acknowledged order; the events; the chains."""
        for order in self._tables.orders.values():
            self.look_at_order(order["id"])
            if order["execution_state"] != "CLOSED":
                self.broken("liveness", f"{short(order['id'])} is still {order['execution_state']}")
            last = next(e for e in reversed(self._tables.events[order["trader_id"]]) if e["order_id"] == order["id"])
            told = json.loads(last["payload"])
            if (told["status"], told["execution_state"]) != (order["status"], order["execution_state"]):
                self.broken(
                    "I8", f"the last event of {short(order['id'])} says {told['status']}, not {order['status']}"
                )
        for trader_id in self._tables.accounts:
            self._books(trader_id)
            numbers = [event["seq"] for event in self._tables.events[trader_id]]
            if numbers != list(range(1, len(numbers) + 1)) or self._tables.heads[trader_id] != len(numbers):
                self.broken("I8", f"events are numbered {numbers}")
        for (_, key), order_id in self._acknowledged.by_key.items():
            if order_id not in self._tables.orders:
                self.broken("never lost", f"key {key} was answered with {short(order_id)}, which does not exist")
        self._executions()

    def _executions(self) -> None:
        """Each execution is one fill of ours, of the same order, instrument, side, quantity and price."""
        ours = {
            (identity[1], identity[2]): (
                fill["order_id"], fill["symbol"], fill["side"], fill["quantity_filled"], fill["price_at_fill"]
            )
            for identity, fill in self._tables.fills.items()
        }  # fmt: skip
        theirs = {
            (execution.venue_order_id, execution.cumulative_quantity): (
                UUID(order.ordered_as[:UUID_LENGTH]), order.instruction.symbol, order.instruction.side,
                execution.quantity, execution.price,
            )
            for order in self._venue.ledger for execution in order.executions
        }  # fmt: skip
        for identity in sorted(ours.keys() ^ theirs.keys()):
            side = "we lack" if identity in theirs else "we invented"
            self.broken("fills are equal", f"{side} the execution of {identity[0]} up to {identity[1]}")
        for identity in sorted(ours.keys() & theirs.keys()):
            if ours[identity] != theirs[identity]:
                what = f"the execution of {identity[0]} up to {identity[1]}"
                self.broken("fills are equal", f"{what} is {ours[identity]} here and {theirs[identity]} there")


def _lives(order: FakeOrder) -> bool:
    return order.status is VenueOrderStatus.WORKING
