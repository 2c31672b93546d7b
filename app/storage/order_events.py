"""A trader's events: numbered without gaps in commit order, and the outbox of the live feed (I8).

The counter's row lock is taken by the last statement before COMMIT and held until it, so numbers are given in the
order in which transactions commit (I12). A trader without a counter is a fault that must not lose events silently:
the division by zero then refuses the whole transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.domain.changes import FeedEvent
from app.domain.orders import Order
from app.storage.transaction import Call, Row, Statement

LAST_SEQ = "surefill.last_seq"

APPEND = Statement(
    "append_events",
    f"""WITH counter AS (
        UPDATE event_counters SET head_seq = head_seq + cardinality($3::text[]) WHERE trader_id = $1
        RETURNING head_seq
    ), added AS (
        INSERT INTO order_events (trader_id, seq, order_id, event, payload, recorded_at)
        SELECT $1, counter.head_seq - cardinality($3::text[]) + new.place, coalesce(new.order_id::uuid, $2), new.event,
            new.payload::json, $5
        FROM counter, unnest($3::text[], $4::text[], $6::text[]) WITH ORDINALITY
            AS new (event, payload, order_id, place)
        RETURNING seq
    ) SELECT set_config('{LAST_SEQ}', (max(seq) / (count(*) > 0)::integer)::text, false) FROM added""",
)
SINCE = Statement(
    "events_since",
    "SELECT seq, payload::text FROM order_events WHERE trader_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
)
HEAD = Statement("event_head", "SELECT head_seq FROM event_counters WHERE trader_id = $1")
HEADS = Statement("event_heads", "SELECT trader_id, head_seq FROM event_counters WHERE trader_id = ANY ($1)")

encode = msgspec.json.encode


def append(order: Order, events: Sequence[FeedEvent], payloads: Sequence[str], children: Sequence[UUID] = ()) -> Call:
    """Events of one order; the last ones are of its new `children`, one each."""
    of = [None] * (len(events) - len(children)) + [str(child) for child in children] if children else []
    return Call(
        APPEND, [order.trader_id, order.id, [event.name for event in events], list(payloads), events[-1].at, of]
    )


def since(trader_id: UUID, seq: int, limit: int) -> Call:
    return Call(SINCE, [trader_id, seq, limit])


def numbered(seq: int, payload: bytes) -> bytes:
    """The whole event: its stored document with its seq in front."""
    return b'{"seq":%d,%s' % (seq, payload[1:])


def from_rows(rows: Sequence[Row]) -> list[tuple[int, bytes]]:
    return [(seq, numbered(seq, payload.encode())) for seq, payload in rows]
