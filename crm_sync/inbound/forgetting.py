"""Who was erased is forgotten here too, and what is done and old is deleted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from crm_sync.inbound.in_doubt import list_in_doubt
from crm_sync.inbound.models import InboxMessage, KnownOrder, LeftOutPerson, SourcePerson
from crm_sync.segment_models import SegmentSighting
from crm_sync.services.forget import forget_left_out

ROWS_AT_ONCE = 1000
WAITING_DAYS = 400
State = InboxMessage.State


def forget(member_ids: Sequence[UUID]) -> None:
    """Empty what came in about these members, and forget who they are to their vendors."""
    theirs = InboxMessage.objects.filter(member_id__in=member_ids)
    found = [rows.values_list("pk", flat=True) for rows in (theirs, list_in_doubt(member_ids))]
    messages = InboxMessage.objects.filter(pk__in={pk for rows in found for pk in rows})
    messages.update(content="", person="", candidates=[], said_hash="")
    messages.exclude(state__in=(State.DONE, State.IGNORED)).update(
        state=State.IGNORED, settled_at=Now(), note="The member was erased."
    )
    forget_left_out(member_ids)
    SegmentSighting.objects.filter(member_id__in=member_ids).delete()
    SourcePerson.objects.filter(member_id__in=member_ids).delete()
    KnownOrder.objects.filter(member_id__in=member_ids).delete()


def delete_old_messages(*, now: datetime) -> int:
    """Delete messages that were settled long ago, and orders that nobody spoke of since.

    Those that wait for a person, and people who are left out, stay as long as events do; where
    those are kept for ever, WAITING_DAYS, since they name people.
    """
    settled = timedelta(days=settings.CRM_INBOX_RETENTION_DAYS)
    messages = InboxMessage.objects.exclude(state__in=(State.DEAD, State.PARKED))
    count = _delete(messages.filter(settled_at__lt=now - settled))
    # Refunds of orders that never came; not those of one that may wait for a person.
    waiting = InboxMessage.objects.filter(
        source=OuterRef("source"), state__in=(State.PENDING, State.DEAD, State.PARKED)
    )
    nobodys = KnownOrder.objects.filter(member_id=None, heard_at__lt=now - settled)
    _delete(nobodys.exclude(Exists(waiting)))
    days = settings.LOYALTY_EVENT_RETENTION_DAYS
    long_ago = now - timedelta(days=days or WAITING_DAYS)
    count += _delete(InboxMessage.objects.filter(settled_at__lt=long_ago))
    count += _delete(LeftOutPerson.objects.filter(at__lt=long_ago))
    if days:
        _delete(KnownOrder.objects.filter(heard_at__lt=long_ago))
    return count


def _delete(rows: QuerySet[Any]) -> int:
    count = 0
    while ids := list(rows.values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        count += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return count
