"""Birthdays and anniversaries: told once each, with what the program gives for them."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from loyalty.earning.periods import is_anniversary, is_birthday
from loyalty.earning.rows import birth_date_of, segments_found
from loyalty.earning.services import asks_of_occasion, asks_segments, occasion_award
from loyalty.earning.situation import Earner, Occasion
from loyalty.engine.activity import enrolled_on, today_of
from loyalty.engine.commands import Ask, Decision, Kind, MemberRef
from loyalty.engine.session import MemberWork, Session
from loyalty.members.services import grant, require
from loyalty.nightly.rows import NOTICE, TOLD
from loyalty.programs.earning import Trigger
from loyalty.programs.expiry import start_of_day
from loyalty.programs.rules import PublishedProgram

HOUR: Final = 2
"""The hour of the night, for rules that ask for one."""

CATCH_UP: Final = timedelta(days=60)
"""So far back a missed day is still told of; nobody wants to hear of last year's birthday."""


@dataclass(frozen=True, slots=True)
class Celebrated:
    """A member whose day may be between two days.

    Attributes:
        trigger: member.birthday or member.anniversary; also what the event is called.
    """

    member: MemberRef
    trigger: Trigger
    since: date


def days_between(since: date, today: date) -> list[date]:
    """List the days that a night is about, newest first."""
    first = max(since, today - CATCH_UP)
    return [today - timedelta(days=n) for n in range((today - first).days + 1)]


def month_days(days: list[date]) -> list[str]:
    """Write days as MM-DD, with 29 February where 28 February stands in for it."""
    found = [f"{day:%m-%d}" for day in days]
    no_leap = [day for day in days if f"{day:%m-%d}" == "02-28" and not _leaps(day.year)]
    return [*found, "02-29"] if no_leap else found


def _leaps(year: int) -> bool:
    return (date(year, 3, 1) - date(year, 2, 28)).days == 2


def _told_ask(payload: Celebrated, program: PublishedProgram) -> Ask:
    since = start_of_day(payload.since - CATCH_UP, program.timezone)
    return Ask(TOLD, (*payload.member, payload.trigger, since))


def _asks(payload: Celebrated, program: PublishedProgram) -> list[Ask]:
    asks = [birth_date_of(payload.member), _told_ask(payload, program)]
    asks += asks_segments(program, payload.member)
    return [*asks, *asks_of_occasion(program, payload.trigger)]


def _day_of(work: MemberWork, payload: Celebrated, born: date | None) -> date | None:
    days = days_between(payload.since, today_of(work))
    if payload.trigger == "member.anniversary":
        joined = enrolled_on(work)
        return next((day for day in days if is_anniversary(joined, day)), None)
    if born is None:
        return None
    return next((day for day in days if is_birthday(born, day)), None)


def _decide(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    payload: Celebrated = decision.payload
    found = session.found(birth_date_of(payload.member))
    born: date | None = found[0][0] if found else None
    day = _day_of(work, payload, born)
    told = {row[0] for row in session.found(_told_ask(payload, session.program))}
    if day is None or start_of_day(day, session.program.timezone) in told:
        return 200, {"changed": False}
    about = start_of_day(day, session.program.timezone)
    row = {"member_id": work.member_id, "kind": payload.trigger, "about": about}
    work.rows.put(NOTICE, {**row, "told_at": work.now})
    data: dict[str, Any] = {"on": day.isoformat()}
    if payload.trigger == "member.anniversary":
        data["years"] = day.year - enrolled_on(work).year
    work.event(payload.trigger, data, kind="nightly")
    _award(work, payload, day, born)
    return 200, {"changed": True}


def _award(work: MemberWork, payload: Celebrated, day: date, born: date | None) -> None:
    earner = Earner(
        level=work.level,
        enrolled_on=enrolled_on(work),
        birth_date=born,
        segments=segments_found(work.session, payload.member),
    )
    award = occasion_award(work, payload.trigger, Occasion(day=day, hour=HOUR), earner)
    for entry in award.explanation:
        if entry["points"]:
            explanation, rules = {"applied": [entry]}, (entry["rule"],)
            points = entry["points"]
            grant(work, kind="earn", points=points, explanation=explanation, rules=rules)


OCCASION = Kind("occasion", member=lambda payload: payload.member, decide=_decide, asks=_asks)
