"""What Celery rings for. Losing any of these delays a delivery; it loses none.

None is acknowledged late: what was begun and not finished is in PostgreSQL, as a lease that runs
out, and the sweep begins it again. Redis would only do the same a second time.
"""

import threading
import time
from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings
from django.db import OperationalError as DatabaseBusy
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import RedisError

from crm_sync.inbound.following import follow_feed
from crm_sync.inbound.forgetting import delete_old_messages
from crm_sync.inbound.polling import list_polled, poll, try_due
from crm_sync.inbound.reconciling import list_reconciled, reconcile
from crm_sync.inbound.segments import list_due_segments, walk_segment
from crm_sync.inbound.working import work_inbox
from crm_sync.rules import lanes_at_once
from crm_sync.services import lanes, prune
from crm_sync.services.backfill import list_running_backfills, step_backfill_safely
from crm_sync.services.calls import lend_database
from crm_sync.services.compare import (
    list_due_comparisons,
    start_all_comparisons,
    step_comparison,
)
from crm_sync.services.deliver import serve_lanes
from crm_sync.services.forget import forget_erased_everywhere
from crm_sync.services.jobs import poll_jobs
from crm_sync.services.lanes import Lease
from crm_sync.services.pace import Pace, Turns
from crm_sync.services.relay import claim_due_lanes, relay_events

INBOX_TURN_SECONDS = 3.0  # so three workers or threads share a backlog, and no more
POLL_TURN_SECONDS = 10.0
PLACE_SECONDS = 12.0  # a turn waits no longer to keep to the pace, and no lease runs out meanwhile
TURN_SECONDS = 1.0  # a connection with a backlog then goes to the back of the queue
# Sooner is smaller. The timetable's tasks (0) wait for a thread and no more: behind the turns of a
# dozen backlogs they expired, and nothing new was sent to anybody.
DUE = 3
BACKLOG = 6
PACE = Pace(settings.CRM_DELIVERIES_PER_SECOND, before_waiting=lend_database)
TURNS = Turns()
_RELAYING = threading.Lock()
log = structlog.get_logger(__name__)


@shared_task(name="crm_sync.relay", acks_late=False)
def relay() -> None:
    """Fan out what is new, and ring for what is due. Each second.

    Where one takes longer, those behind it are not begun: each would wait for the other's locks.
    """
    if not _RELAYING.acquire(blocking=False):
        return
    try:
        relay_events()
        ring(_claim())
    finally:
        _RELAYING.release()


@shared_task(name="crm_sync.sweep", acks_late=False)
def sweep() -> None:
    """Find lanes that nobody rings for: lost messages, dead workers, ended pauses. Every 5 s."""
    orphans = lanes.reopen_orphans()
    if orphans:
        log.warning("deliveries had no lane", lanes=orphans)
    ring(_claim())


def _claim() -> list[Lease]:
    """Lease what is due; while this worker is behind its pace, one turn at each connection."""
    return claim_due_lanes(but_not=TURNS.connections() if PACE.is_behind else None)


@shared_task(name="crm_sync.backfill", acks_late=False)
def backfill() -> None:
    """Take the running backfills some steps further, and ask for the jobs that came of them."""
    poll_jobs()
    ends = time.monotonic() + TURN_SECONDS
    running = list_running_backfills()
    while running and time.monotonic() < ends:
        running = [pk for pk in running if step_backfill_safely(backfill_id=pk)]


@shared_task(name="crm_sync.compare_all", acks_late=False)
def compare_all() -> None:
    """Begin to compare what vendors have with what they were told. Each night."""
    log.info("comparisons begun", connections=start_all_comparisons())


@shared_task(name="crm_sync.compare", acks_late=False)
def compare() -> None:
    """Take the running comparisons some steps further."""
    ends = time.monotonic() + TURN_SECONDS
    due = list_due_comparisons()
    while due and time.monotonic() < ends:
        due = [pk for pk in due if step_comparison(comparison_id=pk)]


@shared_task(name="crm_sync.deliver_lanes", acks_late=False)
def deliver_lanes(connection_id: int, member_ids: list[str], token: str) -> None:
    """Serve these lanes, and then others of the same connection, for a turn.

    As many at once as were served in a moment before: what is common to them is read and written
    once. Where a destination is slow that is one, so that others may serve the rest meanwhile; as
    many as may be where one call is about all of them.

    They wait for their place in the worker's pace, and are leased meanwhile: a turn that waits is
    one of the connection's.
    """
    with TURNS.at(connection_id):
        _serve(connection_id, [UUID(member_id) for member_id in member_ids], UUID(token))


def _serve(connection_id: int, member_ids: list[UUID], token: UUID) -> None:
    ends = time.monotonic() + TURN_SECONDS
    leases = lanes.resume(connection_id=connection_id, member_ids=member_ids, token=token)
    while leases:
        places = len(leases)
        if not PACE.wait(connection_id, places, at_most=_patience()):
            lanes.give_back_all(leases)  # the relay rings for them
            return
        began = time.monotonic()
        served = serve_lanes(leases, until=began + TURN_SECONDS)
        now = time.monotonic()
        PACE.charge(connection_id, served.sent - places)
        limit = lanes_at_once(len(leases), now - began, are_mixed=served.was_mixed)
        leases = _claim_more(connection_id, limit)
        if now >= ends:
            ring(leases, priority=BACKLOG)
            return


def _claim_more(connection_id: int, limit: int) -> list[Lease]:
    """Lease what is next of a connection; nothing where others hold its relay row for long."""
    try:
        return lanes.claim_together(connection_id=connection_id, limit=limit)
    except DatabaseBusy as error:
        log.info("a claim has to wait", connection=connection_id, error=str(error))
        return []


def _patience() -> float:
    return min(PLACE_SECONDS, settings.CRM_LEASE_SECONDS / 4)


@shared_task(name="crm_sync.inbox", acks_late=False)
def inbox() -> None:
    """Follow what happened to members, and work on what came in. Each second."""
    follow_feed()
    work_inbox(seconds=INBOX_TURN_SECONDS)


@shared_task(name="crm_sync.poll", acks_late=False)
def poll_changes() -> None:
    """Ask vendors for consent, segments and fields that changed there. Every 30 s, in turn.

    And take in who was left out and is known now.
    """
    for connection_id in list_polled():
        poll(connection_id=connection_id, seconds=POLL_TURN_SECONDS)
    try_due(seconds=POLL_TURN_SECONDS)


@shared_task(name="crm_sync.poll_segments", acks_late=False)
def poll_segments() -> None:
    """Read vendors' segments that fill ours. Every 30 s, in turn."""
    for polled_id in list_due_segments():
        walk_segment(polled_id=polled_id, seconds=POLL_TURN_SECONDS)


@shared_task(name="crm_sync.reconcile", acks_late=False)
def reconcile_orders() -> None:
    """Ask shops for orders that their webhooks did not tell. Every 30 s, in turn."""
    for source_id in list_reconciled():
        reconcile(source_id=source_id, seconds=POLL_TURN_SECONDS)


@shared_task(name="crm_sync.prune", acks_late=False)
def prune_old_rows() -> None:
    """Forget who was erased, and delete what is done and old. Each night."""
    erased = forget_erased_everywhere()
    deliveries = prune.delete_old_deliveries()
    events = prune.delete_old_events()
    messages = delete_old_messages(now=timezone.now())
    log.info(
        "old rows deleted", erased=erased, deliveries=deliveries, events=events, messages=messages
    )


def ring(leases: Sequence[Lease], *, priority: int = DUE) -> None:
    """Ask workers to serve these lanes, those under one token together.

    Where Redis does not take it, the lanes are due again.
    """
    turns = [list(leased) for _, leased in groupby(leases, key=lambda lease: lease.token)]
    for number, turn in enumerate(turns):
        try:
            deliver_lanes.apply_async(
                args=(
                    turn[0].connection_id,
                    [str(lease.member_id) for lease in turn],
                    str(turn[0].token),
                ),
                expires=settings.CRM_LEASE_SECONDS,
                priority=priority,
            )
        except (OperationalError, RedisError, OSError) as error:  # kombu does not wrap all of them
            log.warning("nobody could be asked to deliver", error=str(error))
            for unasked in turns[number:]:
                lanes.give_back_all(unasked)
            return
