"""`make run`: the whole engine on one machine, from nothing, and its orderly end.

DATABASE_URL and REDIS_URL of servers of your own are used instead of the embedded ones; PORT and
LOYALTY_HOME move everything, so that two run side by side.
"""

import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis
from django.core.exceptions import ImproperlyConfigured

from config import embedded, processes
from config import environment as env
from config.home import Home, StartError
from config.ports import free_port, port_is_free
from config.supervisor import Child, Stopping, Supervisor
from config.workers import beat_command, worker_command, worker_niceness

Result = TypeVar("Result")
_CRMS = ("receiver", "klaviyo", "segment")  # in manage.py crm_sandboxes
_DEMO_FIELDS = ("api_key", "admin_user", "admin_password", "webhook_log")


class Launcher:
    """Starts everything in order, watches, and stops everything in the opposite order."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self.home = home
        self.supervisor = supervisor
        supervisor.on_start = home.note_child
        self.say = supervisor.say
        self.host = env.text("HOST", "127.0.0.1")
        self.port = env.integer("PORT", 8000, low=1, high=65535)
        self.with_demo = env.switch("DEMO", default=True)  # off: an engine with nothing in it
        self.postgres: embedded.PostgresServer | None = None
        self.valkey: embedded.ValkeyServer | None = None
        self.services: dict[str, Any] = {}

    @property
    def base_url(self) -> str:
        """Return where the API is."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def run(self) -> int:
        """Run until somebody asks us to stop; return the exit code."""
        try:
            self.start()
            return self.watch()
        except Stopping:
            return 0
        except StartError as error:
            if self.supervisor.stop_requested:
                return 0
            self.say(str(error))
            return 2
        finally:
            self.stop()

    def start(self) -> None:
        """Start everything, step by step."""
        began = time.monotonic()
        self._end_orphans()
        self._refuse_taken_port()
        self._start_postgres()
        self._start_valkey()
        self.home.announce(self.services | {"base_url": self.base_url})
        self._step("Preparing the database", self._migrate)
        self._start_processes()
        self._step(f"Waiting for {self.base_url}/readyz", self._wait_until_ready)
        demo = {}
        if self.with_demo:
            demo = self._step("Loading the demo", self._load_demo)
        self._introduce(demo, time.monotonic() - began)

    def watch(self) -> int:
        """Look after everything until we are asked to stop, or the database dies."""
        while not self.supervisor.stop_requested:
            self.supervisor.turn(pause=0.2)
            if self.postgres and not self.postgres.running:
                self.say(f"PostgreSQL has died. The end of {self.postgres.log}:")
                self.say("\n" + processes.last_lines(self.postgres.log))
                return 1
            if self.valkey and not self.valkey.running:
                self.say("Valkey has died; starting it again (nothing is kept there only)")
                port = self.valkey.port
                self.valkey.start()
                if self.valkey.port != port:
                    raise StartError(f"Port {port} of Valkey was taken: start `make run` again.")
        return 0

    def stop(self) -> None:
        """Stop those who write before those who keep."""
        began = time.monotonic()
        if self.supervisor.children:
            self.say("Stopping " + ", ".join(child.name for child in self.supervisor.children))
        self.supervisor.stop()
        for server in (self.valkey, self.postgres):
            if server is not None and server.process is not None:
                self.say(f"Stopping {server.name}")
                server.stop()
        self.home.withdraw()
        seconds = time.monotonic() - began
        self.say(f"All is stopped ({seconds:.1f} s); the data stay in {self.home.path}")

    # --- The steps, in their order ---------------------------------------------------------------

    def _refuse_taken_port(self) -> None:
        if not port_is_free(self.port, self.host):
            raise StartError(
                f"Port {self.port} on {self.host} is taken, or may not be used: "
                f"choose another, as in `PORT={free_port(8001)} make run`."
            )

    def _end_orphans(self) -> None:
        orphans = self.home.orphans()
        if orphans:
            self.say(f"Ending {len(orphans)} processes that an earlier start left behind")
            processes.end(orphans, signal.SIGTERM, patience=3)

    def _start_postgres(self) -> None:
        state = self.home.state()
        self.services |= {"secret_key": env.text("SECRET_KEY", state["secret_key"])}
        self.services |= {"pepper": env.text("LOYALTY_PEPPER", state["pepper"])}
        key = env.text("CRM_SECRETS_KEYS", state["crm_secrets_key"])
        self.services |= {"crm_secrets_key": key}
        if url := env.text("DATABASE_URL", ""):
            self._step("Asking the PostgreSQL of DATABASE_URL", lambda: _check_database(url))
            self.services["database_url"] = url
            return
        self.postgres = embedded.PostgresServer(
            self.home.path / "postgres",
            state["postgres_password"],
            state.get("postgres_port", 0),
            self.home.logs / "postgres.log",
            sockets=self.home.socket_folder(),
        )
        self._start_server(self.postgres)
        self.home.remember(postgres_port=self.postgres.port)
        self.services["database_url"] = self.postgres.url()

    def _start_valkey(self) -> None:
        state = self.home.state()
        if url := env.text("REDIS_URL", ""):
            self._step("Asking the Redis of REDIS_URL", lambda: _check_redis(url))
            self.services["redis_url"] = url
            return
        self.valkey = embedded.ValkeyServer(
            self.home.path / "valkey",
            state["valkey_password"],
            state.get("valkey_port", 0),
            self.home.logs / "valkey.log",
        )
        self._start_server(self.valkey)
        self.home.remember(valkey_port=self.valkey.port)
        self.services["redis_url"] = self.valkey.url()

    def _start_server(self, server: embedded.Server) -> None:
        server.give_up = lambda: self.supervisor.stop_requested
        self._step(f"Starting {server.name}", server.start)
        self.say(f"  {server.name} listens on 127.0.0.1:{server.port}")

    def _migrate(self) -> None:
        """Migrate, unless this very database has these very migrations: a restart is quick."""
        wanted = self.postgres and self.home.fingerprint(self.postgres.folder)
        if wanted and self.home.state().get("migrated") == wanted:
            return
        command = [sys.executable, "manage.py", "migrate", "--noinput"]
        child = self._child("migrate", command)
        if self.supervisor.run(child):
            raise StartError("The database could not be prepared: the lines above say why.")
        self.home.remember(migrated=wanted)

    def _start_processes(self) -> None:
        python = sys.executable
        gunicorn = [python, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi"]
        metrics = _empty_folder(self.home.path / "metrics")
        self.supervisor.start(self._child("web", gunicorn, PROMETHEUS_MULTIPROC_DIR=str(metrics)))
        worker = self._child("worker", worker_command())
        worker.niceness = worker_niceness()
        self.supervisor.start(worker)
        self.supervisor.start(self._child("beat", beat_command()))
        self.say("Started web, worker and beat")

    def _wait_until_ready(self) -> None:
        answer = ""

        def ready() -> bool:
            nonlocal answer
            code, answer = _get(f"{self.base_url}/readyz")
            return code == 200

        if not self.supervisor.wait_for(ready, 90):
            raise StartError(f"The web processes are not ready after 90 s: {answer}")

    def _load_demo(self) -> dict[str, Any]:
        command = [sys.executable, "manage.py", "load_demo", "--base-url", self.base_url]
        child = self._child("demo", command)
        child.stderr_is_ours = child.hides_json = True
        if self.supervisor.run(child):
            self.say("The demo could not be loaded (the lines above say why); all else is up")
            return {}
        try:
            demo: dict[str, Any] = json.loads(child.output[-1])
        except (IndexError, ValueError):
            self.say("load_demo did not end with its result as JSON; all else is up")
            return {}
        return demo | self._start_crms(demo["program"])

    def _start_crms(self, program: str) -> dict[str, Any]:
        """Start the demo's CRMs in one process; return the file of one and the pages of all.

        The demo delivers to this machine itself, which production refuses to do. They are connected
        after the receipts, whose thousands of events would keep a small machine busy.
        """
        ports = {name: free_port(self.home.state().get(f"{name}_port", 0)) for name in _CRMS}
        self.home.remember(**{f"{name}_port": port for name, port in ports.items()})
        log = self.home.path / "webhook_log.jsonl"
        log.touch(mode=0o600)
        command = [sys.executable, "manage.py", "crm_sandboxes", "--program", program]
        command += ["--log", str(log), "--folder", str(self.home.path / "sandboxes")]
        for name, port in ports.items():
            command += [f"--{name}-port", str(port)]
        self.supervisor.start(self._child("crms", command))
        if not self.supervisor.wait_for(lambda: not any(map(port_is_free, ports.values())), 60):
            self.say("The demo's CRMs do not answer; all else is up")
        pages = {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}
        return {"webhook_log": str(log), "crm_pages": pages}

    def _introduce(self, demo: dict[str, Any], seconds: float) -> None:
        """Say how to get in, and keep it in a file."""
        self.home.write(
            self.home.demo.name,
            {
                "base_url": self.base_url,
                "admin_url": f"{self.base_url}/admin/",
                **{name: demo.get(name) for name in _DEMO_FIELDS},
                **{name: value for name, value in demo.items() if name not in _DEMO_FIELDS},
            },
        )
        self.say(f"Ready after {seconds:.1f} s. Ctrl-C stops everything; the data stay.")
        for line in _introduction(self.base_url, demo, self.home.demo):
            self.say(line)

    # --- Helpers ---------------------------------------------------------------------------------

    def _step(self, what: str, action: Callable[[], Result]) -> Result:
        """Do one step, and say how long it took."""
        self.say(f"{what} …")
        began = time.monotonic()
        result = action()
        self.say(f"  done in {time.monotonic() - began:.1f} s")
        if self.supervisor.stop_requested:
            raise Stopping
        return result

    def _child(self, name: str, command: list[str], **more: str) -> Child:
        return Child(name, command, self._environment() | more)

    def _environment(self) -> dict[str, str]:
        """Return what children need to know; what the user has set stays as it is."""
        plain = {"HTTPS": "off", "LOG_FORMAT": "colour" if sys.stdout.isatty() else "plain"}
        if self.with_demo:
            plain["CRM_ALLOW_PRIVATE_ADDRESSES"] = "on"
        chosen = {"HOST": self.host, "PORT": str(self.port), "LOYALTY_HOME": str(self.home.path)}
        return {
            **plain,
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            **os.environ,
            **chosen,
            "DATABASE_URL": self.services["database_url"],
            "REDIS_URL": self.services["redis_url"],
            "SECRET_KEY": self.services["secret_key"],
            "LOYALTY_PEPPER": self.services["pepper"],
            "CRM_SECRETS_KEYS": self.services["crm_secrets_key"],
            "PYTHONUNBUFFERED": "1",
        }


def _check_database(url: str) -> None:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        raise StartError(f"DATABASE_URL does not lead to a database: {error}") from None
    if version < 150000:
        raise StartError(f"DATABASE_URL is PostgreSQL {version // 10000}; 15 or newer is needed.")


def _check_redis(url: str) -> None:
    try:
        redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5).ping()
    except (redis.RedisError, ValueError) as error:
        raise StartError(f"REDIS_URL does not lead to a Redis or Valkey: {error}") from None


def _get(url: str) -> tuple[int, str]:
    """Return the status and the answer of an address; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, f"{error.code} {error.read(2000).decode(errors='replace')}"
    except OSError as error:
        return 0, str(error)


def _empty_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path


def _introduction(base_url: str, demo: dict[str, Any], file: Path) -> Iterator[str]:
    yield f"  API       {base_url}/v1/      explorer {base_url}/docs"
    login = f"user {demo['admin_user']}, password {demo['admin_password']}" if demo else ""
    yield f"  admin     {base_url}/admin/   {login}"
    if not demo:
        return
    yield f"  API key   {demo['api_key']}"
    yield "  CRMs      " + "  ".join(f"{n} {page}" for n, page in demo["crm_pages"].items())
    yield f"  all this  {file}"
    yield "An earn, as a till sends it (run it twice: a retry never awards twice):"
    now = datetime.now(UTC)
    ref = f"demo-{now:%Y%m%d%H%M%S}"
    order = {
        "member": demo.get("member", "card:2261"),
        "order": {
            "ref": ref,
            "channel": "pos",
            "occurred_at": now.isoformat(timespec="seconds"),
            "currency": demo.get("currency", "USD"),
            "lines": [{"line": "1", "sku": "940996", "quantity": "1", "amount": "12.86"}],
        },
    }
    yield f"  curl {base_url}/v1/earn -H 'Authorization: Bearer {demo['api_key']}' \\"
    yield f"    -H 'Content-Type: application/json' -H 'Idempotency-Key: {ref}' \\"
    yield f"    -d '{json.dumps(order)}'"


def main() -> int:
    """Check the settings, take the folder, and run."""
    os.chdir(env.BASE_DIR)
    supervisor = Supervisor()
    supervisor.listen_to_signals()
    try:
        _check_settings()
        home = Home(env.loyalty_home())
        home.lock()
        launcher = Launcher(home, supervisor)
    except (ImproperlyConfigured, StartError) as error:
        print(error, file=sys.stderr)
        return 2
    return launcher.run()


def _check_settings() -> None:
    """Read all settings once, before anything is started: a wrong one is said at once."""
    env.OFFLINE = True
    import_module("config.settings")
    env.OFFLINE = False


if __name__ == "__main__":
    sys.exit(main())
