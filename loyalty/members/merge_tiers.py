"""What a merge does to tiers: what counts, and which level the survivor has."""

from datetime import date
from typing import Any

from loyalty.engine.activity import change_level, count_activity, fresh_validity, rise
from loyalty.engine.session import MemberWork
from loyalty.tiers.rules import level_for, rank_of

Days = list[list[Any]]
"""[day, spend, points, orders], the day as text."""

Terms = tuple[str | None, str, str | None]
"""Until when a level is valid; if it is assigned, which one it stands in for, and until when."""


def join_tiers(merged: MemberWork, survivor: MemberWork, days: Days) -> None:
    """Let the survivor's metric count what the merged one's did, and keep the higher level."""
    for day, spend, points, orders in days:
        on = date.fromisoformat(day)
        count_activity(survivor, day=on, spend=spend, points=points, orders=orders)
    rise(survivor, kind="merge")
    tiers = survivor.program.tiers
    if tiers is None or rank_of(tiers, merged.level) <= rank_of(tiers, survivor.level):
        return
    change_level(
        survivor,
        to=tiers.levels[rank_of(tiers, merged.level)],
        kind="merge",
        valid_until=merged.valid_until,
        earned=(merged.earned_level, merged.earned_until),
    )


def changes_of(before: Days, now: Days) -> Days:
    """Say by how much the orders that moved count for more or less than then, by day."""
    sums: dict[str, list[int]] = {}
    for sign, days in ((-1, before), (1, now)):
        for day, *counts in days:
            known = sums.setdefault(day, [0, 0, 0])
            sums[day] = [a + sign * b for a, b in zip(known, counts, strict=True)]
    return [[day, *counts] for day, counts in sums.items()]


def part_tiers(
    merged: MemberWork,
    survivor: MemberWork,
    days: Days,
    changes: Days,
    levels: tuple[str, str],
    terms: Terms,
) -> None:
    """Count for each again what is theirs; the survivor loses only a level that the merge gave.

    Args:
        days: What the merged member's days counted for when they were merged.
        changes: What became of their orders since, on top of that.
        levels: The survivor's before the merge, and after it.
        terms: Of the one before.
    """
    for day, spend, points, orders in [*days, *changes]:
        on = date.fromisoformat(day)
        count_activity(survivor, day=on, spend=-spend, points=-points, orders=-orders)
    for day, spend, points, orders in changes:
        on = date.fromisoformat(day)
        count_activity(merged, day=on, spend=spend, points=points, orders=orders)
    rise(merged, kind="unmerge")
    before, after = levels
    tiers = survivor.program.tiers
    if tiers is None or survivor.level != after:
        return
    reached = level_for(tiers, survivor.metric)
    to = max(rank_of(tiers, before), rank_of(tiers, reached.code))
    if to < rank_of(tiers, after):
        level = tiers.levels[to]
        until, earned_level, earned_until = fresh_validity(survivor, level), "", None
        if level.code == before:
            until, earned_level, earned_until = _day(terms[0]), terms[1], _day(terms[2])
        earned = (earned_level, earned_until)
        change_level(survivor, to=level, kind="unmerge", valid_until=until, earned=earned)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
