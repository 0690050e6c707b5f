"""Find what a request did, by the id that a till, an answer or a log names.

No index is kept of what earns did, since every earn would pay for it: the ledger is read by its
index of time, of some days. Refusals are few, and have one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
from django.db.models.fields.json import KT
from django.utils import timezone

from loyalty.admin.filters import day_said
from loyalty.events.models import OutboxEvent
from loyalty.http.models import REQUEST_OF_BODY, IdempotencyKey
from loyalty.ledger.models import LedgerTransaction
from loyalty.programs.models import Program

RECENT: Final = timedelta(days=3)
LONGEST: Final = timedelta(days=31)
MOST: Final = 1000  # as many as a batch has
FEW: Final = 5

HELP: Final = "the id of a request of the last 3 days"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was answered instead of a change of points."""

    at: datetime
    code: str
    detail: str


def transactions_of_request(request_id: str, days: Mapping[str, str]) -> list[int]:
    """List the ledger transactions that a request caused.

    Args:
        days: What the list's filter says, as `recorded_at_from` and `recorded_at_to`; 31 days at
            most are read.
    """
    begin, end = _window(*_said(days))
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


def refusals_of_request(request_id: str, days: Mapping[str, str]) -> list[Refusal]:
    """List what a request was refused, which is in no ledger: stored answers say it.

    Args:
        days: As of the ledger.
    """
    begin, end = _window(*_said(days))
    asked = IdempotencyKey.objects.alias(request=REQUEST_OF_BODY)
    refused = asked.filter(
        request=orjson.dumps(request_id).decode()[1:-1],
        status__gte=400,
        created_at__range=(begin, end),
    )
    rows = refused.order_by("-created_at").values_list("created_at", "body")[:FEW]
    found = ((at, orjson.loads(body)) for at, body in rows if body)
    return [Refusal(at, body["code"], body["detail"]) for at, body in found]


def _said(days: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    return day_said(days.get("recorded_at_from")), day_said(days.get("recorded_at_to"))


def _window(first: datetime | None, last: datetime | None) -> tuple[datetime, datetime]:
    day = timedelta(days=1)
    if first is None and last is None:
        now = timezone.now()
        return now - RECENT, now + day
    end = last + day if last else (first or timezone.now()) + LONGEST
    begin = first or end - LONGEST
    return begin, min(end, begin + LONGEST)
