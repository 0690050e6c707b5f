"""Real Celery workers on the test's database, with a Valkey of their own that may be emptied."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from celery import Celery
from django.db import connection
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from config.embedded import ValkeyServer
from config.environment import BASE_DIR
from config.isolation import popen_arguments

# A killed worker's lane is served again after LEASE seconds; no call lasts longer than CALL.
LEASE, CALL = 4.0, 2.5


class Worker:
    """One process that serves deliveries with threads."""

    def __init__(self, name: str, env: dict[str, str], log: Path, threads: int = 8) -> None:
        self.name = name
        self._threads = threads
        self._env = env
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "celery", "-q", "-A", "config", "worker"),
            *("--pool", "threads", "--concurrency", str(self._threads)),
            *("--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--hostname", f"{self.name}@%h"),
        ]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self._env,
                cwd=BASE_DIR,
                stdout=log,
                stderr=log,
                **popen_arguments(when_parent_dies=signal.SIGKILL),
            )

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it is, and return when each of its threads has stopped.

        The signal returns before: a thread that is about to read an answer might still read it.
        """
        self.signal(signal.SIGSTOP)
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task")
        while any(_state(task) != "T" for task in tasks.iterdir()):
            time.sleep(0.01)


class Workers:
    """Workers, their Valkey, and a clock that rings for relay and sweep as beat does."""

    def __init__(self, folder: Path, count: int = 2, threads: int = 8, **settings: str) -> None:
        self.valkey = ValkeyServer(folder / "valkey", "tests-only")
        self.valkey.start()
        self._log = folder / "workers.log"
        self._env = {
            **os.environ,
            "DATABASE_URL": url_of_test_database(),
            "REDIS_URL": self.valkey.url(),
            "LOYALTY_HOME": str(folder),
            "CRM_ALLOW_PRIVATE_ADDRESSES": "on",
            "CRM_LEASE_SECONDS": str(LEASE),
            "CRM_TOTAL_SECONDS": str(CALL),
            "CRM_CONNECT_SECONDS": "1",
            **settings,
        }
        self._app = Celery("clock", broker=self.valkey.url(), set_as_current=False)
        self._app.conf.task_publish_retry = False
        self._stopped = threading.Event()
        self._clock = threading.Thread(target=self._tick)
        self.all = [Worker(f"w{n}", self._env, self._log, threads) for n in range(count)]

    def __enter__(self) -> Self:
        for worker in self.all:
            worker.start()
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._clock.join()
        for worker in self.all:
            worker.kill()
        self._app.close()
        self.valkey.stop()

    def empty_valkey(self) -> None:
        """FLUSHALL: every message that waits is gone."""
        with Redis.from_url(self.valkey.url()) as client:
            client.flushall()

    def cpu_seconds(self) -> float:
        """Add up the processor time that the workers have used."""
        ticks = 0
        for worker in self.all:
            assert worker.process is not None
            fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _tick(self) -> None:
        number = 0
        while not self._stopped.wait(0.25):
            number += 1
            try:
                self._app.send_task("crm_sync.relay", expires=5)
                if number % 4 == 0:
                    self._app.send_task("crm_sync.sweep", expires=5)
            except (OperationalError, RedisError, OSError):
                continue  # Valkey is away: the clock goes on


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def url_of_test_database() -> str:
    """Name the tests' database for another process."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}"))
