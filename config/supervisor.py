"""Runs the engine's processes side by side: their output in one place, each line with its name.

One thread only: the kernel ends a child together with the thread that started it.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from config.isolation import popen_arguments

_COLOURS = {"web": "36", "worker": "33", "beat": "35", "migrate": "34", "demo": "32"}
_LONGEST_PAUSE = 30.0  # seconds between two attempts to start a child that keeps ending


class Stopping(Exception):
    """Somebody asked us to stop."""


@dataclass
class Child:
    """One process, and how it is started again."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    restarts: bool = False
    stderr_is_ours: bool = False  # progress bars need the terminal itself
    hides_json: bool = False  # its result is for us, not for the reader
    niceness: int = 0  # how far it lets the others go first
    process: subprocess.Popen[bytes] | None = None
    rest: bytes = b""
    output: list[str] = field(default_factory=list)
    started: float = 0.0
    failures: int = 0
    again_at: float | None = None


class Supervisor:
    """Starts children, passes their lines on, and starts those again that end."""

    def __init__(self) -> None:
        self.on_start: Callable[[str, int], None] = lambda name, pid: None  # told each new process
        self.children: list[Child] = []
        self.stop_requested = False
        self._selector = selectors.DefaultSelector()
        self._colour = sys.stdout.isatty()

    def listen_to_signals(self) -> None:
        """Remember the first request to stop; the next ones change nothing."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_was_asked)

    def say(self, line: str, name: str = "loyalty") -> None:
        """Print a line under a name; a reader who has gone away stops us, not our clean-up."""
        label = f"{name:>8} | "
        if self._colour:
            label = f"\x1b[{_COLOURS.get(name, '1')}m{label}\x1b[0m"
        try:
            print(f"{label}{line}", flush=True)
        except OSError:
            self.stop_requested = True
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def start(self, child: Child) -> Child:
        """Start a child that is to stay: it is started again whenever it ends."""
        child.restarts = True
        self._spawn(child)
        self.children.append(child)
        return child

    def run(self, child: Child) -> int:
        """Run a child to its end while the others go on; return its exit code."""
        self._spawn(child)
        self.children.append(child)
        try:
            while child.process is not None:
                self.turn()
                self._raise_if_stopping()
                if child.process.poll() is not None:
                    self._drain(child)
                    return child.process.returncode
            return 1
        finally:
            self.children.remove(child)
            self._end(child, patience=5)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let the children work until a condition holds; return whether it came to hold."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.turn()
            self._raise_if_stopping()
        return True

    def turn(self, pause: float = 0.1) -> None:
        """Pass on what was said, and start again who has ended."""
        for key, _ in self._selector.select(pause):
            self._read(key.data)
        for child in self.children:
            if child.restarts:
                self._look_after(child)

    def stop(self, patience: float = 12.0) -> None:
        """Ask all children to end, in the order in which they were started, and wait for all."""
        self.stop_requested = True
        for child in self.children:
            child.restarts = False
            self._signal(child, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while self._living() and time.monotonic() < deadline:
            self.turn()
        for child in self.children:
            self._end(child, patience=0)

    def _living(self) -> list[Child]:
        return [c for c in self.children if c.process is not None and c.process.poll() is None]

    def _stop_was_asked(self, number: int, frame: object) -> None:
        self.stop_requested = True

    def _raise_if_stopping(self) -> None:
        if self.stop_requested:
            raise Stopping

    def _spawn(self, child: Child) -> None:
        child.process = subprocess.Popen(
            child.command,
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=None if child.stderr_is_ours else subprocess.STDOUT,
            env=dict(child.env),
            **popen_arguments(niceness=child.niceness),
        )
        child.started, child.again_at, child.rest = time.monotonic(), None, b""
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)
        self.on_start(child.name, child.process.pid)

    def _read(self, child: Child) -> bool:
        """Pass on what a child said; tell whether it may say more."""
        assert child.process is not None and child.process.stdout is not None
        if child.process.stdout.closed:
            return False
        chunk = child.process.stdout.read(65536)
        if chunk == b"":
            self._forget_output(child)
        *lines, child.rest = (child.rest + (chunk or b"")).split(b"\n")
        if chunk == b"" and child.rest:
            lines.append(child.rest)
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            child.output = [*child.output[-50:], text]
            if not (child.hides_json and text.startswith("{")):
                self.say(text, child.name)
        return bool(chunk)

    def _drain(self, child: Child) -> None:
        while self._read(child):
            pass

    def _forget_output(self, child: Child) -> None:
        assert child.process is not None and child.process.stdout is not None
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(child.process.stdout)
        child.process.stdout.close()

    def _look_after(self, child: Child) -> None:
        if child.again_at is not None:
            if time.monotonic() >= child.again_at:
                self._spawn(child)
        elif child.process is not None and child.process.poll() is not None:
            code = child.process.returncode
            self._end(child, patience=0)
            self._plan_restart(child, code)

    def _plan_restart(self, child: Child, code: int) -> None:
        """Wait longer each time, but not after a child that had run well."""
        lasted = time.monotonic() - child.started
        child.failures = 1 if lasted > 60 else child.failures + 1
        pause = min(2.0 ** (child.failures - 1), _LONGEST_PAUSE)
        child.again_at = time.monotonic() + pause
        how = (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        )
        self.say(f"{child.name} {how}; starting it again in {pause:.0f} s")

    def _signal(self, child: Child, number: signal.Signals) -> None:
        if child.process is not None and child.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(number)

    def _end(self, child: Child, patience: float) -> None:
        """See to it that a child and its own children are gone."""
        if child.process is None:
            return
        self._signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)  # its session is its group
        child.process.wait()
        self._drain(child)
        self._forget_output(child)
        child.process = None
