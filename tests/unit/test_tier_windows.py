"""Windows and validities at their borders: year ends, 29 February, days of 23 and 25 hours."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from loyalty.programs.expiry import local_day, start_of_day
from loyalty.programs.rules import TierLevel, TierPolicy
from loyalty.tiers.windows import (
    ActivityDay,
    judged_on,
    metric_in,
    next_validity,
    validity_end,
    window_of,
    window_start,
)

POLICY = TierPolicy(levels=(TierLevel("bronze", "Bronze", 0),))
LEAP = date(2024, 2, 29)


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

    def test_calendar_year(self) -> None:
        policy = replace(POLICY, window="calendar_year")
        enrolled_on = date(2015, 5, 5)

        assert window_start(policy, today=date(2017, 1, 1), enrolled_on=enrolled_on) == date(
            2017, 1, 1
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


class TestValidity:
    @pytest.mark.parametrize(
        ("window", "validity", "months", "earned_on", "expected"),
        [
            ("rolling", "while_qualifying", 12, date(2027, 3, 1), None),
            ("rolling", "months", 12, date(2027, 3, 1), date(2028, 3, 1)),
            ("rolling", "months", 12, date(2028, 2, 29), date(2029, 2, 28)),
            ("rolling", "months", 1, date(2027, 1, 31), date(2027, 2, 28)),
            ("rolling", "end_of_year", 12, date(2027, 1, 1), date(2027, 12, 31)),
            ("calendar_year", "end_of_year", 12, date(2027, 12, 31), date(2027, 12, 31)),
            ("calendar_year", "end_of_next_year", 12, date(2027, 12, 31), date(2028, 12, 31)),
            ("calendar_year", "end_of_next_year", 12, date(2027, 1, 1), date(2028, 12, 31)),
            ("calendar_year", "months", 6, date(2027, 8, 31), date(2028, 2, 29)),
            # A member of 29 February: their years end on 27 February, and on the 28th before
            # the anniversary in a leap year.
            ("membership_year", "end_of_year", 12, date(2025, 2, 27), date(2025, 2, 27)),
            ("membership_year", "end_of_year", 12, date(2025, 2, 28), date(2026, 2, 27)),
            ("membership_year", "end_of_year", 12, date(2027, 2, 28), date(2028, 2, 28)),
            ("membership_year", "end_of_next_year", 12, date(2026, 3, 1), date(2028, 2, 28)),
            ("membership_year", "end_of_next_year", 12, date(2028, 2, 29), date(2030, 2, 27)),
        ],
    )
    def test_ends_with_a_day(
        self, window: Any, validity: Any, months: int, earned_on: date, expected: date | None
    ) -> None:
        policy = replace(POLICY, window=window, validity=validity, validity_months=months)

        assert validity_end(policy, earned_on=earned_on, enrolled_on=LEAP) == expected

    @pytest.mark.parametrize(
        ("window", "validity", "valid_until", "expected"),
        [
            ("rolling", "months", date(2027, 6, 30), date(2027, 6, 30)),
            ("rolling", "end_of_year", date(2027, 12, 31), date(2027, 12, 31)),
            ("calendar_year", "end_of_next_year", date(2027, 12, 31), date(2027, 12, 31)),
            ("calendar_year", "end_of_year", date(2027, 12, 31), date(2028, 1, 1)),
            ("membership_year", "end_of_year", date(2028, 2, 28), date(2028, 2, 29)),
        ],
    )
    def test_is_judged_as_of_its_last_day_or_begins_anew(
        self, window: Any, validity: Any, valid_until: date, expected: date
    ) -> None:
        policy = replace(POLICY, window=window, validity=validity)

        assert judged_on(policy, valid_until) == expected

    @pytest.mark.parametrize("window", ["rolling", "calendar_year", "membership_year"])
    @pytest.mark.parametrize("validity", ["months", "end_of_year", "end_of_next_year"])
    def test_a_renewal_always_outlasts_what_it_renews(self, window: Any, validity: Any) -> None:
        policy = replace(POLICY, window=window, validity=validity, validity_months=1)
        until = date(2027, 12, 31) if window != "membership_year" else date(2028, 2, 28)
        for late in (-20, 0, 1, 9, 100, 400):
            today = until + timedelta(days=late)
            base = judged_on(policy, until)
            end = next_validity(policy, base=base, valid_until=until, today=today, enrolled_on=LEAP)
            assert end is not None
            assert end > until
            assert end >= today


@pytest.mark.parametrize(
    "zone", ["Europe/Rome", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]
)
@pytest.mark.parametrize(
    "day",
    [
        date(2027, 1, 1),
        date(2027, 3, 14),  # 23 hours in New York
        date(2027, 3, 28),  # 23 hours in Rome
        date(2027, 10, 31),  # 25 hours in Rome
        date(2027, 11, 7),  # 25 hours in New York
        date(2027, 12, 31),
        date(2028, 2, 29),
        date(2028, 3, 1),
    ],
)
def test_an_order_counts_on_the_local_day_on_which_it_happened(zone: str, day: date) -> None:
    """The first and the last second of the day are in its window, their neighbours are not."""
    first = start_of_day(day, zone)
    last = start_of_day(day + timedelta(days=1), zone) - timedelta(seconds=1)
    moments = [first - timedelta(seconds=1), first, last, last + timedelta(seconds=1)]
    days = [ActivityDay(local_day(moment, zone), 100, 1, 1) for moment in moments]
    policy = replace(POLICY, window="rolling", rolling_months=12)

    assert metric_in(policy, days, (day, day)) == 200
    ends = window_of(policy, as_of=day, enrolled_on=LEAP)
    assert metric_in(policy, days, ends) == 300
    assert [local_day(m, zone) for m in moments][1:3] == [day, day]


@pytest.mark.parametrize(("qualify_by", "expected"), [("spend", 700), ("points", 7), ("orders", 3)])
def test_what_counts(qualify_by: Any, expected: int) -> None:
    policy = replace(POLICY, qualify_by=qualify_by)
    days = [ActivityDay(LEAP, 500, 5, 2), ActivityDay(LEAP + timedelta(days=1), 200, 2, 1)]

    assert metric_in(policy, days, (LEAP, date(2024, 3, 1))) == expected
