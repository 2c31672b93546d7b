"""When Alpaca says no: which code of ours it is, and the sentence a trader reads.

Alpaca's numbers are coarse (42210000 stands for a dozen reasons), so its message decides; number and message are kept.
"""

from __future__ import annotations

from app.domain.venue_answers import CancelRefused, ClientIdKnown, Refused
from app.venues.alpaca_wire import ERROR, ErrorWire, Unreadable, decode, printable

# The first whose words are all in the message wins: the special before the general.
_CODES_BY_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("buying power",), "VENUE_INSUFFICIENT_FUNDS"),
    (("insufficient balance for usd",), "VENUE_INSUFFICIENT_FUNDS"),
    (("insufficient balance",), "VENUE_INSUFFICIENT_SHARES"),  # of a coin
    (("insufficient qty",), "VENUE_INSUFFICIENT_SHARES"),
    (("wash trade",), "VENUE_WASH_TRADE"),
    (("pattern day trad",), "VENUE_DAY_TRADING_LIMIT"),
    (("short",), "VENUE_SHORT_SALE_REFUSED"),
    (("sub-penny",), "VENUE_PRICE_INCREMENT"),
    (("increment",), "VENUE_PRICE_INCREMENT"),
    (("not tradable",), "VENUE_INSTRUMENT_NOT_TRADABLE"),
    (("is not active",), "VENUE_INSTRUMENT_NOT_TRADABLE"),
    (("asset", "not found"), "VENUE_INSTRUMENT_UNKNOWN"),
    (("not fractionable",), "VENUE_FRACTION_REFUSED"),
    (("fractional",), "VENUE_FRACTION_REFUSED"),
    (("market hours",), "VENUE_MARKET_CLOSED"),
    (("market", "closed"), "VENUE_MARKET_CLOSED"),
    (("account", "restricted"), "VENUE_ACCOUNT_RESTRICTED"),
    (("account", "blocked"), "VENUE_ACCOUNT_RESTRICTED"),
)

_OTHER_REFUSAL = "VENUE_REFUSED"


def error_of(status: int, body: bytes) -> ErrorWire | None:
    """Alpaca's error, None when the body is not one.

    Its number begins with the HTTP status it belongs to. A gateway in between can imitate a status, hardly the pair.
    """
    try:
        error = decode(ERROR, body)
    except Unreadable:
        return None
    belongs_to = error.code // 100_000
    if belongs_to == status or (status == 422 and belongs_to == 400):
        return error
    return None


def submit_refusal(status: int, error: ErrorWire, evidence: str) -> Refused | ClientIdKnown | None:
    """The definite no in that answer to a submit; None when it is not one."""
    if status not in (400, 403, 422):
        return None
    message = error.message.lower()
    if "client_order_id" in message and "unique" in message:
        return ClientIdKnown(_sentence("The venue already has an order with this client order id", error), evidence)
    code = next((code for words, code in _CODES_BY_WORDS if all(word in message for word in words)), _OTHER_REFUSAL)
    return Refused(code, _sentence("The venue refused the order", error), evidence)


def cancel_refusal(status: int, error: ErrorWire) -> CancelRefused | None:
    """The definite no in that answer to a cancel; None when it is not one."""
    if status == 404:
        return CancelRefused("VENUE_ORDER_UNKNOWN", _sentence("The venue does not know the order", error))
    if status == 422:
        return CancelRefused("VENUE_NOT_CANCELABLE", _sentence("The order can no longer be cancelled", error))
    if status == 403:
        return CancelRefused(_OTHER_REFUSAL, _sentence("The venue refused the cancel", error))
    return None


def _sentence(beginning: str, error: ErrorWire) -> str:
    numbers = [
        f"{name} {value:f}"
        for name, value in (
            ("buying power", error.buying_power),
            ("cost", error.cost_basis),
            ("available", error.available),
        )
        # A hostile exponent would make a text of gigabytes.
        if value is not None and value.is_finite() and -12 < value.adjusted() < 12 and len(value.as_tuple()[1]) < 30
    ]
    figures = f"; {', '.join(numbers)}" if numbers else ""
    return f"{beginning}: {printable(error.message, 200).strip().rstrip('.')}{figures} (venue code {error.code})."
