"""When points mature and expire: the edges of local days, as UTC instants (scenario 24)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.programs.expiry import (
    active_at,
    add_months,
    end_of_day,
    expires_at,
    local_day,
    start_of_day,
)
from loyalty.programs.rules import Expiry, PointsPolicy

ROME, NEW_YORK, KOLKATA, APIA = "Europe/Rome", "America/New_York", "Asia/Kolkata", "Pacific/Apia"
YEAR = Expiry(months=12)
IDLE = Expiry(inactivity_months=6)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "earned_at", "expiry", "expected"),
    [
        # 29 February and a year: the end of 28 February 2029, local.
        (ROME, "2028-02-29T12:00", YEAR, "2029-02-28T23:00"),
        (NEW_YORK, "2028-02-29T12:00", YEAR, "2029-03-01T05:00"),
        (KOLKATA, "2028-02-29T12:00", YEAR, "2029-02-28T18:30"),
        (APIA, "2028-02-29T10:59", YEAR, "2029-02-28T11:00"),
        # The local date counts, not the UTC date: one minute later it is 1 March in Apia.
        (APIA, "2028-02-29T11:00", YEAR, "2029-03-01T11:00"),
        # Month ends: 31 January plus one month is the last of February.
        (ROME, "2027-01-31T12:00", Expiry(months=1), "2027-02-28T23:00"),
        (ROME, "2028-01-31T12:00", Expiry(months=1), "2028-02-29T23:00"),
        (NEW_YORK, "2027-08-31T12:00", Expiry(months=6), "2028-03-01T05:00"),
        # The day that ends has 23 hours (28 March 2027 in Rome, 14 March 2027 in New York) ...
        (ROME, "2027-02-28T12:00", Expiry(months=1), "2027-03-28T22:00"),
        (NEW_YORK, "2027-02-14T12:00", Expiry(months=1), "2027-03-15T04:00"),
        # ... or 25 (31 October 2027 in Rome, 7 November 2027 in New York).
        (ROME, "2027-09-30T22:30", Expiry(months=1), "2027-11-01T23:00"),
        (ROME, "2027-08-31T12:00", Expiry(months=2), "2027-10-31T23:00"),
        (NEW_YORK, "2027-10-07T12:00", Expiry(months=1), "2027-11-08T05:00"),
        # Just before and after midnight.
        (NEW_YORK, "2017-01-29T04:59:59", YEAR, "2018-01-29T05:00"),
        (NEW_YORK, "2017-01-29T05:00:00", YEAR, "2018-01-30T05:00"),
        # Apia skipped 30 December 2011: the 29th and the 30th end at the same instant.
        (APIA, "2011-11-29T20:00", Expiry(months=1), "2011-12-30T10:00"),
        (APIA, "2011-11-30T20:00", Expiry(months=1), "2011-12-30T10:00"),
        (APIA, "2011-12-01T09:00", Expiry(months=1), "2011-12-30T10:00"),
        (APIA, "2011-12-01T10:00", Expiry(months=1), "2012-01-01T10:00"),
        # Months after the last activity end as months after a purchase do.
        (ROME, "2028-02-29T12:00", IDLE, "2028-08-29T22:00"),
        (NEW_YORK, "2027-08-31T12:00", IDLE, "2028-03-01T05:00"),
        (NEW_YORK, "2026-09-14T12:00", IDLE, "2027-03-15T04:00"),
        (KOLKATA, "2027-08-29T18:29", IDLE, "2028-02-29T18:30"),
        (APIA, "2011-06-30T20:00", IDLE, "2011-12-30T10:00"),
        # To the end of the month or year, and on fixed dates.
        (NEW_YORK, "2017-01-29T00:06:53", Expiry(12, "end_of_month"), "2018-02-01T05:00"),
        (KOLKATA, "2027-12-31T18:29", Expiry(12, "end_of_year"), "2028-12-31T18:30"),
        (KOLKATA, "2027-12-31T18:30", Expiry(12, "end_of_year"), "2029-12-31T18:30"),
        (ROME, "2027-03-30T12:00", Expiry(dates=((3, 31),)), "2027-03-31T22:00"),
        (ROME, "2027-03-31T12:00", Expiry(dates=((3, 31),)), "2028-03-31T22:00"),
        (ROME, "2027-07-01T12:00", Expiry(dates=((3, 31), (9, 30))), "2027-09-30T22:00"),
        (ROME, "2027-07-01T12:00", Expiry(dates=((2, 29),)), "2028-02-29T23:00"),
        (ROME, "2028-07-01T12:00", Expiry(dates=((2, 29),)), "2029-02-28T23:00"),
    ],
)
def test_scenario_24_expires_at_the_end_of_the_local_day(
    zone: str, earned_at: str, expiry: Expiry, expected: str
) -> None:
    found = expires_at(expiry, earned_at=utc(earned_at), zone=zone)

    assert found == utc(expected)
    assert found is not None and found.tzinfo is UTC


@given(
    day=st.dates(date(1990, 1, 1), date(2037, 12, 31)),
    zone=st.sampled_from(
        [
            ROME,
            NEW_YORK,
            KOLKATA,
            APIA,
            "America/Sao_Paulo",  # clocks change at midnight
            "America/Havana",  # midnight happens twice
            "Africa/Cairo",
            "Asia/Beirut",
            "America/Nuuk",  # changes in the last hour of a day
            "Australia/Lord_Howe",  # changes by half an hour
            "Pacific/Kiritimati",
            "Asia/Kathmandu",
        ]
    ),
)
def test_scenario_24_a_day_ends_where_the_next_one_begins(day: date, zone: str) -> None:
    end = end_of_day(day, zone)
    last_moment = (end - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))

    assert local_day(end, zone) > day
    assert last_moment.date() <= day
    assert end == start_of_day(day + timedelta(days=1), zone)


def test_points_that_do_not_expire() -> None:
    at = utc("2027-01-01T00:00")

    assert expires_at(None, earned_at=at, zone=ROME) is None
    assert expires_at(PointsPolicy(name="points"), earned_at=at, zone=ROME) is None


def test_a_fixed_date_lies_after_the_day_on_which_points_become_usable() -> None:
    policy = PointsPolicy(name="points", maturity_days=14, expiry=Expiry(dates=((3, 31),)))

    assert expires_at(policy, earned_at=utc("2027-03-16T12:00"), zone=ROME) == utc(
        "2027-03-31T22:00"
    )
    assert expires_at(policy, earned_at=utc("2027-03-17T12:00"), zone=ROME) == utc(
        "2028-03-31T22:00"
    )


class TestActiveAt:
    def test_at_once_without_a_maturity(self) -> None:
        at = utc("2027-03-01T08:15")

        assert active_at(PointsPolicy(name="points"), at, ROME) == at

    @pytest.mark.parametrize(
        ("earned_at", "expected"),
        [
            ("2027-03-20T08:15", "2027-04-02T22:00"),  # the clocks change in between
            ("2027-03-20T22:59", "2027-04-02T22:00"),
            ("2027-03-20T23:00", "2027-04-03T22:00"),
        ],
    )
    def test_from_the_start_of_the_local_day(self, earned_at: str, expected: str) -> None:
        policy = PointsPolicy(name="points", maturity_days=14)

        assert active_at(policy, utc(earned_at), ROME) == utc(expected)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2028, 2, 29), 48, date(2032, 2, 29)),
        (date(2027, 12, 31), 2, date(2028, 2, 29)),
        (date(2027, 3, 31), -1, date(2027, 2, 28)),
        (date(2027, 1, 15), -1, date(2026, 12, 15)),
        (date(2027, 1, 15), 0, date(2027, 1, 15)),
    ],
)
def test_add_months(day: date, months: int, expected: date) -> None:
    assert add_months(day, months) == expected
