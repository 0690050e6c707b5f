"""Asking vendors how far their jobs are, and making calls again that failed as a whole.

A job ends in any case: with one outcome for each profile, or given up, and then its profiles go one
by one.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from crm_sync.adapters.contract import JobReport, RunsJobs
from crm_sync.adapters.outcomes import Delivered, Outcome, Postponed, storable
from crm_sync.models import BulkJob, Relay
from crm_sync.rules import Next
from crm_sync.services import health, lanes
from crm_sync.services.bulk import (
    ASK_SECONDS,
    MISFIT,
    NOT_TAKEN_YET,
    push_many,
    take_waiting,
    write_done,
)
from crm_sync.services.calls import FAILED_HERE, adapter_of, call, no_adapter
from crm_sync.services.contacts import forget_what_was_told
from crm_sync.services.people import want_profiles

log = structlog.get_logger(__name__)


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
            _ask_safely(BulkJob.objects.select_related("connection").get(pk=job_id))
            count += 1
    return count


def _ask_safely(job: BulkJob) -> None:
    """Ask for a job; one that fails here ends in its time, and keeps no other one waiting."""
    try:
        _ask(job)
    except Exception:
        log.exception("job failed", connection=job.connection_id, job=job.job_id)
        _wait(job, FAILED_HERE, settings.CRM_LEASE_SECONDS)


def _due_jobs() -> QuerySet[BulkJob]:
    due = BulkJob.objects.filter(
        ended_at__isnull=True, ask_at__lte=Now(), connection__is_enabled=True
    )
    return due.exclude(connection__relay__resume_at__gt=Now())


def _ask(job: BulkJob) -> None:
    if job.job_id == NOT_TAKEN_YET:
        _call_again(job)
        return
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


def _call_again(job: BulkJob) -> None:
    """Make a call again that failed as a whole, for those who still wait for it."""
    token, member_ids = uuid4(), [UUID(item[0]) for item in job.items]
    with transaction.atomic():
        Relay.objects.select_for_update().get(pk=job.connection_id)
        leased = take_waiting(connection_id=job.connection_id, member_ids=member_ids, token=token)
        BulkJob.objects.filter(pk=job.pk).update(ended_at=Now())
    if leased:
        push_many(connection_id=job.connection_id, member_ids=leased, token=token)


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
    if len(report.outcomes) != len(job.items):
        _give_up(job, MISFIT)
        return
    pairs = list(zip(job.items, map(storable, report.outcomes), strict=True))
    good = [(tuple(item), o) for item, o in pairs if isinstance(o, Delivered)]
    items = [item for item, _ in good]
    sent = write_done(job.connection_id, items, [o.vendor_id for _, o in good], [""] * len(items))
    overtaken = [UUID(item[0]) for item in items if UUID(item[0]) not in sent]
    failed = [(item, o) for item, o in pairs if not isinstance(o, Delivered)]
    again = overtaken + [UUID(item[0]) for item, _ in failed]
    _settle(job, again, failed=len(failed), error=failed[0][1].error if failed else "")


def _settle(job: BulkJob, again: Sequence[UUID], *, failed: int, error: str) -> None:
    with transaction.atomic():
        Relay.objects.select_for_update().get(pk=job.connection_id)
        # Sent one by one now, so that each gets its own outcome, attempts and reason.
        want_profiles(connection_id=job.connection_id, member_ids=again, is_backfill=True)
        forget_what_was_told(connection_id=job.connection_id, member_ids=again)
        lanes.open_lanes(connection_id=job.connection_id, member_ids=again)
        BulkJob.objects.filter(pk=job.pk).update(ended_at=Now(), failed=failed, last_error=error)
