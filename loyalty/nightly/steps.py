"""The steps of a night in their order: which members each has work with, and what it commands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

from loyalty.engine.commands import Kind
from loyalty.nightly import rows
from loyalty.nightly.commands import (
    AUTO_REDEEM,
    EXPIRING_NOTICE,
    INACTIVITY_NOTICE,
    SETTLE,
    TIER_REVIEW,
    Away,
    Expiring,
    OneMember,
)
from loyalty.nightly.occasions import OCCASION, Celebrated, days_between, month_days
from loyalty.programs.earning import Trigger
from loyalty.programs.expiry import end_of_day
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.issuing import automatic


@dataclass(frozen=True, slots=True)
class Night:
    """A night of a program: to which day, and since which one there was none."""

    program: PublishedProgram
    today: date
    since: date


@dataclass(frozen=True, slots=True)
class Work:
    """Members that a query finds, and the command for each.

    Attributes:
        payload: Makes a command's payload of the member's reference.
    """

    kind: Kind
    query: str
    parameters: dict[str, Any]
    payload: Callable[[tuple[str, str]], Any]


def _settle(night: Night) -> Iterator[Work]:
    yield Work(SETTLE, rows.DUE_LOTS, {"program": night.program.id}, OneMember)


def _redeem(night: Night) -> Iterator[Work]:
    """Redeem what the program redeems by itself, for whom the balance may be enough."""
    costs = [
        cost
        for reward in automatic(night.program)
        for cost in (reward.cost, *reward.tier_costs.values())
    ]
    if costs:
        parameters = {"program": night.program.id, "least": min(costs)}
        yield Work(AUTO_REDEEM, rows.TO_REDEEM, parameters, OneMember)


def _review_tiers(night: Night) -> Iterator[Work]:
    tiers = night.program.tiers
    if tiers is None:
        return
    parameters = {
        "program": night.program.id,
        "ground": tiers.levels[0].code,
        "levels": [level.code for level in tiers.levels],
        "today": night.today,
        "warning_days": tiers.warning_days,
    }
    yield Work(TIER_REVIEW, rows.TO_REVIEW, parameters, OneMember)


def _celebrate(night: Night) -> Iterator[Work]:
    """Birthdays and anniversaries of this night's day, and of the days without a night."""
    queries: dict[Trigger, str] = {
        "member.birthday": rows.BORN_ON,
        "member.anniversary": rows.JOINED_ON,
    }
    parameters = {
        "program": night.program.id,
        "zone": night.program.timezone,
        "today": night.today,
        "days": month_days(days_between(night.since, night.today)),
    }
    for trigger, query in queries.items():
        payload = partial(Celebrated, trigger=trigger, since=night.since)
        yield Work(OCCASION, query, parameters, payload)


def _tell_expiring(night: Night) -> Iterator[Work]:
    """Tell of points that expire within each of the program's notice periods, the nearest only."""
    zone = night.program.timezone
    after = end_of_day(night.today - timedelta(days=1), zone)
    for days in sorted(night.program.points.expiring_notice_days):
        until = end_of_day(night.today + timedelta(days=days), zone)
        payload = partial(Expiring, days=days, after=after, until=until)
        parameters = {
            "program": night.program.id,
            "start": after,
            "end": until,
            "kind": f"expiring:{days}",
        }
        yield Work(EXPIRING_NOTICE, rows.EXPIRING_BETWEEN, parameters, payload)
        after = until


def _tell_inactive(night: Night) -> Iterator[Work]:
    """Tell of members whose last day lies so far back since this night, not of all before it."""
    for days in sorted(night.program.points.inactive_notice_days):
        parameters = {
            "program": night.program.id,
            "zone": night.program.timezone,
            "first": night.since - timedelta(days=days),
            "last": night.today - timedelta(days=days),
        }
        yield Work(INACTIVITY_NOTICE, rows.AWAY_BETWEEN, parameters, partial(Away, days=days))


STEPS: dict[str, Callable[[Night], Iterator[Work]]] = {
    "points": _settle,
    "rewards": _redeem,
    "tiers": _review_tiers,
    "occasions": _celebrate,
    "expiring": _tell_expiring,
    "inactive": _tell_inactive,
}
"""By name, in their order: points mature and expire before a level is judged by them."""
