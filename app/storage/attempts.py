"""Attempt rows: what may be on the wire, written before it leaves (I4)."""

from __future__ import annotations

from app.domain.changes import AttemptEnded, AttemptStarted
from app.domain.orders import Order
from app.storage.transaction import Call, Statement

INSERT = Statement(
    "insert_attempt",
    """INSERT INTO order_attempts (order_id, kind, number, trader_id, fence, client_order_id, sender, sent_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
)
END = Statement(
    "end_attempt",
    """UPDATE order_attempts SET ended_at = $4, outcome = $5, error_code = $6, evidence = $7
    WHERE order_id = $1 AND kind = $2 AND number = $3 AND ended_at IS NULL""",
)


def insert(order: Order, attempt: AttemptStarted) -> Call:
    return Call(
        INSERT,
        [
            order.id, attempt.kind, attempt.number, order.trader_id, attempt.fence, attempt.client_order_id,
            attempt.sender, attempt.sent_at,
        ],
    )  # fmt: skip


def end(order: Order, attempt: AttemptEnded) -> Call:
    return Call(
        END,
        [
            order.id, attempt.kind, attempt.number, attempt.ended_at, attempt.outcome, attempt.error_code,
            attempt.evidence,
        ],
    )  # fmt: skip
