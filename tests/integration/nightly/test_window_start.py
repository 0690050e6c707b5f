"""The window of the tier metric in the load's SQL is the one of tiers/rules.py, on awkward days."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from loyalty.engine.look import look
from loyalty.tiers.windows import window_start
from tests.factories import Clock, Till, open_till

NEW_YORK = ZoneInfo("America/New_York")
TODAY = [
    *(date(year, month, day) for year in (2027, 2028) for month, day in
      [(1, 1), (1, 31), (2, 28), (3, 1), (3, 14), (3, 15), (3, 31), (4, 30), (11, 7), (12, 31)]),
    date(2028, 2, 29),
    date(2028, 2, 27),
]  # fmt: skip
ENROLLED = [date(2024, 2, 29), date(2024, 2, 28), date(2024, 3, 1), date(2023, 12, 31),
            date(2023, 1, 1), date(2023, 8, 31)]  # fmt: skip
WINDOWS = [
    {"rolling_months": 12}, {"rolling_months": 1}, {"rolling_months": 6}, {"rolling_months": 13},
    "calendar_year", "membership_year",
]  # fmt: skip


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), NEW_YORK)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_sql_and_rules_agree(clock: Clock, window: object):
    tiers = {
        "qualify_by": "spend",
        "window": window,
        "levels": [{"code": "bronze", "from": "0"}, {"code": "silver", "from": "250.00"}],
    }
    till = open_till(tiers=tiers)
    wrong = []
    for enrolled_on in ENROLLED:
        clock.set(noon(enrolled_on))
        card = till.member()
        for today in TODAY:
            wrong += differences(till, card, clock, enrolled_on, today)
    assert wrong == []


def differences(
    till: Till, card: str, clock: Clock, enrolled_on: date, today: date
) -> list[tuple[date, date, date, date]]:
    found = []
    for moment in (noon(today), noon(today).replace(hour=0), noon(today).replace(hour=23)):
        clock.set(moment + timedelta(minutes=1))
        session, work = look(till.principal, ("card", card))
        policy = session.program.tiers
        assert policy is not None
        expected = window_start(policy, today=today, enrolled_on=enrolled_on)
        if work.window_start != expected:
            found.append((enrolled_on, today, work.window_start, expected))
    return found
