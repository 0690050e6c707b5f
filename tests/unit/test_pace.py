"""A worker's pace: so many a second, whoever asks, and each connection its share."""

import threading
import time
from collections import Counter

import pytest

from crm_sync.services.pace import AHEAD_SECONDS, BEHIND_SECONDS, DEBT_SECONDS_MAX, Pace, Turns

ONE, OTHER = 1, 2


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(per_second: float) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(per_second, clock=clock), clock


def may(pace: Pace, deliveries: int = 1, connection_id: int = ONE) -> bool:
    """Ask without waiting."""
    return pace.wait(connection_id, deliveries, at_most=0)


@pytest.mark.parametrize("group", [1, 7, 20])
def test_in_the_long_run_so_many_go_a_second_and_no_more(group: int) -> None:
    pace, clock = make(100)
    sent = 0
    for _ in range(10_000):
        sent += group if may(pace, group) else 0
        clock.now += 0.01
    assert sent == pytest.approx(100 * 100, abs=100 * AHEAD_SECONDS + group)


def test_who_rested_waits_for_nothing_and_saves_up_no_more_than_a_moment() -> None:
    pace, clock = make(100)
    clock.now += 3_600
    went = [may(pace) for _ in range(20)]
    assert went == sorted(went, reverse=True)
    assert sum(went) == pytest.approx(100 * AHEAD_SECONDS, abs=1)


def test_what_was_sent_beyond_a_place_delays_the_next_and_what_was_not_sent_does_not() -> None:
    pace, clock = make(10)
    clock.now += 60
    assert may(pace, 10)
    pace.charge(ONE, 5)
    pace.charge(ONE, -3)
    clock.now += 1.2 - AHEAD_SECONDS - 0.01
    assert not may(pace)
    clock.now += 0.02
    assert may(pace)


def test_without_a_pace_nobody_waits() -> None:
    pace, _ = make(0)
    assert all(may(pace, 1_000) for _ in range(100))
    assert not pace.is_behind


def test_what_was_sent_far_beyond_the_pace_is_forgiven() -> None:
    pace, clock = make(10)
    pace.charge(ONE, 100_000)
    clock.now += DEBT_SECONDS_MAX - 0.01
    assert not may(pace)
    clock.now += 0.02
    assert may(pace)


def test_who_owes_more_than_a_moment_is_behind() -> None:
    pace, clock = make(10)
    assert not pace.is_behind
    pace.charge(ONE, int(10 * BEHIND_SECONDS) + 2)
    assert pace.is_behind
    clock.now += 0.5
    assert not pace.is_behind


class Crowd:
    """Threads that wait for places by the real clock."""

    def __init__(self, per_second: float) -> None:
        self.lent = 0
        self._per_second = per_second
        self.pace = Pace(per_second, before_waiting=self._lend)
        self.went: list[int] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def gather(self, seconds: float) -> None:
        """Let all wait who ask within so many seconds."""
        self.pace.charge(99, int(self._per_second * seconds))

    def ask(self, connection_id: int, deliveries: int, *, times: int = 1) -> None:
        """Let a thread ask for so many places, so many times."""
        thread = threading.Thread(target=self._ask, args=(connection_id, deliveries, times))
        thread.start()
        self._threads.append(thread)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self, connection_id: int, deliveries: int, times: int) -> None:
        for _ in range(times):
            if self.pace.wait(connection_id, deliveries, at_most=30):
                with self._lock:
                    self.went.append(connection_id)

    def _lend(self) -> None:
        with self._lock:
            self.lent += 1


def test_who_has_sent_little_goes_before_those_who_have_sent_much() -> None:
    crowd = Crowd(200)
    crowd.gather(0.5)
    for backlog in range(10, 20):
        crowd.ask(backlog, 20, times=2)
    while not crowd.went:
        time.sleep(0.01)
    crowd.ask(ONE, 1)
    crowd.join()
    assert crowd.went.index(ONE) <= 3  # as soon as those have gone who went meanwhile
    assert Counter(crowd.went) == {ONE: 1} | dict.fromkeys(range(10, 20), 2)
    assert crowd.lent >= 10  # nobody holds what others need while it waits


def test_all_who_wait_get_the_same_share() -> None:
    """However many turns each has."""
    crowd = Crowd(1_000)
    crowd.gather(0.5)
    for _ in range(4):
        crowd.ask(ONE, 10, times=10)
    crowd.ask(OTHER, 10, times=10)
    crowd.join()
    first = crowd.went[:20]
    assert 8 <= first.count(OTHER) <= 11


def test_who_does_not_wait_any_longer_leaves_the_line_to_the_others() -> None:
    crowd = Crowd(10)
    assert crowd.pace.wait(ONE, 10, at_most=0)
    began = time.monotonic()
    assert not crowd.pace.wait(ONE, 1_000, at_most=0.05)
    assert crowd.pace.wait(OTHER, 1, at_most=30)
    assert time.monotonic() - began > 0.5  # the first ten take a second, less what may go ahead
    assert not crowd.pace.is_behind


def test_who_fails_while_waiting_leaves_the_line_to_the_others() -> None:
    clock = Clock()

    def fail() -> None:
        raise ValueError("it failed")

    pace = Pace(10, clock=clock, before_waiting=fail)
    pace.charge(ONE, 10)
    with pytest.raises(ValueError, match="it failed"):
        may(pace, 5)
    clock.now += 1
    assert may(pace, 50, OTHER)


def test_a_connection_has_turns_until_the_last_one_ends() -> None:
    turns = Turns()
    with turns.at(ONE):
        with turns.at(ONE), turns.at(OTHER):
            assert turns.connections() == {ONE, OTHER}
        assert turns.connections() == {ONE}
    with pytest.raises(ValueError, match="it failed"), turns.at(3):
        raise ValueError("it failed")
    assert turns.connections() == set()
