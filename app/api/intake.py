"""What the routes work with, handed in by the web process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app

from app.api.authentication import Caller
from app.api.problems import list_too_slow
from app.domain.changes import LostRace
from app.lifecycle.accept import AcceptancePolicy
from app.lifecycle.ports import Ports
from app.sign_ins import SignIns
from app.storage import quote_requests
from app.storage.order_reads import LIST_SETTINGS, LONGEST_LIST_SECONDS
from app.storage.transaction import Call, Database, DatabaseUnavailable, Row, StatementTooLong

log = logging.getLogger(__name__)

EXTENSION = "surefill"


@dataclass(frozen=True, slots=True)
class Intake:
    """The surroundings of every route of one process."""

    ports: Ports
    database: Database
    sign_ins: SignIns
    acceptance: AcceptancePolicy
    venue: str
    """The name of the only venue that is configured."""
    orders_per_minute: int
    """The limit of traders that have none of their own."""
    compliance: Callable[[], Database]
    """Connections of the login that reads everybody's rows and changes none. Raises SettingsError without one."""

    def read(self, caller: Caller, call: Call) -> list[Row]:
        """Rows of one statement, as far as row security shows them to this trader. Raises DatabaseUnavailable."""
        return self.database.read(call, settings=row_security(caller))

    def ask_for_quote(self, symbol: str, at: datetime) -> None:
        """Have the symbol's quote watched. Where that cannot be stored now, the next one to ask does it."""
        try:
            with self.database.transaction() as transaction:
                transaction.finish(quote_requests.ask(symbol, at))
        except (LostRace, DatabaseUnavailable) as error:
            log.warning("a quote could not be asked for: %s", error)

    def read_list(self, caller: Caller, call: Call) -> list[Row]:
        """The same for a page of a long list. Raises Problem 503 when looking for its rows takes too long."""
        try:
            return self.database.read(call, settings={**row_security(caller), **LIST_SETTINGS})
        except StatementTooLong as error:
            raise list_too_slow(LONGEST_LIST_SECONDS) from error


def row_security(caller: Caller) -> Mapping[str, str]:
    """The settings that make row security show this caller's rows and no others."""
    return {"app.trader_id": str(caller.trader_id)}


def intake() -> Intake:
    """The intake of this process; the first request makes its connections."""
    return cast("Callable[[], Intake]", current_app.extensions[EXTENSION])()
