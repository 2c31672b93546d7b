"""The venue's refusals: HTTP status, Alpaca's code, sentence. One code may carry several meanings, as at Alpaca."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulator.figures import plain


class Refusal(Exception):
    """A request that the venue answers with an error.

    `status` is the HTTP status, `code` Alpaca's error code (None leaves it out), `more` further members of the body.
    """

    def __init__(self, status: int, code: int | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.more = more

    def body(self) -> dict[str, Any]:
        """The JSON body of the error."""
        body: dict[str, Any] = {} if self.code is None else {"code": self.code}
        return body | {"message": self.message} | self.more


def unauthorised() -> Refusal:
    """Wrong or missing keys."""
    return Refusal(401, 40110000, "request is not authorized")


def malformed(message: str = "request body format is invalid") -> Refusal:
    """The body is no JSON object, or a member has the wrong JSON type."""
    return Refusal(400, 40010000, message)


def invalid(message: str) -> Refusal:
    """A parameter is missing or makes no sense."""
    return Refusal(422, 40010001, message)


def unprocessable(message: str) -> Refusal:
    """The request is well-formed and cannot be done."""
    return Refusal(422, 42210000, message)


def repeated_client_order_id() -> Refusal:
    """The venue knows this client order id already."""
    return Refusal(422, 40010001, "client_order_id must be unique")


def not_found(message: str) -> Refusal:
    """The venue does not know it."""
    return Refusal(404, 40410000, message)


def order_not_found(identifier: str) -> Refusal:
    """No order has this id or client order id."""
    return not_found(f"order not found for {identifier}")


def insufficient_buying_power(buying_power: Decimal, cost_basis: Decimal) -> Refusal:
    """The order costs more than the account may spend; both in US dollars."""
    return Refusal(
        403,
        40310000,
        "insufficient buying power",
        buying_power=plain(buying_power),
        cost_basis=plain(cost_basis),
    )


def insufficient_quantity(symbol: str, requested: Decimal, available: Decimal, held: Decimal) -> Refusal:
    """More is to be sold than is held and not yet promised to other orders."""
    return Refusal(
        403,
        40310000,
        f"insufficient qty available for order (requested: {plain(requested)}, available: {plain(available)})",
        symbol=symbol,
        available=plain(available),
        existing_qty=plain(available + held),
        held_for_orders=plain(held),
    )


def insufficient_balance(symbol: str, requested: Decimal, available: Decimal) -> Refusal:
    """The same for crypto, which cannot be sold short."""
    coin = symbol.partition("/")[0]
    return Refusal(
        403,
        40310000,
        f"insufficient balance for {coin} (requested: {plain(requested)}, available: {plain(available)})",
        symbol=coin,
        available=plain(available),
        balance=plain(available),
    )


def wash_trade(existing_order_id: str) -> Refusal:
    """The order could trade with another of the same account."""
    return Refusal(
        403,
        40310000,
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason="opposite side market/stop order exists",
    )
