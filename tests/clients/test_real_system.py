"""The Python client and every example against the whole system, every process of it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from app.settings import PROJECT_ROOT
from local.stack import LocalStack
from surefill_client import NotAllowed, Refused, Surefill
from tests.clients.cutting_proxy import Cut, cutting

EXAMPLES = PROJECT_ROOT / "examples"
_numbers = itertools.count(1)
NODE_MODULES = PROJECT_ROOT / "tests" / "live" / "js" / "node_modules"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("clients"), durable=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def key(system: LocalStack) -> str:
    return system.create_trader("Ann", "100000").api_key


@pytest.fixture
def surefill(system: LocalStack, key: str) -> Iterator[Surefill]:
    with Surefill(system.url, key) as client:
        yield client


def test_an_order_is_submitted_once_followed_and_filled(surefill: Surefill) -> None:
    since = surefill.head()
    order = surefill.submit(symbol="AAPL", side="BUY", quantity=2, order_type="MARKET", idempotency_key="one")
    again = surefill.submit(symbol="AAPL", side="BUY", quantity=2, order_type="MARKET", idempotency_key="one")
    assert again.id == order.id
    closed = surefill.wait_until_closed(order.id)
    assert closed.status == "FILLED"
    assert closed.filled_quantity == closed.fills[0].quantity == Decimal(2)
    told = []
    for event in surefill.events(since):
        told.append(event.event)
        if event.order.is_closed:
            break
    assert (told[0], told[-1]) == ("order.submitted", "order.filled")


def test_what_is_refused_says_every_reason(surefill: Surefill) -> None:
    with pytest.raises(Refused) as refused:
        surefill.submit(symbol="AAPL", side="HOLD", quantity=-1, order_type="MARKET")
    assert {error.field for error in refused.value.errors} == {"side", "quantity"}


def test_an_order_is_cancelled(surefill: Surefill) -> None:
    order = surefill.submit(symbol="AAPL", side="BUY", quantity=1, order_type="LIMIT", price="1.00")
    surefill.cancel(order.id)
    assert surefill.wait_until_closed(order.id).status == "CANCELLED"


def test_a_wrong_key_is_not_allowed(system: LocalStack) -> None:
    with Surefill(system.url, "sk_wrong") as client, pytest.raises(NotAllowed):
        client.head()


@pytest.fixture
def own_key(system: LocalStack) -> str:
    """Of a trader who has not traded yet: nothing that an example submits looks like a repetition."""
    return system.create_trader(f"reader {next(_numbers)}", "100000").api_key


def _run(command: list[str], url: str, key: str, folder: Path = PROJECT_ROOT) -> str:
    done = _ended(command, url, key, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _ended(command: list[str], url: str, key: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SUREFILL_URL": url, "SUREFILL_KEY": key}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def _with_curl() -> list[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here: install it to run this example")
    return ["sh", str(EXAMPLES / "curl.sh")]


def _with_node(folder: Path) -> list[str]:
    if shutil.which("node") is None or not NODE_MODULES.exists():
        pytest.skip("node or socket.io-client is not here: sh local/node_clients.sh")
    shutil.copy(EXAMPLES / "live.mjs", folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    return ["node", str(folder / "live.mjs")]


def test_the_example_with_curl(system: LocalStack, own_key: str) -> None:
    said = _run(_with_curl(), system.url, own_key)
    assert "accepted: " in said
    assert "idempotent-replayed: true" in said.lower()
    assert "ended: FILLED" in said
    assert '"action":"FILLED"' in said


def test_the_example_with_requests(system: LocalStack, own_key: str) -> None:
    assert "order.filled 2 " in _run([sys.executable, str(EXAMPLES / "python_orders.py")], system.url, own_key)


def test_the_example_with_python_socketio(system: LocalStack, own_key: str) -> None:
    assert "order.filled MSFT 1" in _run([sys.executable, str(EXAMPLES / "python_live.py")], system.url, own_key)


def test_the_example_with_socket_io_client(system: LocalStack, own_key: str, tmp_path: Path) -> None:
    assert "order.filled MSFT 2" in _run(_with_node(tmp_path), system.url, own_key, tmp_path)


@pytest.mark.parametrize("cut", ["reset", "close", "half the body"])
@pytest.mark.parametrize("example", ["curl.sh", "python_orders.py", "python_live.py", "live.mjs"])
def test_an_example_whose_answer_is_lost_submits_its_one_order_again(
    system: LocalStack, own_key: str, tmp_path: Path, example: str, cut: Cut
) -> None:
    if example == "curl.sh":
        command, repeats = _with_curl(), 2  # it shows at its end that the same key again is the same order
    else:
        command = _with_node(tmp_path) if example == "live.mjs" else [sys.executable, str(EXAMPLES / example)]
        repeats = 1
    with cutting(system.url, cut) as (url, keys):
        said = _run(command, url, own_key, tmp_path)
    assert "filled" in said.lower()
    assert (len(keys), len(set(keys))) == (1 + repeats, 1)
    with Surefill(system.url, own_key) as client:
        told = [event.event for event in itertools.islice(client.events(0), client.head())]
    assert told.count("order.submitted") == 1


def test_the_example_with_python_socketio_hands_its_key_over_when_nobody_answers(
    system: LocalStack, own_key: str
) -> None:
    always: list[Cut] = ["close"] * 9
    with cutting(system.url, *always) as (url, keys):
        done = _ended([sys.executable, str(EXAMPLES / "python_live.py")], url, own_key, PROJECT_ROOT)
    assert done.returncode == 1
    assert done.stderr == (
        f"nobody knows whether the order exists: submit the same again with Idempotency-Key {keys[0]}\n"
    )
    assert keys == [keys[0]] * 6
