"""The simulation notices what it is there to notice; `make teeth` takes every safeguard out."""

from __future__ import annotations

import pytest

from proofs.safeguards import SAFEGUARDS, Safeguard
from proofs.teeth import ROOT, SHORT, bite


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda each: each.name)
def test_every_safeguard_stands_where_it_would_be_taken_out(safeguard: Safeguard) -> None:
    assert (ROOT / safeguard.file).read_text().count(safeguard.text) == 1


@pytest.mark.parametrize("name", SHORT)
def test_the_simulation_notices_its_absence(name: str) -> None:
    (safeguard,) = [each for each in SAFEGUARDS if each.name == name]
    assert str(bite(safeguard, processes=1).noticed_by).startswith("simulation, seed ")
