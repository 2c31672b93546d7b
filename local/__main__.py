"""`python -m local run`: the entry point of `make run`."""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    """Returns the status of the process: 0 when it was asked to stop, 1 when it cannot start."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts it by hand may have an older one  # noqa: UP036 - whoever starts it by hand may have an older one
        print("surefill: Python 3.11 or newer is needed: name one with `make run PYTHON=python3.12`", file=sys.stderr)
        return 1
    parser = argparse.ArgumentParser(prog="python -m local", description="Surefill on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    run_command = commands.add_parser("run", help="start everything and supervise it until Ctrl-C")
    run_command.add_argument(
        "--stop-with-parent", action="store_true", help="stop when the process that started this one ends"
    )
    options = parser.parse_args()

    from local.cannot_start import CannotStart
    from local.run import run

    try:
        run(stop_with_parent=options.stop_with_parent)
    except CannotStart as error:
        print(f"surefill: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
