"""LOYALTY_HOME: the folder with everything that a `make run` keeps.

state.json      ports and secrets, made once and kept
services.json   how to reach what is running now; manage.py reads it
demo.json       addresses, API key and admin login of the demo
postgres/ valkey/ logs/
"""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from config.processes import in_session, started_at


class StartError(Exception):
    """Something that stops the start; its sentence says what to do."""


class Home:
    """One LOYALTY_HOME. Two of them never share anything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"{path} cannot be made ({error.strerror}): "
                "set LOYALTY_HOME to a folder that you may write to."
            ) from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise StartError(f"{path} cannot be written to: set LOYALTY_HOME to another folder.")

    @property
    def logs(self) -> Path:
        """Return the folder of the servers' own logs."""
        return self.path / "logs"

    @property
    def demo(self) -> Path:
        """Return the file that tells how to get into the demo."""
        return self.path / "demo.json"

    def fingerprint(self, database: Path) -> str:
        """Name a database folder together with all migrations that belong into it.

        Ours are the files in this checkout; those of other packages follow from the locked
        requirements.
        """
        root = Path(__file__).parent.parent
        files = [*sorted(root.glob("*/migrations/*.py")), root / "requirements" / "base.txt"]
        found = hashlib.sha256()
        for file in files:
            found.update(f"{file.name}\n".encode() + file.read_bytes())
        made_at = (database / "PG_VERSION").stat().st_mtime_ns
        return f"{made_at}-{found.hexdigest()}"

    def lock(self) -> None:
        """Take the folder for this process; the kernel lets it go when the process ends."""
        descriptor = os.open(self.path / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode() or "unknown"
            raise StartError(
                f"`make run` is up already in {self.path} (process {holder}): stop that one, "
                "or set LOYALTY_HOME and PORT to run a second one beside it, as in "
                "`LOYALTY_HOME=/tmp/second PORT=8001 make run`."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor

    def state(self) -> dict[str, Any]:
        """Return ports and secrets; those that are missing are made and kept."""
        state = self._read("state.json")
        made = {
            name: secrets.token_urlsafe(48)
            for name in ("secret_key", "pepper", "postgres_password", "valkey_password")
            if not state.get(name)
        }
        if not state.get("crm_secrets_key"):  # Fernet wants exactly 32 bytes
            made["crm_secrets_key"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
        if made:
            state |= made
            self.write("state.json", state)
        return state

    def remember(self, **values: Any) -> None:
        """Keep a value for the next start."""
        self.write("state.json", self.state() | values)

    def announce(self, services: dict[str, Any]) -> None:
        """Tell manage.py how to reach what is running."""
        self.write("services.json", services | {"pid": os.getpid()})

    def note_child(self, name: str, pid: int) -> None:
        """Write a child down, so that the next start finds it if we are killed."""
        services = self._read("services.json")
        services.setdefault("children", {})[name] = [pid, started_at(pid)]
        self.write("services.json", services)

    def orphans(self) -> list[int]:
        """Return processes that an earlier start, which was killed, has left behind."""
        noted = self._read("services.json").get("children", {}).values()
        return [pid for leader, started in noted for pid in in_session(leader, started)]

    def withdraw(self) -> None:
        """Say that nothing is running any more."""
        (self.path / "services.json").unlink(missing_ok=True)

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a file whole or not at all, for our eyes only."""
        temporary = self.path / f".{name}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise StartError(
                f"{path} is damaged: repair it, or remove it (state.json holds the secrets; "
                "API keys made under the old ones stop working)."
            ) from None
        return content if isinstance(content, dict) else {}

    def socket_folder(self) -> Path:
        """Return a private folder whose path is short enough for a socket (107 bytes on Linux)."""
        folder = self.path / "run"
        if len(os.fsencode(folder / ".s.PGSQL.32767.lock")) > 100:
            digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"loyalty-{os.geteuid()}-{digest}"
            if len(os.fsencode(folder / ".s.PGSQL.32767.lock")) > 100:
                folder = Path("/tmp") / folder.name
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise StartError(f"{folder} belongs to somebody else: remove it, or set LOYALTY_HOME.")
        folder.chmod(0o700)
        return folder
