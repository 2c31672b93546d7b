"""schemathesis makes calls of every kind out of the OpenAPI document, by one trader, often with the ids of another.

All of its checks hold, on a real database; no byte of the other trader is in any answer, and nothing of that trader
changes. What is tried is the same every time: values, ids and their order depend on no clock and no chance, and on how
many examples there are, not on how long they take. To try more, by hand, with values of another seed:

    ANY_CALL_EXAMPLES=300 ANY_CALL_SEED=7 .venv/bin/python -m pytest tests/api/test_any_call.py

Each exception from a check has its reason beside it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.transport.wsgi import WSGITransport

from app.domain.time_ordered_ids import time_ordered_uuid
from app.wiring import TimeOrderedIds
from tests.api.canaries import Marked, marked_trader, rows_of
from tests.api.house import Client, House

EXAMPLES = int(os.environ.get("ANY_CALL_EXAMPLES", "12"))
SEED = int(os.environ.get("ANY_CALL_SEED", "20260101"))
BY_HAND = "ANY_CALL_EXAMPLES" in os.environ

_SETTINGS = """
seed = %(seed)d

# A client in the same process does not unpack what it asks for.
headers = { Accept-Encoding = "identity" }

[auth.openapi]
apiKey = { bearer = "%(key)s" }

[cache]
# What an earlier run has left must not say what this one tries.
enabled = false

[generation]
max-examples = %(examples)d
deterministic = %(deterministic)s
no-shrink = true
database = "none"

[phases.fuzzing]
# The values of answers have times in them.
extra-data-sources = { responses = false }
error-feedback = { enabled = false }

[phases.coverage]
extra-data-sources = { responses = false }

[phases.examples]
extra-data-sources = { responses = false }

[phases.stateful]
# Its links would be written by hand; what happens after what is test_order_actions.py and the journeys.
enabled = false

[checks]
# Needs to be told who owns what; that nobody sees another's things is looked for below, in every answer.
object_level_authorization.enabled = false

[checks.positive_data_acceptance]
# 422: a schema cannot say all that is invalid: an order without funds is well-formed, and so is a 30th of February.
# 429: the trader's orders of a minute are spent. 304: nothing has changed. The other statuses are the check's own.
expected-statuses = ["2xx", "304", "401", "403", "404", "409", "422", "429"]
"""

# What its engine hands to calls over the network, and to those in the same process when it repeats one without a key.
_OF_THE_NETWORK = ("max_redirects", "verify", "cert", "proxies")
_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
ABSENT = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def same_ids_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of version 7 that depend on nothing but how many there were before."""
    numbers = itertools.count(1)
    start = datetime(2026, 1, 5, tzinfo=UTC)

    def new(_: TimeOrderedIds) -> UUID:
        number = next(numbers)
        return time_ordered_uuid(start + timedelta(milliseconds=number), number << 32)

    monkeypatch.setattr(TimeOrderedIds, "new", new)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in this process take no settings of a network."""
    send = WSGITransport.send

    def without(self: WSGITransport, case: Any, **settings: Any) -> Any:
        return send(self, case, **{name: value for name, value in settings.items() if name not in _OF_THE_NETWORK})

    monkeypatch.setattr(WSGITransport, "send", without)


class Watched:
    """The application as one trader's calls meet it: ids that are well-formed become ids that somebody has.

    Calls that need a scope beyond a trader's own go out under another key of the same trader, and may see everybody's.
    """

    def __init__(self, house: House, caller: Marked, everything: Client, other: Marked) -> None:
        self._application = house.flask
        self._caller, self._everything = caller, everything
        self._ids = itertools.cycle([*other.order_ids, *caller.order_ids, str(other.client.trader_id), ABSENT])
        self._own_ids = itertools.cycle([*caller.order_ids, ABSENT])
        self._foreign = {trace.lower() for trace in other.traces_beside(caller)}
        self.found: list[str] = []
        self.calls: Counter[str] = Counter()
        self.with_foreign_ids = 0
        self.all_asked = sha256()
        """Of what was asked, in its order: the same every time, where nobody tries by hand."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = str(environ["PATH_INFO"])
        beyond = "/admin/" in path or "/compliance/" in path
        if beyond and environ.get("HTTP_AUTHORIZATION") == f"Bearer {self._caller.client.key}":
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self._everything.key}"
        ids = self._own_ids if beyond else self._ids
        for name in ("PATH_INFO", "QUERY_STRING"):
            environ[name] = _ID.sub(lambda _: next(ids), str(environ[name]))
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        self.calls[environ["REQUEST_METHOD"]] += 1
        self.all_asked.update(asked.encode())
        head: list[bytes] = []

        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            head.extend(f"{name}: {value}".encode() for name, value in headers)
            return start_response(status, headers, *more)

        parts = list(self._application(environ, started))
        if not beyond:
            self._look(asked, b"\n".join([*head, *parts]).lower())
        return parts

    def _look(self, asked: str, answer: bytes) -> None:
        said_before = asked.lower().encode()
        self.with_foreign_ids += any(trace in said_before for trace in self._foreign)
        # a refusal may say back what it was asked for
        found = [trace for trace in self._foreign if trace in answer and trace not in said_before]
        self.found.extend(f"{asked}: {trace.decode()}" for trace in found)


def test_every_check_holds_and_no_answer_has_a_byte_of_another_trader(house: House, in_process: None) -> None:
    other = marked_trader(house, "Ann", "918273.645")
    caller = marked_trader(house, "Ben", "1000000007.25")
    house.limit(caller.client, orders_per_minute=100_000)
    everything = house.with_scopes(caller.client, "read", "trade", "admin", "compliance")
    before = rows_of(house, other.client.trader_id)
    watched = Watched(house, caller, everything, other)
    load_all_checks()
    settings = {
        "seed": SEED,
        "key": caller.client.key,
        "examples": EXAMPLES,
        "deterministic": "false" if BY_HAND else "true",
    }
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json", watched, config=SchemathesisConfig.from_str(_SETTINGS % settings)
    )
    failures: dict[str, list[str]] = {}
    tried: set[str] = set()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            tried.add(event.label or "")
            for name, failure in _failures(event):
                failures.setdefault(f"{event.label}: {name}", []).append(failure)
        elif isinstance(event, (events.NonFatalError, events.FatalError)):
            failures.setdefault("error", []).append(str(getattr(event, "value", event)))
    count, digest = watched.calls.total(), watched.all_asked.hexdigest()[:16]
    print(f"{count} calls, {watched.with_foreign_ids} with ids of another trader, {digest}: {watched.calls}")
    assert not failures, "\n\n".join(f"{name} ({len(said)} times)\n{said[0]}" for name, said in failures.items())
    assert watched.found == []
    assert rows_of(house, other.client.trader_id) == before
    assert watched.with_foreign_ids > 100
    paths = dict(schema.raw_schema["paths"])
    del paths["/api/v1/openapi.json"]  # it does not call what it was made of
    assert tried >= {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def _failures(event: events.ScenarioFinished) -> Iterator[tuple[str, str]]:
    for case_id, nodes in event.recorder.checks.items():
        query = event.recorder.cases[case_id].value.query or {}
        for node in nodes:
            if node.status is not Status.FAILURE or node.failure_info is None:
                continue
            if node.name == "negative_data_rejection" and "" in query.values():
                continue  # a parameter without a value counts as not given: forms send them like that
            failure = node.failure_info.failure
            yield node.name, f"{failure.title}: {failure.message}\n{node.failure_info.code_sample}"
