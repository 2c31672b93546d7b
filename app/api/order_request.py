"""Request -> OrderTerms, or every error of its fields at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

from flask import request

from app.api.bodies import Fields, Number, Value, fields_of, unknown_fields
from app.api.problems import Problem, invalid
from app.api.wording import one_of, shown
from app.domain.acceptance import OrderTerms
from app.domain.denials import Denial
from app.domain.halts import HaltScope
from app.domain.money import DECIMAL_PLACES, INTEGER_DIGITS
from app.domain.orders import OrderType, Side, TimeInForce
from app.storage.api_keys import has_api_key

E = TypeVar("E", bound=StrEnum)

ORDER_FIELDS = (
    "symbol", "side", "quantity", "order_type", "price", "stop_loss", "take_profit", "time_in_force",
    "max_slippage_bps", "max_wait_seconds", "venue",
)  # fmt: skip
AMEND_FIELDS = ("price", "quantity")
HALT_FIELDS = ("scope", "trader_id", "symbol", "reason", "cancel_exits")
MOST_SLIPPAGE_BPS = 9_999  # of 10,000: a SELL must be left a price
LONGEST_SENTENCE = 500
LONGEST_WAIT_SECONDS = 31_536_000  # a year; no order lives longer

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE]([+-]?[0-9]{1,3}))?")
_INTEGER = re.compile(r"-?[0-9]{1,12}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./_-]{0,31}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEY = re.compile(r"[!-~]{1,255}")
_LONGEST_NUMBER = 64
_LARGEST_EXPONENT = 30


def idempotency_key() -> str:
    """The Idempotency-Key of this request, without its quotes if it came quoted. Raises Problem 400."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        raise Problem(
            400,
            "IDEMPOTENCY_KEY_MISSING",
            "This request has no Idempotency-Key, so a repeated one could become a second order.",
            "Send the header Idempotency-Key with a new value, such as a UUID, for each new order.",
        )
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = re.sub(r"\\([\"\\])", r"\1", key[1:-1])
    if not _KEY.fullmatch(key):
        raise Problem(
            400,
            "IDEMPOTENCY_KEY_INVALID",
            f"The Idempotency-Key must have 1 to 255 visible ASCII characters; this one has {len(key)}.",
            "Use a UUID.",
        )
    if has_api_key(key):
        # It would be kept with the order, shown in its audit rows and sent to whoever reads those.
        raise Problem(
            400,
            "IDEMPOTENCY_KEY_INVALID",
            "The Idempotency-Key has an API key in it; it is kept and shown with the order, so nothing was taken.",
            "Use a UUID here, and the API key in Authorization only.",
        )
    return key


def confirms_duplicate() -> bool:
    """Whether this request has `Confirm-Duplicate: true`. Raises Problem 400 for another word than true or false."""
    word = request.headers.get("Confirm-Duplicate", "false").strip().lower()
    if word not in ("true", "false"):
        raise Problem(
            400,
            "CONFIRM_DUPLICATE_INVALID",
            f"Confirm-Duplicate is {shown(word) or 'empty'}; it must be true or false.",
            "Send Confirm-Duplicate: true, or leave it out.",
        )
    return word == "true"


def order_terms(body: bytes, key: str, *, confirm_duplicate: bool, venue: str) -> OrderTerms:
    """What the trader asks for. Raises Problem 400 for what is no JSON object, 422 with all errors of its fields."""
    fields = fields_of(body)
    read = _Reading(fields)
    symbol = read.symbol()
    side = read.word("side", Side)
    quantity = read.amount("quantity", required=True)
    order_type = read.word("order_type", OrderType)
    price = read.price(order_type)
    time_in_force = read.word("time_in_force", TimeInForce, TimeInForce.DAY)
    stop_loss, take_profit = read.amount("stop_loss"), read.amount("take_profit")
    max_slippage_bps = read.integer("max_slippage_bps", 0, MOST_SLIPPAGE_BPS)
    max_wait_seconds = read.integer("max_wait_seconds", 1, LONGEST_WAIT_SECONDS)
    wanted_venue = read.venue(venue)
    read.errors.extend(unknown_fields(fields, ORDER_FIELDS))
    if read.errors:
        raise invalid(read.errors)
    if symbol is None or side is None or quantity is None or order_type is None or time_in_force is None:
        raise RuntimeError("a required field is missing and no error says so")
    return OrderTerms(
        symbol=symbol,
        side=side,
        quantity=quantity,
        order_type=order_type,
        price=price,
        time_in_force=time_in_force,
        idempotency_key=key,
        request_fingerprint=sha256(body).digest(),
        confirm_duplicate=confirm_duplicate,
        stop_loss=stop_loss,
        take_profit=take_profit,
        max_slippage_bps=max_slippage_bps,
        max_wait_seconds=max_wait_seconds,
        venue=wanted_venue,
    )


def amendment(body: bytes) -> dict[str, Decimal]:
    """The new price and quantity that a PATCH asks for. Raises Problem 400, 422."""
    fields = fields_of(body)
    read = _Reading(fields)
    wanted = {name: read.amount(name) for name in AMEND_FIELDS}
    read.errors.extend(unknown_fields(fields, AMEND_FIELDS))
    given = {name: amount for name, amount in wanted.items() if amount is not None}
    if not given and not read.errors:
        read.errors.append(
            Denial("REQUIRED", "Neither price nor quantity is given.", "Give the new price, quantity, or both.")
        )
    if read.errors:
        raise invalid(read.errors)
    return given


@dataclass(frozen=True, slots=True)
class HaltRequest:
    """What an administrator wants halted."""

    scope: HaltScope
    trader_id: UUID | None
    symbol: str | None
    reason: str
    cancel_exits: bool


def halt_request(body: bytes) -> HaltRequest:
    """Raises Problem 400, 422."""
    fields = fields_of(body)
    read = _Reading(fields)
    scope = read.word("scope", HaltScope)
    trader_id = read.identifier("trader_id", required=scope is HaltScope.TRADER)
    symbol = read.symbol() if scope is HaltScope.SYMBOL else None
    for name, its_scope in (("trader_id", HaltScope.TRADER), ("symbol", HaltScope.SYMBOL)):
        if scope not in (None, its_scope):
            read.not_with(name, f"A halt with the scope {scope} has no {name}", "Leave it out, or change the scope.")
    reason = read.sentence("reason", required=True)
    cancel_exits = read.flag("cancel_exits")
    read.errors.extend(unknown_fields(fields, HALT_FIELDS))
    if read.errors:
        raise invalid(read.errors)
    if scope is None or reason is None:
        raise RuntimeError("a required field is missing and no error says so")
    return HaltRequest(scope, trader_id, symbol, reason, cancel_exits)


def reason_of(fields: Fields) -> str | None:
    """The reason that a body gives, if any. Raises Problem 422."""
    read = _Reading(fields)
    reason = read.sentence("reason")
    read.errors.extend(unknown_fields(fields, ("reason",)))
    if read.errors:
        raise invalid(read.errors)
    return reason


class _Reading:
    """Reads fields one by one and keeps every error."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.errors: list[Denial] = []

    def symbol(self) -> str | None:
        text = self._text("symbol", required=True)
        if text is None:
            return None
        symbol = text.upper() if text.isascii() else text
        if _SYMBOL.fullmatch(symbol):
            return symbol
        self._wrong(
            "UNKNOWN_SYMBOL",
            f"{shown(text) or 'An empty text'} is not a symbol that can be traded here.",
            "Use one of the symbols listed by GET /api/v1/instruments.",
            "symbol",
        )
        return None

    def word(self, name: str, words: type[E], default: E | None = None) -> E | None:
        text = self._text(name, required=default is None)
        if text is None:
            return default
        try:
            return words(text.upper() if text.isascii() else text)
        except ValueError:
            self.errors.append(one_of(name, text, tuple(words)))
            return None

    def price(self, order_type: OrderType | None) -> Decimal | None:
        given = self._fields.get("price") is not None
        if order_type is OrderType.MARKET and given:
            self._wrong(
                "PRICE_NOT_ALLOWED",
                "A MARKET order has no price.",
                "Leave price out, or make it a LIMIT order.",
                "price",
            )
            return None
        if order_type in (OrderType.LIMIT, OrderType.STOP) and not given:
            meaning = "its limit" if order_type is OrderType.LIMIT else "the price that triggers it"
            self._wrong("REQUIRED", f"A {order_type} order needs a price: {meaning}.", "Give a price.", "price")
            return None
        return self.amount("price")

    def amount(self, name: str, *, required: bool = False) -> Decimal | None:
        """A number greater than 0 that the books hold exactly."""
        value = self._fields.get(name)
        if value is None:
            if required:
                self._required(name)
            return None
        if not isinstance(value, str):
            self._wrong_type(name, value, "a number, or a text that holds one")
            return None
        match = _NUMBER.fullmatch(value) if len(value) <= _LONGEST_NUMBER else None
        if match is None and not _is_long_number(value):
            self._wrong(
                "INVALID_NUMBER",
                f"{name} is {shown(value) or 'empty'}, which is no number.",
                'Use a number such as "150.25".',
                name,
            )
            return None
        exponent = match[1] if match else None
        if match is None or (exponent and abs(int(exponent)) > _LARGEST_EXPONENT):
            self._too_many_digits(name, value)
            return None
        amount = Decimal(value)
        if amount <= 0:
            self._wrong(
                "NOT_POSITIVE", f"{name} is {shown(value)}; it must be greater than 0.", f"Give a {name} above 0.", name
            )
            return None
        exact = amount.normalize()
        places = exact.as_tuple().exponent
        if amount.adjusted() >= INTEGER_DIGITS or not isinstance(places, int) or places < -DECIMAL_PLACES:
            self._too_many_digits(name, value)
            return None
        return amount

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self._fields.get(name)
        if value is None:
            return None
        if not isinstance(value, Number):
            self._wrong_type(name, value, "a whole number")
            return None
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            self._wrong(
                "INVALID_VALUE",
                f"{name} is {shown(value)}; it must be a whole number from {low} to {high}.",
                f"Use a whole number from {low} to {high}.",
                name,
            )
            return None
        return int(value)

    def venue(self, configured: str) -> str | None:
        text = self._text("venue")
        if text is None:
            return None
        if text.lower() == configured:
            return configured
        self._wrong(
            "UNKNOWN_VENUE",
            f"{shown(text) or 'An empty text'} is not a venue that is connected; {configured} is.",
            f"Use {configured}, or leave venue out.",
            "venue",
        )
        return None

    def identifier(self, name: str, *, required: bool = False) -> UUID | None:
        text = self._text(name, required=required)
        if text is None:
            return None
        if _UUID.fullmatch(text):
            return UUID(text)
        self._wrong("INVALID_VALUE", f"{name} is {shown(text) or 'empty'}, which is no id.", "Use a UUID.", name)
        return None

    def sentence(self, name: str, *, required: bool = False) -> str | None:
        """A text of one to 500 printable characters."""
        text = self._text(name, required=required)
        if text is None:
            return None
        if len(text.strip()) >= 1 and len(text) <= LONGEST_SENTENCE and text.isprintable():
            return text.strip()
        expected = f"1 to {LONGEST_SENTENCE} printable characters"
        self._wrong("INVALID_VALUE", f"{name} must have {expected}.", f"Give {expected}.", name)
        return None

    def flag(self, name: str) -> bool:
        value = self._fields.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        self._wrong_type(name, value, "true or false")
        return False

    def not_with(self, name: str, message: str, suggestion: str) -> None:
        if self._fields.get(name) is not None:
            self._wrong("CONTRADICTION", f"{message}.", suggestion, name)

    def _text(self, name: str, *, required: bool = False) -> str | None:
        value = self._fields.get(name)
        if value is None:
            if required:
                self._required(name)
            return None
        if isinstance(value, Number) or not isinstance(value, str):
            self._wrong_type(name, value, "a text")
            return None
        return value

    def _required(self, name: str) -> None:
        self._wrong("REQUIRED", f"{name} is missing.", f"Add {name}.", name)

    def _wrong_type(self, name: str, value: Value, expected: str) -> None:
        self._wrong("INVALID_TYPE", f"{name} is {_kind(value)}; it must be {expected}.", f"Send {expected}.", name)

    def _too_many_digits(self, name: str, value: str) -> None:
        allowed = f"at most {INTEGER_DIGITS} digits before and {DECIMAL_PLACES} after the decimal point"
        self._wrong(
            "TOO_MANY_DIGITS",
            f"{name} is {shown(value)}; it may have {allowed}.",
            f"Use a number with {allowed}.",
            name,
        )

    def _wrong(self, code: str, message: str, suggestion: str, field: str) -> None:
        self.errors.append(Denial(code, message, suggestion, field))


def _is_long_number(text: str) -> bool:
    """A number that is only too long, or has too large an exponent."""
    return re.fullmatch(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", text) is not None


def _kind(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case Number():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
