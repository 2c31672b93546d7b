"""The supervisor and everything under it: whatever is killed comes back, whatever was started is ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import urllib3

from app.settings import PROJECT_ROOT, load_settings
from local.cannot_start import CannotStart
from local.leftovers import MARK, StartedProcesses, left_over
from local.memory import Memory
from local.services import end_left_over
from local.stack import LocalStack

EVERYTHING = ["web", "worker", "listener", "sweeper", "quotes", "simulator", "postgres", "redis"]


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the system reported to the console."""
    return []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, stub_root: Path, said: list[str]) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("stack") / "var"
    with LocalStack(
        folder, {"ORDER_TIMEOUT_SECONDS": "7"}, root=stub_root, durable=False, report=said.append
    ) as running:
        yield running


@pytest.mark.parametrize("name", EVERYTHING)
def test_whatever_is_killed_comes_back_within_two_seconds(stack: LocalStack, said: list[str], name: str) -> None:
    deaths = stack.deaths(name)
    old = stack.kill(name)

    assert old
    assert stack.wait_until_restarted(name, old) < 2
    wait_for(lambda: any(line.startswith(f"{name} started again") for line in said))
    assert any(line.startswith(f"{name} died (terminated by SIGKILL)") for line in said)
    assert stack.deaths(name) == deaths + 1


def test_a_process_that_keeps_dying_keeps_coming_back_at_the_same_pace(stack: LocalStack) -> None:
    for _ in range(4):
        old = stack.kill("quotes")
        assert stack.wait_until_restarted("quotes", old) < 2


def test_one_child_can_be_killed_alone(stack: LocalStack) -> None:
    wait_for(lambda: len(stack.pids("worker")) == 2)
    parent = stack.pid("worker")
    child = stack.kill_a_child("worker")

    wait_for(lambda: has_ended(child))
    assert stack.pid("worker") == parent


def test_a_program_can_be_stopped_for_a_while(stack: LocalStack) -> None:
    stack.stop_program("redis")
    assert stack.pid("redis") == 0
    stack.start_program("redis")
    assert stack.pid("redis") > 0


def test_the_processes_get_their_own_login_and_never_the_owners(stack: LocalStack) -> None:
    web = environment_of_web(stack)
    worker = json.loads(stack.log_file("worker").read_text().splitlines()[0])
    simulator = json.loads(stack.log_file("simulator").read_text().splitlines()[0])
    settings = stack.settings

    assert {name for name in web if name.startswith("DATABASE_URL")} == {
        "DATABASE_URL_API",
        "DATABASE_URL_COMPLIANCE",
    }
    assert web["DATABASE_URL_API"] == settings.database_url_api
    assert {name for name in worker if name.startswith("DATABASE_URL")} == {"DATABASE_URL_WORKER"}
    assert not [name for name in simulator if name.startswith("DATABASE_URL")]
    assert worker["ORDER_TIMEOUT_SECONDS"] == "7"
    assert load_settings(web).database_url == ""


def test_the_migrations_ran_as_the_owner_before_the_processes(stack: LocalStack) -> None:
    with contextlib.closing(psycopg2.connect(stack.settings.database_url)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT by_whom FROM migrated")
            assert cursor.fetchone() == ("surefill_owner",)


def test_the_command_line_finds_the_running_system_by_the_data_folder(stack: LocalStack) -> None:
    found = load_settings({"DATA_FOLDER": str(stack.folder), "ENV_FILE": os.devnull})

    assert found.database_url == stack.settings.database_url
    assert found.redis_url == stack.settings.redis_url
    assert found.apca_api_base_url == stack.simulator_url


def test_a_trader_is_made_by_the_command_line(stack: LocalStack) -> None:
    trader = stack.create_trader("alice", "100000")

    assert (trader.trader_id, trader.api_key) == ("id-of-alice", "key-of-alice")


def test_files_with_secrets_are_readable_by_their_owner_only(stack: LocalStack) -> None:
    for name in ("local.json", "embedded.env", "supervisord.conf"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0, name


def test_a_second_system_on_the_same_folder_is_refused_and_the_first_runs_on(
    stack: LocalStack, stub_root: Path
) -> None:
    before = stack.pid("web")
    with pytest.raises(CannotStart, match=rf"already runs on .* \(pid {os.getpid()}\)"):
        LocalStack(stack.folder, root=stub_root, durable=False).start()

    assert stack.pid("web") == before


def test_a_killed_supervisor_is_replaced_with_everything_under_it(stack: LocalStack) -> None:
    assert not stack.start_again_if_unsupervised()
    orphan = stack.pid("web")
    supervisor = stack.supervisor.pid
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)

    wait_for(stack.start_again_if_unsupervised)
    assert not psutil.pid_exists(orphan)
    assert stack.pid("web") not in {0, orphan}


def test_nothing_is_left_running_after_stop(tmp_path: Path, stub_root: Path) -> None:
    folder = tmp_path / "var"
    with LocalStack(folder, root=stub_root, durable=False) as running:
        wait_for(lambda: len(running.pids("worker")) == 2)
        assert len(processes_of(folder)) > len(EVERYTHING)

    assert processes_of(folder) == []


def test_a_proxy_can_be_put_between_the_processes_and_what_they_use(tmp_path: Path, stub_root: Path) -> None:
    def rewire(environment: dict[str, str]) -> dict[str, str]:
        return environment | {"REDIS_URL": "redis://127.0.0.1:1/0", "SIMULATOR_URL": "http://127.0.0.1:2"}

    with LocalStack(
        tmp_path / "var", root=stub_root, durable=False, rewire=rewire, programs=["web", "simulator"]
    ) as running:
        web = environment_of_web(running)
        assert (web["REDIS_URL"], web["SIMULATOR_URL"]) == ("redis://127.0.0.1:1/0", "http://127.0.0.1:2")
        assert running.settings.redis_url != web["REDIS_URL"]
        assert running.pid("simulator")


def test_a_venue_of_ones_own_runs_no_simulator(tmp_path: Path, stub_root: Path) -> None:
    venue = {
        "APCA_API_BASE_URL": "http://127.0.0.1:9",
        "APCA_API_KEY_ID": "key",
        "APCA_API_SECRET_KEY": "secret",
        "VENUE_CLIENT_ID_UNIQUENESS": "none",
    }
    with LocalStack(tmp_path / "var", venue, root=stub_root, durable=False) as running:
        assert not (tmp_path / "var" / "log" / "simulator.log").exists()
        assert "SIMULATOR_URL" not in environment_of_web(running)


def test_a_database_and_a_redis_of_ones_own_are_used_and_none_is_embedded(
    tmp_path: Path, stub_root: Path, database: str
) -> None:
    own = {"DATABASE_URL": database, "REDIS_URL": "redis://127.0.0.1:1/0"}
    with LocalStack(tmp_path / "var", own, root=stub_root, durable=False, programs=["web"]) as running:
        assert running.settings.database_url == database
    assert not (tmp_path / "var" / "postgres").exists()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"PORT": "eighty"}, r"^PORT is 'eighty': expected an integer from 1 to 65535$"),
        (
            {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d", "REDIS_URL": "redis://127.0.0.1:1"},
            r"^the database that DATABASE_URL names cannot be reached: .*refused",
        ),
        ({"DATABASE_URL_API": "postgresql://u:p@127.0.0.1:1/d"}, r"^DATABASE_URL must be set"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing_running(
    tmp_path: Path, stub_root: Path, given: dict[str, str], line: str
) -> None:
    with pytest.raises(CannotStart, match=line) as caught:
        LocalStack(tmp_path / "var", given, root=stub_root, durable=False).start()

    assert "\n" not in str(caught.value)
    assert processes_of(tmp_path / "var") == []


def test_a_taken_port_is_one_line_that_names_another(tmp_path: Path, stub_root: Path) -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        port = somebody.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"^port {port} is taken .* PORT={port + 1} make run$"):
            LocalStack(tmp_path / "var", {"PORT": str(port)}, root=stub_root, durable=False).start()


def test_a_web_process_that_cannot_come_up_is_one_line_with_its_last_words(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    for file in ("alembic.ini", "migrations"):
        (root / file).symlink_to(Path(__file__).with_name("stub_system") / file)
    (root / "Procfile").write_text("web: python -c \"raise SystemExit('no such module: surefill')\"\n")

    with pytest.raises(CannotStart, match=r"does not come up: no such module: surefill"):
        LocalStack(tmp_path / "var", root=root, durable=False).start()


heard: dict[int, list[str]] = {}
"""What each process has said until it was ready."""


# --- `make run` as a process of its own ---------------------------------------------------------------------------


@pytest.fixture
def runner(tmp_path: Path, stub_root: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `run` on one data folder, with more variables if given, and waits until it says that it is ready."""
    started: list[subprocess.Popen[str]] = []
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from local.cannot_start import CannotStart
        from local.run import run
        try:
            run(stop_with_parent=False, root=Path({str(stub_root)!r}))
        except CannotStart as error:
            print(error, flush=True)
        """
    )
    port = Memory(tmp_path).port("web")

    def start(**environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=PROJECT_ROOT,
            env=os.environ
            | {"DATA_FOLDER": str(tmp_path / "var"), "PORT": str(port), "ENV_FILE": os.devnull}
            | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        read_until(process, "Ctrl-C stops everything")
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
    end_left_over(Memory(tmp_path / "var"))
    outside = Memory(tmp_path / "var").get("server_home")
    if outside is not None:  # `run` keeps its data, wherever that had to go
        shutil.rmtree(outside)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_stops_everything_when_asked_to(
    runner: Callable[[], subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    process = runner()
    keys = tmp_path / "var" / "demo-keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert json.loads(keys.read_text())["traders"][0] == {
        "name": "alice",
        "trader_id": "id-of-alice",
        "api_key": "key-of-alice",
    }
    assert json.loads(keys.read_text())["operator"]["api_key"] == "admin-key-of-id-of-operator"

    process.send_signal(number)

    assert process.wait(60) == 0
    assert processes_of(tmp_path / "var") == []


def test_a_start_after_a_kill_of_everything_cleans_up_and_is_ready(
    runner: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = runner()
    keys = (tmp_path / "var" / "demo-keys.json").read_text()
    for victim in [psutil.Process(process.pid), *processes_of(tmp_path / "var")]:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    process.wait(10)

    runner()

    assert (tmp_path / "var" / "demo-keys.json").read_text() == keys


def test_a_start_ends_what_a_killed_supervisor_left_behind(
    runner: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = runner()
    supervisor = next(one for one in processes_of(tmp_path / "var") if "supervisor.supervisord" in one.cmdline())
    for victim in (psutil.Process(process.pid), supervisor):
        victim.kill()
    process.wait(10)
    orphans = processes_of(tmp_path / "var")
    assert orphans

    runner()

    assert not [orphan for orphan in orphans if orphan.is_running()]


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def _ended(keys: Path) -> None:
    document = json.loads(keys.read_text())
    document["traders"][0]["api_key"] = "an-ended-key"
    keys.write_text(json.dumps(document))


@pytest.mark.parametrize("lose", [Path.unlink, _ended, lambda keys: keys.write_text("{")])
def test_a_start_without_the_demo_keys_makes_new_ones_for_the_traders_that_are_there(
    runner: Callable[..., subprocess.Popen[str]], tmp_path: Path, lose: Callable[[Path], object]
) -> None:
    _stop(runner())
    keys = tmp_path / "var" / "demo-keys.json"
    lose(keys)
    (tmp_path / "var" / "traders" / "carol").unlink()  # the start before this one was ended half-way

    runner()

    assert keys.stat().st_mode & 0o777 == 0o600
    made = json.loads(keys.read_text())
    assert [(trader["trader_id"], trader["api_key"]) for trader in made["traders"]] == [
        ("id-of-alice", "more-key-of-id-of-alice"),
        ("id-of-bob", "more-key-of-id-of-bob"),
        ("id-of-carol", "key-of-carol"),
    ]
    assert made["operator"]["api_key"] == "admin-key-of-id-of-operator"


@pytest.mark.parametrize("name", ["alice", "operator"])
def test_nobody_gets_a_key_to_an_account_in_a_database_of_ones_own(
    runner: Callable[..., subprocess.Popen[str]], tmp_path: Path, database: str, name: str
) -> None:
    traders = tmp_path / "var" / "traders"
    traders.mkdir(parents=True)
    (traders / name).touch()

    process = runner(DATABASE_URL=database)

    said = heard[process.pid]
    assert not (tmp_path / "var" / "demo-keys.json").exists()
    assert [file.name for file in traders.iterdir()] == [name]
    [line] = [line for line in said if "no demo keys" in line]
    assert ".venv/bin/flask --app app key create --trader NAME" in line
    assert not [line for line in said if line.startswith("surefill: demo keys")]


def test_a_database_of_ones_own_without_such_traders_gets_them(
    runner: Callable[..., subprocess.Popen[str]], tmp_path: Path, database: str
) -> None:
    runner(DATABASE_URL=database)

    assert json.loads((tmp_path / "var" / "demo-keys.json").read_text())["traders"][0]["api_key"] == "key-of-alice"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent ended")
def test_everything_ends_when_the_runner_alone_is_killed(
    runner: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = runner()
    process.kill()
    process.wait(10)

    wait_for(lambda: not processes_of(tmp_path / "var"), seconds=60)


def test_a_recorded_pid_that_is_somebody_elses_today_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        started = psutil.Process(innocent.pid).create_time()
        record = {"name": "web", "pid": innocent.pid, "started": started - 5}
        (tmp_path / "processes.jsonl").write_text(json.dumps(record) + "\n")

        assert left_over("no-such-mark", None, StartedProcesses(tmp_path)) == []
        innocent.kill()


def environment_of_web(stack: LocalStack) -> dict[str, str]:
    answer = urllib3.request("GET", stack.url, timeout=5.0)
    environment: dict[str, str] = answer.json()
    return environment


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that runs for the data folder, found by the mark and by PostgreSQL's working folder."""
    memory = Memory(folder)
    mark = memory.get("mark")
    data = Path(memory.get("server_home") or folder) / "postgres"
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (
                process.environ().get(MARK) == mark or process.cwd() == str(data)
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    lines = heard[process.pid] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail("it ended instead:\n" + "".join(lines))


def wait_for(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)
