"""A worker's pace: tills share its cores and its PostgreSQL, and come first.

Without one, a worker with a backlog sends as fast as the cores allow, and a till's slowest answers
take twice as long (docs/performance.md, "Delivery").
"""

import threading
import time
from collections.abc import Callable

AHEAD_SECONDS = 0.1  # a worker that rested sends so much at once
DEBT_SECONDS_MAX = 10.0  # who sent more than this beyond the pace is forgiven the rest


class Pace:
    """So many deliveries a second for all threads of one process.

    Threads get their places in the order in which they ask, one behind the other, so that they do
    not all send in the same moment, and none starves.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin to count.

        Args:
            per_second: How many; 0 is no pace at all.
        """
        self._each = 1 / per_second if per_second else 0.0
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._clock, self._sleep = clock, sleep

    def wait(self, deliveries: int, *, at_most: float) -> bool:
        """Take the next place, for so many deliveries, and sleep until it is there.

        Args:
            at_most: Seconds; a place that comes later is not taken.

        Returns:
            Whether it is there.
        """
        with self._lock:
            now = self._clock()
            seconds = self._place(now) - now
            if seconds > at_most:
                return False
            self._take(deliveries, now)
        self._sleep(max(0.0, seconds))
        return True

    def charge(self, deliveries: int) -> None:
        """Count what was sent beyond a place, or, below zero, what a place was too large for."""
        with self._lock:
            self._take(deliveries, self._clock())

    def _place(self, now: float) -> float:
        return max(self._free_at, now - AHEAD_SECONDS)

    def _take(self, deliveries: int, now: float) -> None:
        free_at = self._place(now) + deliveries * self._each
        self._free_at = min(free_at, now + DEBT_SECONDS_MAX)
