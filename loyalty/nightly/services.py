"""What the night does for members who do not come by, in each program's own time zone.

Every step is a command of its own under the member's lock, may be run twice, and catches up
after days of downtime. Members are listed once per step, 16 bytes each, and worked off page by
page, so that memory stays flat and tills go on meanwhile; a night that is cut short goes on behind
its last page. Nothing is kept in a session from one transaction to the next: a pooler gives each
transaction to another one.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.db import DEFAULT_DB_ALIAS, connection, connections

from loyalty.engine.commands import Answer, Command, Kind
from loyalty.engine.run import run
from loyalty.errors import DatabaseUnavailable, Overloaded
from loyalty.http.auth import Principal
from loyalty.nightly.commands import SETTLE, OneMember
from loyalty.nightly.models import NightlyRun, Notice
from loyalty.nightly.progress import StepProgress, begin_run, end_run
from loyalty.nightly.rows import DUE_HOLDS
from loyalty.nightly.steps import STEPS, Night, Work
from loyalty.programs.models import Program
from loyalty.programs.selectors import published_program
from loyalty.referrals.rows import DUE as DUE_REFERRALS
from loyalty.referrals.settling import SETTLE_REFERRALS

log = structlog.get_logger(__name__)

BATCH = 200
"""Members of one transaction: a till that wants one of them waits for it."""

NIGHT_HOUR = 2
FIRST = UUID(int=0)
LOCK = 4_013
"""First number of the advisory locks that keep one night of a program at a time."""

LISTED = 1_000_000
"""Members listed at once; 16 MB of them."""

# As a list of its own, PostgreSQL finds all who are due in whatever way suits the whole.
_LISTED = """
WITH due AS MATERIALIZED ({query}), listed AS (
    SELECT member_id FROM due WHERE member_id > %(after)s ORDER BY member_id LIMIT %(most)s
) SELECT string_agg(uuid_send(member_id), '' ORDER BY member_id) FROM listed
"""

KEEP_NOTICES = timedelta(days=800)
Pages = Iterator[list[UUID]]


def engine_principal(program_id: int) -> Principal:
    """Be the engine itself: the actor of what nobody asked for."""
    return Principal(
        key_id=0, program_id=program_id, name="engine", scopes=frozenset(), source="nightly"
    )


def lapse_holds() -> int:
    """Let go of holds past their time, in all programs; return how many members had one."""
    return _work_off_now(SETTLE, DUE_HOLDS)


def settle_referrals() -> int:
    """Tell referrers of their friends, and give them what is theirs; return how many had steps."""
    return _work_off_now(SETTLE_REFERRALS, DUE_REFERRALS)


def _work_off_now(kind: Kind, query: str) -> int:
    """Command what is due for some members, in all programs; return how many they were."""
    total = 0
    for program_id in Program.objects.values_list("id", flat=True).order_by("id"):
        work = Work(kind, query, {"program": program_id}, OneMember)
        with connection.cursor() as cursor:
            cursor.execute(work.query, work.parameters)
            due = sorted(row[0] for row in cursor.fetchall())
        for start in range(0, len(due), BATCH):
            _command(program_id, work, due[start : start + BATCH])
        total += len(due)
    return total


def run_nightly() -> list[NightlyRun]:
    """Run the night of every program whose local night has come and is not done yet.

    PostgreSQL is asked for the time: a server whose own clock is wrong must not run, and tick
    off, the night of another day.
    """
    done = []
    for program in Program.objects.filter(version__gt=0).order_by("id"):
        local = _database_time().astimezone(ZoneInfo(program.timezone))
        today = local.date()
        if local.hour < NIGHT_HOUR or _is_done(program.id, today):
            continue
        with _alone(program.id) as alone:
            if alone and not _is_done(program.id, today):
                done.append(run_night(program.id, today=today))
    return done


def run_night(program_id: int, *, today: date) -> NightlyRun:
    """Run one program's night: every step that is not done, in their order."""
    record = begin_run(program_id, today, list(STEPS))
    night = Night(published_program(program_id), today, record.since)
    for step in record.steps.filter(finished_at__isnull=True):
        progress = StepProgress(record, step)
        parts = list(STEPS[step.name](night))
        for work in parts:
            # Of a step in parts none is skipped: which one was cut short is not known.
            after = step.after or FIRST if len(parts) == 1 else FIRST
            _work_off(program_id, work, after, progress)
        progress.end()
    Notice.objects.filter(told_at__lt=_database_time() - KEEP_NOTICES).delete()
    return end_run(record)


def _work_off(program_id: int, work: Work, after: UUID, progress: StepProgress) -> None:
    for members in _pages(work, after):
        changed, failures = _command(program_id, work, members)
        progress.add(members[-1], members=len(members), changed=changed, failures=failures)


def _command(
    program_id: int, work: Work, members: Sequence[UUID]
) -> tuple[int, list[BaseException]]:
    """Run the step's command for a page of members, one by one where the page fails.

    One member whose data nobody foresaw must not keep the night from all others.

    Returns:
        For how many something happened, and what failed.
    """
    try:
        return _changed(_run(program_id, work, members)), []
    except (DatabaseUnavailable, Overloaded):
        raise
    except Exception as failure:
        if len(members) == 1:
            log.exception("night_member_failed", member=str(members[0]), kind=work.kind.name)
            return 0, [failure]
    changed, failures = 0, []
    for member in members:
        one, failed = _command(program_id, work, [member])
        changed += one
        failures += failed
    return changed, failures


def _run(program_id: int, work: Work, members: Sequence[UUID]) -> list[Answer]:
    commands = [
        Command(work.kind, work.payload(("id", str(member))), request_id="nightly")
        for member in members
    ]
    return run(commands, principal=engine_principal(program_id))


def _changed(answers: Sequence[Answer]) -> int:
    return sum(answer.status < 400 and b'"changed":true' in answer.body for answer in answers)


def _pages(work: Work, after: UUID) -> Pages:
    """List the members of a query, a million at a time, and give them page by page in their order.

    As one value: a million rows would take ten times as much of both sides' memory, and nothing of
    the list is left behind in the database.
    """
    while True:
        with connection.cursor() as cursor:
            values = {**work.parameters, "after": after, "most": LISTED}
            cursor.execute(_LISTED.format(query=work.query), values)
            listed = bytes(_only(cursor.fetchone()) or b"")
        starts = range(0, len(listed), 16)
        for first in range(0, len(starts), BATCH):
            page = starts[first : first + BATCH]
            yield [UUID(bytes=listed[start : start + 16]) for start in page]
        if len(starts) < LISTED:
            return
        after = UUID(bytes=listed[-16:])


def _database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = _only(cursor.fetchone())
    return found


def _only(row: tuple[Any, ...] | None) -> Any:
    return row[0] if row else None


def _is_done(program_id: int, day: date) -> bool:
    runs = NightlyRun.objects.filter(program_id=program_id, day=day, finished_at__isnull=False)
    return runs.exists()


@contextmanager
def _alone(program_id: int) -> Iterator[bool]:
    """Tell whether no other worker runs this program's night; the lock ends with the connection.

    In a transaction of its own that stays open: a pooler would hand a session's lock on to others,
    who do not know of it, and then nobody lets it go.
    """
    with closing(connections.create_connection(DEFAULT_DB_ALIAS)) as session:
        with session.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, program_id])
            alone = bool(_only(cursor.fetchone()))
        yield alone
        session.rollback()
