"""What a sandbox knows, kept in a file: after a restart the vendor must not have forgotten all.

The file is ours alone (mode 0600, in our own folder): reading a pickle runs what is in it.
"""

import os
import pickle
import threading
from pathlib import Path
from typing import Any, Final

from crm_sync.sandboxes.server import Sandbox

_NOT_KEPT: Final = {"calls", "faults", "lock", "changes", "keeps_calls", "clock"}


class Keeper:
    """Keeps one sandbox in one file."""

    def __init__(self, sandbox: Sandbox, file: Path) -> None:
        self.sandbox = sandbox
        self.file = file
        self._saved = 0
        self._saving = threading.Lock()

    def restore(self) -> None:
        """Let the sandbox know what it knew; a file that cannot be read is as good as none.

        What is missing then is found by the next comparison, and put right.
        """
        try:
            state = pickle.loads(self.file.read_bytes())
        except Exception:  # a pickle of older code may fail in any way
            return
        with self.sandbox.lock:
            vars(self.sandbox).update(state)

    def save(self) -> bool:
        """Write the file if anything has changed; return whether it was written."""
        with self._saving:
            with self.sandbox.lock:
                changes = self.sandbox.changes
                if changes == self._saved:
                    return False
                content = pickle.dumps(_state(self.sandbox))
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self.file.with_suffix(".new")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(content)
            draft.replace(self.file)
            self._saved = changes
            return True


def _state(sandbox: Sandbox) -> dict[str, Any]:
    kept = {name: value for name, value in vars(sandbox).items() if name not in _NOT_KEPT}
    return {name: value for name, value in kept.items() if name != "_server"}
