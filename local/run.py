"""`make run`: the whole system on this machine until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import urllib3

from app.settings import PROJECT_ROOT, VARIABLES, given_variables
from local.memory import write_private
from local.stack import LocalStack

_DEMO_TRADERS = ("alice", "bob", "carol")
_DEMO_CASH = "100000"  # US dollars
_OPERATOR = "operator"
"""Whose key opens /ops: an account of its own, so that the audit log tells its acts from the traders'."""
_WATCH_SECONDS = 0.2


class StopAsked(BaseException):
    """Ctrl-C or a polite kill: not an error, and nothing on the way may catch it."""


def run(*, stop_with_parent: bool, environ: Mapping[str, str] = os.environ, root: Path = PROJECT_ROOT) -> None:
    """Start everything, say where it is, and supervise until a signal asks to stop. Raises CannotStart."""
    parent = os.getppid()
    given = given_variables(environ, root)
    folder = Path(given.get("DATA_FOLDER", root / "var"))
    stack = LocalStack(
        folder,
        {"PORT": "8000"} | {name: value for name, value in given.items() if name in VARIABLES},
        simulator_environment={
            name: value for name, value in given.items() if name.startswith("SIMULATOR_") and name not in VARIABLES
        },
        report=say,
        throw_away=False,
        root=root,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ask_to_stop)
    try:
        say("starting …")
        begun = time.monotonic()
        stack.start()
        keys = demo_keys(stack)
        if stack.note:
            say(stack.note)
        say(f"ready after {time.monotonic() - begun:.1f} s: {stack.url}")
        if keys is not None:
            say(f"demo keys: {keys}")
            say(f"operations page: {stack.url}/ops, with the operator's key from the same file")
        say(f"logs: {folder / 'log'}; Ctrl-C stops everything")
        while True:
            time.sleep(_WATCH_SECONDS)
            if stop_with_parent and os.getppid() != parent:
                raise StopAsked
            stack.start_again_if_unsupervised()
    except StopAsked:
        say("stopping …")
    finally:
        stack.stop()
        say("stopped")


def demo_keys(stack: LocalStack) -> Path | None:
    """The file with the API keys of the demo traders and of an operator, made once for a database. Mode 0600.

    None where the database is not of our making and has traders of these names: they may be real people's, whose keys
    are no business of ours.
    """
    file = stack.folder / "demo-keys.json"
    keys = _kept(file)
    if not (keys and _is_accepted(stack, keys["traders"][0]["api_key"])):
        keys = {}
    if "operator" in keys:
        return file
    there = stack.traders()
    wanted = [_OPERATOR] if keys else [*_DEMO_TRADERS, _OPERATOR]
    if not stack.has_its_own_database and any(name in there for name in wanted):
        say(
            "the database has traders of its own, so no demo keys were made: "
            "`.venv/bin/flask --app app key create --trader NAME` makes a key, one for /ops with `--scopes admin`"
        )
        return None
    if not keys:
        say(f"making the demo traders {', '.join(_DEMO_TRADERS)}")
        with ThreadPoolExecutor(2) as two_at_once:  # an interpreter for each
            keys["traders"] = list(two_at_once.map(lambda name: _demo_trader(stack, name, there), _DEMO_TRADERS))
        _keep(file, keys)
    # also for a file that an earlier version wrote
    operator = there.get(_OPERATOR) or stack.create_trader(_OPERATOR, "0").trader_id
    keys["operator"] = {"name": _OPERATOR, "scopes": "admin", "api_key": stack.create_key(operator, "admin")}
    _keep(file, keys)
    return file


def _demo_trader(stack: LocalStack, name: str, there: Mapping[str, str]) -> dict[str, str]:
    """A new trader, or a new key for the one that an earlier start has made: the file with its key is gone."""
    if name in there:
        return {"name": name, "trader_id": there[name], "api_key": stack.create_key(there[name])}
    made = stack.create_trader(name, _DEMO_CASH)
    return {"name": made.name, "trader_id": made.trader_id, "api_key": made.api_key}


def _kept(file: Path) -> dict[str, Any]:
    """What the file holds; nothing where it is missing or is no such file, since new keys can be made."""
    try:
        keys = json.loads(file.read_text())
        return keys if isinstance(keys["traders"][0]["api_key"], str) else {}
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return {}


def _keep(file: Path, keys: Mapping[str, Any]) -> None:
    write_private(file, json.dumps(keys, indent=1) + "\n")


def say(line: str) -> None:
    """One line on the console, at once."""
    print(f"surefill: {line}", flush=True)


def _is_accepted(stack: LocalStack, api_key: str) -> bool:
    answer = urllib3.request(
        "GET",
        f"{stack.url}/api/v1/account",
        headers={"Authorization": f"Bearer {api_key}"},
        retries=False,
        timeout=10.0,
    )
    return answer.status != 401  # refused: the keys are those of another database


def _ask_to_stop(_number: int, _frame: FrameType | None) -> None:
    # Asked once is enough; a second Ctrl-C must not leave processes behind.
    for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise StopAsked
