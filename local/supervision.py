"""supervisord in the foreground of a data folder: its configuration, its control socket, what it reports.

It starts a program again whenever it ends, whatever the reason, about a second later and for ever.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from supervisor.xmlrpc import SupervisorTransport

from local.cannot_start import CannotStart
from local.leftovers import MARK, StartedProcesses
from local.memory import Memory, write_private
from local.server_account import launcher

Group = Literal["services", "venue", "app"]
"""Groups start in this order and stop in the opposite one, each as a whole."""

_GROUPS: tuple[Group, ...] = ("services", "venue", "app")
_SOCKET_PATH_LENGTH = 90  # the kernel's limit is 104 on macOS, 108 on Linux; supervisord adds its pid
_START_SECONDS = 15.0
_FOLLOW_SECONDS = 0.05
_LOG_BYTES = 20 * 1024 * 1024

# What the web server listens on while it starts shows in its own log; a line of supervisord's log is an event here.
_SPAWNED = re.compile(r"spawned: '([^']+)' with pid (\d+)")
_EXITED = re.compile(r"exited: (\S+) \((.*)\)")
_NOT_STARTED = re.compile(r"spawnerr: (.*)")


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str]
    group: Group
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside what all programs have."""
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    """After the stop signal, before it is killed with everything it started."""
    signal_whole_group: bool = True
    """False for a program that has to tell its own children to stop, after their work."""


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor says of one program."""

    pid: int
    """0 while it does not run."""
    running: bool


class Supervisor:
    """A supervisord of our own, and our line to it."""

    def __init__(
        self,
        memory: Memory,
        working_folder: Path,
        environment: Mapping[str, str],
        report: Callable[[str], None],
    ) -> None:
        self._memory = memory
        self._working_folder = working_folder
        self._environment = dict(environment)
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._started = StartedProcesses(memory.folder)
        self._groups: dict[str, Group] = {}
        self._socket = _socket_path(memory)
        self._configuration = memory.folder / "supervisord.conf"
        self._log = self.log_file("supervisord")
        self._follower: threading.Thread | None = None
        self._finished = threading.Event()
        self._stopping = False
        self._stop_seconds = 0
        self._deaths: dict[str, int] = {}
        self._dead_since: dict[str, float] = {}

    def log_file(self, name: str) -> Path:
        """Where everything goes that the program says."""
        return self._memory.folder / "log" / f"{name}.log"

    def start(self, programs: Sequence[Program]) -> None:
        """Start supervisord, and with it the group `services`; the others wait for :meth:`start_group`."""
        self._groups = {program.name: program.group for program in programs}
        # Groups stop one after the other, the programs of one together; then a second each to notice.
        self._stop_seconds = sum(
            1 + max((program.stop_seconds for program in programs if program.group == group), default=0)
            for group in _GROUPS
        )
        self._log.parent.mkdir(mode=0o700, exist_ok=True)
        self._log.write_bytes(b"")
        self._socket.unlink(missing_ok=True)
        write_private(self._configuration, self._configuration_text(programs))
        with self.log_file("supervisord.err").open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    # When whoever runs this is killed, supervisord stops everything in order, then itself.
                    *launcher("--end-with-parent", str(os.getpid()), str(int(signal.SIGTERM))),
                    *("--", sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self._configuration)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=self._working_folder,
                env=self._environment | {MARK: self._memory.get("mark") or ""},
                start_new_session=True,  # Ctrl-C reaches us only; supervisord then stops everything in order
            )
        self._started.add("supervisord", self._process.pid)
        self._finished.clear()
        self._stopping = False
        self._follower = threading.Thread(target=self._follow, name="supervisord-log", daemon=True)
        self._follower.start()
        self._wait_for_socket()

    def start_group(self, group: Group) -> None:
        """Start every program of `group`."""
        if group in self._groups.values():
            self._call("startProcessGroup", group, False)

    def stop_program(self, name: str) -> None:
        """Stop one program, and leave it stopped."""
        self._call("stopProcess", self._full_name(name), True)

    def start_program(self, name: str) -> None:
        """Start a program that was stopped."""
        self._call("startProcess", self._full_name(name), True)

    def state(self, name: str) -> ProgramState:
        """Whether the program runs, and its pid."""
        info = self._call("getProcessInfo", self._full_name(name))
        return ProgramState(pid=int(info["pid"]), running=info["statename"] == "RUNNING")

    def deaths(self, name: str) -> int:
        """How often the program has ended by itself, or been killed, since the start."""
        return self._deaths.get(name, 0)

    @property
    def pid(self) -> int | None:
        """supervisord's own pid; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def stop(self) -> None:
        """Stop every program in the opposite order of their start, then supervisord."""
        process = self._process
        if process is None:
            return
        self._stopping = True
        process.terminate()
        try:
            process.wait(timeout=self._stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._finished.set()
        if self._follower is not None:
            self._follower.join()
        self._process = None
        self._socket.unlink(missing_ok=True)
        if self._socket.parent != self._memory.folder:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _full_name(self, name: str) -> str:
        return f"{self._groups[name]}:{name}"

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def _wait_for_socket(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._call("getState")
            except OSError as error:
                if self.pid is None or time.monotonic() > deadline:
                    said = self.log_file("supervisord.err").read_text(errors="replace").strip().splitlines()
                    raise CannotStart(f"the supervisor did not start: {said[-1] if said else error}") from error
                time.sleep(0.02)
            else:
                return

    def _follow(self) -> None:
        """Turn supervisord's log into the list of started processes and into lines for the console."""
        with self._log.open(encoding="utf-8", errors="replace") as log:
            unfinished = ""
            while True:
                text = log.readline()
                if text.endswith("\n"):
                    self._read_event(unfinished + text)
                    unfinished = ""
                elif text:
                    unfinished += text
                elif self._finished.is_set():
                    return
                else:
                    self._finished.wait(_FOLLOW_SECONDS)

    def _read_event(self, line: str) -> None:
        if match := _SPAWNED.search(line):
            name, pid = match[1], int(match[2])
            self._started.add(name, pid)
            if name in self._dead_since:
                seconds = time.monotonic() - self._dead_since.pop(name)
                self._report(f"{name} started again after {seconds:.1f} s (pid {pid})")
        elif (match := _EXITED.search(line)) and not self._stopping:
            name, how = match[1], match[2].removesuffix("; not expected").removesuffix("; expected")
            self._deaths[name] = self._deaths.get(name, 0) + 1
            self._dead_since.setdefault(name, time.monotonic())
            self._report(f"{name} died ({how}); its log is {self.log_file(name)}")
        elif match := _NOT_STARTED.search(line):
            self._report(f"cannot start a program: {match[1]}")

    def _configuration_text(self, programs: Sequence[Program]) -> str:
        sections: dict[str, dict[str, str]] = {
            "unix_http_server": {"file": str(self._socket), "chmod": "0700"},
            "supervisord": {
                "logfile": str(self._log),
                "logfile_maxbytes": "0",
                "loglevel": "info",
                "silent": "true",
                "pidfile": str(self._memory.folder / "supervisord.pid"),
                "childlogdir": str(self._log.parent),
                "minfds": "1024",
                # Said only because supervisord warns when root has not said it.
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
        }
        for priority, group in enumerate(_GROUPS, start=1):
            members = [program for program in programs if program.group == group]
            if not members:
                continue
            sections[f"group:{group}"] = {
                "programs": ",".join(program.name for program in members),
                "priority": str(priority),
            }
            for program in members:
                sections[f"program:{program.name}"] = self._program_section(program)
        return "".join(
            f"[{section}]\n" + "".join(f"{name}={value}\n" for name, value in values.items()) + "\n"
            for section, values in sections.items()
        )

    def _program_section(self, program: Program) -> dict[str, str]:
        section = {
            "command": _literal(shlex.join(program.command)),
            "directory": _literal(str(self._working_folder)),
            "autostart": "true" if program.group == "services" else "false",
            "autorestart": "true",
            # 0: a program that ends at once is started again at the same pace as any other. With a longer time,
            # supervisord waits one second more after each such end, and a program would stay down for minutes.
            "startsecs": "0",
            "startretries": "1000000000",
            "stopsignal": program.stop_signal,
            "stopwaitsecs": str(program.stop_seconds),
            "stopasgroup": "true" if program.signal_whole_group else "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _literal(str(self.log_file(program.name))),
            "stdout_logfile_maxbytes": str(_LOG_BYTES),
            "stdout_logfile_backups": "2",
        }
        if program.environment:
            section["environment"] = ",".join(
                f"{name}={_quoted(value)}" for name, value in sorted(program.environment.items())
            )
        return section


def _literal(text: str) -> str:
    """`text` for supervisord's configuration, which expands `%(…)s`, cuts at ` ;`, and reads values like a shell."""
    if re.search(r"[\n\r]|\s[;#]", text):
        raise CannotStart(f"{text!r} cannot be put into the supervisor's configuration: rename the folder or the value")
    return text.replace("%", "%%")


def _quoted(value: str) -> str:
    mark = "'" if '"' in value else '"'
    if mark in value or value.strip("'\"") != value:
        raise CannotStart("a value with quotation marks cannot be passed to a process: percent-encode them in the URL")
    return f"{mark}{_literal(value)}{mark}"


def _socket_path(memory: Memory) -> Path:
    beside = memory.folder / "supervisor.sock"
    if len(os.fsencode(beside)) <= _SOCKET_PATH_LENGTH:
        return beside
    remembered = memory.get("socket_folder")
    if remembered is None or not Path(remembered).is_dir() or Path(remembered).stat().st_uid != os.geteuid():
        short = tempfile.gettempdir() if len(tempfile.gettempdir()) < _SOCKET_PATH_LENGTH // 2 else "/tmp"  # noqa: S108
        remembered = tempfile.mkdtemp(prefix="surefill-", dir=short)
        memory.put("socket_folder", remembered)
    return Path(remembered) / "supervisor.sock"
