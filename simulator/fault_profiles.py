"""Random faults by seed: which order is struck, by what and how often follows from seed and client order id alone.

So the same order meets the same faults whoever asks first, in any order of arrival and after a restart.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# Each entry is what one unlucky order meets. A look-up fault alone would strike nobody (who would ask?), so it comes
# with a lost reply. Delays are a few seconds at most: a demonstration must end.
_FATES: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"kind": "refuse"},),
    ({"kind": "reject_later"},),
    ({"kind": "reject_later", "after_partial_fill": True},),
    ({"kind": "slow", "seconds": 2},),
    ({"kind": "reply_lost_after_accept"},),
    ({"kind": "reply_lost_after_accept"},),
    ({"kind": "connection_lost_before_accept"},),
    ({"kind": "error_500_before_accept"},),
    ({"kind": "error_500_after_accept"},),
    ({"kind": "error_503_before_accept"},),
    ({"kind": "error_503_after_accept"},),
    ({"kind": "error_504_before_accept"},),
    ({"kind": "error_504_after_accept"},),
    ({"kind": "timeout_408"},),
    ({"kind": "timeout_408", "after_accept": True},),
    ({"kind": "rate_limited_429"},),
    ({"kind": "html_instead_of_json", "status": 502, "after_accept": False},),
    ({"kind": "html_instead_of_json", "status": 403, "after_accept": True},),
    ({"kind": "html_instead_of_json", "status": 200, "after_accept": True},),
    ({"kind": "cut_json"},),
    ({"kind": "cut_json", "connection": True},),
    ({"kind": "late_accept", "seconds": 2, "hang_up_after": 0.3},),
    ({"kind": "late_accept", "seconds": 4, "hang_up_after": 1},),
    ({"kind": "reply_lost_after_accept"}, {"kind": "lookup_error", "times": 2}),
    ({"kind": "error_503_after_accept"}, {"kind": "lookup_unknown_for", "seconds": 2}),
    ({"kind": "reply_lost_after_accept"}, {"kind": "lookup_unknown_for", "seconds": 4}),
    ({"kind": "connection_lost_before_accept", "times": 5},),
    ({"kind": "error_503_before_accept", "times": 5},),
    ({"kind": "stream_silent"},),
    ({"kind": "stream_repeat"},),
    ({"kind": "stream_reorder"},),
    ({"kind": "stream_drop_fill"},),
    ({"kind": "stream_cut"},),
    ({"kind": "cancel_reply_lost"}, {"kind": "stream_silent"}),
    ({"kind": "cancel_refused"},),
)


def parse_profile(text: str) -> float:
    """The share of orders that a profile strikes: "none" is 0, "one-in-three" and "one-in-3" a third.

    Raises ValueError.
    """
    if text in ("", "none"):
        return 0.0
    match = re.fullmatch(r"one-in-([a-z]+|\d{1,6})", text)
    if match is None:
        raise ValueError(f"must be none or one-in-<number>, not {text!r}")
    word = match.group(1)
    number = int(word) if word.isdigit() else _NUMBERS.index(word) + 2 if word in _NUMBERS else 0
    if number < 1:
        raise ValueError(f"must be none or one-in-<number>, not {text!r}")
    return 1 / number


def fate(share: float, seed: int, client_order_id: str) -> tuple[dict[str, Any], ...]:
    """What strikes the order, as fault rules without their order; empty when it is spared."""
    draw = Random(f"{seed}/{client_order_id}")
    if draw.random() >= share:
        return ()
    return draw.choice(_FATES)
