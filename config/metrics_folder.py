"""Where the processes of one web node put what they count, so that /metrics can add it up."""

import os
import shutil
import tempfile
from pathlib import Path

from config.processes import started_at

_PREFIX = "loyalty-metrics-"


def new_folder(parent: Path) -> Path:
    """Make a folder that bears our process id; remove those whose node was killed."""
    for old in parent.glob(f"{_PREFIX}*-*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not started_at(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def remove_own(folder: str) -> None:
    """Remove the folder where it is one that `new_folder` made."""
    if Path(folder).name.startswith(f"{_PREFIX}{os.getpid()}-"):
        shutil.rmtree(folder, ignore_errors=True)
