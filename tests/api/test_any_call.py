"""schemathesis makes calls of every kind out of the OpenAPI document; all of its checks hold, on a real database.

Each exception from a check has its reason beside it.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.transport.wsgi import WSGITransport

from tests.api.house import House

MOST_SECONDS = 60

_SETTINGS = f"""
seed = 20260101
max-time = {MOST_SECONDS}

# A client in the same process does not unpack what it asks for.
headers = {{ Accept-Encoding = "identity" }}

[auth.openapi]
apiKey = {{ bearer = "%s" }}

[generation]
max-examples = 6
no-shrink = true
database = "none"

[phases.stateful]
# Its links would be written by hand; what happens after what is test_order_actions.py and the journeys.
enabled = false

[checks]
# Needs two keys; that nobody sees another's things is test_callers.py.
object_level_authorization.enabled = false

[checks.positive_data_acceptance]
# 422: a schema cannot say all that is invalid: an order without funds is well-formed, and so is a 30th of February.
# 429: the trader's orders of a minute are spent. 304: nothing has changed. The other statuses are the check's own.
expected-statuses = ["2xx", "304", "401", "403", "404", "409", "422", "429"]
"""

# What its engine hands to calls over the network, and to those in the same process when it repeats one without a key.
_OF_THE_NETWORK = ("max_redirects", "verify", "cert", "proxies")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in this process take no settings of a network."""
    send = WSGITransport.send

    def without(self: WSGITransport, case: Any, **settings: Any) -> Any:
        return send(self, case, **{name: value for name, value in settings.items() if name not in _OF_THE_NETWORK})

    monkeypatch.setattr(WSGITransport, "send", without)


def test_every_check_of_schemathesis_holds(house: House, in_process: None) -> None:
    ann = house.trader("Ann", cash="1000000000")
    house.limit(ann, orders_per_minute=100_000)
    ann.order()
    everything = house.with_scopes(ann, "read", "trade", "admin", "compliance")
    load_all_checks()
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json", house.flask, config=SchemathesisConfig.from_str(_SETTINGS % everything.key)
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
    assert not failures, "\n\n".join(f"{name} ({len(said)} times)\n{said[0]}" for name, said in failures.items())
    paths = dict(schema.raw_schema["paths"])
    del paths["/api/v1/openapi.json"]  # it does not call what it was made of
    assert tried >= {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def _failures(event: events.ScenarioFinished) -> Any:
    for case_id, nodes in event.recorder.checks.items():
        query = event.recorder.cases[case_id].value.query or {}
        for node in nodes:
            if node.status is not Status.FAILURE or node.failure_info is None:
                continue
            if node.name == "negative_data_rejection" and "" in query.values():
                continue  # a parameter without a value counts as not given: forms send them like that
            failure = node.failure_info.failure
            yield node.name, f"{failure.title}: {failure.message}\n{node.failure_info.code_sample}"
