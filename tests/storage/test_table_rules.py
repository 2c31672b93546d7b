"""What the database refuses though the code forgot it: every CHECK, UNIQUE and reference, one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg2.errors
import pytest

from tests.storage import rows
from tests.storage.clusters import Database
from tests.storage.rows import FILLED, NOON
from tests.storage.sessions import ANN, ANNS_ORDER, BEN, Session

STRANGER = UUID(int=0xC)

Begin = Callable[..., Session]


class Bent(NamedTuple):
    """A valid row with one thing wrong, and the constraint that says so."""

    table: str
    constraint: str
    changes: dict[str, Any]


def _not_positive(table: str, *columns: str) -> list[Bent]:
    return [Bent(table, f"{table}_{column}_check", {column: value}) for column in columns for value in (0, -1)]


CLOSED = {"execution_state": "CLOSED", "due_at": None, "closed_at": NOON, "status": "CANCELLED"}

LIFTED: dict[str, Any] = {"lifted_at": NOON, "lifted_by": "somebody", "lift_reason": "over"}

AMENDED: dict[str, Any] = {"amend_requested_at": NOON, "amend_quantity": 5, "amend_reservation_price": 150}

BENT = [
    *(Bent("traders", "traders_name_check", {"name": name}) for name in ("", "x" * 101)),
    Bent("traders", "traders_trading_state_check", {"trading_state": "PAUSED"}),
    *_not_positive(
        "traders",
        "max_position_value",
        "max_position_quantity",
        "max_order_value",
        "max_order_quantity",
        "max_open_orders",
        "max_daily_notional",
        "daily_loss_limit",
        "orders_per_minute",
    ),
    Bent("api_keys", "api_keys_scopes_check", {"scopes": ["trade", "root"]}),
    Bent("api_keys", "api_keys_scopes_check", {"scopes": [None]}),
    *(Bent("api_keys", "api_keys_signing_key_check", {"signing_key": b"x" * size}) for size in (0, 31, 33)),
    *(Bent("request_nonces", "request_nonces_nonce_check", {"nonce": "x" * size}) for size in (0, 15, 129)),
    *(Bent("venue_credentials", "venue_credentials_venue_check", {"venue": "x" * size}) for size in (0, 101)),
    Bent("accounts", "accounts_reserved_check", {"reserved": -1}),
    Bent("positions", "positions_reserved_quantity_check", {"reserved_quantity": -1}),
    Bent("instruments", "instruments_status_check", {"status": "active"}),
    *_not_positive("instruments", "tick_size", "lot_size"),
    *(Bent("orders", "orders_idempotency_key_check", {"idempotency_key": key}) for key in ("", "x" * 256)),
    Bent("orders", "orders_side_check", {"side": "SHORT"}),
    Bent("orders", "orders_quantity_check", {**FILLED, "quantity": 0, "filled_quantity": 0}),
    *_not_positive("orders", "price", "stop_loss", "take_profit", "max_wait_seconds"),
    Bent("orders", "orders_time_in_force_check", {"time_in_force": "OPG"}),
    Bent("orders", "orders_max_slippage_bps_check", {"max_slippage_bps": -1}),
    Bent("orders", "orders_execution_path_check", {"execution_path": "V1"}),
    Bent("orders", "orders_reservation_price_check", {"reservation_price": -1}),
    Bent("orders", "orders_execution_state_check", {"execution_state": "DONE"}),
    Bent("orders", "orders_filled_within_quantity", {"filled_quantity": 11, "status": "PARTIAL"}),
    Bent("orders", "orders_filled_within_quantity", {"filled_quantity": -1, "status": "REJECTED", **CLOSED}),
    *(
        Bent("orders", "orders_closed_iff_final", {**CLOSED, "status": status, "filled_quantity": filled})
        for status, filled in (("PENDING", 0), ("PARTIAL", 1))
    ),
    *(Bent("orders", "orders_closed_iff_final", {"status": status}) for status in ("REJECTED", "CANCELLED")),
    Bent("orders", "orders_closed_iff_final", {"status": "FILLED", "filled_quantity": 10}),
    Bent("orders", "orders_closed_iff_closed_at", {"closed_at": NOON}),
    Bent("orders", "orders_closed_iff_closed_at", {**CLOSED, "closed_at": None}),
    Bent("orders", "orders_open_iff_due", {"due_at": None}),
    Bent("orders", "orders_open_iff_due", {**CLOSED, "due_at": NOON}),
    Bent("orders", "orders_filled_iff_complete", {**FILLED, "filled_quantity": 9}),
    Bent("orders", "orders_filled_iff_complete", {**FILLED, "status": "CANCELLED"}),
    Bent("orders", "orders_pending_unfilled", {"filled_quantity": 1}),
    Bent("orders", "orders_partial_filled", {"status": "PARTIAL"}),
    Bent("orders", "orders_market_has_no_price", {"order_type": "MARKET"}),
    *(Bent("orders", "orders_market_has_no_price", {"order_type": kind, "price": None}) for kind in ("LIMIT", "STOP")),
    Bent("orders", "orders_working_is_known", {"execution_state": "WORKING"}),
    Bent("orders", "orders_queued_unsent", {"attempts": 1}),
    *_not_positive("orders", "price_bound"),
    Bent("orders", "orders_amend_quantity_check", {**AMENDED, "amend_quantity": 0}),
    Bent("orders", "orders_amend_price_check", {**AMENDED, "amend_price": 0}),
    Bent("orders", "orders_amend_price_bound_check", {**AMENDED, "amend_price_bound": 0}),
    Bent("orders", "orders_part_before_is_filled", {"filled_before": 1}),
    Bent("orders", "orders_part_covered_is_filled", {"covered_quantity": 1}),
    *(Bent("orders", "orders_amendment_whole", {**AMENDED, name: None}) for name in AMENDED),
    Bent("orders", "orders_closed_wants_nothing", {**CLOSED, **AMENDED}),
    Bent("halts", "halts_scope_check", {"scope": "VENUE", "trader_id": None}),
    Bent("halts", "halts_trader_iff_scope", {"trader_id": None}),
    Bent("halts", "halts_trader_iff_scope", {"scope": "GLOBAL"}),
    Bent("halts", "halts_symbol_iff_scope", {"symbol": "AAPL"}),
    *(Bent("halts", "halts_lifted_by_somebody", {name: value}) for name, value in LIFTED.items()),
    Bent("order_attempts", "order_attempts_kind_check", {"kind": "ASK"}),
    *_not_positive("order_attempts", "number"),
    Bent("order_attempts", "order_attempts_outcome_check", {"outcome": "TIMEOUT", "ended_at": NOON}),
    Bent("order_attempts", "order_attempts_ended_iff_outcome", {"outcome": "UNKNOWN"}),
    Bent("order_attempts", "order_attempts_ended_iff_outcome", {"ended_at": NOON}),
    *_not_positive("fills", "quantity_filled", "price_at_fill"),
    Bent("fills", "fills_within_cumulative", {"quantity_filled": 6}),
    *_not_positive("order_events", "seq"),
    *_not_positive("execution_logs", "chain_seq"),
    *(Bent("execution_logs", "execution_logs_own_chain", {"chain_id": chain}) for chain in (BEN, STRANGER)),
    Bent("execution_logs", "execution_logs_own_chain", {"order_id": None, "chain_id": BEN}),
    Bent("execution_logs", "execution_logs_order_has_trader", {"trader_id": None}),
    Bent("audit_chains", "audit_chains_own_chain", {"chain_id": BEN}),
    Bent("audit_chains", "audit_chains_refusals_check", {"refusals": -1}),
    Bent("fills", "fills_commission_source_check", {"commission_source": "GUESS"}),
    Bent("accounts", "accounts_session_notional_check", {"session_notional": -1}),
    Bent("operation_totals", "operation_totals_total_check", {"total": -1}),
    Bent("operation_mark", "operation_mark_only_row_check", {"only_row": False}),
]

# Rows at the edge of a rule, on the side that is allowed.
ALLOWED = [
    Bent("halts", "", LIFTED),
    Bent("traders", "", {"name": "x" * 100, "max_open_orders": 1, "trading_state": "REDUCING"}),
    Bent("api_keys", "", {"scopes": ["read", "compliance"]}),
    Bent("orders", "", {"idempotency_key": "x" * 255, "max_slippage_bps": 0, "reservation_price": 0}),
    Bent("orders", "", {"order_type": "MARKET", "price": None}),
    Bent("orders", "", {"quantity": "0.000000000000000001", "price": "99999999999999999999.999999999999999999"}),
    Bent(
        "orders", "", {"execution_state": "WORKING", "venue_order_id": "1", "status": "PARTIAL", "filled_quantity": 9}
    ),
    Bent("orders", "", {**FILLED}),
    Bent("orders", "", {**CLOSED, "status": "REJECTED", "filled_quantity": 3}),
    Bent("orders", "", {"execution_state": "NEEDS_ATTENTION", "attempts": 4}),
    Bent("orders", "", {**AMENDED, "attempts": 2, "attempts_before": 2}),
    Bent("order_attempts", "", {"outcome": "SENDER_GONE", "ended_at": NOON}),
    Bent("fills", "", {"quantity_filled": 5, "cumulative_quantity": 5}),
    Bent("execution_logs", "", {"trader_id": None, "order_id": None, "action": "CORRECTED"}),
    Bent("execution_logs", "", {"chain_id": ANN}),
]


def _valid(table: str) -> rows.Row:
    if table == "halts":
        return rows.halt(ANN)
    if table == "instruments":
        return rows.instrument(symbol="TSLA")
    if table == "venue_credentials":
        return {"venue": "alpaca", "sealed_with": "k", "sealed": b"x", "updated_at": NOON}
    if table == "operation_totals":
        return {"event": "submitted", "total": 0}
    if table == "operation_mark":
        return {"only_row": True, "counted_to": STRANGER}
    row = dict(rows.another(table, ANN, ANNS_ORDER))
    if table == "traders":
        return rows.trader(STRANGER)
    if table in ("accounts", "event_counters"):
        return row | {"trader_id": STRANGER}
    return row


@pytest.fixture
def superuser(session: Begin) -> Session:
    """Bound by no policy, so that only the rule under test can refuse."""
    begun = session("superuser")
    if not begun("SELECT 1 FROM traders WHERE id = %s", STRANGER):
        begun.insert("traders", rows.trader(STRANGER, name="stranger"))
    return begun


@pytest.mark.parametrize("bent", BENT, ids=lambda bent: f"{bent.constraint}-{bent.changes}"[:90])
def test_a_row_that_breaks_a_rule_is_refused_by_that_rule(superuser: Session, bent: Bent) -> None:
    row = dict(_valid(bent.table))
    if bent.table == "traders":
        row |= {"id": uuid4()}
    with superuser.refused(psycopg2.errors.CheckViolation) as refusal:
        superuser.insert(bent.table, row | bent.changes)
    assert refusal.value.diag.constraint_name == bent.constraint  # type: ignore[attr-defined]


@pytest.mark.parametrize("allowed", ALLOWED, ids=lambda allowed: f"{allowed.table}-{allowed.changes}"[:90])
def test_a_row_at_the_edge_of_a_rule_is_accepted(superuser: Session, allowed: Bent) -> None:
    row = dict(_valid(allowed.table))
    if allowed.table == "traders":
        row |= {"id": uuid4()}
    superuser.insert(allowed.table, row | allowed.changes)


def test_every_check_has_a_row_that_breaks_it(schema: Database) -> None:
    checks = schema.cluster.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace", schema.name
    )
    assert {name for (name,) in checks} == {bent.constraint for bent in BENT}


# Table, constraint, and a second row that differs in everything else.
SAME = [
    ("traders", "traders_name_key", rows.trader(uuid4(), name=str(ANN))),
    ("api_keys", "api_keys_key_hash_key", rows.api_key(BEN, id=uuid4(), key_hash=rows.key_hash(ANN))),
    ("api_key_uses", "api_key_uses_pkey", rows.api_key_use(ANN)),
    ("request_nonces", "request_nonces_pkey", rows.request_nonce(ANN)),
    ("accounts", "accounts_pkey", rows.account(ANN)),
    ("event_counters", "event_counters_pkey", rows.event_counter(ANN)),
    ("positions", "positions_pkey", rows.position(ANN)),
    ("instruments", "instruments_pkey", rows.instrument()),
    ("orders", "orders_pkey", rows.order(BEN, id=ANNS_ORDER)),
    ("order_attempts", "order_attempts_pkey", rows.attempt(ANN, ANNS_ORDER, fence=2)),
    ("order_events", "order_events_pkey", rows.order_event(ANN, ANNS_ORDER, event="order.filled")),
]


@pytest.mark.parametrize(("table", "constraint", "row"), SAME, ids=[constraint for _, constraint, _ in SAME])
def test_a_second_row_of_the_same_identity_is_refused(
    superuser: Session, table: str, constraint: str, row: rows.Row
) -> None:
    with superuser.refused(psycopg2.errors.UniqueViolation) as refusal:
        superuser.insert(table, row)
    assert refusal.value.diag.constraint_name == constraint  # type: ignore[attr-defined]


def _refuses_a_second(superuser: Session, table: str, constraint: str, first: rows.Row, second: rows.Row) -> None:
    superuser.insert(table, first)
    with superuser.refused(psycopg2.errors.UniqueViolation) as refusal:
        superuser.insert(table, second)
    assert refusal.value.diag.constraint_name == constraint  # type: ignore[attr-defined]


def test_an_idempotency_key_is_one_traders_own(superuser: Session) -> None:
    first, second = (rows.order(ANN, idempotency_key="key") for _ in range(2))
    _refuses_a_second(superuser, "orders", "orders_idempotency", first, second)
    superuser.insert("orders", rows.order(BEN, idempotency_key="key"))


def test_an_order_of_the_venue_belongs_to_one_order(superuser: Session) -> None:
    first, second = (rows.order(trader, venue_order_id="v1") for trader in (ANN, BEN))
    _refuses_a_second(superuser, "orders", "orders_venue_order", first, second)
    superuser.insert("orders", rows.order(ANN, venue_order_id="v1", venue="OTHER"))
    for _ in range(2):
        superuser.insert("orders", rows.order(ANN, venue_order_id=None))


def test_a_fill_counts_once_whoever_reports_it(superuser: Session) -> None:
    by_stream = rows.fill(ANN, ANNS_ORDER, venue_order_id="v1", execution_id="from-the-stream")
    by_poll = rows.fill(ANN, ANNS_ORDER, venue_order_id="v1", timestamp=NOON + timedelta(seconds=1))
    _refuses_a_second(superuser, "fills", "fills_identity", by_stream, by_poll)
    superuser.insert("fills", rows.fill(ANN, ANNS_ORDER, venue_order_id="v1", cumulative_quantity=10))


def test_a_chain_has_one_row_at_each_place(superuser: Session) -> None:
    chain = uuid4()
    first, second = (rows.execution_log(None, None, chain_id=chain, chain_seq=1) for _ in range(2))
    _refuses_a_second(superuser, "execution_logs", "execution_logs_chain", first, second)
    superuser.insert("execution_logs", rows.execution_log(None, None, chain_id=chain, chain_seq=2))


def test_nothing_is_deleted_by_way_of_something_else(schema: Database) -> None:
    references = schema.cluster.execute(
        "SELECT conrelid::regclass::text, confdeltype, confupdtype FROM pg_constraint WHERE contype = 'f'", schema.name
    )
    assert len(references) == 16
    assert {(on_delete, on_update) for _, on_delete, on_update in references} == {("r", "a")}


def test_money_keeps_every_digit(superuser: Session) -> None:
    superuser.insert(
        "orders", rows.order(ANN, idempotency_key="digits", price="12345678901234567890.123456789012345678")
    )
    ((price,),) = superuser("SELECT price FROM orders WHERE idempotency_key = 'digits'")
    assert str(price) == "12345678901234567890.123456789012345678"


def test_a_new_account_counts_no_orders_in_any_minute(superuser: Session) -> None:
    superuser.insert("accounts", rows.account(STRANGER))
    assert superuser(
        "SELECT rate_count, rate_previous, rate_minute = '-infinity' FROM accounts WHERE trader_id = %s", STRANGER
    ) == [(0, 0, True)]
