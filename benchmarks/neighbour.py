"""A process that only computes: `python -m benchmarks.neighbour 0.25` takes a quarter of a core.

It holds no lock, writes nothing and asks nobody, so what tills feel of it they would feel of
anything that shares their cores. Like a paced worker it works in groups, six a second.
"""

import sys
import time

GROUPS_A_SECOND = 6


def compute(share: float) -> None:
    """Take so much of one core, for ever."""
    busy = share / GROUPS_A_SECOND
    while True:
        began = time.process_time()
        while time.process_time() - began < busy:
            sum(range(200))
        time.sleep(1 / GROUPS_A_SECOND - busy)


if __name__ == "__main__":
    compute(float(sys.argv[1]))
