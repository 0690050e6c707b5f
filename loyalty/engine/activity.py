"""What a purchase counts for: the day's sums, the qualifying metric, and the tier's level."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from loyalty.engine.commands import REF, Ask, MemberRef, Read
from loyalty.engine.load import MEMBER_OF
from loyalty.engine.session import MemberWork
from loyalty.engine.tables import ACTIVITY_DAY, MEMBER_TIER, TIER_CHANGE
from loyalty.programs.expiry import local_day
from loyalty.programs.rules import PublishedProgram, TierLevel
from loyalty.tiers.rules import (
    Held,
    format_metric,
    holding_metric,
    rank_of,
    returned,
    standing,
    upgrade,
)
from loyalty.tiers.windows import ActivityDay, validity_end

# Days of this window and the one before, whatever the kind: a rolling one has 120 months at most.
ACTIVITY_DAYS = Read(
    "activity days",
    f"""
SELECT r.ord, d.day, d.spend, d.points, d.orders
FROM {{questions}}
JOIN loyalty_activityday AS d ON d.member_id = {MEMBER_OF}
WHERE d.day > clock_timestamp()::date - r.days
""",
    {**REF, "days": "int"},
)


def activity_of(ref: MemberRef, program: PublishedProgram) -> Ask:
    """Ask what a member did, day by day, over all that a review may look at."""
    tiers = program.tiers
    rolling = tiers is not None and tiers.window == "rolling"
    months = 2 * tiers.rolling_months if tiers is not None and rolling else 24
    return Ask(ACTIVITY_DAYS, (*ref, 31 * (months + 3) + 366))


def asks_of_return(ref: MemberRef, program: PublishedProgram) -> list[Ask]:
    """List what a return must know to take a level back; nothing where it never does."""
    tiers = program.tiers
    if tiers is None or tiers.on_return == "keep":
        return []
    return [activity_of(ref, program)]


def days_found(work: MemberWork, ask: Ask) -> list[ActivityDay]:
    """Give what was read of a member's activity, with what this run has added."""
    return [*(ActivityDay(*row) for row in work.session.found(ask)), *work.counted]


def count_activity(work: MemberWork, *, day: date, spend: int, points: int, orders: int) -> None:
    """Add a purchase, or take a returned one away, on its day of the program's calendar.

    Args:
        spend: Net amount in minor units; negative for a return.
        points: Points earned; negative where they were taken back.
    """
    if not (spend or points or orders):
        return
    work.rows.put(
        ACTIVITY_DAY,
        {
            "member_id": work.member_id,
            "day": day,
            "spend": spend,
            "points": points,
            "orders": orders,
        },
    )
    work.counted.append(ActivityDay(day, spend, points, orders))
    tiers = work.program.tiers
    if tiers is not None and day >= work.window_start:
        work.metric += {"spend": spend, "points": points, "orders": orders}[tiers.qualify_by]


def today_of(work: MemberWork) -> date:
    """Give the local day of the decision."""
    return local_day(work.now, work.program.timezone)


def enrolled_on(work: MemberWork) -> date:
    """Give the local day on which the member joined."""
    return local_day(work.enrolled_at, work.program.timezone)


def held_by(work: MemberWork) -> Held:
    """Give the member's level as rules take it."""
    return Held(
        level=work.level,
        since=local_day(work.level_since, work.program.timezone),
        valid_until=work.valid_until,
        grace_until=work.grace_until,
        earned_level=work.earned_level,
        earned_until=work.earned_until,
    )


def rise(work: MemberWork, *, kind: str, order: str | None = None) -> bool:
    """Lift the member to the level that the metric reaches, in the same transaction.

    Levels are never lost here: that is for the nightly job, with its warning and grace.
    """
    tiers = work.program.tiers
    if tiers is None:
        return False
    level = upgrade(tiers, level=work.level, metric=work.metric)
    if level is None:
        return False
    change_level(work, to=level, kind=kind, order=order, valid_until=fresh_validity(work, level))
    return True


def fresh_validity(work: MemberWork, level: TierLevel) -> date | None:
    """Tell until when a level is kept that is reached now; the ground level has no end."""
    tiers = work.program.tiers
    if tiers is None or level is tiers.levels[0]:
        return None
    return validity_end(tiers, earned_on=today_of(work), enrolled_on=enrolled_on(work))


class LevelAtReturn:
    """Takes a level back that came from what is returned, where the program says so.

    Made before the return is counted, and followed after it: a return takes a level only where
    the metric reached it before and no longer does.
    """

    def __init__(self, work: MemberWork, ref: MemberRef) -> None:
        """Look at what the level is held by.

        Args:
            ref: As `asks_of_return` was given it.
        """
        self._work = work
        self._asks = asks_of_return(ref, work.program)
        self._before = self._metric()

    def _metric(self) -> int:
        work, tiers = self._work, self._work.program.tiers
        if tiers is None or not self._asks:
            return 0
        days = days_found(work, self._asks[0])
        return holding_metric(tiers, days, today=today_of(work), enrolled_on=enrolled_on(work))

    def follow(self, *, order: str) -> bool:
        """Take the level back if it must be; tell whether it was."""
        work, tiers = self._work, self._work.program.tiers
        if tiers is None or not self._asks:
            return False
        after = self._metric()
        level = returned(tiers, held=held_by(work), before=self._before, after=after)
        if level is None:
            return False
        until = fresh_validity(work, level)
        change_level(work, to=level, kind="return", order=order, valid_until=until)
        return True


def change_level(
    work: MemberWork,
    *,
    to: TierLevel,
    kind: str,
    valid_until: date | None,
    order: str | None = None,
    reason: str = "",
    earned: tuple[str, date | None] = ("", None),
) -> None:
    """Set the member's level and its terms, with its history and its event.

    Args:
        valid_until: Last day on which it is kept, whatever comes.
        earned: Where the level is assigned: the one that it stands in for, and its validity.
    """
    before = work.level
    _put_change(work, to.code, kind=kind, reason=reason, valid_until=valid_until)
    work.level, work.valid_until, work.grace_until = to.code, valid_until, None
    work.earned_level, work.earned_until = earned
    if before != to.code:
        work.level_since = work.now
    put_level(work)
    until = valid_until.isoformat() if valid_until else None
    metric = format_metric(work.program, work.metric)
    if before == to.code:
        work.event("tier.renewed", {"level": to.code, "valid_until": until}, kind=kind, order=order)
        return
    tiers = work.program.tiers
    ranks = [rank_of(tiers, code) for code in (before, to.code)] if tiers else [0, 0]
    work.event(
        "tier.upgraded" if 0 <= ranks[0] < ranks[1] else "tier.downgraded",
        {"from": before, "to": to.code, "metric": metric, "valid_until": until},
        kind=kind,
        order=order,
    )


def _put_change(
    work: MemberWork, to: str, *, kind: str, reason: str, valid_until: date | None
) -> None:
    work.rows.put(
        TIER_CHANGE,
        {
            "member_id": work.member_id,
            "number": work.next_number(),
            "from_level": work.level,
            "to_level": to,
            "kind": kind,
            "reason": reason,
            "actor": work.session.principal.name,
            "valid_until": valid_until,
            "metric": work.metric,
            "program_version": work.program.version,
            "changed_at": work.now,
        },
    )


def put_level(work: MemberWork) -> None:
    """Write where the member stands now."""
    work.rows.put(
        MEMBER_TIER,
        {
            "member_id": work.member_id,
            "program_id": work.program.id,
            "level": work.level,
            "since": work.level_since,
            "valid_until": work.valid_until,
            "grace_until": work.grace_until,
            "earned_level": work.earned_level,
            "earned_until": work.earned_until,
        },
    )


def tier_body(
    work: MemberWork, *, changed: bool = False, days: Sequence[ActivityDay] | None = None
) -> dict[str, Any] | None:
    """Describe the member's tier as answers show it; None in a program without tiers.

    Args:
        days: Where they were read, what it takes to stay is exact.
    """
    tiers = work.program.tiers
    if tiers is None:
        return None
    at = standing(
        tiers,
        held=held_by(work),
        metric=work.metric,
        today=today_of(work),
        enrolled_on=enrolled_on(work),
        days=days,
    )
    for part in (at["next"], at["to_stay"]):
        if part:
            part["missing"] = format_metric(work.program, part["missing"])
    return {
        "code": at["code"],
        "name": at["name"],
        "changed": changed,
        "since": work.level_since,
        "valid_until": work.valid_until.isoformat() if work.valid_until else None,
        "assigned": bool(work.earned_level),
        "metric": format_metric(work.program, work.metric),
        "next": at["next"],
        "to_stay": at["to_stay"],
        "perks": at["perks"],
    }
