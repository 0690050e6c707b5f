"""How a server is started so that it dies with its launcher, and is not root.

PostgreSQL refuses to run as root. In a user namespace it sees another user id, while its files stay
ours: nobody has to be created, and nothing changes owner.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Mode(StrEnum):
    """Who a server that must not be root runs as."""

    PLAIN = "as ourselves"
    NAMESPACE = "in a user namespace"
    NOBODY = "as the user nobody"


@cache
def mode_without_root() -> Mode:
    """Return the first way that works here; containers may forbid user namespaces."""
    if os.geteuid() != 0:
        return Mode.PLAIN
    try:
        subprocess.run(["/bin/true"], check=True, **popen_arguments(Mode.NAMESPACE))
    except (OSError, subprocess.SubprocessError):
        return Mode.NOBODY
    return Mode.NAMESPACE


def popen_arguments(
    mode: Mode = Mode.PLAIN,
    when_parent_dies: signal.Signals = signal.SIGTERM,
    niceness: int = 0,
) -> dict[str, Any]:
    """Return arguments of subprocess.Popen: a session of its own, and the end with its parent.

    A session of its own, because a signal to our group must not reach the database before those
    who write to it. Must be used from the main thread, whose end the kernel takes for the parent's.
    """
    arguments: dict[str, Any] = {
        "start_new_session": True,
        "stdin": subprocess.DEVNULL,
        "preexec_fn": _before_exec(mode is Mode.NAMESPACE, when_parent_dies, niceness),
    }
    if mode is Mode.NOBODY:
        nobody = pwd.getpwnam("nobody")
        arguments |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return arguments


def hand_over(folder: Path, mode: Mode) -> None:
    """Give a folder to the user under whom the server will run."""
    if mode is Mode.NOBODY:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def nobody_can_reach(folder: Path) -> bool:
    """Tell whether each parent of a folder lets everybody through."""
    parents = [parent for parent in folder.resolve().parents if parent.exists()]
    return all(parent.stat().st_mode & 0o001 for parent in parents)


def _before_exec(
    in_namespace: bool, when_parent_dies: signal.Signals, niceness: int
) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        if niceness:
            _give_way(niceness)
        if in_namespace:
            _enter_namespace()
        if _libc is not None:  # after the namespace: a change of credentials clears it
            _libc.prctl(_PR_SET_PDEATHSIG, int(when_parent_dies), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _give_way(niceness: int) -> None:
    """Let others go first, also those of other sessions.

    Where the kernel shares out processor time by session (autogroup), niceness counts only within
    one, unless the session has one too.
    """
    os.nice(niceness)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write(str(niceness))


def _enter_namespace() -> None:
    """Become user 65534 in a namespace of our own (Python 3.11 has no os.unshare)."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc is None or _libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"65534 {uid} 1"),
        ("gid_map", f"65534 {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
