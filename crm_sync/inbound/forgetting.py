"""Who was erased is forgotten here too: the feed says who, at the latest a few seconds later."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from crm_sync.inbound.models import ForgetCursor, InboxMessage, KnownOrder, SourcePerson
from loyalty.events import selectors as events

POSITIONS_AT_ONCE = 10_000
State = InboxMessage.State


def forget_erased() -> int:
    """Forget who was erased since the last time; return how many people."""
    if ForgetCursor.objects.filter(position__gte=events.last_position()).exists():
        return 0
    ForgetCursor.objects.bulk_create([ForgetCursor()], ignore_conflicts=True)
    with transaction.atomic():
        cursor = ForgetCursor.objects.select_for_update().get()
        up_to = min(events.last_position(), cursor.position + POSITIONS_AT_ONCE)
        people = events.list_members_told(
            type_="member.erased", after_position=cursor.position, up_to_position=up_to
        )
        if people:
            forget(people)
        ForgetCursor.objects.update(position=up_to)
    return len(people)


def forget(member_ids: Sequence[UUID]) -> None:
    """Empty what came in about these members, and forget who they are to their vendors."""
    theirs = Q(member_id__in=member_ids)
    for member_id in member_ids:
        theirs |= Q(state=State.PARKED, candidates__contains=[str(member_id)])
    found = InboxMessage.objects.filter(theirs).values_list("pk", flat=True)
    messages = InboxMessage.objects.filter(pk__in=list(found))
    messages.update(content="", person="", candidates=[])
    messages.exclude(state__in=(State.DONE, State.IGNORED)).update(
        state=State.IGNORED, settled_at=Now(), note="The member was erased."
    )
    SourcePerson.objects.filter(member_id__in=member_ids).delete()
    KnownOrder.objects.filter(member_id__in=member_ids).delete()


def delete_old_messages(*, now: datetime) -> int:
    """Delete messages that were settled long ago.

    Those that wait for a person stay as long as events do; 0 days keeps for ever.
    """
    for_people = (State.DEAD, State.PARKED)
    count = 0
    for days, rows in (
        (settings.CRM_INBOX_RETENTION_DAYS, InboxMessage.objects.exclude(state__in=for_people)),
        (
            settings.LOYALTY_EVENT_RETENTION_DAYS,
            InboxMessage.objects.filter(state__in=for_people),
        ),
    ):
        if days:
            count += rows.filter(settled_at__lt=now - timedelta(days=days)).delete()[0]
    # Refunds of orders that never came, or of strangers.
    before = now - timedelta(days=settings.CRM_INBOX_RETENTION_DAYS)
    KnownOrder.objects.filter(member_id=None, heard_at__lt=before).delete()
    return count
