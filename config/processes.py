"""Finds and ends processes that an earlier start has left behind.

Nothing is ended by its name: a process is ours if its id and its start time were written down by
us, or if it works in a folder of ours.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

_PROC = Path("/proc")
CAN_SEE_FOLDERS = (_PROC / "self" / "cwd").exists()  # elsewhere, what was left is not found


def started_at(pid: int) -> str:
    """Return what tells a process from a later one with the same id; empty if there is none."""
    try:
        if CAN_SEE_FOLDERS:
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            return "" if fields[0] == "Z" else fields[19]
        answer = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return answer.stdout.strip()
    except (OSError, IndexError):
        return ""


def alive(pid: int, started: str) -> bool:
    """Tell whether the process that was started then is still there."""
    return bool(started) and started_at(pid) == started


def in_session(leader: int, started: str) -> list[int]:
    """Return a process that leads a session, and its children; also the children it has left.

    The kernel gives a number to nobody else while a session still bears it.
    """
    if alive(leader, started) or not started_at(leader):
        return [pid for pid in _all_processes() if _session_of(pid) == leader]
    return []


def working_in(folder: Path) -> list[int]:
    """Return the processes whose working folder this is: a server's, and its children's."""
    found = []
    for pid in _all_processes():
        with contextlib.suppress(OSError):
            if os.readlink(_PROC / str(pid) / "cwd") == str(folder) and started_at(pid):
                found.append(pid)
    return found


def end(pids: Iterable[int], first: signal.Signals, patience: float) -> bool:
    """Ask processes to end, wait, and insist; return whether all are gone."""
    remaining = [(pid, started) for pid in pids if (started := started_at(pid))]
    for number, seconds in ((first, patience), (signal.SIGKILL, 5.0)):
        for pid, _ in remaining:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if wait_until(partial(_all_gone, remaining), seconds):
            return True
        remaining = _living(remaining)
    return False


def _all_processes() -> list[int]:
    return [int(entry.name) for entry in _PROC.glob("[0-9]*")]


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _all_gone(known: list[tuple[int, str]]) -> bool:
    return not _living(known)


def _living(known: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [process for process in known if alive(*process)]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log, for a message about what went wrong."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-count:])
