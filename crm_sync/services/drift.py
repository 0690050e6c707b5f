"""Putting right what vendors have otherwise than they were told: by sending it once more."""

from collections.abc import Collection
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models.functions import Now

from crm_sync.comparing import NO_PROFILE
from crm_sync.models import Comparison, Contact, Drift, Relay
from crm_sync.services import lanes
from crm_sync.services.backfill import start_backfill
from crm_sync.services.contacts import forget_what_was_told
from crm_sync.services.people import want_profiles

MEMBERS_AT_ONCE = 500
FEW = 1000  # so many lanes do not get into the way of today's events; more go by a backfill
FEW_ENOUGH_TO_TRUST = 20
log = structlog.get_logger(__name__)


def push_again(*, connection_id: int, member_ids: Collection[UUID]) -> int:
    """Send these members' profiles again, whatever the vendor was told; return how many.

    Whom the vendor does not know any more is looked for again, and made anew if not found. Marked
    as a backfill: nobody is to be written to because of it.
    """
    count = 0
    ordered = sorted(member_ids)
    for first in range(0, len(ordered), MEMBERS_AT_ONCE):
        count += _push_some(connection_id, ordered[first : first + MEMBERS_AT_ONCE])
    return count


def push_all_again(*, connection_id: int, with_missing: bool = True, by: str = "") -> int:
    """Send all profiles again that differ; return how many members that are.

    Many of them go by a backfill, which leaves out whoever needs nothing.

    Args:
        with_missing: Also those whom the vendor does not know any more.

    Raises:
        BackfillRefused: There are many, and a backfill is under way.
    """
    rows = Drift.objects.filter(connection_id=connection_id)
    rows = rows if with_missing else rows.exclude(name=NO_PROFILE)
    ids = list(rows.values_list("member_id", flat=True).distinct().order_by("member_id"))
    if len(ids) <= FEW:
        return push_again(connection_id=connection_id, member_ids=ids)
    start_backfill(connection_id=connection_id, by=by)
    for first in range(0, len(ids), MEMBERS_AT_ONCE):
        _send_in_any_case(connection_id, ids[first : first + MEMBERS_AT_ONCE])
    return len(ids)


def repair_after(run: Comparison) -> None:
    """Put right what a comparison found, where the connection wants it and it can be believed.

    Where many differ, somebody has changed something on purpose, or a field means something else
    there: a person looks first. Whom the vendor does not know may have asked it to be forgotten, so
    nobody is made anew without a person's word.
    """
    is_believable = run.drifted * 10 <= run.compared or run.drifted <= FEW_ENOUGH_TO_TRUST
    if not run.drifted or not run.connection.repairs_drift or not is_believable:
        return
    count = push_again(
        connection_id=run.connection_id,
        member_ids=list(
            Drift.objects.filter(connection_id=run.connection_id)
            .exclude(name=NO_PROFILE)
            .values_list("member_id", flat=True)
            .distinct()[:FEW]
        ),
    )
    log.info("differences are put right", connection=run.connection_id, members=count)


def _push_some(connection_id: int, member_ids: list[UUID]) -> int:
    with transaction.atomic():
        Relay.objects.select_for_update().get(connection_id=connection_id)
        known = Contact.objects.filter(connection_id=connection_id, member_id__in=member_ids)
        ids = list(known.values_list("member_id", flat=True))
        want_profiles(connection_id=connection_id, member_ids=ids, is_backfill=True)
        _send_in_any_case(connection_id, ids)
        lanes.open_lanes(connection_id=connection_id, member_ids=ids)
    return len(ids)


def _send_in_any_case(connection_id: int, member_ids: list[UUID]) -> None:
    drifts = Drift.objects.filter(connection_id=connection_id, member_id__in=member_ids)
    missing = drifts.filter(name=NO_PROFILE).values("member_id")
    with transaction.atomic():
        forget_what_was_told(connection_id=connection_id, member_ids=member_ids)
        Contact.objects.filter(connection_id=connection_id, member_id__in=missing).update(
            vendor_id="", matched_by=""
        )
        drifts.update(pushed_at=Now())
