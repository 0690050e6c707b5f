"""Many profiles in one call, under one lease for all of their lanes; and the jobs that come of it.

Only profiles that nobody else is sending are taken: a member with a lane of their own has events on
the way, and is served there. While a vendor works on a job, its members' lanes are free; if one of
them was sent something newer meanwhile, it is sent once more when the job is done, because the job
may have overwritten it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from crm_sync.adapters.contract import JobReport, PushesInBulk, PushesProfiles, RunsJobs, Submitted
from crm_sync.adapters.outcomes import Ambiguous, Delivered, Outcome, Postponed, storable
from crm_sync.models import BulkJob, Connection, Contact, Relay
from crm_sync.rules import GIVEN_UP, Next
from crm_sync.services import health, lanes
from crm_sync.services.calls import adapter_of, call, no_adapter
from crm_sync.services.forget import forget_contacts
from crm_sync.services.people import get_to_know, want_profiles
from crm_sync.services.profiles import Draft, draft_profile, fields_of

ASK_SECONDS = 5.0
log = structlog.get_logger(__name__)

_LEASE = """
INSERT INTO crm_sync_lane (connection_id, member_id, next_at, additions, lease_until, lease_token)
SELECT %(connection)s, member, clock_timestamp(), 1,
    clock_timestamp() + make_interval(secs => %(seconds)s), %(token)s
FROM unnest(%(members)s::uuid[]) AS member ORDER BY member
ON CONFLICT (connection_id, member_id) DO UPDATE SET additions = crm_sync_lane.additions + 1
RETURNING member_id, lease_token = %(token)s
"""

_CLOSE = """
WITH closed AS (
    DELETE FROM crm_sync_lane WHERE connection_id = %(connection)s AND lease_token = %(token)s
      AND additions = 1 AND NOT member_id = ANY(%(waiting)s::uuid[])
)
UPDATE crm_sync_lane
SET lease_until = NULL, lease_token = NULL,
    next_at = clock_timestamp() + make_interval(secs => %(wait_seconds)s)
WHERE connection_id = %(connection)s AND lease_token = %(token)s
  AND (additions > 1 OR member_id = ANY(%(waiting)s::uuid[]))
"""

_DONE = """
UPDATE crm_sync_contact AS contact SET
    done = item.wanted, attempts = 0, stuck = '', candidates = '[]',
    is_backfill = contact.is_backfill AND contact.wanted > item.wanted,
    fingerprint = item.fingerprint, version = item.version, sent_at = clock_timestamp(),
    last_error = item.left_out,
    vendor_id = CASE WHEN item.vendor_id = '' THEN contact.vendor_id ELSE item.vendor_id END
FROM unnest(%(members)s::uuid[], %(wanted)s::bigint[], %(fingerprints)s::text[],
            %(versions)s::bigint[], %(left_out)s::text[], %(vendor_ids)s::text[])
    AS item (member_id, wanted, fingerprint, version, left_out, vendor_id)
WHERE contact.connection_id = %(connection)s AND contact.member_id = item.member_id
  AND contact.done <= item.wanted
RETURNING contact.member_id
"""

Item = tuple[str, int, str, int]  # member, wanted, fingerprint, version


def lease_many(*, connection_id: int, member_ids: Sequence[UUID], token: UUID) -> list[UUID]:
    """Open and lease lanes for members who have none; those who have one are served there.

    The caller has locked the relay row, and asked for the profiles in the same transaction.
    """
    values: dict[str, Any] = {
        "connection": connection_id,
        "members": list(member_ids),
        "token": token,
        "seconds": settings.CRM_LEASE_SECONDS,
    }
    with database.cursor() as cursor:
        cursor.execute(_LEASE, values)
        return [member_id for member_id, is_ours in cursor.fetchall() if is_ours]


def push_many(*, connection_id: int, member_ids: Sequence[UUID], token: UUID) -> None:
    """Send these members' profiles under one lease, in one call; and let their lanes go."""
    connection = Connection.objects.get(pk=connection_id)
    adapter: object = adapter_of(connection)
    waiting: dict[UUID, float] = {}
    if isinstance(adapter, PushesProfiles) and isinstance(adapter, PushesInBulk):
        drafts = _drafts(connection, member_ids, waiting)
        if drafts:
            profiles = [draft.profile for draft in drafts]
            found = call(connection, lambda target: adapter.push_bulk(target, profiles))
            _take(connection, drafts, found, waiting)
    _close(connection_id, token, waiting)


def poll_jobs() -> int:
    """Ask vendors how far their jobs are; return how many were asked for.

    A destination that is paused is left alone; one that is down is paused after each failure, so
    that a job may ask whether it is back, as a lane may.
    """
    count = 0
    for job_id in list(_due_jobs().order_by("ask_at").values_list("pk", flat=True)[:20]):
        # Claimed by moving its time: whoever asks at the same moment finds it gone. The one before
        # it may have paused the connection.
        claimed = _due_jobs().filter(pk=job_id)
        if claimed.update(ask_at=Now() + timedelta(seconds=settings.CRM_LEASE_SECONDS)):
            _ask(BulkJob.objects.select_related("connection").get(pk=job_id))
            count += 1
    return count


def _drafts(
    connection: Connection, member_ids: Sequence[UUID], waiting: dict[UUID, float]
) -> list[Draft]:
    """Write the profiles that have to be sent; settle those that have not."""
    fields = fields_of(connection)
    drafts, unchanged = [], []
    noted: set[str] = set()
    for member_id, known in get_to_know(connection, member_ids).items():
        draft = draft_profile(connection, known, fields)
        if draft is None:
            forget_contacts(connection_id=connection.pk, member_ids=[member_id])
        elif known.trouble is not None:
            _fail(connection.pk, draft, known.trouble, waiting, noted)
        elif draft.is_unchanged:
            unchanged.append(draft)
        else:
            drafts.append(draft)
    _done(connection.pk, [(draft, Delivered()) for draft in unchanged])
    return drafts


def _take(
    connection: Connection,
    drafts: Sequence[Draft],
    found: Submitted | list[Outcome] | Outcome,
    waiting: dict[UUID, float],
) -> None:
    if isinstance(found, Submitted):
        BulkJob.objects.create(
            connection=connection,
            job_id=found.job_id,
            items=[_item(draft) for draft in drafts],
            ask_at=Now() + timedelta(seconds=ASK_SECONDS),
        )
        _in_flight(connection.pk, drafts)
        return
    if isinstance(found, Outcome):
        found = [found] * len(drafts)
    # What is wrong with the whole call is one failure of the connection, not a thousand.
    found = [*found, *[found[-1]] * (len(drafts) - len(found))]
    pairs = list(zip(drafts, found, strict=True))
    _done(connection.pk, [pair for pair in pairs if isinstance(pair[1], Delivered)])
    noted: set[str] = set()
    for draft, outcome in pairs:
        if not isinstance(outcome, Delivered):
            _fail(connection.pk, draft, storable(outcome), waiting, noted)


def _in_flight(connection_id: int, drafts: Sequence[Draft]) -> None:
    """Count them as sent; without a fingerprint, so that whatever is newer is sent in any case."""
    items = [_item(draft) for draft in drafts]
    blank = [(member, wanted, "", version) for member, wanted, _, version in items]
    _write_done(connection_id, blank, [""] * len(items), [draft.left_out for draft in drafts])


def _item(draft: Draft) -> Item:
    contact = draft.known.contact
    return (
        str(contact.member_id),
        contact.wanted,
        draft.fingerprint,
        draft.profile.version,
    )


def _done(connection_id: int, pairs: Sequence[tuple[Draft, Outcome]]) -> None:
    items = [_item(draft) for draft, _ in pairs]
    vendor_ids = [o.vendor_id if isinstance(o, Delivered) else "" for _, o in pairs]
    _write_done(connection_id, items, vendor_ids, [draft.left_out for draft, _ in pairs])


def _write_done(
    connection_id: int, items: Sequence[Item], vendor_ids: Sequence[str], left_out: Sequence[str]
) -> set[UUID]:
    """Write down that these were sent; give those whom nobody had sent anything newer."""
    if not items:
        return set()
    values: dict[str, Any] = {
        "connection": connection_id,
        "members": [item[0] for item in items],
        "wanted": [item[1] for item in items],
        "fingerprints": [item[2] for item in items],
        "versions": [item[3] for item in items],
        "vendor_ids": list(vendor_ids),
        "left_out": list(left_out),
    }
    with database.cursor() as cursor:
        cursor.execute(_DONE, values)
        return {row[0] for row in cursor.fetchall()}


def _fail(
    connection_id: int,
    draft: Draft,
    outcome: Outcome,
    waiting: dict[UUID, float],
    noted: set[str],
) -> None:
    contact = draft.known.contact
    row = Contact.objects.filter(connection_id=connection_id, member_id=contact.member_id)
    if isinstance(outcome, Postponed):
        waiting[contact.member_id] = outcome.seconds
        if outcome.error not in noted:
            noted.add(outcome.error)
            with transaction.atomic():
                health.hold_off(connection_id, outcome.seconds)
        return
    verdict = health.judge(connection_id, outcome, attempts=contact.attempts + 1)
    if outcome.error not in noted:
        noted.add(outcome.error)
        relay = Relay.objects.get(pk=connection_id)
        health.note(connection_id, relay.failures, verdict, outcome)
    if verdict.delivery is Next.WAIT:
        waiting[contact.member_id] = verdict.lane_seconds
        row.update(attempts=contact.attempts + 1, last_error=outcome.error)
        return
    row.update(
        done=contact.wanted,
        attempts=0,
        stuck=verdict.delivery.value if verdict.delivery in GIVEN_UP else "",
        last_error=outcome.error,
        candidates=list(outcome.candidates) if isinstance(outcome, Ambiguous) else [],
        is_backfill=False,
    )


def _close(connection_id: int, token: UUID, waiting: dict[UUID, float]) -> None:
    values: dict[str, Any] = {
        "connection": connection_id,
        "token": token,
        "waiting": list(waiting),
        "wait_seconds": max(waiting.values(), default=0.0),
    }
    with database.cursor() as cursor:
        cursor.execute(_CLOSE, values)


def _due_jobs() -> QuerySet[BulkJob]:
    due = BulkJob.objects.filter(
        ended_at__isnull=True, ask_at__lte=Now(), connection__is_enabled=True
    )
    return due.exclude(connection__relay__resume_at__gt=Now())


def _ask(job: BulkJob) -> None:
    adapter: object = adapter_of(job.connection)
    if not isinstance(adapter, RunsJobs):
        _wait(job, no_adapter(job.connection), settings.CRM_LEASE_SECONDS)
        return
    member_ids = [item[0] for item in job.items]
    found = call(job.connection, lambda t: adapter.poll_job(t, job.job_id, member_ids))
    report = JobReport(is_done=False, outcome=found) if isinstance(found, Outcome) else found
    trouble = storable(report.outcome) if report.outcome is not None else Delivered()
    if isinstance(trouble, Postponed):
        _wait(job, trouble, trouble.seconds)
        return
    verdict = health.judge(job.connection_id, trouble, attempts=1)
    health.note(
        job.connection_id, Relay.objects.get(pk=job.connection_id).failures, verdict, trouble
    )
    if report.is_done:
        _end(job, report)
    elif isinstance(trouble, Delivered):
        _wait(job, trouble, ASK_SECONDS)
    elif verdict.delivery is Next.WAIT:
        _wait(job, trouble, max(ASK_SECONDS, verdict.lane_seconds))
    else:
        _give_up(job, trouble.error)


def _wait(job: BulkJob, trouble: Outcome, seconds: float) -> None:
    """Ask again later; not for ever, because a backfill ends only when its jobs have ended."""
    limit = timedelta(hours=settings.CRM_JOB_HOURS)
    row = BulkJob.objects.filter(pk=job.pk)
    if row.filter(submitted_at__lt=Now() - limit).exists():
        error = trouble.error or "The vendor still works on it."
        _give_up(job, f"Given up after {settings.CRM_JOB_HOURS:g} hours: {error}"[:500])
        return
    row.update(ask_at=Now() + timedelta(seconds=seconds), last_error=trouble.error)


def _give_up(job: BulkJob, error: str) -> None:
    """End a job of which nobody learns anything more; its profiles go one by one."""
    log.warning("bulk job given up", connection=job.connection_id, job=job.job_id, error=error)
    _settle(job, [UUID(item[0]) for item in job.items], failed=len(job.items), error=error)


def _end(job: BulkJob, report: JobReport) -> None:
    """Settle each profile of a job; what failed, or was overtaken, is wanted again."""
    pairs = list(zip(job.items, report.outcomes, strict=True))
    good = [(tuple(item), o) for item, o in pairs if isinstance(o, Delivered)]
    items = [item for item, _ in good]
    sent = _write_done(job.connection_id, items, [o.vendor_id for _, o in good], [""] * len(items))
    overtaken = [UUID(item[0]) for item in items if UUID(item[0]) not in sent]
    failed = [(item, storable(o)) for item, o in pairs if not isinstance(o, Delivered)]
    again = overtaken + [UUID(item[0]) for item, _ in failed]
    _settle(job, again, failed=len(failed), error=failed[0][1].error if failed else "")


def _settle(job: BulkJob, again: Sequence[UUID], *, failed: int, error: str) -> None:
    with transaction.atomic():
        Relay.objects.select_for_update().get(pk=job.connection_id)
        # Sent one by one now, so that each gets its own outcome, attempts and reason.
        Contact.objects.filter(connection_id=job.connection_id, member_id__in=again).update(
            fingerprint=""
        )
        want_profiles(connection_id=job.connection_id, member_ids=again, is_backfill=True)
        lanes.open_lanes(connection_id=job.connection_id, member_ids=again)
        BulkJob.objects.filter(pk=job.pk).update(ended_at=Now(), failed=failed, last_error=error)
