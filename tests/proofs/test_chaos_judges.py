"""What a chaos run takes for an answer, a recovery and an end: nothing runs here, so each can go the other way."""

from __future__ import annotations

import argparse
import asyncio
import io
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from rich.console import Console

from local.cannot_start import CannotStart
from proofs import chaos
from proofs.chaos import Chaos, Strike, forgive_expected
from proofs.chaos_faults import Fault, Scene
from proofs.chaos_load import Load, Told
from proofs.chaos_report import Recoveries, contract_document
from proofs.ledgers import MUST_BE_ZERO, Comparison, _count_ends
from proofs.our_ledger import OurLedger, OurLogEntry
from proofs.trader_client import Refused
from simulator.settings import CLIENT_ID_UNIQUENESS
from tests.journeys.test_ledgers_that_differ import ORDER, Books

PROBE = UUID(int=7)


@pytest.mark.parametrize(
    ("status", "code", "by_the_rules"),
    [(422, "REFERENCE_PRICE_STALE", True), (422, "WASH_TRADE", True), (429, "ORDER_RATE_LIMIT", True),
     (409, "DUPLICATE_SUSPECTED", True), (500, "INTERNAL_ERROR", False), (502, "None", False),
     (401, "API_KEY_INVALID", False), (404, "NOT_FOUND", False), (400, "BODY_INCOMPLETE", False),
     (422, "REQUIRED", False), (409, "WASH_TRADE", False), (429, "TOO_MANY_FAILED_SIGN_INS", False)],
)  # fmt: skip
def test_only_a_known_refusal_is_one_by_the_rules(status: int, code: str, by_the_rules: bool) -> None:
    told = Told()
    told.was_refused(Refused(status, {"code": code, "detail": "why"}))
    assert (dict(told.refused), told.unexpected) == (({code: 1}, 0) if by_the_rules else ({}, 1))
    assert told.unexpected_first == ([] if by_the_rules else [f"{status} {code}: why"])


class Client:
    """Answers each submission with the next of these."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    async def submit(self, _body: object, **_: object) -> object:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return SimpleNamespace(order_id=outcome)


def load_of(*clients: Client) -> Load:
    load = Load("http://nowhere", [], 1)
    load.clients = cast(Any, list(clients))
    load._random = cast(Any, SimpleNamespace(random=lambda: 1.0))
    return load


STALE = Refused(422, {"code": "REFERENCE_PRICE_STALE"})
WASH_TRADE = Refused(422, {"code": "WASH_TRADE"})
BROKEN = Refused(500, {"code": "INTERNAL_ERROR"})


@pytest.mark.parametrize(
    ("outcomes", "probed"), [((STALE, STALE, PROBE), PROBE), ((WASH_TRADE,), None), ((BROKEN,), None)]
)
def test_a_probe_is_sent_until_the_system_is_back_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, outcomes: tuple[object, ...], probed: UUID | None
) -> None:
    monkeypatch.setattr("proofs.chaos_load.PROBE_PAUSE_SECONDS", 0.0)

    async def probe() -> UUID | None:
        return await load_of(Client(*outcomes)).probe()

    assert asyncio.run(probe()) == probed


def chaos_of(load: Load, *, alone: bool = False, **scene: object) -> Chaos:
    options = argparse.Namespace(minutes=0, rate=1, seed=1, pace=1, kinds=[], alone=alone)
    stack = SimpleNamespace(settings=SimpleNamespace(database_url_worker=""))
    everything = cast(Scene, SimpleNamespace(stack=stack, random=Random(1), **scene))
    return Chaos(everything, load, Console(file=io.StringIO()), options)


@pytest.mark.parametrize(("outcome", "end", "measured"), [(PROBE, "FILLED", 1), (PROBE, "REJECTED", 0),
                                                          (PROBE, "CANCELLED", 0), (WASH_TRADE, "", 0)])  # fmt: skip
def test_only_an_order_that_was_filled_shows_a_recovery(outcome: object, end: str, measured: int) -> None:
    async def watched() -> Chaos:
        load = load_of(Client(outcome))
        load.told.becomes(PROBE, "CLOSED")
        load.told.status_of[PROBE] = end
        chaos = chaos_of(load)
        strike = Strike(1, Fault("kill worker", lambda _scene: None), 0.0)
        strike.taken_back.set()
        chaos.strikes.append(strike)
        await chaos._watch(strike)
        assert strike.settled is not None
        return chaos

    recoveries = asyncio.run(watched()).recoveries
    assert len(recoveries.seconds["kill worker"]) == len(recoveries.intake["kill worker"]) == measured


class Late:
    """The venue's control endpoint, as far as an end asks it."""

    def __init__(self, late: int = 0) -> None:
        self.late = late

    def late_requests(self) -> int:
        return self.late


async def ended(load: Load, venue: Late, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    monkeypatch.setattr(chaos, "DRAIN_SECONDS", 0.0)
    monkeypatch.setattr(chaos, "AGREE_SECONDS", 0.0)
    monkeypatch.setattr(chaos, "open_states", lambda _url: {})
    run = chaos_of(load, venue=venue)
    monkeypatch.setattr(run, "_compared", Comparison)
    await run._drain()
    return await run._agree()


def drained(load: Load, *chores: Any) -> None:
    """What its drain leaves to do, beside the look at the quotes that never ends."""

    async def drain() -> None:
        load._do(asyncio.sleep(60))
        for chore in chores:
            load._do(chore())
        await asyncio.sleep(0)

    load.drain = drain  # type: ignore[method-assign] # the real one needs a system


def test_a_run_in_which_everything_came_to_its_end_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of()
    drained(load)
    assert asyncio.run(ended(load, Late(), monkeypatch)).holds


def test_a_client_that_is_never_answered_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of()
    drained(load, lambda: asyncio.sleep(60))
    assert asyncio.run(ended(load, Late(), monkeypatch)).counters() == {"unfinished": 1}


def test_a_request_that_the_venue_may_still_carry_out_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of()
    drained(load)
    assert asyncio.run(ended(load, Late(2), monkeypatch)).counters() == {"unfinished": 2}


async def failing() -> None:
    raise Refused(404, {"code": "NOT_FOUND"})


def test_a_chore_that_fails_in_the_drain_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of()
    drained(load, failing)
    monkeypatch.setattr(chaos, "open_states", lambda _url: {})

    async def drain() -> None:
        await chaos_of(load)._drain()

    with pytest.raises(Refused):
        asyncio.run(drain())


def test_a_chore_that_fails_while_the_ledgers_are_compared_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of()

    class Failing(Late):
        def late_requests(self) -> int:
            load.failure = Refused(404, {"code": "NOT_FOUND"})
            return 0

    drained(load)
    with pytest.raises(Refused):
        asyncio.run(ended(load, Failing(), monkeypatch))


def test_an_answer_that_nobody_expected_is_a_difference_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    load = load_of()
    load.told.was_refused(BROKEN)
    run = chaos_of(load, venue=SimpleNamespace(ledger=lambda: None))
    monkeypatch.setattr(run, "_ours", lambda: OurLedger({}, [], [], []))
    monkeypatch.setattr(chaos, "compare", lambda *_, **__: Comparison())
    compared = run._compared()
    assert compared.counters() == {"unexpected_answers": 1}
    assert compared.differences == ["unexpected_answers: 500 INTERNAL_ERROR: None"]


NONSENSE = "VENUE_ANSWER_NONSENSE: it said that it cannot be"


@pytest.mark.parametrize(
    ("carried", "written", "forgiven"),
    [
        ("VENUE_ANSWER_NONSENSE", [NONSENSE], True),
        ("TERMS_DIFFER", ["TERMS_DIFFER: it is for 2 WRONG, not AAPL"], True),
        ("TERMS_DIFFER", ["TERMS_DIFFER: it is for 2 KO, not AAPL"], False),
        ("OVERFILL", ["OVERFILL: more than ordered"], False),
        ("VENUE_ANSWER_NONSENSE", [], False),
        ("VENUE_ANSWER_NONSENSE,OVERFILL", [NONSENSE], False),
        ("VENUE_ANSWER_NONSENSE,OVERFILL", [NONSENSE, "OVERFILL: more than ordered"], False),
    ],
)
def test_an_alarm_is_expected_only_where_the_audit_log_has_it_with_an_expected_sentence(
    carried: str, written: Sequence[str], forgiven: bool
) -> None:
    order = replace(Books().order, alarm_code=carried)
    log = [OurLogEntry(ORDER, ORDER, 1, "", "", "ALARMED", None, alarm=alarm) for alarm in written]
    ours = OurLedger({ORDER: order}, [], [], log)
    found = Comparison()
    _count_ends(found, ours)
    forgive_expected(found, ours)
    assert (found.alarms, bool(found.differences)) == ((0, False) if forgiven else (1, True))


@pytest.mark.parametrize("counter", MUST_BE_ZERO)
def test_whatever_differs_shows_in_the_document(counter: str) -> None:
    found = Comparison()
    found.note(counter, "differs")
    document = contract_document(found, 0, Recoveries())
    assert sum(value for value in document.values() if isinstance(value, int)) == 1


@pytest.mark.parametrize("alone", [False, True])
def test_alone_the_next_fault_waits_for_the_last_ones_traces_however_long_they_stay(alone: bool) -> None:
    async def settling() -> bool:
        run = chaos_of(load_of(), alone=alone)
        long_over = time.monotonic() - chaos.OVERLAP_AFTER_SECONDS - 1
        run.strikes.append(Strike(1, Fault("kill web", lambda _: None), long_over, ended=long_over))
        gone = asyncio.Event()
        traces = asyncio.create_task(gone.wait())
        run._watching.add(cast(Any, traces))
        waiting = asyncio.create_task(run._let_settle())
        for _ in range(5):
            await asyncio.sleep(0)
        went_on = waiting.done()
        gone.set()
        await waiting
        await traces
        return went_on

    assert asyncio.run(settling()) is not alone


@pytest.mark.parametrize("uniqueness", CLIENT_ID_UNIQUENESS)
def test_service_and_venue_are_told_the_same_of_repeated_ids(
    uniqueness: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: dict[str, str] = {}

    def stack(_folder: object, environment: dict[str, str], **others: Any) -> None:
        told.update(environment, **others["simulator_environment"])
        raise CannotStart("far enough")

    monkeypatch.setattr(chaos, "LocalStack", stack)
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: str(tmp_path))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.setswitchinterval", lambda _: None)
    assert chaos.main(["--uniqueness", uniqueness]) == 2
    assert (told["VENUE_CLIENT_ID_UNIQUENESS"], told["SIMULATOR_CLIENT_ID_UNIQUENESS"]) == (uniqueness, uniqueness)
