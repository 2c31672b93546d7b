"""What a message to a worker looks like. Whoever can write to the broker can put anything there; nothing else is read.

Celery trusts its messages: a body with two parts instead of three, a task's name that is a list, or a line that is no
JSON ends the whole worker, and ends it again after each start as long as the message is there. So a message is looked
at before Celery sees it, and one that none of ours would have sent is dropped. Nothing is lost with it: the due time of
an order is in the database.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from app.wakeups import CANCEL, EXECUTE, EXECUTE_PLAIN, RECONCILE

TASKS = frozenset({EXECUTE, EXECUTE_PLAIN, RECONCILE, CANCEL})
LARGEST_MESSAGE = 16 * 1024
"""Bytes; ours have less than two thousand."""
MOST_RETRIES = 1000
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_TIME = re.compile(r"[0-9T:.+\-Z]{1,40}", re.ASCII)
_NAME = re.compile(r"[!-~]{1,200}", re.ASCII)


def is_ours(message: object) -> bool:
    """Whether the message is one that Surefill's own processes could have sent: a known task with one order's id."""
    if not isinstance(message, dict):
        return False
    headers, properties, body = message.get("headers"), message.get("properties"), message.get("body")
    if not isinstance(headers, dict) or not isinstance(properties, dict) or not isinstance(body, str):
        return False
    return (
        message.get("content-type") == "application/json"
        and message.get("content-encoding") == "utf-8"
        and _properties(properties)
        and _headers(headers)
        and _body(body, properties)
    )


def _properties(properties: dict[str, Any]) -> bool:
    return (
        _is_name(properties.get("delivery_tag"))
        and isinstance(properties.get("delivery_info"), dict)
        and isinstance(properties.get("reply_to", ""), (str, type(None)))
    )


def _headers(headers: dict[str, Any]) -> bool:
    task, retries = headers.get("task"), headers.get("retries", 0)
    return (
        isinstance(task, str)
        and task in TASKS
        and _is_name(headers.get("id"))
        and isinstance(retries, int)
        and 0 <= retries <= MOST_RETRIES
        and all(headers.get(name) is None or _is_time(headers[name]) for name in ("eta", "expires"))
        # time limits would let a message end the process that works on an order; the others call more tasks
        and headers.get("timelimit") in (None, [None, None])
        and not any(headers.get(name) for name in ("compression", "group", "stamped_headers", "stamps"))
    )


def _body(body: str, properties: dict[str, Any]) -> bool:
    if len(body) > LARGEST_MESSAGE:
        return False
    try:
        text = base64.b64decode(body, validate=True) if properties.get("body_encoding") == "base64" else body.encode()
        content = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        return False
    if not isinstance(content, list) or len(content) != 3:
        return False
    args, kwargs, embedded = content
    return (
        isinstance(args, list)
        and len(args) == 1
        and isinstance(args[0], str)
        and _ID.fullmatch(args[0]) is not None
        and kwargs == {}
        and (embedded is None or (isinstance(embedded, dict) and not any(embedded.values())))
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None
