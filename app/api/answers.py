"""Successful answers: JSON, encoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from flask import Response

from app.domain.documents import Json
from app.storage.transaction import Row

encode = msgspec.json.Encoder().encode


def answer(document: Json, status: int = 200) -> Response:
    return json_answer(encode(document), status)


def json_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, content_type="application/json")


def page(rows: Sequence[Row], limit: int, document: Callable[[Row], Json], cursor: Callable[[Row], str]) -> Response:
    """A page of a list from up to `limit` + 1 rows: one more than wanted tells that the list goes on."""
    shown = rows[:limit]
    return answer(
        {
            "data": [document(row) for row in shown],
            "next_cursor": cursor(shown[-1]) if len(rows) > limit else None,
        }
    )
