"""What monitoring wants to know of inboxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, Min, Q
from django.utils import timezone

from crm_sync.inbound.models import InboxMessage, Source

State = InboxMessage.State
OPEN: Final = (State.PENDING.value, State.DEAD.value, State.PARKED.value)


@dataclass(frozen=True, slots=True)
class Inbox:
    """How a source's inbox is doing."""

    waiting: int = 0
    lag_seconds: float = 0.0
    for_people: int = 0


def list_inboxes() -> list[tuple[Source, Inbox]]:
    """Tell how the inboxes of all sources are doing, in two queries."""
    sources = list(Source.objects.filter(removed_at=None).select_related("program"))
    found = count_open([source.pk for source in sources])
    return [(source, found[source.pk]) for source in sources]


def count_open(source_ids: Sequence[int]) -> dict[int, Inbox]:
    """Count what is not settled, by source; only that is in the index which this goes by."""
    rows = InboxMessage.objects.filter(state__in=OPEN, source_id__in=source_ids)
    counted: Any = rows.values_list("source_id").annotate(
        waiting=Count("pk", filter=Q(state=State.PENDING)),
        oldest=Min("received_at", filter=Q(state=State.PENDING)),
        for_people=Count("pk", filter=~Q(state=State.PENDING)),
    )
    now = timezone.now()
    found = {
        source_id: Inbox(waiting, (now - oldest).total_seconds() if oldest else 0.0, for_people)
        for source_id, waiting, oldest, for_people in counted.order_by()
    }
    return {pk: found.get(pk, Inbox()) for pk in source_ids}
