"""What a night decides about one member: each a command of its own under the member's lock."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loyalty.engine.activity import (
    activity_of,
    change_level,
    days_found,
    enrolled_on,
    held_by,
    put_level,
    today_of,
)
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import MemberNotFound
from loyalty.members.services import require
from loyalty.nightly.rows import LAST_ACTIVITY, LOTS_EXPIRING, NOTICE
from loyalty.programs.expiry import last_day, start_of_day
from loyalty.programs.rules import PublishedProgram
from loyalty.rewards.issuing import issue_due
from loyalty.tiers.rules import Review, format_metric, review

Outcome = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OneMember:
    """A command that only needs its member."""

    member: MemberRef


@dataclass(frozen=True, slots=True)
class Expiring:
    """A notice of points that expire in (after, until].

    Attributes:
        days: Before the expiry, as the program has it.
    """

    member: MemberRef
    days: int
    after: datetime
    until: datetime

    @property
    def kind(self) -> str:
        """Name the notice."""
        return f"expiring:{self.days}"


@dataclass(frozen=True, slots=True)
class Away:
    """A notice that a member has not come for so many days."""

    member: MemberRef
    days: int

    @property
    def kind(self) -> str:
        """Name the notice."""
        return f"inactive:{self.days}"


def _member(payload: OneMember | Expiring | Away) -> MemberRef:
    return payload.member


def _changed(*, changed: bool) -> Outcome:
    return 200, {"changed": changed}


# Mature, expire, lapse: what the engine does under every command


def _decide_settle(session: Session, decision: Decision) -> Outcome:
    """Points of a closed account expire like all others."""
    if decision.work is None:
        raise MemberNotFound()
    return _changed(changed=True)


SETTLE = Kind("settle", member=_member, decide=_decide_settle)


# Rewards that the program redeems by itself: what matured or was given since the last order


def _decide_redeem(session: Session, decision: Decision) -> Outcome:
    work = require(decision)
    return _changed(changed=bool(issue_due(work, level_before=work.level, collected=False)))


AUTO_REDEEM = Kind("auto_redeem", member=_member, decide=_decide_redeem)


# Tiers


def _decide_tier(session: Session, decision: Decision) -> Outcome:
    work = require(decision)
    tiers = session.program.tiers
    if tiers is None:
        return _changed(changed=False)
    outcome = review(
        tiers,
        held=held_by(work),
        days=days_found(work, activity_of(decision.payload.member, session.program)),
        today=today_of(work),
        enrolled_on=enrolled_on(work),
    )
    if outcome.kind == "warn":
        _warn(work, outcome)
    elif outcome.kind == "renew":
        level = session.program.levels[work.level]
        change_level(work, to=level, kind="nightly", valid_until=outcome.valid_until)
    elif outcome.to is not None:
        change_level(work, to=outcome.to, kind="nightly", valid_until=outcome.valid_until)
    return _changed(changed=outcome.kind != "keep")


def _warn(work: MemberWork, outcome: Review) -> None:
    work.grace_until = outcome.grace_until
    put_level(work)
    data = {
        "level": work.level,
        "grace_until": outcome.grace_until and outcome.grace_until.isoformat(),
        "missing": format_metric(work.program, outcome.missing),
    }
    work.event("tier.downgrade_warning", data, kind="nightly")


TIER_REVIEW = Kind(
    "tier_review",
    member=_member,
    decide=_decide_tier,
    asks=lambda payload, program: [activity_of(payload.member, program)],
)


# Notices


def _put_notice(work: MemberWork, kind: str, about: datetime) -> None:
    row = {"member_id": work.member_id, "kind": kind, "about": about, "told_at": work.now}
    work.rows.put(NOTICE, row)


def _expiring_ask(payload: Expiring) -> Ask:
    return Ask(LOTS_EXPIRING, (*payload.member, payload.kind, payload.after, payload.until))


def _decide_expiring(session: Session, decision: Decision) -> Outcome:
    work = require(decision)
    payload: Expiring = decision.payload
    lots = session.found(_expiring_ask(payload))
    if not lots:
        return _changed(changed=False)
    for expires_at, _ in lots:
        _put_notice(work, payload.kind, expires_at)
    data = {
        "points": sum(points for _, points in lots),
        "expires_at": lots[0][0].isoformat(),
        "last_day": last_day(lots[0][0], session.program.timezone).isoformat(),
        "days": payload.days,
        "lots": [{"points": points, "expires_at": at.isoformat()} for at, points in lots],
    }
    work.event("points.expiring", data, kind="nightly")
    return _changed(changed=True)


EXPIRING_NOTICE = Kind(
    "expiring_notice",
    member=_member,
    decide=_decide_expiring,
    asks=lambda payload, program: [_expiring_ask(payload)],
)


def _away_ask(payload: Away, program: PublishedProgram) -> Ask:
    return Ask(LAST_ACTIVITY, (*payload.member, payload.kind, program.timezone))


def _decide_away(session: Session, decision: Decision) -> Outcome:
    work = require(decision)
    payload: Away = decision.payload
    found = session.found(_away_ask(payload, session.program))
    last: date | None = found[0][0] if found and not found[0][1] else None
    if last is None or (today_of(work) - last).days < payload.days:
        return _changed(changed=False)
    _put_notice(work, payload.kind, start_of_day(last, session.program.timezone))
    data = {"days": payload.days, "last_active_on": last.isoformat()}
    work.event("member.inactive", data, kind="nightly")
    return _changed(changed=True)


INACTIVITY_NOTICE = Kind(
    "inactivity_notice",
    member=_member,
    decide=_decide_away,
    asks=lambda payload, program: [_away_ask(payload, program)],
)
