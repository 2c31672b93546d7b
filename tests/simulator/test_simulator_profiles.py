"""Random faults by seed, without a process: which order meets what."""

from __future__ import annotations

import pytest

from simulator.fault_kinds import KINDS
from simulator.fault_profiles import fate, parse_profile
from simulator.faults import read_rule

_NAMES = [f"order-{number}" for number in range(6000)]


@pytest.mark.parametrize(
    ("text", "share"), [("none", 0), ("", 0), ("one-in-three", 1 / 3), ("one-in-3", 1 / 3), ("one-in-1", 1)]
)
def test_a_profile_names_a_share(text: str, share: float) -> None:
    assert parse_profile(text) == share


@pytest.mark.parametrize("text", ["one-in-0", "one-in-many", "all", "one-in--3", "one-in-"])
def test_an_unknown_profile_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one-in-<number>"):
        parse_profile(text)


def test_one_in_three_strikes_a_third() -> None:
    struck = sum(bool(fate(1 / 3, 1, name)) for name in _NAMES)
    assert 0.31 < struck / len(_NAMES) < 0.36


def test_the_same_seed_gives_the_same_fates_and_another_seed_others() -> None:
    def fates(seed: int) -> list[str]:
        return [str(fate(1 / 3, seed, name)) for name in _NAMES[:300]]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_every_kind_of_order_fault_occurs_and_every_fate_is_a_valid_rule() -> None:
    met = [rule for name in _NAMES for rule in fate(1.0, 1, name)]
    for rule in met:
        read_rule({"client_order_id": "x"} | rule)
    nonsense = {name for name in KINDS if name.startswith("nonsense_")}
    assert {rule["kind"] for rule in met} == set(KINDS) - nonsense


def test_no_fate_takes_longer_than_a_few_seconds() -> None:
    assert all(rule.get("seconds", 0) <= 5 for name in _NAMES for rule in fate(1.0, 1, name))
