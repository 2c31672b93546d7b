"""What a client may say: it connects with its key, it leaves, it answers a ping. Nothing else reaches the server.

Clients only listen to this feed. Their events, acknowledgements and binary packets would change nothing, but the
libraries behind would start handlers for them (an event named "connect" would even reach ours), so they end here.
"""

from __future__ import annotations

import re

from engineio import json

LONGEST_MESSAGE = 4096
"""Characters. A key and a number need a tenth of it."""

_CLOSE, _PONG = "1", "3"
# "message" 4 with "connect" 0 or "disconnect" 1, a namespace unless it is the default one, and an object.
_CONNECT_OR_LEAVE = re.compile(r"4(?P<kind>[01])(?P<namespace>/[^,{]{0,100},?)?(?P<auth>\{.*)?", re.DOTALL)


def understood(message: object) -> str | None:
    """The message as the server may get it; None when it is to be ignored.

    An `auth` that is no JSON counts as not given, so the client is told that its key is missing.
    """
    if not isinstance(message, str) or len(message) > LONGEST_MESSAGE:
        return None
    if message in (_CLOSE, _PONG):
        return message
    said = _CONNECT_OR_LEAVE.fullmatch(message)
    if said is None:
        return None
    if said["auth"] is not None:
        try:
            json.loads(said["auth"])  # the very function that python-socketio reads it with
        except (ValueError, RecursionError):
            return message[: said.start("auth")]
    return message
