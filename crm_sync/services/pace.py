"""A worker's pace: tills share its cores and its PostgreSQL, and come first.

Without one, a worker with a backlog sends as fast as the cores allow, and a till's slowest answers
take twice as long (docs/performance.md, "Delivery").
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

AHEAD_SECONDS = 0.1  # a worker that rested sends so much at once
DEBT_SECONDS_MAX = 10.0  # who sent more than this beyond the pace is forgiven the rest
BEHIND_SECONDS = 2.0  # what four turns of a connection's backlog send is less


@dataclass(order=True, slots=True)
class _Waiter:
    """Somebody who waits.

    Attributes:
        end: Where it stands in line: how much each connection that waits may have sent when all
            of this is sent.
        number: Who of two that stand at the same place came first.
    """

    end: float
    number: int
    deliveries: int = field(compare=False)
    is_first: threading.Condition = field(compare=False)


class Pace:
    """So many deliveries a second for all threads of one process, and each connection its share.

    Fair queueing (Demers, Keshav and Shenker, 1989): who has sent little, and wants little, goes
    before who has sent much. So what just happened at one connection does not wait behind sixty
    backlogs of others, and none of those starves.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        before_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin to count.

        Args:
            per_second: How many; 0 is no pace at all.
            before_waiting: Called by whoever has to wait.
        """
        self._each = 1 / per_second if per_second else 0.0
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._waiting: list[_Waiter] = []
        self._numbers = count()
        self._reached = 0.0  # so much each connection could have sent that waited all the time
        self._sent: dict[int, float] = {}  # by connection, where it is more than that
        self._clock, self._before_waiting = clock, before_waiting

    def wait(self, connection_id: int, deliveries: int, *, at_most: float) -> bool:
        """Take a place in line, for so many deliveries, and wait until it is there.

        Args:
            at_most: Seconds; a place that is not there by then is left.

        Returns:
            Whether it is there.
        """
        if not self._each:
            return True
        with self._lock:
            me = self._enter(connection_id, deliveries)
            if self._go(me):
                return True
        try:
            self._before_waiting()
            return self._wait(me, self._clock() + at_most)
        finally:
            self._leave(me, connection_id)

    def charge(self, connection_id: int, deliveries: int) -> None:
        """Count what was sent beyond a place, or, below zero, what a place was too large for."""
        with self._lock:
            self._count(connection_id, deliveries)
            self._take(deliveries)
            self._call_first()

    @property
    def is_behind(self) -> bool:
        """Say whether so many wait for places that a worker must not begin all that it could."""
        with self._lock:
            waiting = sum(waiter.deliveries for waiter in self._waiting) * self._each
            return self._free_at - self._clock() + waiting > BEHIND_SECONDS

    def _enter(self, connection_id: int, deliveries: int) -> _Waiter:
        end = self._count(connection_id, deliveries)
        me = _Waiter(end, next(self._numbers), deliveries, threading.Condition(self._lock))
        heapq.heappush(self._waiting, me)
        return me

    def _count(self, connection_id: int, deliveries: int) -> float:
        sent = max(self._reached, self._sent.get(connection_id, 0.0)) + deliveries
        self._sent[connection_id] = sent
        return sent

    def _go(self, me: _Waiter) -> bool:
        if self._waiting[0] is not me or self._seconds(me) > 0:
            return False
        heapq.heappop(self._waiting)
        self._reached = max(self._reached, me.end - me.deliveries)
        self._sent = {pk: sent for pk, sent in self._sent.items() if sent > self._reached}
        self._take(me.deliveries)
        self._call_first()
        return True

    def _wait(self, me: _Waiter, until: float) -> bool:
        with self._lock:
            while not self._go(me):
                if (left := until - self._clock()) <= 0:
                    return False
                me.is_first.wait(min(left, self._seconds(me)))
            return True

    def _leave(self, me: _Waiter, connection_id: int) -> None:
        """Leave the line, where it was not gone through: whoever stays in it holds up all."""
        with self._lock:
            if me in self._waiting:
                self._waiting.remove(me)
                heapq.heapify(self._waiting)
                self._count(connection_id, -me.deliveries)
                self._call_first()

    def _call_first(self) -> None:
        if self._waiting:
            self._waiting[0].is_first.notify()

    def _seconds(self, me: _Waiter) -> float:
        """Give how long it takes until the next one may go; for ever where somebody is before."""
        if self._waiting[0] is not me:
            return threading.TIMEOUT_MAX
        return self._place() - self._clock()

    def _place(self) -> float:
        return max(self._free_at, self._clock() - AHEAD_SECONDS)

    def _take(self, deliveries: int) -> None:
        free_at = self._place() + deliveries * self._each
        self._free_at = min(free_at, self._clock() + DEBT_SECONDS_MAX)


class Turns:
    """The connections at which this process serves lanes at this moment, or waits to."""

    def __init__(self) -> None:
        self._counts = Counter[int]()
        self._lock = threading.Lock()

    @contextmanager
    def at(self, connection_id: int) -> Iterator[None]:
        """Count a turn for as long as it takes."""
        with self._lock:
            self._counts[connection_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[connection_id] -= 1

    def connections(self) -> set[int]:
        """Give where there are any."""
        with self._lock:
            return {pk for pk, count in self._counts.items() if count}
