"""What the night does for members who do not come by, in each program's own time zone.

The order is fixed: mature and expire, then tiers, then notices. Every step is a command of its
own under the member's lock, may be run twice, and catches up after days of downtime.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from loyalty.engine.activity import (
    activity_of,
    change_level,
    days_found,
    enrolled_on,
    held_by,
    put_level,
    today_of,
)
from loyalty.engine.commands import Ask, Command, Decision, Kind, MemberRef
from loyalty.engine.run import run
from loyalty.engine.session import MemberWork, Session
from loyalty.errors import MemberNotFound
from loyalty.http.auth import Principal
from loyalty.members.services import require
from loyalty.nightly.models import NightlyRun
from loyalty.nightly.rows import (
    ABOVE_GROUND,
    DUE_HOLDS,
    DUE_LOTS,
    EXPIRING_BETWEEN,
    LOTS_EXPIRING,
)
from loyalty.programs.expiry import end_of_day
from loyalty.programs.models import Program
from loyalty.programs.rules import PublishedProgram
from loyalty.programs.selectors import published_program
from loyalty.tiers.rules import Review, format_metric, review

BATCH = 500
NIGHT_HOUR = 2
FIRST = UUID(int=0)


def engine_principal(program_id: int) -> Principal:
    """Be the engine itself: the actor of what nobody asked for."""
    return Principal(
        key_id=0, program_id=program_id, name="engine", scopes=frozenset(), source="nightly"
    )


@dataclass(frozen=True, slots=True)
class OneMember:
    """A command that only needs its member.

    Attributes:
        expires_at: Of the lots that a notice is about.
    """

    member: MemberRef
    expires_at: datetime | None = None


def _member(payload: OneMember) -> MemberRef:
    return payload.member


# Mature, expire, lapse: what the engine does under every command


def _decide_settle(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = decision.work
    if work is None:
        raise MemberNotFound()
    return 200, {"balance": work.books.wallet.as_balance()}


SETTLE = Kind("settle", member=_member, decide=_decide_settle)


# Tiers


def _decide_tier(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    tiers = session.program.tiers
    if tiers is None:
        return 200, {}
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
    return 200, {"tier": outcome.kind}


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


# Notices of points that expire soon


def _expiring_ask(payload: OneMember) -> Ask:
    return Ask(LOTS_EXPIRING, (*payload.member, payload.expires_at))


def _decide_notice(session: Session, decision: Decision) -> tuple[int, dict[str, Any]]:
    work = require(decision)
    found = session.found(_expiring_ask(decision.payload))
    expires_at = decision.payload.expires_at
    points = found[0][0] if found else 0
    if points and expires_at is not None:
        data = {"points": points, "expires_at": expires_at.isoformat()}
        work.event("points.expiring", data, kind="nightly")
    return 200, {"points": points}


EXPIRING_NOTICE = Kind(
    "expiring_notice",
    member=_member,
    decide=_decide_notice,
    asks=lambda payload, program: [_expiring_ask(payload)],
)


# The jobs


def lapse_holds() -> int:
    """Let go of holds past their time, in all programs; return how many members had one."""
    total = 0
    for program_id in Program.objects.values_list("id", flat=True).order_by("id"):
        total += _run_all(program_id, SETTLE, partial(_due_holds, program_id))
    return total


def _due_holds(program_id: int, after: UUID) -> tuple[str, Any]:
    return DUE_HOLDS, [program_id, after, BATCH]


def run_nightly(*, now: datetime) -> list[NightlyRun]:
    """Run the night of every program whose local night has come and is not done yet.

    Args:
        now: UTC; only decides which nights are due. What happens under the lock takes its time
            from there.
    """
    done = []
    for program in Program.objects.filter(version__gt=0).order_by("id"):
        local = now.astimezone(ZoneInfo(program.timezone))
        today = local.date()
        if local.hour < NIGHT_HOUR:
            continue
        if not NightlyRun.objects.filter(program_id=program.id, day=today).exists():
            done.append(run_night(program.id, today=today))
    return done


def run_night(program_id: int, *, today: date) -> NightlyRun:
    """Run one program's night: every step, in its order."""
    program = published_program(program_id)
    settled = _run_all(
        program_id,
        SETTLE,
        lambda after: (DUE_LOTS, {"program": program_id, "after": after, "most": BATCH}),
    )
    reviewed = _review_tiers(program)
    notices = _send_notices(program, today)
    night, _ = NightlyRun.objects.update_or_create(
        program_id=program_id,
        day=today,
        defaults={"settled": settled, "tiers_changed": reviewed, "notices": notices},
    )
    return night


def _review_tiers(program: PublishedProgram) -> int:
    if program.tiers is None:
        return 0
    ground = program.tiers.levels[0].code
    return _run_all(
        program.id, TIER_REVIEW, lambda after: (ABOVE_GROUND, [program.id, ground, after, BATCH])
    )


def _send_notices(program: PublishedProgram, today: date) -> int:
    """Tell members about points that expire within each of the program's notice periods.

    The idempotency key names the period and the lots' end, so that a night that is run twice, or
    late, tells nobody twice.
    """
    total = 0
    start = end_of_day(today - timedelta(days=1), program.timezone)
    for days in sorted(program.points.expiring_notice_days):
        end = end_of_day(today + timedelta(days=days), program.timezone)
        total += _notify(program.id, days, start, end)
        start = end
    return total


def _notify(program_id: int, days: int, start: datetime, end: datetime) -> int:
    total = 0
    query = (EXPIRING_BETWEEN, [program_id, start, end])
    for rows in _pages(lambda after: (query[0], [*query[1], after, BATCH])):
        commands = [
            Command(
                EXPIRING_NOTICE,
                OneMember(("id", str(member)), expires_at),
                key=f"expiring/{days}/{expires_at.isoformat()}/{member}",
                request_id="nightly",
            )
            for member, dates in rows
            for expires_at in dates
        ]
        run(commands, principal=engine_principal(program_id))
        total += len(commands)
    return total


Query = Callable[[UUID], tuple[str, Any]]


def _pages(query: Query) -> Iterator[list[tuple[Any, ...]]]:
    """Read what a query finds, page by page in the order of the members."""
    after = FIRST
    while True:
        with connection.cursor() as cursor:
            cursor.execute(*query(after))
            found = cursor.fetchall()
        if not found:
            return
        yield found
        after = found[-1][0]


def _run_all(program_id: int, kind: Kind, query: Query) -> int:
    """Run a command for every member that a query finds; return how many."""
    total = 0
    for rows in _pages(query):
        commands = [
            Command(kind, OneMember(("id", str(row[0]))), request_id="nightly") for row in rows
        ]
        run(commands, principal=engine_principal(program_id))
        total += len(commands)
    return total
