"""Which tests belong together: they run one after another, in one worker.

Not with `xdist_group`: since pytest 9.2, xdist 3.8 spreads the tests of a group over all workers.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_ROOT = Path(__file__).parents[1]
# What a file names, and so needs. Starting a stack takes ten seconds, and it is idle meanwhile.
_GROUPS = ("live_stack", "config.launcher")


@cache
def group_of(path: Path) -> str:
    """Return the group of a file's tests; empty where they need not stay together."""
    text = path.read_text()
    return next((name for name in _GROUPS if name in text), "")


class GroupScheduling(LoadScopeScheduling):
    """Gives a group to one worker as a whole, and all else test by test."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(_ROOT / nodeid.partition("::")[0]) or nodeid
