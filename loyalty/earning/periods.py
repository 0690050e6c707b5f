"""Periods of the program's calendar, birthdays and anniversaries: local days in, local days out.

Pure. Days are those of the program's time zone, so a change of the clocks matters to none of this.
"""

from calendar import monthrange
from datetime import date, timedelta
from typing import Final

from loyalty.programs.earning import Period

EVER: Final = date(1, 1, 1)


def period_start(day: date, per: Period) -> date:
    """Give the first day of the period that a day lies in; weeks begin on Monday."""
    if per == "week":
        return day - timedelta(days=day.weekday())
    if per == "month":
        return day.replace(day=1)
    if per == "year":
        return day.replace(month=1, day=1)
    return day if per == "day" else EVER


def is_birthday(born: date, day: date) -> bool:
    """Tell whether somebody has their birthday on a day.

    Who was born on 29 February has it on 28 February in the years that lack it, so that nobody
    waits four years for their points.
    """
    return born.month == day.month and day.day == _day_in(born, day.year)


def is_anniversary(joined: date, day: date) -> bool:
    """Tell whether a day is one or more whole years after a member joined."""
    return joined.year < day.year and is_birthday(joined, day)


def _day_in(born: date, year: int) -> int:
    return min(born.day, monthrange(year, born.month)[1])
