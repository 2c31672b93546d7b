"""Run a command as another user, and end it when its parent ends. A script: `python -I -S launch.py …`.

It stands alone (standard library only, run by its path) because it has to work where the project's own folder is
out of reach for the user it changes to: the interpreter is up before the change, the command follows after it.

    launch.py [--uid N --gid N] [--end-with-parent PID SIGNAL] -- command argument…
    launch.py --uid N --gid N --unreachable path…      prints the first path out of that user's reach
"""

import argparse
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def become(uid: int, gid: int) -> None:
    """Drop every right of root, supplementary groups included. There is no way back."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def end_with_parent(parent: int, signal_number: int) -> None:
    """Ask the kernel for a signal when the parent ends, however it ends.

    Linux only; elsewhere the next start cleans up.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        raise SystemExit(1)


def first_unreachable(paths: list[str]) -> str | None:
    """The first of `paths` this user cannot enter, if it is a folder, or read."""
    for path in paths:
        # Path.is_dir raises where a folder above is closed, which is the very case this is about.
        if not os.access(path, os.X_OK if os.path.isdir(path) else os.R_OK):  # noqa: PTH112
            return path
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--end-with-parent", nargs=2, type=int, metavar=("PID", "SIGNAL"))
    parser.add_argument("--unreachable", action="store_true")
    parser.add_argument("rest", nargs="+")
    options = parser.parse_args()

    if options.uid is not None:
        become(options.uid, options.gid)
    if options.unreachable:
        path = first_unreachable(options.rest)
        if path is not None:
            print(path)
        return
    if options.end_with_parent is not None:
        # After the change of user: the kernel forgets the request when the credentials change.
        end_with_parent(*options.end_with_parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(options.rest[0], options.rest)  # noqa: S606 - no shell wanted: the pid must be the command's own


if __name__ == "__main__":
    main()
