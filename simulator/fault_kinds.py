"""Every way in which this venue can misbehave, by name, with what it strikes and its default parameters."""

from __future__ import annotations

from dataclasses import dataclass

SUBMIT, LOOKUP, LIST, CANCEL, REPLACE = "submit", "lookup", "list", "cancel", "replace"
ACCOUNT, POSITIONS, ACTIVITIES, MARKET, DATA, STREAM = (
    "account",
    "positions",
    "activities",
    "market",
    "market_data",
    "stream",
)
OPERATIONS = (SUBMIT, LOOKUP, LIST, CANCEL, REPLACE, ACCOUNT, POSITIONS, ACTIVITIES, MARKET, DATA, STREAM)


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault. `on` is the operation that it strikes unless the rule names another.

    `anywhere` says that a rule may name another operation. `once` says that a rule for a single order strikes one
    request unless it says otherwise; the others last until they are removed.
    """

    name: str
    meaning: str
    on: str = SUBMIT
    anywhere: bool = True
    once: bool = True


_KINDS = (
    FaultKind("refuse", "refused with `status`, `code`, `message` (default 403, 40310000); nothing is entered"),
    FaultKind(
        "reject_later",
        "accepted, then rejected `seconds` (0.2) later; with `after_partial_fill` half of it fills first",
        anywhere=False,
    ),
    FaultKind("slow", "takes effect at once, answered after `seconds` (2); `after_accept: false` takes effect then"),
    FaultKind("reply_lost_after_accept", "takes effect, then the connection is closed without a reply"),
    FaultKind("connection_lost_before_accept", "the connection is closed, nothing took effect"),
    FaultKind("error_500_before_accept", "500, nothing took effect"),
    FaultKind("error_500_after_accept", "500, though it took effect"),
    FaultKind("error_503_before_accept", "503, nothing took effect"),
    FaultKind("error_503_after_accept", "503, though it took effect"),
    FaultKind("error_504_before_accept", "504, nothing took effect"),
    FaultKind("error_504_after_accept", "504, though it took effect"),
    FaultKind("timeout_408", "408; with `after_accept` it took effect all the same"),
    FaultKind("rate_limited_429", "429 with `Retry-After: seconds` (1), nothing took effect"),
    FaultKind(
        "html_instead_of_json",
        "a gateway's HTML page with `status` (502); it took effect unless `after_accept` is false",
    ),
    FaultKind(
        "cut_json",
        "took effect, the reply's JSON breaks off; with `connection` also the connection, before Content-Length",
    ),
    FaultKind(
        "late_accept",
        "no reply; it takes effect after `seconds` (7), then the connection is closed; `hang_up_after` seconds "
        "closes it earlier",
    ),
    FaultKind("lookup_error", "a look-up of the order answers `status` (500)", on=LOOKUP),
    FaultKind(
        "lookup_unknown_for",
        "for `seconds` (3) from its acceptance look-ups answer 404 and lists leave the order out",
        on=LOOKUP,
        anywhere=False,
        once=False,
    ),
    FaultKind("cancel_reply_lost", "the cancel takes effect, the connection is closed without a reply", on=CANCEL),
    FaultKind("cancel_refused", "422/42210000, the order lives on", on=CANCEL),
    FaultKind("stream_silent", "no events; for all orders with `seconds`", on=STREAM, anywhere=False, once=False),
    FaultKind("stream_repeat", "each event comes twice, the second `seconds` (0.05) later", STREAM, False, False),
    FaultKind("stream_reorder", "an event comes after the one that follows it", STREAM, False, False),
    FaultKind("stream_drop_fill", "fills are missing from the stream", STREAM, False, False),
    FaultKind("stream_cut", "the stream's connections are cut instead of the event", STREAM, False),
    FaultKind("nonsense_wrong_order", "another order's id and client order id in the answer", on=LOOKUP),
    FaultKind("nonsense_wrong_symbol", "another symbol in the answer", on=LOOKUP),
    FaultKind("nonsense_negative_fill", "a negative filled quantity", on=LOOKUP),
    FaultKind("nonsense_overfill", "more filled than ordered", on=LOOKUP),
    FaultKind("nonsense_unknown_status", "a status (or event) that nobody knows", on=LOOKUP),
    FaultKind("nonsense_nan", "NaN, Infinity and 1e999999 where numbers belong", on=LOOKUP),
    FaultKind("nonsense_missing_fields", "id, status and quantities are missing", on=LOOKUP),
    FaultKind("nonsense_wrong_types", "lists and objects where text belongs", on=LOOKUP),
    FaultKind("nonsense_huge_body", "a body of `megabytes` (10)", on=LOOKUP),
)

KINDS = {kind.name: kind for kind in _KINDS}
NONSENSE = tuple(name for name in KINDS if name.startswith("nonsense_"))
