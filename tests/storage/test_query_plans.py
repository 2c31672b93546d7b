"""Row security costs no table scan: its policies are index conditions, worked out once a query."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.storage import (
    api_keys,
    audit_reads,
    book_totals,
    halts,
    instruments,
    log_sequence,
    orders,
    quote_requests,
    report_reads,
    venue_books,
)
from app.storage.audit_reads import Wanted, log_page
from app.storage.order_store import READ_FOR_ACCEPTANCE
from app.storage.transaction import Statement
from tests.storage.clusters import Cluster, Database
from tests.storage.sessions import Session

TRADERS = 1000
TRADING = 40
ORDERS_EACH = 100
# In the middle of the others, so that no index starts or ends with it.
ME = UUID(int=20)
OTHER = UUID(int=21)
NO_ORDER = UUID(int=0)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
VENUES_CHAIN = UUID(int=99)
MY_KEY = UUID(int=98)

_DATA = f"""
INSERT INTO traders (id, name, created_at, updated_at)
  SELECT lpad(to_hex(t), 32, '0')::uuid, t::text, now(), now() FROM generate_series(1, {TRADERS}) t;
INSERT INTO accounts (trader_id, cash, updated_at) SELECT id, 1, now() FROM traders;
INSERT INTO event_counters (trader_id) SELECT id FROM traders;
INSERT INTO audit_chains (chain_id, trader_id, seq, hash) SELECT id, id, 1, '' FROM traders;
-- From here on the first {TRADING} only.
CREATE TEMPORARY VIEW trading AS SELECT * FROM traders WHERE name::integer <= {TRADING};
INSERT INTO positions (trader_id, symbol, quantity, reserved_quantity, cost_basis, realized_pnl, updated_at)
  SELECT id, 'S' || s, 1, 0, 1, 0, now() FROM trading, generate_series(1, {ORDERS_EACH}) s;
INSERT INTO api_keys (id, trader_id, prefix, key_hash, created_at)
  SELECT gen_random_uuid(), id, 'p', sha256((id::text || k)::bytea), now()
  FROM trading, generate_series(1, {ORDERS_EACH}) k;
INSERT INTO api_keys (id, trader_id, prefix, key_hash, created_at) VALUES ('{MY_KEY}', '{ME}', 'p', sha256('k'), now());
INSERT INTO orders (id, trader_id, idempotency_key, request_fingerprint, symbol, side, quantity, order_type,
    time_in_force, venue, execution_path, reservation_price, status, execution_state, due_at, closed_at, log_seq,
    log_hash, version, created_at, updated_at)
  SELECT gen_random_uuid(), t.id, n::text, '', 'AAPL', 'BUY', 1, 'MARKET', 'DAY', 'ALPACA', 'V2', 1,
    CASE WHEN is_open THEN 'PENDING' ELSE 'CANCELLED' END::order_status_enum,
    CASE WHEN is_open THEN 'QUEUED' ELSE 'CLOSED' END,
    CASE WHEN is_open THEN now() END, CASE WHEN NOT is_open THEN now() END,
    1, '', 1, '2026-01-05 12:00Z'::timestamptz + n * interval '1 s', now()
  FROM trading t, generate_series(1, {ORDERS_EACH}) n, LATERAL (SELECT n % 20 = 0 AS is_open) o;
INSERT INTO fills (id, order_id, trader_id, symbol, side, timestamp, quantity_filled, price_at_fill, venue,
    venue_order_id, cumulative_quantity, realized_pnl, created_at)
  SELECT id, id, trader_id, symbol, side, created_at, 1, 1, venue, id::text, 1, 0, created_at FROM orders;
INSERT INTO order_attempts (order_id, kind, number, trader_id, fence, client_order_id, sender, sent_at)
  SELECT id, 'SUBMIT', 1, trader_id, 1, id::text, 'w', created_at FROM orders;
INSERT INTO order_events (trader_id, seq, order_id, event, payload, recorded_at)
  SELECT trader_id, row_number() OVER (PARTITION BY trader_id), id, 'order.submitted', '{{}}', created_at FROM orders;
INSERT INTO execution_logs (id, chain_id, chain_seq, previous_hash, hash, trader_id, actor, action, order_id, timestamp,
    software_version, created_at)
  SELECT id, id, 1, '', '', trader_id, 'trader', 'SUBMITTED', id, created_at, '1', created_at FROM orders;
INSERT INTO instruments (symbol, venue, name, status, tick_size, lot_size, updated_at)
  SELECT 'I' || n, 'ALPACA', 'n', 'ACTIVE', 0.01, 1, now() FROM generate_series(1, 3000) n;
-- What is over: halts that were lifted, nonces and uses of keys, exits, orphans that are known, wishes for quotes.
INSERT INTO halts (id, scope, trader_id, code, reason, cancel_exits, halted_by, created_at, lifted_at, lifted_by,
    lift_reason)
  SELECT gen_random_uuid(), 'TRADER', id, 'OPERATOR', 'r', false, 'op', now(), now(), 'op', 'r'
  FROM trading, generate_series(1, {ORDERS_EACH});
INSERT INTO quote_requests (symbol, asked_at)
  SELECT symbol, '2026-01-05 12:00Z'::timestamptz + row_number() OVER () * interval '1 s' FROM instruments;
INSERT INTO request_nonces (key_id, trader_id, nonce, expires_at)
  SELECT id, trader_id, repeat('n', 16), now() + interval '1 h' FROM api_keys;
INSERT INTO api_key_uses (key_id, trader_id, last_used_at) SELECT id, trader_id, now() FROM api_keys;
INSERT INTO execution_logs (id, chain_id, chain_seq, previous_hash, hash, actor, action, venue, venue_order_id,
    error_code, timestamp, software_version, created_at)
  SELECT gen_random_uuid(), '{VENUES_CHAIN}', n, '', '', 'comparison', 'ALARMED', 'ALPACA', n::text, 'ORPHAN',
    now() - interval '1 year', '1', now() FROM generate_series(1, 3000) n;
"""


@pytest.fixture(scope="module")
def schema(cluster: Cluster, migrated: Database) -> Iterator[Database]:
    """A database with enough rows that a scan of a whole table would be the slower way."""
    with cluster.database(migrated) as database:
        database.cluster.execute(_DATA, database.name)
        database.cluster.execute("VACUUM ANALYZE", database.name)
        yield database


Begin = Callable[..., Session]


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, from the top."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes_of(child)


def explain(session: Session, statement: str) -> list[dict[str, Any]]:
    """The nodes of the plan as it was really executed."""
    ((plans,),) = session(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
    return list(nodes_of(plans[0]["Plan"]))


# As PostgreSQL 17 and later write it, and as 16 does.
MINE = r"trader_id = (\(InitPlan \d+\)\.col1|\$\d+)"

# Statement, index, and what of it must be a condition of the index and no filter behind it.
QUERIES = {
    "newest orders": (
        "SELECT * FROM orders ORDER BY created_at DESC, id DESC LIMIT 20",
        "idx_orders_trader_created",
        [MINE],
    ),
    "next page of orders": (
        f"SELECT * FROM orders WHERE (created_at, id) < ('2026-01-05 12:00:50Z', '{NO_ORDER}'::uuid)"
        " ORDER BY created_at DESC, id DESC LIMIT 20",
        "idx_orders_trader_created",
        [MINE],
    ),
    "orders of a time": (
        "SELECT * FROM orders WHERE created_at >= '2026-01-05 12:01:30Z'",
        "idx_orders_trader_created",
        [MINE, "created_at"],
    ),
    "an order": (
        f"SELECT * FROM orders WHERE id = '{NO_ORDER}'",
        "orders_of_trader",
        ["id =", MINE],
    ),
    "an order by its idempotency key": (
        "SELECT * FROM orders WHERE idempotency_key = '7'",
        "orders_idempotency",
        [MINE, "idempotency_key ="],
    ),
    "fills of a time": (
        "SELECT * FROM fills WHERE timestamp >= '2026-01-05 12:00:30Z' ORDER BY timestamp DESC",
        "idx_fills_trader_timestamp",
        [MINE, '"timestamp"'],
    ),
    "log of a time": (
        "SELECT * FROM execution_logs WHERE timestamp >= '2026-01-05 12:01:30Z' ORDER BY timestamp DESC",
        "idx_execution_logs_trader_timestamp",
        [MINE, '"timestamp"'],
    ),
    "an order's fills": (
        f"SELECT * FROM fills WHERE order_id = '{NO_ORDER}'",
        "idx_fills_order",
        ["order_id ="],
    ),
    "an order's log": (
        f"SELECT * FROM execution_logs WHERE order_id = '{NO_ORDER}' ORDER BY chain_seq",
        "idx_execution_logs_order",
        ["order_id ="],
    ),
    "an order's attempts": (
        f"SELECT * FROM order_attempts WHERE order_id = '{NO_ORDER}'",
        "order_attempts_pkey",
        ["order_id ="],
    ),
    "events since": (
        f"SELECT seq, payload FROM order_events WHERE trader_id = '{ME}' AND seq > 50 ORDER BY seq LIMIT 10",
        "order_events_pkey",
        ["trader_id =", "seq >"],
    ),
    "an order's events": (
        f"SELECT payload FROM order_events WHERE order_id = '{NO_ORDER}' ORDER BY seq",
        "idx_order_events_order",
        ["order_id ="],
    ),
    "the exits of an order": (f"SELECT * FROM orders WHERE parent_id = '{NO_ORDER}'", "idx_orders_parent", []),
    "account": ("SELECT * FROM accounts", "accounts_pkey", [MINE]),
    "positions": ("SELECT * FROM positions", "positions_pkey", [MINE]),
    "a position": ("SELECT * FROM positions WHERE symbol = 'S7'", "positions_pkey", [MINE, "symbol ="]),
}


@pytest.fixture
def api(session: Begin) -> Session:
    return session("surefill_api", trader_id=ME)


@pytest.mark.parametrize("query", QUERIES)
def test_the_isolation_of_a_trader_is_a_condition_of_the_index(api: Session, query: str) -> None:
    statement, index, conditions = QUERIES[query]
    nodes = explain(api, statement)
    assert [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"] == []
    (scan,) = [node for node in nodes if node.get("Index Name")]
    assert scan["Index Name"] == index
    for condition in conditions:
        assert re.search(condition, scan["Index Cond"])


@pytest.mark.parametrize("table", ["orders", "fills", "execution_logs", "order_events", "positions", "accounts"])
def test_the_trader_is_worked_out_once_a_query_and_not_once_a_row(api: Session, table: str) -> None:
    plans = [node for node in explain(api, f"SELECT * FROM {table}") if node.get("Parent Relationship") == "InitPlan"]
    assert plans
    assert [node["Actual Loops"] for node in plans] == [1] * len(plans)
    assert all("SubPlan" not in str(node.get("Parent Relationship")) for node in explain(api, f"SELECT * FROM {table}"))


def test_an_open_order_is_found_among_its_traders_orders(api: Session) -> None:
    # Comparing enums is not declared leakproof, so the status filters what the index found by the trader: a policy's
    # condition must come first.
    nodes = explain(api, "SELECT * FROM orders WHERE status = 'PENDING'")
    (scan,) = [node for node in nodes if node.get("Index Name")]
    assert re.search(MINE, scan["Index Cond"])
    assert scan["Index Name"] in ("idx_orders_trader_status", "idx_orders_trader_created", "orders_idempotency")


def test_a_key_is_found_by_an_index(session: Begin) -> None:
    nodes = explain(session("surefill_api", key_hash="00" * 32), "SELECT * FROM api_keys")
    (scan,) = [node for node in nodes if node.get("Index Name")]
    assert scan["Index Name"] == "api_keys_key_hash_key"
    assert "key_hash =" in scan["Index Cond"]


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT seq, payload FROM order_events WHERE trader_id = '{ME}' AND seq > 90 ORDER BY seq",
        f"SELECT e.* FROM unnest(ARRAY['{ME}', '{OTHER}']::uuid[], ARRAY[90, 90]) AS c (trader, cursor),"
        " LATERAL (SELECT * FROM order_events WHERE trader_id = c.trader AND seq > c.cursor ORDER BY seq LIMIT 9) AS e",
    ],
    ids=["one trader", "several traders"],
)
def test_the_feed_reads_from_its_cursor_on(session: Begin, statement: str) -> None:
    nodes = explain(session("surefill_api", trader_ids=f"{{{ME},{OTHER}}}"), statement)
    (scan,) = [node for node in nodes if node.get("Index Name")]
    assert scan["Index Name"] == "order_events_pkey"
    assert "seq >" in scan["Index Cond"]
    assert scan["Actual Rows"] * scan["Actual Loops"] in (10, 18)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT * FROM orders WHERE due_at <= now() ORDER BY due_at LIMIT 100", "idx_orders_due"),
        ("SELECT count(*) FROM orders WHERE status = 'PARTIAL'", "idx_orders_status"),
        (f"SELECT * FROM accounts WHERE trader_id = '{ME}' FOR UPDATE", "accounts_pkey"),
        (f"UPDATE event_counters SET head_seq = head_seq + 1 WHERE trader_id = '{ME}'", "event_counters_pkey"),
    ],
)
def test_a_workers_policies_add_nothing_to_its_queries(session: Begin, statement: str, index: str) -> None:
    nodes = explain(session("surefill_worker"), statement)
    assert [node["Index Name"] for node in nodes if node.get("Index Name")] == [index]
    assert [node for node in nodes if node.get("Parent Relationship") == "InitPlan"] == []


# What the rules read before an order is accepted. The trader has open orders in every twentieth of its orders.
RULES_READ = {
    "open orders, counted": (
        f"SELECT count(*) FROM (SELECT 1 FROM orders o WHERE o.trader_id = '{ME}' AND o.closed_at IS NULL LIMIT 3) c",
        "idx_orders_open",
    ),
    "open buys of a symbol": (
        f"SELECT sum(o.quantity) FROM orders o WHERE o.trader_id = '{ME}' AND o.symbol = 'AAPL' AND o.side = 'BUY'"
        " AND o.closed_at IS NULL",
        "idx_orders_open",
    ),
}


@pytest.mark.parametrize("read", RULES_READ)
def test_the_rules_read_open_orders_only(api: Session, read: str) -> None:
    statement, index = RULES_READ[read]
    (scan,) = [node for node in explain(api, statement) if node.get("Index Name")]
    assert scan["Index Name"] == index
    assert scan["Actual Rows"] <= ORDERS_EACH // 20


def test_the_acceptance_read_scans_no_history(api: Session) -> None:
    api(f"PREPARE {READ_FOR_ACCEPTANCE.name} AS {READ_FOR_ACCEPTANCE.sql}")
    try:
        # as it is executed from the sixth time on
        api("SET LOCAL plan_cache_mode = force_generic_plan")
        nodes = explain(
            api,
            f"EXECUTE {READ_FOR_ACCEPTANCE.name}('{ME}', 'AAPL', 'a key', 'BUY', 1, now(), 'LIMIT', 100, '2026-01-05',"
            " now(), false)",
        )
    finally:
        api(f"DEALLOCATE {READ_FOR_ACCEPTANCE.name}")
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    # small by nature: one row a venue, one a symbol, halts that are not lifted
    assert scanned <= {"market_hours", "instruments", "halts"}


def test_the_best_resting_order_is_the_first_of_its_index(session: Begin) -> None:
    owner = session("surefill_owner")
    owner("SELECT set_config('app.reads_resting_orders', 'on', true)")
    nodes = explain(
        owner,
        "SELECT o.price FROM orders o WHERE o.symbol = 'AAPL' AND o.side = 'BUY' AND o.closed_at IS NULL"
        " AND o.order_type = 'LIMIT' AND (NULL::numeric IS NULL OR o.price < NULL) ORDER BY o.price DESC LIMIT 1",
    )
    (scan,) = [node for node in nodes if node.get("Index Name")]
    assert scan["Index Name"] == "idx_orders_resting"


# Statements as they are sent, with values; the trader of the session is the one who asks.
_TIMES = ["'2026-01-05 12:00:50Z'", "'2026-01-05 12:01:10Z'"]
_ME = f"'{ME}'"
OF_THE_API = {
    "a report's executions": (report_reads.FILLS, [_ME, *_TIMES, f"'{NO_ORDER}'", "100"]),
    "a report's ends and refusals": (report_reads.NOT_EXECUTED, [_ME, *_TIMES, "0", "100"]),
    "how long a report is": (report_reads.COUNT, [_ME, *_TIMES, "100"]),
    "a nonce": (api_keys.TAKE_NONCE, [f"'{MY_KEY}'", _ME, "repeat('n', 16)", "now()"]),
    "an order that is locked": (orders.LOCK_AND_READ, [f"'{NO_ORDER}'"]),
}
OF_COMPLIANCE = {
    "the log": (log_page(Wanted(), None, 50).statement, ["50"]),
    "the log, further on": (log_page(Wanted(), (NOON, 1), 50).statement, [_TIMES[0], "1", "50"]),
    "the log of a time": (log_page(Wanted(since=NOON, until=NOON), None, 50).statement, [*_TIMES, "50"]),
    "a trader's log": (log_page(Wanted(trader_id=ME), None, 50).statement, [_ME, "50"]),
    "a trader's log, further on": (
        log_page(Wanted(trader_id=ME), (NOON, 1), 50).statement,
        [_ME, _TIMES[0], "1", "50"],
    ),
    "an order's log": (log_page(Wanted(order_id=NO_ORDER), None, 50).statement, [f"'{NO_ORDER}'", "50"]),
    "a page of the chains": (audit_reads.PAGE, [f"'{NO_ORDER}'", "0", "50"]),
    "what the tree has not got": (log_sequence.HASHES, ["'3'", "0", "50"]),
    "a chain": (log_sequence.ROWS_OF_CHAIN, [f"'{NO_ORDER}'"]),
}
OF_WORKERS = {
    "what is due": (orders.DUE, ["'2020-01-01Z'", "50"]),
    "what a halt covers": (orders.HALTED, ["50"]),
    "an order of a name the venue gave": (orders.AT_VENUE, ["'x'"]),
    "symbols to be quoted": (instruments.WATCHED, ["'ALPACA'", "'{AAPL,MSFT}'", "'2026-01-05 12:49Z'"]),
    "symbols ordered lately": (quote_requests.ASK_FOR_ORDERED, [f"'{NO_ORDER}'", f"'{NO_ORDER}'", "now()"]),
    "strays": (orders.STRAYS, ["now()"]),
    "orders that a list of the venue's names": (venue_books.NAMED, ["'ALPACA'", f"'{{{NO_ORDER}}}'", "'{x}'"]),
    "attempts under a name the venue gave": (venue_books.OURS_BY_ATTEMPT, ["'{x}'", f"'{{{NO_ORDER}}}'"]),
    "orphans that are known": (venue_books.KNOWN_ORPHANS, [f"'{VENUES_CHAIN}'", "'{x}'"]),
}
SMALL = {"market_hours", "instruments", "traders", "accounts"}
"""Small by nature, or read whole on purpose: one row a venue, a symbol; in the sweep over all traders, a trader."""


def _explained(session: Session, statement: Statement, values: list[str]) -> list[dict[str, Any]]:
    session(f"PREPARE asked AS {statement.sql}")
    try:
        # as it is executed from the sixth time on
        session("SET LOCAL plan_cache_mode = force_generic_plan")
        return explain(session, f"EXECUTE asked({', '.join(values)})")
    finally:
        session("DEALLOCATE asked")


def _scanned(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}


@pytest.mark.parametrize("name", OF_THE_API)
def test_what_the_api_asks_for_one_trader_scans_no_table(api: Session, name: str) -> None:
    nodes = _explained(api, *OF_THE_API[name])
    assert _scanned(nodes) <= SMALL
    read = sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes if "Scan" in node["Node Type"])
    assert read < 10 * ORDERS_EACH


@pytest.mark.parametrize("name", OF_COMPLIANCE)
def test_the_log_is_read_page_by_page_from_an_index(session: Begin, name: str) -> None:
    nodes = _explained(session("surefill_compliance"), *OF_COMPLIANCE[name])
    assert _scanned(nodes) == set()
    assert any(node.get("Index Name") for node in nodes)


@pytest.mark.parametrize("name", OF_WORKERS)
def test_what_workers_ask_about_all_traders_scans_no_table(session: Begin, name: str) -> None:
    assert _scanned(_explained(session("surefill_worker"), *OF_WORKERS[name])) <= SMALL


@pytest.mark.parametrize("role", ["surefill_api", "surefill_worker"])
def test_halts_that_are_over_cost_nothing(session: Begin, role: str) -> None:
    nodes = explain(session(role, trader_id=ME), "SELECT " + halts.active_for(_ME, "'AAPL'"))
    (scan,) = [node for node in nodes if node.get("Relation Name") == "halts"]
    assert scan["Index Name"] == "idx_halts_active"
    assert scan.get("Rows Removed by Filter", 0) == 0


WITHOUT_A_CONDITION = {
    "halts": "a trader sees its own and those of everybody; what orders look at is the index of the active ones",
    "api_key_uses": "one row a key, met by its key alone: once a minute, in one statement for all keys that were used",
    "audit_chains": "a chain's head, met by its key alone",
    "order_attempts": "an order's, met by the order's key",
    "request_nonces": "a key's, met by that key",
    "event_counters": "the feed compares the heads of all traders that are connected, by key",
}


def test_every_policy_that_keeps_traders_apart_can_be_a_condition_of_an_index(session: Begin) -> None:
    """Of whatever table has one: a new table comes in by itself."""
    tables = session("surefill_owner")(
        "SELECT DISTINCT tablename FROM pg_policies WHERE 'surefill_api' = ANY (roles) AND cmd = 'SELECT' ORDER BY 1"
    )
    assert len(tables) >= 13
    api = session("surefill_api", trader_id=ME, key_hash="00" * 32, key_owners=f"{{{ME}}}")
    # the smallest tables of this module are read whole sooner: it is asked whether an index would do
    api("SET LOCAL enable_seqscan = off")
    scanned = {
        table
        for (table,) in tables
        for node in explain(api, f"SELECT * FROM {table}")
        if node.get("Relation Name") == table and node["Node Type"] == "Seq Scan"
    }
    assert scanned == WITHOUT_A_CONDITION.keys()


def test_the_books_are_added_up_without_reading_what_the_house_took_nothing_of(session: Begin) -> None:
    nodes = _explained(session("surefill_worker"), book_totals.TOTALS, ["'ALPACA'"])
    (scan,) = [node for node in nodes if node.get("Relation Name") == "fills"]
    assert scan["Index Name"] == "idx_fills_house_commission"
