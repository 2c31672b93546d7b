"""The sequencer: takes committed rows of the audit log into its tree and signs what the tree is (docs/audit.md)."""

from __future__ import annotations

import logging
import time

from app.lifecycle.sequence import LogContradicts
from app.observability.heartbeats import EVERY_SECONDS, Heart
from app.observability.logs import configure_logging
from app.settings import load_settings_or_exit
from app.storage.checkpoint_folder import FolderUnusable
from app.storage.transaction import DatabaseUnavailable
from app.wiring import redis_client, sequencer_process
from workers.pace import Backoff, Stop

log = logging.getLogger(__name__)

CONTRADICTED_SECONDS = 30.0
"""How often it is said again that the log is not the one that was signed: until a person has looked."""


def main() -> None:
    settings = load_settings_or_exit()
    configure_logging("sequencer", settings.log_level)
    stop, backoff = Stop(), Backoff()
    heart = Heart(redis_client(settings), "sequencer")
    while not stop.asked():
        try:
            with sequencer_process(settings) as sequencer:
                while not stop.asked():
                    sequencer.run_once()
                    backoff.worked()
                    _wait(stop, heart, settings.audit_checkpoint_seconds)
        except DatabaseUnavailable as error:
            log.warning("the database is away: %s", error)
            stop.wait(backoff.failed())
        except (LogContradicts, FolderUnusable) as error:
            log.critical("the audit log is not signed any more: %s", error)
            stop.wait(CONTRADICTED_SECONDS)  # without a heartbeat: this process does not do its work
    heart.leave()


def _wait(stop: Stop, heart: Heart, seconds: float) -> None:
    """Wait that long, and say meanwhile that this process is well."""
    ends = time.monotonic() + seconds
    heart.beat()
    while not stop.wait(min(EVERY_SECONDS, max(0.0, ends - time.monotonic()))) and time.monotonic() < ends:
        heart.beat()


if __name__ == "__main__":
    main()
