"""Levels at their edges: progress, rises, warnings, renewals and falls."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from loyalty.programs.rules import PointsPolicy, PublishedProgram, TierLevel, TierPolicy
from loyalty.tiers.rules import (
    Held,
    Review,
    format_metric,
    holding_metric,
    level_for,
    returned,
    review,
    standing,
    upgrade,
)
from loyalty.tiers.windows import ActivityDay

BRONZE = TierLevel("bronze", "Bronze", 0)
SILVER = TierLevel("silver", "Silver", 25_000, Fraction(5, 4), perks=("Free delivery",))
GOLD = TierLevel("gold", "Gold", 100_000, Fraction(3, 2))
POLICY = TierPolicy(levels=(BRONZE, SILVER, GOLD))
YEARS = replace(POLICY, window="calendar_year", validity="end_of_next_year")
TODAY = date(2027, 6, 1)
JOINED = date(2024, 5, 5)


def spent(*days: tuple[date, int]) -> list[ActivityDay]:
    return [ActivityDay(day, amount, 0, 1) for day, amount in days]


def night(policy: TierPolicy, held: Held, days: list[ActivityDay], today: date = TODAY) -> Review:
    return review(policy, held=held, days=days, today=today, enrolled_on=JOINED)


def held(level: str, **terms: Any) -> Held:
    return Held(level, **{"since": date(2026, 3, 1), **terms})


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
    def at(self, policy: TierPolicy, terms: Held, metric: int, **more: Any) -> dict[str, Any]:
        return standing(policy, held=terms, metric=metric, today=TODAY, enrolled_on=JOINED, **more)

    def test_of_a_new_member(self) -> None:
        assert self.at(POLICY, held("bronze"), 386) == {
            "code": "bronze",
            "name": "Bronze",
            "metric": 386,
            "next": {"code": "silver", "missing": 24_614},
            "to_stay": None,
            "perks": [],
        }

    def test_at_the_top_with_enough(self) -> None:
        found = self.at(POLICY, held("gold"), 120_000)

        assert (found["next"], found["to_stay"]) == (None, {"missing": 0, "until": None})

    def test_in_grace(self) -> None:
        found = self.at(POLICY, held("silver", grace_until=date(2027, 7, 1)), 20_000)

        assert found["next"] == {"code": "gold", "missing": 80_000}
        assert found["to_stay"] == {"missing": 5_000, "until": "2027-07-01"}
        assert found["perks"] == ["Free delivery"]

    def test_what_the_coming_year_asks_begins_at_nothing(self) -> None:
        found = self.at(YEARS, held("silver", valid_until=date(2028, 12, 31)), 30_000)

        assert found["to_stay"] == {"missing": 25_000, "until": "2028-12-31"}

    def test_in_the_year_that_decides_what_was_bought_counts(self) -> None:
        found = self.at(YEARS, held("silver", valid_until=date(2027, 12, 31)), 10_000)

        assert found["to_stay"] == {"missing": 15_000, "until": "2027-12-31"}

    def test_days_that_drop_out_of_a_rolling_window_before_the_end_are_missing(self) -> None:
        policy = replace(POLICY, validity="months")
        terms = held("silver", valid_until=date(2027, 12, 31))
        days = spent((date(2026, 12, 31), 20_000), (date(2027, 2, 1), 10_000))

        assert self.at(policy, terms, 30_000, days=days)["to_stay"]["missing"] == 15_000

    @pytest.mark.parametrize(
        "policy",
        [
            replace(POLICY, downgrade="never"),
            replace(POLICY, levels=(BRONZE, replace(SILVER, keep=True), GOLD)),
        ],
    )
    def test_a_level_that_cannot_be_lost(self, policy: TierPolicy) -> None:
        assert self.at(policy, held("silver"), 0)["to_stay"] is None

    def test_a_level_that_the_program_no_longer_has(self) -> None:
        found = self.at(POLICY, held("platinum"), 386)

        assert (found["code"], found["name"], found["to_stay"]) == ("platinum", "platinum", None)
        assert found["next"] == {"code": "bronze", "missing": 0}

    def test_an_assigned_level_without_an_end(self) -> None:
        assert self.at(POLICY, held("gold", earned_level="bronze"), 0)["to_stay"] is None


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


class TestANightWhileALevelIsKeptAsLongAsItIsEarned:
    @pytest.mark.parametrize(
        ("level", "metric", "grace_until", "expected"),
        [
            ("silver", 25_000, None, Review("keep")),
            ("silver", 24_999, None, Review("warn", grace_until=date(2027, 7, 1), missing=1)),
            ("silver", 24_999, date(2027, 6, 2), Review("keep")),
            ("silver", 24_999, date(2027, 6, 1), Review("keep")),
            ("silver", 24_999, date(2027, 5, 31), Review("move", to=BRONZE)),
            ("silver", 25_000, date(2027, 5, 31), Review("renew")),
            ("gold", 0, date(2027, 5, 31), Review("move", to=SILVER)),
            ("bronze", -1, None, Review("keep")),
            ("platinum", 30_000, None, Review("move", to=SILVER)),
        ],
    )
    def test_one_level(
        self, level: str, metric: int, grace_until: date | None, expected: Review
    ) -> None:
        terms = held(level, grace_until=grace_until)

        assert night(POLICY, terms, spent((TODAY, metric))) == expected

    @pytest.mark.parametrize(
        ("changes", "metric", "expected"),
        [
            ({"grace_days": 0}, 0, Review("move", to=SILVER)),
            ({"grace_days": 0, "downgrade": "recalculate"}, 0, Review("move", to=BRONZE)),
            ({"grace_days": 0, "downgrade": "recalculate"}, 25_000, Review("move", to=SILVER)),
            ({"downgrade": "never"}, 0, Review("keep")),
        ],
    )
    def test_other_policies(self, changes: dict[str, Any], metric: int, expected: Review) -> None:
        policy = replace(POLICY, **changes)

        assert night(policy, held("gold"), spent((TODAY, metric))) == expected

    def test_a_grace_ends_when_the_program_no_longer_downgrades(self) -> None:
        policy = replace(POLICY, downgrade="never")

        assert night(policy, held("gold", grace_until=date(2027, 5, 1)), []) == Review("renew")

    def test_a_level_that_is_kept_for_good_stops_a_fall(self) -> None:
        vip = replace(SILVER, keep=True)
        policy = replace(POLICY, levels=(BRONZE, vip, GOLD), downgrade="recalculate", grace_days=0)

        assert night(policy, held("gold"), []) == Review("move", to=vip)
        assert night(policy, held("silver"), []) == Review("keep")


class TestANightAroundTheEndOfAValidity:
    """Silver, reached in 2026 and valid until the end of 2027; the year 2027 decides."""

    TERMS = held("silver", valid_until=date(2027, 12, 31))

    @pytest.mark.parametrize(
        ("today", "grace_until", "expected"),
        [
            (date(2027, 11, 30), None, Review("keep")),
            (
                date(2027, 12, 1),
                None,
                Review("warn", grace_until=date(2028, 1, 30), missing=25_000),
            ),
            (date(2027, 12, 31), date(2028, 1, 30), Review("keep")),
            (date(2028, 1, 1), date(2028, 1, 30), Review("keep")),
            (date(2028, 1, 30), date(2028, 1, 30), Review("keep")),
            (date(2028, 1, 31), date(2028, 1, 30), Review("move", to=BRONZE)),
        ],
    )
    def test_who_bought_nothing(
        self, today: date, grace_until: date | None, expected: Review
    ) -> None:
        terms = self.TERMS._replace(grace_until=grace_until)

        assert night(YEARS, terms, [], today) == expected

    @pytest.mark.parametrize(
        ("today", "bought_on", "grace_until", "valid_until"),
        [
            # Earned in the year that decides: valid for the next one, however late the night.
            (date(2028, 1, 1), date(2027, 12, 31), None, date(2028, 12, 31)),
            (date(2028, 1, 9), date(2027, 1, 1), None, date(2028, 12, 31)),
            (date(2027, 12, 20), date(2027, 12, 19), date(2028, 1, 30), date(2028, 12, 31)),
            # Earned in the grace, that is in 2028: valid until the end of 2029.
            (date(2028, 1, 20), date(2028, 1, 19), date(2028, 1, 30), date(2029, 12, 31)),
        ],
    )
    def test_who_earned_it_again(
        self, today: date, bought_on: date, grace_until: date | None, valid_until: date
    ) -> None:
        terms = self.TERMS._replace(grace_until=grace_until)

        found = night(YEARS, terms, spent((bought_on, 25_000)), today)

        assert found == Review("renew", valid_until=valid_until)

    def test_who_falls_one_level_lands_softly_for_the_year(self) -> None:
        terms = held("gold", valid_until=date(2027, 12, 31), grace_until=date(2028, 1, 30))

        assert night(YEARS, terms, [], date(2028, 1, 31)) == Review(
            "move", to=SILVER, valid_until=date(2028, 12, 31)
        )

    def test_a_validity_that_was_never_written_counts_from_the_day_of_the_level(self) -> None:
        terms = held("silver", since=date(2026, 3, 1))

        assert night(YEARS, terms, [], date(2027, 11, 30)) == Review("keep")
        assert night(YEARS, terms, [], date(2027, 12, 1)).kind == "warn"

    def test_months_go_on_from_the_day_on_which_they_end(self) -> None:
        policy = replace(POLICY, validity="months", validity_months=12)
        terms = held("silver", valid_until=date(2028, 2, 29))

        found = night(policy, terms, spent((date(2028, 2, 29), 25_000)), date(2028, 3, 4))

        assert found == Review("renew", valid_until=date(2029, 2, 28))

    def test_everybody_begins_the_year_anew_where_a_level_is_for_one_year(self) -> None:
        policy = replace(YEARS, validity="end_of_year", grace_days=0, warning_days=0)
        bought = spent((date(2027, 12, 31), 99_000))

        assert night(policy, self.TERMS, bought, date(2027, 12, 31)) == Review("keep")
        assert night(policy, self.TERMS, bought, date(2028, 1, 1)) == Review("move", to=BRONZE)


class TestAnAssignedLevel:
    TERMS = held(
        "gold",
        valid_until=date(2027, 6, 30),
        earned_level="silver",
        earned_until=date(2027, 12, 31),
    )

    def test_is_kept_until_its_day_and_warned_about(self) -> None:
        assert night(YEARS, self.TERMS, [], date(2027, 5, 30)) == Review("keep")
        assert night(YEARS, self.TERMS, [], date(2027, 5, 31)) == Review(
            "warn", grace_until=date(2027, 6, 30), missing=100_000
        )
        warned = self.TERMS._replace(grace_until=date(2027, 6, 30))
        assert night(YEARS, warned, [], date(2027, 6, 30)) == Review("keep")

    def test_goes_back_to_the_level_that_was_earned_with_its_validity(self) -> None:
        assert night(YEARS, self.TERMS, [], date(2027, 7, 1)) == Review(
            "move", to=SILVER, valid_until=date(2027, 12, 31)
        )

    def test_that_was_earned_meanwhile_goes_on(self) -> None:
        bought = spent((date(2027, 6, 1), 100_000))

        assert night(YEARS, self.TERMS, bought, date(2027, 7, 1)) == Review(
            "renew", valid_until=date(2028, 12, 31)
        )

    def test_without_a_day_is_kept(self) -> None:
        terms = self.TERMS._replace(valid_until=None)

        assert night(YEARS, terms, [], date(2047, 1, 1)) == Review("keep")


class TestAReturn:
    RECALCULATED = replace(POLICY, on_return="recalculate")

    @pytest.mark.parametrize(
        ("policy", "level", "before", "after", "expected"),
        [
            (POLICY, "gold", 100_000, 0, None),
            (RECALCULATED, "gold", 100_000, 99_999, SILVER),
            (RECALCULATED, "gold", 100_000, 0, BRONZE),
            (RECALCULATED, "gold", 150_000, 100_000, None),
            (RECALCULATED, "gold", 99_999, 0, None),
            (RECALCULATED, "bronze", 0, -5, None),
            (RECALCULATED, "platinum", 100_000, 0, None),
            (replace(RECALCULATED, downgrade="never"), "gold", 100_000, 0, None),
        ],
    )
    def test_takes_back_what_it_gave_where_the_program_says_so(
        self,
        policy: TierPolicy,
        level: str,
        before: int,
        after: int,
        expected: TierLevel | None,
    ) -> None:
        assert returned(policy, held=held(level), before=before, after=after) == expected

    def test_never_an_assigned_level(self) -> None:
        terms = held("gold", earned_level="bronze")

        assert returned(self.RECALCULATED, held=terms, before=100_000, after=0) is None

    def test_of_this_year_leaves_what_last_year_earned(self) -> None:
        days = spent((date(2026, 12, 31), 25_000), (TODAY, 25_000))

        assert holding_metric(YEARS, days, today=TODAY, enrolled_on=JOINED) == 25_000
        days += spent((TODAY, -25_000))
        assert holding_metric(YEARS, days, today=TODAY, enrolled_on=JOINED) == 25_000


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
