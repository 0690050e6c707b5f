"""Levels at their edges: windows, progress, rises, warnings and falls."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from loyalty.programs.rules import PointsPolicy, PublishedProgram, TierLevel, TierPolicy
from loyalty.tiers.rules import (
    Downgrade,
    downgrade,
    format_metric,
    level_for,
    previous_window,
    standing,
    upgrade,
    window_start,
)

BRONZE = TierLevel("bronze", "Bronze", 0)
SILVER = TierLevel("silver", "Silver", 25_000, Fraction(5, 4))
GOLD = TierLevel("gold", "Gold", 100_000, Fraction(3, 2))
POLICY = TierPolicy(levels=(BRONZE, SILVER, GOLD))
TODAY = date(2027, 6, 1)


class TestWindow:
    @pytest.mark.parametrize(
        ("today", "months", "expected"),
        [
            (date(2017, 3, 15), 12, date(2016, 3, 16)),
            (date(2017, 2, 28), 12, date(2016, 2, 29)),
            (date(2016, 2, 29), 12, date(2015, 3, 1)),
            (date(2017, 3, 31), 1, date(2017, 3, 1)),
            (date(2017, 12, 31), 12, date(2017, 1, 1)),
        ],
    )
    def test_rolling_has_every_date_once(self, today: date, months: int, expected: date) -> None:
        policy = replace(POLICY, rolling_months=months)

        assert window_start(policy, today=today, enrolled_on=date(2010, 1, 1)) == expected
        assert previous_window(policy, today=today, enrolled_on=date(2010, 1, 1)) is None

    def test_calendar_year(self) -> None:
        policy = replace(POLICY, window="calendar_year")
        enrolled_on = date(2015, 5, 5)

        assert window_start(policy, today=date(2017, 1, 1), enrolled_on=enrolled_on) == date(
            2017, 1, 1
        )
        assert previous_window(policy, today=date(2017, 1, 1), enrolled_on=enrolled_on) == (
            date(2016, 1, 1),
            date(2016, 12, 31),
        )

    @pytest.mark.parametrize(
        ("enrolled_on", "today", "expected"),
        [
            (date(2015, 5, 5), date(2017, 5, 4), date(2016, 5, 5)),
            (date(2015, 5, 5), date(2017, 5, 5), date(2017, 5, 5)),
            (date(2015, 5, 5), date(2015, 5, 5), date(2015, 5, 5)),
            (date(2016, 2, 29), date(2017, 2, 27), date(2016, 2, 29)),
            (date(2016, 2, 29), date(2017, 2, 28), date(2017, 2, 28)),
            (date(2016, 2, 29), date(2020, 2, 28), date(2019, 2, 28)),
            (date(2016, 2, 29), date(2020, 2, 29), date(2020, 2, 29)),
        ],
    )
    def test_membership_year(self, enrolled_on: date, today: date, expected: date) -> None:
        policy = replace(POLICY, window="membership_year")

        assert window_start(policy, today=today, enrolled_on=enrolled_on) == expected

    def test_previous_membership_year(self) -> None:
        policy = replace(POLICY, window="membership_year")

        assert previous_window(policy, today=date(2017, 6, 1), enrolled_on=date(2015, 5, 5)) == (
            date(2016, 5, 5),
            date(2017, 5, 4),
        )


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (-500, BRONZE),
        (0, BRONZE),
        (24_999, BRONZE),
        (25_000, SILVER),
        (99_999, SILVER),
        (100_000, GOLD),
        (10**12, GOLD),
    ],
)
def test_level_for(metric: int, expected: TierLevel) -> None:
    assert level_for(POLICY, metric) == expected


class TestStanding:
    def test_of_a_new_member(self) -> None:
        assert standing(POLICY, level="bronze", metric=386) == {
            "code": "bronze",
            "name": "Bronze",
            "metric": 386,
            "next": {"code": "silver", "missing": 24_614},
            "to_stay": None,
        }

    def test_at_the_top_with_enough(self) -> None:
        found = standing(POLICY, level="gold", metric=120_000)

        assert (found["next"], found["to_stay"]) == (None, {"missing": 0, "until": None})

    def test_in_grace(self) -> None:
        found = standing(POLICY, level="silver", metric=20_000, grace_until=date(2027, 7, 1))

        assert found["next"] == {"code": "gold", "missing": 80_000}
        assert found["to_stay"] == {"missing": 5_000, "until": "2027-07-01"}

    def test_a_level_that_cannot_be_lost(self) -> None:
        policy = replace(POLICY, downgrade="never")

        assert standing(policy, level="silver", metric=0)["to_stay"] is None

    def test_a_level_that_the_program_no_longer_has(self) -> None:
        found = standing(POLICY, level="platinum", metric=386)

        assert (found["code"], found["name"], found["to_stay"]) == ("platinum", "platinum", None)
        assert found["next"] == {"code": "bronze", "missing": 0}


class TestUpgrade:
    @pytest.mark.parametrize(
        ("level", "metric", "expected"),
        [
            ("bronze", 24_999, None),
            ("bronze", 25_000, SILVER),
            ("bronze", 100_000, GOLD),
            ("silver", 99_999, None),
            ("gold", 0, None),
            ("platinum", 0, BRONZE),
        ],
    )
    def test_rises_to_the_highest_level_reached(
        self, level: str, metric: int, expected: TierLevel | None
    ) -> None:
        assert upgrade(POLICY, level=level, metric=metric) == expected


class TestDowngrade:
    @pytest.mark.parametrize(
        ("level", "metric", "grace_until", "expected"),
        [
            ("silver", 25_000, None, Downgrade("keep")),
            ("silver", 24_999, None, Downgrade("warn", grace_until=date(2027, 7, 1))),
            ("silver", 24_999, date(2027, 6, 2), Downgrade("keep")),
            ("silver", 24_999, date(2027, 6, 1), Downgrade("keep")),
            ("silver", 24_999, date(2027, 5, 31), Downgrade("fall", to=BRONZE)),
            ("silver", 25_000, date(2027, 5, 31), Downgrade("renew")),
            ("gold", 0, date(2027, 5, 31), Downgrade("fall", to=SILVER)),
            ("bronze", -1, None, Downgrade("keep")),
            ("platinum", 30_000, None, Downgrade("fall", to=SILVER)),
        ],
    )
    def test_one_level(
        self, level: str, metric: int, grace_until: date | None, expected: Downgrade
    ) -> None:
        found = downgrade(POLICY, level=level, metric=metric, grace_until=grace_until, today=TODAY)

        assert found == expected

    @pytest.mark.parametrize(
        ("changes", "metric", "expected"),
        [
            ({"grace_days": 0}, 0, Downgrade("fall", to=SILVER)),
            ({"grace_days": 0, "downgrade": "recalculate"}, 0, Downgrade("fall", to=BRONZE)),
            ({"grace_days": 0, "downgrade": "recalculate"}, 25_000, Downgrade("fall", to=SILVER)),
            ({"downgrade": "never"}, 0, Downgrade("keep")),
        ],
    )
    def test_other_policies(
        self, changes: dict[str, Any], metric: int, expected: Downgrade
    ) -> None:
        policy = replace(POLICY, **changes)

        assert downgrade(policy, level="gold", metric=metric, grace_until=None, today=TODAY) == (
            expected
        )

    def test_a_grace_ends_when_the_program_no_longer_downgrades(self) -> None:
        policy = replace(POLICY, downgrade="never")

        found = downgrade(policy, level="gold", metric=0, grace_until=date(2027, 5, 1), today=TODAY)

        assert found == Downgrade("renew")


@pytest.mark.parametrize(
    ("qualify_by", "expected"), [("spend", "246.14"), ("points", "24614"), ("orders", "24614")]
)
def test_format_metric(qualify_by: Any, expected: str) -> None:
    program = PublishedProgram(
        id=1,
        code="p",
        name="P",
        version=1,
        timezone="UTC",
        currency="USD",
        currency_scale=2,
        points=PointsPolicy(name="points"),
        stores={},
        earning_rules=(),
        tiers=replace(POLICY, qualify_by=qualify_by),
        rewards={},
    )

    assert format_metric(program, 24_614) == expected
