"""Calls of the HTTP API: what is safe to repeat is repeated, and what is not known is said to be unknown."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import requests

from surefill_client.documents import Event, Order, event_from, order_from
from surefill_client.outcomes import (
    Conflict,
    ErrorDetail,
    NoAnswer,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    StillOpen,
)

_NOT_OF_A_DOCUMENT = (KeyError, TypeError, ValueError, ArithmeticError)
_BY_STATUS: Mapping[int, type[Refused]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 429: RateLimited,
}  # fmt: skip
_IN_PROGRESS = "REQUEST_IN_PROGRESS"


class Surefill:
    """One trader's connection. Not to be shared between threads.

    `timeout_seconds` is how long one request may take; `deadline_seconds` how long a submission is repeated.
    """

    def __init__(
        self, url: str, api_key: str, *, timeout_seconds: float = 10.0, deadline_seconds: float = 30.0
    ) -> None:
        self._url = url.rstrip("/") + "/api/v1"
        self._timeout = timeout_seconds
        self._deadline = deadline_seconds
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc must not replace the key
        self._session.headers["Authorization"] = f"Bearer {api_key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    # -- orders --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        *,
        symbol: str,
        side: str,
        quantity: Decimal | int | str,
        order_type: str,
        price: Decimal | int | str | None = None,
        time_in_force: str | None = None,
        max_wait_seconds: int | None = None,
        idempotency_key: str | None = None,
        confirm_duplicate: bool = False,
        **terms: object,
    ) -> Order:
        """Submit an order once, however often the request has to be repeated. `terms` are further fields.

        Raises Refused (a definite no), or OutcomeUnknown when the deadline is over without a definite answer: then
        submit the same terms again with its `idempotency_key`.
        """
        given: dict[str, object] = {
            "symbol": symbol, "side": side, "quantity": _plain(quantity), "order_type": order_type,
            "price": _plain(price), "time_in_force": time_in_force, "max_wait_seconds": max_wait_seconds,
            **{name: _plain(value) for name, value in terms.items()},
        }  # fmt: skip
        # encoded once: a repetition has to be the same bytes
        body = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
        key = idempotency_key or str(uuid4())
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if confirm_duplicate:
            headers["Confirm-Duplicate"] = "true"
        return self._submit(body, headers, key)

    def _submit(self, body: bytes, headers: Mapping[str, str], key: str) -> Order:
        ends = time.monotonic() + self._deadline
        unanswered = ""  # why an earlier attempt may still be on its way
        pauses = _pauses()
        while True:
            try:
                return order_from(self._call("POST", "/orders", expected=(201,), data=body, headers=headers))
            except Refused as refused:
                if refused.code != _IN_PROGRESS:
                    if unanswered:
                        # an attempt that went unanswered may arrive after this one, and be accepted
                        raise OutcomeUnknown(key, f"{unanswered}, then {refused.code}") from refused
                    raise
                why: Exception = refused
            except NoAnswer as silence:
                unanswered = str(silence)
                why = silence
            except _NOT_OF_A_DOCUMENT as error:
                unanswered = "the answer is no order"
                why = error
            pause = next(pauses)
            if time.monotonic() + pause >= ends:
                raise OutcomeUnknown(key, str(why)) from why
            time.sleep(pause)

    def order(self, order_id: str) -> Order:
        """The order with its fills. Raises NotFound, NoAnswer."""
        return self._read_order("GET", f"/orders/{order_id}", (200,))

    def cancel(self, order_id: str) -> Order:
        """Ask for a cancel; the venue decides. Raises Conflict when it has ended otherwise, NoAnswer.

        After NoAnswer the wish may be stored or not: asking again does no harm.
        """
        return self._read_order("POST", f"/orders/{order_id}/cancel", (200, 202))

    def retry(self, order_id: str) -> Order:
        """Give an order that needs attention another try. Raises Conflict, NoAnswer."""
        return self._read_order("POST", f"/orders/{order_id}/retry", (202,))

    def acknowledge(self, order_id: str) -> Order:
        """Accept that an order that needs attention has failed. Raises Conflict, NoAnswer."""
        return self._read_order("POST", f"/orders/{order_id}/acknowledge", (200, 202))

    def wait_until_closed(self, order_id: str, *, within_seconds: float = 60.0) -> Order:
        """Wait until the order has ended. Outages meanwhile are waited through.

        Raises StillOpen with the order as last seen, NoAnswer when it was never seen, NotFound. An order that needs
        attention is returned as StillOpen at once: it waits for you.
        """
        ends = time.monotonic() + within_seconds
        seen: Order | None = None
        pause = 0.05
        while True:
            try:
                seen = self.order(order_id)
            except NoAnswer:
                if seen is None and time.monotonic() >= ends:
                    raise
            else:
                if seen.is_closed:
                    return seen
                if seen.needs_attention:
                    raise StillOpen(seen)
            if seen is not None and time.monotonic() >= ends:
                raise StillOpen(seen)
            time.sleep(min(pause, max(0.0, ends - time.monotonic())))
            pause = min(pause * 1.5, 1.0)

    # -- events --------------------------------------------------------------------------------------------------------

    def events(self, since: int = 0, *, poll_seconds: float = 0.5) -> Iterator[Event]:
        """Every event after number `since`, in order, without a gap; waits for more, for ever.

        Outages are waited through. Keep the `seq` of the last event you have processed, and begin there next time.
        Raises Refused, such as NotAllowed when the key is revoked.
        """
        pauses = _pauses()
        while True:
            try:
                page = self._call("GET", "/events", expected=(200,), params={"since": since, "limit": 1000})
                events = [event_from(each) for each in page["data"]]
            except (NoAnswer, *_NOT_OF_A_DOCUMENT):
                time.sleep(next(pauses))
                continue
            pauses = _pauses()
            for event in events:
                if event.seq != since + 1:
                    raise RuntimeError(f"event {event.seq} came after {since}: events have no gaps")
                since = event.seq
                yield event
            if not events:
                time.sleep(poll_seconds)

    def head(self) -> int:
        """The number of the newest event: where to begin to see only what is new. Raises NoAnswer."""
        return int(self._call("GET", "/events", expected=(200,), params={"since": 10**18 - 1, "limit": 1})["head_seq"])

    # -- one request ---------------------------------------------------------------------------------------------------

    def _read_order(self, method: str, path: str, expected: tuple[int, ...]) -> Order:
        try:
            return order_from(self._call(method, path, expected=expected))
        except _NOT_OF_A_DOCUMENT as error:
            raise NoAnswer("the answer is no order") from error

    def _call(self, method: str, path: str, *, expected: tuple[int, ...], **options: Any) -> Any:
        """The document of an expected answer. Raises Refused for a problem of Surefill's own, NoAnswer for all else."""
        try:
            answer = self._session.request(
                method, self._url + path, timeout=self._timeout, allow_redirects=False, **options
            )
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            # not reached, too late, cut off, or an answer of something in between
            raise NoAnswer(f"{type(error).__name__}: no answer that can be read") from error
        if answer.status_code in expected:
            return document
        raise _meaning(answer, document)


def _meaning(answer: requests.Response, document: Any) -> Refused | NoAnswer:
    """A refusal is Surefill's own word with a code; anything else may come from whoever stands between."""
    status = answer.status_code
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if not (400 <= status < 500 and kind == "application/problem+json" and isinstance(document, dict)):
        return NoAnswer(f"status {status}")
    code = document.get("code")
    if not isinstance(code, str) or status == 408:
        return NoAnswer(f"status {status}")
    refused = _BY_STATUS.get(status, Refused)(
        status,
        code,
        str(document.get("detail", "")),
        str(document.get("suggestion", "")),
        tuple(
            ErrorDetail(each.get("field"), str(each.get("code")), str(each.get("message")), str(each.get("suggestion")))
            for each in document.get("errors") or ()
            if isinstance(each, dict)
        ),
        document.get("request_id"),
    )
    if isinstance(refused, RateLimited):
        wait = answer.headers.get("Retry-After", "")
        refused.retry_after = float(wait) if wait.isdigit() else 1.0
    return refused


def _plain(value: object) -> object:
    """Numbers as text: no digit is lost on the way."""
    return format(value, "f") if isinstance(value, Decimal) else str(value) if isinstance(value, float) else value


def _pauses() -> Iterator[float]:
    """Growing, and never the same for two clients: what comes back must not be met by everybody at once."""
    pause = 0.2
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        pause = min(pause * 2, 3.0)
