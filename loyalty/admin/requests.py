"""Find what a request did, by the id that a till, an answer or a log names.

No index is kept of these ids, since every earn would pay for it: the ledger is read by its index of
time, of some days.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models.fields.json import KT
from django.utils import timezone

from loyalty.admin.filters import day_said
from loyalty.events.models import OutboxEvent
from loyalty.ledger.models import LedgerTransaction
from loyalty.programs.models import Program

RECENT: Final = timedelta(days=3)
LONGEST: Final = timedelta(days=31)
MOST: Final = 1000  # as many as a batch has
HELP: Final = "the id of a request of the last 3 days"


def transactions_of_request(request_id: str, days: Mapping[str, str]) -> list[int]:
    """List the ledger transactions that a request caused.

    Args:
        days: What the list's filter says, as `recorded_at_from` and `recorded_at_to`; 31 days at
            most are read.
    """
    first, last = day_said(days.get("recorded_at_from")), day_said(days.get("recorded_at_to"))
    begin, end = _window(first, last)
    rows = LedgerTransaction.objects.filter(
        program_id__in=list(Program.objects.values_list("pk", flat=True)),
        recorded_at__range=(begin, end),
        request_id=request_id,
    )
    return list(rows.values_list("pk", flat=True)[:MOST])


def events_of_request(request_id: str) -> list[tuple[UUID, int]]:
    """List the events that a request caused which moved points: members and sequences."""
    rows = LedgerTransaction.objects.filter(pk__in=transactions_of_request(request_id, {}))
    members = set(rows.values_list("member_id", flat=True))
    asked = OutboxEvent.objects.alias(request=KT("cause__request_id"))
    events = asked.filter(member_id__in=members, request=request_id)
    return list(events.values_list("member_id", "sequence")[:MOST])


def _window(first: datetime | None, last: datetime | None) -> tuple[datetime, datetime]:
    day = timedelta(days=1)
    if first is None and last is None:
        now = timezone.now()
        return now - RECENT, now + day
    end = last + day if last else (first or timezone.now()) + LONGEST
    begin = first or end - LONGEST
    return begin, min(end, begin + LONGEST)
