"""What a purchase counts for: the day's sums, the qualifying metric, and the rise of a tier."""

from datetime import date
from typing import Any

from loyalty.engine.session import MemberWork
from loyalty.engine.tables import ACTIVITY_DAY, MEMBER_TIER, TIER_CHANGE
from loyalty.tiers.rules import format_metric, standing, upgrade


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
    tiers = work.program.tiers
    if tiers is not None and day >= work.window_start:
        work.metric += {"spend": spend, "points": points, "orders": orders}[tiers.qualify_by]


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
    change_level(work, to=level.code, type_="tier.upgraded", kind=kind, order=order)
    return True


def change_level(
    work: MemberWork, *, to: str, type_: str, kind: str, order: str | None = None
) -> None:
    """Set the member's level, with its history and its event."""
    before = work.level
    work.rows.put(
        TIER_CHANGE,
        {
            "member_id": work.member_id,
            "number": work.next_number(),
            "from_level": before,
            "to_level": to,
            "reason": kind,
            "metric": work.metric,
            "program_version": work.program.version,
            "changed_at": work.now,
        },
    )
    work.level, work.level_since, work.grace_until = to, work.now, None
    put_level(work)
    work.event(
        type_,
        {"from": before, "to": to, "metric": format_metric(work.program, work.metric)},
        kind=kind,
        order=order,
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
            "grace_until": work.grace_until,
        },
    )


def tier_body(work: MemberWork, *, changed: bool = False) -> dict[str, Any] | None:
    """Describe the member's tier as answers show it; None in a program without tiers."""
    tiers = work.program.tiers
    if tiers is None:
        return None
    at = standing(tiers, level=work.level, metric=work.metric, grace_until=work.grace_until)
    for part in (at["next"], at["to_stay"]):
        if part:
            part["missing"] = format_metric(work.program, part["missing"])
    return {
        "code": at["code"],
        "name": at["name"],
        "changed": changed,
        "since": work.level_since.isoformat(),
        "metric": format_metric(work.program, work.metric),
        "next": at["next"],
        "to_stay": at["to_stay"],
    }
