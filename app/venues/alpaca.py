"""Alpaca Trading API v2, spoken by Alpaca's paper and live hosts and by Surefill's simulator.

What an answer means decides, not its number alone: only Alpaca's own JSON can refuse an order or deny knowing one.
A gateway's page with the same status, a time-out, a cut connection, a body about another order: the outcome is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import ParamSpec, TypeVar
from urllib.parse import quote

from app.domain.reconciliation import NOTHING_KNOWN, Known, are_complete
from app.domain.trading_session import MarketHours
from app.domain.venue_answers import (
    NONSENSE,
    UNREADABLE,
    Accepted,
    CancelAnswer,
    CancelTaken,
    Execution,
    Executions,
    ExecutionsAnswer,
    Found,
    LookupAnswer,
    NotFound,
    OrderInstruction,
    OrderReport,
    OutcomeUnknown,
    PartOfList,
    Quote,
    SubmitAnswer,
    VenueCapabilities,
    VenueHoldings,
    VenueInstrument,
)
from app.venues import alpaca_wire as wire
from app.venues.alpaca_refusals import cancel_refusal, error_of, submit_refusal
from app.venues.alpaca_wire import Nonsense, Unreadable
from app.venues.http_call import CallFailed, HttpAnswer, HttpCaller
from app.venues.throttle import Throttle, Urgency

P = ParamSpec("P")
T = TypeVar("T")

_ANSWER_BYTES = 1_000_000  # an order is 2 kB, a full page of 500 orders below 1 MB
_ASSETS_BYTES = 64_000_000  # Alpaca lists over ten thousand assets in one answer
_EVIDENCE_CHARACTERS = 500
_ORDERS_PAGE = 500  # Alpaca's largest
_ACTIVITIES_PAGE = 100  # Alpaca's largest
_PAGES_FOR_MANY = 10  # a thousand fills of the account: what was missed lately; what is older is asked for by itself
_URGENT_PAGES = 10  # so many come first; who reads on for longer leaves to look-ups and cancels what is kept for them
_AFTER_LAST_REPORT = timedelta(minutes=5)  # a fill's time may be that much after its order's: more than clocks differ
_QUOTES_AT_ONCE = 100  # keeps the request line far below what servers take
_LONGEST_RETRY_AFTER = 3600.0  # seconds; a venue that says more is not believed
_ORDER_NOT_FOUND = 40410000
_JUST_BEFORE = timedelta(microseconds=1)  # the venue's `after` leaves its own moment out


@dataclass(frozen=True, slots=True)
class _OrdersPage:
    last: datetime | None
    """When the venue received the last of a full page. None: the list ends here."""


class AlpacaVenue:
    """The adapter. Every method keeps to `timeout_seconds` as a whole, pages included, and repeats nothing.

    One instance belongs to one thread of one process.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        data_url: str,
        key_id: str,
        secret_key: str,
        timeout_seconds: float,
        capabilities: VenueCapabilities,
        throttle: Throttle | None = None,
        connect_seconds: float = 2.0,
        include_inactive_instruments: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`include_inactive_instruments` costs a call that is three times larger on Alpaca's own hosts.

        Raises ValueError for URLs that are none.
        """
        self._name = name
        self._capabilities = capabilities
        self._timeout_seconds = timeout_seconds
        self._throttle = throttle
        self._clock = clock
        self._secrets = tuple(secret for secret in (secret_key, key_id) if secret)
        self._assets_query = "" if include_inactive_instruments else "?status=active"
        self._trading = HttpCaller(base_url, connect_seconds=connect_seconds)
        self._data = HttpCaller(data_url, connect_seconds=connect_seconds)
        self._headers = {
            "APCA-API-KEY-ID": key_id,
            "APCA-API-SECRET-KEY": secret_key,
            "User-Agent": "surefill",
        }
        self._body_headers = {**self._headers, "Content-Type": "application/json"}
        self._large_headers = {**self._headers, "Accept-Encoding": "gzip"}

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> VenueCapabilities:
        return self._capabilities

    def submit(self, instruction: OrderInstruction) -> SubmitAnswer:
        answer = self._call("POST", "/v2/orders", Urgency.LAST, body=wire.order_body(instruction))
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status in (200, 201):
            report = self._believed(answer, wire.submitted_order, answer.body, instruction)
            return report if isinstance(report, OutcomeUnknown) else Accepted(report)
        error = self._error_of(answer)
        refusal = None if error is None else submit_refusal(answer.status, error, self._evidence(answer))
        return refusal or self._unknown(answer)

    def find(self, client_order_id: str) -> LookupAnswer:
        target = "/v2/orders:by_client_order_id?client_order_id=" + quote(client_order_id, safe="")
        answer = self._call("GET", target, Urgency.FIRST)
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status == 200:
            report = self._believed(answer, wire.order_with_id, answer.body, client_order_id)
            if isinstance(report, OutcomeUnknown):
                return report
            return self._with_legs(report) if not report.legs and b'"oco"' in answer.body else Found(report)
        error = self._error_of(answer)
        if error is not None and error.code == _ORDER_NOT_FOUND:
            return NotFound(self._evidence(answer))
        return self._unknown(answer)

    def _with_legs(self, report: OrderReport) -> LookupAnswer:
        """The same order asked for once more in the form that lists the other exit of a pair for certain."""
        target = f"/v2/orders/{quote(report.venue_order_id, safe='')}?nested=true"
        answer = self._call("GET", target, Urgency.FIRST)
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status != 200:
            return self._unknown(answer)
        nested = self._believed(answer, wire.order_with_id, answer.body, report.client_order_id)
        return nested if isinstance(nested, OutcomeUnknown) else Found(nested)

    def executions(self, report: OrderReport, since: datetime, known: Known = NOTHING_KNOWN) -> ExecutionsAnswer:
        """Reads pages, newest first, until all that the report counts is found or known, or the list ends.

        The list can lag behind the order, so it may end with less: the caller compares and asks again.
        """
        found = self._executions([report], since, known, most_pages=None)
        return found if isinstance(found, OutcomeUnknown) else Executions(found[report.venue_order_id])

    def executions_of(
        self, reports: Sequence[OrderReport], since: datetime, known: Known = NOTHING_KNOWN
    ) -> Mapping[str, tuple[Execution, ...]] | OutcomeUnknown:
        """The same for many orders, from the same pages, and from so many only that one old order costs no others."""
        return self._executions(reports, since, known, most_pages=_PAGES_FOR_MANY)

    def _executions(
        self, reports: Sequence[OrderReport], since: datetime, known: Known, *, most_pages: int | None
    ) -> Mapping[str, tuple[Execution, ...]] | OutcomeUnknown:
        deadline = self._deadline()
        found: dict[str, list[Execution]] = {report.venue_order_id: [] for report in reports}
        target = f"/v2/account/activities/FILL?direction=desc&page_size={_ACTIVITIES_PAGE}"
        spans = self._spans(reports, since)
        span, token = spans.pop(0), ""
        asked: set[str] = set()
        while True:
            urgency = Urgency.FIRST if len(asked) < _URGENT_PAGES else Urgency.LAST
            answer = self._call("GET", target + span + token, urgency, deadline=deadline)
            if isinstance(answer, OutcomeUnknown) or answer.status != 200:
                complete = _complete_ones(found, reports, known) if asked else {}
                return complete or (answer if isinstance(answer, OutcomeUnknown) else self._unknown(answer))
            asked.add(span + token)
            page = self._believed(answer, _activities_of, answer.body, reports)
            if isinstance(page, OutcomeUnknown):
                return page
            for execution in page.executions:
                found[execution.venue_order_id].append(execution)
            span_ends = page.length < _ACTIVITIES_PAGE
            list_ends = span_ends and not spans
            # With the last that any of them lacks, the rest is others', or older than what is known.
            if list_ends or all(are_complete(report, found[report.venue_order_id], known) for report in reports):
                in_sequence = self._believed(answer, _in_sequence, found)
                # fills of one moment may stand in any order, so the one between two may be on the next page
                if list_ends or not isinstance(in_sequence, OutcomeUnknown):
                    return in_sequence
            if len(asked) == most_pages:
                return _complete_ones(found, reports, known)
            if span_ends:
                span, token = spans.pop(0), ""
            else:
                token = "&page_token=" + quote(page.last_id, safe="")
            if span + token in asked:
                return self._nonsense(answer, "its pages of executions do not go on")

    def _spans(self, reports: Sequence[OrderReport], since: datetime) -> list[str]:
        """Which times to list, most likely first: up to the venue's last word on the orders, then what is later."""
        everything = [f"&after={_before(since)}"]
        last = [report.updated_at for report in reports if report.updated_at is not None]
        if not last or len(last) < len(reports):
            return everything
        until = max(last) + _AFTER_LAST_REPORT
        if not since < until < self._clock():
            return everything
        return [f"&after={_before(since)}&until={_moment(until)}", f"&after={_before(until)}"]

    def cancel(self, venue_order_id: str) -> CancelAnswer:
        answer = self._call("DELETE", "/v2/orders/" + quote(venue_order_id, safe=""), Urgency.FIRST)
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status == 204:
            return CancelTaken()
        error = self._error_of(answer)
        refusal = None if error is None else cancel_refusal(answer.status, error)
        return refusal or self._unknown(answer)

    def orders(self, since: datetime) -> Sequence[OrderReport] | PartOfList | OutcomeUnknown:
        """In the order of their submission. Pages overlap by a moment, so that none between two is missed.

        All pages together keep to the time-out: of a `since` too far back on a busy account there is a part.
        """
        return self._orders("all", _before(since))

    def open_orders(self) -> Sequence[OrderReport] | OutcomeUnknown:
        """In the order of their submission; the same pages."""
        listed = self._orders("open", None)
        return listed.why if isinstance(listed, PartOfList) else listed

    def _orders(self, status: str, after: str | None) -> Sequence[OrderReport] | PartOfList | OutcomeUnknown:
        deadline = self._deadline()
        reports: dict[str, OrderReport] = {}
        until: datetime | None = None
        while True:
            page = self._page_of_orders(status, after, deadline, reports)
            if isinstance(page, OutcomeUnknown):
                return page if until is None else PartOfList(list(reports.values()), until, page)
            if page.last is None:
                return list(reports.values())
            until, after = page.last, _before(page.last)

    def _page_of_orders(
        self, status: str, after: str | None, deadline: float, reports: dict[str, OrderReport]
    ) -> _OrdersPage | OutcomeUnknown:
        """Adds the page to `reports`."""
        target = f"/v2/orders?status={status}&direction=asc&nested=false&limit={_ORDERS_PAGE}"
        target += "" if after is None else f"&after={after}"
        answer = self._call("GET", target, Urgency.FIRST, deadline=deadline)
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status != 200:
            return self._unknown(answer)
        page = self._believed(answer, wire.decode, wire.ORDERS, answer.body)
        if isinstance(page, OutcomeUnknown):
            return page
        page_reports = self._believed(answer, wire.reports_of, page)
        if isinstance(page_reports, OutcomeUnknown):
            return page_reports
        known = len(reports)
        reports.update((report.venue_order_id, report) for report in page_reports)
        if len(page) < _ORDERS_PAGE:
            return _OrdersPage(None)
        last = page[-1].submitted_at or page[-1].created_at
        if last is None or last.tzinfo is None or len(reports) == known:
            return self._nonsense(answer, "its pages of orders do not go on")
        return _OrdersPage(last)

    def quotes(self, symbols: Sequence[str]) -> Sequence[Quote] | OutcomeUnknown:
        """Symbols without a two-sided quote are missing from the result. A pair ("BTC/USD") is a crypto symbol."""
        deadline = self._deadline()
        quotes: list[Quote] = []
        pairs = [symbol for symbol in symbols if "/" in symbol]
        stocks = [symbol for symbol in symbols if "/" not in symbol]
        for path, listed in (("/v2/stocks/quotes/latest", stocks), ("/v1beta3/crypto/us/latest/quotes", pairs)):
            for start in range(0, len(listed), _QUOTES_AT_ONCE):
                wanted = listed[start : start + _QUOTES_AT_ONCE]
                target = f"{path}?symbols={quote(','.join(wanted), safe=',')}"
                answer = self._call("GET", target, Urgency.LAST, caller=self._data, deadline=deadline)
                if isinstance(answer, OutcomeUnknown):
                    return answer
                if answer.status != 200:
                    return self._unknown(answer)
                found = self._believed(answer, wire.quotes_of, answer.body, wanted)
                if isinstance(found, OutcomeUnknown):
                    return found
                quotes += found
        return quotes

    def instruments(self) -> Sequence[VenueInstrument] | OutcomeUnknown:
        """Active instruments, the inactive too when the adapter was made so. What is missing is not tradable."""
        target = "/v2/assets" + self._assets_query
        answer = self._call("GET", target, Urgency.LAST, headers=self._large_headers, max_bytes=_ASSETS_BYTES)
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status != 200:
            return self._unknown(answer)
        return self._believed(answer, wire.instruments_of, answer.body)

    def market_hours(self) -> MarketHours | OutcomeUnknown:
        answer = self._call("GET", "/v2/clock", Urgency.LAST)
        if isinstance(answer, OutcomeUnknown):
            return answer
        if answer.status != 200:
            return self._unknown(answer)
        return self._believed(answer, wire.market_hours_of, answer.body)

    def holdings(self) -> VenueHoldings | OutcomeUnknown:
        """Two calls, so an execution may fall between them: whoever compares, compares again.

        With crypto among the positions a third says which pairs they are, so that all symbols are those of orders.
        """
        deadline = self._deadline()
        cash = self._account_page("/v2/account", wire.cash_of, deadline)
        if isinstance(cash, OutcomeUnknown):
            return cash
        answer = self._account_answer("/v2/positions", deadline)
        if isinstance(answer, OutcomeUnknown):
            return answer
        pairs: frozenset[str] | OutcomeUnknown = frozenset()
        if f'"{wire.CRYPTO}"'.encode() in answer.body:
            pairs = self._account_page(f"/v2/assets?asset_class={wire.CRYPTO}", wire.pairs_of, deadline)
        if isinstance(pairs, OutcomeUnknown):
            return pairs
        positions = self._believed(answer, wire.positions_of, answer.body, pairs)
        if isinstance(positions, OutcomeUnknown):
            return positions
        return VenueHoldings(*cash, positions)

    def _account_page(self, target: str, read: Callable[[bytes], T], deadline: float) -> T | OutcomeUnknown:
        answer = self._account_answer(target, deadline)
        return answer if isinstance(answer, OutcomeUnknown) else self._believed(answer, read, answer.body)

    def _account_answer(self, target: str, deadline: float) -> HttpAnswer | OutcomeUnknown:
        answer = self._call("GET", target, Urgency.LAST, deadline=deadline, max_bytes=_ASSETS_BYTES)
        if isinstance(answer, OutcomeUnknown) or answer.status == 200:
            return answer
        return self._unknown(answer)

    def close(self) -> None:
        self._trading.close()
        self._data.close()

    # --- one call ---------------------------------------------------------------------------------------------------

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_seconds

    def _call(
        self,
        method: str,
        target: str,
        urgency: Urgency,
        *,
        body: bytes | None = None,
        caller: HttpCaller | None = None,
        deadline: float | None = None,
        headers: dict[str, str] | None = None,
        max_bytes: int = _ANSWER_BYTES,
    ) -> HttpAnswer | OutcomeUnknown:
        if deadline is None:
            deadline = self._deadline()
        if self._throttle is not None:
            wait = self._throttle.take("data" if caller is self._data else "trading", urgency)
            if wait is not None:
                return OutcomeUnknown(
                    "VENUE_THROTTLED_BY_US",
                    "Too many calls to the venue at the moment; this one was held back and not sent.",
                    retry_after=wait,
                    nothing_sent=True,
                )
        answer = (caller or self._trading).call(
            method,
            target,
            headers=headers or (self._headers if body is None else self._body_headers),
            deadline=deadline,
            max_bytes=max_bytes,
            body=body,
        )
        if isinstance(answer, CallFailed):
            return OutcomeUnknown(
                answer.code, answer.message, self._without_secrets(answer.detail), nothing_sent=answer.nothing_sent
            )
        return answer

    # --- what an answer means ---------------------------------------------------------------------------------------

    def _believed(
        self, answer: HttpAnswer, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | OutcomeUnknown:
        """What `read` makes of the answer, or why that cannot be believed."""
        try:
            return read(*args, **kwargs)
        except Unreadable as error:
            return OutcomeUnknown(
                UNREADABLE,
                "The venue's answer could not be read.",
                self._evidence(answer, str(error)),
            )
        except Nonsense as error:
            return self._nonsense(answer, str(error))

    def _error_of(self, answer: HttpAnswer) -> wire.ErrorWire | None:
        error = error_of(answer.status, answer.body)
        if error is not None:
            error.message = self._without_secrets(error.message)
        return error

    def _nonsense(self, answer: HttpAnswer, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(NONSENSE, "The venue's answer contradicts itself.", self._evidence(answer, what))

    def _unknown(self, answer: HttpAnswer) -> OutcomeUnknown:
        """Every status that is no word on the order."""
        evidence = self._evidence(answer)
        status = answer.status
        if status == 429:
            return OutcomeUnknown(
                "VENUE_RATE_LIMITED", "The venue limits how often we may call.", evidence, self._retry_after(answer)
            )
        if status in (401, 403):
            return OutcomeUnknown("VENUE_UNAUTHORIZED", "The venue did not accept our credentials.", evidence)
        if status >= 500 or status == 408:
            return OutcomeUnknown(
                "VENUE_ERROR",
                f"The venue has a problem of its own (HTTP {status}).",
                evidence,
                self._retry_after(answer),
            )
        if status < 300:
            return OutcomeUnknown(UNREADABLE, "The venue's answer could not be read.", evidence)
        return OutcomeUnknown("VENUE_ANSWER_UNEXPECTED", "The venue's answer is not one it documents.", evidence)

    def _retry_after(self, answer: HttpAnswer) -> float | None:
        """Seconds the venue asks us to wait: Retry-After in either form, or, with a 429, Alpaca's X-RateLimit-Reset.

        Alpaca sends the latter with every answer: only where calls are used up does it name a wait.
        """
        now = self._clock()
        headers = [("Retry-After", False)]
        if answer.status == 429:
            headers.append(("X-RateLimit-Reset", True))
        for header, is_moment in headers:
            text = answer.headers.get(header, "").strip()
            if text.isascii() and text.isdigit() and len(text) < 12:
                seconds = float(text) - (now.timestamp() if is_moment else 0.0)
            else:
                try:
                    seconds = (parsedate_to_datetime(text).astimezone(UTC) - now).total_seconds()
                except (ValueError, TypeError, OverflowError):
                    continue  # not a wait the venue named; the next header may be
            return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
        return None

    def _evidence(self, answer: HttpAnswer, what: str = "") -> str:
        beginning = answer.body[: 8 * _EVIDENCE_CHARACTERS].decode("utf-8", "replace")
        prefix = f"HTTP {answer.status}: " + (f"{what}: " if what else "")
        return self._without_secrets(prefix + beginning)

    def _without_secrets(self, text: str) -> str:
        """Fit to be stored and shown: a gateway's error page can echo our request, headers and all."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return wire.printable(text, _EVIDENCE_CHARACTERS)


def _moment(moment: datetime) -> str:
    return quote(wire.wire_time(moment), safe="")


def _before(moment: datetime) -> str:
    return _moment(moment - _JUST_BEFORE)


@dataclass(frozen=True, slots=True)
class _Activities:
    """What one page of the account's fills says about the orders asked for."""

    length: int
    last_id: str
    executions: list[Execution]


def _activities_of(body: bytes, reports: Sequence[OrderReport]) -> _Activities:
    """Raises `Unreadable`, `Nonsense`."""
    page = wire.decode(wire.ACTIVITIES, body)
    wanted = {report.venue_order_id: report for report in reports}
    mine = [wire.execution_of(each, wanted[each.order_id]) for each in page if each.order_id in wanted]
    return _Activities(len(page), page[-1].id if page else "", mine)


def _complete_ones(
    found: Mapping[str, Sequence[Execution]], reports: Sequence[OrderReport], known: Known
) -> dict[str, tuple[Execution, ...]]:
    """Of a list that was not read to its end: only the orders it completes, because a part would pass for the whole."""
    complete: dict[str, tuple[Execution, ...]] = {}
    for report in reports:
        executions = found[report.venue_order_id]
        if are_complete(report, executions, known):
            try:
                complete[report.venue_order_id] = wire.in_sequence(executions)
            except Nonsense:
                continue  # as long as the rest is unread, one of them may be missing
    return complete


def _in_sequence(found: Mapping[str, Sequence[Execution]]) -> dict[str, tuple[Execution, ...]]:
    """Raises `Nonsense`."""
    return {venue_order_id: wire.in_sequence(executions) for venue_order_id, executions in found.items()}
