"""The example with curl: its key is known before anything is sent, and only a definite no ends it without an order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from app.settings import PROJECT_ROOT
from tests.clients.scripted_server import Reply, cut, document, page, problem, scripted

ORDER = document(201, {"id": "019b8f0e-7a10-7c39-8a55-1f2d3c4b5a69"})
IN_PROGRESS, REFUSED = problem(409, "REQUEST_IN_PROGRESS"), problem(422, "INSUFFICIENT_FUNDS")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")


def _run(*script: Reply, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str], list[str]]:
    """How it ended, the keys it said on its standard output, and the key of each request."""
    with scripted(*script) as (url, seen):
        done = subprocess.run(
            ["sh", str(PROJECT_ROOT / "examples" / "curl.sh")],
            env={**os.environ, "SUREFILL_URL": url, "SUREFILL_KEY": "key", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        sent = [headers["Idempotency-Key"] for headers, _ in seen if "Idempotency-Key" in headers]
    return done, re.findall(r"KEY=(\S+) sh ", done.stdout), sent


def test_a_refusal_ends_it_after_one_request() -> None:
    done, said, sent = _run(REFUSED)
    assert done.returncode == 1
    assert "INSUFFICIENT_FUNDS" in done.stderr
    assert said == sent


def test_a_request_that_is_still_running_is_repeated_with_the_same_key() -> None:
    done, said, sent = _run(IN_PROGRESS, IN_PROGRESS, REFUSED)
    assert done.returncode == 1
    assert "INSUFFICIENT_FUNDS" in done.stderr, "one that was running is no silence: a refusal after it is one"
    assert sent == said * 3


def test_a_key_of_ones_own_is_used() -> None:
    _, said, sent = _run(REFUSED, KEY="mine")
    assert (said, sent) == (["mine"], ["mine"])


def test_a_refusal_after_silence_is_none_and_at_the_end_the_key_is_handed_over() -> None:
    done, said, sent = _run(cut, page(502), REFUSED)
    assert done.returncode == 1
    assert f"submit the same again with KEY={said[0]}" in done.stderr
    assert sent == said * 6


def test_an_acceptance_that_is_no_order_is_silence() -> None:
    done, said, sent = _run(page(201), document(201, []), ORDER, cut)
    assert "accepted: 019b8f0e-7a10-7c39-8a55-1f2d3c4b5a69" in done.stdout
    assert sent == said * 4, "the last shows that the same key is the same order"
