"""When points become usable and when they expire: local days, stored as UTC instants.

Pure: no Django, no clock, no database. Members are told dates ("valid until 31 March"), so every
limit here is the edge of a day in the program's time zone, whether that day has 23, 24 or 25
hours, and however many days a zone skips.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from loyalty.programs.rules import Expiry, PointsPolicy


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def local_day(at: datetime, zone: str) -> date:
    """Tell which day it is in a time zone at an instant.

    Args:
        at: Any aware datetime.
        zone: IANA name, as the program has it.
    """
    return local_time(at, zone).date()


def last_day(expires_at: datetime, zone: str) -> date:
    """Tell the last day on which points can be used, as members are told it."""
    return local_day(expires_at - timedelta(microseconds=1), zone)


@lru_cache(maxsize=4096)
def local_time(at: datetime, zone: str) -> datetime:
    """Give an instant as the clocks of a time zone show it.

    One command asks for the same instants again and again, and a batch has one `now`.
    """
    return at.astimezone(_zone(zone))


@lru_cache(maxsize=4096)
def start_of_day(day: date, zone: str) -> datetime:
    """Find the first instant of a local day, in UTC.

    Where midnight is skipped by a change of the clocks, the day begins with the change; where
    midnight happens twice, with the first. A day that a zone skips altogether (Apia,
    30 December 2011) begins when the next one does.
    """
    return datetime(day.year, day.month, day.day, tzinfo=_zone(zone)).astimezone(UTC)


def end_of_day(day: date, zone: str) -> datetime:
    """Find the first instant, in UTC, that no longer belongs to a local day."""
    return start_of_day(day + timedelta(days=1), zone)


def add_months(day: date, months: int) -> date:
    """Move a day by calendar months; where the day does not exist, take the month's last one.

    29 February plus 12 months is 28 February.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def active_at(policy: PointsPolicy, earned_at: datetime, zone: str) -> datetime:
    """Tell from when points can be used: at once, or from the start of a later local day.

    With 14 days, what was earned on 1 March at any hour can be used from 15 March 00:00 on, so
    that a till, a receipt and an email can all name the same date.

    Args:
        earned_at: The order's `occurred_at`.
        zone: The program's time zone.
    """
    if not policy.maturity_days:
        return earned_at
    return start_of_day(local_day(earned_at, zone) + timedelta(days=policy.maturity_days), zone)


def expires_at(
    policy: PointsPolicy | Expiry | None, *, earned_at: datetime, zone: str
) -> datetime | None:
    """Tell when points expire: an instant in UTC, at which they can no longer be used.

    It is the end of a local day. Months count from the day of the order; months of inactivity,
    too: so far this activity carries a member's points. Of fixed dates the next
    one counts that lies after that day, and after the day on which the points become usable where
    a whole policy is given: nobody earns points that are gone the same night.

    Args:
        earned_at: The order's `occurred_at`.
        zone: The program's time zone.

    Returns:
        None where points do not expire.
    """
    maturity_days = 0
    if isinstance(policy, PointsPolicy):
        maturity_days, policy = policy.maturity_days, policy.expiry
    if policy is None:
        return None
    return _expires_after(policy, local_day(earned_at, zone), maturity_days, zone)


@lru_cache(maxsize=4096)
def _expires_after(expiry: Expiry, earned_on: date, maturity_days: int, zone: str) -> datetime:
    if expiry.inactivity_months is not None:
        last_day = add_months(earned_on, expiry.inactivity_months)
    elif expiry.months is None:
        last_day = _next_date(expiry.dates, earned_on + timedelta(days=maturity_days))
    else:
        last_day = _extend(add_months(earned_on, expiry.months), expiry.until)
    return end_of_day(last_day, zone)


def _extend(day: date, until: str) -> date:
    if until == "end_of_year":
        return date(day.year, 12, 31)
    if until == "end_of_month":
        return day.replace(day=monthrange(day.year, day.month)[1])
    return day


def _next_date(dates: tuple[tuple[int, int], ...], after: date) -> date:
    """29 February means 28 February in the years that lack it."""
    candidates = (
        date(year, month, min(day, monthrange(year, month)[1]))
        for year in (after.year, after.year + 1)
        for month, day in dates
    )
    return min(day for day in candidates if day > after)
