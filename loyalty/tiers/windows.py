"""Windows and validity: over which days a metric counts, and until when a level is kept.

Pure: no Django, no clock, no database. All days are local days of the program's time zone, so no
hour of a change of the clocks ever moves a border.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from loyalty.programs.expiry import add_months
from loyalty.programs.rules import TierPolicy


class ActivityDay(NamedTuple):
    """What a member did on one day: spend in minor units, points earned, orders."""

    day: date
    spend: int
    points: int
    orders: int


def window_start(policy: TierPolicy, *, today: date, enrolled_on: date) -> date:
    """Find the first day that counts towards a level; the last one is `today`.

    A rolling window of 12 months that ends on 15 March 2017 starts on 16 March 2016: every date
    of the year is in it once. A membership year starts on the anniversary of the enrolment, on
    28 February where 29 February is missing.
    """
    if policy.window == "rolling":
        return add_months(today, -policy.rolling_months) + timedelta(days=1)
    return _year_start(policy, today=today, enrolled_on=enrolled_on)


def window_of(policy: TierPolicy, *, as_of: date, enrolled_on: date) -> tuple[date, date]:
    """Give the first and the last day of the window that ends on a day."""
    return window_start(policy, today=as_of, enrolled_on=enrolled_on), as_of


def metric_in(policy: TierPolicy, days: Iterable[ActivityDay], window: tuple[date, date]) -> int:
    """Add up what counts over the days of a window, first and last included."""
    first, last = window
    within = [row for row in days if first <= row.day <= last]
    if policy.qualify_by == "spend":
        return sum(row.spend for row in within)
    return sum(row.points if policy.qualify_by == "points" else row.orders for row in within)


def validity_end(policy: TierPolicy, *, earned_on: date, enrolled_on: date) -> date | None:
    """Find the last day on which a level is kept that was earned on a day, whatever comes.

    A "year" is the membership year where that is the window, else the calendar year. 12 months
    from 29 February are over with 28 February.

    Returns:
        None where a level is kept only while the metric suffices.
    """
    if policy.validity == "while_qualifying":
        return None
    if policy.validity == "months":
        return add_months(earned_on, policy.validity_months)
    years = 1 if policy.validity == "end_of_year" else 2
    return _year_end(policy, earned_on=earned_on, enrolled_on=enrolled_on, years=years)


def judged_on(policy: TierPolicy, valid_until: date) -> date:
    """Tell as of which day it is judged whether a level goes on after its validity.

    It is the last valid day: what was bought until then counts, also where the night came late.
    Where levels are for one year each, the new year decides, and everybody begins it anew.
    """
    anew = policy.validity == "end_of_year" and policy.window != "rolling"
    return valid_until + timedelta(days=1) if anew else valid_until


def next_validity(
    policy: TierPolicy, *, base: date, valid_until: date | None, today: date, enrolled_on: date
) -> date | None:
    """Find until when a level is kept after a renewal or a fall.

    Args:
        base: The day as of which it was judged.
        valid_until: Of the validity that ended, which the new one outlasts.
    """
    end = validity_end(policy, earned_on=base, enrolled_on=enrolled_on)
    passed = max(valid_until or date.min, today - timedelta(days=1))
    if end is not None and end <= passed:
        return validity_end(policy, earned_on=passed + timedelta(days=1), enrolled_on=enrolled_on)
    return end


def _year_start(policy: TierPolicy, *, today: date, enrolled_on: date) -> date:
    if policy.window != "membership_year":
        return date(today.year, 1, 1)
    years = today.year - enrolled_on.year
    if add_months(enrolled_on, 12 * years) > today:
        years -= 1
    return add_months(enrolled_on, 12 * years)


def _year_end(policy: TierPolicy, *, earned_on: date, enrolled_on: date, years: int) -> date:
    if policy.window != "membership_year":
        return date(earned_on.year + years - 1, 12, 31)
    start = _year_start(policy, today=earned_on, enrolled_on=enrolled_on)
    passed = start.year - enrolled_on.year
    # Counted from the enrolment, so that 29 February comes back in the years that have one.
    return add_months(enrolled_on, 12 * (passed + years)) - timedelta(days=1)
