"""Which fault strikes which request: scripted rules first, then the profile that was set at start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from simulator.fault_kinds import KINDS, LOOKUP, NONSENSE, OPERATIONS, STREAM
from simulator.fault_profiles import fate, parse_profile
from simulator.figures import now
from simulator.ledger import Ledger
from simulator.orders import Order, PlannedRejection

_CONTROL = "fault/"
_FILLS = ("fill", "partial_fill")


class FaultRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One scripted fault. Without `client_order_id` and `symbol` it strikes everything; `rate` is a probability.

    `times` bounds the requests that it strikes. Delays are seconds.
    """

    kind: str
    id: int = 0
    on: str | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    rate: float | None = None
    seed: int | None = None
    times: int | None = None
    seconds: float | None = None
    status: int | None = None
    code: int | None = None
    message: str | None = None
    after_accept: bool | None = None
    after_partial_fill: bool = False
    connection: bool = False
    hang_up_after: float | None = None
    megabytes: int = 10
    applied: int = 0
    made_at: datetime | None = None

    @property
    def operation(self) -> str:
        """The operation that the rule strikes."""
        return self.on or KINDS[self.kind].on

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self.times is not None and self.applied >= self.times

    def over(self, time: datetime) -> bool:
        """Whether the rule's `seconds` have passed since it was made; never without them."""
        if self.seconds is None or self.made_at is None:
            return False
        return time > self.made_at + timedelta(seconds=self.seconds)

    def delay(self, default: float) -> float:
        """The rule's `seconds`, or `default`."""
        return default if self.seconds is None else self.seconds

    def planned_rejection(self) -> PlannedRejection:
        """What a `reject_later` rule does to the order that it strikes."""
        return PlannedRejection(self.delay(0.2), self.message or "rejected by the venue", self.after_partial_fill)


class FaultError(ValueError):
    """A fault rule that cannot be; the text says why."""


def read_rule(body: Any) -> FaultRule:
    """A rule from decoded JSON. Raises FaultError."""
    try:
        rule = msgspec.convert(body, FaultRule)
    except msgspec.ValidationError as error:
        raise FaultError(str(error)) from error
    kind = KINDS.get(rule.kind)
    if kind is None:
        raise FaultError(f"unknown kind {rule.kind!r}; known are {', '.join(KINDS)}")
    if rule.on is not None and rule.on not in OPERATIONS:
        raise FaultError(f"unknown operation {rule.on!r}; known are {', '.join(OPERATIONS)}")
    if rule.on not in (None, kind.on) and not kind.anywhere:
        raise FaultError(f"{rule.kind} strikes {kind.on} only")
    if rule.on == STREAM and not (kind.on == STREAM or rule.kind in NONSENSE):
        raise FaultError(f"{rule.kind} cannot strike the stream")
    if rule.rate is not None and not 0 <= rule.rate <= 1:
        raise FaultError("rate must lie between 0 and 1")
    if rule.times is not None and rule.times < 1:
        raise FaultError("times must be at least 1")
    if rule.seconds is not None and not 0 <= rule.seconds <= 600:
        raise FaultError("seconds must lie between 0 and 600")
    if rule.times is None and rule.client_order_id is not None and kind.once:
        rule.times = 1
    return rule


class FaultBook:
    """The rules in force. Scripted rules survive a kill of the process; how often they struck too."""

    def __init__(self, ledger: Ledger, seed: int, profile: str) -> None:
        self._ledger = ledger
        self._seed = seed
        self._general: dict[int, FaultRule] = {}
        self._of_order: dict[str, dict[int, FaultRule]] = {}
        self._draws: dict[int, Random] = {}
        self._fates: dict[str, list[FaultRule]] = {}
        self._last_id = 0
        self.applied: Counter[str] = Counter()
        self.set_profile(profile)

    def load(self, controls: dict[str, Any]) -> None:
        """Takes up the rules that an earlier process was given."""
        for name, value in controls.items():
            if name.startswith(_CONTROL):
                self._last_id = max(self._last_id, int(name.removeprefix(_CONTROL)))
                if value is not None:
                    self._place(msgspec.convert(value, FaultRule))

    def set_profile(self, profile: str) -> None:
        """Random faults on a share of the orders, from now on. Raises ValueError."""
        self._share = parse_profile(profile)
        self._fates.clear()

    def add(self, rule: FaultRule) -> FaultRule:
        """Puts a rule into force, durably with the next commit."""
        self._last_id += 1
        rule.id = self._last_id
        rule.made_at = now()
        self._place(rule)
        self._ledger.put_control(f"{_CONTROL}{rule.id}", rule)
        return rule

    def _place(self, rule: FaultRule) -> None:
        if rule.client_order_id is None:
            self._general[rule.id] = rule
        else:
            self._of_order.setdefault(rule.client_order_id, {})[rule.id] = rule
        self._draws[rule.id] = Random(f"{self._seed if rule.seed is None else rule.seed}/{rule.id}")

    def remove(self, rule_id: int | None = None) -> int:
        """Removes one rule or all; returns how many."""
        doomed = [rule for rule in self.rules() if rule_id in (None, rule.id)]
        for rule in doomed:
            self._ledger.put_control(f"{_CONTROL}{rule.id}", None)
            if rule.client_order_id is None:
                del self._general[rule.id]
            else:
                del self._of_order[rule.client_order_id][rule.id]
            del self._draws[rule.id]
        return len(doomed)

    def rules(self) -> list[FaultRule]:
        """All scripted rules, oldest first."""
        of_orders = [rule for rules in self._of_order.values() for rule in rules.values()]
        return sorted([*self._general.values(), *of_orders], key=lambda rule: rule.id)

    def strike(
        self, operation: str, client_order_id: str | None, symbol: str | None, event: str | None = None
    ) -> FaultRule | None:
        """The fault that strikes this request (or stream event), counted as applied; None when it is spared."""
        for rule in self._candidates(operation, client_order_id, symbol):
            if rule.kind == "lookup_unknown_for" or not self._concerns(rule, client_order_id, event):
                continue
            self._count(rule)
            return rule
        return None

    def hides(self, order: Order) -> bool:
        """Whether look-ups do not know the order yet."""
        for rule in self._candidates(LOOKUP, order.client_order_id, order.symbol):
            if rule.kind != "lookup_unknown_for" or not self._concerns(rule, order.client_order_id, None):
                continue
            if now() < order.submitted_at + timedelta(seconds=rule.delay(3)):
                self._count(rule)
                return True
        return False

    def _candidates(self, operation: str, client_order_id: str | None, symbol: str | None) -> Iterator[FaultRule]:
        if client_order_id is not None and client_order_id in self._of_order:
            yield from self._fitting(list(self._of_order[client_order_id].values()), operation, symbol)
        if self._general:
            yield from self._fitting(list(self._general.values()), operation, symbol)
        if self._share and client_order_id is not None:
            yield from self._fitting(self._fate(client_order_id), operation, symbol)

    def _fitting(self, rules: list[FaultRule], operation: str, symbol: str | None) -> Iterator[FaultRule]:
        for rule in rules:
            if rule.operation == operation and not rule.spent and rule.symbol in (None, symbol):
                yield rule

    def _fate(self, client_order_id: str) -> list[FaultRule]:
        rules = self._fates.get(client_order_id)
        if rules is None:
            rules = [
                read_rule({"client_order_id": client_order_id} | rule)
                for rule in fate(self._share, self._seed, client_order_id)
            ]
            self._fates[client_order_id] = rules
        return rules

    def _concerns(self, rule: FaultRule, client_order_id: str | None, event: str | None) -> bool:
        if rule.kind == "stream_drop_fill" and event not in _FILLS:
            return False
        if rule.kind == "stream_silent" and rule.over(now()):
            return False
        if rule.rate is None:
            return True
        if KINDS[rule.kind].once:
            return self._draws[rule.id].random() < rule.rate
        # What strikes an order rather than a request must strike it again whenever it is looked at.
        seed = self._seed if rule.seed is None else rule.seed
        return Random(f"{seed}/{rule.id}/{client_order_id}").random() < rule.rate

    def _count(self, rule: FaultRule) -> None:
        rule.applied += 1
        self.applied[rule.kind] += 1
        if rule.id:
            self._ledger.put_control(f"{_CONTROL}{rule.id}", rule)
