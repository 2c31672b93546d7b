"""Which user the embedded servers run as, and where their files are within that user's reach.

PostgreSQL refuses to run as root, and Redis has no business doing so. Started by an ordinary user they run as that
user, in the data folder. Started by root they run under a user id that nothing else on the machine has: it needs no
entry in /etc/passwd, so nothing is added there. When that user cannot reach the data folder or the servers' programs
(a 0700 home), their files go to a private folder elsewhere; no permission of any folder above ours is changed.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.cannot_start import CannotStart
from local.memory import Memory

_LAUNCH = Path(__file__).with_name("launch.py")

# systemd's table of user ids leaves this range unassigned, so no package, container or dynamic user lives in it.
_FREE_UIDS = range(1_900_000_000, 2_000_000_000)
# For a container that maps only 65,536 ids: above what distributions hand out, below `nobody`.
_FREE_UIDS_OF_A_SMALL_CONTAINER = range(61_184, 65_520)

_STATE_FOLDER = Path("/var/lib")


def launcher(*options: str) -> list[str]:
    """The beginning of a command line that runs `launch.py`; `-I -S` keeps the project's own modules out of it."""
    return [sys.executable, "-I", "-S", str(_LAUNCH), *options]


def ended_with_this_process(argv: list[str], stop_signal: int) -> list[str]:
    """`argv`, to be sent `stop_signal` by the kernel when this process ends, however it ends.

    A command that runs as another user gets the wish in the same launch: the kernel forgets it when the user changes.
    """
    beginning, wish = launcher(), ["--end-with-parent", str(os.getpid()), str(int(stop_signal))]
    if argv[: len(beginning)] == beginning:
        return [*beginning, *wish, *argv[len(beginning) :]]
    return [*beginning, *wish, "--", *argv]


@dataclass(frozen=True)
class ServerAccount:
    """The user of the embedded servers; `uid` is None when that is whoever started Surefill."""

    uid: int | None

    def command(self, argv: list[str]) -> list[str]:
        """`argv` run as this user, in the same process (so its pid is the server's)."""
        return argv if self.uid is None else [*launcher(*self._identity()), "--", *argv]

    def can_reach(self, *paths: Path) -> bool:
        """Whether this user can enter or read all of `paths`: asked of the system itself, access lists included."""
        if self.uid is None:
            return True
        asked = subprocess.run(
            [*launcher(*self._identity(), "--unreachable"), "--", *map(str, paths)],
            capture_output=True,
            text=True,
            check=True,
        )
        return not asked.stdout.strip()

    def own(self, folder: Path) -> None:
        """Give `folder` and what is in it to this user alone."""
        folder.chmod(0o700)
        if self.uid is None:
            return
        for parent, folders, files in os.walk(folder):
            for name in (parent, *(os.path.join(parent, child) for child in folders + files)):
                os.chown(name, self.uid, self.uid, follow_symlinks=False)

    def let_read(self, file: Path) -> None:
        """Let this user read `file`, which stays ours."""
        if self.uid is not None:
            os.chown(file, -1, self.uid)
            file.chmod(0o640)

    def _identity(self) -> tuple[str, ...]:
        return ("--uid", str(self.uid), "--gid", str(self.uid))


@dataclass(frozen=True)
class ServerHome:
    """A folder that the servers' user can reach, and that user."""

    folder: Path
    account: ServerAccount
    note: str | None
    """One line for the console when the files are not in the data folder."""

    def within_reach(self, root: Path, parts: Sequence[str]) -> Path:
        """`root` itself if the servers' user can read its `parts`, else the home's own copy of those parts."""
        present = [part for part in parts if (root / part).exists()]
        if self.account.can_reach(*(root / part for part in present), *_samples(root, present)):
            return root
        version = int((root / present[0]).stat().st_mtime)
        copy = self.folder / "programs" / f"{Path(present[0]).name}-{version}"
        if not copy.exists():
            unfinished = copy.with_name(copy.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            for part in present:
                (unfinished / part).parent.mkdir(parents=True, exist_ok=True)
                if (root / part).is_dir():
                    shutil.copytree(root / part, unfinished / part, symlinks=True)
                else:
                    shutil.copy2(root / part, unfinished / part)
            _open_for_reading(copy.parent)
            unfinished.rename(copy)
        return copy


def server_home(memory: Memory, *, throw_away: bool) -> ServerHome:
    """Find or make the servers' home for the data folder of `memory`. Raises :class:`CannotStart`."""
    folder = memory.folder
    if os.geteuid() != 0:
        return ServerHome(folder, ServerAccount(None), None)

    account = ServerAccount(_server_uid(memory))
    folder.chmod(folder.stat().st_mode | 0o011)  # the data folder is ours: let the servers' user pass through it
    remembered = memory.get("server_home")
    if throw_away and remembered is not None and not Path(remembered).is_dir():
        remembered = None
    if remembered is not None and not Path(remembered).is_dir():
        raise CannotStart(
            f"{remembered}, where the database of {folder} is kept, is gone: "
            f"restore it, or remove {folder} to start afresh"
        )
    if remembered is None and not account.can_reach(folder):
        home = _private_folder(throw_away)
        if (folder / "postgres").exists():
            # An earlier start could reach the data folder; now something above it is closed.
            shutil.move(folder / "postgres", home / "postgres")
            account.own(home / "postgres")
        memory.put("server_home", str(home))
        remembered = str(home)
    if remembered is None:
        return ServerHome(folder, account, None)
    return ServerHome(
        Path(remembered),
        account,
        f"the database's files are in {remembered}: started by root, the database server is an unprivileged user, "
        f"who cannot enter {folder}",
    )


def account_for_initdb(account: ServerAccount) -> ServerAccount:
    """The user that makes a cluster: unlike the server, `initdb` insists on an entry in /etc/passwd."""
    if account.uid is None:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise CannotStart(
                f"user id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL's initdb needs one: "
                "start Surefill as a named user or as root, or set DATABASE_URL"
            ) from None
        return account
    entries = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not entries:
        raise CannotStart(
            "there is no user but root on this machine, and PostgreSQL needs one: add one, or set DATABASE_URL"
        )
    nobody = next((entry for entry in entries if entry.pw_name == "nobody"), entries[-1])
    return ServerAccount(nobody.pw_uid)


def _server_uid(memory: Memory) -> int:
    for data in (memory.folder / "postgres", Path(memory.get("server_home") or memory.folder) / "postgres"):
        # Data that an ordinary user made stays that user's when root starts the system later.
        if data.is_dir() and data.stat().st_uid != 0:
            return data.stat().st_uid
    known = memory.get("server_uid")
    if known is not None:
        return int(known)
    uid = _unused_uid()
    memory.put("server_uid", str(uid))
    return uid


def _unused_uid() -> int:
    taken = {process.info["uids"].real for process in psutil.process_iter(["uids"]) if process.info["uids"]}
    taken |= {entry.pw_uid for entry in pwd.getpwall()}
    for candidates in (_FREE_UIDS, _FREE_UIDS_OF_A_SMALL_CONTAINER):
        for _ in range(100):
            uid = secrets.choice(candidates)
            if uid not in taken and _is_mapped(uid):
                return uid
    raise CannotStart(
        "no unused user id was found for the database server: start Surefill as an ordinary user instead of root"
    )


def _is_mapped(uid: int) -> bool:
    """Whether this user namespace knows `uid`; a rootless container maps a part of the ids only."""
    mapping = Path("/proc/self/uid_map")
    if not mapping.exists():
        return True
    lines = [[int(number) for number in line.split()] for line in mapping.read_text().splitlines()]
    return any(first <= uid < first + count for first, _, count in lines)


def _private_folder(throw_away: bool) -> Path:
    # A temporary directory is emptied now and then: only for data that may vanish, or when there is nothing else.
    if not throw_away and os.access(_STATE_FOLDER, os.W_OK):
        above = _STATE_FOLDER / "surefill"
        above.mkdir(mode=0o711, exist_ok=True)
        candidates = [above]
    else:
        candidates = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")]  # noqa: S108 - mkdtemp makes it private
    for above in candidates:
        if os.access(above, os.W_OK) and _others_may_pass(above):
            folder = Path(tempfile.mkdtemp(prefix="surefill-", dir=above))
            folder.chmod(0o711)
            return folder
    raise CannotStart(
        "no folder was found that the database server's user can reach: start Surefill as an ordinary user"
    )


def _others_may_pass(folder: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents))


def _samples(root: Path, parts: list[str]) -> list[Path]:
    """Some files of each folder: a package unpacked under a strict umask has closed files in open folders."""
    return [file for part in parts for file in list((root / part).glob("*/*"))[:20]]


def _open_for_reading(tree: Path) -> None:
    for step in [tree, *tree.rglob("*")]:
        if not step.is_symlink():
            step.chmod(step.stat().st_mode | (0o055 if step.is_dir() else 0o044))
            if step.stat().st_mode & 0o100:
                step.chmod(step.stat().st_mode | 0o011)
