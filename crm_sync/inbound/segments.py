"""Fill our segments from vendors' own: read who is in one, then take out who was not met.

A walk goes page by page and writes down whom it met, so it goes on where it stopped, and nobody is
taken out before all was read.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from pydantic import ValidationError

from crm_sync.adapters.outcomes import Outcome, Postponed, Retryable, storable
from crm_sync.adapters.segments import ListsSegments, SegmentPage
from crm_sync.inbound.polling import find_members
from crm_sync.inbound.rounds import LED_ROUND, step
from crm_sync.models import PolledSegment, SegmentSighting
from crm_sync.services.calls import adapter_of, call
from loyalty.members.identifiers import MemberRef
from loyalty.members.segment_schemas import SEGMENT_CODE
from loyalty.members.segments import CHUNK, add_members, remove_others, save_segment
from loyalty.members.selectors import list_present

_BY_NAME: Final = "Leave out the period: such codes are those of segments that come in by name."
log = structlog.get_logger(__name__)


def refuse_code(code: str) -> str:
    """Say in one sentence why a vendor's segment cannot fill this one of ours; empty if it can."""
    try:
        SEGMENT_CODE.validate_python(code)
    except ValidationError:
        return "A code has letters, digits, - and _, 50 at most."
    return _BY_NAME if "." in code else ""


def list_due_segments() -> list[int]:
    """List the segments whose turn it is, at connections that can be asked now."""
    rows = PolledSegment.objects.filter(
        next_at__lte=Now(), connection__is_enabled=True, connection__removed_at=None
    ).exclude(connection__relay__resume_at__gt=Now())
    return [
        row.pk
        for row in rows.select_related("connection").order_by("next_at")
        if isinstance(adapter_of(row.connection), ListsSegments)
    ]


def walk_segment(*, polled_id: int, seconds: float) -> int:
    """Read who is in a segment, page by page, for a turn; return how many people that was."""
    # Claimed by moving its time: whoever asks at the same moment finds it gone.
    row = PolledSegment.objects.filter(pk=polled_id, next_at__lte=Now())
    if not row.update(next_at=_lease()):
        return 0
    ends = time.monotonic() + seconds
    count = 0
    while True:
        polled = PolledSegment.objects.select_related("connection__program").get(pk=polled_id)
        if polled.is_read:
            _end(polled)
            return count
        found = _ask(polled)
        if found.outcome is not None:
            _fail(polled, storable(found.outcome))
            return count
        walked = step(polled.pages, polled.mark, found.page)
        if walked is None and found.page:
            _fail(polled, LED_ROUND)
            return count
        if not _take(polled, found, *(walked or (polled.pages, polled.mark))):
            return count
        count += len(found.people)
        if found.page and time.monotonic() >= ends:
            PolledSegment.objects.filter(pk=polled_id, walk=polled.walk).update(next_at=Now())
            return count


def begin_anew(polled: PolledSegment) -> None:
    """Let a walk begin at the first page; the caller saves the row, in the same transaction."""
    SegmentSighting.objects.filter(polled_id=polled.pk).delete()
    polled.walk, polled.page, polled.is_read, polled.strangers_met = uuid4(), "", False, 0
    polled.pages, polled.mark = 0, ""


def _ask(polled: PolledSegment) -> SegmentPage:
    adapter: Any = adapter_of(polled.connection)
    name, page = polled.vendor_segment, polled.page
    found = call(polled.connection, lambda target: adapter.list_segment(target, name, page))
    return SegmentPage(page=page, outcome=found) if isinstance(found, Outcome) else found


def _take(polled: PolledSegment, found: SegmentPage, pages: int, mark: str) -> bool:
    """Put who is on a page into ours; False if it is not ours to go on with any more."""
    known = find_members(polled.connection, found.people)
    members = sorted(set(known.values()))
    with transaction.atomic():
        here = PolledSegment.objects.filter(
            pk=polled.pk, walk=polled.walk, page=polled.page, is_read=False
        )
        if not here.update(
            page=found.page,
            pages=pages,
            mark=mark,
            is_read=not found.page,
            strangers_met=F("strangers_met") + len(found.people) - len(known),
            next_at=_lease(),
        ):
            return False
        SegmentSighting.objects.bulk_create(
            [SegmentSighting(polled_id=polled.pk, member_id=member) for member in members],
            ignore_conflicts=True,
        )
        refs = [MemberRef("id", str(member)) for member in members]
        add_members(polled.connection.program_id, polled.segment, refs)
    return True


def _end(polled: PolledSegment) -> None:
    """Take out who was not met, and begin to wait for the next walk."""
    program_id = polled.connection.program_id
    met = list(polled.sightings.values_list("member_id", flat=True))
    kept = _present(program_id, met)
    here = PolledSegment.objects.filter(pk=polled.pk, walk=polled.walk, is_read=True)
    if not here.exists():  # changed by a person before we looked who was met: that is not all
        return
    gone = remove_others(program_id, polled.segment, kept)
    save_segment(program_id, polled.segment)
    with transaction.atomic():
        if here.update(
            walk=uuid4(),
            page="",
            pages=0,
            mark="",
            is_read=False,
            strangers=F("strangers_met"),
            strangers_met=0,
            members=len(kept),
            read_at=Now(),
            next_at=Now() + timedelta(seconds=settings.CRM_SEGMENT_SECONDS),
            last_error="",
        ):
            polled.sightings.all().delete()
    log.info("segment read", segment=polled.segment, members=len(kept), gone=gone)


def _present(program_id: int, member_ids: Sequence[UUID]) -> set[UUID]:
    """Give who these members are by now: some were merged since they were met."""
    kept: set[UUID] = set()
    for start in range(0, len(member_ids), CHUNK):
        some = member_ids[start : start + CHUNK]
        kept |= set(list_present(program_id=program_id, member_ids=some).values())
    return kept


def _fail(polled: PolledSegment, outcome: Outcome) -> None:
    """Ask later, where it stopped; from the beginning where that place may be the fault."""
    seconds = float(settings.CRM_POLL_SECONDS)
    if isinstance(outcome, Postponed):
        seconds = outcome.seconds
    else:
        log.warning("segment not read", segment=polled.segment, error=outcome.error)
    if isinstance(outcome, Retryable):
        seconds = outcome.retry_after or seconds
    with transaction.atomic():
        rows = PolledSegment.objects.select_for_update()
        found = rows.filter(pk=polled.pk, walk=polled.walk).first()
        if found is None:
            return
        if not isinstance(outcome, Retryable | Postponed):
            begin_anew(found)
        found.last_error = outcome.error[:500]
        found.next_at = timezone.now() + timedelta(seconds=seconds)
        found.save()


def _lease() -> Any:
    return Now() + timedelta(seconds=settings.CRM_LEASE_SECONDS)
