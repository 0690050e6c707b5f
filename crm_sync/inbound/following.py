"""What happened to members, as far as it matters here: the feed says so, seconds later.

No till waits for this: a command writes its event and knows nothing of what came in.
"""

from collections.abc import Sequence
from typing import Final

from django.db import transaction

from crm_sync.inbound.forgetting import forget
from crm_sync.inbound.in_doubt import work_again
from crm_sync.inbound.models import FeedCursor
from loyalty.events import selectors as events
from loyalty.events.selectors import Told

POSITIONS_AT_ONCE = 10_000
_ERASED: Final = "member.erased"
_MERGED: Final = "member.merged"
_UPDATED: Final = "member.updated"


def follow_feed() -> int:
    """Forget who was erased, and work again on what may be clear now; return of how many people."""
    if FeedCursor.objects.filter(position__gte=events.last_position()).exists():
        return 0
    FeedCursor.objects.bulk_create([FeedCursor()], ignore_conflicts=True)
    with transaction.atomic():
        cursor = FeedCursor.objects.select_for_update().get()
        up_to = min(events.last_position(), cursor.position + POSITIONS_AT_ONCE)
        told = events.list_told(
            types=(_ERASED, _MERGED, _UPDATED),
            after_position=cursor.position,
            up_to_position=up_to,
        )
        count = _follow(told)
        FeedCursor.objects.update(position=up_to)
    return count


def _follow(told: Sequence[Told]) -> int:
    erased = [one.member_id for one in told if one.type == _ERASED]
    known_otherwise = {one.member_id for one in told if _is_known_otherwise(one)}
    if known_otherwise:
        work_again(known_otherwise)
    if erased:
        forget(erased)
    return len(erased) + len(known_otherwise)


def _is_known_otherwise(told: Told) -> bool:
    """Say whether a member has other identifiers than before, or other ones that are verified."""
    return told.type == _MERGED or "identifiers" in told.data.get("changed", ())
