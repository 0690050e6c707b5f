"""manage.py for a stack, in a process that has imported everything already.

Each start of manage.py costs more than a second of imports, and tests over HTTP make dozens of
calls. Here they are imported once: `Commands` starts this file as a process of the stack, and each
call is a fork of it, which runs manage.py's own `main` alone, as a process of its own.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.environment import BASE_DIR
from config.isolation import popen_arguments


class Commands:
    """One such process, for one stack's settings."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands"],
            env=dict(env),
            cwd=BASE_DIR,
            text=True,
            stdout=subprocess.PIPE,
            **{
                **popen_arguments(when_parent_dies=signal.SIGKILL),
                "stdin": subprocess.PIPE,
            },
        )

    def run(self, arguments: tuple[str, ...], stdin: str, settings: Mapping[str, str]) -> str:
        """Run manage.py with these arguments; return what it printed.

        Raises:
            RuntimeError: it failed; says what it printed, too.
        """
        names = {name: str(self.folder / f"manage.{name}") for name in ("in", "out", "err")}
        Path(names["in"]).write_text(stdin)
        call = {"arguments": arguments, "settings": dict(settings), "files": names}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        code = self.process.stdout.readline().strip()
        out, err = (Path(names[name]).read_text() for name in ("out", "err"))
        if code != "0":
            said = f"manage.py {' '.join(arguments)} ended with {code}:\n{out}\n{err}"
            raise RuntimeError(said)
        return out

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def serve() -> None:
    """Import what commands need, then fork for each line of stdin until it ends."""
    import django
    from django.core.management import get_commands, load_command_class
    from django.urls import get_resolver

    django.setup()
    _ = get_resolver().url_patterns
    for name, app in get_commands().items():
        if app in ("loyalty", "crm_sync") or name in ("migrate", "createsuperuser", "shell"):
            load_command_class(app, name)  # type: ignore[arg-type]
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_run_command(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run_command(call: dict[str, Any]) -> int:
    modes = {"in": os.O_RDONLY, "out": _WRITE, "err": _WRITE}
    for number, (name, mode) in enumerate(modes.items()):
        os.dup2(os.open(call["files"][name], mode, 0o600), number)
    sys.stdin = os.fdopen(0, closefd=False)  # the old one has read ahead
    os.environ.update(call["settings"])
    sys.argv = ["manage.py", *call["arguments"]]
    try:
        import manage

        manage.main()
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    serve()
