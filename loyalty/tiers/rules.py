"""Decide at which tier level a member is: progress, rises, warnings and falls.

Pure: no Django, no clock, no database. A metric is what counts towards a level: spend in minor
units, points earned, or orders; never the spendable balance.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from loyalty.programs.currencies import format_amount
from loyalty.programs.expiry import add_months
from loyalty.programs.rules import PublishedProgram, TierLevel, TierPolicy


@dataclass(frozen=True, slots=True)
class Downgrade:
    """What the nightly job does about a member's level.

    Attributes:
        kind: keep (nothing), warn (set `grace_until`), fall (to the level `to`), or renew (the
            member qualifies again: clear the grace).
        grace_until: The last day on which the member keeps the level, for warn.
    """

    kind: Literal["keep", "warn", "fall", "renew"]
    grace_until: date | None = None
    to: TierLevel | None = None


def window_start(policy: TierPolicy, *, today: date, enrolled_on: date) -> date:
    """Find the first day that counts towards a level; the last one is `today`.

    A rolling window of 12 months that ends on 15 March 2017 starts on 16 March 2016: every date
    of the year is in it once. A membership year starts on the anniversary of the enrolment, on
    28 February where 29 February is missing.
    """
    if policy.window == "rolling":
        return add_months(today, -policy.rolling_months) + timedelta(days=1)
    if policy.window == "calendar_year":
        return date(today.year, 1, 1)
    return _anniversary(enrolled_on, today)


def previous_window(
    policy: TierPolicy, *, today: date, enrolled_on: date
) -> tuple[date, date] | None:
    """Find the year before the present one, first and last day; None for a rolling window.

    A level that was reached in a calendar or membership year is kept until the next one ends:
    otherwise all members would lose theirs every New Year. So the nightly job judges downgrades
    by the larger of the metrics of both years.
    """
    if policy.window == "rolling":
        return None
    start = window_start(policy, today=today, enrolled_on=enrolled_on)
    last_day = start - timedelta(days=1)
    return window_start(policy, today=last_day, enrolled_on=enrolled_on), last_day


def level_for(policy: TierPolicy, metric: int) -> TierLevel:
    """Find the highest level that a metric reaches; below 0 it is still the ground level."""
    reached = [level for level in policy.levels if level.threshold <= metric]
    return reached[-1] if reached else policy.levels[0]


def standing(
    policy: TierPolicy, *, level: str, metric: int, grace_until: date | None = None
) -> dict[str, Any]:
    """Describe where a member stands: level, progress to the next, and what it takes to stay.

    Args:
        level: Code of the member's present level.
        grace_until: The last day of grace, where the member no longer qualifies.

    Returns:
        `missing` is an integer in the metric's unit. `next` is None at the top; `to_stay` is
        None where the level cannot be lost.
    """
    rank = _rank(policy, level)
    above = policy.levels[rank + 1] if rank + 1 < len(policy.levels) else None
    present = policy.levels[rank] if rank >= 0 else None
    return {
        "code": level,
        "name": present.name if present else level,
        "metric": metric,
        "next": above and {"code": above.code, "missing": max(0, above.threshold - metric)},
        "to_stay": _to_stay(policy, present, metric, grace_until) if rank > 0 else None,
    }


def format_metric(program: PublishedProgram, value: int) -> str:
    """Write a metric as people read it: an amount of money for spend, else a whole number."""
    if program.tiers is not None and program.tiers.qualify_by == "spend":
        return format_amount(value, program.currency_scale)
    return str(value)


def upgrade(policy: TierPolicy, *, level: str, metric: int) -> TierLevel | None:
    """Find the level that a member rises to, or None.

    A level that the program no longer has ranks below all others: its members get the level
    that their metric reaches.
    """
    reached = level_for(policy, metric)
    return reached if _rank(policy, reached.code) > _rank(policy, level) else None


def downgrade(
    policy: TierPolicy, *, level: str, metric: int, grace_until: date | None, today: date
) -> Downgrade:
    """Decide what a night brings to a member's level. May be run twice, or after days.

    Args:
        level: Code of the member's present level.
        metric: Of the present window; with years as windows, the larger of this and the
            previous one's (see `previous_window`).
        grace_until: Last day of a grace that is running.
        today: The local day that has begun.
    """
    rank = _rank(policy, level)
    if rank < 0:
        return Downgrade("fall", to=level_for(policy, metric))
    if policy.downgrade == "never" or metric >= policy.levels[rank].threshold or rank == 0:
        return Downgrade("renew" if grace_until else "keep")
    if grace_until is None and policy.grace_days:
        return Downgrade("warn", grace_until=today + timedelta(days=policy.grace_days))
    if grace_until is not None and today <= grace_until:
        return Downgrade("keep")
    one_level = policy.downgrade == "one_level"
    return Downgrade("fall", to=policy.levels[rank - 1] if one_level else level_for(policy, metric))


def _anniversary(enrolled_on: date, today: date) -> date:
    years = today.year - enrolled_on.year
    if add_months(enrolled_on, 12 * years) > today:
        years -= 1
    return add_months(enrolled_on, 12 * years)


def _rank(policy: TierPolicy, code: str) -> int:
    """A level's place from the ground, 0 up; -1 for a level that the program no longer has."""
    for rank, level in enumerate(policy.levels):
        if level.code == code:
            return rank
    return -1


def _to_stay(
    policy: TierPolicy, present: TierLevel | None, metric: int, grace_until: date | None
) -> dict[str, Any] | None:
    if present is None or policy.downgrade == "never":
        return None
    until = grace_until.isoformat() if grace_until else None
    return {"missing": max(0, present.threshold - metric), "until": until}
