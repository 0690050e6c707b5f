"""What vendors count by the clock: calls in a stretch of time, points, tokens that end."""

import math
import time
from collections import deque


class Clock:
    """The machine's, until a test stops it; and ahead of it by as much as a test has let pass."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped: float | None = None

    def now(self) -> float:
        """Give the time in seconds; only differences mean anything."""
        base = time.monotonic() if self._stopped is None else self._stopped
        return base + self._ahead

    def stop(self) -> None:
        """Let no time pass by itself."""
        self._stopped = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds


class Window:
    """So many calls in any so many seconds."""

    def __init__(self, clock: Clock, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self._clock = clock
        self._taken: deque[float] = deque()

    @property
    def left(self) -> int:
        """Say how many calls are allowed now."""
        since = self._clock.now() - self.seconds
        while self._taken and self._taken[0] <= since:
            self._taken.popleft()
        return self.most - len(self._taken)

    def take(self, calls: int = 1) -> bool:
        """Count calls; False if they are too many, which counts nothing."""
        if calls > self.left:
            return False
        self._taken.extend([self._clock.now()] * calls)
        return True


class Bucket:
    """Points that calls cost, and that come back by the second."""

    def __init__(self, clock: Clock, size: float, rate: float) -> None:
        self.size = size
        self.rate = rate
        self._clock = clock
        self._left, self._at = size, clock.now()

    @property
    def left(self) -> float:
        """Say how many points there are now."""
        now = self._clock.now()
        self._left = min(self.size, self._left + (now - self._at) * self.rate)
        self._at = now
        return self._left

    @left.setter
    def left(self, points: float) -> None:
        self._left, self._at = points, self._clock.now()

    def take(self, points: float) -> bool:
        """Pay for a call; False if it costs too much, which costs nothing."""
        if points > self.left:
            return False
        self._left -= points
        return True


class Tokens:
    """Access tokens that were given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def add(self, token: str, seconds: float = math.inf) -> None:
        """Give one; it is good for so long."""
        self._ends[token] = self._clock.now() + seconds

    def clear(self) -> None:
        """Revoke all."""
        self._ends.clear()

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and self._clock.now() < self._ends.get(token, -math.inf)
