"""The whole engine as real processes, for tests over HTTP that kill some of them.

    def test_something(live_stack):
        key = live_stack.api_key("grocer", "earn", "members:read")   # no scopes: all of them
        with live_stack.client(key) as client:                       # httpx.Client, first node
            client.post("/v1/earn", json={...}, headers={"Idempotency-Key": "1"})
        live_stack.manage("audit_ledger")                # runs manage.py, returns its output;
                                                         # raises with that output if it fails
        live_stack.sql("SELECT count(*) FROM loyalty_posting")       # rows as tuples, committed
        live_stack.connect()                             # a psycopg connection of your own

`live_stack` is one for the whole run (its tests run one after another, in one worker), so make
programs and members of your own in each test. `make_stack(WEB_WORKERS="1", DB_POOL_MAX="2")` gives
another one with other settings, which ends with the test.

Processes: `web`, `worker` and `beat` are Process, `postgres` and `valkey` are servers of
config/embedded.py. Each has `start()`, `stop()` (orderly) and `kill()` (-9, with all its children);
a process also has `pid`, `running`, `restart()` and `output()`; `web.kill_one_worker()` kills -9 a
single gunicorn worker. `add_web()` starts another node on the same database and returns it; its
address is `node.url`, and `client(key, node)` uses it. Whoever stops something starts it again:
`live_stack.heal()` does, and runs before each test that asks for the fixture.

With TEST_DATABASE_URL and TEST_REDIS_URL there are no servers to kill: `postgres` and `valkey` are
None, and a test that needs them calls `pytest.skip`.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

from config import processes
from config.embedded import PostgresServer, ValkeyServer
from config.environment import BASE_DIR
from config.isolation import popen_arguments
from config.ports import free_port
from config.workers import beat_command, worker_command
from tests.commands import Commands
from tests.services import own_folder


class Process:
    """One process of the engine, which leads a session of its own."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.command = command
        self.env = env
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the id of the process, also after its end."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    @property
    def running(self) -> bool:
        """Tell whether it is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; does nothing if it is there."""
        if self.running:
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.env),
                cwd=BASE_DIR,
                stdout=log,
                stderr=log,
                **popen_arguments(when_parent_dies=signal.SIGKILL),
            )

    def stop(self, patience: float = 15) -> None:
        """Ask it to end, and wait."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it with all its children at once, as a power cut would, and wait for all of them.

        A child that is about to end still listens: it would take a call, and answer nothing.
        """
        if self.process is not None:
            pids = processes.in_session(self.pid, processes.started_at(self.pid))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            if not processes.end(pids, signal.SIGKILL, 10):
                raise RuntimeError(f"SIGKILL did not end all of {self.name}")
            self.process.wait()

    def restart(self) -> None:
        """End it in an orderly way, and start it again."""
        self.stop()
        self.start()

    def output(self) -> str:
        """Return all that it has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class WebNode(Process):
    """A gunicorn with its workers, on a port of its own."""

    def __init__(self, name: str, env: Mapping[str, str], folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi"]
        super().__init__(name, command, {**env, "PORT": str(self.port)}, folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        super().start()
        if not processes.wait_until(lambda: self.answers() or not self.running, 60):
            raise RuntimeError(f"{self.name} does not answer:\n{self.output()[-3000:]}")
        if not self.running:
            raise RuntimeError(f"{self.name} has ended:\n{self.output()[-3000:]}")

    def answers(self) -> bool:
        """Tell whether it is ready."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=5, verify=False)
            return answer.status_code == 200
        except httpx.HTTPError:
            return False

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]

    def kill_one_worker(self) -> int:
        """Kill -9 one worker; gunicorn starts another one. Return its process id."""
        killed: list[int] = []

        def kill() -> bool:
            for pid in self.workers():
                with contextlib.suppress(ProcessLookupError):  # it was ending just now
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return True
            return False

        if not processes.wait_until(kill, 30):
            raise RuntimeError(f"{self.name} has no worker to kill")
        return killed[0]


class Stack:
    """PostgreSQL, Valkey, web, worker and beat, and how to talk to them."""

    def __init__(self, **settings: str) -> None:
        self.folder = own_folder("stack")
        self.postgres: PostgresServer | None = None
        self.valkey: ValkeyServer | None = None
        self.settings = settings
        self.nodes: list[WebNode] = []
        self._commands: Commands | None = None
        self._dropped_at_end = ""

    @property
    def web(self) -> WebNode:
        """Return the first web node."""
        return self.nodes[0]

    @property
    def url(self) -> str:
        """Return the address of the first web node."""
        return self.web.url

    def start(self) -> "Stack":
        """Start everything, with an empty, migrated database."""
        self.database_url = self._own_database()
        self.redis_url = self._own_redis()
        self.env = self._environment()
        self.manage("migrate", "--noinput", "-v", "0")
        self.worker = Process("worker", worker_command(), self.env, self.folder)
        self.beat = Process("beat", beat_command(), self.env, self.folder)
        self.worker.start()
        self.beat.start()
        self.add_web()
        return self

    def stop(self) -> None:
        """Stop everything, and leave nothing behind."""
        for process in [*self.nodes, *(getattr(self, n, None) for n in ("worker", "beat"))]:
            if process is not None:
                process.kill()
        if self._commands is not None:
            self._commands.stop()
        if self._dropped_at_end:
            _drop_database(self.database_url, self._dropped_at_end)
        for server in (self.valkey, self.postgres):
            if server is not None:
                server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def heal(self) -> None:
        """Start again whatever a test has stopped or killed; end the nodes that it added."""
        for server in (self.postgres, self.valkey):
            if server is not None and not server.running:
                server.start()
        while len(self.nodes) > 1:
            self.nodes.pop().kill()
        for process in (self.worker, self.beat, self.web):
            process.start()

    def add_web(self, **settings: str) -> WebNode:
        """Start another web node on the same database and Valkey."""
        node = WebNode(f"web{len(self.nodes)}", {**self.env, **settings}, self.folder)
        self.nodes.append(node)
        node.start()
        return node

    def client(self, key: str = "", node: WebNode | None = None, **options: Any) -> httpx.Client:
        """Return a client that sends the key with each request; close it, or use it in a with."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        options.setdefault("timeout", 30)
        options.setdefault("verify", False)  # reading the certificates takes 20 ms
        return httpx.Client(base_url=(node or self.web).url, headers=headers, **options)

    def api_key(self, program: str, *scopes: str) -> str:
        """Make a key of a program; without scopes, one that may do everything."""
        wanted = ("--scopes", ",".join(scopes)) if scopes else ("--all-scopes",)
        output = self.manage("create_api_key", "--program", program, *wanted, "--json")
        key: str = json.loads(output.splitlines()[-1])["key"]
        return key

    def manage(self, *arguments: str, stdin: str = "", **settings: str) -> str:
        """Run manage.py against this stack, and return what it printed.

        Args:
            settings: Variables that the command itself reads; config/settings.py is read before.
        """
        if self._commands is None:
            self._commands = Commands(self.env, self.folder)
        return self._commands.run(arguments, stdin, settings)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection of its own to the database, in autocommit."""
        return psycopg.connect(self.database_url, autocommit=True)

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement on a fresh connection, and return its rows."""
        with self.connect() as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _own_database(self) -> str:
        given = os.environ.get("TEST_DATABASE_URL")
        if given:
            self._dropped_at_end = f"loyalty_stack_{secrets.token_hex(4)}"
            return _create_database(given, self._dropped_at_end)
        self.postgres = PostgresServer(self.folder / "postgres", "tests-only")
        self.postgres.start()
        return self.postgres.url()

    def _own_redis(self) -> str:
        given = os.environ.get("TEST_REDIS_URL")
        if given:
            return f"{given.rpartition('/')[0]}/15"
        self.valkey = ValkeyServer(self.folder / "valkey", "tests-only")
        self.valkey.start()
        return self.valkey.url()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        return {
            **kept,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "SECRET_KEY": "tests-only-" * 4,
            "LOYALTY_PEPPER": "tests-only-" * 4,
            "LOYALTY_HOME": str(self.folder),
            "HTTPS": "off",
            "LOG_FORMAT": "plain",
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }


# What belongs to the test process, and would disturb the engine's.
_NOT_INHERITED = {"PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST", "LOYALTY_OFFLINE", "PORT"}


def _create_database(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _drop_database(url: str, name: str) -> None:
    maintenance = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
