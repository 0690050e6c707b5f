"""A worker's pace: places one behind the other, whoever asks."""

import pytest

from crm_sync.services.pace import AHEAD_SECONDS, DEBT_SECONDS_MAX, Pace

LONG = 1e9


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def make(per_second: float) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(per_second, clock=clock, sleep=clock.sleep), clock


@pytest.mark.parametrize("group", [1, 7, 20])
def test_in_the_long_run_so_many_go_a_second_and_no_more(group: int) -> None:
    pace, clock = make(100)
    for _ in range(1_000):
        assert pace.wait(group, at_most=LONG)
    assert clock.now - 1000 == pytest.approx(999 * group / 100 - AHEAD_SECONDS)


def test_who_rested_waits_for_nothing_and_saves_up_no_more_than_a_moment() -> None:
    pace, clock = make(100)
    clock.now += 3_600
    for _ in range(12):
        pace.wait(1, at_most=LONG)
    assert clock.slept == pytest.approx([0.0] * 11 + [0.01], abs=1e-9)


def test_what_was_sent_beyond_a_place_delays_the_next_and_what_was_not_sent_does_not() -> None:
    pace, clock = make(10)
    clock.now += 60
    pace.wait(10, at_most=LONG)
    pace.charge(5)
    pace.charge(-3)
    pace.wait(1, at_most=LONG)
    assert clock.slept == [0.0, pytest.approx(1.2 - AHEAD_SECONDS)]


def test_those_who_ask_together_get_places_one_behind_the_other() -> None:
    clock = Clock()
    places: list[float] = []
    pace = Pace(10, clock=clock, sleep=places.append)  # nobody's sleep moves the others' clock
    for _ in range(4):
        pace.wait(5, at_most=LONG)
    assert places == [pytest.approx(max(0.0, n * 0.5 - AHEAD_SECONDS)) for n in range(4)]


def test_without_a_pace_nobody_waits() -> None:
    pace, clock = make(0)
    for _ in range(100):
        pace.wait(1_000, at_most=0)
    assert set(clock.slept) == {0.0}


def test_a_place_that_comes_too_late_is_not_taken() -> None:
    pace, clock = make(10)
    clock.now += 60
    assert pace.wait(20, at_most=1)
    assert not pace.wait(20, at_most=1)
    assert clock.slept == [0.0]
    clock.now += 1
    assert pace.wait(20, at_most=1)
    assert clock.slept[1:] == pytest.approx([1 - AHEAD_SECONDS])


def test_what_was_sent_far_beyond_the_pace_is_forgiven() -> None:
    pace, clock = make(10)
    pace.charge(100_000)
    assert not pace.wait(1, at_most=DEBT_SECONDS_MAX / 2)
    clock.now += DEBT_SECONDS_MAX
    assert pace.wait(1, at_most=0)
