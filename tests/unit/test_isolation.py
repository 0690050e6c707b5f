"""How processes are started that are to let others go first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.isolation import popen_arguments

AUTOGROUP = Path("/proc/self/autogroup")
ASK = (
    "import os, pathlib; print(os.nice(0)); print(pathlib.Path('/proc/self/autogroup').read_text())"
)


def ask(niceness: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        check=True,
        **popen_arguments(niceness=niceness),
    )
    return done.stdout.split()


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel shares by process only")
def test_it_lets_others_go_first_also_those_of_other_sessions() -> None:
    own = os.nice(0)
    assert ask(0)[0] == str(own)
    niceness, _, _, of_session = ask(7)
    assert (niceness, of_session) == (str(own + 7), "7")
