"""(compare): what the venue lists, against our books, in bulk.

The stream forgets, and whoever trades at the same account does not tell us. So after every connect of the stream and on
a timer the venue is asked for all that is open and for all that it has received lately: two requests, whatever the
number of orders, and a third where executions were missed. What it says is taken over as if it had been asked about
each order (I3, I6). An order that is not ours is an orphan: recorded in the audit log once, alarmed, never touched. One
that we believe to be live and that it does not list is asked about by itself: only that answer counts (I7).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID, uuid5

from app.domain.changes import ChainHead, LogEntry, NoSuchOrder
from app.domain.comparison import LIST_LAG, OurSide, differences
from app.domain.reconciliation import NOTHING_KNOWN, Known, are_complete
from app.domain.retry_policy import LATEST_LOOK, SOONEST_LOOK
from app.domain.venue_answers import NONSENSE, UNREADABLE, Execution, Found, OrderReport, OutcomeUnknown, PartOfList
from app.lifecycle.ports import Ports
from app.lifecycle.reconcile import recorded_executions, take_report
from app.lifecycle.record import chained
from app.venues.port import VenueLists

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=15)
WHILE_IN_DOUBT = timedelta(seconds=5)
"""How often while there are orders of which nobody knows whether the venue has them."""
OVERLAP = timedelta(minutes=1)
"""How far a list goes back behind the last one: more than clocks differ and lists lag."""
FIRST_LOOK = timedelta(hours=24)
"""How far back the first comparison of a process looks for orders that are not ours."""
FARTHEST = timedelta(days=7)
BEFORE_ACCEPTANCE = timedelta(minutes=5)
STRANGE_FOR = timedelta(seconds=10)
"""So long an order must have been nobody's before it is called an orphan."""

VENUE_CHAINS = UUID("0d3c0f6e-9a55-5c0a-8f3e-5b7f0a1c2d3e")
"""Namespace of the audit chains that belong to a venue and to no order."""
ORPHAN = "ORPHAN"


class VenueBooks(Protocol):
    """What the comparison reads and writes. Each method is one transaction."""

    def live(self, venue: str) -> Sequence[OurSide]:
        """Our orders that live at the venue by what we know."""
        ...

    def named(self, venue: str, reports: Sequence[OrderReport]) -> Sequence[OurSide]:
        """Our orders that these reports name, by either id."""
        ...

    def in_doubt(self, venue: str, since: datetime) -> bool:
        """Whether there are orders in doubt that have not changed since then."""
        ...

    def to_be_asked(self, order_ids: Sequence[UUID], now: datetime) -> int:
        """Make these orders due; how many were not."""
        ...

    def confirmed(self, order_ids: Sequence[UUID], now: datetime, soonest: timedelta, latest: timedelta) -> None:
        """Put off the next look at these: after half the time since their last change, within these bounds."""
        ...

    def add_orphans(
        self,
        chain_id: UUID,
        venue: str,
        orphans: Sequence[OrderReport],
        entry: Callable[[ChainHead, OrderReport], LogEntry],
    ) -> Sequence[OrderReport]:
        """Add a row to the venue's audit chain for each that has none and that no attempt of ours names; those."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """How many of what were found."""

    same: int
    news: int
    asked_about: int
    orphans: int


@dataclass(frozen=True, slots=True)
class _Listed:
    reports: Sequence[OrderReport]
    live: Sequence[OurSide]
    complete_until: datetime | None
    """Up to when every order that the venue has received was listed, now or before. None: none ever was."""
    is_whole: bool


@dataclass(frozen=True, slots=True)
class _Stranger:
    """Nobody's so far: an exit's sibling is named by the venue, and may be listed before we have heard of it.

    It is kept until it is judged, for what has ended may be listed but once.
    """

    report: OrderReport
    since: datetime
    pairs: frozenset[UUID]
    """Pairs of exits that do not know their other order and were listed with it: it may be one of theirs."""


class Comparison:
    """Compares one venue with our books. One instance per process: it remembers how far it has looked."""

    def __init__(self, ports: Ports, lists: VenueLists, books: VenueBooks) -> None:
        self._ports = ports
        self._lists = lists
        self._books = books
        self._complete_until: datetime | None = None
        self._asked_about: set[UUID] = set()
        self._unlisted_since: datetime | None = None
        # The oldest order of which the venue counts executions that it did not list, and about which asking would not
        # help: a part of it. So the next list has to name it again.
        self._failing = False
        self._is_behind = False
        self._strangers: dict[str, _Stranger] = {}
        self._asked_pairs: set[tuple[UUID, str]] = set()
        # Pairs of exits, each with a stranger that the venue does not count to it: some strangers stay for weeks.

    def in_doubt(self) -> bool:
        """Whether it ought to look sooner than on its timer."""
        return self._books.in_doubt(self._lists.name, self._ports.clock.now() - timedelta(seconds=2))

    def run_once(self, *, after_gap: bool = False) -> Compared | OutcomeUnknown:
        """Ask, compare, take over. `after_gap`: the stream was away, so where lists cannot be had, each order is asked
        about by itself."""
        asked_at = self._ports.clock.now()
        listed = self._listed(asked_at)
        if isinstance(listed, OutcomeUnknown):
            return self._impossible(listed, asked_at, after_gap=after_gap)
        reports, live = listed.reports, listed.live
        ours = self._books.named(self._lists.name, reports)
        found = differences(reports, ours, live, asked_at)
        by_id = {order.id: order for order in ours}
        executions, known = self._missed_executions(found.news, by_id)
        unlisted: list[datetime] = []
        for order_id, report in found.news:
            parts = [(each, executions.get(each.venue_order_id, ())) for each in (report, *report.legs)]
            missed = [execution for _, listed_of_it in parts for execution in listed_of_it]
            is_whole = all(are_complete(each, listed_of_it, known) for each, listed_of_it in parts)
            if not is_whole and not by_id[order_id].is_single:
                unlisted.append(by_id[order_id].created_at)
            try:
                take_report(self._ports, order_id, report, missed, asked_at - LIST_LAG)
            except NoSuchOrder:
                log.warning("an order that was just there is gone", extra={"order_id": str(order_id)})
        now = self._ports.clock.now()
        self._books.confirmed(found.same, now, SOONEST_LOOK, LATEST_LOOK)
        asked_about = self._books.to_be_asked(found.to_ask, now)
        self._asked_about = set(found.to_ask)
        if self._unlisted_since is not None and not listed.is_whole:
            unlisted.append(self._unlisted_since)
        self._unlisted_since = min(unlisted, default=None)
        orphans = self._report_orphans(found.orphans, ours, now, asked_at - LIST_LAG)
        self._complete_until, self._failing = listed.complete_until, False
        return Compared(len(found.same), len(found.news), asked_about, orphans)

    def _listed(self, asked_at: datetime) -> _Listed | OutcomeUnknown:
        open_orders = self._lists.open_orders()
        if isinstance(open_orders, OutcomeUnknown):
            return open_orders
        live = self._books.live(self._lists.name)
        are_open = {report.venue_order_id for report in open_orders}
        ended = [order for order in live if order.venue_order_id not in are_open and order.id not in self._asked_about]
        since = asked_at - FIRST_LOOK if self._complete_until is None else self._complete_until - OVERLAP
        missing = [order.created_at for order in ended]
        if self._unlisted_since is not None:
            missing.append(self._unlisted_since)
        farther = max(min([since, *(created_at - BEFORE_ACCEPTANCE for created_at in missing)]), asked_at - FARTHEST)
        recent = self._recent(farther, asked_at)
        if isinstance(recent, OutcomeUnknown):
            return recent
        reports = {report.venue_order_id: report for report in open_orders}
        reports.update((report.venue_order_id, report) for report in recent.reports)  # asked later
        return replace(recent, reports=list(reports.values()), live=live)

    def _recent(self, since: datetime, asked_at: datetime) -> _Listed | OutcomeUnknown:
        """What the venue has received from `since` on. Where that does not fit into one time-out, or breaks off: what
        was read of it, with the latest; the next comparison goes on from where it broke off."""
        listed = self._lists.orders(since)
        if not isinstance(listed, (PartOfList, OutcomeUnknown)):
            self._say_how_far(None)
            return _Listed(listed, (), asked_at, is_whole=True)
        why = listed.why if isinstance(listed, PartOfList) else listed
        if since >= asked_at - OVERLAP:
            return why
        latest = self._lists.orders(asked_at - OVERLAP)
        if isinstance(latest, PartOfList):
            return latest.why
        if isinstance(latest, OutcomeUnknown):
            return latest
        self._say_how_far(why)
        if isinstance(listed, OutcomeUnknown):
            return _Listed(latest, (), self._complete_until, is_whole=False)
        until = listed.until if self._complete_until is None else max(listed.until, self._complete_until)
        return _Listed([*listed.reports, *latest], (), until, is_whole=False)

    def _say_how_far(self, broke_off: OutcomeUnknown | None) -> None:
        if broke_off is not None and not self._is_behind:
            log.warning("the venue's orders are compared in parts: %s (%s)", broke_off.message, broke_off.code)
        self._is_behind = broke_off is not None

    def _missed_executions(
        self, news: Sequence[tuple[UUID, OrderReport]], ours: Mapping[UUID, OurSide]
    ) -> tuple[Mapping[str, Sequence[Execution]], Known]:
        """What the venue lists of what the news count, and what of them is recorded already."""
        filled = [
            (ours[order_id], each)
            for order_id, report in news
            for each in (report, *report.legs)
            if each.filled_quantity
        ]
        if not filled:
            return {}, {}
        known: dict[tuple[str, Decimal], Decimal] = {}
        for order_id in {order.id for order, _ in filled if order.filled_quantity}:
            known.update(self._recorded(order_id))
        since = min(order.created_at for order, _ in filled) - BEFORE_ACCEPTANCE
        executions = self._lists.executions_of([each for _, each in filled], since, known)
        if isinstance(executions, OutcomeUnknown):
            log.warning("the venue did not list executions: %s", executions.message)
            return {}, known  # the orders stay open until each was asked about; what was over is compared again
        return executions, known

    def _recorded(self, order_id: UUID) -> Known:
        try:
            return recorded_executions(self._ports, order_id)
        except NoSuchOrder:
            return NOTHING_KNOWN  # said where its report is taken over

    def _report_orphans(
        self, strangers: Sequence[OrderReport], ours: Sequence[OurSide], now: datetime, listed_after: datetime
    ) -> int:
        listed = {report.venue_order_id for report in strangers}
        pairs = [order for order in ours if _lacks_its_other_order(order)]
        before = self._strangers
        self._strangers = {}
        for report in (*strangers, *self._not_listed_again(before, listed, now)):
            known = before.get(report.venue_order_id) or _Stranger(report, now, frozenset())
            alike = {pair.id for pair in pairs if (pair.symbol, pair.side) == (report.symbol, report.side)}
            self._strangers[report.venue_order_id] = replace(known, report=report, pairs=known.pairs | alike)
        orphans = self._of_no_pair(
            [each for each in self._strangers.values() if now - each.since >= STRANGE_FOR], listed_after
        )
        for report in orphans:
            if report.venue_order_id not in listed:
                del self._strangers[report.venue_order_id]
        if not orphans:
            return 0
        venue = self._lists.name

        def entry(head: ChainHead, report: OrderReport) -> LogEntry:
            return chained(
                head,
                {
                    "id": self._ports.ids.new(),
                    "actor": "comparison",
                    "action": "ALARMED",
                    "symbol": report.symbol,
                    "side": report.side,
                    "quantity": report.quantity,
                    "filled_quantity": report.filled_quantity,
                    "venue": venue,
                    "venue_order_id": report.venue_order_id,
                    "error_code": ORPHAN,
                    "reason": "The venue has an order that is not ours; it is not touched.",
                    "details": json.dumps({"client_order_id": report.client_order_id, "status": report.raw_status}),
                    "timestamp": now,
                    "software_version": self._ports.software_version,
                },
            )

        new = self._books.add_orphans(uuid5(VENUE_CHAINS, venue), venue, orphans, entry)
        for report in new:
            log.error(
                "the venue has an order that is not ours; `flask --app app orphans` lists them",
                extra={"venue_order_id": report.venue_order_id, "client_order_id": report.client_order_id},
            )
        return len(new)

    def _not_listed_again(
        self, strangers: Mapping[str, _Stranger], listed: Set[str], now: datetime
    ) -> Sequence[OrderReport]:
        """Those that wait to be judged, are not in this list, and are still nobody's."""
        waiting = [each.report for name, each in strangers.items() if name not in listed]
        if not waiting:
            return []
        return differences(waiting, self._books.named(self._lists.name, waiting), [], now).orphans

    def _of_no_pair(self, strangers: Sequence[_Stranger], listed_after: datetime) -> list[OrderReport]:
        """Those that stay strangers once the venue was asked about pairs of exits that do not know their other order.

        The stream names a pair's orders one by one, and a list does not nest them: a pair that was over before its
        submit had an answer has never heard which stop was its own.
        """
        left = {each.report.venue_order_id: each for each in strangers}
        self._asked_pairs &= {(of, name) for name, each in self._strangers.items() for of in each.pairs}
        for of in sorted({of for each in strangers for of in each.pairs}):
            may_be_its = [
                name for name, each in left.items() if of in each.pairs and (of, name) not in self._asked_pairs
            ]
            if not may_be_its:
                continue
            answer = self._ports.venue_of(self._lists.name).find(str(of))
            if isinstance(answer, OutcomeUnknown):
                for name in may_be_its:
                    del left[name]  # the next comparison asks again
                continue
            self._asked_pairs.update((of, name) for name in may_be_its)
            if isinstance(answer, Found) and answer.report.legs:
                take_report(self._ports, of, answer.report, (), listed_after)
                left = {name: each for name, each in left.items() if name not in answer.report.ids}
        return [each.report for each in left.values()]

    def _impossible(self, why: OutcomeUnknown, now: datetime, *, after_gap: bool) -> OutcomeUnknown:
        if after_gap:
            self._ports.store.look_at_live_orders(now)
        if not self._failing:
            level = logging.ERROR if why.code in (NONSENSE, UNREADABLE) else logging.WARNING
            log.log(level, "the venue's orders cannot be compared: %s (%s) %s", why.message, why.code, why.evidence)
        self._failing = True
        return why


def _lacks_its_other_order(order: OurSide) -> bool:
    return order.is_pair and not order.other_venue_orders and order.venue_order_id is not None
