"""What monitoring wants to know of inboxes."""

from dataclasses import dataclass

from django.db.models import Count, Min, Q
from django.utils import timezone

from crm_sync.inbound.models import InboxMessage, Source

State = InboxMessage.State


@dataclass(frozen=True, slots=True)
class Inbox:
    """How a source's inbox is doing."""

    waiting: int = 0
    lag_seconds: float = 0.0
    for_people: int = 0


def list_inboxes() -> list[tuple[Source, Inbox]]:
    """Tell how the inboxes of all sources are doing, in two queries."""
    open_ones = (State.PENDING, State.DEAD, State.PARKED)
    rows = InboxMessage.objects.filter(state__in=open_ones).values_list("source_id")
    counted = rows.annotate(
        waiting=Count("pk", filter=Q(state=State.PENDING)),
        oldest=Min("received_at", filter=Q(state=State.PENDING)),
        for_people=Count("pk", filter=~Q(state=State.PENDING)),
    )
    now = timezone.now()
    found = {
        source_id: Inbox(waiting, (now - oldest).total_seconds() if oldest else 0.0, for_people)
        for source_id, waiting, oldest, for_people in counted.order_by()
    }
    sources = Source.objects.filter(removed_at=None).select_related("program")
    return [(source, found.get(source.pk, Inbox())) for source in sources]
