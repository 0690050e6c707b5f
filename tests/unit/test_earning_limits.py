"""Limits of earning rules: they reduce, they say so, and they are never exceeded."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty.earning.periods import period_start
from loyalty.earning.rules import Award
from loyalty.earning.situation import Used, UseKey
from tests.unit.earning_basket import BASE, basket, compiled, earn, why

ONCE_A_WEEK = {"code": "weekend", "bonus": 50, "limit": {"times": 1, "per": "week"}}
FIFTY_A_MONTH = {
    **BASE, "code": "capped", "points": 10, "limit": {"points": 50, "per": "month"}
}  # fmt: skip


def used(rule: str, per: Any, starts_on: str, times: int, points: int) -> dict[UseKey, Used]:
    return {UseKey(rule, per, date.fromisoformat(starts_on)): Used(times, points)}


def test_times_are_counted_in_the_week_of_the_order() -> None:
    award = earn([ONCE_A_WEEK], used=used("weekend", "week", "2026-11-16", 1, 50))
    assert (award.points, why(award, "weekend")) == (0, "the limit of 1 time per week is used up")

    award = earn([ONCE_A_WEEK], used=used("weekend", "week", "2026-11-09", 1, 50))
    assert award.points == 50
    assert award.taken[0].use == UseKey("weekend", "week", date(2026, 11, 16))


def test_points_are_reduced_to_what_is_left() -> None:
    award = earn([FIFTY_A_MONTH], basket("4.00"))
    assert (award.points, why(award, "capped")) == (40, "10 points per 1.00 USD of 4.00 USD")

    award = earn([FIFTY_A_MONTH], basket("4.00"), used=used("capped", "month", "2026-11-01", 1, 20))
    assert (award.points, award.line_points) == (30, (30,))
    assert why(award, "capped") == (
        "10 points per 1.00 USD of 4.00 USD; 40 reduced to 30 by the limit of 50 points per month"
    )

    award = earn([FIFTY_A_MONTH], used=used("capped", "month", "2026-11-01", 2, 50))
    assert (award.points, why(award, "capped")) == (
        0,
        "the limit of 50 points per month is used up",
    )


def test_multipliers_work_on_reduced_base_points() -> None:
    award = earn([FIFTY_A_MONTH, {"code": "double", "multiply": "2"}], basket("40.00"))

    assert award.points == 50 + 50


def test_a_rule_that_gives_nothing_takes_nothing() -> None:
    assert earn([FIFTY_A_MONTH], basket("0.50")).taken == ()


def test_of_a_group_the_best_after_its_limit_counts() -> None:
    small = {"code": "small", "bonus": 20, "group": "g"}
    large = {"code": "large", "bonus": 50, "group": "g", "limit": {"points": 60, "per": "ever"}}

    award = earn([small, large], used=used("large", "ever", "0001-01-01", 1, 50))

    assert (award.points, award.explanation[0]["rule"]) == (20, "small")


@pytest.mark.parametrize(
    ("day", "per", "start"),
    [
        ("2026-11-22", "day", "2026-11-22"),
        ("2026-11-22", "week", "2026-11-16"),
        ("2026-11-23", "week", "2026-11-23"),
        ("2027-01-03", "week", "2026-12-28"),
        ("2028-02-29", "month", "2028-02-01"),
        ("2026-12-31", "year", "2026-01-01"),
        ("2026-12-31", "ever", "0001-01-01"),
    ],
)
def test_periods_begin(day: str, per: Any, start: str) -> None:
    assert period_start(date.fromisoformat(day), per).isoformat() == start


orders = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 9_000), st.booleans()), min_size=1, max_size=30
)
limits = st.fixed_dictionaries(
    {"per": st.sampled_from(["day", "week", "month", "year", "ever"])},
    optional={"times": st.integers(1, 4)},
).flatmap(
    lambda limit: st.integers(1, 120).map(
        lambda points: limit if "times" in limit and points % 2 else {**limit, "points": points}
    )
)


@settings(max_examples=150, deadline=None)
@given(history=orders, limit=limits)
def test_limits_are_never_exceeded_and_full_returns_leave_nothing(
    history: list[tuple[int, int, bool]], limit: dict[str, Any]
) -> None:
    program = compiled({**BASE, "limit": limit})
    had: dict[UseKey, Used] = {}
    kept: list[tuple[Award, bool]] = []
    for days, cents, comes_back in history:
        day = date(2026, 1, 1) + timedelta(days=days)
        award = earn(
            program, basket(f"{cents // 100}.{cents % 100:02}"), at=f"{day} 10:00", used=had
        )
        assert sum(award.line_points) == award.points
        book(had, award, 1)
        if comes_back:
            book(had, award, -1)
        kept.append((award, comes_back))
    for use in had.values():
        assert 0 <= use.times <= limit.get("times", 10**9)
        assert 0 <= use.points <= limit.get("points", 10**9)
    assert sum(use.points for use in had.values()) == sum(a.points for a, back in kept if not back)


def book(had: dict[UseKey, Used], award: Award, sign: int) -> None:
    for taken in award.taken:
        assert taken.use is not None
        before = had.get(taken.use, Used(0, 0))
        had[taken.use] = Used(before.times + sign, before.points + sign * taken.points)


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(4)), cents=st.integers(0, 9_000))
def test_the_order_of_independent_rules_does_not_matter(order: list[int], cents: int) -> None:
    rules = [
        BASE,
        {"code": "double", "multiply": "2", "when": {"weekday": ["sat"]}},
        {"code": "plus", "bonus": 7, "limit": {"times": 1, "per": "day"}},
        {"code": "capped", "bonus": 9, "limit": {"points": 4, "per": "ever"}},
    ]
    lines = basket(f"{cents // 100}.{cents % 100:02}")

    assert earn([rules[n] for n in order], lines).points == earn(rules, lines).points
