"""Who sees, imposes and lifts halts, as far as the database lets them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg2.errors import InsufficientPrivilege

from tests.storage import rows
from tests.storage.clusters import OWNER
from tests.storage.sessions import ANN, BEN, Session

Begin = Callable[..., Session]


@pytest.fixture
def api(session: Begin) -> Session:
    """The API as Ann, with a halt of Ann, one of Ben and one of everybody."""
    begun = session("superuser")
    for trader_id in (ANN, BEN):
        begun.insert("halts", rows.halt(trader_id))
    begun.insert("halts", rows.halt(None, scope="GLOBAL"))
    begun("SET ROLE surefill_api")
    begun("SELECT set_config('app.trader_id', %s, true)", str(ANN))
    return begun


def test_a_trader_sees_what_stops_it_and_nobody_elses_halt(api: Session) -> None:
    assert set(api("SELECT trader_id FROM halts")) == {(ANN,), (None,)}


def test_a_trader_neither_imposes_nor_lifts(api: Session) -> None:
    with api.refused(InsufficientPrivilege):
        api.insert("halts", rows.halt(None, scope="SYMBOL", symbol="AAPL"))
    api("UPDATE halts SET lifted_at = now(), lifted_by = 'me', lift_reason = 'please'")
    assert api.rowcount == 0


def test_an_administrator_does_both_and_changes_nothing_else(api: Session) -> None:
    api("SELECT set_config('app.administrator', 'yes', true)")
    assert len(api("SELECT id FROM halts")) == 3
    api.insert("halts", rows.halt(None, scope="SYMBOL", symbol="AAPL"))
    api("UPDATE halts SET lifted_at = now(), lifted_by = 'me', lift_reason = 'please'")
    assert api.rowcount == 4
    with api.refused(InsufficientPrivilege):
        api("UPDATE halts SET reason = 'another'")


def test_an_administrator_writes_the_systems_chain_and_no_traders(api: Session) -> None:
    with api.refused(InsufficientPrivilege):
        api.insert("execution_logs", rows.execution_log(None, None))
    api("SELECT set_config('app.administrator', 'yes', true)")
    api.insert("execution_logs", rows.execution_log(None, None))
    with api.refused(InsufficientPrivilege):
        api.insert("execution_logs", rows.execution_log(BEN, None))


def test_a_worker_halts_a_trader_and_lifts_nothing(session: Begin) -> None:
    worker = session("surefill_worker")
    worker.insert("halts", rows.halt(BEN))
    assert worker("SELECT trader_id FROM halts") == [(BEN,)]
    with worker.refused(InsufficientPrivilege):
        worker.insert("halts", rows.halt(None, scope="GLOBAL"))
    with worker.refused(InsufficientPrivilege):
        worker("UPDATE halts SET lifted_at = now()")


def test_the_owner_administers_halts(session: Begin) -> None:
    owner = session(OWNER)
    owner.insert("halts", rows.halt(None, scope="GLOBAL"))
    owner("UPDATE halts SET lifted_at = now(), lifted_by = 'me', lift_reason = 'please'")
    assert owner.rowcount == 1
