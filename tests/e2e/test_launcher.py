"""`make run` as a user meets it: it starts, it ends however it is ended, and the data are there."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from config import processes
from config.environment import BASE_DIR
from config.ports import free_port


class Run:
    """One launcher in a home of its own."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.with_name(f"{home.name}.log")
        ours = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "LOYALTY_PEPPER", "HTTPS", "LOG_FORMAT"}
        self.env = {name: value for name, value in os.environ.items() if name not in ours}
        self.env |= {"LOYALTY_HOME": str(home), "PORT": str(self.port), "DEMO": "off", **settings}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str) -> "Run":
        """Start, and wait until it says that it is ready, or ends."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command or (sys.executable, "-m", "config.launcher"),
                cwd=BASE_DIR,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        processes.wait_until(lambda: "Ready after" in self.output() or self.ended, 90)
        return self

    @property
    def ended(self) -> bool:
        """Tell whether the launcher has ended."""
        assert self.process is not None
        return self.process.poll() is not None

    @property
    def ready(self) -> bool:
        """Tell whether it has said so, and the web answers."""
        try:
            page = f"http://127.0.0.1:{self.port}/metrics"
            return httpx.get(page, verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    def output(self) -> str:
        """Return all that it has said since it was started."""
        return self.log.read_text(errors="replace")

    def services(self) -> dict:
        """Return what it tells manage.py."""
        return json.loads((self.home / "services.json").read_text())

    def child(self, name: str) -> int:
        """Return the process id of a child."""
        return self.services()["children"][name][0]

    def postmaster(self) -> int:
        """Return the process id of its PostgreSQL."""
        return int((self.home / "postgres" / "postmaster.pid").read_text().split()[0])

    def sql(self, statement: str) -> list:
        """Run a statement in its database."""
        with psycopg.connect(self.services()["database_url"], autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the launcher and all that are in its group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        return self.process.wait(40)

    def everything_is_gone(self) -> bool:
        """Tell whether no server works in its folders, and nobody listens at its port."""
        folders = [self.home / "postgres", self.home / "valkey"]
        with socket.socket() as probe:
            nobody = probe.connect_ex(("127.0.0.1", self.port)) != 0
        return nobody and not any(processes.working_in(folder) for folder in folders)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return a first run of all, from nothing, which Ctrl-C at its terminal has ended."""
    run = Run(tmp_path_factory.mktemp("first") / "home").start("make", "run")
    assert run.ready, run.output()
    run.signal_group(signal.SIGINT)
    run.signal_group(signal.SIGINT)
    run.wait()
    yield run
    end(run)


@pytest.fixture(scope="module")
def _one_run(first: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("one") / "home"
    assert processes.wait_until(first.everything_is_gone, 20)
    shutil.copytree(first.home, home)  # not each makes a cluster and runs all migrations
    run = Run(home)
    yield run
    end(run)


@pytest.fixture
def run(_one_run: Run) -> Run:
    """Return a launcher that is up: one for all tests, started again where one has ended it."""
    if _one_run.process is None or _one_run.ended or not _one_run.ready:
        end(_one_run)
        _one_run.start()
    assert _one_run.ready, _one_run.output()
    return _one_run


def end(run: Run) -> None:
    if run.process is not None and not run.ended:
        run.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(40)


def test_ctrl_c_of_make_itself_stops_all(first: Run):
    assert processes.wait_until(first.everything_is_gone, 20), first.output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_sent_twice_stops_all_and_keeps_the_data(run: Run, number):
    run.sql(f"CREATE TABLE kept_{number} AS SELECT 1 AS one")
    log = run.home / "logs" / "postgres.log"
    said = log.stat().st_size
    run.signal_group(number)
    with contextlib.suppress(ProcessLookupError):
        run.signal_group(number)
    assert run.wait() == 0, run.output()
    assert run.everything_is_gone()
    assert not (run.home / "services.json").exists()

    run.start()
    assert run.sql(f"SELECT one FROM kept_{number}") == [(1,)]
    assert "automatic recovery" not in log.read_text()[said:]


def test_manage_py_needs_no_variables_beside_it(run: Run):
    env = {"PATH": os.environ["PATH"], "LOYALTY_HOME": str(run.home)}

    def manage(*arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=BASE_DIR, env=env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    manage("migrate", "--check")
    replay = ("replay_receipts", "loyalty/demo/receipts.csv.gz", "--make-program", "--limit", "5")
    assert "orders     5 with" in manage(*replay)
    for name in ("services.json", "state.json", "demo.json"):
        assert stat.S_IMODE((run.home / name).stat().st_mode) == 0o600
    assert json.loads((run.home / "demo.json").read_text())["base_url"].endswith(str(run.port))


def test_dead_web_worker_and_beat_are_started_again(run: Run):
    before = {name: run.child(name) for name in ("web", "worker", "beat")}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert processes.wait_until(
        lambda: all(run.child(name) != pid for name, pid in before.items()) and run.ready, 30
    ), run.output()
    assert "web was ended by SIGKILL; starting it again" in run.output()


def test_two_homes_run_side_by_side_and_one_home_only_once(first: Run, run: Run, tmp_path: Path):
    # A path that is too long for a socket.
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    shutil.copytree(first.home, deep)
    second, third = Run(deep), Run(run.home)
    third.log = tmp_path / "third.log"
    try:
        second.start()
        assert run.ready and second.ready, second.output()
        third.start()
        assert third.wait() == 2
        assert "is up already in" in third.output()
        assert run.ready
    finally:
        end(second)


def test_killed_launcher_leaves_nothing_that_stops_the_next_start(run: Run):
    run.sql("CREATE TABLE outlived AS SELECT 1 AS one")
    run.process.kill()
    run.process.wait()
    run.start()  # at once: the servers may still be on their way out
    assert run.ready, run.output()
    assert run.sql("SELECT one FROM outlived") == [(1,)]


def test_all_killed_at_once_as_by_a_power_cut(run: Run):
    run.sql("CREATE TABLE kept AS SELECT 1 AS one")
    victims = [run.postmaster(), *(run.child(name) for name in ("web", "worker", "beat"))]
    os.kill(run.process.pid, signal.SIGKILL)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.process.wait()
    # After the reboot, another process has the number that PostgreSQL wrote down.
    lock = run.home / "postgres" / "postmaster.pid"
    if lock.exists():
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    run.start()
    assert run.ready, run.output()
    assert run.sql("SELECT one FROM kept") == [(1,)]


def test_dead_postgres_ends_all_and_shows_its_log(run: Run):
    os.kill(run.postmaster(), signal.SIGKILL)
    assert run.wait() == 1
    assert "PostgreSQL has died" in run.output()
    assert "ready to accept connections" in run.output()
    assert run.everything_is_gone()


def test_taken_port_is_said_in_one_sentence(tmp_path: Path):
    run = Run(tmp_path / "home")
    with socket.create_server(("127.0.0.1", run.port)):
        run.start()
        assert run.wait() == 2
    assert f"Port {run.port} on 127.0.0.1 is taken" in run.output()
    assert "PORT=" in run.output()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "http", "PORT is 'http'; set it to a number"),
        ("DATABASE_URL", "mysql://root@localhost/x", "DATABASE_URL must look like postgres://"),
        ("DATABASE_URL", "postgres://x@127.0.0.1:1/x", "DATABASE_URL does not lead to a database"),
        ("REDIS_URL", "localhost", "REDIS_URL must look like redis://"),
        ("SECRET_KEY", "short", "SECRET_KEY has 5 characters and needs at least 32"),
        ("WEB_WORKERS", "0", "WEB_WORKERS is '0'; set it to a number from 1 to 256"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL is 'LOUD'; set it to one of"),
        ("LOYALTY_HOME", "/proc/nowhere", "set LOYALTY_HOME to a folder"),
    ],
)
def test_wrong_setting_is_said_in_one_sentence(tmp_path: Path, name, value, sentence):
    run = Run(tmp_path / "home", **{name: value}).start()
    assert run.wait() == 2
    assert sentence in run.output()
    assert "Traceback" not in run.output()


def test_commands_without_servers_say_what_to_do(tmp_path: Path):
    env = {"PATH": os.environ["PATH"], "LOYALTY_HOME": str(tmp_path)}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(
        command, cwd=BASE_DIR, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "start `make run`" in done.stderr
    assert "Traceback" not in done.stderr
