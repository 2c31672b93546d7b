"""`python -m simulator --port N --ledger PATH`: serves until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import signal
import sqlite3
import sys
from collections.abc import Callable

from aiohttp import web

from simulator.settings import Settings, SettingsError, read_settings
from simulator.venue import Venue


async def _serve(settings: Settings) -> None:
    venue = Venue(settings)
    runner = web.AppRunner(venue.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
    await site.start()
    port = runner.addresses[0][1]
    _say(
        f"simulator: listening on http://{settings.host}:{port} ledger={settings.ledger} seed={settings.seed} "
        f"client-id-uniqueness={settings.client_id_uniqueness} faults={settings.faults}"
    )
    # What was loaded at start lives until the end: the collector need not walk through it again and again.
    gc.freeze()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()
    venue.ledger.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed: it writes what one turn produced with one system call."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


def main() -> int:
    """Exit code 0 after an orderly end, 2 when it cannot start."""
    try:
        settings = read_settings(sys.argv[1:])
    except SettingsError as error:
        _complain(f"simulator: {error}")
        return 2
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings))
    except OSError as error:
        _complain(f"simulator: cannot listen on {settings.host}:{settings.port}: {error}")
        return 2
    except sqlite3.Error as error:
        _complain(f"simulator: cannot use the ledger {settings.ledger}: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
