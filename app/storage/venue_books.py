"""What the comparison with a venue's lists reads and writes: many orders at once, never one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.domain.changes import ChainHead, LogEntry
from app.domain.comparison import UUID_LENGTH, OurSide
from app.domain.order_states import ExecutionState, OrderStatus
from app.domain.venue_answers import OrderReport
from app.storage import execution_logs
from app.storage.transaction import Call, Database, Row, Statement

_IS_SINGLE = "parent_id IS NULL AND replacements = 0 AND other_venue_orders = '{}' AND amend_requested_at IS NULL"
_COMPARED = f"""id, symbol, side, quantity, status, execution_state, filled_quantity, venue_order_id,
    other_venue_orders, {_IS_SINGLE} AS is_single,
    parent_id IS NOT NULL AND stop_loss IS NOT NULL AS is_pair, created_at, updated_at, closed_at"""
# What is booked of each of its venue orders: of the few that are several there, and that have executed anything.
_NAMED = f"""SELECT {_COMPARED}, CASE WHEN filled_quantity > 0 AND NOT ({_IS_SINGLE}) THEN (
        SELECT jsonb_object_agg(f.venue_order_id, f.booked::text) FROM (
            SELECT venue_order_id, sum(quantity_filled) AS booked FROM fills WHERE order_id = orders.id GROUP BY 1) f)
    END AS booked FROM orders"""

LIVE = Statement(
    "live_at_venue",
    f"""SELECT {_COMPARED}, NULL FROM orders WHERE due_at IS NOT NULL AND venue = $1
    AND execution_state IN ('WORKING', 'CANCELLING') AND venue_order_id IS NOT NULL""",
)
NAMED = Statement(
    "named_by_venue",
    f"{_NAMED} WHERE id = ANY ($2::uuid[]) AND venue = $1 UNION {_NAMED} WHERE venue = $1 "
    f"AND venue_order_id = ANY ($3::text[]) UNION {_NAMED} WHERE other_venue_orders <> '{{}}' "
    "AND other_venue_orders && $3::text[] AND venue = $1",
)
IN_DOUBT = Statement(
    "any_in_doubt",
    """SELECT EXISTS (SELECT FROM orders WHERE due_at IS NOT NULL AND venue = $1 AND updated_at < $2
    AND execution_state IN ('SENDING', 'IN_DOUBT', 'NEEDS_ATTENTION'))""",
)
TO_BE_ASKED = Statement(
    "to_be_asked",
    """WITH due AS (
        UPDATE orders SET due_at = $2, version = version + 1
        WHERE id = ANY ($1::uuid[]) AND due_at > $2 AND execution_state IN ('WORKING', 'CANCELLING') RETURNING 1
    ) SELECT set_config('surefill.marked', count(*)::text, false) FROM due""",
)
# Never sooner than planned, never beyond the order's own deadline. One that is due has its answer with this. Orders
# with exits or other terms wanted have deadlines of their own.
CONFIRMED = Statement(
    "confirmed_live",
    """UPDATE orders SET version = version + 1, due_at = LEAST(expires_at, $2::timestamptz
        + LEAST(GREATEST(($2::timestamptz - updated_at) / 2, $3::interval), $4::interval))
    WHERE id = ANY ($1::uuid[]) AND execution_state = 'WORKING' AND cancel_requested_at IS NULL
    AND parent_id IS NULL AND amend_requested_at IS NULL AND stop_loss IS NULL AND take_profit IS NULL
    AND due_at < LEAST(expires_at, $2::timestamptz
        + LEAST(GREATEST(($2::timestamptz - updated_at) / 2, $3::interval), $4::interval))""",
)
KNOWN_ORPHANS = Statement(
    "known_orphans",
    """SELECT venue_order_id FROM execution_logs
    WHERE chain_id = $1 AND error_code = 'ORPHAN' AND venue_order_id = ANY ($2::text[])""",
)
# By the orders whose names these can be, as attempts are found by their order: they are too many to look through.
OURS_BY_ATTEMPT = Statement(
    "ours_by_attempt",
    """SELECT client_order_id FROM order_attempts
    WHERE order_id = ANY ($2::uuid[]) AND client_order_id = ANY ($1::text[])""",
)
ORPHANS = Statement(
    "list_orphans",
    """SELECT timestamp, venue, venue_order_id, symbol, side, quantity, filled_quantity, details
    FROM execution_logs WHERE action = 'ALARMED' AND order_id IS NULL AND error_code = 'ORPHAN' ORDER BY timestamp""",
)


class PostgresVenueBooks:
    """VenueBooks with the worker's login."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def live(self, venue: str) -> Sequence[OurSide]:
        return [_side(row) for row in self._database.read(Call(LIVE, [venue]))]

    def named(self, venue: str, reports: Sequence[OrderReport]) -> Sequence[OurSide]:
        theirs = [report.venue_order_id for report in reports]
        return [_side(row) for row in self._database.read(Call(NAMED, [venue, _our_orders(reports), theirs]))]

    def in_doubt(self, venue: str, since: datetime) -> bool:
        return bool(self._database.read(Call(IN_DOUBT, [venue, since]))[0][0])

    def to_be_asked(self, order_ids: Sequence[UUID], now: datetime) -> int:
        if not order_ids:
            return 0
        with self._database.transaction() as transaction:
            marked = transaction.finish(Call(TO_BE_ASKED, [list(order_ids), now]), returning="surefill.marked")
        return int(marked or 0)

    def confirmed(self, order_ids: Sequence[UUID], now: datetime, soonest: timedelta, latest: timedelta) -> None:
        if not order_ids:
            return
        bounds = [f"{bound.total_seconds()} seconds" for bound in (soonest, latest)]
        with self._database.transaction() as transaction:
            transaction.finish(Call(CONFIRMED, [list(order_ids), now, *bounds]))

    def add_orphans(
        self,
        chain_id: UUID,
        venue: str,
        orphans: Sequence[OrderReport],
        entry: Callable[[ChainHead, OrderReport], LogEntry],
    ) -> Sequence[OrderReport]:
        known = self._known(chain_id, orphans)
        if all(report.venue_order_id in known for report in orphans):
            return []
        with self._database.transaction() as transaction:
            (locked,) = transaction.fetch(execution_logs.lock_chain(chain_id, None))
            head = execution_logs.head(chain_id, *locked[:2])
            known = {row[0] for row in transaction.fetch(_known_call(chain_id, orphans))}
            names = [report.client_order_id for report in orphans]
            attempts = Call(OURS_BY_ATTEMPT, [names, _our_orders(orphans)])
            ours = {row[0] for row in transaction.fetch(attempts)}
            new = [
                report
                for report in orphans
                if report.venue_order_id not in known and report.client_order_id not in ours
            ]
            entries: list[LogEntry] = []
            for report in new:
                entries.append(entry(head, report))
                head = ChainHead(chain_id, entries[-1].chain_seq, entries[-1].hash)
            if entries:
                transaction.finish(*map(execution_logs.insert, entries), execution_logs.move_chain(entries[-1]))
        return new

    def _known(self, chain_id: UUID, orphans: Sequence[OrderReport]) -> set[str]:
        return {row[0] for row in self._database.read(_known_call(chain_id, orphans))}


def _known_call(chain_id: UUID, orphans: Sequence[OrderReport]) -> Call:
    return Call(KNOWN_ORPHANS, [chain_id, [report.venue_order_id for report in orphans]])


def _side(row: Row) -> OurSide:
    (
        id_,
        symbol,
        side,
        quantity,
        status,
        state,
        filled,
        venue_order_id,
        others,
        is_single,
        is_pair,
        created_at,
        updated_at,
        closed_at,
        booked,
    ) = row
    return OurSide(
        id_, symbol, side, quantity, OrderStatus(status), ExecutionState(state), filled, venue_order_id, tuple(others),
        is_single, is_pair, {of: Decimal(quantity) for of, quantity in (booked or {}).items()}, created_at, updated_at,
        closed_at,
    )  # fmt: skip


def _our_orders(reports: Sequence[OrderReport]) -> list[UUID]:
    """The orders of ours that they can be: each of our names for one begins with its id."""
    ids = (_order_id(report.client_order_id[:UUID_LENGTH]) for report in reports)
    return [each for each in ids if each is not None]


def _order_id(text: str) -> UUID | None:
    """The id if the text is how we would have written one."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None
