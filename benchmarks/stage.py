"""Everything that a run needs: one PostgreSQL, and the sites that are compared on it."""

import base64
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from benchmarks import machine
from config import processes
from config.embedded import PostgresServer, free_port
from config.isolation import popen_arguments

ROOT = Path(__file__).resolve().parent.parent
WORKERS, THREADS = 2, 4
APPLICATIONS = {
    "plain": "benchmarks.plain.wsgi",
    "floor": "benchmarks.floor.wsgi",
    "engine": "config.wsgi",
}


@dataclass
class Site:
    """One website on a database of its own; all are served by the same gunicorn settings."""

    name: str
    database_url: str
    folder: Path
    token: str = ""
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def kind(self) -> str:
        """Which of the three applications it is."""
        return self.name.partition("-")[0]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes get; there is no Redis there, and none is needed."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "SECRET_KEY": "benchmark-" * 4,
            "LOYALTY_PEPPER": "benchmark-" * 4,
            "CRM_SECRETS_KEYS": base64.urlsafe_b64encode(b"benchmark".ljust(32)).decode(),
            "LOYALTY_HOME": str(self.folder / "home"),
            "HTTPS": "off",
            "PORT": str(self.port or 1),
            "WEB_WORKERS": str(WORKERS),
            "WEB_THREADS": str(THREADS),
        }

    def prepare(self) -> None:
        """Make tables and members, and learn the API key."""
        self.token = self.run("-m", f"benchmarks.{self.kind}.prepare").split()[-1]

    def run(self, *arguments: str, watched: bool = False) -> str:
        """Run Python with the site's settings and return what it printed.

        Args:
            watched: Let its errors, and so its progress bar, be seen at once.
        """
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=None if watched else subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or "")[-3000:]
            raise SystemExit(f"{self.name}: {' '.join(arguments)} failed:\n{said}")
        return done.stdout

    def start(self) -> None:
        """Serve it."""
        self.port = free_port()
        log = self.folder / f"{self.name}.log"
        command = ["-m", "gunicorn", "-c", "config/gunicorn.py", APPLICATIONS[self.kind]]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment,
                cwd=ROOT,
                stdout=output,
                stderr=output,
                **popen_arguments(),
            )
        if not processes.wait_until(self._answers, 30):
            raise SystemExit(f"{self.name} did not start:\n{processes.last_lines(log)}")

    def stop(self) -> None:
        """End it with its workers."""
        if self.process is not None:
            processes.end(machine.family(self.process.pid), signal.SIGTERM, 15)
            self.process.wait()

    @property
    def pid(self) -> int:
        """The process that leads its workers."""
        assert self.process is not None
        return self.process.pid

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            listens = probe.connect_ex(("127.0.0.1", self.port)) == 0
        return listens and len(machine.family(self.pid)) > WORKERS


class Stage:
    """The servers of one run, in a folder that goes with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="loyalty-bench-"))
        self.folder.chmod(0o711)
        self.postgres = PostgresServer(
            self.folder / "postgres", secrets.token_hex(16), settings=machine.postgres_settings()
        )
        self.sites: dict[str, Site] = {}

    def __enter__(self) -> Self:
        self.postgres.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for site in self.sites.values():
            site.stop()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def site(self, name: str) -> Site:
        """Give a site that serves; it is made when it is first asked for."""
        if name not in self.sites:
            site = self.empty_site(name)
            site.prepare()
            site.start()
        return self.sites[name]

    def empty_site(self, name: str) -> Site:
        """Give a site that has an empty database and does not serve yet."""
        url = self.postgres.create_database(name.replace("-", "_"))
        self.sites[name] = Site(name, url, self.folder)
        return self.sites[name]

    @property
    def postgres_pid(self) -> int:
        """The process that leads all of PostgreSQL's."""
        assert self.postgres.process is not None
        return self.postgres.process.pid

    @cached_property
    def postgres_version(self) -> str:
        """The server's version, with a word where it would not be durable."""
        with psycopg.connect(self.postgres.url()) as connection:
            asked = "SELECT current_setting(n) FROM unnest(%s::text[]) AS n"
            names = ["server_version", "fsync", "synchronous_commit", "full_page_writes"]
            version, *durable = (row[0] for row in connection.execute(asked, [names]))
        return f"{version} ({'durable' if durable == ['on'] * 3 else 'NOT DURABLE'})"
