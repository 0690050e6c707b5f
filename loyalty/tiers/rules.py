"""Decide at which tier level a member is: progress, rises, warnings, renewals and falls.

Pure: no Django, no clock, no database. A metric is what counts towards a level: spend in minor
units, points earned, or orders; never the spendable balance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from loyalty.programs.currencies import format_amount
from loyalty.programs.rules import PublishedProgram, TierLevel, TierPolicy
from loyalty.tiers.windows import (
    ActivityDay,
    judged_on,
    metric_in,
    next_validity,
    validity_end,
    window_of,
)


class Held(NamedTuple):
    """The level that a member holds, and on what terms.

    Attributes:
        since: The local day on which the member came to it.
        valid_until: Last day on which it is kept whatever comes; None: while it is earned, or,
            for an assigned level, for good.
        grace_until: Last day on which it is kept although it is not earned; set with the warning.
        earned_level: Where somebody assigned the level: the one that it stands in for.
        earned_until: The validity of that one.
    """

    level: str
    since: date
    valid_until: date | None = None
    grace_until: date | None = None
    earned_level: str = ""
    earned_until: date | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """What a night does about a member's level.

    Attributes:
        kind: keep (nothing), warn (set `grace_until`), renew (it goes on until `valid_until`), or
            move (to the level `to`: a fall, the end of an assigned level, or the place of a level
            that the program no longer has).
        missing: What is missing of the metric, for warn.
    """

    kind: Literal["keep", "warn", "renew", "move"]
    grace_until: date | None = None
    valid_until: date | None = None
    to: TierLevel | None = None
    missing: int = 0


def level_for(policy: TierPolicy, metric: int) -> TierLevel:
    """Find the highest level that a metric reaches; below 0 it is still the ground level."""
    reached = [level for level in policy.levels if level.threshold <= metric]
    return reached[-1] if reached else policy.levels[0]


def rank_of(policy: TierPolicy, code: str) -> int:
    """A level's place from the ground, 0 up; -1 for a level that the program no longer has."""
    for rank, level in enumerate(policy.levels):
        if level.code == code:
            return rank
    return -1


def upgrade(policy: TierPolicy, *, level: str, metric: int) -> TierLevel | None:
    """Find the level that a member rises to, or None.

    A level that the program no longer has ranks below all others: its members get the level
    that their metric reaches.
    """
    reached = level_for(policy, metric)
    if reached.code == level:
        return None
    return reached if rank_of(policy, reached.code) > rank_of(policy, level) else None


def lowest_kept(policy: TierPolicy, rank: int) -> int:
    """Tell how far down a member of a level can fall, as a rank.

    A level with `keep` is never lost: who is there, or was higher and falls, stays there.
    """
    if policy.downgrade == "never":
        return rank
    return max((r for r in range(rank + 1) if policy.levels[r].keep), default=0)


def back_from_assigned(policy: TierPolicy, held: Held, metric: int) -> TierLevel:
    """Find the level of a member whose assigned level ends: the one from before, or a better."""
    reached = level_for(policy, metric)
    before = rank_of(policy, held.earned_level)
    return policy.levels[max(before, rank_of(policy, reached.code))]


def returned(policy: TierPolicy, *, held: Held, before: int, after: int) -> TierLevel | None:
    """Find the level to which a return takes a member back at once, or None.

    Only where the program says so, and only a level that was held because of what came back: one
    that the metric did not reach before the return either is kept by its validity or its grace.

    Args:
        before, after: The metric by which the level is held, before and after the return.
    """
    rank = rank_of(policy, held.level)
    if policy.on_return == "keep" or rank <= 0 or held.earned_level:
        return None
    if before < policy.levels[rank].threshold or after >= policy.levels[rank].threshold:
        return None
    to = max(rank_of(policy, level_for(policy, after).code), lowest_kept(policy, rank))
    return policy.levels[to] if to < rank else None


def holding_metric(
    policy: TierPolicy, days: Sequence[ActivityDay], *, today: date, enrolled_on: date
) -> int:
    """Give the metric by which a level is held now.

    With years as windows a level that last year earned is still held this year, where it is valid
    beyond the year's end: then the better of both years.
    """
    present = window_of(policy, as_of=today, enrolled_on=enrolled_on)
    metric = metric_in(policy, days, present)
    if policy.window == "rolling" or policy.validity == "end_of_year":
        return metric
    last_day = present[0] - timedelta(days=1)
    last_year = window_of(policy, as_of=last_day, enrolled_on=enrolled_on)
    return max(metric, metric_in(policy, days, last_year))


def review(
    policy: TierPolicy,
    *,
    held: Held,
    days: Sequence[ActivityDay],
    today: date,
    enrolled_on: date,
) -> Review:
    """Decide what a night brings to a member's level. May be run twice, or after days.

    A level that a member came to today is not judged before tomorrow: a night that is run twice
    would let them fall twice.

    Args:
        days: What the member did, over two windows at least.
        today: The local day that has begun.
    """
    judge = _Judge(policy, held, days, today, enrolled_on)
    rank = rank_of(policy, held.level)
    if held.earned_level and rank >= 0:
        return judge.assigned(rank)
    if rank < 0:
        return judge.move_to(level_for(policy, judge.metric(today)), base=today)
    if held.since >= today:
        return Review("keep")
    if rank == lowest_kept(policy, rank):
        return judge.renewed(today) if held.grace_until else Review("keep")
    until = held.valid_until
    if until is None:
        until = validity_end(policy, earned_on=held.since, enrolled_on=enrolled_on)
    if until is not None and today <= until:
        return judge.while_valid(rank, until)
    return judge.after_validity(rank, until)


@dataclass(frozen=True, slots=True)
class _Judge:
    """One review: the policy, the member's level and activity, and the day."""

    policy: TierPolicy
    held: Held
    days: Sequence[ActivityDay]
    today: date
    enrolled_on: date

    def metric(self, as_of: date) -> int:
        """Add up the window that ends on a day, with what has happened of it."""
        window = window_of(self.policy, as_of=as_of, enrolled_on=self.enrolled_on)
        return metric_in(self.policy, self.days, window)

    def renewed(self, base: date, until: date | None = None) -> Review:
        """Let the level go on for another validity."""
        return Review("renew", valid_until=self._next(base, until))

    def move_to(self, level: TierLevel, *, base: date, until: date | None = None) -> Review:
        """Go to another level; the ground level has no end."""
        ground = level is self.policy.levels[0]
        return Review("move", to=level, valid_until=None if ground else self._next(base, until))

    def while_valid(self, rank: int, until: date) -> Review:
        """Warn where the end is near and the level not earned again; renew who was warned."""
        policy, held = self.policy, self.held
        base = judged_on(policy, until)
        missing = policy.levels[rank].threshold - self.metric(base)
        if missing <= 0:
            return self.renewed(base, until) if held.grace_until else Review("keep")
        near = policy.warning_days and self.today >= until - timedelta(days=policy.warning_days)
        if held.grace_until or not near:
            return Review("keep")
        last_day = until + timedelta(days=policy.grace_days)
        return Review("warn", grace_until=last_day, missing=missing)

    def after_validity(self, rank: int, until: date | None) -> Review:
        """Renew who has earned it, warn who was not warned, let fall whose grace is over."""
        policy, held, today = self.policy, self.held, self.today
        threshold = policy.levels[rank].threshold
        base = judged_on(policy, until) if until is not None else today
        for day in (base, today):
            if self.metric(day) >= threshold:
                goes_on = until is not None or held.grace_until
                return self.renewed(day, until) if goes_on else Review("keep")
        metric = self.metric(today)
        if held.grace_until is None and policy.grace_days:
            last_day = today + timedelta(days=policy.grace_days)
            return Review("warn", grace_until=last_day, missing=threshold - metric)
        if held.grace_until is not None and today <= held.grace_until:
            return Review("keep")
        one_level = policy.downgrade == "one_level"
        reached = rank - 1 if one_level else rank_of(policy, level_for(policy, metric).code)
        to = policy.levels[max(reached, lowest_kept(policy, rank))]
        return self.move_to(to, base=base, until=until)

    def assigned(self, rank: int) -> Review:
        """Keep an assigned level until its day, then go back to the level that was earned."""
        policy, held, until = self.policy, self.held, self.held.valid_until
        earned = back_from_assigned(policy, held, self.metric(self.today))
        back = rank_of(policy, earned.code)
        if until is not None and self.today > until:
            return self._back_to(back, rank)
        near = until is not None and self.today >= until - timedelta(days=policy.warning_days)
        if back < rank and near and policy.warning_days and held.grace_until is None:
            missing = max(0, policy.levels[rank].threshold - self.metric(self.today))
            return Review("warn", grace_until=until, missing=missing)
        return Review("keep")

    def _back_to(self, back: int, rank: int) -> Review:
        if back == rank:
            return self.renewed(self.today)
        review = self.move_to(self.policy.levels[back], base=self.today)
        if self.policy.levels[back].code != self.held.earned_level:
            return review
        return replace(review, valid_until=self.held.earned_until)

    def _next(self, base: date, until: date | None) -> date | None:
        return next_validity(
            self.policy,
            base=base,
            valid_until=until,
            today=self.today,
            enrolled_on=self.enrolled_on,
        )


def standing(
    policy: TierPolicy,
    *,
    held: Held,
    metric: int,
    today: date,
    enrolled_on: date,
    days: Sequence[ActivityDay] | None = None,
) -> dict[str, Any]:
    """Describe where a member stands: level, progress to the next, and what it takes to stay.

    Args:
        metric: Of the window that ends today.
        days: Where they were read, what it takes to stay is exact also in a rolling window, out
            of which days drop until the level is judged.

    Returns:
        `missing` is an integer in the metric's unit. `next` is None at the top; `to_stay` is
        None where the level cannot be lost.
    """
    rank = rank_of(policy, held.level)
    above = policy.levels[rank + 1] if rank + 1 < len(policy.levels) else None
    present = policy.levels[rank] if rank >= 0 else None
    stay = None
    if present is not None and rank > 0:
        stay = _to_stay(policy, rank, held, metric, today, enrolled_on, days)
    return {
        "code": held.level,
        "name": present.name if present else held.level,
        "metric": metric,
        "next": above and {"code": above.code, "missing": max(0, above.threshold - metric)},
        "to_stay": stay,
        "perks": list(present.perks) if present else [],
    }


def format_metric(program: PublishedProgram, value: int) -> str:
    """Write a metric as people read it: an amount of money for spend, else a whole number."""
    if program.tiers is not None and program.tiers.qualify_by == "spend":
        return format_amount(value, program.currency_scale)
    return str(value)


def _to_stay(
    policy: TierPolicy,
    rank: int,
    held: Held,
    metric: int,
    today: date,
    enrolled_on: date,
    days: Sequence[ActivityDay] | None,
) -> dict[str, Any] | None:
    assigned = bool(held.earned_level)
    if assigned and held.valid_until is None:
        return None
    if not assigned and rank == lowest_kept(policy, rank):
        return None
    until = held.grace_until or held.valid_until
    counted = metric
    if held.valid_until is not None and today <= held.valid_until and not assigned:
        as_of = judged_on(policy, held.valid_until)
        window = window_of(policy, as_of=as_of, enrolled_on=enrolled_on)
        if days is not None:
            counted = metric_in(policy, days, window)
        elif window[0] > today:
            counted = 0
    missing = max(0, policy.levels[rank].threshold - counted)
    return {"missing": missing, "until": until.isoformat() if until else None}
