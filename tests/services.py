"""The PostgreSQL and Valkey of a test run: its own, in a temporary folder, on ports of their own.

TEST_DATABASE_URL and TEST_REDIS_URL, or DATABASE_URL and REDIS_URL, are used instead where they are
set: their user must be allowed to create databases.
"""

import os
import shutil
import tempfile
from pathlib import Path

from config.embedded import PostgresServer, Server, ValkeyServer
from config.home import StartError
from config.ports import free_port
from config.processes import started_at

_PASSWORD = "tests-only"


class Services:
    """Decides on addresses when it is made, since settings need them; starts later."""

    def __init__(self) -> None:
        self.folder = own_folder("tests")
        self.servers: list[Server] = []
        self.database_url = _given("DATABASE_URL") or self._plan_postgres()
        self.redis_url = _given("REDIS_URL") or self._plan_valkey()

    def publish(self) -> None:
        """Put everything that settings need into the environment; workers inherit it."""
        os.environ["DATABASE_URL"] = self.database_url
        os.environ["REDIS_URL"] = self.redis_url
        os.environ["LOYALTY_HOME"] = str(self.folder / "home")

    def start(self) -> None:
        """Start what was planned."""
        for server in self.servers:
            planned = server.port
            server.start()
            if server.port != planned:
                raise StartError(f"Port {planned} was taken a moment ago: run the tests again.")

    def stop(self) -> None:
        """Stop all, and leave nothing behind."""
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _plan_postgres(self) -> str:
        port = free_port()
        server = PostgresServer(self.folder / "postgres", _PASSWORD, port, durable=False)
        self.servers.append(server)
        return server.url()

    def _plan_valkey(self) -> str:
        server = ValkeyServer(self.folder / "valkey", _PASSWORD, free_port(), durable=False)
        self.servers.append(server)
        return server.url()


def own_folder(what: str) -> Path:
    """Make a folder that bears our process id; remove those whose process was killed."""
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"loyalty-{what}-*-*"):
        pid = folder.name.split("-")[2]
        if pid.isdigit() and not started_at(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"loyalty-{what}-{os.getpid()}-"))


def number_of_worker() -> int:
    """Return 0 for the controller, 1 for the first xdist worker, and so on."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1


def own_redis_url(url: str) -> str:
    """Return the address of a database of Valkey that only this worker uses."""
    return f"{url.rpartition('/')[0]}/{number_of_worker()}" if url.count("/") > 2 else url


def _given(name: str) -> str:
    return os.environ.get(f"TEST_{name}") or os.environ.get(name, "")
