"""Give a member a level by hand, to a day or for good, and take it back."""

from typing import Any

from loyalty.engine.activity import change_level, fresh_validity, held_by, tier_body, today_of
from loyalty.engine.commands import Decision, Kind
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import TierIsEarned, TierNotAssigned, ValidationFailed
from loyalty.members.services import require
from loyalty.programs.rules import TierLevel, TierPolicy
from loyalty.rewards.issuing import issue_due
from loyalty.standing.schemas import AssignLevel, AssignRequest
from loyalty.tiers.rules import back_from_assigned, level_for, rank_of


def _decide_assign(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    tiers = session.program.tiers
    request: AssignRequest = decision.payload.body
    if tiers is None:
        raise ValidationFailed("This program has no tiers.")
    before = work.level
    if request.level is None:
        _take_back(work, tiers, request)
    else:
        _assign(work, tiers, request, _level_named(work, request.level))
    issue_due(work, level_before=before, collected=False)
    return 200, tier_body(work, changed=work.level != before) or {}


def _level_named(work: MemberWork, code: str) -> TierLevel:
    level = work.program.levels.get(code)
    if level is None:
        message = "is not a level of this program"
        raise ValidationFailed(errors=[{"pointer": "/level", "message": message}])
    return level


def _assign(work: MemberWork, tiers: TierPolicy, request: AssignRequest, level: TierLevel) -> None:
    if request.until is not None and request.until < today_of(work):
        errors = [{"pointer": "/until", "message": "lies in the past"}]
        raise ValidationFailed("until lies in the past.", errors=errors)
    kept = _level_kept(work, tiers)
    if rank_of(tiers, level.code) < rank_of(tiers, kept.code):
        raise TierIsEarned(
            f"The member has earned {kept.name}, and {level.name} is below it.", level=kept.code
        )
    own = (work.earned_level, work.earned_until)
    change_level(
        work,
        to=level,
        kind="assign",
        valid_until=request.until,
        reason=request.reason,
        earned=own if work.earned_level else (work.level, work.valid_until),
    )


def _level_kept(work: MemberWork, tiers: TierPolicy) -> TierLevel:
    """Give the level below which none is assigned: what is earned now, or was and is valid yet."""
    reached = level_for(tiers, work.metric)
    own = work.earned_level or work.level
    return tiers.levels[max(rank_of(tiers, own), rank_of(tiers, reached.code))]


def _take_back(work: MemberWork, tiers: TierPolicy, request: AssignRequest) -> None:
    if request.until is not None:
        message = "belongs to a level that is assigned"
        raise ValidationFailed(errors=[{"pointer": "/until", "message": message}])
    if not work.earned_level:
        raise TierNotAssigned()
    level = back_from_assigned(tiers, held_by(work), work.metric)
    own = level.code == work.earned_level
    until = work.earned_until if own else fresh_validity(work, level)
    change_level(work, to=level, kind="assign", valid_until=until, reason=request.reason)


def _member(payload: AssignLevel) -> Any:
    return payload.member


ASSIGN = Kind("assign_tier", member=_member, decide=_decide_assign)
