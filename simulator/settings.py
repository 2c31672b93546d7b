"""What the simulator is started with: command line first, then environment, then default."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from simulator.fault_profiles import parse_profile

CLIENT_ID_UNIQUENESS = ("permanent", "open_orders", "none")
REPLACEMENT_QUANTITY = ("original", "remaining")
SHORT_SELLING = ("allowed", "refused")
SWITCH = ("on", "off")


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the text names it and says what is expected."""


@dataclass
class Settings:
    """Everything that can be set at start. Delays are milliseconds, money is US dollars.

    Not frozen: the control endpoint changes the delays and the rules of a running simulator.
    """

    host: str = "127.0.0.1"
    port: int = 0
    ledger: Path = Path("simulator-ledger.sqlite3")
    seed: int = 1
    client_id_uniqueness: str = "permanent"
    client_id_length: int = 128
    key_id: str = "SIMULATORKEY"
    secret_key: str = "simulator-secret"  # noqa: S105 - a demonstration's, known to all; nothing real behind it
    fill_delay_ms: int = 0
    partial_fill_interval_ms: int = 50
    cancel_delay_ms: int = 0
    replace_delay_ms: int = 0
    replacement_quantity: str = "original"
    quote_interval_ms: int = 400
    cash: Decimal = Decimal(1_000_000_000)
    short_selling: str = "allowed"
    wash_trade_check: str = "off"
    faults: str = "none"


CHANGEABLE = (
    "client_id_uniqueness",
    "client_id_length",
    "fill_delay_ms",
    "partial_fill_interval_ms",
    "cancel_delay_ms",
    "replace_delay_ms",
    "replacement_quantity",
    "short_selling",
    "wash_trade_check",
    "faults",
)
"""Settings that the control endpoint may change while the simulator runs."""

_MEANING = {
    "host": "address to listen on; anything but loopback exposes an unprotected control endpoint",
    "port": "port to listen on; 0 takes a free one and prints it",
    "ledger": "SQLite file of orders, executions and the request log; made when missing",
    "seed": "seed of quotes and of random faults",
    "client_id_uniqueness": "what a repeated client_order_id meets: " + ", ".join(CLIENT_ID_UNIQUENESS),
    "client_id_length": "longest client_order_id accepted, in characters",
    "key_id": "API key id that clients must send",
    "secret_key": "secret that clients must send",
    "fill_delay_ms": "from `new` to the first fill of a marketable order",
    "partial_fill_interval_ms": "between the partial fills of an order larger than the displayed size",
    "cancel_delay_ms": "from an accepted cancel to the order's end; a fill may win in between",
    "replace_delay_ms": "from an accepted replace to its effect; a fill may win in between",
    "replacement_quantity": "quantity of a replacement that names none: original or remaining",
    "quote_interval_ms": "between two moves of the quotes",
    "cash": "the account's cash at the first start",
    "short_selling": "whether more may be sold than is held: allowed or refused",
    "wash_trade_check": "on refuses orders that could trade with the account's own resting order",
    "faults": "fault profile: none, one-in-three, one-in-<number>",
}


def checked(name: str, text: str) -> Any:
    """The typed value of setting `name` written as `text`. Raises SettingsError."""
    default = {field.name: field.default for field in fields(Settings)}[name]
    choices = {
        "client_id_uniqueness": CLIENT_ID_UNIQUENESS,
        "replacement_quantity": REPLACEMENT_QUANTITY,
        "short_selling": SHORT_SELLING,
        "wash_trade_check": SWITCH,
    }.get(name)
    if choices is not None:
        if text not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {text!r}")
        return text
    if name == "faults":
        try:
            parse_profile(text)
        except ValueError as error:
            raise SettingsError(f"faults: {error}") from error
        return text
    if isinstance(default, int):
        if not text.isascii() or not text.isdigit():
            raise SettingsError(f"{name} must be a whole number of zero or more, not {text!r}")
        return int(text)
    if isinstance(default, Decimal):
        try:
            amount = Decimal(text)
        except InvalidOperation as error:
            raise SettingsError(f"{name} must be an amount, not {text!r}") from error
        if not amount.is_finite() or amount < 0:
            raise SettingsError(f"{name} must be an amount of zero or more, not {text!r}")
        return amount
    if isinstance(default, Path):
        return Path(text)
    return text


def read_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line and `SIMULATOR_*` variables. Raises SettingsError; `--help` exits."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    for field in fields(Settings):
        shown = "a built-in demo value" if field.name == "secret_key" else f"{field.default}"
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            default=None,
            help=f"{_MEANING[field.name]} (env SIMULATOR_{field.name.upper()}, default {shown})",
        )
    given = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    for field in fields(Settings):
        text = given[field.name]
        if text is None:
            text = environment.get(f"SIMULATOR_{field.name.upper()}") or None
        if text is not None:
            values[field.name] = checked(field.name, text)
    return Settings(**values)
