"""What a person decides about messages: try again, settled by hand, this member is meant."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from crm_sync.inbound.matching import learn
from crm_sync.inbound.models import InboxMessage

State = InboxMessage.State
_AGAIN = (State.DEAD, State.PARKED, State.KEPT)


def try_again(*, message_ids: Collection[int]) -> int:
    """Let messages be worked on as if they had just come in; return how many.

    Those that are done have nothing left to be worked on.
    """
    rows = InboxMessage.objects.filter(pk__in=message_ids, state__in=_AGAIN)
    return _reopen(rows.exclude(content=""))


def settle_by_hand(*, message_ids: Collection[int], by: str) -> int:
    """Take a person's word that nothing is left to do; what was said is deleted."""
    rows = InboxMessage.objects.filter(pk__in=message_ids, state__in=_AGAIN)
    return rows.update(
        state=State.DONE,
        content="",
        candidates=[],
        note=f"Settled by {by}."[:500],
        settled_at=Now(),
    )


def choose_member(*, message_id: int, member_id: UUID) -> int:
    """Take a person's word for who is meant, here and in all that the source says of them.

    Returns:
        How many messages go on.
    """
    with transaction.atomic():
        message = InboxMessage.objects.select_for_update().get(pk=message_id)
        same = Q(pk=message_id)
        if message.person:
            learn(message.source, message.person, member_id, "a person")
            same |= Q(source=message.source, person=message.person)
        # Also those that are worked on again at this moment: what is found there is fenced off.
        open_ = (State.PARKED, State.PENDING)
        waiting = InboxMessage.objects.filter(same, state__in=open_).exclude(candidates=[])
        InboxMessage.objects.filter(pk=message_id).update(member_id=member_id)
        return _reopen(waiting)


def _reopen(rows: QuerySet[InboxMessage]) -> int:
    return rows.update(
        state=State.PENDING, attempts=0, next_at=Now(), settled_at=None, candidates=[], note=""
    )
