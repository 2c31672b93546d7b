"""The whole system on one data folder: embedded services, migrations, and every line of the Procfile, supervised.

with LocalStack(folder, {"ORDER_TIMEOUT_SECONDS": "5"}) as stack:
    stack.url                      # http://127.0.0.1:<port>
    stack.settings_environment     # what `Settings.from_environment` reads, the owner's DATABASE_URL included
    stack.pids("worker")           # the process and its children
    before = stack.kill("worker")  # SIGKILL
    stack.wait_until_restarted("worker", before)
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil
import psycopg2
import urllib3

from app.settings import EMBEDDED_ENVIRONMENT_FILE, PROJECT_ROOT, VARIABLES, Settings, SettingsError
from local.cannot_start import CannotStart
from local.memory import port_is_free, write_private
from local.postgresql import EmbeddedPostgres
from local.procfile import read_procfile
from local.redis_server import EmbeddedRedis
from local.server_account import ServerHome, server_home
from local.services import end_left_over, open_data_folder, remove_private_home
from local.supervision import Program, Supervisor

_READY_SECONDS = 60.0
_RESTART_SECONDS = 10.0
_POLL_SECONDS = 0.05
# A program that ends this often before the system is ready will not come up by itself.
_HOPELESS_DEATHS = 3

# How each process is asked to stop. The default is SIGTERM to the process and its children, ten seconds.
_STOPPING: Mapping[str, Mapping[str, object]] = {
    # gunicorn lets its workers finish the requests in hand.
    "web": {"signal_whole_group": False, "stop_seconds": 15},
    # Celery remaps SIGTERM to a soft shutdown: no new task, tasks in hand are finished. Its children must not get the
    # signal: they would end in the middle of a submit.
    "worker": {"signal_whole_group": False, "stop_seconds": 20},
}

# The owner's URL goes to no process: each gets the login it needs and no more.
_LOGINS: Mapping[str, tuple[str, ...]] = {
    "web": ("DATABASE_URL_API", "DATABASE_URL_COMPLIANCE"),
    "sequencer": ("DATABASE_URL_COMPLIANCE",),
    "simulator": (),
}
_LOGINS_OF_OTHERS = ("DATABASE_URL_WORKER",)
# Passwords and keys go to whom they are for, and neither to the servers nor to whatever else is started.
_SECRETS = ("REDIS_URL", "CELERY_BROKER_URL", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "SUREFILL_SECRETS_KEY")
_SECRETS_OF: Mapping[str, tuple[str, ...]] = {
    "web": ("REDIS_URL", "CELERY_BROKER_URL"),  # it calls no venue
    "sequencer": ("REDIS_URL",),
    "simulator": (),
}
_DATABASE_VARIABLES = ("DATABASE_URL", "DATABASE_URL_API", "DATABASE_URL_WORKER", "DATABASE_URL_COMPLIANCE")


@dataclass(frozen=True)
class CreatedTrader:
    """A trader made by the command line, with the key that is shown only once."""

    name: str
    trader_id: str
    api_key: str


class LocalStack:
    """Surefill on one machine. Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    `environment` holds settings beyond the defaults. Settings of the surrounding environment and of `.env` do not
    count: a throw-away system must never reach somebody's real database or venue because a variable happened to be
    set. (`make run` passes them on purpose.) `DATABASE_URL`, `REDIS_URL` and `APCA_API_BASE_URL` in it replace the
    embedded PostgreSQL, the embedded Redis and the simulator.

    `rewire` may change the variables that the processes get once the services run, to put a proxy in between: it
    receives `settings_environment` and returns what the processes shall see. `simulator_environment` are the
    simulator's own `SIMULATOR_*` variables. `programs` limits which lines of the Procfile run.

    It must be started in the main thread: when that thread ends, so does everything it started (Linux).
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        programs: Collection[str] | None = None,
        rewire: Callable[[dict[str, str]], Mapping[str, str]] | None = None,
        simulator_environment: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda line: None,
        throw_away: bool = True,
        durable: bool = True,
        root: Path = PROJECT_ROOT,
    ) -> None:
        self.folder = folder.absolute()
        self._given = {name: value for name, value in (environment or {}).items() if value.strip()}
        self._only = programs
        self._rewire = rewire
        self._simulator_environment = dict(simulator_environment or {})
        self._report = report
        self._throw_away = throw_away
        self._durable = durable
        self._root = root
        self._memory = open_data_folder(self.folder)
        self._lock: IO[str] | None = None
        self._home: ServerHome | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._simulator_port: int | None = None
        self._port = 0
        self._supervisor: Supervisor | None = None
        self._settings_environment: dict[str, str] = {}

    # --- where things are ---------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The API, the page and Socket.IO."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def simulator_url(self) -> str:
        """The simulator's own address, past any proxy. Raises RuntimeError when there is none."""
        if self._simulator_port is None:
            raise RuntimeError("this system trades at a venue of its own settings: no simulator runs")
        return f"http://127.0.0.1:{self._simulator_port}"

    @property
    def settings_environment(self) -> dict[str, str]:
        """The variables of this system, the owner's `DATABASE_URL` included: for a migration, a test, a report."""
        return dict(self._settings_environment)

    @property
    def settings(self) -> Settings:
        """The same, read and checked."""
        return Settings.from_environment(self._settings_environment)

    @property
    def has_its_own_database(self) -> bool:
        """Whether its database is the embedded one, in the data folder, and not one that `DATABASE_URL` names."""
        return "DATABASE_URL" not in self._given

    @property
    def note(self) -> str | None:
        """One line worth telling about where the files are, if any."""
        return None if self._home is None else self._home.note

    def log_file(self, name: str) -> Path:
        """Where everything goes that process `name` says."""
        return self.supervisor.log_file(name)

    # --- start and stop -----------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start everything and return when the web process answers.

        Raises CannotStart; then nothing is left running.
        """
        self._check_settings()
        self._take_lock()
        try:
            ended = end_left_over(self._memory)
            if ended:
                self._report(f"ended {ended} processes that an earlier start had left behind")
            self._prepare()
            self._start_programs()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop every process this started. Data stays, except what a throw-away system keeps outside its folder."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
        if self._lock is not None:
            end_left_over(self._memory)
            if self._throw_away and self._home is not None:
                remove_private_home(self._memory, self._home)
            self._memory.release_ports()
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_again_if_unsupervised(self) -> bool:
        """Start everything again when supervisord itself has been killed. Returns whether that was so."""
        if self.supervisor.pid is not None:
            return False
        self._report("the supervisor died; starting everything again")
        self.supervisor.stop()
        end_left_over(self._memory)
        self._prepare()
        self._start_programs()
        return True

    # --- processes ----------------------------------------------------------------------------------------------

    @property
    def supervisor(self) -> Supervisor:
        """The running supervisor. Raises RuntimeError before the start."""
        if self._supervisor is None:
            raise RuntimeError("this system has not been started")
        return self._supervisor

    def pid(self, name: str) -> int:
        """The pid of process `name` (a Procfile line, `postgres` or `redis`); 0 while it is down."""
        return self.supervisor.state(name).pid

    def pids(self, name: str) -> list[int]:
        """The process and all its children, the process first; empty while it is down."""
        pid = self.pid(name)
        try:
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))] if pid else []
        except psutil.NoSuchProcess:
            return []

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to process `name`, not to its children. Returns its pid, 0 when it was down."""
        pid = self.pid(name)
        if pid:
            os.kill(pid, number)
        return pid

    def kill_a_child(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one child of process `name`, such as a Celery pool process. Returns its pid, 0 if none."""
        children = self.pids(name)[1:]
        if children:
            os.kill(children[-1], number)
        return children[-1] if children else 0

    def wait_until_restarted(self, name: str, old_pid: int, seconds: float = _RESTART_SECONDS) -> float:
        """Return the seconds until `name` ran under another pid than `old_pid`. Raises TimeoutError.

        For `postgres`, `redis` and `web`: until it answers again, too.
        """
        begun = time.monotonic()
        answers = {"postgres": self._postgres_answers, "redis": self._redis_answers, "web": self._web_answers}
        while time.monotonic() - begun < seconds:
            state = self.supervisor.state(name)
            if state.running and state.pid != old_pid and answers.get(name, lambda: True)():
                return time.monotonic() - begun
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"{name} (pid {old_pid}) was not started again within {seconds:g} s")

    def deaths(self, name: str) -> int:
        """How often process `name` has ended by itself, or been killed, since the start."""
        return self.supervisor.deaths(name)

    def stop_program(self, name: str) -> None:
        """Stop one process and leave it stopped: a service that is down for a while."""
        self.supervisor.stop_program(name)

    def start_program(self, name: str) -> None:
        """Start a process that :meth:`stop_program` stopped."""
        self.supervisor.start_program(name)

    def create_trader(self, name: str, cash: str) -> CreatedTrader:
        """Make a trader with `cash` US dollars through the command line. Raises CannotStart when that fails."""
        said = self._run_tool(
            ["flask", "--app", "app", "trader", "create", "--name", name, "--cash", cash, "--json"],
            f"the trader {name} could not be made",
        )
        created = json.loads(said)
        return CreatedTrader(name=name, trader_id=created["trader_id"], api_key=created["api_key"])

    def limit_trader(self, trader: CreatedTrader, *options: str) -> None:
        """`trader limits` on the command line. Raises CannotStart when that fails."""
        self._run_tool(["flask", "--app", "app", "trader", "limits", trader.trader_id, *options], "no limits were set")

    def traders(self) -> dict[str, str]:
        """Which traders the database has: the id of each by its name. Raises CannotStart when that fails."""
        said = self._run_tool(["flask", "--app", "app", "trader", "list", "--json"], "the traders could not be read")
        return {each["name"]: each["trader_id"] for each in json.loads(said)}

    def create_key(self, trader_id: str, scopes: str | None = None) -> str:
        """One more key of the trader with these scopes, separated by commas, or with what a trader's first key has.

        Raises CannotStart when that fails.
        """
        said = self._run_tool(
            [
                *("flask", "--app", "app", "key", "create", "--trader", trader_id),
                *(() if scopes is None else ("--scopes", scopes)),
                "--json",
            ],
            f"a key for the trader {trader_id} could not be made",
        )
        return str(json.loads(said)["api_key"])

    def halt(self, *options: str) -> None:
        """`halt on` or `halt off` on the command line. Raises CannotStart when that fails."""
        self._run_tool(["flask", "--app", "app", "halt", *options], "the halt could not be changed")

    # --- the steps of a start -----------------------------------------------------------------------------------

    def _check_settings(self) -> None:
        """Before anything is started: with any address where one of ours will be."""
        ours = {
            "DATABASE_URL": "postgresql://owner:password@127.0.0.1/surefill",
            "REDIS_URL": "redis://127.0.0.1/0",
            "SIMULATOR_URL": "http://127.0.0.1:1",
        }
        try:
            Settings.from_environment(ours | self._given)
        except SettingsError as error:
            raise CannotStart(str(error)) from None
        if "DATABASE_URL" not in self._given and any(name in self._given for name in _DATABASE_VARIABLES):
            raise CannotStart(
                "DATABASE_URL must be set beside DATABASE_URL_API, _WORKER or _COMPLIANCE: "
                "expected postgresql://owner:password@host/database, which migrates"
            )

    def _take_lock(self) -> None:
        lock = (self.folder / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip()
            lock.close()
            raise CannotStart(
                f"Surefill already runs on {self.folder} (pid {pid}): stop that one first, "
                "or give this one its own DATA_FOLDER and PORT"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _prepare(self) -> None:
        self._take_port()
        wants_postgres = self.has_its_own_database
        wants_redis = "REDIS_URL" not in self._given
        embedded: dict[str, str] = {}
        if wants_postgres or wants_redis:
            self._home = server_home(self._memory, throw_away=self._throw_away)
            if wants_redis:
                self._redis = EmbeddedRedis.prepare(self._memory, self._home)
                embedded["REDIS_URL"] = self._redis.url
            if wants_postgres:
                self._postgres = EmbeddedPostgres.prepare(self._memory, self._home, durable=self._durable)
                embedded["DATABASE_URL"] = self._postgres.url
        if "APCA_API_BASE_URL" not in self._given:
            self._simulator_port = self._memory.port("simulator")
            embedded["SIMULATOR_URL"] = self.simulator_url

        self._settings_environment = {
            **self._given,
            **embedded,
            "PORT": str(self._port),
            "DATA_FOLDER": str(self.folder),
            # Whatever `.env` says has been read already, or is none of this system's business.
            "ENV_FILE": os.devnull,
        }
        # So that the command line finds the running system.
        write_private(
            self.folder / EMBEDDED_ENVIRONMENT_FILE,
            "".join(f"{name}={value}\n" for name, value in sorted(embedded.items())),
        )

    def _take_port(self) -> None:
        if "PORT" not in self._given:
            self._port = self._memory.port("web")
            return
        self._port = int(self._given["PORT"])
        address = self._given.get("BIND_ADDRESS", "127.0.0.1")
        if not port_is_free(self._port, address):
            raise CannotStart(
                f"port {self._port} is taken by another program: stop it, or choose another port, "
                f"e.g. PORT={self._port + 1} make run"
            )

    def _start_programs(self) -> None:
        seen_by_programs = dict(self._settings_environment)
        if self._rewire is not None:
            seen_by_programs = dict(self._rewire(dict(seen_by_programs)))
        settings = Settings.from_environment(seen_by_programs)

        programs = self._service_programs() + self._procfile_programs(settings, seen_by_programs)
        common = {
            name: value for name, value in seen_by_programs.items() if name not in (*_DATABASE_VARIABLES, *_SECRETS)
        }
        self._supervisor = Supervisor(self._memory, self._root, self._base_environment() | common, self._report)
        self._supervisor.start(programs)
        if self._redis is not None:
            self._redis.wait_until_ready()
        if self._postgres is not None:
            self._postgres.wait_until_ready()
        self._report("services are up; migrating the database")
        self._migrate()
        self._report("the database is ready; starting the processes")
        self._supervisor.start_group("venue")
        self._supervisor.start_group("app")
        if any(program.name == "web" for program in programs):
            self._wait_until_web_answers()

    def _service_programs(self) -> list[Program]:
        programs = []
        if self._postgres is not None:
            # SIGINT: PostgreSQL's "fast" stop. To the server alone: it tells its own processes.
            command = self._postgres.command()
            programs.append(
                Program("postgres", command, "services", stop_signal="INT", stop_seconds=20, signal_whole_group=False)
            )
        if self._redis is not None:
            programs.append(Program("redis", self._redis.command(), "services"))
        return programs

    def _procfile_programs(self, settings: Settings, environment: Mapping[str, str]) -> list[Program]:
        logins = {
            "DATABASE_URL_API": settings.database_url_api,
            "DATABASE_URL_WORKER": settings.database_url_worker,
            "DATABASE_URL_COMPLIANCE": settings.database_url_compliance,
        }
        programs = []
        for name, command in read_procfile(self._root / "Procfile").items():
            if (name == "simulator" and self._simulator_port is None) or (
                self._only is not None and name not in self._only
            ):
                continue
            own = {variable: logins[variable] for variable in _LOGINS.get(name, _LOGINS_OF_OTHERS)}
            own |= {
                variable: environment[variable]
                for variable in _SECRETS_OF.get(name, _SECRETS)
                if variable in environment
            }
            if name == "simulator":
                own |= {
                    "SIMULATOR_HOST": "127.0.0.1",
                    "SIMULATOR_PORT": str(self._simulator_port),
                    "SIMULATOR_LEDGER": str(self.folder / "simulator.sqlite3"),
                    "SIMULATOR_KEY_ID": settings.apca_api_key_id,
                    "SIMULATOR_SECRET_KEY": settings.apca_api_secret_key,
                    **self._simulator_environment,
                }
            stopping = _STOPPING.get(name, {})
            programs.append(
                Program(
                    name,
                    command,
                    "venue" if name == "simulator" else "app",
                    own,
                    stop_seconds=int(str(stopping.get("stop_seconds", 10))),
                    signal_whole_group=bool(stopping.get("signal_whole_group", True)),
                )
            )
        return programs

    def _base_environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in VARIABLES and not name.startswith("SIMULATOR_")
        }
        # The Procfile names programs without a folder: those installed beside the interpreter that runs this.
        kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        kept["PYTHONUNBUFFERED"] = "1"
        return kept

    def _migrate(self) -> None:
        url = self._settings_environment["DATABASE_URL"]
        try:
            with closing(psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=5)):
                pass
        except psycopg2.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise CannotStart(f"the database that DATABASE_URL names cannot be reached: {reason}") from error
        self._run_tool(["alembic", "upgrade", "head"], "the database could not be migrated")

    def _run_tool(self, argv: list[str], failure: str) -> str:
        program = Path(sys.executable).with_name(argv[0])
        done = subprocess.run(
            [str(program), *argv[1:]],
            cwd=self._root,
            env=self._base_environment() | self._settings_environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        log = self.log_file(argv[0])
        with log.open("a", encoding="utf-8") as stream:
            stream.write(done.stderr)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise CannotStart(f"{failure}: {lines[-1].strip()} (the whole story is in {log})")
        return done.stdout

    def _wait_until_web_answers(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._web_answers():
            if self.deaths("web") >= _HOPELESS_DEATHS or time.monotonic() > deadline:
                log = self.log_file("web")
                lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
                raise CannotStart(
                    f"the web process does not come up: {lines[-1].strip() if lines else 'it says nothing'} "
                    f"(the whole story is in {log})"
                )
            time.sleep(_POLL_SECONDS)

    def _web_answers(self) -> bool:
        try:
            answer = urllib3.request("GET", f"{self.url}/readyz", retries=False, timeout=2.0)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def _postgres_answers(self) -> bool:
        return self._postgres is None or self._answers(self._postgres)

    def _redis_answers(self) -> bool:
        return self._redis is None or self._answers(self._redis)

    @staticmethod
    def _answers(service: EmbeddedPostgres | EmbeddedRedis) -> bool:
        try:
            service.wait_until_ready(0)
        except CannotStart:
            return False
        return True
