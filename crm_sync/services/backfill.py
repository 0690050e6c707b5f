"""Telling a vendor of all members: step by step, beside the events of the day, and marked as such.

A step asks for some members' profiles and sends them in the vendor's bulk form, or leaves them to
their lanes. It hands out only a few more than are sent, so that today's events never queue behind
yesterday's members.
"""

from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from crm_sync.adapters.contract import PushesInBulk, PushesProfiles
from crm_sync.models import Backfill, BulkJob, Connection, Contact, Relay
from crm_sync.services import lanes
from crm_sync.services.bulk import lease_many, push_many
from crm_sync.services.calls import adapter_of
from crm_sync.services.people import want_profiles
from loyalty.members import selectors as members

log = structlog.get_logger(__name__)
AT_ONCE = 40  # members without a bulk form who may wait in lanes at a time
JOBS_AT_ONCE = 5


class BackfillRefused(ValueError):
    """A backfill cannot be started; the message says why."""


def start_backfill(*, connection_id: int, by: str = "") -> Backfill:
    """Begin to tell a vendor of all members.

    Raises:
        BackfillRefused: The destination keeps no profiles, or one is under way.
    """
    connection = Connection.objects.get(pk=connection_id)
    if not isinstance(adapter_of(connection), PushesProfiles):
        raise BackfillRefused("This kind of destination keeps no profiles; replay events instead.")
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection_id=connection_id)
        if open_backfill(connection_id) is not None:
            raise BackfillRefused("A backfill is under way already.")
        return Backfill.objects.create(
            connection=connection,
            total=members.count_members(program_id=connection.program_id),
            started_by=by,
        )


def open_backfill(connection_id: int) -> Backfill | None:
    """Give the backfill that is running or paused, if there is one."""
    states = (Backfill.State.RUNNING, Backfill.State.PAUSED)
    return Backfill.objects.filter(connection_id=connection_id, state__in=states).first()


def set_backfill_state(*, backfill_id: int, state: Backfill.State) -> None:
    """Pause, resume or cancel; what is under way is finished."""
    open_ones = Backfill.objects.filter(
        pk=backfill_id, state__in=(Backfill.State.RUNNING, Backfill.State.PAUSED)
    )
    ended = Now() if state is Backfill.State.CANCELLED else None
    open_ones.update(state=state, ended_at=ended)


def list_running_backfills() -> list[int]:
    """List the backfills that can go on: their destinations are enabled and not paused or down."""
    rows = Backfill.objects.filter(
        state=Backfill.State.RUNNING,
        connection__is_enabled=True,
        connection__relay__failures__lt=settings.CRM_BREAKER_FAILURES,
    ).exclude(connection__relay__resume_at__gt=Now())
    return list(rows.order_by("pk").values_list("pk", flat=True))


def step_backfill_safely(*, backfill_id: int) -> bool:
    """Do the next step; one that fails is logged, and keeps no other backfill waiting."""
    try:
        return step_backfill(backfill_id=backfill_id)
    except Exception:
        log.exception("backfill failed", backfill=backfill_id)
        return False


def step_backfill(*, backfill_id: int) -> bool:
    """Do the next step; False if there is nothing to do at this moment."""
    token = uuid4()
    with transaction.atomic(durable=True):
        backfill = (
            Backfill.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("connection")
            .filter(pk=backfill_id, state=Backfill.State.RUNNING)
            .first()
        )
        if backfill is None:
            return False
        size = _size(backfill)
        ids = _next_members(backfill, size) if size else []
        leased = _hand_out(backfill, ids, token)
    if leased:
        push_many(connection_id=backfill.connection_id, member_ids=leased, token=token)
    return bool(ids)


def _size(backfill: Backfill) -> int:
    """Say how many members may be asked for now."""
    adapter: object = adapter_of(backfill.connection)
    if isinstance(adapter, PushesInBulk):
        jobs = BulkJob.objects.filter(connection_id=backfill.connection_id, ended_at=None)
        return adapter.bulk_size if jobs.count() < JOBS_AT_ONCE else 0
    return max(0, AT_ONCE - count_waiting(backfill.connection_id))


def count_waiting(connection_id: int) -> int:
    """Count the profiles that wait because of a backfill only."""
    waiting = Contact.objects.filter(connection_id=connection_id, wanted__gt=F("done"))
    return waiting.filter(is_backfill=True).count()


def _next_members(backfill: Backfill, size: int) -> list[UUID]:
    ids = members.list_member_ids(
        program_id=backfill.connection.program_id, after=backfill.after, limit=size
    )
    if ids:
        backfill.after, backfill.walked = ids[-1], backfill.walked + len(ids)
        backfill.total = max(backfill.total, backfill.walked)
    elif not _is_anything_left(backfill.connection_id):
        backfill.state, backfill.ended_at = Backfill.State.DONE, Now()
    backfill.save(update_fields=["after", "walked", "total", "state", "ended_at"])
    return ids


def _is_anything_left(connection_id: int) -> bool:
    jobs = BulkJob.objects.filter(connection_id=connection_id, ended_at=None)
    return jobs.exists() or count_waiting(connection_id) > 0


def _hand_out(backfill: Backfill, ids: list[UUID], token: UUID) -> list[UUID]:
    """Ask for these members' profiles; give those whose lanes we have leased to send them now."""
    if not ids:
        return []
    connection_id = backfill.connection_id
    Relay.objects.select_for_update().get(connection_id=connection_id)
    want_profiles(connection_id=connection_id, member_ids=ids, is_backfill=True)
    if isinstance(adapter_of(backfill.connection), PushesInBulk):
        return lease_many(connection_id=connection_id, member_ids=ids, token=token)
    lanes.open_lanes(connection_id=connection_id, member_ids=ids)
    return []
